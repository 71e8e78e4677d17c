package journal

import (
	"bytes"
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"path/filepath"
	"strconv"
	"strings"
)

// A mark is the highest serial that was seen of one credential. It is kept beside the replies because whatever puts the cluster back
// as it was, puts back everything in it that could tell. One file holds one mark, of a fixed width, so that a single write replaces
// it. Nothing rests on a mark being there: it is not synced, and one that is torn or lost is none.
const (
	markExtension = ".serial"
	markFormat    = "%019d %08x\n" // the serial and the checksum: any int64 has room
	markSize      = 19 + 1 + 8 + 1
)

func (j *Journal) markPath(uid string) string { return filepath.Join(j.dir, uid+markExtension) }

// Mark notes the serial of a credential, over the one that was noted before.
func (j *Journal) Mark(uid string, serial int64) error {
	if !isUID(uid) || serial < 0 {
		return errors.New("journal: not a mark")
	}
	err := j.run(job{operation: Writing, work: func() error {
		file, err := j.disk.Open(j.markPath(uid))
		if err != nil {
			return err
		}
		_, err = file.WriteAt(markContent(uid, serial), 0)
		return errors.Join(err, file.Close())
	}})
	if err != nil {
		return fmt.Errorf("journal: %w", err)
	}
	return nil
}

// Marked is the serial that was noted last; zero where there is none, or none that can be read.
func (j *Journal) Marked(uid string) int64 {
	if !isUID(uid) {
		return 0
	}
	content, isFile, err := j.content(j.markPath(uid), func(size int64) bool { return size == markSize })
	if err != nil || !isFile {
		return 0
	}
	digits, _, _ := strings.Cut(string(content), " ")
	serial, err := strconv.ParseInt(digits, 10, 64)
	if err != nil || !bytes.Equal(content, markContent(uid, serial)) {
		return 0
	}
	return serial
}

// Unmark forgets the mark of a credential. It is no error where there is none.
func (j *Journal) Unmark(uid string) error {
	if !isUID(uid) {
		return nil
	}
	err := j.run(job{operation: Removing, work: func() error { return j.disk.Remove(j.markPath(uid)) }})
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("journal: %w", err)
	}
	return nil
}

// Marks are the UIDs of the credentials that have a mark.
func (j *Journal) Marks() ([]string, error) {
	files, err := j.list()
	if err != nil {
		return nil, err
	}
	var uids []string
	for _, file := range files {
		if uid, ours := markOf(file.Name()); ours {
			uids = append(uids, uid)
		}
	}
	return uids, nil
}

// markContent has a checksum that is over the UID too: a mark under another name is nobody's.
func markContent(uid string, serial int64) []byte {
	return fmt.Appendf(nil, markFormat, serial, crc32.ChecksumIEEE(fmt.Appendf(nil, "%s %d", uid, serial)))
}

// markOf is the credential that a file's name speaks of.
func markOf(name string) (string, bool) {
	uid, ours := strings.CutSuffix(name, markExtension)
	return uid, ours && isUID(uid)
}

// isUID tells whether an object's UID can be a file's name: Kubernetes gives UUIDs.
func isUID(uid string) bool {
	isOther := func(c rune) bool {
		return c != '-' && (c < '0' || c > '9') && (c < 'a' || c > 'z') && (c < 'A' || c > 'Z')
	}
	return uid != "" && len(uid) <= 128 && !strings.ContainsFunc(uid, isOther)
}
