//go:build linux

package nodecluster

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"time"
)

// Root is the directory in which every node has one of its own. It has to be a file system of a disk: images are unpacked
// there.
const Root = "/var/tmp/fluent-node"

// prefix is what the names of nodes begin with, in Root and among the cgroups.
const prefix = "fluent-node-"

// newDir makes a directory for a node, and locks it for as long as this process lives.
func newDir() (string, *os.File, error) {
	if err := os.MkdirAll(Root, 0o755); err != nil {
		return "", nil, err
	}
	dir, err := os.MkdirTemp(Root, prefix)
	if err != nil {
		return "", nil, err
	}
	if err := os.Chmod(dir, 0o755); err != nil { // what runs in pods as somebody else has to come through
		return "", nil, err
	}
	lock, err := lockDir(dir)
	return dir, lock, err
}

// lockDir fails where a living process has the lock. The kernel takes it away from a dead one.
func lockDir(dir string) (*os.File, error) {
	lock, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		return nil, errors.Join(fmt.Errorf("%s is in use: %w", dir, err), lock.Close())
	}
	return lock, nil
}

// RemoveDead removes what is left of nodes whose program was killed before it could do so. Nodes that live are left alone.
func RemoveDead() error {
	dirs, err := filepath.Glob(filepath.Join(Root, prefix+"*"))
	if err != nil {
		return err
	}
	var errs []error
	for _, dir := range dirs {
		lock, err := lockDir(dir)
		if err != nil {
			continue // it lives
		}
		errs = append(errs, removeCgroups(filepath.Base(dir)), removeDir(dir), lock.Close())
	}
	removeRoot()
	return errors.Join(errs...)
}

// removeDir removes a directory into which the last of a dead node's programs may still be writing.
func removeDir(dir string) error {
	for deadline := time.Now().Add(dyingPatience); ; time.Sleep(dyingPause) {
		err := os.RemoveAll(dir)
		if err == nil || time.Now().After(deadline) {
			return err
		}
	}
}

// Living lists the directories of nodes that run.
func Living() ([]string, error) {
	dirs, err := filepath.Glob(filepath.Join(Root, prefix+"*"))
	if err != nil {
		return nil, err
	}
	var living []string
	for _, dir := range dirs {
		lock, err := lockDir(dir)
		switch {
		case errors.Is(err, fs.ErrNotExist):
		case err != nil:
			living = append(living, dir)
		default:
			_ = lock.Close()
		}
	}
	return living, nil
}

// removeRoot removes Root if the last node is gone.
func removeRoot() { _ = os.Remove(Root) }
