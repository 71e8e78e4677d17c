package journal

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"syscall"
	"testing"

	"github.com/fluent-credential/operator/internal/failure"
)

// everyTrouble has an error for each trouble.
var everyTrouble = map[Trouble][]error{
	Full:         {syscall.ENOSPC, syscall.EDQUOT},
	ReadOnly:     {syscall.EROFS},
	Permission:   {syscall.EACCES, syscall.EPERM, fs.ErrPermission},
	Broken:       {syscall.EIO, syscall.ENXIO, syscall.ENODEV},
	Stale:        {syscall.ESTALE},
	TooManyFiles: {syscall.EMFILE, syscall.ENFILE},
	Missing:      {syscall.ENOENT, syscall.ENOTDIR, fs.ErrNotExist},
	Hanging:      {ErrHangs, syscall.ETIMEDOUT, os.ErrDeadlineExceeded},
	Other:        {syscall.EFBIG, syscall.ENOMEM, syscall.EINVAL, errors.New("a surprise"), nil},
}

// TestClassifyIsTotal covers every operation with every trouble: an operation or a trouble that is added and has no row fails.
func TestClassifyIsTotal(t *testing.T) {
	wantMeaning := map[Operation]struct {
		meaning Meaning
		why     string
	}{
		Reserving: {NothingSpent, "its claim is not made yet"},
		Marking:   {NothingSpent, "its request is not sent yet"},
		Writing:   {LookAgain, "no token depends on a serial or a lock that was noted"},
		Sealing:   {InMemory, "the reply is here, and is stored at once"},
		Reading:   {LookAgain, "a reply may be there"},
		Removing:  {LookAgain, "the reply is stored"},
	}
	wantCause := map[Trouble]struct {
		cause failure.Cause
		why   string
	}{
		Full:         {failure.Passing(), "others remove their files"},
		ReadOnly:     {failure.WaitsFor(failure.LogDirectory), "somebody has to mount it again"},
		Permission:   {failure.WaitsFor(failure.LogDirectory), "somebody has to change the owner or the mode"},
		Broken:       {failure.Passing(), "a cable, a path or a controller comes back"},
		Stale:        {failure.Passing(), "the server comes back, or the pod is moved"},
		TooManyFiles: {failure.Passing(), "others close theirs"},
		Missing:      {failure.Passing(), "the volume is mounted late"},
		Hanging:      {failure.Passing(), "it answers again, or the process is replaced"},
		Other:        {failure.Passing(), "a failure that has no name is retried"},
	}
	if len(Operations()) != len(meanings) || len(Troubles()) != len(causes) || len(wantCause) != len(causes) || len(wantMeaning) != len(meanings) {
		t.Fatalf("%d operations, %d troubles: not every one has a row", len(Operations()), len(Troubles()))
	}
	for _, operation := range Operations() {
		for _, trouble := range Troubles() {
			meaning, cause := wantMeaning[operation], wantCause[trouble]
			if meaning.why == "" || cause.why == "" || len(everyTrouble[trouble]) == 0 {
				t.Errorf("%s, %s has no row", operation, trouble)
			}
			for _, err := range everyTrouble[trouble] {
				got := Classify(operation, err)
				if got.Trouble != trouble || got.Meaning != meaning.meaning || got.Cause != cause.cause {
					t.Errorf("%s, %v: %+v, want %s, %s (%s), %+v (%s)", operation, err, got, trouble, meaning.meaning, meaning.why, cause.cause, cause.why)
				}
			}
		}
	}
	if got := Classify("an operation of another version", syscall.EIO); got.Meaning != NothingSpent {
		t.Errorf("an unknown operation means %q", got.Meaning)
	}
}

func TestWordsOfADiskHaveNoPath(t *testing.T) {
	const path = "/var/lib/fluent-credential-operator/journal/0123456789abcdef.reply"
	for _, trouble := range Troubles() {
		for _, err := range everyTrouble[trouble] {
			if err == nil {
				continue
			}
			wrapped := map[string]error{
				"path":       &fs.PathError{Op: "open", Path: path, Err: err},
				"link":       &os.LinkError{Op: "link", Old: path, New: path, Err: err},
				"call":       os.NewSyscallError("fsync", err),
				"both":       fmt.Errorf("journal: %w", &fs.PathError{Op: "write", Path: path, Err: os.NewSyscallError("write", err)}),
				"joined":     errors.Join(&fs.PathError{Op: "write", Path: path, Err: err}, &fs.PathError{Op: "close", Path: path, Err: err}),
				"not at all": err,
			}
			for how, wrapped := range wrapped {
				got := Classify(Reserving, wrapped)
				if got.Words == "" || strings.Contains(got.Words, "/") && !strings.Contains(err.Error(), "/") || got.Trouble != trouble {
					t.Errorf("%v, wrapped as %s: %q, %s", err, how, got.Words, got.Trouble)
				}
			}
		}
	}
}
