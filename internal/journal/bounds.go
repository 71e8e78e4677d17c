package journal

import (
	"errors"
	"sync"
	"time"
)

// ErrHangs is returned for an operation that the disk did not finish in time, and for those that are not begun while one is like that.
var ErrHangs = errors.New("the disk does not answer")

// errAbandoned is the ErrHangs of an operation that goes on.
var errAbandoned = abandonment{}

type abandonment struct{}

func (abandonment) Error() string { return ErrHangs.Error() }
func (abandonment) Unwrap() error { return ErrHangs }

// The deadlines. A call of the operating system cannot be cancelled, so an operation that outlives its deadline goes on in a goroutine
// of its own, and is waited for no longer.
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

// Bounds give every operation on the disk a deadline.
type Bounds struct {
	// After is time.After, or the clock of a test.
	After func(time.Duration) <-chan time.Time
	// Watch is called when an operation begins, and what it returns when the operation ends, however late; nil: nobody watches.
	Watch func(Operation) (ended func())
}

// bounded performs operations within their deadlines.
type bounded struct {
	Bounds
	mu       sync.Mutex
	hanging  int      // operations that outlived their deadlines
	leftover []string // claims whose files could not be removed meanwhile
}

// job is one operation on the disk.
type job struct {
	operation Operation
	work      func() error
	// late is called after work that outlived its deadline, with its result; nil: nothing is left to do.
	late func(error)
	// regardless is true of an operation that is tried even while another one hangs.
	regardless bool
}

// run performs a job. Without bounds it waits for as long as the disk takes: a simulation has no time of its own.
func (j *Journal) run(next job) error {
	if j.bounded == nil {
		return next.work()
	}
	return j.bounded.run(next, j.removeLeftovers)
}

// run does not begin a job while another one hangs, so that goroutines do not pile up behind a disk that does not answer.
func (b *bounded) run(next job, idle func([]string)) error {
	if !next.regardless && b.isHanging() {
		return ErrHangs
	}
	ended := func() {}
	if b.Watch != nil {
		ended = b.Watch(next.operation)
	}
	var finished, abandoned bool // guarded by b.mu
	result, deadline := make(chan error, 1), b.After(timeouts[next.operation])
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

// finishLate cleans up after an operation that outlived its deadline. The last of them removes what could not be removed meanwhile.
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

// removeLeftovers removes files that nobody needs. One that stays is looked at again at the next start.
func (j *Journal) removeLeftovers(claims []string) {
	for _, claim := range claims {
		_ = j.remove(claim)
	}
}
