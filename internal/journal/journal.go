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
)

// KeySize is the length of the key in bytes: AES-256.
const KeySize = 32

// extension of an entry's file; anything else in the directory is not ours.
const extension = ".reply"

// Journal is a directory of replies.
type Journal struct {
	disk  Disk
	dir   string
	aead  cipher.AEAD
	keyID [8]byte // names the key without telling it
}

// Open uses the directory, which it makes if need be. The key is shared by all replicas, so that whoever has the file can read it.
func Open(dir string, key []byte) (*Journal, error) { return OpenOn(osDisk{}, dir, key) }

// OpenOn is Open on another disk than the operating system's.
func OpenOn(disk Disk, dir string, key []byte) (*Journal, error) {
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
	if err := disk.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("journal: %w", err)
	}
	j := &Journal{disk: disk, dir: dir, aead: aead}
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
	Serial    int64           `json:"serial"`         // of the state that the claim was made in
	Claim     json.RawMessage `json:"claim"`          // all of the claim, for a state that does not hold it any more
	Boot      string          `json:"boot,omitempty"` // of the machine, when the slot was made; Reserve sets it
}

func (j *Journal) path(claim string) string { return filepath.Join(j.dir, claim+extension) }

// Find reads the reply of a claim. It returns fs.ErrNotExist where there is none, and a *Defect where it cannot be used.
func (j *Journal) Find(claim string) (*Entry, error) {
	if !isName(claim) {
		return nil, fs.ErrNotExist
	}
	return j.read(j.path(claim))
}

// Scan looks at every file: the entries that can be used, and what is wrong with the others.
func (j *Journal) Scan() ([]*Entry, []*Defect, error) {
	files, err := j.disk.ReadDir(j.dir)
	if err != nil {
		return nil, nil, fmt.Errorf("journal: %w", err)
	}
	var entries []*Entry
	var defects []*Defect
	for _, file := range files {
		if _, isMark := markOf(file.Name()); isMark {
			continue
		}
		entry, err := j.read(filepath.Join(j.dir, file.Name()))
		var defect *Defect
		switch {
		case errors.As(err, &defect):
			defects = append(defects, defect)
		case errors.Is(err, fs.ErrNotExist): // another replica on the same volume was faster
		case err != nil:
			return nil, nil, fmt.Errorf("journal: %w", err)
		default:
			entries = append(entries, entry)
		}
	}
	return entries, defects, nil
}

// Len is how many files of replies there are: of replies that are not in the cluster yet, and of exchanges in flight.
func (j *Journal) Len() (int, error) {
	files, err := j.disk.ReadDir(j.dir)
	if err != nil {
		return 0, fmt.Errorf("journal: %w", err)
	}
	count := 0
	for _, file := range files {
		if _, ours := claimOf(file.Name()); ours {
			count++
		}
	}
	return count, nil
}

// Remove ends an entry: its reply is in the cluster. It is no error where there is none.
func (j *Journal) Remove(claim string) error {
	if err := j.disk.Remove(j.path(claim)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("journal: %w", err)
	}
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
