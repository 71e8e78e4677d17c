package localcluster

import (
	"bufio"
	"context"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// helperVariable makes of this test's binary a program that starts a cluster and waits.
const helperVariable = "LOCALCLUSTER_TEST_HELPER"

func TestMain(m *testing.M) {
	Tether()
	if os.Getenv(assetsVariable) == "" {
		assets, _ := filepath.Abs(filepath.Join("..", "..", "bin", "k8s"))
		_ = os.Setenv(assetsVariable, assets)
	}
	if os.Getenv(helperVariable) != "" {
		hold()
	}
	os.Exit(m.Run())
}

// hold starts a cluster, tells its directory, and is then killed.
func hold() {
	cluster, err := Start(Options{Name: "localcluster-test"})
	if err != nil {
		println(err.Error())
		os.Exit(1)
	}
	if _, err := cluster.launch(program{name: "tail", path: "tail", args: []string{"-f", cluster.logPath("etcd")}}); err != nil {
		os.Exit(1)
	}
	_, _ = os.Stdout.WriteString(cluster.Dir + "\n")
	select {}
}

// running lists the processes whose command line names the directory.
func running(t *testing.T, dir string) []string {
	t.Helper()
	var found []string
	lines, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range lines {
		if text, err := os.ReadFile(path); err == nil && strings.Contains(string(text), dir) {
			found = append(found, strings.ReplaceAll(string(text), "\x00", " "))
		}
	}
	return found
}

// goneIn waits until no process names the directory.
func goneIn(t *testing.T, dir string, patience time.Duration) {
	t.Helper()
	deadline := time.Now().Add(patience)
	for left := running(t, dir); len(left) > 0; left = running(t, dir) {
		if time.Now().After(deadline) {
			t.Fatalf("after %s there still run %q", patience, left)
		}
		time.Sleep(10 * time.Millisecond)
	}
}

func TestNothingIsLeftAfterStop(t *testing.T) {
	cluster, err := Start(Options{Name: "localcluster-test", Files: map[string]string{"a": "text"}})
	if err != nil {
		t.Fatal(err)
	}
	user, err := cluster.AddUser("somebody", "shop", Admin)
	if err != nil {
		t.Fatal(err)
	}
	out, err := Run(t.Context(), []string{"KUBECONFIG=" + user.Kubeconfig, "KUBECACHEDIR=" + cluster.Dir}, cluster.Kubectl,
		"config", "view", "--minify", "-o", "jsonpath={..namespace}")
	if err != nil || out != "shop" {
		t.Errorf("kubectl works in the namespace %q (%v), want shop", out, err)
	}
	if runtime.GOOS == "linux" && len(running(t, cluster.Dir)) < 2 {
		t.Errorf("etcd and kube-apiserver do not run: %q", running(t, cluster.Dir))
	}
	if err := errors.Join(cluster.Stop(), cluster.Stop()); err != nil {
		t.Errorf("Stop, twice: %v", err)
	}
	if _, err := os.Stat(cluster.Dir); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the directory is left: %v", err)
	}
	if runtime.GOOS == "linux" {
		goneIn(t, cluster.Dir, 5*time.Second)
	}
}

func TestNothingIsLeftAfterSIGKILL(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("there is no death signal here")
	}
	helper := exec.CommandContext(t.Context(), os.Args[0])
	helper.Env, helper.Stderr = append(os.Environ(), helperVariable+"=1"), os.Stderr
	stdout, err := helper.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := helper.Start(); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(stdout).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	dir := strings.TrimSpace(line)
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	if left := running(t, dir); len(left) != 3 {
		t.Errorf("%d processes run, want etcd, kube-apiserver and tail: %q", len(left), left)
	}
	_ = helper.Process.Kill()
	_ = helper.Wait() // says that it was killed
	goneIn(t, dir, 5*time.Second)
}

// bareCluster has a directory and no control plane.
func bareCluster(t *testing.T) *Cluster { t.Helper(); return &Cluster{Dir: t.TempDir()} }

func shell(script string) program {
	return program{name: "sh", path: "sh", args: []string{"-c", script}}
}

func TestProcess(t *testing.T) {
	for why, test := range map[string]struct {
		script, log string
		stop        bool
		ended       string
	}{
		"asked to stop, it stops":             {script: "echo up; exec sleep 1000", log: "up", stop: true},
		"ended by itself, it says how":        {script: "echo one; echo two >&2; exit 3", log: "one\ntwo", ended: "sh has ended by itself: exit status 3"},
		"even a good end was not asked for":   {script: "exit 0", ended: "sh has ended by itself: exit status 0"},
		"only the last lines are of interest": {script: "seq 1 9", log: "8\n9", ended: "sh has ended by itself: exit status 0"},
	} {
		t.Run(why, func(t *testing.T) {
			process, err := bareCluster(t).launch(shell(test.script))
			if err != nil {
				t.Fatal(err)
			}
			if test.stop {
				awaitLog(t, process, test.log)
				if err := errors.Join(process.Stop(), process.Stop()); err != nil {
					t.Errorf("Stop, twice: %v", err)
				}
			}
			<-process.Done()
			if !test.stop && process.Ended().Error() != test.ended {
				t.Errorf("Ended() is %q, want %q", process.Ended(), test.ended)
			}
			if diff := cmp.Diff(test.log, process.LastLines(2)); diff != "" {
				t.Errorf("the end of the log (-want +got):\n%s", diff)
			}
		})
	}
}

func awaitLog(t *testing.T, process *Process, text string) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); process.LastLines(2) != text; time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("the log is %q, want %q", process.LastLines(2), text)
		}
	}
}

func TestAProcessThatDiesIsNotWaitedFor(t *testing.T) {
	process, err := bareCluster(t).launch(shell("echo no >&2; exit 1"))
	if err != nil {
		t.Fatal(err)
	}
	err = process.AwaitOK(t.Context(), "http://127.0.0.1:1/readyz")
	if want := "sh has ended by itself: exit status 1\nno"; err == nil || err.Error() != want {
		t.Errorf("AwaitOK says %v, want %s", err, want)
	}
}

func TestRunEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := Run(ctx, nil, "sleep", "1000"); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Run says %v", err)
	}
}

func TestMissingAssets(t *testing.T) {
	t.Setenv(assetsVariable, t.TempDir())
	if _, err := Start(Options{Name: "localcluster-test"}); err == nil || !strings.Contains(err.Error(), "make k8s") {
		t.Errorf("Start says %v, which does not say what to do", err)
	}
}
