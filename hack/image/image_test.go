package main

import (
	"archive/tar"
	"bytes"
	"crypto/x509"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
)

// pause is the smallest program of the project.
func pause(out string) order {
	return order{
		source: filepath.Join("..", ".."), pkg: "./hack/pause", program: "pause", name: "example.com/pause:1", version: "1", out: out,
		platforms: []v1.Platform{{OS: "linux", Architecture: "amd64"}, {OS: "linux", Architecture: "arm64"}},
	}
}

func built(t *testing.T, order order) (v1.ImageIndex, []byte) {
	t.Helper()
	index, err := order.build(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := writeArchive(order.out, index, order.name); err != nil {
		t.Fatal(err)
	}
	archive, err := os.ReadFile(order.out)
	if err != nil {
		t.Fatal(err)
	}
	return index, archive
}

func TestTwoBuildsGiveTheSameBytes(t *testing.T) {
	_, first := built(t, pause(filepath.Join(t.TempDir(), "first.tar")))
	_, second := built(t, pause(filepath.Join(t.TempDir(), "second.tar")))
	if !bytes.Equal(first, second) {
		t.Errorf("archives of %d and %d bytes differ", len(first), len(second))
	}
	other := pause(filepath.Join(t.TempDir(), "other.tar"))
	other.version = "2"
	if _, third := built(t, other); bytes.Equal(first, third) {
		t.Error("another version gives the same bytes, so that the comparison says nothing")
	}
}

func TestImagesOfEveryPlatform(t *testing.T) {
	index, _ := built(t, pause(filepath.Join(t.TempDir(), "archive.tar")))
	manifest, err := index.IndexManifest()
	if err != nil {
		t.Fatal(err)
	}
	if len(manifest.Manifests) != 2 {
		t.Fatalf("%d images, want one a platform", len(manifest.Manifests))
	}
	for _, described := range manifest.Manifests {
		image, err := index.Image(described.Digest)
		if err != nil {
			t.Fatal(err)
		}
		config, err := image.ConfigFile()
		if err != nil {
			t.Fatal(err)
		}
		if config.Architecture != described.Platform.Architecture {
			t.Errorf("an image for %s is listed under %s", config.Architecture, described.Platform)
		}
		if user := config.Config.User; user != "65532:65532" {
			t.Errorf("%s runs as %q, want the number of nobody in particular", described.Platform, user)
		}
		checkFiles(t, image)
	}
}

// checkFiles looks at the root file system as a container sees it.
func checkFiles(t *testing.T, image v1.Image) {
	t.Helper()
	files := map[string][]byte{}
	reader := mutate.Extract(image)
	defer reader.Close()
	for archive := tar.NewReader(reader); ; {
		header, err := archive.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		if header.FileInfo().IsDir() {
			continue
		}
		if header.FileInfo().Mode()&(fs.ModeSetuid|fs.ModeSetgid|0o022) != 0 {
			t.Errorf("%s has the mode %s", header.Name, header.FileInfo().Mode())
		}
		if files[header.Name], err = io.ReadAll(archive); err != nil {
			t.Fatal(err)
		}
	}
	if !bytes.HasPrefix(files["pause"], []byte("\x7fELF")) || len(files) != 4 {
		t.Errorf("%d files, want the program, the certificates, passwd and group alone", len(files))
	}
	if !x509.NewCertPool().AppendCertsFromPEM(files["etc/ssl/certs/ca-certificates.crt"]) {
		t.Error("there are no root certificates where TLS clients look for them")
	}
}

func TestNames(t *testing.T) {
	for name, want := range map[string]string{
		"fluent-credential-operator:latest":  "docker.io/library/fluent-credential-operator:latest",
		"someone/operator:v1":                "docker.io/someone/operator:v1",
		"registry.example.com/operator:v0.1": "registry.example.com/operator:v0.1",
		"localhost/pause:1":                  "localhost/pause:1",
		"Not A Name":                         "",
	} {
		annotations, err := nameAnnotations(name)
		if (err != nil) != (want == "") || annotations["io.containerd.image.name"] != want {
			t.Errorf("%s becomes %q (%v), want %q: what containerd calls it has to be what a pod asks for", name, annotations["io.containerd.image.name"], err, want)
		}
	}
}
