package simulation

import (
	"errors"
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/types"

	"github.com/fluent-credential/operator/internal/journal"
	"github.com/fluent-credential/operator/internal/token"
)

// An excuse holds for an exchange, or for an epoch that ends: it never holds for the rest of a run.

// The causes that say nothing of the operator.
const (
	byPeople = "people changed the state, the spec or the login"
	isGone   = "its object is gone"
)

// epochs are what happened to one credential and is not over.
type epochs struct {
	// lost is why the token family was lost; empty: it was not. The next token of a new family ends it.
	lost string
	// tampered is since when the state is one that people changed; zero: it is not. It ends with a token whose claim was
	// made since, and whose serial is above all that were there before.
	tampered time.Duration
	ceiling  int64          // the highest serial by then
	again    map[string]int // presentations since then
	// disturbed is how much of the history there was when people last asked for a token before it is due; zero: they did
	// not. A token ends it whose claim was made by a pass that knew of it.
	disturbed int
	// putBack is how much of the history there was when people put an old target Secret back; zero: they did not.
	putBack int
	// mistimed is true while the state holds times of a wrong clock; wasMistimed if a backup of it can.
	mistimed, wasMistimed bool
	mistimedUntil         time.Duration // when the last such epoch ended
}

// tampered begins an epoch: people changed the state, so that what was in it may be lost, and what is in it may be old.
func (o *oracle) tampered(key types.NamespacedName) {
	about := o.about[key]
	about.tampered = o.world.now()
	about.again = map[string]int{}
	about.ceiling = max(about.ceiling, about.highest)
	about.mistimed = about.mistimed || about.wasMistimed
	about.loses(byPeople)
	for _, c := range o.order {
		if c.key == key {
			c.isTampered = true
		}
	}
}

func (o *oracle) disturb(key types.NamespacedName) {
	o.about[key].disturbed = len(o.world.cluster.history)
}

// renewed begins the chronicle of another object of the same name.
func (o *oracle) renewed(key types.NamespacedName) {
	o.about[key] = &chronicle{epochs: epochs{disturbed: len(o.world.cluster.history)}}
}

func (c *chronicle) isTampered() bool { return c.tampered > 0 }

func (c *chronicle) byPeople() string { return excuseIf(c.isTampered(), byPeople) }

func (c *chronicle) loses(why string) {
	if c.lost == "" {
		c.lost = why
	}
}

// committed ends the epochs that a new token ends.
func (o *oracle) committed(by writer, about *chronicle, made *claimed, after *document) {
	if about.mistimed {
		about.mistimedUntil = o.world.now()
	}
	about.mistimed = o.isClockWrong(by) || made != nil && made.mistimed
	about.wasMistimed = about.wasMistimed || about.mistimed
	defer func() {
		if !about.isTampered() && about.changed == 0 {
			about.lost = ""
		}
	}()
	if made == nil {
		return
	}
	if made.seen >= about.disturbed {
		about.disturbed = 0
	}
	if about.changed = 0; made.seen < about.changedLast {
		about.changed = about.changedLast // its pass did not know of the change
	}
	if about.isTampered() && made.at > about.tampered && after.Serial > about.ceiling {
		about.tampered = 0
		o.world.tell("-- what people did to the state of %s is over --", made.key.Name)
	}
}

// clock is the wall clock of a replica.
type clock struct {
	usual      time.Duration // how far it is from the true time
	wrongUntil time.Duration
	rightSince time.Duration
	isWrong    bool
}

// jump sets the wall clock of a replica wrong for some time.
func (w *world) jump(r *replica, by, span time.Duration) {
	at := w.oracle.clocks[r]
	if !at.isWrong {
		at.usual = r.skew
	}
	r.skew += by
	at.isWrong = true
	at.wrongUntil = w.now() + span
}

// setClocks sets the wall clocks right whose time has come.
func (w *world) setClocks() {
	for _, r := range w.replicas {
		if at := w.oracle.clocks[r]; at.isWrong && (w.dice.calm || w.now() >= at.wrongUntil) {
			w.tell("!! the clock of %s is right again", r.writer())
			r.skew = at.usual
			at.isWrong = false
			at.rightSince = w.now()
		}
	}
}

// isClockWrong reports whether the clock of a writer was wrong at any moment since its pass began.
func (o *oracle) isClockWrong(who writer) bool {
	r := o.replica(who)
	if r == nil {
		return false
	}
	at := o.clocks[r]
	running := o.world.running
	return at.isWrong || running != nil && running.replica == r && at.rightSince > 0 && running.begun <= at.rightSince
}

// wereClocksWrong reports whether any clock was wrong at a moment of the last span.
func (o *oracle) wereClocksWrong(span time.Duration) bool {
	for _, at := range o.clocks {
		if at.isWrong || at.rightSince > 0 && o.world.now()-at.rightSince < span {
			return true
		}
	}
	return false
}

// isMistimed reports whether the pass that runs can have seen times of a wrong clock in the state.
func (o *oracle) isMistimed(about *chronicle) bool {
	running := o.world.running
	return about.mistimed || about.mistimedUntil > 0 && running != nil && running.begun <= about.mistimedUntil
}

// hasSeen reports whether the pass that runs began with a cache that shows what was put back.
func (o *oracle) hasSeen(moment int) bool {
	running := o.world.running
	return running == nil || running.seen > moment
}

// mayBeLost is why the reply of a claim may not have reached the state, or an empty string.
func (o *oracle) mayBeLost(made *claimed) string {
	switch about := o.about[made.key]; {
	case made.because != "":
		return made.because
	case made.isTampered, about.isTampered():
		return byPeople
	case made.owner != o.uidOf(made.key):
		return isGone
	}
	return ""
}

// lose records why the reply of a claim may be lost.
func (made *claimed) lose(because string) {
	if made.because == "" {
		made.because = because
	}
}

// crashed looks for replies that were on their way. One is lost unless the log has it.
func (o *oracle) crashed(r *replica) {
	for _, c := range o.order {
		if c.by.replica != r.name || c.moved {
			continue
		}
		_, err := r.disk.journalOf(r.disk.now).Find(c.ID)
		var defect *journal.Defect
		switch {
		case err == nil, errors.As(err, &defect) && defect.Unsent:
		case c.used:
			c.lose("its process ended before the log had the reply")
		default:
			c.lose("its process ended, and the log does not show that nothing was sent")
		}
	}
}

// wiped is called before a volume is lost.
func (o *oracle) wiped(r *replica) {
	for _, c := range o.order {
		if c.by.replica == r.name && c.used && !c.moved {
			c.lose("the log was lost with its volume")
		}
	}
}

// settledAsLost judges the loss of a reply: it has to have a cause of its own.
func (o *oracle) settledAsLost(by writer, about *chronicle, made *claimed) {
	w := o.world
	because := o.mayBeLost(made)
	isOther := by.replica != made.by.replica
	isOver := w.now()-made.at >= claimLife
	if because == "" && isOther && isOver {
		because = "its holder did not store it within the life of the claim"
	}
	if because == "" && made.Grant == token.Password && made.fault == tooMany {
		because = "the API says to try later, which it also says of a locked user"
	}
	o.isWhole(by, made, isOver)
	if o.checks(ruleLost, o.ofPeople(because)) && because == "" {
		o.violated(ruleNames[ruleLost], "%s calls the reply of %s lost (%s)", by, made.by, made.fault)
		because = "for no reason"
	}
	w.counts.losses[because]++
	made.lose(because)
	about.loses(because)
}

// ofPeople is an excuse if a cause is what people did.
func (o *oracle) ofPeople(because string) string {
	if because == byPeople || because == isGone {
		return because
	}
	return ""
}

// isWhole checks that a later life of a replica calls nothing lost that its log holds.
func (o *oracle) isWhole(by writer, made *claimed, isOver bool) {
	r := o.replica(by)
	if by.replica != made.by.replica || by == made.by || r == nil || r.Journal == nil || made.fault != none && made.fault != slow {
		return
	}
	excuse := excuseIf(made.isTampered, byPeople)
	if excuse == "" {
		excuse = excuseIf(isOver && o.unreadable[made.ID] > 0, "the disk does not answer, and the life of the claim is over")
	}
	if !o.checks(ruleWhole, excuse) {
		return
	}
	if _, err := r.disk.journalOf(r.disk.now).Find(made.ID); err == nil {
		o.violated(ruleNames[ruleWhole], "%s calls a reply lost that its log holds", by)
	}
}

// refusedDead judges the end of a family.
func (o *oracle) refusedDead(by writer, about *chronicle, made *claimed) {
	because := o.whyDead(made)
	if o.checks(ruleDead, o.ofPeople(because)) && because == "" {
		o.violated(ruleNames[ruleDead], "%s gives up %s, which nothing permitted to be lost", by, made.refresh)
	}
	about.loses(because)
}

// whyDead is why the API refuses the refresh token of a claim.
func (o *oracle) whyDead(made *claimed) string {
	shown := o.world.server.refresh[made.refresh]
	switch because := o.mayBeLost(made); {
	case because != "":
		return because
	case shown == nil:
		return ""
	case shown.family.revoked && shown.family.because != "":
		return shown.family.because
	case shown.spent && shown.by != nil:
		return o.mayBeLost(shown.by)
	case shown.spent:
		return shown.because
	}
	return ""
}

// whyReused is why a refresh token that is spent comes again.
func (o *oracle) whyReused(shown *refreshToken, asked question) string {
	if asked.because != "" {
		return asked.because
	}
	for _, made := range []*claimed{asked.claim, shown.by} {
		if made == nil {
			continue
		}
		if because := o.mayBeLost(made); because != "" {
			return because
		}
	}
	return shown.because
}

// loggedIn judges a claim of a login: without a loss the refresh token would have done.
func (o *oracle) loggedIn(by writer, about *chronicle, before *document) {
	if before.Token == nil {
		return
	}
	because := about.lost
	switch {
	case because != "":
	case about.isTampered():
		because = about.byPeople()
	case o.claims[before.LastClaim] != nil && o.claims[before.LastClaim].owner != o.uidOf(o.claims[before.LastClaim].key):
		because = isGone // a pass over its object stored it late
	case before.Chain.Presented > 0 || before.Chain.Declined:
		because = "the refresh token is in doubt"
	}
	// A pass that does not know of the last change takes what is stored for that of another login.
	if because == "" && (about.changed > 0 || !o.hasSeen(about.changedLast-1)) {
		because = byPeople
	}
	if o.checks(rulePassword, o.ofPeople(because)) && because == "" {
		o.violated(ruleNames[rulePassword], "%s logs in, and nothing permitted the refresh token to be lost", by)
	}
}

// claimLife is after how long another process need not wait for the holder of a claim.
const claimLife = 40 * time.Second

// diskFailed records that the disk failed an operation on a file.
func (o *oracle) diskFailed(what, file string) {
	o.world.mu.Lock()
	defer o.world.mu.Unlock()
	made := o.claims[file]
	switch {
	case what == "read" || what == "scan":
		o.unreadable[file]++
	case made != nil && made.used:
		o.broken[file] = true
	}
}

// sealing is how long the operator waits for the disk to take a reply.
const sealing = 3 * time.Second

// sealed records the end of an operation on the file of a reply.
func (o *oracle) sealed(file string) {
	o.world.mu.Lock()
	defer o.world.mu.Unlock()
	made := o.claims[file]
	if made == nil || made.heard == 0 {
		return
	}
	if o.world.now()-made.heard >= sealing {
		o.broken[file] = true
	}
}

// isLost reports whether a verdict says that a reply is lost.
func isLost(before, after *document) bool {
	return after.Serial == before.Serial && after.Failure != nil && after.Failure.Verdict == token.Unknown &&
		(after.LastClaim == before.Claim.ID || slices.Contains(after.Lost, before.Claim.ID))
}
