package journal

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
	"sync"
)

// Disk is the file system that holds the files: the operating system's, but for a simulation, which loses what was not synced. Its
// methods are the functions of package os.
type Disk interface {
	// MkdirAll makes a directory and those above it.
	MkdirAll(dir string, mode fs.FileMode) error
	// Create makes a file; it fails where one is there.
	Create(path string) (File, error)
	// Open opens a file to write to, as it is, and makes it where there is none.
	Open(path string) (File, error)
	// Lstat describes a file, and follows no link.
	Lstat(path string) (fs.FileInfo, error)
	// ReadFile reads a whole file.
	ReadFile(path string) ([]byte, error)
	// ReadDir lists a directory.
	ReadDir(dir string) ([]fs.DirEntry, error)
	// Remove removes a file.
	Remove(path string) error
	// SyncDir makes durable which files a directory holds.
	SyncDir(dir string) error
	// Lock takes the lock of a file that it creates; the file must not exist. The lock ends with the file's Close or
	// with the process. Lock fails with errors.ErrUnsupported if the end of a lock would not prove the end of the
	// process: on a network file system a lock can be lost.
	Lock(path string) (File, error)
	// IsUnlocked reports whether no living process holds the lock of a file.
	IsUnlocked(path string) (bool, error)
	// BootID changes whenever what was written and not synced may be lost; empty where that is not known.
	BootID() string
}

// File is an open file of a Disk.
type File interface {
	io.Closer
	io.WriterAt
	// Allocate reserves that many bytes of the disk, which read as zeros. It fails if there is no space for them.
	Allocate(size int64) error
	// Truncate cuts the file to that many bytes, and gives the others back to the disk.
	Truncate(size int64) error
	// Sync makes durable what was written.
	Sync() error
}

// OS returns the operating system's disk.
func OS() Disk { return osDisk{} }

type osDisk struct{}

func (osDisk) MkdirAll(dir string, mode fs.FileMode) error { return os.MkdirAll(dir, mode) }

func (osDisk) Create(path string) (File, error) {
	file, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	return osFile{file}, nil
}

func (osDisk) Open(path string) (File, error) {
	file, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	return osFile{file}, nil
}

// Lock keeps no file open for writing: a file system with one cannot be made read-only.
func (d osDisk) Lock(path string) (File, error) {
	file, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_RDONLY, 0o600)
	if err != nil {
		return nil, err
	}
	if err := lock(file); err != nil {
		_ = file.Close()
		_ = d.Remove(path)
		return nil, err
	}
	return lockedFile{osFile{file}}, nil
}

// lockedFile is open for reading as long as its lock is held.
type lockedFile struct{ osFile }

// WriteAt opens the file for writing for this one write.
func (f lockedFile) WriteAt(content []byte, at int64) (int, error) {
	file, err := os.OpenFile(f.Name(), os.O_WRONLY, 0)
	if err != nil {
		return 0, err
	}
	n, err := file.WriteAt(content, at)
	return n, errors.Join(err, file.Close())
}

func (osDisk) IsUnlocked(path string) (bool, error) {
	file, err := os.Open(path)
	if err != nil {
		return false, err
	}
	defer func() { _ = file.Close() }()
	return isUnlocked(file)
}

type osFile struct{ *os.File }

// Allocate reserves blocks if the file system can, and writes zeros otherwise.
func (f osFile) Allocate(size int64) error {
	err := allocate(f.File, size)
	if !errors.Is(err, errors.ErrUnsupported) {
		return err
	}
	for at := int64(0); at < size; at += int64(len(zeros)) {
		if _, err := f.WriteAt(zeros[:min(int64(len(zeros)), size-at)], at); err != nil {
			return err
		}
	}
	return nil
}

var zeros [64 << 10]byte

func (osDisk) Lstat(path string) (fs.FileInfo, error) { return os.Lstat(path) }

func (osDisk) ReadFile(path string) ([]byte, error) { return os.ReadFile(path) }

func (osDisk) ReadDir(dir string) ([]fs.DirEntry, error) { return os.ReadDir(dir) }

func (osDisk) Remove(path string) error { return os.Remove(path) }

// BootID is Linux's own name of this boot (random(4)).
func (osDisk) BootID() string { return bootID() }

// bootID is read once: no process outlives its boot.
var bootID = sync.OnceValue(func() string {
	id, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(id))
})

func (osDisk) SyncDir(dir string) error {
	handle, err := os.Open(dir)
	if err != nil {
		return fmt.Errorf("journal: %w", err)
	}
	defer func() { _ = handle.Close() }()
	if err := handle.Sync(); err != nil {
		return fmt.Errorf("journal: %w", err)
	}
	return nil
}
