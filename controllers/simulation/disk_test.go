package simulation

import (
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
	quiet   bool            // the oracle looks
	pending []time.Duration // when the operations in progress began
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
func (d *disk) effect(label string, ways ...error) error {
	w := d.replica.world
	if d.quiet || w.deciding.Load() {
		return nil
	}
	if d.waits(label) >= hanging {
		d.failed(label) // it may have been given up
	}
	if err := w.sufferDisk(d, label); err != nil {
		return err
	}
	if len(ways) > 0 {
		if pick := w.dice.choose("disk", len(ways)); pick != 0 {
			w.tell("disk %s !! %v", label, ways[pick-1])
			d.failed(label)
			return ways[pick-1]
		}
	}
	return nil
}

// waits waits for the disk, and returns how long it took.
func (d *disk) waits(label string) time.Duration {
	w := d.replica.world
	begun := w.now()
	w.mu.Lock()
	d.pending = append(d.pending, begun)
	w.mu.Unlock()
	defer func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		at := slices.Index(d.pending, begun)
		d.pending = slices.Delete(d.pending, at, at+1)
	}()
	w.step(w.current(d.replica, d.life), "disk "+label, nil)
	return w.now() - begun
}

// hanging is after how long the operator may give up an operation on the disk.
const hanging = 2 * time.Second

// hangs reports whether an operation of this life may have been given up.
func (d *disk) hangs() bool {
	w := d.replica.world
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.ContainsFunc(d.pending, func(begun time.Duration) bool { return w.now()-begun >= hanging })
}

// failed: nothing is promised of a mark, nor of a lock.
func (d *disk) failed(label string) {
	switch {
	case strings.HasPrefix(label, "lock "):
	case strings.HasPrefix(label, "mark "):
		d.replica.world.oracle.unmarked[d.replica.writer()] = true
	default:
		d.replica.world.oracle.diskFailed(d.replica)
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
	if err := d.effect("create", syscall.ENOSPC, syscall.EROFS); err != nil {
		return nil, &fs.PathError{Op: "open", Path: path, Err: err}
	}
	made := &file{name: filepath.Base(path), written: d.replica.world.now()}
	d.now = append(d.now, made)
	return &handle{disk: d, file: made}, nil
}

// Open finds or makes a mark.
func (d *disk) Open(path string) (journal.File, error) {
	if err := d.effect(labelOf(path, "open"), syscall.ENOSPC, syscall.EROFS); err != nil {
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
	if err := d.effect(labelOf(path, "read"), syscall.EIO); err != nil {
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
	if err := d.effect("scan"); err != nil {
		return nil, err
	}
	entries := make([]fs.DirEntry, len(d.now))
	for i, f := range d.now {
		entries[i] = fs.FileInfoToDirEntry(f)
	}
	return entries, nil
}

func (d *disk) Remove(path string) error {
	if err := d.effect(labelOf(path, "remove")); err != nil {
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
	if err := d.effect("sync directory"); err != nil {
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
	if err := d.effect(labelOf(path, "lock"), syscall.EROFS); err != nil {
		return nil, &fs.PathError{Op: "open", Path: path, Err: err}
	}
	made := &file{name: filepath.Base(path), written: d.replica.world.now(), holder: d.replica.life}
	d.now = append(d.now, made)
	return &handle{disk: d, file: made}, nil
}

// IsUnlocked reports whether the life that took a lock is over.
func (d *disk) IsUnlocked(path string) (bool, error) {
	if err := d.effect(labelOf(path, "unlocked")); err != nil {
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
	if err := h.disk.effect("reserve", syscall.ENOSPC); err != nil {
		return &fs.PathError{Op: "fallocate", Path: h.file.name, Err: err}
	}
	h.file.size += int(size)
	return nil
}

// Truncate gives room back. What was synced stays.
func (h *handle) Truncate(size int64) error {
	if err := h.disk.effect(labelOf(h.file.name, "truncate"), syscall.EIO); err != nil {
		return &fs.PathError{Op: "truncate", Path: h.file.name, Err: err}
	}
	h.file.size = int(size)
	h.file.content = h.file.content[:min(len(h.file.content), int(size))]
	return nil
}

func (h *handle) WriteAt(part []byte, offset int64) (int, error) {
	if err := h.disk.effect(labelOf(h.file.name, "write"), syscall.EIO); err != nil {
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
	if err := h.disk.effect("sync", syscall.EIO); err != nil {
		return &fs.PathError{Op: "sync", Path: h.file.name, Err: err}
	}
	h.file.synced, h.file.hasSize = slices.Clone(h.file.content), true
	return nil
}

func (h *handle) Close() error { return nil }
