// Package journal keeps replies on disk from the moment they are read until they are stored in the cluster: the successor of a
// single-use refresh token exists in one reply only. One file holds one reply, encrypted; the file is there, with room on the disk,
// before the request is sent.
package journal

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// KeySize is the length of the key in bytes: AES-256.
const KeySize = 32

// extension of an entry's file; anything else in the directory is not ours.
const extension = ".reply"

// Journal is a directory of replies.
type Journal struct {
	disk    Disk
	dir     string
	aead    cipher.AEAD
	keyID   [8]byte  // identifies the key without revealing it
	bounded *bounded // nil: operations have no deadline
	lock    File     // of this process; nil: it has none
	catalog *catalog // of the files of replies
}

// Open uses the directory, which it creates if necessary, and gives every operation a deadline. All replicas share the
// key, so that each of them can read the entries of the others.
func Open(dir string, key []byte) (*Journal, error) {
	return OpenWithin(Bounds{After: time.After}, osDisk{}, dir, key)
}

// OpenWatched is Open with a function that is called when an operation on the disk begins. The function that it returns
// is called when the operation ends.
func OpenWatched(dir string, key []byte, watch func(Operation) (ended func())) (*Journal, error) {
	return OpenWithin(Bounds{After: time.After, Watch: watch}, osDisk{}, dir, key)
}

// OpenOn is Open on a disk other than the operating system's, without deadlines.
func OpenOn(disk Disk, dir string, key []byte) (*Journal, error) { return open(nil, disk, dir, key) }

// OpenWithin is Open on a disk other than the operating system's.
func OpenWithin(bounds Bounds, disk Disk, dir string, key []byte) (*Journal, error) {
	return open(&bounded{Bounds: bounds}, disk, dir, key)
}

func open(within *bounded, disk Disk, dir string, key []byte) (*Journal, error) {
	if len(key) != KeySize {
		return nil, fmt.Errorf("the journal's key has %d bytes, want %d", len(key), KeySize)
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	aead, err := cipher.NewGCM(block)
	if err != nil {
		return nil, err
	}
	j := &Journal{disk: disk, dir: dir, aead: aead, bounded: within, catalog: &catalog{files: map[string]replyFile{}}}
	if err := j.run(job{operation: Writing, work: func() error { return disk.MkdirAll(dir, 0o700) }}); err != nil {
		return nil, fmt.Errorf("journal: %w", err)
	}
	sum := sha256.Sum256(append([]byte("journal key "), key...))
	copy(j.keyID[:], sum[:])
	return j, nil
}

// Head says what a reply belongs to.
type Head struct {
	ID        string          `json:"id"` // of the claim
	Namespace string          `json:"namespace"`
	Name      string          `json:"name"`
	UID       string          `json:"uid"`
	Serial    int64           `json:"serial"`           // of the state that the claim was made in
	Claim     json.RawMessage `json:"claim"`            // all of the claim, for a state that does not hold it any more
	Boot      string          `json:"boot,omitempty"`   // of the machine, when the slot was made; Reserve sets it
	Started   time.Time       `json:"started,omitzero"` // when the exchange began; zero: an older version's
}

func (j *Journal) path(claim string) string { return filepath.Join(j.dir, claim+extension) }

// Find reads the reply of a claim. It returns fs.ErrNotExist where there is none, and a *Defect where it cannot be used.
func (j *Journal) Find(claim string) (*Entry, error) {
	if !isName(claim) {
		return nil, fs.ErrNotExist
	}
	entry, err := j.read(j.path(claim))
	if errors.Is(err, fs.ErrNotExist) {
		if missing := j.isMissing(); missing != nil {
			return nil, missing // the content of the directory is unknown
		}
	}
	return entry, err
}

// isMissing returns an error if the directory itself does not exist: its volume is not mounted.
func (j *Journal) isMissing() error {
	_, err := j.list()
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("journal: %w", syscall.ENOTDIR) // not fs.ErrNotExist, which means that there is no reply
	}
	return err
}

// list reads the directory.
func (j *Journal) list() ([]fs.DirEntry, error) {
	var found []fs.DirEntry
	err := j.run(job{operation: Reading, work: func() (err error) {
		found, err = j.disk.ReadDir(j.dir)
		return err
	}})
	if err != nil {
		return nil, fmt.Errorf("journal: %w", err)
	}
	return found, nil
}

// Scan reads every file. It returns the usable entries and the defects of the other files. With an error it still
// returns what could be read: one bad sector must not keep the other replies from being stored.
func (j *Journal) Scan() ([]*Entry, []*Defect, error) {
	before := j.catalog.claims()
	files, err := j.list()
	if err != nil {
		return nil, nil, err
	}
	j.reconcile(before, in(files))
	var entries []*Entry
	var defects []*Defect
	var unread []error
	for _, file := range files {
		if isOther(file.Name()) {
			continue
		}
		entry, err := j.read(filepath.Join(j.dir, file.Name()))
		var defect *Defect
		switch {
		case errors.As(err, &defect):
			defects = append(defects, defect)
			if defect.Head != nil {
				j.catalog.enter(*defect.Head, defect.size)
			}
		case errors.Is(err, fs.ErrNotExist): // another replica on the same volume was faster
		case err != nil:
			unread = append(unread, fmt.Errorf("journal: %w", err))
		default:
			entries = append(entries, entry)
			j.catalog.enter(entry.Head, entry.room)
		}
	}
	return entries, defects, errors.Join(unread...)
}

// in reports whether a directory holds the file of a claim.
func in(files []fs.DirEntry) func(claim string) bool {
	claims := map[string]bool{}
	for _, file := range files {
		if claim, ours := claimOf(file.Name()); ours {
			claims[claim] = true
		}
	}
	return func(claim string) bool { return claims[claim] }
}

// isOther reports whether a file belongs to the journal and is not a reply.
func isOther(name string) bool {
	_, isMark := markOf(name)
	_, isLock := lockOf(name)
	return isMark || isLock
}

// Len is how many files of replies there are: of replies that are not in the cluster yet, and of exchanges in flight.
func (j *Journal) Len() (int, error) {
	files, err := j.list()
	if err != nil {
		return 0, err
	}
	count := 0
	for _, file := range files {
		if _, ours := claimOf(file.Name()); ours {
			count++
		}
	}
	return count, nil
}

// Remove ends an entry whose reply is in the cluster. A missing entry is no error. If an operation hangs, the file is
// removed when the disk answers again.
func (j *Journal) Remove(claim string) error {
	err := j.run(job{operation: Removing, work: func() error { return j.remove(claim) }})
	if errors.Is(err, ErrHangs) {
		j.removeLater(claim)
	}
	return err
}

func (j *Journal) remove(claim string) error {
	if err := j.disk.Remove(j.path(claim)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("journal: %w", err)
	}
	j.catalog.leave(claim)
	return j.disk.SyncDir(j.dir)
}

// isName tells whether a claim's id can be a file's name; ids are hexadecimal.
func isName(claim string) bool {
	_, err := hex.DecodeString(claim)
	return err == nil && claim != ""
}

// claimOf is the claim that a file's name speaks of.
func claimOf(path string) (string, bool) {
	claim, ours := strings.CutSuffix(filepath.Base(path), extension)
	return claim, ours && isName(claim)
}
