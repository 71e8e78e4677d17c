package cli

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"k8s.io/cli-runtime/pkg/genericiooptions"
)

var update = flag.Bool("update", false, "write the generated part of docs/kubectl-fluent.md")

const generatedMark = "<!-- From here on generated: go test ./internal/cli -run TestReference -update -->\n"

func commands() []*cobra.Command {
	return New(genericiooptions.NewTestIOStreamsDiscard(), testVersion, time.Now).Commands()
}

// TestReference compares the reference in the docs with the commands.
func TestReference(t *testing.T) {
	path := filepath.Join("..", "..", "docs", "kubectl-fluent.md")
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	written, generated, ok := strings.Cut(string(text), generatedMark)
	if !ok {
		t.Fatalf("%s has no line %q", path, generatedMark)
	}
	want := reference()
	if *update {
		if err := os.WriteFile(path, []byte(written+generatedMark+want), 0o600); err != nil {
			t.Fatal(err)
		}
		return
	}
	if diff := cmp.Diff(want, generated); diff != "" {
		t.Errorf("%s is not what the commands say (-want +got), run the test with -update:\n%s", path, diff)
	}
}

func reference() string {
	var out bytes.Buffer
	for _, command := range commands() {
		fmt.Fprintf(&out, "\n### kubectl fluent %s\n\n%s\n\n```sh\n%s\n```\n\n", command.Use, command.Long, unindented(command.Example))
		if flags := command.NonInheritedFlags().FlagUsagesWrapped(130); flags != "" {
			fmt.Fprintf(&out, "```text\n%s\n```\n", strings.TrimRight(flags, "\n"))
		}
	}
	return out.String()
}

func unindented(text string) string {
	return strings.ReplaceAll(strings.TrimPrefix(text, "  "), "\n  ", "\n")
}

// TestEveryCommandIsExplained: a text, examples that name the command, and a completion.
func TestEveryCommandIsExplained(t *testing.T) {
	for _, command := range commands() {
		name := command.Name()
		if command.Short == "" || command.Long == "" || command.ValidArgsFunction == nil {
			t.Errorf("%s lacks a text or a completion", name)
		}
		if strings.Count(command.Example, "kubectl fluent "+name) < 1 {
			t.Errorf("%s has no example", name)
		}
	}
}

// TestExamplesParse: every example is a command line that the commands take, flags and all.
func TestExamplesParse(t *testing.T) {
	for _, command := range commands() {
		for line := range strings.Lines(command.Example) {
			_, words, found := strings.Cut(line, "kubectl fluent "+command.Name())
			if !found {
				continue
			}
			words, _, _ = strings.Cut(words, " >")
			words, _, _ = strings.Cut(words, " <")
			words, _, _ = strings.Cut(words, " |")
			fresh := New(genericiooptions.NewTestIOStreamsDiscard(), testVersion, time.Now)
			one, left, err := fresh.Find(append([]string{command.Name()}, strings.Fields(words)...))
			if err == nil {
				err = one.ParseFlags(left)
			}
			if err == nil {
				err = one.ValidateArgs(one.Flags().Args())
			}
			if err != nil {
				t.Errorf("%s: %v", strings.TrimSpace(line), err)
			}
		}
	}
}

// TestNoFlagTakesASecret: what is on a command line is seen by other users, and kept by the shell.
func TestNoFlagTakesASecret(t *testing.T) {
	for _, command := range commands() {
		command.NonInheritedFlags().VisitAll(func(flag *pflag.Flag) {
			for _, word := range []string{"password", "secret", "token", "code"} {
				if strings.Contains(flag.Name, word) && flag.Value.Type() != "bool" {
					t.Errorf("%s --%s takes a value", command.Name(), flag.Name)
				}
			}
		})
	}
}
