package journal

import (
	"crypto/rand"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"math"
)

// Room is how much of the disk a slot takes up before its request is sent: a reply of 64 KiB, its header and the frames around.
const Room = 192 << 10

// zeros take it up.
var zeros [Room]byte

// A file is a preamble and frames. The preamble is magic, key id and a random nonce prefix; a frame is its length (4 bytes, big
// endian), its kind, and the sealed payload. The nonce is the prefix and the frame's number; preamble, number and kind are
// authenticated, so frames can neither be moved, dropped nor taken from another file. The tag of AES-GCM is the checksum.
const (
	magic        = "fcj1"
	prefixSize   = 8
	preambleSize = len(magic) + 8 + prefixSize
	frameHeader  = 5
)

// Kinds of frames.
const (
	kindHead   byte = 'h'
	kindUnsent byte = 'u' // nothing was sent yet
	kindSent   byte = 's' // the request is about to be sent; it lies where kindUnsent was
	kindData   byte = 'd'
	kindEnd    byte = 'e'
)

// sentFrame is the number of the frame that takes the place of kindUnsent: one that no other frame of the file has, because a nonce
// must not serve twice.
const sentFrame = math.MaxUint32

// Slot is a file that waits for one reply. It is written by one goroutine.
type Slot struct {
	journal  *Journal
	claim    string
	file     File
	preamble []byte
	frames   uint32
	size     int64
	mark     int64 // where kindUnsent is
	broken   error // the first error: what comes after it would be torn
}

// Reserve makes the file, with room for a reply, and makes it durable. When it fails, nothing may be spent.
func (j *Journal) Reserve(head Head) (*Slot, error) {
	if !isName(head.ID) {
		return nil, errors.New("journal: the claim's id cannot be a file's name")
	}
	file, err := j.disk.Create(j.path(head.ID))
	if err != nil {
		return nil, fmt.Errorf("journal: %w", err)
	}
	slot := &Slot{journal: j, claim: head.ID, file: file}
	if err := slot.begin(head); err != nil {
		_ = slot.Discard()
		return nil, fmt.Errorf("journal: %w", err)
	}
	return slot, nil
}

func (s *Slot) begin(head Head) error {
	if _, err := s.file.Write(zeros[:]); err != nil { // a disk that is full says so now
		return err
	}
	prefix := make([]byte, prefixSize)
	_, _ = rand.Read(prefix) // never fails: crypto/rand ends the process instead
	s.preamble = append(append([]byte(magic), s.journal.keyID[:]...), prefix...)
	if _, err := s.file.WriteAt(s.preamble, 0); err != nil {
		return err
	}
	s.size = int64(len(s.preamble))
	head.Boot = s.journal.disk.BootID()
	encoded, err := json.Marshal(head)
	if err != nil {
		return err
	}
	if err := s.append(kindHead, encoded); err != nil {
		return err
	}
	s.mark = s.size
	if err := s.append(kindUnsent, nil); err != nil {
		return err
	}
	if err := s.file.Sync(); err != nil {
		return err
	}
	return s.journal.disk.SyncDir(s.journal.dir)
}

// Sending says that the request is about to be sent, over the frame that says that it was not: damage to the file can make it say
// nothing, but never that nothing was sent. It is not synced, which would make every rotation wait for the disk once more: what a
// process has written outlives it, and that the machine went down in between is told by the boot's id.
func (s *Slot) Sending() error {
	if s.broken == nil {
		_, s.broken = s.file.WriteAt(s.seal(sentFrame, kindSent, nil), s.mark)
	}
	return s.Err()
}

// Write adds a part of the reply. It never fails to its caller: a reply that cannot be written down is read all the same, and Seal
// tells.
func (s *Slot) Write(part []byte) (int, error) {
	if s.broken == nil && len(part) > 0 {
		s.broken = s.append(kindData, part)
	}
	return len(part), nil
}

// Seal makes the reply durable: only a sealed entry is ever recovered. An error means that memory holds the only copy.
func (s *Slot) Seal() error {
	if s.broken == nil {
		s.broken = s.append(kindEnd, nil)
	}
	if s.broken == nil {
		s.broken = s.file.Sync()
	}
	return s.Err()
}

// Err is why the reply could not be written down; nil where it could, so far.
func (s *Slot) Err() error {
	if s.broken == nil {
		return nil
	}
	return fmt.Errorf("journal: %w", s.broken)
}

// Discard removes the file: its reply is stored in the cluster, or nothing was sent.
func (s *Slot) Discard() error {
	return errors.Join(s.file.Close(), s.journal.Remove(s.claim))
}

// Close lets go of the file and leaves it where it is.
func (s *Slot) Close() error { return s.file.Close() }

func (s *Slot) append(kind byte, payload []byte) error {
	frame := s.seal(s.frames, kind, payload)
	if _, err := s.file.WriteAt(frame, s.size); err != nil {
		return err
	}
	s.size += int64(len(frame))
	s.frames++
	return nil
}

// seal makes a frame.
func (s *Slot) seal(number uint32, kind byte, payload []byte) []byte {
	sealed := s.journal.aead.Seal(nil, nonce(s.preamble, number), payload, associated(s.preamble, number, kind))
	frame := make([]byte, frameHeader, frameHeader+len(sealed))
	binary.BigEndian.PutUint32(frame, uint32(len(sealed)))
	frame[4] = kind
	return append(frame, sealed...)
}

func nonce(preamble []byte, number uint32) []byte {
	return binary.BigEndian.AppendUint32(append([]byte(nil), preamble[len(preamble)-prefixSize:]...), number)
}

func associated(preamble []byte, number uint32, kind byte) []byte {
	return append(binary.BigEndian.AppendUint32(append([]byte(nil), preamble...), number), kind)
}
