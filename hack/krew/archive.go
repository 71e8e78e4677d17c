package main

import (
	"archive/tar"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// archive is the build for one platform.
type archive struct {
	OS, Arch string
	Name     string // of the file
	Binary   string // inside of it
	SHA256   string
}

// pack builds for one platform and packs the program and the license. The same sources make the same archive.
func pack(platform, version, out, license string) (archive, error) {
	system, processor, ok := strings.Cut(platform, "/")
	if !ok {
		return archive{}, errors.New("a platform is an operating system and a processor, as linux/amd64")
	}
	packed := archive{
		OS: system, Arch: processor, Binary: "kubectl-fluent", Name: fmt.Sprintf("kubectl-fluent_%s_%s_%s.tar.gz", version, system, processor),
	}
	if system == "windows" {
		packed.Binary += ".exe"
	}
	scratch, err := os.MkdirTemp("", "krew-")
	if err != nil {
		return packed, err
	}
	defer os.RemoveAll(scratch) //nolint:errcheck // it is in the way of nobody
	binary := filepath.Join(scratch, packed.Binary)
	if err := compile(packed, version, binary); err != nil {
		return packed, err
	}
	packed.SHA256, err = writeArchive(filepath.Join(out, packed.Name), map[string]string{packed.Binary: binary, "LICENSE": license})
	return packed, err
}

func compile(target archive, version, path string) error {
	command := exec.Command("go", "build", "-buildvcs=false", "-trimpath", "-ldflags", "-s -w -X main.version="+version, "-o", path,
		"github.com/fluent-credential/operator/cmd/kubectl-fluent")
	command.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS="+target.OS, "GOARCH="+target.Arch)
	if out, err := command.CombinedOutput(); err != nil {
		return fmt.Errorf("%w\n%s", err, out)
	}
	return nil
}

// writeArchive packs files under their names and returns the checksum of the archive.
func writeArchive(path string, files map[string]string) (string, error) {
	file, err := os.Create(path)
	if err != nil {
		return "", err
	}
	sum := sha256.New()
	packed := gzip.NewWriter(io.MultiWriter(file, sum))
	written := tar.NewWriter(packed)
	for _, name := range []string{"LICENSE", "kubectl-fluent", "kubectl-fluent.exe"} {
		if from, ok := files[name]; ok {
			err = errors.Join(err, add(written, name, from))
		}
	}
	err = errors.Join(err, written.Close(), packed.Close(), file.Close())
	return hex.EncodeToString(sum.Sum(nil)), err
}

func add(to *tar.Writer, name, from string) error {
	file, err := os.Open(from)
	if err != nil {
		return err
	}
	defer file.Close() //nolint:errcheck // it was only read
	known, err := file.Stat()
	if err != nil {
		return err
	}
	mode := int64(0o755)
	if name == "LICENSE" {
		mode = 0o644
	}
	// A time of its own would make every archive another one.
	header := &tar.Header{Name: name, Mode: mode, Size: known.Size(), ModTime: time.Unix(0, 0), Format: tar.FormatPAX}
	if err := to.WriteHeader(header); err != nil {
		return err
	}
	_, err = io.Copy(to, file)
	return err
}
