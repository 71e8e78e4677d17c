package journal

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"
)

// The disk is shared by all namespaces, and anybody who may write a FluentCredential chooses the endpoint that sends
// the replies. This file bounds what the replies take of the disk, for each namespace and in all.

// Limits bound the files of replies, in bytes. Zero: no limit.
type Limits struct {
	// Waiting is for the exchanges in flight, and for replies that could not be stored in the cluster yet. Such a file
	// is never dropped: when a namespace's share is used up, Reserve fails before anything is spent. The share is half
	// of what the other namespaces leave, so that no namespace takes all.
	Waiting int64
	// Kept is for granted replies that could not be understood. Their results are stored, so the oldest are dropped. A
	// namespace has at most half, and a credential has at most one.
	Kept int64
}

// LimitsOf divides a disk of this size. Exchanges is how many can be in flight: there is room for twice as many. An
// eighth is left for what is not a reply.
func LimitsOf(size int64, exchanges int) Limits {
	return Limits{Waiting: max(size/8*5, 2*int64(exchanges)*Room), Kept: size / 4}
}

// ErrQuota is returned by Reserve when the replies of a namespace that could not be stored yet take its share of the
// disk.
var ErrQuota = errors.New("the replies of this namespace that could not be stored in the cluster yet " +
	"take its share of the write-ahead log")

// block is the smallest part of a disk that a file takes.
const block = 4 << 10

// replyFile is a file of a reply.
type replyFile struct {
	namespace string
	uid       string // of the FluentCredential
	started   time.Time
	size      int64
	kept      bool
	dropped   bool // it is kept no longer, and the disk did not remove it yet
}

// catalog is what is known of the files of replies: those that this process made, and those that a scan has found.
type catalog struct {
	limits Limits
	mu     sync.Mutex
	files  map[string]replyFile // by claim
}

// Limit sets the limits. It is called before the journal is used.
func (j *Journal) Limit(limits Limits) { j.catalog.limits = limits }

// admit enters the file of an exchange that is about to begin, and reports whether it did: a file that is there already
// stays as it is.
func (c *catalog) admit(head Head) (entered bool, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, known := c.files[head.ID]; known {
		return false, nil
	}
	var own, others int64
	for _, file := range c.files {
		switch {
		case file.kept:
		case file.namespace == head.Namespace:
			own += file.size
		default:
			others += file.size
		}
	}
	if c.limits.Waiting > 0 && own+Room > (c.limits.Waiting-others)/2 {
		return false, ErrQuota
	}
	c.files[head.ID] = fileOf(head, Room)
	return true, nil
}

func fileOf(head Head, size int64) replyFile {
	return replyFile{
		namespace: head.Namespace, uid: head.UID, started: head.Started,
		size: (size + block - 1) / block * block,
	}
}

// enter adds a file that a scan has found.
func (c *catalog) enter(head Head, size int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, known := c.files[head.ID]; !known {
		c.files[head.ID] = fileOf(head, size)
	}
}

func (c *catalog) leave(claim string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.files, claim)
}

func (c *catalog) claims() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Collect(maps.Keys(c.files))
}

func (c *catalog) resize(claim string, size int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if file, known := c.files[claim]; known {
		file.size = (size + block - 1) / block * block
		c.files[claim] = file
	}
}

// keep makes a file a kept one, and returns the claims whose files are to be removed. They can include the file itself.
func (c *catalog) keep(claim string) []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	file, known := c.files[claim]
	switch {
	case !known:
		return nil
	case file.dropped:
		return c.claimsOf(func(file replyFile) bool { return file.dropped })
	}
	file.kept = true
	c.files[claim] = file
	c.dropBut(c.newestOf(file.uid), func(other replyFile) bool { return other.uid == file.uid })
	if most := c.limits.Kept; most > 0 {
		for c.keptBy(file.namespace) > most/2 {
			c.drop(c.oldestOf(file.namespace))
		}
		for c.kept() > most {
			c.drop(c.oldestOf(c.largest()))
		}
	}
	return c.claimsOf(func(file replyFile) bool { return file.dropped })
}

// isKept reports whether a file counts as kept: one that was dropped does not.
func (f replyFile) isKept() bool { return f.kept && !f.dropped }

func (c *catalog) claimsOf(is func(replyFile) bool) []string {
	var claims []string
	for claim, file := range c.files {
		if is(file) {
			claims = append(claims, claim)
		}
	}
	return claims
}

// drop marks a file for its removal.
func (c *catalog) drop(claim string) {
	file := c.files[claim]
	file.dropped = true
	c.files[claim] = file
}

// dropBut drops all kept files of a kind but one.
func (c *catalog) dropBut(one string, is func(replyFile) bool) {
	for claim, file := range c.files {
		if file.isKept() && is(file) && claim != one {
			c.drop(claim)
		}
	}
}

// newestOf returns the kept file of the exchange of a credential that began last. Only one exchange of a credential is
// made at a time, and a token that an earlier one brought was replaced by what a later one was granted.
func (c *catalog) newestOf(uid string) string {
	claims := c.claimsOf(func(file replyFile) bool { return file.isKept() && file.uid == uid })
	return slices.MaxFunc(claims, c.byAge)
}

// oldestOf returns the kept file of a namespace's oldest exchange.
func (c *catalog) oldestOf(namespace string) string {
	claims := c.claimsOf(func(file replyFile) bool { return file.isKept() && file.namespace == namespace })
	return slices.MinFunc(claims, c.byAge)
}

func (c *catalog) byAge(a, b string) int {
	return cmp.Or(c.files[a].started.Compare(c.files[b].started), cmp.Compare(a, b))
}

// largest returns the namespace whose kept files take the most.
func (c *catalog) largest() string {
	sizes := map[string]int64{}
	for _, file := range c.files {
		if file.isKept() {
			sizes[file.namespace] += file.size
		}
	}
	return slices.MaxFunc(slices.Collect(maps.Keys(sizes)), func(a, b string) int {
		return cmp.Or(cmp.Compare(sizes[a], sizes[b]), cmp.Compare(a, b))
	})
}

func (c *catalog) keptBy(namespace string) int64 {
	return c.sum(func(file replyFile) bool { return file.isKept() && file.namespace == namespace })
}

func (c *catalog) kept() int64 { return c.sum(replyFile.isKept) }

func (c *catalog) sum(is func(replyFile) bool) int64 {
	var sum int64
	for _, file := range c.files {
		if is(file) {
			sum += file.size
		}
	}
	return sum
}

// Keep marks the file of a reply whose result is stored as one that is kept only because the reply could not be
// understood. The room that it does not use is given back. Keep removes the files that have to make place for it, and
// returns their claims: this one can be among them.
func (j *Journal) Keep(claim string) (dropped []string, err error) {
	entry, err := j.Find(claim)
	if err != nil {
		return nil, err
	}
	j.catalog.enter(entry.Head, entry.size)
	if entry.room > entry.size {
		err = j.trim(claim, entry.size)
	}
	return j.keep(claim, err)
}

func (j *Journal) keep(claim string, err error) ([]string, error) {
	dropped := j.catalog.keep(claim)
	for _, other := range dropped {
		err = errors.Join(err, j.Remove(other))
	}
	return dropped, err
}

// trim gives back the room of a sealed file that its reply does not use.
func (j *Journal) trim(claim string, size int64) error {
	err := j.run(job{operation: Writing, work: func() error {
		file, err := j.disk.Open(j.path(claim))
		if err != nil {
			return err
		}
		return errors.Join(file.Truncate(size), file.Close())
	}})
	if err != nil {
		return fmt.Errorf("journal: %w", err)
	}
	j.catalog.resize(claim, size)
	return nil
}

// ForgetKept removes the kept file of a FluentCredential that is gone.
func (j *Journal) ForgetKept(uid string) error {
	j.catalog.mu.Lock()
	claims := j.catalog.claimsOf(func(file replyFile) bool { return file.kept && file.uid == uid })
	j.catalog.mu.Unlock()
	var failed error
	for _, claim := range claims {
		failed = errors.Join(failed, j.Remove(claim))
	}
	return failed
}

// Kept returns the number of kept files.
func (j *Journal) Kept() int {
	j.catalog.mu.Lock()
	defer j.catalog.mu.Unlock()
	return len(j.catalog.claimsOf(replyFile.isKept))
}

// reconcile drops from the catalog the files that are gone: another replica on the same volume has removed them.
func (j *Journal) reconcile(before []string, found func(claim string) bool) {
	for _, claim := range before {
		if !found(claim) {
			j.catalog.leave(claim)
		}
	}
}
