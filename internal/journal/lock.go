package journal

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"
)

// A lock proves that a process is gone. Each process holds the lock of a file with its name while it lives, and the
// operating system releases it when the process ends, however it ends. The file holds the name of the machine's boot,
// written after the lock was taken. A free lock proves something only about a process of this boot, since two machines
// can see one directory.
const lockExtension = ".lock"

// locksKept bounds the number of locks of processes that are gone. A claim can refer to each of them.
const locksKept = 16

func (j *Journal) lockPath(process string) string { return filepath.Join(j.dir, process+lockExtension) }

// Hold takes the lock of this process, until the process ends or Release is called, and removes old locks of others.
// Without a lock, other processes wait until everything that this process began must have ended.
func (j *Journal) Hold(process string) error {
	boot := j.disk.BootID()
	if !isName(process) || boot == "" {
		return errors.New("journal: this process or this boot of the machine has no name to lock")
	}
	var held File
	err := j.run(job{
		operation: Writing,
		work: func() (err error) {
			if held, err = j.disk.Lock(j.lockPath(process)); err != nil {
				return err
			}
			if _, err := held.WriteAt([]byte(boot), 0); err != nil {
				return errors.Join(err, held.Close())
			}
			return nil
		},
		late: func(err error) {
			if err == nil {
				_ = held.Close()
			}
		},
	})
	if err != nil {
		return fmt.Errorf("journal: %w", err)
	}
	j.lock = held
	_ = j.sweepLocks(process) // the lock is held whether or not old ones are left; the next process sweeps them
	return nil
}

// Release releases the lock of this process, which does nothing more that a claim could protect.
func (j *Journal) Release() error {
	if j.lock == nil {
		return nil
	}
	return j.lock.Close()
}

// IsGone reports whether a process is proven to have ended. False means that it may still be running.
func (j *Journal) IsGone(process string) bool {
	if !isName(process) {
		return false
	}
	boot := j.disk.BootID()
	content, isFile, err := j.content(j.lockPath(process), func(size int64) bool {
		return boot != "" && size == int64(len(boot))
	})
	if err != nil || !isFile || string(content) != boot {
		return false
	}
	free, err := j.isUnlocked(j.lockPath(process))
	return err == nil && free
}

func (j *Journal) isUnlocked(path string) (bool, error) {
	var free bool
	err := j.run(job{operation: Reading, work: func() (err error) {
		free, err = j.disk.IsUnlocked(path)
		return err
	}})
	if err != nil {
		return false, err
	}
	return free, nil
}

// sweepLocks removes the oldest locks of processes that are gone, or whose machine was restarted since.
func (j *Journal) sweepLocks(own string) error {
	files, err := j.list()
	if err != nil {
		return err
	}
	var old []fs.FileInfo
	for _, file := range files {
		process, isLock := lockOf(file.Name())
		if !isLock || process == own {
			continue
		}
		if info, err := file.Info(); err == nil {
			old = append(old, info)
		}
	}
	slices.SortFunc(old, func(a, b fs.FileInfo) int {
		return cmp.Or(b.ModTime().Compare(a.ModTime()), cmp.Compare(a.Name(), b.Name()))
	})
	for _, info := range old[min(locksKept, len(old)):] {
		path := filepath.Join(j.dir, info.Name())
		free, err := j.isUnlocked(path)
		if err != nil || !free {
			continue
		}
		if err := j.run(job{operation: Removing, work: func() error { return j.disk.Remove(path) }}); err != nil {
			return fmt.Errorf("journal: %w", err)
		}
	}
	return nil
}

// lockOf returns the process whose lock has the file name.
func lockOf(name string) (string, bool) {
	process, ours := strings.CutSuffix(name, lockExtension)
	return process, ours && isName(process)
}
