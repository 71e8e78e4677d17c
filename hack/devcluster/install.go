package main

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

// install puts binary into dir under every program's name, each by one rename, and stamps dir with want last. The old
// stamp goes first: programs of two builds must not pass for either.
func (s set) install(binary, dir, want string) error {
	stamp := filepath.Join(dir, s.stamp)
	if err := os.Remove(stamp); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	work := filepath.Dir(binary)
	for _, name := range s.programs {
		staged := filepath.Join(work, name)
		if err := linkOrCopy(binary, staged); err != nil {
			return err
		}
		if err := os.Rename(staged, filepath.Join(dir, name)); err != nil {
			return err
		}
	}
	staged := filepath.Join(work, s.stamp)
	if err := os.WriteFile(staged, []byte(want), 0o644); err != nil {
		return err
	}
	return os.Rename(staged, stamp)
}

// linkOrCopy saves the space of a copy where the file system has hard links.
func linkOrCopy(from, to string) error {
	if err := os.Link(from, to); err == nil {
		return nil
	}
	source, err := os.Open(from)
	if err != nil {
		return err
	}
	defer func() { _ = source.Close() }()
	target, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o755)
	if err != nil {
		return err
	}
	_, err = io.Copy(target, source)
	return errors.Join(err, target.Close())
}
