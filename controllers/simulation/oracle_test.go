package simulation

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/fluent-credential/operator/api/v1alpha1"
	"github.com/fluent-credential/operator/controllers"
	"github.com/fluent-credential/operator/internal/custody"
	"github.com/fluent-credential/operator/internal/exchange"
	"github.com/fluent-credential/operator/internal/journal"
	"github.com/fluent-credential/operator/internal/loginguard"
	"github.com/fluent-credential/operator/internal/token"
)

// oracle watches every effect and says which promise was broken.
type oracle struct {
	world     *world
	violation *violation

	claims      map[string]*claimed // by id
	order       []*claimed          // in the order of their writing
	presented   map[string]int      // presentations of a refresh token that nobody can know the end of
	stored      map[string]bool     // access tokens that a state Secret held
	about       map[types.NamespacedName]*chronicle
	broken      map[string]bool // by claim: the disk failed an operation on the file of its reply
	unreadable  map[string]int  // by claim: how often the disk did not show the file
	unmarked    map[marked]bool // marks that a life could not read
	clocks      map[*replica]*clock
	tallies     tallies
	told        map[string]bool // texts that were searched for secrets
	consumption *consumption
	forgotten   []span
	formerly    []formerPolicy
	seeds       map[string]bool // that were presented in a state that people changed
}

// marked is a mark as one life sees it.
type marked struct {
	by   writer
	file string
}

// violation is a broken promise.
type violation struct{ rule, what string }

func (v *violation) String() string { return v.rule + ": " + v.what }

// claimed is a claim that was written.
type claimed struct {
	custody.Claim
	salt  string
	owner types.UID
	key   types.NamespacedName
	by    writer
	at    time.Duration
	// serial is that of the state which the claim was written into.
	serial int64
	used   bool
	last   bool // the login was refused, so the policy may try the token once more
	moved  bool // a state did not wait for it any more

	refresh    string // the refresh token that was presented
	fault      fault
	because    string        // why its reply may be lost; empty: it may not
	isTampered bool          // people changed the state, and that was not over when it was made, or they did since
	mistimed   bool          // the clock of its process was wrong
	heard      time.Duration // when its reply was read to the end; zero: it was not
	seen       int           // how much of the history its pass knew when it began
	witnessed  bool          // others showed a higher serial than the state did
}

// presentation is a refresh token or a login on its way.
type presentation struct {
	claim *claimed
	asked question
	fault fault
}

// chronicle is what happened to one credential.
type chronicle struct {
	epochs
	serial    int64 // the highest that was published
	highest   int64 // the highest that was stored
	rotations int
	// changed is how much of the history there was when people last changed the spec or the login so that the stored
	// tokens belong to another one; zero: they did not.
	changed     int
	changedLast int // likewise; it stays
}

func newOracle(w *world) *oracle {
	o := &oracle{
		world: w, claims: map[string]*claimed{}, presented: map[string]int{}, stored: map[string]bool{},
		about: map[types.NamespacedName]*chronicle{}, broken: map[string]bool{}, unreadable: map[string]int{},
		unmarked: map[marked]bool{}, clocks: map[*replica]*clock{}, told: map[string]bool{}, seeds: map[string]bool{},
	}
	for _, key := range w.setup.credentials {
		o.about[key] = &chronicle{}
	}
	o.consumption = newConsumption(w)
	return o
}

func (o *oracle) violated(rule, format string, args ...any) {
	o.world.mu.Lock()
	isFirst := o.violation == nil
	if isFirst {
		o.violation = &violation{rule, fmt.Sprintf(format, args...)}
	}
	o.world.mu.Unlock()
	if isFirst {
		o.world.tell("## %s", o.violation)
	}
}

// said searches everything that is told for secrets (I7).
func (o *oracle) said(where, text string) {
	o.world.mu.Lock()
	isKnown := o.told[text]
	o.told[text] = true
	o.world.mu.Unlock()
	if !isKnown && (strings.Contains(text, mark) || o.world.setup.echoes && leaks(text)) {
		o.violated("I7 no secret is told", "%s: %s", where, text)
	}
}

// document is a state Secret as it is stored.
type document struct {
	custody.State
	Access  string `json:"accessToken"`
	Refresh string `json:"refreshToken"`
	edited  bool
}

func documentOf(object clientObject) *document {
	secret, ok := object.(*corev1.Secret)
	if !ok || secret == nil || secret.Type != v1alpha1.StateSecretType {
		return nil
	}
	read := &document{edited: string(secret.Data["checksum"]) == "edited"}
	if json.Unmarshal(secret.Data["state.json"], read) != nil {
		return nil
	}
	return read
}

// wrote looks at every write that the API server took.
func (o *oracle) wrote(by writer, before, after clientObject) {
	o.consumption.wrote(by, before, after)
	o.world.pace.wrote(by, before, after)
	o.world.statuses.wrote(by, before, after)
	switch written := after.(type) {
	case *v1alpha1.FluentCredential:
		if was, ok := before.(*v1alpha1.FluentCredential); ok && !equality.Semantic.DeepEqual(was.Status, written.Status) {
			o.wroteStatus(by, written)
		}
	case *corev1.Secret:
		key := types.NamespacedName{Namespace: written.Namespace, Name: written.Annotations[v1alpha1.CredentialAnnotation]}
		about := o.about[key]
		if about == nil || by == people {
			return
		}
		if written.Type == v1alpha1.StateSecretType {
			o.wroteState(by, key, about, o.world.cluster.document(before), o.world.cluster.document(after))
		} else {
			o.wroteWorkload(by, about, before, written)
		}
	}
}

// dropped looks at every object that is gone: a state is not, unless its object is or a copy is there.
func (o *oracle) dropped(by writer, gone clientObject) {
	o.consumption.dropped(gone)
	was := o.world.cluster.document(gone)
	if by == people || was == nil || was.edited || was.Token == nil {
		return
	}
	key := types.NamespacedName{Namespace: gone.GetNamespace(), Name: gone.GetAnnotations()[v1alpha1.CredentialAnnotation]}
	about := o.about[key]
	if about == nil || o.uidOf(key) == "" || !metav1.IsControlledBy(gone, o.world.credential(key)) {
		return
	}
	if truth := o.world.truth(key); o.checks(ruleVanished, about.byPeople()) && (truth == nil || truth.Serial < was.Serial) {
		o.violated(ruleNames[ruleVanished], "%s removed the state of %s with serial %d", by, key.Name, was.Serial)
	}
}

// wroteWorkload checks I2 and I5, and that nothing goes out that has expired.
func (o *oracle) wroteWorkload(by writer, about *chronicle, before clientObject, after *corev1.Secret) {
	access := string(after.Data[v1alpha1.AccessTokenKey])
	if access != "" && access != "edited" && !o.stored[access] {
		o.violated("I2 only stored tokens are published", "%s published %s", by, access)
	}
	for key, value := range after.Data {
		for _, kind := range []string{"-R", "-password", "-client", "-wrong"} {
			if strings.Contains(string(value), mark+kind) {
				o.violated("a workload Secret holds an access token only", "%s has %s", key, value)
			}
		}
	}
	for _, words := range []map[string]string{after.Annotations, after.Labels} {
		for name, value := range words {
			o.said("metadata of a workload Secret", name+" "+value)
		}
	}
	serial := serialOf(after)
	if before != nil && serialOf(before) > serial {
		o.violated("I5 the serial never goes back", "%s wrote %d over %d", by, serial, serialOf(before))
	}
	if owner := metav1.GetControllerOf(after); owner == nil || owner.UID != o.uidOf(keyOfOwner(after)) {
		return // a pass over an object that is gone
	}
	about.serial = max(about.serial, serial)
	about.putBack = 0
}

func keyOfOwner(owned clientObject) types.NamespacedName {
	return types.NamespacedName{Namespace: owned.GetNamespace(), Name: owned.GetAnnotations()[v1alpha1.CredentialAnnotation]}
}

func serialOf(object clientObject) int64 {
	serial, _ := strconv.ParseInt(object.GetAnnotations()[v1alpha1.SerialAnnotation], 10, 64)
	return serial
}

// isBeside tells whether the truth is under the other name: what a process that was held up writes beside it is not looked at.
func (o *oracle) isBeside(key types.NamespacedName, serial int64) bool {
	truth := o.world.truth(key)
	return truth != nil && truth.Serial >= serial
}

// wroteState checks the transition that a replica made.
func (o *oracle) wroteState(by writer, key types.NamespacedName, about *chronicle, before, after *document) {
	if after == nil {
		return
	}
	if before == nil || before.edited {
		before = &document{State: custody.State{Serial: 0}}
		isOlder := o.uidOf(key) != "" && after.Serial < about.serial && !o.isBeside(key, about.serial)
		if o.checks(ruleBegun, about.byPeople()) && isOlder {
			o.violated("I5 the serial never goes back", "%s began a state with %d after %d was published", by, after.Serial, about.serial)
		}
	}
	isNew := after.Access != "" && !o.stored[after.Access]
	o.stored[after.Access] = after.Access != ""
	if isNew {
		o.commitIsJournaled(by, after)
	}
	o.stateGoesOn(by, before, after)
	o.stateIsClaimed(by, key, about, before, after)
	o.notice(after)
	o.claimIsEnded(by, about, before, after)
	about.highest = max(about.highest, after.Serial)
	switch {
	case isNew:
		o.committed(by, about, o.claims[after.LastClaim], after)
	case o.isClockWrong(by):
		about.mistimed = true
		about.wasMistimed = true
	}
	if after.Serial > before.Serial && before.Serial > 0 {
		o.world.counts.rotations++
		about.rotations++
	}
}

// presentsAgain tells whether the policy allows a second presentation.
func (o *oracle) presentsAgain() bool {
	return slices.ContainsFunc(o.policies(), func(policy v1alpha1.LostReplyPolicy) bool {
		return policy == v1alpha1.LostReplyRetry || policy == v1alpha1.LostReplyAuto && !o.world.setup.renews
	})
}

func (o *oracle) stateGoesOn(by writer, before, after *document) {
	switch {
	case after.Serial < before.Serial:
		o.violated("I5 the serial never goes back", "%s stored serial %d over %d", by, after.Serial, before.Serial)
	case after.Serial == before.Serial && before.Access != "" && after.Access != before.Access:
		o.violated("each token has a serial of its own", "%s stored another token as %d", by, after.Serial)
	case before.Claim == nil && after.Serial == before.Serial && before.Chain != nil && after.Chain == nil:
		o.violated("I6 a refusal changes only the state that it is about", "%s dropped the chain without a claim", by)
	}
}

// stateIsClaimed remembers claims, and looks for one that nobody needed (I8).
func (o *oracle) stateIsClaimed(by writer, key types.NamespacedName, about *chronicle, before, after *document) {
	if after.Claim == nil || before.Claim != nil && before.Claim.ID == after.Claim.ID {
		return
	}
	if before.Claim != nil {
		o.violated("one exchange at a time", "%s claimed over a claim", by)
	}
	if o.claims[after.Claim.ID] == nil {
		made := &claimed{Claim: *after.Claim, salt: after.Salt, owner: o.uidOf(key), key: key, by: by, at: o.world.now(), serial: after.Serial}
		made.last = before.Failure != nil && before.Failure.Barred
		made.isTampered = about.isTampered()
		made.mistimed = o.isClockWrong(by)
		if running := o.world.running; running != nil {
			made.seen = running.seen
		}
		made.witnessed = o.isWitnessed(by, key, after.Serial)
		o.claims[after.Claim.ID], o.order = made, append(o.order, made)
	}
	if after.Claim.Grant == revocation {
		o.onlyWhatGoesIsRevoked(by, key)
		return
	}
	if after.Claim.Grant == token.Password {
		o.loggedIn(by, about, before)
	}
	if calm := before.Failure == nil && before.Token != nil && (before.Chain == nil || before.Chain.Presented == 0); !calm {
		return
	}
	excuse := about.byPeople()
	if excuse == "" {
		excuse = excuseIf(about.disturbed > 0 || after.Claim.Seed, "people asked for a token")
	}
	if excuse == "" {
		excuse = excuseIf(about.mistimed || o.isClockWrong(by), "a clock was wrong")
	}
	if o.checks(ruleNeedless, excuse) {
		if early := before.Token.Refresh.Sub(start.Add(o.world.now())); early > time.Minute {
			o.violated("I8 nothing is spent for a repair", "%s claims %s before the token is due", by, early)
		}
	}
}

func (o *oracle) onlyWhatGoesIsRevoked(by writer, key types.NamespacedName) {
	if cred := o.world.credential(key); cred != nil && cred.DeletionTimestamp.IsZero() {
		o.violated("a revocation spares the living", "%s claims to revoke the refresh token of %s, which is not going", by, key.Name)
	}
}

// revoked holds revocations to the chains that nobody lives on.
func (o *oracle) revoked(ended *family) {
	for _, key := range o.world.setup.credentials {
		cred := o.world.credential(key)
		if cred == nil || !cred.DeletionTimestamp.IsZero() {
			continue
		}
		for _, name := range custody.Names(key.Name) {
			state := o.world.document(name)
			if state == nil || state.Chain == nil {
				continue
			}
			if shown := o.world.server.refresh[state.Refresh]; shown != nil && shown.family == ended {
				o.violated("a revocation spares the living", "%s lives on family %d", key.Name, ended.number)
			}
		}
	}
}

// notice marks the claims that the state does not wait for any more.
func (o *oracle) notice(after *document) {
	for _, c := range o.order {
		if after.Salt == c.salt && !after.Awaits(c.Claim) {
			c.moved = true
		}
	}
}

// claimIsEnded checks who ends a claim, and when (I6).
func (o *oracle) claimIsEnded(by writer, about *chronicle, before, after *document) {
	if before.Claim == nil || after.Claim != nil {
		return
	}
	made := o.claims[before.Claim.ID]
	isEnded := after.LastClaim == before.Claim.ID || slices.Contains(after.Lost, before.Claim.ID) || made != nil && !made.used
	if o.checks(ruleOwnClaim, about.byPeople()) && !isEnded {
		o.violated("I6 a refusal changes only the state that it is about", "%s ended a claim that is not its own", by)
		return
	}
	if made == nil {
		return
	}
	isRefused := after.Serial == before.Serial && after.Failure != nil && after.LastClaim == before.Claim.ID && made.refresh != ""
	if isRefused && (after.Failure.Verdict == token.RefusedDead || after.Failure.Verdict == token.Declined) {
		o.refusedDead(by, about, made)
	}
	if !isLost(before, after) {
		return
	}
	if by != made.by && o.isAlive(made.by) && o.world.now()-made.at < controllers.SpendBefore+exchange.ReplyTimeout {
		o.violated("a claim is left to its holder", "%s settled the claim of %s after %s", by, made.by, o.world.now()-made.at)
	}
	isUnsent := o.isProvablyUnsent(by, made)
	if o.checks(ruleUnsent, excuseIf(o.unreadable[made.ID] > 0, "the disk did not show the file")) && isUnsent {
		o.violated("F1 what was never sent is not lost", "%s settled a claim of which the journal tells that nothing was sent", by)
	}
	o.settledAsLost(by, about, made)
}

func (o *oracle) isProvablyUnsent(by writer, made *claimed) bool {
	r := o.replica(by)
	if r == nil || r.Journal == nil {
		return false
	}
	var defect *journal.Defect
	_, err := r.disk.journalOf(r.disk.now).Find(made.ID)
	return errors.As(err, &defect) && defect.Unsent
}

func (o *oracle) isAlive(who writer) bool {
	for _, r := range o.world.replicas {
		if r.writer() == who && !r.dead {
			return true
		}
	}
	return false
}

// commitIsJournaled: what is committed was durable before, or a crash could have lost it (I3).
func (o *oracle) commitIsJournaled(by writer, after *document) {
	r := o.replica(by)
	made := o.claims[after.LastClaim]
	if r == nil || r.Journal == nil || made == nil || made.by != by || o.world.running.name == recovery {
		return
	}
	isGivenUp := r.disk.isAtWork(made.ID) && o.world.now()-made.heard >= sealing
	excuse := excuseIf(o.broken[made.ID] || isGivenUp, "the disk failed")
	if !o.checks(ruleDurable, excuse) {
		return
	}
	if _, err := r.disk.durably().Find(after.LastClaim); err != nil {
		o.violated("I3 a reply is durable before it is committed", "the journal of %s says: %v", by, err)
	}
}

func (o *oracle) replica(who writer) *replica {
	for _, r := range o.world.replicas {
		if r.writer() == who {
			return r
		}
	}
	return nil
}

// durably is the journal as it would be after a power failure.
func (d *disk) durably() *journal.Journal {
	var files []*file
	for _, f := range d.durable {
		files = append(files, &file{name: f.name, content: f.synced, size: f.size})
	}
	return d.journalOf(files)
}

// journalOf shows files of the disk to the oracle.
func (d *disk) journalOf(files []*file) *journal.Journal {
	opened, err := journal.OpenOn(&disk{platter: &platter{now: files, boots: d.boots}, replica: d.replica, quiet: true}, journalDir, d.replica.journalKey())
	if err != nil {
		panic(err)
	}
	return opened
}

// removing: a whole reply is removed only when a state holds it, or none waits for it (I3).
func (o *oracle) removing(d *disk, id string) {
	made := o.claims[id]
	if made == nil || made.moved || made.owner != o.uidOf(made.key) {
		return
	}
	if !o.checks(ruleKept, excuseIf(made.isTampered, byPeople)) {
		return
	}
	if entry, err := d.durably().Find(id); err == nil && strings.Contains(entry.Reply.Reveal(), mark+"-A") {
		o.violated("I3 a reply is kept until it is stored", "%s removes the reply of a claim that is not stored", d.replica.writer())
	}
}

func (o *oracle) uidOf(key types.NamespacedName) types.UID {
	if cred := o.world.credential(key); cred != nil && cred.DeletionTimestamp.IsZero() {
		return cred.UID
	}
	return ""
}

// presenting looks at everything that is sent (I1, the fence, and the number of presentations).
func (o *oracle) presenting(r *replica, asked question, f fault) *presentation {
	w := o.world
	w.counts.sent++
	made := o.claimFor(r, asked)
	if made == nil {
		o.violated("I1 a claim comes before a presentation", "%s sends %s without a claim", r.writer(), asked)
		return &presentation{asked: asked, fault: f}
	}
	made.used = true
	made.mistimed = made.mistimed || o.isClockWrong(made.by)
	made.refresh = asked.refresh
	made.fault = f
	if late := w.now() - made.at; late > controllers.SpendBefore {
		o.violated("the fence", "%s sends %s after its claim", r.writer(), late)
	}
	if f != none && f != slow {
		w.counts.faults++
	}
	if asked.grant == revocation {
		return &presentation{claim: made, asked: asked, fault: f} // it obtains nothing, so nothing can be lost with it
	}
	if !f.isProvable() && f != none && f != slow {
		made.lose("the network:" + f.String())
	}
	o.count(r, made, asked)
	o.isOfNow(r, made, asked)
	return &presentation{claim: made, asked: asked, fault: f}
}

// count holds the number of presentations to what the policy permits: a token of which nobody knows whether it is spent is
// presented once more at most, and not at all where the login or the policy has another way.
func (o *oracle) count(r *replica, made *claimed, asked question) {
	if asked.refresh == "" || o.world.setup.dialect.keepsTokens {
		return
	}
	most := 1
	if o.presentsAgain() || made.last && slices.Contains(o.policies(), v1alpha1.LostReplyAuto) {
		most = 2
	}
	o.presented[asked.refresh]++
	times := o.presented[asked.refresh]
	if about := o.about[made.key]; about.isTampered() {
		about.again[asked.refresh]++
		times = about.again[asked.refresh]
		if made.witnessed { // it was sent before that, as others show
			times++
		}
		most = 2
	}
	// The guard may not have heard that a seed was sent, and people removed the state that knew it.
	isUnknown := o.about[made.key].isTampered() && made.Seed || o.seeds[asked.refresh]
	if isUnknown && o.about[made.key].isTampered() {
		o.seeds[asked.refresh] = true
	}
	if o.checks(rulePresentations, excuseIf(isUnknown && times > most, byPeople)) && times > most {
		o.violated("presentations", "%s presents %s for the %d. time; the policy permits %d", r.writer(), asked.refresh, times, most)
	}
}

// isWitnessed reports whether a replica has seen a higher serial than that of the state which it claims in.
func (o *oracle) isWitnessed(by writer, key types.NamespacedName, serial int64) bool {
	r := o.replica(by)
	if r == nil {
		return false
	}
	cached, isThere := r.cache[objectKey{secretKind, types.NamespacedName{Namespace: key.Namespace, Name: targetOf(key)}}]
	target := o.world.secret(targetOf(key))
	return isThere && target != nil && serialOf(cached) > serial && serialOf(target) > serial
}

// isOfNow: a state that came out of a backup is known by the mark, whatever else came out of it, and its refresh token is not
// presented where the policy has another way. A seed is nothing that a state had.
func (o *oracle) isOfNow(r *replica, made *claimed, asked question) {
	if asked.refresh == "" || made.Seed || made.last || o.presentsAgain() || r.Journal == nil {
		return
	}
	isUnread := o.unmarked[marked{r.writer(), string(made.owner) + markExtension}]
	if !o.checks(ruleBackup, excuseIf(isUnread, "the disk did not show the mark")) {
		return
	}
	if marked := r.disk.journalOf(r.disk.now).Marked(string(made.owner)); marked > made.serial {
		o.violated("F22 a token of a backup is not presented", "%s presents %s out of a state with serial %d, and has seen %d",
			r.writer(), asked.refresh, made.serial, marked)
	}
}

// claimFor finds the claim that a presentation stands on. Each stands for one.
func (o *oracle) claimFor(r *replica, asked question) *claimed {
	for i := len(o.order) - 1; i >= 0; i-- {
		c := o.order[i]
		if c.used || c.Holder.Start != r.Holder.Start || string(c.Grant) != asked.grant || c.key.Name != o.world.running.name {
			continue
		}
		if asked.refresh == "" || token.NewSecret(asked.refresh).Hash(c.salt) == c.Spends {
			return c
		}
	}
	return nil
}

// heard is a reply that was read to its end.
func (o *oracle) heard(p *presentation) {
	if p.claim != nil {
		p.claim.heard = o.world.now()
	}
	if p.asked.refresh != "" && p.fault.isProvable() && p.claim != nil && p.claim.Grant != revocation {
		o.presented[p.asked.refresh]--
		if again := o.about[p.claim.key].again; again[p.asked.refresh] > 0 {
			again[p.asked.refresh]--
		}
	}
}

// unheard is a reply that nobody waits for any more.
func (o *oracle) unheard(p *presentation) {
	if p.claim != nil {
		p.claim.lose("no reply in time")
	}
}

// reissued: a token that a password was given again is as good as new.
func (o *oracle) reissued(refresh string) { delete(o.presented, refresh) }

// refusedLogin holds the refused logins of one user to the guard's budget (I4).
func (o *oracle) refusedLogin(name string, refusals []refusedLogin) {
	if !o.checks(ruleBudget, excuseIf(o.wereClocksWrong(loginguard.Window+loginguard.Flight), "a clock was wrong")) {
		return
	}
	window := loginguard.Window - o.world.apart // one process waits for what another one wrote down, by a clock of its own
	counted := map[*claimed]bool{}              // the network may deliver one twice, or late
	for _, refused := range o.knownToGuard(refusals) {
		if refused.claim != nil && o.world.now()-refused.sent < window {
			counted[refused.claim] = true
		}
	}
	if got := len(counted); got > loginguard.Budget {
		o.violated("I4 the login guard's budget", "%d logins of %s were refused in 20 minutes", got, name)
	}
}

// wroteStatus: no expired token is called good.
func (o *oracle) wroteStatus(by writer, cred *v1alpha1.FluentCredential) {
	if by == people {
		return
	}
	encoded, _ := json.Marshal(cred.Status)
	o.said("status", string(encoded))
	status, running := cred.Status, o.world.running
	if status.Token == nil || running == nil || !meta.IsStatusConditionTrue(status.Conditions, v1alpha1.ConditionReady) {
		return
	}
	about := o.about[types.NamespacedName{Namespace: cred.Namespace, Name: cred.Name}]
	if about == nil || !o.checks(ruleExpiry, excuseIf(o.isMistimed(about) || o.isClockWrong(by), "a clock was wrong")) {
		return
	}
	if expired := start.Add(running.begun).Sub(status.Token.ExpirationTime.Time); expired > 30*time.Second {
		o.violated("no expired token is published as good", "%s says Ready %s after the expiry", by, expired)
	}
	access := ""
	if secret := o.world.secret(cred.TargetName()); secret != nil && (about.putBack == 0 || o.hasSeen(about.putBack)) {
		access = string(secret.Data[v1alpha1.AccessTokenKey])
	}
	if known := o.world.server.access[access]; known != nil && running.begun-known.expires > 30*time.Second {
		o.violated("no expired token is published as good", "%s says Ready of a token that expired at %s", by, known.expires)
	}
}
