package controllers

import (
	"context"
	"crypto/tls"
	"hash/fnv"
	"math/rand/v2"
	"net"
	"net/http"
	"slices"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	testclock "k8s.io/utils/clock/testing"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/fluent-credential/operator/api/v1alpha1"
	"github.com/fluent-credential/operator/hack/authsim"
)

// lastsFor is how long each failure lasts.
const lastsFor = 10 * time.Minute

// lastingFailure is a failure that begins, lasts and ends.
type lastingFailure struct {
	breaks func(*ordeal) (repair func())
	says   string // part of a condition's message meanwhile
	why    string

	login    func(*ordeal, *corev1.Secret) // nil: a client alone
	tls      *tls.Config                   // nil: plain HTTP
	caBundle string
	starts   []lastingStart // nil: all
	// afterSpending lets the failure begin when the server has spent a refresh token and has not replied yet. The reply
	// arrives whole.
	afterSpending bool

	// presented is how often a refresh token may be presented; zero: as often as it is proven to be intact.
	presented int
	within    time.Duration // from the end until all is well; zero: the longest step of the back-off
	isMute    bool          // no status can be written meanwhile
	harmless  bool          // the target has a valid token all the time
	forPerson bool          // only a person can continue after it
}

func lasting(breaks func(*ordeal) func(), says, why string) lastingFailure {
	return lastingFailure{breaks: breaks, says: says, why: why}
}

// with sets the login.
func (f lastingFailure) with(login func(*ordeal, *corev1.Secret)) lastingFailure {
	f.login = login
	return f
}

// only sets what the failure finds when it begins.
func (f lastingFailure) only(starts ...lastingStart) lastingFailure {
	f.starts = starts
	return f
}

// once sets a login with a refresh token, which is presented once at most.
func (f lastingFailure) once() lastingFailure {
	f.login, f.presented = seeded, 1
	return f
}

// afterSpent is once, and the failure begins when the token is spent.
func (f lastingFailure) afterSpent() lastingFailure {
	f.afterSpending = true
	return f.once().only(expiring, staying)
}

// mute lets no status be written meanwhile.
func (f lastingFailure) mute() lastingFailure {
	f.isMute = true
	return f
}

// lastingStart is what a failure finds when it begins.
type lastingStart struct {
	name string
	life time.Duration // of a token
	live bool          // a token is published, and is about to be due
}

// A token that expires during the failure, one that is due and stays valid, and none.
var (
	expiring      = lastingStart{"token expires", 4 * time.Minute, true}
	staying       = lastingStart{"token is due", 30 * time.Minute, true}
	noneYet       = lastingStart{"no token yet", 4 * time.Minute, false}
	lastingStarts = []lastingStart{expiring, staying, noneYet}
)

// The bounds that hold for every failure.
const (
	mostAsked       = 4  // connections to the token host a minute, after the first minute
	mostAskedAtLast = 12 // likewise, in a minute that has a part of the last one before an expiry
	mostKubernetes  = 60 // requests to the Kubernetes API a minute, after the first minute
	mostHeld        = 45 * time.Second
	mostOverdue     = time.Second
	mostPasses      = 1500
	longestStep     = 15 * time.Minute
	recoveryLimit   = 2 * time.Hour
	settlingTime    = time.Second // what a recovery may take besides the wait for the next try
)

// ordeal is a driven operator that goes through one lasting failure. Its passes are made when the last one asked for the
// next, and when a watch would wake it.
type ordeal struct {
	*driven
	rogue   *rogue
	failure lastingFailure
	from    lastingStart

	asked      tally   // connections to the token host
	kubernetes meddler // the transport to the Kubernetes API
	disk       *badDisk

	begun  time.Time // when the failure began; zero: it has not
	ended  time.Time // when it ended; zero: it has not
	repair func()
	isDown bool // the process does not run

	next    time.Time                // pass; zero: none is wanted
	watched map[string]client.Object // what the watches showed last, by kind and name
	called  bool                     // the host limiter woke the credential
	failed  int                      // passes in a row that ended in an error
	passes  int
	serial  int64     // of the token before the failure
	expires time.Time // of that token; zero where there was none

	lastingFigures
}

// lastingFigures are what is measured.
type lastingFigures struct {
	said    []lastingWords // each once
	held    time.Duration  // the longest pass
	tries   int            // requests to the token host from the end until all is well
	overdue time.Duration  // for how long Ready was True after the expiry
	after   time.Duration  // from the end until all is well
	ready   time.Duration  // from the end until Ready is True
}

// lastingWords are what a condition said.
type lastingWords struct {
	after                         time.Duration // since the failure began
	kind, status, reason, message string
}

func (w lastingWords) because() string { return w.reason + ": " + w.message }

func (w lastingWords) isUnready() bool {
	return w.kind == v1alpha1.ConditionReady && w.status != string(metav1.ConditionTrue)
}

func (w lastingWords) text() string { return w.kind + " " + w.status + " " + w.because() }

// tally counts what happens on the turned clock.
type tally struct {
	mu sync.Mutex
	at []time.Time
}

func (c *tally) add(now time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at = append(c.at, now)
}

// between returns what happened from one time until before another.
func (c *tally) between(from, until time.Time) []time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(c.at), func(at time.Time) bool { return at.Before(from) || !at.Before(until) })
}

// most returns the most that happened in any minute that begins in the span and is counted.
func (c *tally) most(from, until time.Time, counted func(time.Time) bool) int {
	most := 0
	for _, first := range c.between(from, until) {
		if counted(first) {
			most = max(most, len(c.between(first, earlier(first.Add(time.Minute), until))))
		}
	}
	return most
}

func earlier(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}

// meddler counts the requests of the operator's client, and can let them fail.
type meddler struct {
	clock *testclock.FakePassiveClock
	count tally // watches are not counted
	mu    sync.Mutex
	fail  func(*http.Request) (*http.Response, error) // nil, or both nil: the request goes on
}

func (m *meddler) failWith(fail func(*http.Request) (*http.Response, error)) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.fail = fail
}

func (m *meddler) try(request *http.Request) (*http.Response, error) {
	if request.URL.Query().Get("watch") == "" {
		m.count.add(m.clock.Now())
	}
	m.mu.Lock()
	fail := m.fail
	m.mu.Unlock()
	if fail == nil {
		return nil, nil
	}
	return fail(request)
}

// meddledTransport is a transport of that client.
type meddledTransport struct {
	http.RoundTripper
	by *meddler
}

func (m meddledTransport) RoundTrip(request *http.Request) (*http.Response, error) {
	if response, err := m.by.try(request); response != nil || err != nil {
		return response, err
	}
	return m.RoundTripper.RoundTrip(request)
}

// newOrdeal starts a token endpoint, and an operator with the rights of its role.
func newOrdeal(t *testing.T, failure lastingFailure, from lastingStart) *ordeal {
	t.Helper()
	clock := testclock.NewFakePassiveClock(start)
	front, namespace := newRogue(t, failure.tls), newNamespace(t)
	sim := newServer(t, func(config *authsim.Config) {
		speaking(authsim.DialectOAuth2, nil)(config)
		config.Clock, config.RateLimit, config.RefreshTokenLifetime = clock.Now, -1, -1
		config.AccessTokenLifetime = from.life
	})
	front.behind = sim.Server
	o := &ordeal{rogue: front, failure: failure, from: from, watched: map[string]client.Object{}}
	o.kubernetes.clock = clock
	who := restricted(t, namespace, "role.yaml")
	who.Wrap(func(inner http.RoundTripper) http.RoundTripper { return meddledTransport{inner, &o.kubernetes} })
	reconciler := idleReconcilerOf(newIdleManagerAs(t, who, namespace), namespace, clock)
	o.driven = &driven{Reconciler: reconciler, t: t, clock: clock, server: sim, cred: credential(namespace, "orders", sim)}
	o.furnish()
	return o
}

// furnish gives the operator what it works with, and creates the login and the FluentCredential.
func (o *ordeal) furnish() {
	o.t.Helper()
	o.disk = o.onBadDisk()
	sum := fnv.New64a()
	_, _ = sum.Write([]byte(o.failure.says + o.failure.why + o.from.name)) // never fails
	o.Draw = rand.New(rand.NewPCG(sum.Sum64(), 1)).Float64                 // the bounds hold for any draw
	o.Hosts = NewHosts(0).Bound(16)
	o.Hosts.call = func(types.NamespacedName) { o.called = true }
	o.Custody.Pause = func(_ context.Context, wait time.Duration) bool { o.advance(wait); return true }
	o.Dialer.ReplyTimeout = 100 * time.Millisecond
	o.Dialer.Connect = o.connect((&net.Dialer{}).DialContext)

	login := loginSecret(o.cred.Namespace, "orders-login")
	withoutUser(login)
	if o.failure.login != nil {
		o.failure.login(o, login)
	}
	create(o.t, login)
	o.cred.Spec.Provider.Fluent.BaseURL = o.rogue.url()
	standard(o.cred)
	o.cred.Spec.Provider.OAuth2.ClientAuthentication = v1alpha1.ClientAuthBody
	o.cred.Spec.Provider.OAuth2.CABundle = o.failure.caBundle
	create(o.t, o.cred)
	o.watch()
	o.next = o.clock.Now()
}

// seeded puts a refresh token into the login; without it there is no other means.
func seeded(o *ordeal, login *corev1.Secret) {
	login.StringData[v1alpha1.RefreshTokenKey] = o.server.Seed(user, clientID)
}

// withPassword is a login by password.
func withPassword(_ *ordeal, login *corev1.Secret) {
	login.StringData[v1alpha1.UsernameKey], login.StringData[v1alpha1.PasswordKey] = user, password
}

type connector func(ctx context.Context, network, address string) (net.Conn, error)

// connect counts connections.
func (o *ordeal) connect(by connector) connector {
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		o.asked.add(o.clock.Now())
		return by(ctx, network, address)
	}
}

// advance turns the clock, and ends the failure when its time has come.
func (o *ordeal) advance(wait time.Duration) {
	o.t.Helper()
	until := o.clock.Now().Add(wait)
	if end := o.begun.Add(lastsFor); !o.begun.IsZero() && o.ended.IsZero() && !until.Before(end) {
		o.clock.SetTime(end)
		o.ended = end
		o.repair()
	}
	o.clock.SetTime(until)
}

// begin lets the failure begin now.
func (o *ordeal) begin() {
	o.t.Helper()
	o.begun = o.clock.Now()
	o.repair = o.failure.breaks(o)
}

// isFailing reports whether the failure has begun and has not ended.
func (o *ordeal) isFailing() bool { return !o.begun.IsZero() && o.ended.IsZero() }

// isReady reports whether there is a token newer than the one from before the failure, and all is well.
func (o *ordeal) isReady() bool {
	status := o.shown()
	return status.Token != nil && status.Token.Serial > o.serial && status.Token.ExpirationTime.After(o.clock.Now()) &&
		meta.IsStatusConditionTrue(status.Conditions, v1alpha1.ConditionReady) &&
		meta.IsStatusConditionTrue(status.Conditions, v1alpha1.ConditionRenewable)
}

// arrive brings the operator to the point at which the failure begins.
func (o *ordeal) arrive() {
	o.t.Helper()
	if !o.from.live {
		o.begin()
		return
	}
	o.until("the first token", time.Minute, o.isReady)
	status := o.status()
	o.serial, o.expires = status.Token.Serial, status.Token.ExpirationTime.Time
	due := status.NextRefreshTime.Add(-2 * time.Second)
	o.advance(due.Sub(o.clock.Now()))
	if !o.failure.afterSpending {
		o.begin()
		return
	}
	o.rogue.manners.Store(&manners{serve: func(reply turn) {
		o.rogue.manners.Store(nil)
		o.begin()
		reply.say(said("200 OK", "application/json", reply.good))
	}})
	o.until("the token is spent", time.Minute, func() bool { return !o.begun.IsZero() })
}
