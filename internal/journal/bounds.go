package journal

import (
	"errors"
	"sync"
	"time"
)

// ErrHangs is returned for an operation that the disk did not finish in time, and for operations not started while
// another one hangs.
var ErrHangs = errors.New("the disk does not answer")

// errAbandoned is the ErrHangs of an operation that is still running.
var errAbandoned = abandonment{}

type abandonment struct{}

func (abandonment) Error() string { return ErrHangs.Error() }
func (abandonment) Unwrap() error { return ErrHangs }

// The deadlines. A call of the operating system cannot be cancelled, so an operation that exceeds its deadline
// continues in a goroutine of its own, and its caller stops waiting.
const (
	reserveTimeout = 5 * time.Second
	markTimeout    = 2 * time.Second // the claim is made, and is spent within 5 s
	sealTimeout    = 3 * time.Second // workloads wait for the token
	otherTimeout   = 5 * time.Second
)

var timeouts = map[Operation]time.Duration{
	Reserving: reserveTimeout,
	Marking:   markTimeout,
	Writing:   markTimeout,
	Sealing:   sealTimeout,
	Reading:   otherTimeout,
	Removing:  otherTimeout,
}

// Bounds gives every operation on the disk a deadline.
type Bounds struct {
	// After is time.After, or a test's clock.
	After func(time.Duration) <-chan time.Time
	// Watch is called when an operation begins. The function that it returns is called when the operation ends, however
	// late. Nil: operations are not watched.
	Watch func(Operation) (ended func())
}

// bounded performs operations within their deadlines.
type bounded struct {
	Bounds
	mu       sync.Mutex
	hanging  int      // operations that exceeded their deadlines
	leftover []string // claims whose files could not be removed meanwhile
}

// job is one operation on the disk.
type job struct {
	operation Operation
	work      func() error
	// late is called with the result of work that exceeded its deadline; nil: nothing is left to do.
	late func(error)
	// regardless is true for an operation that is tried even while another one hangs.
	regardless bool
}

// run performs a job. Without bounds it waits as long as the disk takes: a simulation has no time of its own.
func (j *Journal) run(next job) error {
	if j.bounded == nil {
		return next.work()
	}
	return j.bounded.run(next, j.removeLeftovers)
}

// run does not begin a job while another one hangs, so that goroutines do not pile up behind a disk that does not
// answer.
func (b *bounded) run(next job, idle func([]string)) error {
	if !next.regardless && b.isHanging() {
		return ErrHangs
	}
	ended := func() {}
	if b.Watch != nil {
		ended = b.Watch(next.operation)
	}
	var finished, abandoned bool // guarded by b.mu
	result := make(chan error, 1)
	deadline := b.After(timeouts[next.operation])
	go func() {
		err := next.work()
		b.mu.Lock()
		finished = true
		late := abandoned
		b.mu.Unlock()
		if late {
			b.finishLate(next, err, idle)
		}
		ended()
		result <- err
	}()
	select {
	case err := <-result:
		return err
	case <-deadline:
	}
	b.mu.Lock()
	if finished {
		b.mu.Unlock()
		return <-result
	}
	abandoned = true
	b.hanging++
	b.mu.Unlock()
	return errAbandoned
}

// finishLate cleans up after an operation that exceeded its deadline. The last such operation removes the files that
// could not be removed meanwhile.
func (b *bounded) finishLate(done job, err error, idle func([]string)) {
	if done.late != nil {
		done.late(err)
	}
	b.mu.Lock()
	var leftover []string
	if b.hanging == 1 {
		leftover, b.leftover = b.leftover, nil
	}
	b.mu.Unlock()
	idle(leftover)
	b.mu.Lock()
	b.hanging--
	b.mu.Unlock()
}

func (b *bounded) isHanging() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.hanging > 0
}

// removeLater remembers a file that cannot be removed while an operation hangs.
func (j *Journal) removeLater(claim string) {
	if b := j.bounded; b != nil {
		b.mu.Lock()
		defer b.mu.Unlock()
		if b.hanging > 0 {
			b.leftover = append(b.leftover, claim)
		}
	}
}

// removeLeftovers removes files that are no longer needed. A file that stays is examined again at the next start.
func (j *Journal) removeLeftovers(claims []string) {
	for _, claim := range claims {
		_ = j.remove(claim)
	}
}
