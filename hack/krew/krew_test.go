package main

import (
	"flag"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// What "make krew" hands in.
var (
	released = flag.String("release", "", "directory that holds the manifest and the archives of a release")
	tools    = flag.String("tools", "", "directory with krew and validate-krew-manifest")
	kubectl  = flag.String("kubectl", "", "path of kubectl")
)

// TestKrewInstallsEveryPlatform: krew's own validator takes the manifest, and krew itself installs the plugin from it for each platform:
// it fetches the archive, compares the checksum, unpacks, finds the program and the license.
func TestKrewInstallsEveryPlatform(t *testing.T) {
	if *released == "" {
		t.Skip("no -release: \"make krew\" runs it")
	}
	text, err := os.ReadFile(filepath.Join(*released, "fluent.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(http.FileServer(http.Dir(*released)))
	t.Cleanup(server.Close)
	here := regexp.MustCompile(`uri: .*/`).ReplaceAllString(string(text), "uri: "+server.URL+"/")
	if got, want := strings.Count(here, server.URL), len(strings.Split(platforms, ",")); got != want {
		t.Errorf("the manifest has %d platforms, want %d", got, want)
	}
	manifest := filepath.Join(t.TempDir(), "fluent.yaml")
	if err := os.WriteFile(manifest, []byte(here), 0o600); err != nil {
		t.Fatal(err)
	}
	validate := exec.Command(filepath.Join(*tools, "validate-krew-manifest"), "-manifest", manifest)
	validate.Env = append(os.Environ(), "PATH="+path(t))
	if out, err := validate.CombinedOutput(); err != nil || !strings.Contains(string(out), "spec.platforms installed fine") {
		t.Errorf("%v\n%s", err, out)
	}
}

// path is a PATH on which kubectl finds krew as its plugin.
func path(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for name, program := range map[string]string{"kubectl": *kubectl, "kubectl-krew": filepath.Join(*tools, "krew")} {
		if err := os.Symlink(program, filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	return dir + string(os.PathListSeparator) + os.Getenv("PATH")
}
