package journal

import (
	"crypto/rand"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"sync"
)

// Room is the disk space that a slot reserves before its request is sent: the largest reply that an exchange reads (256
// KiB of body and 64 KiB of header) and the frames around it, with some to spare.
const Room = 384 << 10

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

// Slot is a file that waits for one reply. One goroutine uses it.
type Slot struct {
	journal *Journal
	claim   string
	reply   []byte // the part of the reply read so far; on disk once it is sealed
	broken  error  // the first error: anything after it would be torn
	sealed  bool   // the reply is durable
	trimmed bool   // the file has no room left
	file    *slotFile
}

// slotFile is the file of a slot. An operation that exceeds its deadline continues to use the file, so only one job at
// a time touches it: after such an operation the slot is broken, and only its removal follows.
type slotFile struct {
	File
	journal  *Journal
	preamble []byte
	frames   uint32
	size     int64
	mark     int64 // where kindUnsent is

	mu      sync.Mutex
	busy    bool   // an operation exceeded its deadline
	settled bool   // the operation has ended since
	then    func() // what to do when it ends
}

// Reserve makes the file, with room for a reply, and makes it durable. When it fails, nothing may be spent.
func (j *Journal) Reserve(head Head) (*Slot, error) {
	if !isName(head.ID) {
		return nil, errors.New("journal: the claim's id cannot be a file's name")
	}
	entered, err := j.admit(head)
	if err != nil {
		return nil, fmt.Errorf("journal: %w", err)
	}
	var made *slotFile
	unmade := func() {
		if entered {
			j.catalog.leave(head.ID)
		}
	}
	err = j.run(job{
		operation: Reserving,
		work:      func() (err error) { made, err = j.reserve(head); return err },
		late: func(err error) {
			if err != nil {
				unmade()
				return
			}
			_ = made.discard(head.ID) // no caller waits for it any more
		},
	})
	if err != nil {
		if !errors.Is(err, errAbandoned) {
			unmade()
		}
		return nil, fmt.Errorf("journal: %w", err)
	}
	return &Slot{journal: j, claim: head.ID, file: made}, nil
}

// admit enters a file into the catalog. If there is no room for it, admit looks which files are still there: on a shared
// volume another replica may have removed some.
func (j *Journal) admit(head Head) (entered bool, err error) {
	entered, err = j.catalog.admit(head)
	if !errors.Is(err, ErrQuota) {
		return entered, err
	}
	before := j.catalog.claims()
	files, unread := j.list()
	if unread != nil {
		return false, err
	}
	j.reconcile(before, in(files))
	return j.catalog.admit(head)
}

func (j *Journal) reserve(head Head) (*slotFile, error) {
	file, err := j.disk.Create(j.path(head.ID))
	if err != nil {
		return nil, err
	}
	made := &slotFile{File: file, journal: j}
	if err := made.begin(head); err != nil {
		_ = made.discard(head.ID)
		return nil, err
	}
	return made, nil
}

func (f *slotFile) begin(head Head) error {
	if err := f.Allocate(Room); err != nil { // a full disk fails here, before the request
		return err
	}
	prefix := make([]byte, prefixSize)
	_, _ = rand.Read(prefix) // never fails: crypto/rand ends the process instead
	f.preamble = append(append([]byte(magic), f.journal.keyID[:]...), prefix...)
	if _, err := f.WriteAt(f.preamble, 0); err != nil {
		return err
	}
	f.size = int64(len(f.preamble))
	head.Boot = f.journal.disk.BootID()
	encoded, err := json.Marshal(head)
	if err != nil {
		return err
	}
	if err := f.append(kindHead, encoded); err != nil {
		return err
	}
	f.mark = f.size
	if err := f.append(kindUnsent, nil); err != nil {
		return err
	}
	if err := f.Sync(); err != nil {
		return err
	}
	return f.journal.disk.SyncDir(f.journal.dir)
}

// Sending says that the request is about to be sent, over the frame that says that it was not: damage to the file can make it say
// nothing, but never that nothing was sent. It is not synced, which would make every rotation wait for the disk once more: what a
// process has written outlives it, and that the machine went down in between is told by the boot's id.
func (s *Slot) Sending() error {
	if s.broken == nil {
		s.broken = s.do(Marking, false, func(f *slotFile) error {
			_, err := f.WriteAt(f.seal(sentFrame, kindSent, nil), f.mark)
			return err
		})
	}
	return s.Err()
}

// Write adds a part of the reply. The reply is written to the disk when it is sealed: only a sealed reply is ever
// recovered, and a slow disk must not slow down the reading.
func (s *Slot) Write(part []byte) (int, error) {
	if s.broken == nil {
		s.reply = append(s.reply, part...)
	}
	return len(part), nil
}

// Seal makes the reply durable: only a sealed entry is ever recovered. An error means that memory holds the only copy.
// Seal tries even if another operation hangs.
func (s *Slot) Seal() error {
	if s.broken == nil {
		reply := s.reply
		s.broken = s.do(Sealing, true, func(f *slotFile) error {
			if len(reply) > 0 {
				if err := f.append(kindData, reply); err != nil {
					return err
				}
			}
			if err := f.append(kindEnd, nil); err != nil {
				return err
			}
			return f.Sync()
		})
		s.reply = nil
		s.sealed = s.broken == nil
	}
	return s.Err()
}

// Trim gives back the room that the reply does not use. It is for a reply that stays in the journal for long; a file
// that is not sealed stays as it is.
func (s *Slot) Trim() error {
	if !s.sealed || s.broken != nil || s.trimmed {
		return nil
	}
	size := s.file.size
	err := s.do(Writing, false, func(f *slotFile) error { return f.Truncate(size) })
	if err != nil {
		return fmt.Errorf("journal: %w", err)
	}
	s.trimmed = true
	s.journal.catalog.resize(s.claim, size)
	return nil
}

// Keep closes the file, and makes it a kept one: see Journal.Keep.
func (s *Slot) Keep() (dropped []string, err error) {
	err = errors.Join(s.Trim(), s.Close())
	return s.journal.keep(s.claim, err)
}

// do performs an operation on the file. The operation ends before the file is touched again.
func (s *Slot) do(operation Operation, regardless bool, work func(*slotFile) error) error {
	file := s.file
	err := s.journal.run(job{
		operation: operation, regardless: regardless,
		work: func() error { return work(file) },
		late: func(error) { file.settle() },
	})
	if errors.Is(err, errAbandoned) {
		file.busyUntilSettled()
	}
	return err
}

// Err is why the reply could not be written down; nil where it could, so far.
func (s *Slot) Err() error {
	if s.broken == nil {
		return nil
	}
	return fmt.Errorf("journal: %w", s.broken)
}

// Discard removes the file when its reply is stored in the cluster or nothing was sent. If an operation on the file
// hangs, the file is removed when that operation ends.
func (s *Slot) Discard() error {
	if s.file.postpone(func() { _ = s.file.discard(s.claim) }) {
		return fmt.Errorf("journal: %w", ErrHangs)
	}
	err := s.journal.run(job{operation: Removing, work: func() error { return s.file.discard(s.claim) }})
	if errors.Is(err, ErrHangs) {
		s.journal.removeLater(s.claim)
	}
	return err
}

// Close lets go of the file and leaves it where it is.
func (s *Slot) Close() error {
	if s.file.postpone(func() { _ = s.file.Close() }) {
		return fmt.Errorf("journal: %w", ErrHangs)
	}
	return s.journal.run(job{operation: Writing, work: s.file.Close})
}

// busyUntilSettled records that an operation on the file exceeded its deadline.
func (f *slotFile) busyUntilSettled() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.busy = !f.settled
}

// settle does the postponed work.
func (f *slotFile) settle() {
	f.mu.Lock()
	f.busy = false
	f.settled = true
	then := f.then
	f.mu.Unlock()
	if then != nil {
		then()
	}
}

// postpone reports whether an operation on the file hangs. If so, the function is called when the operation ends.
func (f *slotFile) postpone(then func()) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.busy {
		f.then = then
	}
	return f.busy
}

func (f *slotFile) discard(claim string) error {
	return errors.Join(f.Close(), f.journal.remove(claim))
}

func (f *slotFile) append(kind byte, payload []byte) error {
	frame := f.seal(f.frames, kind, payload)
	if _, err := f.WriteAt(frame, f.size); err != nil {
		return err
	}
	f.size += int64(len(frame))
	f.frames++
	return nil
}

// seal makes a frame.
func (f *slotFile) seal(number uint32, kind byte, payload []byte) []byte {
	sealed := f.journal.aead.Seal(nil, nonce(f.preamble, number), payload, associated(f.preamble, number, kind))
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
