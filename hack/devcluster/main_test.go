package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func write(t *testing.T, file, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte(text), 0o755); err != nil {
		t.Fatal(err)
	}
}

func TestReleaseComesFromGoMod(t *testing.T) {
	file := filepath.Join(t.TempDir(), "go.mod")
	for why, test := range map[string]struct {
		text, want string
	}{
		"a requirement in a block":         {"require (\n\tk8s.io/kubectl v0.40.2\n\tk8s.io/kubernetes v1.40.2\n)\n", "v1.40.2 1 40"},
		"a requirement of its own":         {"require k8s.io/kubernetes v1.38.0-rc.1 // a comment\n", "v1.38.0-rc.1 1 38"},
		"a replacement is no requirement":  {"replace k8s.io/kubernetes => ../kubernetes\n", ""},
		"another module of the same start": {"require k8s.io/kubernetes-utils v1.40.2\n", ""},
	} {
		t.Run(why, func(t *testing.T) {
			write(t, file, test.text)
			got, err := readRelease(file)
			if (err != nil) != (test.want == "") {
				t.Fatalf("error: %v", err)
			}
			if is := strings.TrimSpace(got.version + " " + got.major + " " + got.minor); is != test.want {
				t.Errorf("got %q, want %q", is, test.want)
			}
		})
	}
}

func TestFingerprintFollowsWhatABuildReads(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "go.mod"), "module m\n")
	write(t, filepath.Join(dir, "go.sum"), "")
	set := set{name: "controlplane", modfile: "go.mod"}
	before, err := set.fingerprint(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, step := range []struct {
		file    string
		changes bool
		why     string
	}{
		{"main_test.go", false, "tests are not built in"},
		{"README", false, "text is not built in"},
		{"go.sum", true, "it decides what is compiled"},
		{"oldest.mod", false, "another release is built from it"},
		{"controlplane/main.go", true, "it is compiled"},
		{"multicall/multicall.go", true, "both sets are made of it"},
		{"node/main.go", false, "it belongs to the other set"},
		{"compile.go", true, "it holds the flags of the build"},
	} {
		write(t, filepath.Join(dir, step.file), "// "+step.file+"\n")
		after, err := set.fingerprint(dir)
		if err != nil {
			t.Fatal(err)
		}
		if (after != before) != step.changes {
			t.Errorf("%s: changed is %v, want %v: %s", step.file, after != before, step.changes, step.why)
		}
		before = after
	}
}

func TestInstalledNeedsEveryProgramOfOneBuild(t *testing.T) {
	dir := t.TempDir()
	binary := filepath.Join(dir, ".build-1", "controlplane")
	write(t, binary, "one")
	if err := sets["controlplane"].install(binary, dir, "stamp one"); err != nil {
		t.Fatal(err)
	}
	if !sets["controlplane"].installed(dir, "stamp one") {
		t.Error("not installed after install")
	}
	if sets["controlplane"].installed(dir, "stamp two") {
		t.Error("passes for another build")
	}

	write(t, filepath.Join(dir, ".build-2", "controlplane"), "two")
	write(t, filepath.Join(dir, ".build-2", "kubectl", "in the way"), "")
	if err := sets["controlplane"].install(filepath.Join(dir, ".build-2", "controlplane"), dir, "stamp two"); err == nil {
		t.Fatal("installing over a directory succeeded")
	}
	for _, stamp := range []string{"stamp one", "stamp two"} {
		if sets["controlplane"].installed(dir, stamp) {
			t.Errorf("half of two builds passes for %q", stamp)
		}
	}
	if missing := sets["controlplane"].missingPrograms(dir); len(missing) > 0 {
		t.Errorf("a failed installation took %v away", missing)
	}
}

func TestAssetsOfOthersAreCheckedAndKept(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"etcd", "kube-apiserver"} {
		write(t, filepath.Join(dir, name), "")
	}
	err := sets["controlplane"].run(t.Context(), filepath.Join(dir, "out"), dir)
	if err == nil || !strings.Contains(err.Error(), "no kubectl") || strings.Contains(err.Error(), "no etcd") {
		t.Errorf("the error has to name kubectl alone: %v", err)
	}
	write(t, filepath.Join(dir, "kubectl"), "")
	if err := sets["controlplane"].run(t.Context(), filepath.Join(dir, "out"), dir); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(filepath.Join(dir, "out")); err == nil {
		t.Error("something was built all the same")
	}
}

func TestProgressInALog(t *testing.T) {
	var log strings.Builder
	clock := time.Date(2026, 1, 5, 10, 0, 0, 0, time.UTC)
	show := &progress{out: &log, now: func() time.Time { return clock }, started: clock, printed: clock, doing: "loading modules"}
	messages := []struct {
		text     string
		progress bool
	}{
		{"go: downloading k8s.io/kubernetes v1.37.0", true},
		{"packages are known", false},
		{"first", true},
		{"# first", false},
		{"first.go:1:1: undefined: x", false},
		{"third", true},
		{"elsewhere", false},
		{"main", true},
	}
	for _, message := range messages {
		if message.text == "packages are known" {
			show.expect(map[string][]string{"main": {"third", "second", "C"}, "third": {"first", "cached"}, "second": {"cached"}, "first": nil, "cached": nil})
		}
		if got := show.advance(message.text); got != message.progress {
			t.Errorf("advance(%q) = %v", message.text, got)
		}
		clock = clock.Add(6 * time.Second)
		show.print()
	}
	want := `k8s: compiling, 0 of 5 packages, 12s
k8s: compiling, 1 of 5 packages, 24s
k8s: compiling, 3 of 5 packages, 36s
k8s: linking, 5 of 5 packages, 48s
`
	if log.String() != want {
		t.Errorf("got:\n%swant:\n%s", log.String(), want)
	}
}
