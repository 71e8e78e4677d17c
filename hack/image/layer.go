package main

import (
	"archive/tar"
	"bytes"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"path"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"golang.org/x/crypto/x509roots/fallback/bundle"
)

// file is one file of a layer or of an archive; it belongs to root and has no time.
type file struct {
	name    string // without a leading slash
	mode    int64
	content []byte
}

// layer packs files, and the directories they are in, in the order given.
func layer(files []file) (v1.Layer, error) {
	var packed bytes.Buffer
	if err := writeTar(&packed, files); err != nil {
		return nil, err
	}
	open := func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(packed.Bytes())), nil }
	return tarball.LayerFromOpener(open, tarball.WithMediaType(types.OCILayer))
}

// writeTar writes nothing that differs between two machines: no time, no owner's name, no order of a map.
func writeTar(out io.Writer, files []file) error {
	archive := tar.NewWriter(out)
	made := map[string]bool{".": true}
	for _, file := range files {
		if err := writeDirectories(archive, path.Dir(file.name), made); err != nil {
			return err
		}
		header := &tar.Header{Typeflag: tar.TypeReg, Name: file.name, Mode: file.mode, Size: int64(len(file.content))}
		if err := archive.WriteHeader(header); err != nil {
			return fmt.Errorf("%s: %w", file.name, err)
		}
		if _, err := archive.Write(file.content); err != nil {
			return fmt.Errorf("%s: %w", file.name, err)
		}
	}
	return archive.Close()
}

func writeDirectories(archive *tar.Writer, dir string, made map[string]bool) error {
	if made[dir] {
		return nil
	}
	made[dir] = true
	if err := writeDirectories(archive, path.Dir(dir), made); err != nil {
		return err
	}
	return archive.WriteHeader(&tar.Header{Typeflag: tar.TypeDir, Name: dir + "/", Mode: 0o755})
}

// rootCertificates are those of Mozilla's trust store, as a file: the place where every TLS client looks, which an
// administrator can read, scan and mount over. They come from a Go module, so that go.sum pins them; the machine that
// builds has no say. A root that Mozilla trusts within limits only is left out: a file cannot express the limits.
func rootCertificates() ([]byte, error) {
	var roots bytes.Buffer
	for root := range bundle.Roots() {
		if root.Constraint != nil {
			continue
		}
		if err := pem.Encode(&roots, &pem.Block{Type: "CERTIFICATE", Bytes: root.Certificate}); err != nil {
			return nil, err
		}
	}
	if roots.Len() == 0 {
		return nil, errors.New("there is no root certificate without a constraint")
	}
	return roots.Bytes(), nil
}
