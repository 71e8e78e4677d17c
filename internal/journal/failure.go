package journal

import (
	"errors"
	"io/fs"
	"os"
	"slices"
	"syscall"

	"github.com/fluent-credential/operator/internal/failure"
	"github.com/fluent-credential/operator/internal/redact"
)

// Operation is something that a journal does with the disk.
type Operation string

// The operations.
const (
	Reserving Operation = "reserve" // make room for a reply, before anything is spent
	Marking   Operation = "mark"    // record that the request is about to be sent
	Writing   Operation = "write"   // write data that no recovery needs: the highest serial, a process's lock
	Sealing   Operation = "seal"    // make a reply durable
	Reading   Operation = "read"
	Removing  Operation = "remove"
)

// Operations returns all operations in the order of their declaration.
func Operations() []Operation {
	return []Operation{Reserving, Marking, Writing, Sealing, Reading, Removing}
}

// Trouble is the kind of a disk failure.
type Trouble string

// The troubles.
const (
	Full         Trouble = "full"         // no space, or no quota, is left
	ReadOnly     Trouble = "readonly"     // the file system is mounted read-only, or went read-only by itself
	Permission   Trouble = "permission"   // the operator may not write to the files or the directory
	Broken       Trouble = "broken"       // the device fails
	Stale        Trouble = "stale"        // the volume behind a network mount was replaced
	TooManyFiles Trouble = "toomanyfiles" // the process or the machine has no file descriptor left
	Missing      Trouble = "missing"      // the directory does not exist, or is not a directory
	Hanging      Trouble = "hanging"      // the disk does not answer in time
	Other        Trouble = "other"
)

// Troubles returns all troubles in the order of their declaration.
func Troubles() []Trouble {
	return []Trouble{Full, ReadOnly, Permission, Broken, Stale, TooManyFiles, Missing, Hanging, Other}
}

// Meaning is what a failed operation means for the token of its exchange.
type Meaning string

// The meanings.
const (
	// NothingSpent: nothing was sent, and nothing may be sent. The token is intact.
	NothingSpent Meaning = "nothing may be spent"
	// InMemory: memory holds the only copy of a reply. The exchange goes on, and its result is stored at once.
	InMemory Meaning = "goes on in memory"
	// LookAgain: nothing is lost, and nothing is known. The operation is repeated later.
	LookAgain Meaning = "look again"
)

// Failure is a failed operation, classified.
type Failure struct {
	Trouble Trouble
	Meaning Meaning
	// Cause is what has to change before another try is worth making.
	Cause failure.Cause
	// Words describe the trouble, without a path: the path differs between replies, and a condition must not.
	Words string
}

// meanings of each operation's failure, whatever the trouble.
var meanings = map[Operation]Meaning{
	Reserving: NothingSpent,
	Marking:   NothingSpent,
	Writing:   LookAgain,
	Sealing:   InMemory,
	Reading:   LookAgain,
	Removing:  LookAgain,
}

// causes of each trouble, whatever the operation. A full disk can be emptied, a device replaced and a volume mounted
// without a change that the operator could see. Its permissions are changed by a person.
var causes = map[Trouble]failure.Cause{
	Full:         failure.Passing(),
	ReadOnly:     failure.WaitsFor(failure.LogDirectory),
	Permission:   failure.WaitsFor(failure.LogDirectory),
	Broken:       failure.Passing(),
	Stale:        failure.Passing(),
	TooManyFiles: failure.Passing(),
	Missing:      failure.Passing(),
	Hanging:      failure.Passing(),
	Other:        failure.Passing(),
}

// errnos of each trouble; any other is Other.
var errnos = map[Trouble][]syscall.Errno{
	Full:         {syscall.ENOSPC, syscall.EDQUOT},
	ReadOnly:     {syscall.EROFS},
	Permission:   {syscall.EACCES, syscall.EPERM},
	Broken:       {syscall.EIO, syscall.ENXIO, syscall.ENODEV},
	Stale:        {syscall.ESTALE},
	TooManyFiles: {syscall.EMFILE, syscall.ENFILE},
	Missing:      {syscall.ENOENT, syscall.ENOTDIR},
	Hanging:      {syscall.ETIMEDOUT}, // a network mount that gave up
}

// Classify returns what a failed operation means and when another try is worth making. It is total: every operation and
// every error has a Failure. An unknown operation means that nothing may be spent.
func Classify(operation Operation, err error) Failure {
	trouble := troubleOf(err)
	meaning, known := meanings[operation]
	if !known {
		meaning = NothingSpent
	}
	return Failure{Trouble: trouble, Meaning: meaning, Cause: causes[trouble], Words: words(err)}
}

func troubleOf(err error) Trouble {
	if errors.Is(err, ErrHangs) || errors.Is(err, os.ErrDeadlineExceeded) {
		return Hanging
	}
	var errno syscall.Errno
	if errors.As(err, &errno) {
		for _, trouble := range Troubles() {
			if slices.Contains(errnos[trouble], errno) {
				return trouble
			}
		}
		return Other
	}
	switch {
	case errors.Is(err, fs.ErrPermission):
		return Permission
	case errors.Is(err, fs.ErrNotExist):
		return Missing
	}
	return Other
}

// words returns the operating system's message for an error, without a path.
func words(err error) string {
	var path *fs.PathError
	var link *os.LinkError
	var call *os.SyscallError
	var errno syscall.Errno
	switch {
	case err == nil:
		return ""
	case errors.Is(err, ErrHangs):
		return ErrHangs.Error()
	case errors.As(err, &errno):
		return errno.Error()
	case errors.As(err, &path):
		return words(path.Err)
	case errors.As(err, &link):
		return words(link.Err)
	case errors.As(err, &call):
		return words(call.Err)
	}
	return redact.Words(err.Error())
}
