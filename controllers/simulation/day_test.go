package simulation

import (
	"flag"
	"fmt"
	"os"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/types"

	"github.com/fluent-credential/operator/api/v1alpha1"
	classof "github.com/fluent-credential/operator/internal/failure"
	"github.com/fluent-credential/operator/internal/loginguard"
)

var day = flag.String("day", "", "let each regime last for a day, too, and write what was measured into this file, as a Markdown table")

// beginning is what a regime finds when it begins.
type beginning string

// The beginnings.
const (
	noneYet beginning = "no token yet"
	isDue   beginning = "token is due"
	isSpent beginning = "token is spent" // the server has granted the next one, and the reply is on its way
)

// ordeal is a quiet world that goes through one regime.
type ordeal struct {
	*world
	t     *testing.T
	fault *lasting
	from  beginning
	key   types.NamespacedName

	serial    int64         // of the token before the regime
	expires   time.Duration // of that token; zero: there was none
	sent      int           // requests before the regime
	ready     time.Duration // from the end until Ready is True; negative: never
	renewed   time.Duration // from the end until there is a new token; negative: never
	held      time.Duration // the longest pass
	unready   bool          // Ready was not True at some time
	said      []words
	isStalled bool
	helped    bool
}

// words are what a condition said.
type words struct {
	after                         time.Duration
	kind, status, reason, message string
}

func (w words) because() string { return w.reason + ": " + w.message }

// For how long an expired token may be called good where nothing else goes wrong: a pass, and where a request is not
// answered or no status can be written, a step of the back-off of passes.
const (
	staleInQuiet = 2 * time.Second
	staleInError = 35 * time.Second
)

// stale returns which of them counts for a regime.
func (r *regime) stale() time.Duration {
	if r.requests == nil {
		return staleInQuiet
	}
	if read := r.requests(apiRequest{"get", objectKey{kind: secretKind}}); r.isMute || read != nil && read.hangs {
		return staleInError
	}
	return staleInQuiet
}

// dayLife is the life of a token: one expires while a regime lasts for an hour.
const dayLife = 30 * time.Minute

// newOrdeal makes the world: one credential, two replicas, one of which leads.
func newOrdeal(t *testing.T, one *regime, from beginning, lasts time.Duration, seed uint64) *ordeal {
	w := buildWith(seed, []choice{}, nil, func(s *setup) {
		s.replicas, s.elects, s.journal, s.shared, s.revocable = 2, true, true, false, false
		s.renews, s.policy = one.login == byPassword, v1alpha1.LostReplyAuto
		s.credentials = []types.NamespacedName{{Namespace: namespace, Name: "orders"}}
		s.dialect = dialect{life: dayLife, revokes: true}
	})
	o := &ordeal{world: w, t: t, from: from, key: w.setup.credentials[0], ready: -1, renewed: -1}
	o.fault = &lasting{regime: one, from: 1 << 60, to: 1 << 60}
	w.regimes = []*lasting{o.fault}
	w.verbose = testing.Verbose()
	w.statuses.stale = one.stale()
	w.onPass = func(took time.Duration) { o.held = max(o.held, took) }
	w.onGrant = func() {
		if o.from == isSpent && o.serial > 0 && !o.fault.begun {
			o.begin(lasts)
		}
	}
	if from == noneYet {
		o.begin(lasts)
		return o
	}
	if !w.run(time.Hour, 5000, w.isWell) {
		t.Fatalf("it is not well before anything fails: %s", w.state(o.key))
	}
	state := w.truth(o.key)
	o.serial, o.expires = state.Serial, state.Token.Expires.Sub(start)
	due := state.Token.Refresh.Sub(start)
	if from == isDue {
		w.run(due-2*time.Second, 5000, never)
		o.begin(lasts)
		return o
	}
	w.run(due+time.Minute, 5000, func() bool { return o.fault.begun })
	return o
}

func never() bool { return false }

// begin lets the regime begin now.
func (o *ordeal) begin(lasts time.Duration) {
	o.fault.from, o.fault.to = o.now(), o.now()+lasts
	o.fault.begin(o.world)
	o.held, o.sent = 0, o.counts.sent
}

// endure lives through the regime, and notes what the conditions say.
func (o *ordeal) endure() {
	o.run(o.fault.to, 3000000, func() bool { o.look(); return false })
	o.look()
}

func (o *ordeal) conditions() v1alpha1.FluentCredentialStatus {
	cred, _ := o.cluster.objects[objectKey{credentialKind, o.key}].(*v1alpha1.FluentCredential)
	if cred == nil {
		return v1alpha1.FluentCredentialStatus{}
	}
	return cred.Status
}

func (o *ordeal) look() {
	if o.now() > o.fault.to {
		return
	}
	o.unready = o.unready || !o.isReady()
	for _, one := range o.conditions().Conditions {
		said := words{o.now() - o.fault.from, one.Type, string(one.Status), one.Reason, one.Message}
		isKnown := func(before words) bool {
			return before.kind == said.kind && before.status == said.status && before.because() == said.because()
		}
		if !slices.ContainsFunc(o.said, isKnown) {
			o.said = append(o.said, said)
		}
	}
}

func (o *ordeal) isReady() bool {
	status := o.conditions()
	return meta.IsStatusConditionTrue(status.Conditions, v1alpha1.ConditionReady) && status.Token != nil &&
		status.Token.ExpirationTime.After(start.Add(o.now()))
}

func (o *ordeal) isRenewed() bool {
	status := o.conditions()
	return o.isReady() && status.Token.Serial > o.serial && meta.IsStatusConditionTrue(status.Conditions, v1alpha1.ConditionRenewable)
}

// recover goes on after the regime until all is well. Where a person has to help, one does.
func (o *ordeal) recover() {
	o.isStalled = meta.IsStatusConditionTrue(o.conditions().Conditions, v1alpha1.ConditionStalled)
	until := o.fault.to + o.patient()
	reach := func() bool {
		if o.ready < 0 && o.isReady() {
			o.ready = o.now() - o.fault.to
		}
		if o.renewed < 0 && o.isRenewed() {
			o.renewed = o.now() - o.fault.to
		}
		return o.renewed >= 0
	}
	if reach() || o.run(until, 500000, reach) || !o.fault.mayLose || o.oracle.violation != nil {
		return
	}
	o.helped = true
	o.isStalled = meta.IsStatusConditionTrue(o.conditions().Conditions, v1alpha1.ConditionStalled)
	o.reseed(o.key)
	o.run(o.now()+time.Minute, 50000, reach)
}

// patient is how long it may take until there is a new token, which one that is not due yet keeps waiting.
func (o *ordeal) patient() time.Duration {
	patience := 15*time.Minute + time.Minute
	if o.fault.class == classof.Input {
		patience = inputFor
	}
	if o.setup.renews && o.fault.mayLose {
		patience = loginguard.Window + 2*time.Minute
		if o.fault.class != classof.Time {
			patience = 25 * time.Hour
		}
	}
	state := o.truth(o.key)
	switch {
	case state == nil, state.Token == nil:
	case state.Failure == nil:
		patience = max(patience, state.Token.Refresh.Sub(start)-o.fault.to+time.Minute)
	case o.fault.mayLose: // the refresh token is presented once more before the expiry
		patience = max(patience, state.Token.Expires.Sub(start)-o.fault.to+time.Minute)
	}
	return patience
}

// mostHeld is how long a pass may take.
const mostHeld = 45 * time.Second

// judge holds the figures to the bounds.
func (o *ordeal) judge() {
	if o.oracle.violation != nil {
		o.t.Errorf("%s\n%s", o.oracle.violation, strings.Join(o.transcript[max(0, len(o.transcript)-100):], "\n"))
		return
	}
	if o.renewed < 0 {
		o.t.Errorf("no new token within %s, and a person that helps: %v; %s", o.patient(), o.helped, o.state(o.key))
	}
	if o.helped && !o.isStalled {
		o.t.Errorf("a person had to help, and was not asked to: %s", o.state(o.key))
	}
	if o.held > mostHeld {
		o.t.Errorf("a pass took %s, want %s at most", o.held, mostHeld)
	}
	o.judgeWords()
}

// judgeWords holds the conditions to the cause, and to no other one.
func (o *ordeal) judgeWords() {
	isDone := o.from == isSpent && !o.unready // the regime came after what it could harm
	text, isNamed := "", len(o.fault.says) == 0 || o.fault.hit == 0 || isDone
	for _, said := range o.said {
		text += fmt.Sprintf("+%s %s=%s %s\n", said.after.Round(time.Second), said.kind, said.status, said.because())
		isCause := o.isCause(said)
		isNamed = isNamed || isCause && said.reason != v1alpha1.ReasonTokenExpired
		if !isCause && !o.isUsual(said) && !o.fault.restores {
			o.t.Errorf("%s=%s %s is not so", said.kind, said.status, said.because())
		}
		if said.kind == v1alpha1.ConditionStalled && o.fault.class == classof.Time && !o.fault.mayLose {
			o.t.Errorf("a person is asked: %s", said.because())
		}
	}
	if !isNamed {
		o.t.Errorf("the cause is missing:\n%s", text)
	}
	isLasting := o.fault.class == classof.Input && o.fault.hit > 0 && o.fault.to-o.fault.from >= time.Hour
	if isLasting && o.unready && !o.isStalled {
		o.t.Errorf("no person is asked, after %s", o.fault.to-o.fault.from)
	}
}

func (o *ordeal) isCause(said words) bool {
	return slices.ContainsFunc(o.fault.says, func(one cause) bool {
		return (said.reason == one.reason || said.reason == v1alpha1.ReasonTokenExpired) && strings.Contains(said.message, one.words)
	})
}

// isUsual reports whether a condition is right whatever the regime is.
func (o *ordeal) isUsual(said words) bool {
	switch said.reason {
	case v1alpha1.ReasonTokenPublished, v1alpha1.ReasonRenewalExpected, v1alpha1.ReasonProgressing:
		return true
	case v1alpha1.ReasonLoginLocked, v1alpha1.ReasonReauthorizationRequired, v1alpha1.ReasonReplyLost:
		return o.fault.mayLose
	case v1alpha1.ReasonTokenExpired: // of a wait that has no cause of its own
		return strings.HasSuffix(said.message, "a token is being obtained") || o.fault.mayLose
	case v1alpha1.ReasonStateUnwritable:
		return said.message == "a reply of the API is held until it can be stored"
	}
	return false
}

// TestDays lets each regime last for ten minutes and an hour, at three beginnings, in a quiet world. With -day it lasts
// for ten minutes and a day, and what was measured is printed.
func TestDays(t *testing.T) {
	spans := []time.Duration{10 * time.Minute, time.Hour}
	if *day != "" {
		spans[1] = 24 * time.Hour
	}
	var table dayTable
	gate := make(chan struct{}, runtime.GOMAXPROCS(0))
	t.Cleanup(func() {
		if *day == "" {
			return
		}
		if err := os.WriteFile(*day, []byte(table.markdown()), 0o600); err != nil {
			t.Error(err)
		}
	})
	for _, known := range regimes {
		for _, one := range known.variants() {
			for _, from := range []beginning{noneYet, isDue, isSpent} {
				for _, lasts := range spans {
					name := fmt.Sprintf("%s/%s/%s/%s", one.name, one.login, from, lasts)
					t.Run(name, func(t *testing.T) {
						t.Parallel()
						gate <- struct{}{}
						defer func() { <-gate }()
						inBubble(t, func() { table.add(liveThrough(t, one, from, lasts)) })
					})
				}
			}
		}
	}
}

func liveThrough(t *testing.T, one *regime, from beginning, lasts time.Duration) *ordeal {
	o := newOrdeal(t, one, from, lasts, 1)
	defer o.finish()
	o.endure()
	o.recover()
	o.judge()
	return o
}

func (l login) String() string { return [...]string{"refresh token", "password"}[l] }

// variants are the logins that a regime is tried with: what the token host replies means something else for each.
func (r *regime) variants() []*regime {
	switch {
	case r.name == oneClient: // it takes two
		return nil
	case r.replies == nil:
		return []*regime{r}
	}
	other := *r
	other.login = byPassword
	return []*regime{r, &other}
}

// dayTable collects what was measured.
type dayTable struct {
	mu   sync.Mutex
	rows []string
}

func (d *dayTable) add(o *ordeal) {
	worst := o.pace.worst(o.key.Name)
	ready := "was True all the time"
	if o.unready || o.ready > 0 {
		ready = inSeconds(o.ready)
	}
	renewed := inSeconds(o.renewed)
	if o.helped {
		ready, renewed = "a person helped", "a person helped"
	}
	row := fmt.Sprintf("| %s, %s | %s, %s | %s | %s | %d | %d | %d | %s | %d | %s |", o.fault.name, hours(o.fault.to-o.fault.from), o.fault.login,
		o.from, ready, renewed, worst.steady, worst.atLast, worst.requests, inSeconds(o.held), o.counts.sent-o.sent, inCell(o.said))
	d.mu.Lock()
	defer d.mu.Unlock()
	d.rows = append(d.rows, row)
}

func hours(span time.Duration) string {
	if span < time.Hour {
		return fmt.Sprintf("%.0f minutes", span.Minutes())
	}
	return fmt.Sprintf("%.0f hours", span.Hours())
}

func inSeconds(span time.Duration) string {
	if span < 0 {
		return "never"
	}
	return fmt.Sprintf("%.0f s", span.Seconds())
}

// inCell is what the conditions said, in one cell of a Markdown table: those that said the same at the same time
// together, and of many the first ones.
func inCell(said []words) string {
	var lines []string
	for i := 0; i < len(said); {
		first, kinds := said[i], ""
		for ; i < len(said) && said[i].after == first.after && said[i].because() == first.because(); i++ {
			kinds += fmt.Sprintf(" %s=%s", said[i].kind, said[i].status)
		}
		lines = append(lines, fmt.Sprintf("+%s%s %s", first.after.Round(time.Second), kinds, first.because()))
	}
	if more := len(lines) - 6; more > 0 {
		lines = append(lines[:6], fmt.Sprintf("… and %d more", more))
	}
	return strings.ReplaceAll(strings.Join(lines, "<br>"), "|", "\\|")
}

func (d *dayTable) markdown() string {
	d.mu.Lock()
	defer d.mu.Unlock()
	slices.Sort(d.rows)
	return "| fault | begins | end to Ready | end to a new token | token host, requests a minute " +
		"| in the last minute before the expiry | Kubernetes API, requests a minute | longest pass | requests sent " +
		"| conditions meanwhile |\n|---|---|---|---|---|---|---|---|---|---|\n" + strings.Join(d.rows, "\n") + "\n"
}
