package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"
)

// writeArchive writes an index as an OCI archive: the image layout of the OCI image specification as one tar file, which
// replaces an older one only when it is whole.
func writeArchive(path string, index v1.ImageIndex, imageName string) error {
	annotations, err := nameAnnotations(imageName)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	work, err := os.MkdirTemp(filepath.Dir(path), ".image-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(work) }()
	root := filepath.Join(work, "layout")
	described, err := layout.Write(root, empty.Index)
	if err != nil {
		return err
	}
	if err := described.AppendIndex(index, layout.WithAnnotations(annotations)); err != nil {
		return err
	}
	staged := filepath.Join(work, "archive")
	if err := pack(root, staged); err != nil {
		return err
	}
	return os.Rename(staged, path)
}

// nameAnnotations tell importers what to call the image: containerd by its whole name, others by its tag (OCI image
// specification, annotations).
func nameAnnotations(imageName string) (map[string]string, error) {
	tag, err := name.NewTag(imageName)
	if err != nil {
		return nil, fmt.Errorf("the image's name: %w", err)
	}
	whole := strings.Replace(tag.Name(), name.DefaultRegistry+"/", "docker.io/", 1)
	return map[string]string{
		"io.containerd.image.name":          whole,
		"org.opencontainers.image.ref.name": tag.TagStr(),
	}, nil
}

// pack writes the files of a directory, in the order of their names, as a tar file.
func pack(root, path string) error {
	var files []file
	err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		content, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		relative, err := filepath.Rel(root, path)
		files = append(files, file{name: filepath.ToSlash(relative), mode: 0o644, content: content})
		return err
	})
	if err != nil {
		return err
	}
	out, err := os.Create(path)
	if err != nil {
		return err
	}
	return errors.Join(writeTar(out, files), out.Close())
}
