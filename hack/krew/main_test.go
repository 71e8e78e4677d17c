package main

import (
	"archive/tar"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"
)

// plugin is what krew reads of a manifest (krew.googlecontainertools.github.com/v1alpha2).
type plugin struct {
	APIVersion, Kind string
	Metadata         struct{ Name string }
	Spec             struct {
		Version, Homepage, ShortDescription, Description string
		Platforms                                        []struct {
			URI, SHA256, Bin string
			Selector         struct{ MatchLabels map[string]string }
		}
	}
}

// TestRelease builds for this machine, and installs by the manifest as krew would: fetch, compare the checksum, unpack, run.
func TestRelease(t *testing.T) {
	out, platform := t.TempDir(), runtime.GOOS+"/"+runtime.GOARCH
	made := &release{Version: "v9.8.7", BaseURL: "https://example.com/v9.8.7"}
	if err := run(made, out, filepath.Join("..", "..", "LICENSE"), []string{platform}); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join(out, "fluent.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	var told plugin
	if err := yaml.Unmarshal(text, &told); err != nil {
		t.Fatal(err)
	}
	if told.Kind != "Plugin" || told.Metadata.Name != "fluent" || told.Spec.Version != "v9.8.7" || len(told.Spec.Platforms) != 1 {
		t.Fatalf("the manifest says %+v", told)
	}
	if length := len(told.Spec.ShortDescription); length == 0 || length > 50 {
		t.Errorf("the short description has %d characters; krew wants 50 at most", length)
	}
	build := told.Spec.Platforms[0]
	if want := map[string]string{"os": runtime.GOOS, "arch": runtime.GOARCH}; build.Selector.MatchLabels["os"] != want["os"] || build.Selector.MatchLabels["arch"] != want["arch"] {
		t.Errorf("it is for %v, want %v", build.Selector.MatchLabels, want)
	}
	path := filepath.Join(out, strings.TrimPrefix(build.URI, "https://example.com/v9.8.7/"))
	if sum := sumOf(t, path); sum != build.SHA256 {
		t.Errorf("the archive has the sum %s, the manifest says %s", sum, build.SHA256)
	}
	unpacked := unpack(t, path)
	said, err := exec.Command(filepath.Join(unpacked, build.Bin), "--version").CombinedOutput()
	if err != nil || !strings.Contains(string(said), "v9.8.7") {
		t.Errorf("the program says %q, %v", said, err)
	}
	if _, err := os.Stat(filepath.Join(unpacked, "LICENSE")); err != nil {
		t.Error(err)
	}
}

func sumOf(t *testing.T, path string) string {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(content)
	return hex.EncodeToString(sum[:])
}

func unpack(t *testing.T, path string) string {
	t.Helper()
	file, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close() //nolint:errcheck // it was only read
	packed, err := gzip.NewReader(file)
	if err != nil {
		t.Fatal(err)
	}
	dir, reader := t.TempDir(), tar.NewReader(packed)
	for {
		header, err := reader.Next()
		if errors.Is(err, io.EOF) {
			return dir
		}
		if err != nil {
			t.Fatal(err)
		}
		content, err := io.ReadAll(reader)
		if err == nil {
			err = os.WriteFile(filepath.Join(dir, header.Name), content, os.FileMode(header.Mode))
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

// TestVersion: krew takes semantic versions only, so a build that is none is no release.
func TestVersion(t *testing.T) {
	for version, want := range map[string]bool{
		"v0.1.0": true, "v1.2.3-rc.1": true, "": false, "devel": false, "1.2.3": false, "v1.2": false, "cda7849-dirty": false,
	} {
		if isVersion.MatchString(version) != want {
			t.Errorf("%q is taken for a version: %t", version, !want)
		}
	}
}
