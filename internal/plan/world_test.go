package plan

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/fluent-credential/operator/internal/custody"
	"github.com/fluent-credential/operator/internal/token"
)

// A world is one credential, its operator and its authorization server, on a clock that jumps to whatever comes next. The
// operator decides by this package and keeps the real state of package custody; only Kubernetes and the network are left out.
type world struct {
	t      *testing.T
	now    time.Time
	server server
	login  credentials
	policy Policy
	asked  string // the rotate annotation
	// suspended and registered are those of the FluentCredential.
	suspended, registered bool
	// wrong is by how much the operator's clock was set wrong since the beginning; the server's is right.
	wrong time.Duration

	state    custody.State
	draw     *rand.Rand
	counters counters
	tale     tale
}

// credentials are what the credentials Secret holds.
type credentials struct{ password, seed, client string }

// counters are what the tale ends with.
type counters struct {
	exchanges int
	without   time.Duration // since the first token: no token that is valid now
}

// latency is how long an exchange takes.
const latency = 200 * time.Millisecond

// newWorld begins on a Monday morning, with a login that works and a server that rotates.
func newWorld(t *testing.T) *world {
	return &world{
		t: t, now: now, draw: rand.New(rand.NewPCG(1, 2)), policy: Auto,
		login: credentials{password: "right", client: "right"},
		server: server{
			life: 30 * time.Minute, chains: true, password: "right", client: "right",
			alive: map[string]bool{}, presented: map[string]int{},
		},
		state: custody.State{Salt: "salt"},
	}
}

// A happening is what somebody else does at some time.
type happening struct {
	after time.Duration // the beginning
	what  string
	do    func(*world)
}

// live lets so much time pass, in which things happen.
func (w *world) live(span time.Duration, script ...happening) {
	begin := w.now
	for _, next := range script {
		w.run(begin.Add(next.after + w.wrong))
		w.tale.happened(w.now, next.what)
		next.do(w)
	}
	w.run(begin.Add(span + w.wrong))
	w.tale.end(w, span)
}

// set sets the operator's clock.
func (w *world) set(by time.Duration) { w.now, w.wrong = w.now.Add(by), w.wrong+by }

// run steps until the end.
func (w *world) run(end time.Time) {
	for range 10_000 {
		step := Next(w.observe(), w.now)
		if step.Do == Wait {
			w.tale.waits(w.now, step, w.breathless())
			if step.At.IsZero() || !step.At.Before(end) {
				w.pass(end)
				return
			}
			w.pass(step.At)
			continue
		}
		w.tale.does(w.now, w.breathless(), func() (string, string) { return w.perform(step) })
	}
	w.t.Fatalf("the operator never comes to rest:\n%s", w.tale.String())
}

// pass turns the clock, and counts the time in which workloads have no token.
func (w *world) pass(to time.Time) {
	if w.state.Token != nil {
		w.counters.without += max(0, min(to.Sub(w.server.expires.Add(w.wrong)), to.Sub(w.now)))
	}
	w.now = to
}

// breathless tells whether workloads had a token and have none now.
func (w *world) breathless() bool {
	return w.state.Token != nil && !w.now.Before(w.state.Token.Expires)
}

// observe says what the operator sees.
func (w *world) observe() Observed {
	seen := Observed{
		Registered: w.registered, Suspended: w.suspended, Rotate: w.asked != "" && w.asked != w.state.Rotate,
		Login: Login{
			Seed:     w.login.seed != "" && !w.state.Spent(token.NewSecret(w.login.seed)),
			Password: w.login.password != "",
		},
		OnLostReply: w.policy,
	}
	if stored := w.state.Token; stored != nil {
		seen.Publication = Current
		seen.Token = &Token{Obtained: stored.Obtained, Expires: stored.Expires, Refresh: stored.Refresh}
	}
	if chain := w.state.Chain; chain != nil {
		seen.Chain = Chain{Stored: true, Presented: chain.Presented}
	}
	if failure := w.state.Failure; failure != nil && failure.Login == w.attempted() {
		seen.Failure = &Failure{RetryAt: failure.RetryAt, Barred: failure.Barred, Stalled: failure.Barred}
	}
	return seen
}

// attempted names the login: a failure counts until it changes.
func (w *world) attempted() string { return fmt.Sprint(w.login) }

// perform does one step; it says what came of it, and the same without the numbers that change from time to time.
func (w *world) perform(step Step) (text, shape string) {
	switch step.Do {
	case Register:
		w.registered = true
		return "register", "register"
	case Exchange:
		return w.exchange(step.Means)
	}
	w.t.Fatalf("the world knows no %+v", step)
	return "", ""
}

func (w *world) exchange(means Means) (text, shape string) {
	w.counters.exchanges++
	claim, spends := w.claim(means)
	before := w.state
	w.state = w.state.Claimed(claim, w.asked)
	asked := w.now
	verdict, set := w.server.ask(w, claim.Grant, spends)
	w.pass(w.now.Add(latency))
	did := fmt.Sprintf("%s: %s", means, verdict)
	if verdict != token.Granted {
		w.fail(claim, before, verdict, spends)
		return did, did
	}
	w.grant(claim, spends, asked, set)
	lives := "lives " + short(set.Life)
	if set.Refresh.IsZero() {
		lives += ", no refresh token"
	}
	return fmt.Sprintf("%s, token %d %s", did, w.state.Serial, lives), did + lives
}

func (w *world) claim(means Means) (custody.Claim, token.Secret) {
	claim := custody.Claim{ID: fmt.Sprint(w.counters.exchanges), Attempt: 1}
	switch means {
	case ByRefresh:
		claim.Grant, claim.Attempt = token.RefreshToken, w.state.Chain.Presented+1
		return claim, w.state.Chain.Refresh
	case BySeed:
		seed := token.NewSecret(w.login.seed)
		claim.Grant, claim.Seed, claim.Spends = token.RefreshToken, true, seed.Hash(w.state.Salt)
		return claim, seed
	case ByPassword, ByClient:
	}
	claim.Grant = token.Password
	return claim, token.NewSecret(w.login.password)
}

// grant stores a token as the operator does: see controllers/outcome.go.
func (w *world) grant(claim custody.Claim, sent token.Secret, asked time.Time, set token.Set) {
	idle := set.Life <= 0 || w.state.Token != nil && w.state.Token.Access.Equal(set.Access)
	chained := !set.Refresh.IsZero() || claim.Grant == token.RefreshToken
	repeats := !chained && (idle || w.state.Repeats || TooShort(set.Life))
	next := w.state.Repeated(idle, repeats)
	got := custody.Token{Access: set.Access, Grant: claim.Grant, Obtained: asked, Expires: asked.Add(set.Life)}
	got.Refresh = Renewal{
		Obtained: got.Obtained, Expires: got.Expires, Draw: w.draw.Float64(), Stagnant: next.Stagnant, Repeats: repeats,
	}.RefreshAt()
	w.state = next.Granted(claim, custody.Obtained{Token: got, Refresh: set.Refresh, Sent: sent})
}

// fail stores a failure as the operator does: see controllers/outcome.go.
func (w *world) fail(claim custody.Claim, before custody.State, verdict token.Verdict, spends token.Secret) {
	failure := custody.Failure{Last: w.now, Verdict: verdict, Login: w.attempted()}
	switch verdict {
	case token.RefusedIntact:
	case token.LoginRefused:
		failure.RetryAt, failure.Barred = w.now.Add(LoginBar), true
	case token.RefusedDead:
		failure.RetryAt = w.now
	default:
		count, expires := 1, time.Time{}
		if before.Failure != nil {
			count = before.Failure.Count + 1
		}
		if before.Token != nil {
			expires = before.Token.Expires
		}
		failure.RetryAt = RetryAt(w.now, Run{Count: count}, w.draw.Float64(), expires)
	}
	if claim.Grant == token.Password {
		spends = token.Secret{}
	}
	w.state = w.state.Failed(claim, failure, spends)
}

// server is an authorization server.
type server struct {
	life    time.Duration
	chains  bool // a reply brings a refresh token, which works once
	repeats bool // a password buys the token that is out already, while it lives
	keeps   bool // a refresh token works for ever, and is not repeated in a reply
	grace   bool // a refresh token that was spent a moment ago is answered again

	password, client string // what is right
	down             bool   // connections are refused
	lose             int    // so many replies get lost

	issued    int
	alive     map[string]bool // refresh tokens
	presented map[string]int  // how often
	out       token.Set       // the token that is out
	expires   time.Time
	refusals  []time.Time // of logins
}

func (s *server) ask(w *world, grant token.Grant, secret token.Secret) (token.Verdict, token.Set) {
	if s.down {
		return token.Unsent, token.Set{}
	}
	verdict := s.judge(w, grant, secret.Reveal())
	if verdict == token.Granted {
		s.issue(w.now.Add(-w.wrong), grant)
	}
	if s.lose > 0 {
		s.lose--
		return token.Unknown, token.Set{}
	}
	if verdict != token.Granted {
		return verdict, token.Set{}
	}
	set := s.out
	set.Life = s.expires.Sub(w.now.Add(-w.wrong)).Truncate(time.Second)
	return verdict, set
}

func (s *server) judge(w *world, grant token.Grant, secret string) token.Verdict {
	switch {
	case w.login.client != s.client:
		return token.RefusedIntact
	case grant == token.Password && secret != s.password:
		s.refusals = append(s.refusals, w.now)
		return token.LoginRefused
	case grant == token.Password:
		return token.Granted
	}
	s.presented[secret]++
	if !s.alive[secret] && !(s.grace && s.presented[secret] == 2) {
		return token.RefusedDead
	}
	s.alive[secret] = s.keeps
	return token.Granted
}

func (s *server) issue(now time.Time, grant token.Grant) {
	if s.repeats && grant == token.Password && now.Before(s.expires) {
		return
	}
	s.issued++
	s.out = token.Set{Access: token.NewSecret(fmt.Sprintf("access-%d", s.issued))}
	s.expires = now.Add(s.life)
	if s.chains && !s.keeps {
		refresh := fmt.Sprintf("refresh-%d", s.issued)
		s.out.Refresh, s.alive[refresh] = token.NewSecret(refresh), true
	}
}

// most is how often the refresh token that was presented most often was presented.
func (s *server) most() int {
	most := 0
	for _, times := range s.presented {
		most = max(most, times)
	}
	return most
}

// densest is the most refused logins in a span of 20 minutes.
func (s *server) densest() int {
	most := 0
	for i, first := range s.refusals {
		last := slices.IndexFunc(s.refusals, func(at time.Time) bool { return at.Sub(first) >= 20*time.Minute })
		if last < 0 {
			last = len(s.refusals)
		}
		most = max(most, last-i)
	}
	return most
}
