package cli

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// kubectl runs the real kubectl with the plugin and its completion on the PATH.
func kubectl(t *testing.T, arguments ...string) said {
	t.Helper()
	completion, err := filepath.Abs(filepath.Join("..", "..", "cmd", "kubectl-fluent"))
	if err != nil {
		t.Fatal(err)
	}
	command := exec.CommandContext(t.Context(), filepath.Join(os.Getenv("KUBEBUILDER_ASSETS"), "kubectl"), arguments...)
	path := []string{filepath.Dir(program), completion, os.Getenv("KUBEBUILDER_ASSETS"), os.Getenv("PATH")}
	command.Env = append(os.Environ(), "KUBECONFIG="+kubeconfig, "PATH="+strings.Join(path, string(os.PathListSeparator)), "HOME="+filepath.Dir(program))
	var out, problem bytes.Buffer
	command.Stdout, command.Stderr = &out, &problem
	_ = command.Run() // its exit code says it
	return said{out.String(), problem.String(), command.ProcessState.ExitCode()}
}

// TestKubectlFindsThePlugin: kubectl fluent is the program, exit code included.
func TestKubectlFindsThePlugin(t *testing.T) {
	t.Parallel()
	namespace := stageAll(t)
	contains(t, kubectl(t, "plugin", "list").out, program)
	contains(t, kubectl(t, "fluent", "list", "-n", namespace).out, "NAME", "down", "CredentialsRejected")
	if got := kubectl(t, "fluent", "status", "down", "-n", namespace); got.code != exitAttention {
		t.Errorf("exit code %d, want %d\n%s", got.code, exitAttention, got.err)
	}
	contains(t, kubectl(t, "fluent", "--version").out, testVersion)
}

// TestKubectlCompletes: as a shell asks it after a press of the Tab key.
func TestKubectlCompletes(t *testing.T) {
	t.Parallel()
	namespace := stageAll(t)
	tests := map[string]struct {
		why  string
		line []string
		want []string
	}{
		"commands":        {"what can be done", []string{"s"}, []string{"status", "suspend"}},
		"names":           {"of this namespace", []string{"status", "-n", namespace, "sus"}, []string{"suspended"}},
		"another name":    {"each once", []string{"status", "-n", namespace, "fine", "f"}, nil},
		"only one name":   {"login takes one", []string{"login", "-n", namespace, "fine", ""}, nil},
		"name to check":   {"or a file", []string{"check", "-n", namespace, "ret"}, []string{"retrying"}},
		"namespace":       {"of the cluster", []string{"list", "-n", namespace}, []string{namespace}},
		"output of list":  {"a table or an object", []string{"list", "-o", "w"}, []string{"wide"}},
		"output of check": {"data", []string{"check", "-o", ""}, []string{"json", "yaml"}},
		"grant":           {"a closed set", []string{"login", "--grant", "p"}, []string{"password"}},
	}
	for name, test := range tests {
		got := kubectl(t, append([]string{"__complete", "fluent"}, test.line...)...)
		if diff := cmp.Diff(test.want, offered(got.out)); diff != "" {
			t.Errorf("%s (-want +got):\n%s%s: %s", name, diff, got.err, test.why)
		}
	}
}

// offered are the words of a completion: the lines before the directive, without their descriptions.
func offered(text string) []string {
	var words []string
	for line := range strings.Lines(text) {
		word, _, _ := strings.Cut(strings.TrimSpace(line), "\t")
		if strings.HasPrefix(word, ":") {
			break
		}
		words = append(words, word)
	}
	return words
}

func TestUsage(t *testing.T) {
	t.Parallel()
	contains(t, must(t, 0, "").out, "Available Commands:", "Exit codes:")
	contains(t, must(t, exitUsage, "", "lst").err, `did you mean "list"?`)
	contains(t, must(t, exitUsage, "", "frobnicate").err, "kubectl fluent --help")
	contains(t, must(t, exitUsage, "", "list", "--frobnicate").err, "unknown flag", "kubectl fluent list --help")
	contains(t, must(t, exitUsage, "", "status").err, "Usage: kubectl fluent status")
	contains(t, must(t, exitFailed, "", "list", "--context", "nowhere").err, `context "nowhere" does not exist`)
	contains(t, must(t, exitFailed, "", "list", "-n", "default", "--as", "nobody").err, "Your user may not do this")
	contains(t, must(t, exitFailed, "", "list", "--server", "https://127.0.0.1:1").err, "The API server cannot be reached")
}
