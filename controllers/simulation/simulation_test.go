package simulation

import (
	"flag"
	"fmt"
	"os"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/types"

	"github.com/fluent-credential/operator/api/v1alpha1"
	"github.com/fluent-credential/operator/internal/custody"
	"github.com/fluent-credential/operator/internal/loginguard"
)

var (
	seeds     = flag.Int("seeds", 2000, "how many seeds to run")
	firstSeed = flag.Uint64("seed", 1, "the first of them")
	census    = flag.Bool("census", false, "count the seeds that fail, by rule, in place of ending at the first")
	long      = flag.Bool("long", false, "let things go wrong for ten times as long in each seed")
)

// counts are what a run went through.
type counts struct {
	steps, rotations, sent, crashes, freezes, faults, acts, choices int
	endedByPerson, unsettled, revoked, stops                        int
	consumers, distributions, ailments                              int
	tallies                                                         tallies
	losses                                                          map[string]int // of replies, by their causes
	lasting, suffered                                               int            // lasting faults, and operations that met one
}

func (c *counts) add(other counts) {
	c.steps += other.steps
	c.rotations += other.rotations
	c.sent += other.sent
	c.crashes += other.crashes
	c.freezes += other.freezes
	c.faults += other.faults
	c.acts += other.acts
	c.choices += other.choices
	c.endedByPerson += other.endedByPerson
	c.unsettled += other.unsettled
	c.revoked += other.revoked
	c.consumers += other.consumers
	c.distributions += other.distributions
	c.ailments += other.ailments
	c.stops += other.stops
	c.tallies.add(other.tallies)
	if c.losses == nil {
		c.losses = map[string]int{}
	}
	for because, number := range other.losses {
		c.losses[because] += number
	}
	c.lasting += other.lasting
	c.suffered += other.suffered
}

func (c counts) String() string {
	return fmt.Sprintf("%d effects, %d rotations, %d requests, %d crashes, %d stops, %d freezes, %d requests that went wrong, "+
		"%d acts of people, %d faults and detours in all, %d lasting faults met by %d operations, %d revocations, %d consumers, "+
		"%d tokens distributed to them, %d hosts that ailed, %d runs in which a person had to help, %d that had not come to rest",
		c.steps, c.rotations, c.sent, c.crashes, c.stops, c.freezes, c.faults, c.acts, c.choices, c.lasting, c.suffered, c.revoked,
		c.consumers, c.distributions, c.ailments, c.endedByPerson, c.unsettled)
}

// options of one run.
type options struct {
	script  []choice // nil: chance
	verbose bool
}

// simulate runs one seed from its beginning to its end.
func simulate(t *testing.T, seed uint64, o options) (w *world) {
	inBubble(t, func() { w = live(seed, o) })
	return w
}

func live(seed uint64, o options) *world {
	w := build(seed, o.script)
	w.plan()
	w.verbose = o.verbose
	w.tell("%+v", w.setup)
	never := func() bool { return false }
	lives := 1
	if *long {
		lives = 10
	}
	w.run(time.Duration(lives)*w.setup.storm, lives*3000, never)
	if w.oracle.violation == nil {
		w.becalm()
		w.mustPublish()
	}
	if w.oracle.violation == nil {
		w.end()
	}
	w.finish()
	w.counts.steps, w.counts.choices = w.steps, len(w.dice.made)
	w.counts.consumers = len(w.setup.consumers)
	w.counts.tallies = w.oracle.tallies
	return w
}

// mustPublish: before a person does anything, workloads get every good token that is stored.
func (w *world) mustPublish() {
	stored := map[types.NamespacedName]int64{}
	for _, key := range w.setup.credentials {
		if state := w.truth(key); state != nil && !state.edited && state.Token != nil && start.Add(w.now()+2*calmWait).Before(state.Token.Expires) {
			stored[key] = state.Serial
		}
	}
	missing := func() int {
		return slices.IndexFunc(w.setup.credentials, func(key types.NamespacedName) bool {
			serial, isStored := stored[key]
			return isStored && !w.isPublished(key, serial)
		})
	}
	w.run(w.now()+calmWait+time.Minute, 5000, func() bool { return missing() < 0 })
	at := missing()
	if w.oracle.violation != nil || len(stored) == 0 {
		return
	}
	key := w.setup.credentials[max(at, 0)]
	if !w.oracle.checks(rulePublished, excuseIf(w.oracle.about[key].mistimed, "a clock was wrong")) || at < 0 {
		return
	}
	w.oracle.violated("what is stored is published", "%s, serial %d: %s", key.Name, stored[key], w.state(key))
}

// isPublished tells whether workloads have a token of that serial or a newer one, or will get one when an exchange has ended.
func (w *world) isPublished(key types.NamespacedName, serial int64) bool {
	state, workload := w.truth(key), w.secret(targetOf(key))
	if w.isGoing(key) || state == nil || state.Claim != nil || state.Serial != serial {
		return true
	}
	return workload != nil && serialOf(workload) >= serial
}

// end lets people put right what they put wrong, looks whether everything comes to rest, and goes on from there.
func (w *world) end() {
	w.putRight()
	until := w.now() + w.patience()
	isAtRest := w.run(until, 20000, w.isWellOrHonest)
	if w.oracle.violation != nil {
		return
	}
	if !w.oracle.checks(ruleRest, w.isUnsettled(isAtRest, until)) && !isAtRest {
		w.counts.unsettled++ // what it waits for is further away than it is worth
		return
	}
	if !isAtRest {
		w.oracle.violated("it comes to rest", "%s", w.state(w.setup.credentials[0]))
	}
	if w.oracle.violation == nil {
		w.endWithPerson()
	}
	w.mustGoOn()
	w.mustSupply()
	w.mustSpareOthers()
}

// isUnsettled is why a run that did not come to rest may not have to.
func (w *world) isUnsettled(isAtRest bool, until time.Duration) string {
	switch {
	case isAtRest:
		return ""
	case w.now() < until:
		return "it takes more effects than it is worth"
	case w.oracle.wereClocksWrong(w.now() - w.setup.storm):
		return "a clock was wrong"
	}
	for _, key := range w.setup.credentials {
		if w.oracle.about[key].mistimed {
			return "a clock was wrong"
		}
	}
	return ""
}

// endWithPerson is for a chain that may be lost: the status has to say so, and a new refresh token has to help. Who waited for a
// login that another one had may be asked for one of its own only when that has come to rest: a person looks again.
func (w *world) endWithPerson() {
	w.counts.endedByPerson += min(1, len(w.unwell()))
	for range len(w.setup.credentials) + 1 {
		w.run(w.now()+10*time.Minute, 5000, w.isWellOrHonest) // one that helps others may be in the midst of a rotation
		w.help()
		if w.isWell() || w.oracle.violation != nil || w.run(w.now()+2*time.Hour, 5000, w.isWell) {
			return
		}
	}
	if w.oracle.violation == nil {
		w.oracle.violated("a new refresh token helps", "%s", w.state(w.unwell()[0]))
	}
}

// unwell are the credentials that cannot go on by themselves.
func (w *world) unwell() []types.NamespacedName {
	return slices.DeleteFunc(slices.Clone(w.setup.credentials), func(key types.NamespacedName) bool { return w.isWellOf(key) || w.isInUse(key) })
}

// help gives a new refresh token to those whose status asks for it.
func (w *world) help() {
	for _, key := range w.unwell() {
		if state := w.truth(key); state != nil && state.Claim != nil && !state.edited {
			continue // it is at work
		}
		if about := w.oracle.about[key]; w.mustRenew() || about.lost == "" && !w.isSpent(key) {
			w.oracle.violated("it ends well", "%s: %s", key.Name, w.state(key))
			return
		}
		if !w.isHonest(key) {
			w.oracle.violated("the status is honest", "%s: %s", key.Name, w.state(key))
			return
		}
		w.reseed(key)
	}
}

// mustRenew tells whether no person may be needed: there is a password, and the policy does not ask for a person.
func (w *world) mustRenew() bool { return w.setup.renews && w.setup.policy != v1alpha1.LostReplyStop }

// mustGoOn sees every credential through one more rotation.
func (w *world) mustGoOn() {
	if w.oracle.violation != nil {
		return
	}
	before := map[types.NamespacedName]int64{}
	for _, key := range w.setup.credentials {
		before[key] = w.serial(key)
	}
	turned := func() bool {
		for key, serial := range before {
			if !w.isInUse(key) && w.serial(key) <= serial {
				return false
			}
		}
		return w.isWell()
	}
	if w.run(w.now()+3*w.setup.dialect.life+time.Minute, 5000, turned) || w.oracle.violation != nil {
		return
	}
	// Two logins whose end nobody heard are as good as two refused ones: who then has to log in waits until they count no more.
	if w.isLocked() && (w.run(w.now()+loginguard.Window+2*time.Minute, 5000, turned) || w.oracle.violation != nil) {
		return
	}
	for _, key := range w.setup.credentials {
		mayEnd := w.isHonest(key) && (w.oracle.about[key].lost != "" || w.isSpent(key)) && !w.mustRenew()
		if !w.isInUse(key) && !mayEnd && w.serial(key) <= before[key] {
			w.oracle.violated("it goes on", "%s: %s", key.Name, w.state(key))
		}
	}
}

// isLocked tells whether a credential says that it waits for the login guard.
func (w *world) isLocked() bool {
	return slices.ContainsFunc(w.setup.credentials, func(key types.NamespacedName) bool {
		return strings.Contains(w.condition(key, v1alpha1.ConditionReady), v1alpha1.ReasonLoginLocked)
	})
}

func (w *world) isWell() bool {
	for _, key := range w.setup.credentials {
		if !w.isWellOf(key) && !w.isInUse(key) {
			return false
		}
	}
	return true
}

// isWellOrHonest: nothing will change any more without a person.
func (w *world) isWellOrHonest() bool {
	for _, key := range w.setup.credentials {
		if w.isGoing(key) || !w.isWellOf(key) && !w.isInUse(key) && !w.isStuck(key) {
			return false
		}
	}
	return true
}

// isStuck tells whether the status says that only a person can go on.
func (w *world) isStuck(key types.NamespacedName) bool {
	return w.now()-w.lastStored(key) > time.Minute && strings.HasPrefix(w.condition(key, v1alpha1.ConditionStalled), "Stalled=True") && w.isHonest(key)
}

// lastStored is when a replica last wrote the state: for some time after that the status may be an older one.
func (w *world) lastStored(key types.NamespacedName) time.Duration {
	names := custody.Names(key.Name)
	for at := len(w.cluster.history) - 1; at >= 0; at-- {
		past := w.cluster.history[at]
		if past.key.kind == secretKind && past.by != people && slices.Contains(names[:], past.key.Name) {
			return past.at
		}
	}
	return 0
}

// isWellOf tells whether workloads have a token that the API takes, and every object says the same of it.
func (w *world) isWellOf(key types.NamespacedName) bool {
	cred, state, workload := w.credential(key), w.truth(key), w.secret(targetOf(key))
	if state == nil || workload == nil || w.isGoing(key) || state.Claim != nil || state.Failure != nil || cred.Status.Token == nil {
		return false
	}
	return meta.IsStatusConditionTrue(cred.Status.Conditions, v1alpha1.ConditionReady) &&
		meta.IsStatusConditionTrue(cred.Status.Conditions, v1alpha1.ConditionRenewable) &&
		cred.Status.Token.Serial == state.Serial && serialOf(workload) == state.Serial &&
		string(workload.Data[v1alpha1.AccessTokenKey]) == state.Access && w.server.accepts(state.Access)
}

func (w *world) condition(key types.NamespacedName, kind string) string {
	if cred := w.credential(key); cred != nil {
		if found := meta.FindStatusCondition(cred.Status.Conditions, kind); found != nil {
			return fmt.Sprintf("%s=%s %s: %s", kind, found.Status, found.Reason, found.Message)
		}
	}
	return kind + " is not there"
}

// isGoing tells whether the object is gone or being deleted: what it says of itself is no end, because another one follows.
func (w *world) isGoing(key types.NamespacedName) bool {
	cred := w.credential(key)
	return cred == nil || !cred.DeletionTimestamp.IsZero()
}

// isInUse: of two credentials with one login the younger one waits.
func (w *world) isInUse(key types.NamespacedName) bool {
	return w.setup.shared && strings.Contains(w.condition(key, v1alpha1.ConditionRenewable), v1alpha1.ReasonLoginInUse)
}

// isSpent: a seed that a person gave to two was spent by the one that is gone.
func (w *world) isSpent(key types.NamespacedName) bool {
	return w.setup.shared && !w.setup.renews && strings.Contains(w.condition(key, v1alpha1.ConditionRenewable), "Spent")
}

// isHonest: the chain is lost, and the status says that a person has to help.
func (w *world) isHonest(key types.NamespacedName) bool {
	said := w.condition(key, v1alpha1.ConditionRenewable)
	isDeclined := strings.Contains(said, "=False "+v1alpha1.ReasonCredentialsRejected) && strings.Contains(said, "refresh_token of")
	if w.setup.echoes && w.inputs() == 0 && !w.mustRenew() && isDeclined {
		return true // an unknown error may be about the login
	}
	if state := w.truth(key); state != nil && state.Chain != nil && state.Chain.Declined && !w.mustRenew() && strings.Contains(said, "=False "+v1alpha1.ReasonCredentialsRejected) {
		return true
	}
	return slices.ContainsFunc([]string{
		v1alpha1.ReasonReauthorizationRequired, v1alpha1.ReasonReplyLost, v1alpha1.ReasonRefreshTokenRejected, v1alpha1.ReasonStateInvalid,
		v1alpha1.ReasonCredentialsIncomplete,
	}, func(reason string) bool { return strings.Contains(said, "=False "+reason) })
}

func (w *world) serial(key types.NamespacedName) int64 {
	if state := w.truth(key); state != nil {
		return state.Serial
	}
	return 0
}

func (w *world) state(key types.NamespacedName) string {
	text := w.condition(key, v1alpha1.ConditionReady) + "; " + w.condition(key, v1alpha1.ConditionRenewable)
	if state := w.truth(key); state != nil {
		text += fmt.Sprintf("; serial %d, token accepted: %v, claim %v, chain %v", state.Serial, w.server.accepts(state.Access),
			state.Claim != nil, state.Chain != nil)
	}
	return text + "; lost: " + w.oracle.about[key].lost
}

// TestSeeds runs many seeds on all cores. It shrinks and reports the first that fails. If none does, each rule has to be
// checked in most of its occasions: that shows that epochs end.
func TestSeeds(t *testing.T) {
	began := time.Now()
	var all counts
	failed, ran := sweep(t, *firstSeed, *seeds, func(c counts) { all.add(c) }, progress(t))
	t.Logf("%d seeds in %s: %s", ran, time.Since(began).Round(time.Millisecond), all)
	if failed != nil {
		t.Fatal(report(t, *failed))
	}
	if *tallied || testing.Verbose() {
		t.Log(all.tallies)
	}
	all.tallies.mustBeChecked(t, ran)
}

// TestCensus counts the seeds that fail, by rule, and does not end at the first one.
func TestCensus(t *testing.T) {
	if !*census {
		t.Skip("only with -census")
	}
	var all counts
	rules := map[string][]string{}
	for from, end := *firstSeed, *firstSeed+uint64(*seeds); from < end; {
		failed, _ := sweep(t, from, int(end-from), all.add, progress(t))
		if failed == nil {
			break
		}
		fmt.Fprintf(os.Stderr, "seed %d: %s\n", failed.seed, failed.violation.rule)
		rules[failed.violation.rule] = append(rules[failed.violation.rule], fmt.Sprint(failed.seed, " ", failed.violation.what))
		from = failed.seed + 1
	}
	t.Log(all)
	if len(rules) == 0 {
		all.tallies.mustBeChecked(t, *seeds)
	}
	for rule, found := range rules {
		t.Errorf("%d × %s, such as seed %s", len(found), rule, strings.Join(found[:min(3, len(found))], "\n\tseed "))
	}
}

// progress tells how far a long run is.
func progress(t *testing.T) func(done int) {
	if *seeds < 20000 {
		return func(int) {}
	}
	return func(done int) {
		if done%5000 == 0 {
			fmt.Fprintf(os.Stderr, "%d of %d seeds\n", done, *seeds)
		}
	}
}

// failure is a seed that failed.
type failure struct {
	seed      uint64
	violation violation
	made      []choice
}

// sweep runs seeds until one fails; of several the lowest counts, so that the result does not depend on the number of cores.
func sweep(t *testing.T, first uint64, number int, count func(counts), told func(int)) (*failure, int) {
	var mu sync.Mutex
	var found *failure
	var next, done atomic.Int64
	var workers sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		workers.Go(func() {
			for {
				at := next.Add(1) - 1
				mu.Lock()
				stop := int(at) >= number || found != nil && first+uint64(at) > found.seed
				mu.Unlock()
				if stop {
					return
				}
				w := simulate(t, first+uint64(at), options{})
				mu.Lock()
				count(w.counts)
				told(int(done.Add(1)))
				if v := w.oracle.violation; v != nil && (found == nil || first+uint64(at) < found.seed) {
					found = &failure{first + uint64(at), *v, w.dice.made}
				}
				mu.Unlock()
			}
		})
	}
	workers.Wait()
	return found, int(done.Load())
}

func TestSameSeedSameTranscript(t *testing.T) {
	for seed := range uint64(60) {
		once := simulate(t, seed, options{verbose: true}).transcript
		again := simulate(t, seed, options{verbose: true}).transcript
		for i := range once {
			if i >= len(again) || once[i] != again[i] {
				before := strings.Join(once[max(0, i-20):i], "\n")
				t.Fatalf("seed %d does not repeat itself after\n%s\nonce:  %s\nagain: %s", seed, before, once[i],
					strings.Join(again[min(i, len(again)):min(i+1, len(again))], ""))
			}
		}
	}
}

// TestNothingIsAtRestThatIsBeingDeleted: what follows it begins with a serial of its own.
func TestNothingIsAtRestThatIsBeingDeleted(t *testing.T) {
	inBubble(t, func() { nothingIsAtRestThatIsBeingDeleted(t) })
}

func nothingIsAtRestThatIsBeingDeleted(t *testing.T) {
	w := build(1, []choice{})
	defer w.finish()
	if !w.run(w.setup.storm, 3000, w.isWell) || !w.isWellOrHonest() {
		t.Fatalf("nothing goes wrong, and it does not come to rest: %s", w.state(w.setup.credentials[0]))
	}
	if err := w.cluster.delete(people, objectKey{credentialKind, w.setup.credentials[0]}, "", ""); err != nil {
		t.Fatal(err)
	}
	if w.isWell() || w.isWellOrHonest() {
		t.Error("a credential that is being deleted counts as well")
	}
}

// patience is how long it may take until everything is well: a login that was refused is probed after 20 minutes, 1, 4, 24 hours.
func (w *world) patience() time.Duration {
	if w.setup.renews {
		return 30 * time.Hour
	}
	if w.setup.hasTenant() || w.setup.echoes { // an error that is not known is probed for some time before a person is asked
		return max(2*time.Hour, 3*w.setup.dialect.life, w.inputs())
	}
	return max(20*time.Minute, 3*w.setup.dialect.life, w.inputs())
}
