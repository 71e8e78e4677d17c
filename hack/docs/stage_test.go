package docs

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/go-logr/logr"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/fluent-credential/operator/hack/localcluster"
)

func TestMain(m *testing.M) {
	localcluster.Tether()
	log.SetLogger(logr.Discard()) // what the test's own control plane has to say
	os.Exit(m.Run())
}

// stage is where a story plays: a control plane, the APIs, and a shell in a directory that looks like a checkout. The operator is not
// there until it is started.
type stage struct {
	t        *testing.T
	cluster  *localcluster.Cluster
	net      *internet
	checkout string // the repository
	dir      string // where commands run
	env      []string
	operator *localcluster.Operator
	pages    map[string]*reader
}

func newStage(t *testing.T) *stage {
	t.Helper()
	cluster, err := localcluster.Start(localcluster.Options{Name: "fluent-docs"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := cluster.Stop(); err != nil {
			t.Error(err)
		}
	})
	s := &stage{t: t, cluster: cluster, net: newInternet(t), dir: t.TempDir(), pages: map[string]*reader{}}
	s.enter()
	t.Cleanup(s.look)
	return s
}

// look tells what there is where a story has failed; none of it holds a secret.
func (s *stage) look() {
	if !s.t.Failed() {
		return
	}
	s.t.Log(s.run("kubectl get fcred -A -o wide; kubectl get events -A --sort-by=.lastTimestamp | tail -20"))
	if s.operator != nil {
		s.t.Log(s.operator.LastLines(20))
	}
}

// enter prepares the shell.
func (s *stage) enter() {
	s.t.Helper()
	admin, err := s.cluster.AddUser("admin", "default", localcluster.Admin)
	if err != nil {
		s.t.Fatal(err)
	}
	if s.checkout, err = filepath.Abs(root); err != nil {
		s.t.Fatal(err)
	}
	for _, shown := range []string{"config", "dist"} {
		if err := os.CopyFS(filepath.Join(s.dir, shown), os.DirFS(filepath.Join(s.checkout, shown))); err != nil {
			s.t.Fatal(err)
		}
	}
	s.edit("dist/install.yaml", "- --leader-elect\n", "- --leader-elect\n        - --allowed-hosts="+reached+"\n")
	needKustomize(s.t, s.checkout)
	path := []string{filepath.Join(s.dir, "bin"), programs(s.t), filepath.Join(s.checkout, "cmd", "kubectl-fluent"), filepath.Dir(s.cluster.Kubectl), filepath.Join(s.checkout, "bin", "tools"), os.Getenv("PATH")}
	for name, value := range map[string]string{"HTTPS_PROXY": s.net.proxy.URL, "NO_PROXY": "127.0.0.1", "SSL_CERT_FILE": s.net.roots} {
		s.t.Setenv(name, value) // for the operator, too
	}
	s.env = append(os.Environ(), "KUBECONFIG="+admin.Kubeconfig, "KUBECACHEDIR="+s.cluster.Dir+"/cache", "KUBERC=off", "HOME="+s.dir,
		"PATH="+strings.Join(path, string(os.PathListSeparator)), "TZ=UTC", "LC_ALL=C")
}

// operatorUser is whom dist/install.yaml gives the operator's rights to.
const operatorUser = "system:serviceaccount:" + localcluster.OperatorNamespace + ":fluent-credential-operator"

// reached are the hosts that the operator may ask: the pages' own.
const reached = "*.api.fluentretail.com,auth.commercelayer.io,api.nordeaopenbanking.com,*.example.com"

// startOperator starts the operator in the place of its pods, with their rights and flags.
func (s *stage) startOperator() {
	s.t.Helper()
	s.sh("kubectl wait --for=condition=Established crd --all --timeout=60s")
	group := "system:serviceaccounts"
	user, err := s.cluster.AddUser(operatorUser, "", group, group+":"+localcluster.OperatorNamespace)
	if err != nil {
		s.t.Fatal(err)
	}
	s.operator, err = s.cluster.StartOperator(s.t.Context(), user, "--insecure-http=false", "--allowed-hosts="+reached,
		"--leader-elect", "--leader-election-namespace="+localcluster.OperatorNamespace)
	if err != nil {
		s.t.Fatal(err)
	}
}

// install is what the page on installation does, for those who have read it.
func (s *stage) install() {
	s.t.Helper()
	s.sh("kubectl apply --server-side -f dist/install.yaml")
	s.sh("kubectl create namespace shop")
	s.startOperator()
}

// patience is how long a command may take, and what it leads to.
const patience = time.Minute

// run runs a command of bash in the stage's directory.
func (s *stage) run(text string) (output string, code int) {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(s.t.Context()), patience) // also while a test cleans up
	defer cancel()
	command := exec.CommandContext(ctx, "bash", "-euo", "pipefail", "-c", text)
	command.Dir, command.Env, command.WaitDelay = s.dir, s.env, 5*time.Second
	out, err := command.CombinedOutput()
	if err != nil && command.ProcessState == nil {
		s.t.Fatal(err)
	}
	if ctx.Err() != nil {
		s.t.Fatalf("not within %s:\n%s\n%s", patience, text, out)
	}
	return string(out), command.ProcessState.ExitCode()
}

// sh runs a command that is in no page.
func (s *stage) sh(text string) string {
	s.t.Helper()
	out, code := s.run(text)
	if code != 0 {
		s.t.Fatalf("exit code %d:\n%s\n%s", code, text, out)
	}
	return out
}

// await waits until a command prints what is wanted.
func (s *stage) await(text, want string) {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.t.Context(), patience)
	defer cancel()
	out := ""
	err := s.operator.Until(ctx, 200*time.Millisecond, func() (bool, error) {
		out, _ = s.run(text)
		return strings.Contains(out, want), nil
	})
	if err != nil {
		s.t.Fatalf("%v: no %q from\n%s\n%s\n%s", err, want, text, out, s.operator.LastLines(10))
	}
}

// reason waits until a condition of a credential has a reason.
func (s *stage) reason(name, want string) {
	s.t.Helper()
	s.reasonIn("shop", name, want)
}

func (s *stage) reasonIn(namespace, name, want string) {
	s.t.Helper()
	s.await("kubectl -n "+namespace+" get fcred "+name+" -o jsonpath='{.status.conditions[*].reason}'", want)
}

// part runs a part of a story under a name of its own: where it fails, the others are told all the same.
func (s *stage) part(name string, tell func(*stage)) {
	whole := s.t
	defer func() { s.t = whole }()
	whole.Run(name, func(t *testing.T) {
		s.t = t
		tell(s)
	})
}

// write puts a file where commands run.
func (s *stage) write(name, text string) {
	s.t.Helper()
	path := filepath.Join(s.dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		s.t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o700); err != nil { //nolint:gosec // some are programs
		s.t.Fatal(err)
	}
}

// needKustomize looks for what the pages call kustomize: on the stage, which has an internet of its own, it could not be built.
func needKustomize(t *testing.T, checkout string) {
	t.Helper()
	if _, err := os.Stat(filepath.Join(checkout, "bin", "tools", "kustomize")); err != nil {
		t.Fatalf("kustomize is not there, run \"make bin/tools/kustomize\" first, or \"make test\": %v", err)
	}
}

// programs builds the operator and the plugin beside the running test, where localcluster looks for them.
func programs(t *testing.T) string {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	for name, from := range map[string]string{"fluent-credential-operator": "operator", "kubectl-fluent": "kubectl-fluent"} {
		path := filepath.Join(filepath.Dir(self), name)
		if _, err := os.Stat(path); err == nil {
			continue
		}
		if built := os.Getenv("TESTPROGRAMS"); built != "" {
			if err := os.Link(filepath.Join(built, name), path); err == nil {
				continue
			}
		}
		out, err := exec.Command("go", "build", "-buildvcs=false", "-ldflags", "-X main.version=v0.1.0", "-o", path, "github.com/fluent-credential/operator/cmd/"+from).CombinedOutput()
		if err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
	}
	return filepath.Dir(self)
}
