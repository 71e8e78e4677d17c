package journal

import (
	"bytes"
	"encoding/binary"
	"encoding/json"

	"github.com/fluent-credential/operator/internal/token"
)

// Entry is a whole reply that was written down.
type Entry struct {
	Head
	// Reply is what was read from the connection, byte for byte.
	Reply token.Secret

	unsent bool
	size   int64 // of what was written
	room   int64 // of the file
}

// Defect is a file that cannot be used, and why. Its reply counts as lost.
type Defect struct {
	Path  string
	Claim string // that the file's name speaks of; empty where it speaks of none
	Kind  DefectKind
	// Head is that of an Unsealed file, whose beginning can be read.
	Head *Head
	// Unsent is true where an Unsealed file proves that its request was not sent.
	Unsent bool

	size int64 // of the file
}

// DefectKind says why a file cannot be used.
type DefectKind string

// The kinds of defects.
const (
	Foreign  DefectKind = "foreign"  // not written by a journal
	OtherKey DefectKind = "otherkey" // written under a key that is not ours
	Unsealed DefectKind = "unsealed" // the reply was not there, or not whole, when the process ended
	Unbegun  DefectKind = "unbegun"  // the process ended while it made the file, before the claim
	Damaged  DefectKind = "damaged"  // bytes were changed, or are missing
)

func (d *Defect) Error() string { return "journal entry is " + string(d.Kind) }

// most bounds what is read of a file: more than a slot has room for was not written by one.
const most = 2 * Room

// content returns the content of a file of at most that size, or nothing if it has another size or is not a file.
func (j *Journal) content(path string, fits func(size int64) bool) (content []byte, isFile bool, err error) {
	var read []byte
	var regular bool
	err = j.run(job{operation: Reading, work: func() error {
		info, err := j.disk.Lstat(path)
		if err != nil {
			return err
		}
		if regular = info.Mode().IsRegular() && fits(info.Size()); !regular {
			return nil
		}
		read, err = j.disk.ReadFile(path)
		return err
	}})
	if err != nil {
		return nil, false, err
	}
	return read, regular, nil
}

func (j *Journal) read(path string) (*Entry, error) {
	claim, ours := claimOf(path)
	content, isFile, err := j.content(path, func(size int64) bool { return ours && size <= most })
	if err != nil {
		return nil, err
	}
	if !isFile {
		return nil, &Defect{Path: path, Kind: Foreign}
	}
	entry, kind := j.decode(content)
	if entry != nil && entry.ID != claim {
		entry, kind = nil, Damaged // it was renamed
	}
	if kind == "" {
		entry.room = int64(len(content))
		return entry, nil
	}
	defect := &Defect{Path: path, Claim: claim, Kind: kind, size: int64(len(content))}
	if entry != nil {
		defect.Head = &entry.Head
		defect.Unsent = entry.unsent && entry.Boot != "" && entry.Boot == j.disk.BootID()
	}
	return nil, defect
}

// decode returns what could be read together with Unsealed, and nothing with any other defect.
func (j *Journal) decode(content []byte) (*Entry, DefectKind) {
	if len(bytes.Trim(content, "\x00")) == 0 {
		return nil, Unbegun
	}
	if len(content) < preambleSize || !bytes.HasPrefix(content, []byte(magic)) {
		return nil, Foreign
	}
	preamble, rest := content[:preambleSize], content[preambleSize:]
	if !bytes.Equal(preamble[len(magic):len(magic)+len(j.keyID)], j.keyID[:]) {
		return nil, OtherKey
	}
	entry, reply := &Entry{}, []byte(nil)
	for number := uint32(0); ; number++ {
		kind, payload, left, defect := j.frame(preamble, rest, number)
		rest = left
		switch {
		case defect == Unsealed && number > 0:
			return entry, Unsealed
		case defect == Unsealed:
			return nil, Unbegun
		case defect != "":
			return nil, defect
		case number == 0 && (kind != kindHead || json.Unmarshal(payload, &entry.Head) != nil):
			return nil, Damaged
		case number == 1 && kind == kindUnsent:
			entry.unsent = true
		case kind == kindData:
			reply = append(reply, payload...)
		case kind == kindEnd:
			entry.Reply = token.NewSecret(string(reply))
			entry.size = int64(len(content) - len(rest))
			return entry, ""
		}
	}
}

// frame opens the next frame. Zeros where one should begin are the room that was reserved: the process ended before the reply did.
func (j *Journal) frame(preamble, rest []byte, number uint32) (kind byte, payload, left []byte, defect DefectKind) {
	if len(rest) < frameHeader {
		return 0, nil, nil, Damaged
	}
	length := int(binary.BigEndian.Uint32(rest))
	if length == 0 && rest[4] == 0 {
		return 0, nil, nil, Unsealed
	}
	if length > len(rest)-frameHeader {
		return 0, nil, nil, Damaged
	}
	kind, sealed := rest[4], rest[frameHeader:frameHeader+length]
	if kind == kindSent {
		number = sentFrame
	}
	payload, err := j.aead.Open(nil, nonce(preamble, number), sealed, associated(preamble, number, kind))
	if err != nil {
		return 0, nil, nil, Damaged
	}
	return kind, payload, rest[frameHeader+length:], ""
}
