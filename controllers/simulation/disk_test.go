package simulation

import (
	"context"
	"io/fs"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/fluent-credential/operator/internal/journal"
)

// disk is the volume of one replica: what was written and not synced is lost with the power, and not with the process.
type disk struct {
	*platter
	replica *replica
	life    int
	quiet   bool         // the oracle looks
	pending []*operation // in progress
}

// operation is one on a file, which is named by its claim if it is one of a reply.
type operation struct {
	begun time.Duration
	file  string
}

// platter is what all lives of a replica share.
type platter struct {
	now     []*file // in the order of creation: identifiers are random, and must not decide anything
	durable []*file
	boots   int
}

// of is the disk as one life sees it.
func (d *disk) of(life int) *disk { return &disk{platter: d.platter, replica: d.replica, life: life} }

// file is a file and what of it is on the platter. Zeros at its end are not kept: they are only counted.
type file struct {
	name    string
	content []byte
	size    int
	synced  []byte
	hasSize bool // the size is synced
	written time.Duration
	holder  int // of a lock: the life that took it
}

// effect hands over and fails where the dice say so.
func (d *disk) effect(label, path string, ways ...error) error {
	w := d.replica.world
	if d.quiet || w.deciding.Load() {
		return nil
	}
	file := strings.TrimSuffix(filepath.Base(path), ".reply")
	isLong := d.waits(label, file) >= hanging
	if isLong && !strings.HasPrefix(label, "write") && !strings.HasPrefix(label, "sync") {
		d.failed(label, file) // it may have been given up
	}
	if err := w.sufferDisk(d, label, file); err != nil {
		return err
	}
	w.oracle.sealed(file)
	if len(ways) > 0 {
		if pick := w.dice.choose("disk", len(ways)); pick != 0 {
			w.tell("disk %s !! %v", label, ways[pick-1])
			d.failed(label, file)
			return ways[pick-1]
		}
	}
	if strings.HasPrefix(label, "mark ") {
		delete(w.oracle.unmarked, marked{d.replica.writer(), file})
	}
	return nil
}

// waits waits for the disk, and returns how long it took.
func (d *disk) waits(label, file string) time.Duration {
	w := d.replica.world
	begun := w.now()
	defer d.begin(file)()
	w.step(context.Background(), w.current(d.replica, d.life), "disk "+label)
	return w.now() - begun
}

// begin records an operation that is in progress until the returned function is called.
func (d *disk) begin(file string) (end func()) {
	w := d.replica.world
	under := &operation{begun: w.now(), file: file}
	w.mu.Lock()
	defer w.mu.Unlock()
	d.pending = append(d.pending, under)
	return func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		at := slices.Index(d.pending, under)
		d.pending = slices.Delete(d.pending, at, at+1)
	}
}

// hanging is after how long the operator may give up an operation on the disk.
const hanging = 2 * time.Second

// isAtWork reports whether an operation on a file is in progress.
func (d *disk) isAtWork(file string) bool {
	w := d.replica.world
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.ContainsFunc(d.pending, func(o *operation) bool { return o.file == file })
}

// failed: nothing is promised of a mark, nor of a lock.
func (d *disk) failed(label, file string) {
	switch {
	case strings.HasPrefix(label, "lock "):
	case strings.HasPrefix(label, "mark "):
		d.replica.world.oracle.unmarked[marked{d.replica.writer(), file}] = true
	default:
		d.replica.world.oracle.diskFailed(label, file)
	}
}

const markExtension = ".serial"

// labelOf names an effect on a file.
func labelOf(path, what string) string {
	switch {
	case strings.HasSuffix(path, markExtension):
		return "mark " + what
	case strings.HasSuffix(path, lockExtension):
		return "lock " + what
	}
	return what
}

func (d *disk) find(path string) *file { return findFile(d.now, path) }

func findFile(files []*file, path string) *file {
	for _, f := range files {
		if f.name == filepath.Base(path) {
			return f
		}
	}
	return nil
}

func (d *disk) MkdirAll(string, fs.FileMode) error { return nil }

func (d *disk) Create(path string) (journal.File, error) {
	if err := d.effect("create", path, syscall.ENOSPC, syscall.EROFS); err != nil {
		return nil, &fs.PathError{Op: "open", Path: path, Err: err}
	}
	made := &file{name: filepath.Base(path), written: d.replica.world.now()}
	d.now = append(d.now, made)
	return &handle{disk: d, file: made}, nil
}

// Open finds or makes a mark.
func (d *disk) Open(path string) (journal.File, error) {
	if err := d.effect(labelOf(path, "open"), path, syscall.ENOSPC, syscall.EROFS); err != nil {
		return nil, &fs.PathError{Op: "open", Path: path, Err: err}
	}
	found := d.find(path)
	if found == nil {
		found = &file{name: filepath.Base(path)}
		d.now = append(d.now, found)
	}
	return &handle{disk: d, file: found}, nil
}

func (d *disk) Lstat(path string) (fs.FileInfo, error) {
	if found := d.find(path); found != nil {
		return found, nil
	}
	return nil, &fs.PathError{Op: "lstat", Path: path, Err: fs.ErrNotExist}
}

func (d *disk) ReadFile(path string) ([]byte, error) {
	if err := d.effect(labelOf(path, "read"), path, syscall.EIO); err != nil {
		return nil, &fs.PathError{Op: "read", Path: path, Err: err}
	}
	found := d.find(path)
	if found == nil {
		return nil, &fs.PathError{Op: "read", Path: path, Err: fs.ErrNotExist}
	}
	zeros := min(max(0, found.size-len(found.content)), 64) // enough to be seen
	return append(slices.Clone(found.content), make([]byte, zeros)...), nil
}

func (d *disk) ReadDir(string) ([]fs.DirEntry, error) {
	if err := d.effect("scan", ""); err != nil {
		return nil, err
	}
	entries := make([]fs.DirEntry, len(d.now))
	for i, f := range d.now {
		entries[i] = fs.FileInfoToDirEntry(f)
	}
	return entries, nil
}

func (d *disk) Remove(path string) error {
	if err := d.effect(labelOf(path, "remove"), path); err != nil {
		return err
	}
	found := d.find(path)
	if found == nil {
		return &fs.PathError{Op: "remove", Path: path, Err: fs.ErrNotExist}
	}
	d.replica.world.oracle.removing(d, strings.TrimSuffix(found.name, ".reply"))
	d.now = slices.DeleteFunc(d.now, func(f *file) bool { return f == found })
	return nil
}

// SyncDir makes creations and removals durable.
func (d *disk) SyncDir(string) error {
	if err := d.effect("sync directory", ""); err != nil {
		return err
	}
	d.durable = slices.Clone(d.now)
	return nil
}

// losePower takes everything back to what was synced.
func (d *disk) losePower() {
	d.boots++
	d.now = slices.Clone(d.durable)
	for _, f := range d.now {
		f.content = slices.Clone(f.synced)
		if !f.hasSize {
			f.size = len(f.content)
		}
	}
}

const lockExtension = ".lock"

// Lock takes the lock of a process, which is gone with its life.
func (d *disk) Lock(path string) (journal.File, error) {
	if err := d.effect(labelOf(path, "lock"), path, syscall.EROFS); err != nil {
		return nil, &fs.PathError{Op: "open", Path: path, Err: err}
	}
	made := &file{name: filepath.Base(path), written: d.replica.world.now(), holder: d.replica.life}
	d.now = append(d.now, made)
	return &handle{disk: d, file: made}, nil
}

// IsUnlocked reports whether the life that took a lock is over.
func (d *disk) IsUnlocked(path string) (bool, error) {
	if err := d.effect(labelOf(path, "unlocked"), path); err != nil {
		return false, &fs.PathError{Op: "flock", Path: path, Err: err}
	}
	found := d.find(path)
	if found == nil {
		return false, &fs.PathError{Op: "open", Path: path, Err: fs.ErrNotExist}
	}
	return found.holder != d.replica.life || d.replica.dead, nil
}

func (d *disk) BootID() string { return strconv.Itoa(d.boots) }

func (d *disk) wipe() { d.now, d.durable = nil, nil }

func (f *file) isReply() bool { return strings.HasSuffix(f.name, ".reply") }

func (f *file) Name() string       { return f.name }
func (f *file) Size() int64        { return int64(f.size) }
func (f *file) Mode() fs.FileMode  { return 0o600 }
func (f *file) ModTime() time.Time { return start.Add(f.written) }
func (f *file) IsDir() bool        { return false }
func (f *file) Sys() any           { return nil }

// handle is an open file.
type handle struct {
	disk *disk
	file *file
}

// Allocate takes the room that a slot reserves.
func (h *handle) Allocate(size int64) error {
	if err := h.disk.effect("reserve", h.file.name, syscall.ENOSPC); err != nil {
		return &fs.PathError{Op: "fallocate", Path: h.file.name, Err: err}
	}
	h.file.size += int(size)
	return nil
}

// Truncate gives room back. What was synced stays.
func (h *handle) Truncate(size int64) error {
	if err := h.disk.effect(labelOf(h.file.name, "truncate"), h.file.name, syscall.EIO); err != nil {
		return &fs.PathError{Op: "truncate", Path: h.file.name, Err: err}
	}
	h.file.size = int(size)
	h.file.content = h.file.content[:min(len(h.file.content), int(size))]
	return nil
}

func (h *handle) WriteAt(part []byte, offset int64) (int, error) {
	if err := h.disk.effect(labelOf(h.file.name, "write"), h.file.name, syscall.EIO); err != nil {
		return 0, &fs.PathError{Op: "write", Path: h.file.name, Err: err}
	}
	if missing := int(offset) + len(part) - len(h.file.content); missing > 0 {
		h.file.content = append(h.file.content, make([]byte, missing)...)
	}
	h.file.content = slices.Clone(h.file.content) // what was synced stays as it was
	copy(h.file.content[offset:], part)
	h.file.size = max(h.file.size, len(h.file.content))
	h.file.written = h.disk.replica.world.now()
	return len(part), nil
}

func (h *handle) Sync() error {
	if err := h.disk.effect("sync", h.file.name, syscall.EIO); err != nil {
		return &fs.PathError{Op: "sync", Path: h.file.name, Err: err}
	}
	h.file.synced, h.file.hasSize = slices.Clone(h.file.content), true
	return nil
}

func (h *handle) Close() error { return nil }
