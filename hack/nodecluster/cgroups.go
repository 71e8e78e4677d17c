//go:build linux

package nodecluster

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"
)

// cgroupRoot is where cgroups are mounted: version 2 as a whole, or the hierarchies of version 1, each in a directory.
const cgroupRoot = "/sys/fs/cgroup"

// How long the kernel may take to end the last processes of a node, and how often to look.
const (
	dyingPatience = 10 * time.Second
	dyingPause    = 50 * time.Millisecond
)

// hierarchies are the directories in which a cgroup of the node has to be made. Where those of version 1 are in use, there
// may be an empty one of version 2 beside them, which runc uses too.
func hierarchies() ([]string, error) {
	mounts, err := os.ReadFile("/proc/self/mounts")
	if err != nil {
		return nil, err
	}
	var found []string
	for line := range strings.Lines(string(mounts)) {
		fields := strings.Fields(line)
		if len(fields) < 3 || fields[2] != "cgroup" && fields[2] != "cgroup2" {
			continue
		}
		if path := fields[1]; path == cgroupRoot || filepath.Dir(path) == cgroupRoot {
			found = append(found, path)
		}
	}
	if len(found) == 0 {
		return nil, fmt.Errorf("no cgroups are mounted in %s", cgroupRoot)
	}
	return found, nil
}

// makeCgroups makes the cgroup that kubelet puts those of the pods into.
func makeCgroups(id string) error {
	roots, err := hierarchies()
	if err != nil {
		return err
	}
	for _, root := range roots {
		if err := os.Mkdir(filepath.Join(root, id), 0o755); err != nil {
			return fmt.Errorf("a cgroup cannot be made: %w", err)
		}
	}
	return nil
}

// removeCgroups removes the node's cgroups, whose processes are dead or dying. It may be called again.
func removeCgroups(id string) error {
	roots, err := hierarchies()
	if err != nil {
		return err
	}
	var errs []error
	for _, root := range roots {
		errs = append(errs, removeCgroup(filepath.Join(root, id)))
	}
	return errors.Join(errs...)
}

// removeCgroup removes a cgroup and those below it, the lowest first: a cgroup that has children cannot go, nor can its
// files be removed.
func removeCgroup(path string) error {
	var found []string
	err := filepath.WalkDir(path, func(path string, entry fs.DirEntry, err error) error {
		if err == nil && entry.IsDir() {
			found = append(found, path)
		}
		return err
	})
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	for _, cgroup := range slices.Backward(found) {
		if err := removeEmptied(cgroup); err != nil {
			return err
		}
	}
	return nil
}

// removeEmptied waits for the last processes of a cgroup to be gone.
func removeEmptied(cgroup string) error {
	for deadline := time.Now().Add(dyingPatience); ; time.Sleep(dyingPause) {
		err := syscall.Rmdir(cgroup)
		if err == nil || errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if !errors.Is(err, syscall.EBUSY) || time.Now().After(deadline) {
			return fmt.Errorf("%s cannot be removed: %w", cgroup, err)
		}
	}
}
