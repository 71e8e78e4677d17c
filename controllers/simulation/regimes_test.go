package simulation

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"slices"
	"strings"
	"syscall"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/fluent-credential/operator/api/v1alpha1"
	"github.com/fluent-credential/operator/internal/exchange"
	classof "github.com/fluent-credential/operator/internal/failure"
)

// regime is a fault that lasts. Each field that is set is one place where it acts.
type regime struct {
	name  string
	class classof.Class // of the failures that it causes
	says  []cause       // what conditions may report meanwhile; empty: it does no harm, or no status can be written
	login login         // what it is tried with in a quiet world

	requests func(apiRequest) *effect // to the Kubernetes API
	disk     func(label string) *effect
	dials    *effect
	replies  func(question) *reply
	skew     time.Duration // of the leader's clock
	restores bool          // etcd comes back from a backup when it begins

	isMute    bool // no status can be written
	isSilent  bool // the lease cannot be renewed, and watches bring nothing
	mayLose   bool // a refresh token may be spent by it, so that a person may be needed
	onlyBirth bool // it harms only a credential that has nothing yet
}

// cause is a reason of a condition, and words of its message.
type cause struct{ reason, words string }

// login is what the credentials Secret holds.
type login int

// The logins.
const (
	bySeed     login = iota // a refresh token that is spent once
	byPassword              // a user name and a password
)

// effect is what a regime does to an operation. One that hangs ends with the regime, or with its context.
type effect struct {
	err   error
	hangs bool
}

// reply is what a client gets in place of the server's reply.
type reply struct {
	fault fault  // which fault it is like
	raw   []byte // nil: what the fault makes
	after time.Duration
}

// apiRequest is a request to the Kubernetes API.
type apiRequest struct {
	verb string
	key  objectKey
}

func (q apiRequest) isWrite() bool  { return q.verb != "get" && q.verb != "list" }
func (q apiRequest) isSecret() bool { return q.key.kind == secretKind }
func (q apiRequest) isStatus() bool { return q.verb == "status" }
func (q apiRequest) isGuard() bool  { return q.isSecret() && q.key.Namespace == operatorNamespace }

func (q apiRequest) isState() bool {
	return q.isSecret() && strings.Contains(q.key.Name, "-fluent-state")
}

func (q apiRequest) isTarget() bool {
	return q.isSecret() && !q.isGuard() && strings.HasSuffix(q.key.Name, "-token")
}

// lasting is a regime of one run, with its beginning and its end.
type lasting struct {
	*regime
	from, to time.Duration
	begun    bool
	ended    bool
	hit      int           // operations
	since    time.Duration // the observable time since its end
	waiting  []*ticket     // that hang until its end
	skewed   *replica
}

// writesFail lets writes fail that are selected.
func writesFail(err error, selected func(apiRequest) bool) func(apiRequest) *effect {
	return func(asked apiRequest) *effect {
		if asked.isWrite() && selected(asked) {
			return &effect{err: err}
		}
		return nil
	}
}

var (
	secrets   = objectKey{kind: secretKind}.resource()
	errDown   = apierrors.NewInternalError(errors.New(`failed calling webhook "validate.policy.example": no endpoints available`))
	errSpace  = apierrors.NewInternalError(errors.New("etcdserver: mvcc: database space exceeded"))
	errRights = apierrors.NewForbidden(secrets, "x", errors.New(`user "operator" cannot update resource "secrets"`))
	errQuota  = apierrors.NewForbidden(secrets, "x", errors.New("exceeded quota: few-secrets"))
	errPolicy = &apierrors.StatusError{ErrStatus: metav1.Status{
		Status: metav1.StatusFailure, Code: http.StatusUnprocessableEntity, Reason: metav1.StatusReasonInvalid,
		Message: "ValidatingAdmissionPolicy 'owners' denied the request: set the label owner",
	}}
	errSlowDown = apierrors.NewTooManyRequests("the server has received too many requests", 1)
	errModified = apierrors.NewConflict(secrets, "x", errors.New("the object has been modified; please apply your changes to the latest version"))
)

// ofState and its kin are what conditions report of writes that fail.
func ofState(words string) []cause { return []cause{{v1alpha1.ReasonStateUnwritable, words}} }

func ofTarget(words string) []cause { return []cause{{v1alpha1.ReasonPublishFailed, words}} }

func ofDisk(words string) []cause { return []cause{{v1alpha1.ReasonJournalUnwritable, words}} }

func ofHost(words string) []cause { return []cause{{v1alpha1.ReasonProviderUnavailable, words}} }

// regimes are all that the simulation knows.
var regimes = slices.Concat(regimesOfWrites(), regimesOfTheAPI(), regimesOfDisks(), regimesOfDials(), regimesOfReplies(),
	regimesOfTheRest())

func regimesOfWrites() []*regime {
	ofAll := func(words string) []cause { return slices.Concat(ofState(words), ofTarget(words)) }
	all := apiRequest.isSecret
	creates := func(asked apiRequest) bool { return asked.verb == "create" && asked.isSecret() && !asked.isGuard() }
	return []*regime{
		{
			name: "a webhook for Secrets is down", class: classof.Time, says: ofAll("failed calling webhook"),
			requests: writesFail(errDown, all),
		},
		{
			name: "no right to write Secrets", class: classof.Input, says: ofAll("cannot update resource"),
			requests: writesFail(errRights, all),
		},
		{
			name: "a policy refuses Secrets", class: classof.Input, says: ofAll("set the label owner"),
			requests: writesFail(errPolicy, all),
		},
		{
			name: "a quota admits no new Secret", class: classof.Input, says: ofAll("few-secrets"),
			requests: writesFail(errQuota, creates), onlyBirth: true,
		},
		{
			name: "writes of Secrets get 429", class: classof.Time, says: ofAll("too many requests"),
			requests: writesFail(errSlowDown, all),
		},
		{
			name: "every write of a Secret conflicts", class: classof.Time, says: ofAll("apply your changes to the latest version"),
			requests: writesFail(errModified, all),
		},
		{
			name: "no state Secret can be written", class: classof.Time, says: ofState("database space exceeded"),
			requests: writesFail(errSpace, apiRequest.isState),
		},
		{
			name: "a policy refuses state Secrets", class: classof.Input, says: ofState("set the label owner"),
			requests: writesFail(errPolicy, apiRequest.isState),
		},
		{
			name: "no target Secret can be written", class: classof.Time, says: ofTarget("database space exceeded"),
			requests: writesFail(errSpace, apiRequest.isTarget),
		},
		{
			name: "a policy refuses target Secrets", class: classof.Input, says: ofTarget("set the label owner"),
			requests: writesFail(errPolicy, apiRequest.isTarget),
		},
		{
			name: "no login guard can be written", class: classof.Time, says: ofState("database space exceeded"),
			requests: writesFail(errSpace, apiRequest.isGuard), login: byPassword, onlyBirth: true,
		},
		{
			name: "a policy refuses login guards", class: classof.Input, says: ofState("set the label owner"),
			requests: writesFail(errPolicy, apiRequest.isGuard), login: byPassword, onlyBirth: true,
		},
		{
			name: "no status can be written", class: classof.Time, isMute: true,
			requests: writesFail(errSpace, apiRequest.isStatus),
		},
		{
			name: "nothing can be written", class: classof.Time, isMute: true,
			requests: writesFail(errSpace, func(apiRequest) bool { return true }),
		},
	}
}

func regimesOfTheAPI() []*regime {
	return []*regime{
		{
			name: "no right to read Secrets", class: classof.Input, says: ofState("cannot update resource"),
			requests: func(asked apiRequest) *effect {
				if asked.isWrite() || !asked.isSecret() {
					return nil
				}
				return &effect{err: errRights}
			},
		},
		{
			name: "requests for Secrets are not answered", class: classof.Time, says: ofState("deadline exceeded"),
			requests: func(asked apiRequest) *effect {
				if !asked.isSecret() {
					return nil
				}
				return &effect{hangs: true, err: syscall.ECONNRESET}
			},
		},
		{
			name: "the API accepts and does not answer", class: classof.Time, isMute: true, isSilent: true,
			requests: func(apiRequest) *effect { return &effect{hangs: true, err: syscall.ECONNRESET} },
		},
		{
			name: "the API is away", class: classof.Time, isMute: true, isSilent: true,
			requests: func(apiRequest) *effect { return &effect{err: errUnreachable} },
		},
	}
}

func regimesOfDisks() []*regime {
	failing := func(err error, operations ...string) func(string) *effect {
		return func(label string) *effect {
			if slices.ContainsFunc(operations, func(one string) bool { return strings.HasSuffix(label, one) }) {
				return &effect{err: err}
			}
			return nil
		}
	}
	writes := []string{"create", "open", "reserve", "truncate", "write", "sync", "remove", "lock", "directory"}
	hanging := func(operation string) func(string) *effect {
		return func(label string) *effect {
			if !strings.HasSuffix(label, operation) {
				return nil
			}
			return &effect{hangs: true}
		}
	}
	return []*regime{
		{name: "the disk hangs", class: classof.Time, says: ofDisk("does not answer"), disk: hanging(""), mayLose: true},
		{name: "fsync hangs", class: classof.Time, says: ofDisk("does not answer"), disk: hanging("sync"), mayLose: true},
		{
			name: "the disk is full", class: classof.Time, says: ofDisk("no space left"),
			disk: failing(syscall.ENOSPC, "create", "open", "reserve"),
		},
		{
			name: "the disk is read-only", class: classof.Input, says: ofDisk("read-only file system"),
			disk: failing(syscall.EROFS, writes...),
		},
		{
			name: "the disk's device fails", class: classof.Time, says: ofDisk("input/output error"),
			disk: failing(syscall.EIO, "sync", "write", "read"), mayLose: true,
		},
	}
}

func regimesOfDials() []*regime {
	unknown := &net.DNSError{Err: "no such host", Name: "token.example", IsNotFound: true}
	unresolved := &net.DNSError{Err: "server misbehaving", Name: "token.example", IsTemporary: true}
	sinkhole := &exchange.NotAllowedError{Reason: "token.example has a loopback address"}
	failing := func(err error) *effect { return &effect{err: &net.OpError{Op: "dial", Net: "tcp", Err: err}} }
	return []*regime{
		{name: "DNS: no such name", class: classof.Time, says: ofHost("does not exist"), dials: failing(unknown)},
		{name: "DNS is down", class: classof.Time, says: ofHost("cannot be looked up"), dials: failing(unresolved)},
		{
			name: "DNS names an address that is not allowed", class: classof.Time,
			says:  []cause{{v1alpha1.ReasonEndpointNotAllowed, "loopback address"}},
			dials: failing(sinkhole),
		},
		{
			name: "DNS names another host", class: classof.Time, says: ofHost("unknown authority"),
			dials: failing(x509.UnknownAuthorityError{}),
		},
		{
			name: "the token host refuses connections", class: classof.Time, says: ofHost("connection refused"),
			dials: failing(syscall.ECONNREFUSED),
		},
		{
			name: "the token host takes no connection", class: classof.Time, says: ofHost("no connection in time"),
			dials: &effect{hangs: true, err: &net.OpError{Op: "dial", Net: "tcp", Err: syscall.ECONNREFUSED}},
		},
	}
}

// answering lets the token host reply to every client without handling its request.
func answering(as fault, status int, header http.Header, body string) func(question) *reply {
	raw := wholeReply(status, header, body)
	return func(question) *reply { return &reply{fault: as, raw: raw} }
}

// oneClient is the name of a regime that only one of two credentials meets.
const oneClient = "401 invalid_client for one client"

const page = "<html><head><title>Access blocked</title></head><body>Try again later.</body></html>"

func regimesOfReplies() []*regime {
	var (
		asJSON = http.Header{"Content-Type": {"application/json"}}
		asPage = http.Header{"Content-Type": {"text/html"}}
		away   = http.Header{"Location": {"https://captive.example/login"}}
		after  = func(seconds string) http.Header { return http.Header{"Retry-After": {seconds}} }
		limit  = []cause{{v1alpha1.ReasonRateLimited, "HTTP 429"}}
		client = []cause{{v1alpha1.ReasonCredentialsRejected, "invalid_client"}}
	)
	unsure := func(words string) []cause {
		return []cause{
			{v1alpha1.ReasonProviderUnavailable, words}, {v1alpha1.ReasonReplyLost, words}, {v1alpha1.ReasonLoginLocked, words},
			{v1alpha1.ReasonReauthorizationRequired, words}, {v1alpha1.ReasonCredentialsRejected, words},
			{v1alpha1.ReasonInvalidReply, words},
		}
	}
	invalid := answering(tooMany, http.StatusUnauthorized, asJSON, `{"error":"invalid_client"}`)
	some := func(asked question) *reply {
		if strings.HasPrefix(asked.client, "stock") {
			return nil
		}
		return invalid(asked)
	}
	return []*regime{
		{
			name: "500", class: classof.Time, says: unsure("HTTP 500"), mayLose: true,
			replies: answering(refusedEarly, http.StatusInternalServerError, asJSON, `{}`),
		},
		{
			name: "502 in HTML", class: classof.Time, says: unsure("HTTP 502"), mayLose: true,
			replies: answering(refusedEarly, http.StatusBadGateway, asPage, page),
		},
		{
			name: "503", class: classof.Time, says: unsure("HTTP 503"), mayLose: true,
			replies: answering(refusedEarly, http.StatusServiceUnavailable, asPage, page),
		},
		{
			name: "503 with a time", class: classof.Time, says: ofHost("HTTP 503"),
			replies: answering(unavailable, http.StatusServiceUnavailable, after("120"), page),
		},
		{name: "429", class: classof.Time, says: limit, replies: answering(tooMany, http.StatusTooManyRequests, asJSON, `{}`)},
		{
			name: "429 with a time", class: classof.Time, says: limit,
			replies: answering(tooMany, http.StatusTooManyRequests, after("40"), `{}`),
		},
		{
			name: "302", class: classof.Time, mayLose: true, replies: answering(refusedEarly, http.StatusFound, away, ""),
			says: []cause{{v1alpha1.ReasonEndpointNotAllowed, "captive.example"}, {v1alpha1.ReasonReplyLost, "captive.example"},
				{v1alpha1.ReasonReauthorizationRequired, "captive.example"}, {v1alpha1.ReasonLoginLocked, ""}},
		},
		{
			name: "307", class: classof.Time, replies: answering(tooMany, http.StatusTemporaryRedirect, away, ""),
			says: []cause{{v1alpha1.ReasonEndpointNotAllowed, "captive.example"}},
		},
		{name: "401 invalid_client", class: classof.Input, says: client, replies: invalid},
		{name: oneClient, class: classof.Input, says: client, replies: some},
		{
			name: "an unknown error with a 400", class: classof.Person, says: unsure("surprise"), mayLose: true,
			replies: answering(refusedEarly, http.StatusBadRequest, asJSON, `{"error":"surprise"}`),
		},
		{
			name: "an error in a 200", class: classof.Time, says: ofHost("temporarily_unavailable"),
			replies: answering(tooMany, http.StatusOK, asJSON, `{"error":"temporarily_unavailable"}`),
		},
		{
			name: "a firewall's page with a 403", class: classof.Time, says: unsure("HTML page"), mayLose: true,
			replies: answering(refusedEarly, http.StatusForbidden, asPage, page),
		},
		{
			name: "replies are cut off", class: classof.Time, says: unsure("reply"), mayLose: true,
			replies: func(question) *reply { return &reply{fault: cut} },
		},
		{
			name: "no reply comes", class: classof.Time, says: unsure("no reply in time"), mayLose: true,
			replies: func(question) *reply { return &reply{fault: swallowed} },
		},
		{
			name: "replies take 25 s", class: classof.Time,
			replies: func(question) *reply { return &reply{fault: slow, after: 25 * time.Second} },
		},
	}
}

func regimesOfTheRest() []*regime {
	return []*regime{
		{name: "a clock is 5 minutes ahead", class: classof.Time, skew: 5 * time.Minute},
		{name: "a clock is 5 minutes behind", class: classof.Time, skew: -5 * time.Minute},
		{name: "a clock is 3 hours ahead", class: classof.Time, skew: 3 * time.Hour},
		{name: "a clock is 3 hours behind", class: classof.Time, skew: -3 * time.Hour},
		{name: "etcd is restored from a backup", class: classof.Time, restores: true, mayLose: true},
	}
}

// is reports whether the regime lasts now.
func (l *lasting) is(now time.Duration) bool { return now >= l.from && now < l.to }

// plan draws the regimes of a run: none, one or two. Of some runs they are all that goes wrong.
func (w *world) plan() {
	w.dice.rates["regime"], w.dice.rates["swarm"] = 0.45, 0.5
	spans := []float64{0.1, 0.5, 1, 2, 4} // of a token's life
	for range 2 {
		pick := w.dice.choose("regime", len(regimes))
		begins, span := w.dice.draw("regime begins"), spans[w.dice.among("regime lasts", len(spans))]
		if pick == 0 {
			continue
		}
		from := time.Duration(begins * float64(w.setup.storm) * 0.8)
		lasts := max(time.Minute, time.Duration(span*float64(w.setup.dialect.life)))
		w.regimes = append(w.regimes, &lasting{regime: regimes[pick-1], from: from, to: from + lasts})
	}
	if len(w.regimes) == 0 {
		return
	}
	if pick := w.dice.choose("swarm", 3); pick != 0 {
		factor := []float64{0, 0.2, 0.2}[pick-1]
		for kind := range w.dice.rates {
			w.dice.rates[kind] *= factor
		}
	}
}

// nextOfRegimes is when a regime begins or ends.
func (w *world) nextOfRegimes() (time.Duration, bool) {
	earliest, found := time.Duration(0), false
	for _, l := range w.regimes {
		at := l.from
		if l.begun {
			at = l.to
		}
		if !l.ended && (!found || at < earliest) {
			earliest, found = at, true
		}
	}
	return earliest, found
}

// changeRegimes begins and ends the regimes whose time has come.
func (w *world) changeRegimes() {
	for _, l := range w.regimes {
		if !l.begun && w.now() >= l.from {
			l.begin(w)
		}
		if l.begun && !l.ended && w.now() >= l.to {
			l.end(w)
		}
	}
}

func (l *lasting) begin(w *world) {
	l.begun = true
	w.counts.lasting++
	w.tell("!! it begins: %s, for %s", l.name, l.to-l.from)
	if l.skew != 0 {
		l.skewed = w.leader
		if l.skewed == nil {
			l.skewed = w.replicas[0]
		}
		w.jump(l.skewed, l.skew, l.to-w.now())
	}
	if l.restores {
		w.restoreEtcd()
	}
	if l.isSilent {
		for _, r := range w.replicas {
			r.watchUntil = max(r.watchUntil, l.to)
		}
	}
}

func (l *lasting) end(w *world) {
	l.ended = true
	w.tell("!! it ends: %s", l.name)
	if l.skewed != nil {
		w.oracle.clocks[l.skewed].wrongUntil = w.now()
		w.setClocks()
	}
	for _, t := range l.waiting {
		t.wake = min(t.wake, w.now())
	}
	l.waiting = nil
}

// endRegimes ends all regimes: it is calm.
func (w *world) endRegimes() {
	for _, l := range w.regimes {
		if l.begun && !l.ended {
			l.to = w.now()
			l.end(w)
		}
		l.from, l.to = min(l.from, w.now()), min(l.to, w.now())
		l.begun, l.ended = true, true
	}
}

// lastingNow is the first regime that lasts now and acts on an operation.
func (w *world) lastingNow(act func(*regime) *effect) (*lasting, *effect) {
	for _, l := range w.regimes {
		if l.begun && l.is(w.now()) {
			if e := act(l.regime); e != nil {
				return l, e
			}
		}
	}
	return nil, nil
}

// suffer lets a regime act on an operation: it returns the error of the operation, or nil.
func (w *world) suffer(ctx context.Context, p *process, label string, act func(*regime) *effect) error {
	l, e := w.lastingNow(act)
	if l == nil {
		return nil
	}
	l.hit++
	w.counts.suffered++
	if !e.hangs {
		w.tell("%s !! %s: %v", label, l.name, e.err)
		return e.err
	}
	w.tell("%s !! %s: it hangs", label, l.name)
	t := &ticket{process: p, label: label + " hangs", pause: l.to - w.now()}
	if ctx != nil {
		t.latest = w.endOf(ctx)
	}
	l.waiting = append(l.waiting, t)
	w.park(t)
	if ctx != nil && ctx.Err() != nil {
		w.tell("%s: %v", label, ctx.Err())
		return ctx.Err()
	}
	return e.err
}

// sufferRequest lets a regime act on a request to the Kubernetes API. None may wait without a deadline.
func (w *world) sufferRequest(ctx context.Context, p *process, asked apiRequest) error {
	act := func(one *regime) *effect {
		if one.requests == nil {
			return nil
		}
		return one.requests(asked)
	}
	if _, e := w.lastingNow(act); e != nil && e.hangs {
		if _, isBounded := ctx.Deadline(); !isBounded {
			w.oracle.violated("a request has a deadline", "%s of %s has none", asked.verb, asked.key.Name)
		}
	}
	return w.suffer(ctx, p, asked.verb+" "+asked.key.Name, act)
}

// sufferDial lets a regime act on a connection.
func (w *world) sufferDial(ctx context.Context, p *process) error {
	err := w.suffer(ctx, p, "dial", func(one *regime) *effect { return one.dials })
	if errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled) {
		return &net.OpError{Op: "dial", Err: err}
	}
	return err
}

// sufferDisk lets a regime act on an operation of the disk. One that hangs is carried out in the end.
func (w *world) sufferDisk(d *disk, label, file string) error {
	act := func(one *regime) *effect {
		if one.disk == nil {
			return nil
		}
		return one.disk(label)
	}
	if l, _ := w.lastingNow(act); l == nil {
		return nil
	}
	defer d.begin(file)()
	err := w.suffer(context.Background(), w.current(d.replica, d.life), "disk "+label, act)
	d.failed(label, file)
	return err
}

// sufferReply is what a regime makes of a request that is sent.
func (w *world) sufferReply(asked question) *reply {
	for _, l := range w.regimes {
		if l.begun && l.is(w.now()) && l.replies != nil {
			if got := l.replies(asked); got != nil {
				l.hit++
				w.counts.suffered++
				return got
			}
		}
	}
	return nil
}

// put makes the reply that of a connection.
func (r *reply) put(into *line) {
	if r == nil {
		return
	}
	if r.raw != nil {
		into.reply = slices.Clone(r.raw)
	}
	if r.after > 0 {
		into.replyAt = into.replica.world.now() + r.after
	}
}

// isMute reports whether no status can be written now.
func (w *world) isMute() bool {
	return slices.ContainsFunc(w.regimes, func(l *lasting) bool { return l.isMute && l.is(w.now()) })
}

// isSilent reports whether no replica reaches the Kubernetes API.
func (w *world) isSilent() bool {
	return slices.ContainsFunc(w.regimes, func(l *lasting) bool { return l.isSilent && l.is(w.now()) })
}

// restoreEtcd takes the whole cluster back to an earlier moment. The versions go on, as with a restore that bumps the
// revision.
func (w *world) restoreEtcd() {
	if len(w.cluster.history) == 0 {
		return
	}
	at := w.dice.among("etcd", len(w.cluster.history))
	w.oracle.restored(w.cluster.history[at].at)
	for _, key := range w.cluster.known() {
		old, now := w.asOf(key, at), w.cluster.objects[key]
		switch {
		case old == nil && now != nil:
			w.cluster.lose(key)
		case old != nil && old != now:
			w.cluster.store(people, copyOf(old))
		}
	}
	if cred := w.credential(w.setup.credentials[0]); cred != nil && cred.Spec.Refresh.OnLostReply != w.setup.policy {
		w.setPolicy(cred.Spec.Refresh.OnLostReply) // the specs come back, too
	}
	for _, r := range w.replicas { // the leases come back, too
		if !r.dead && w.dice.among("who", 2) == 0 {
			r.deposedAt = w.now()
		}
	}
}

// known are the keys of all objects that there ever were, in the order of their first version.
func (c *cluster) known() []objectKey {
	var all []objectKey
	seen := map[objectKey]bool{}
	for _, past := range c.history {
		if !seen[past.key] {
			seen[past.key] = true
			all = append(all, past.key)
		}
	}
	return all
}

// lose makes an object vanish that the backup does not have.
func (c *cluster) lose(key objectKey) {
	delete(c.objects, key)
	c.history = append(c.history, version{c.world.now(), key, nil, people})
}

// restored: what was written after that moment is lost.
func (o *oracle) restored(moment time.Duration) {
	for _, key := range o.world.setup.credentials {
		o.tampered(key)
		o.about[key].putBack = len(o.world.cluster.history)
		o.disturb(key)
	}
	o.forgotten = append(o.forgotten, span{moment, o.world.now()})
}

// span is a time of which the operator has no memory.
type span struct{ from, to time.Duration }

// knownToGuard returns the refused logins that the login guard can know.
func (o *oracle) knownToGuard(refusals []refusedLogin) []refusedLogin {
	return slices.DeleteFunc(slices.Clone(refusals), func(refused refusedLogin) bool {
		return slices.ContainsFunc(o.forgotten, func(lost span) bool { return refused.sent >= lost.from && refused.sent <= lost.to })
	})
}

func wholeReply(status int, header http.Header, body string) []byte {
	text := fmt.Sprintf("HTTP/1.1 %d %s\r\nContent-Length: %d\r\n", status, http.StatusText(status), len(body))
	for name, values := range header {
		text += name + ": " + values[0] + "\r\n"
	}
	return []byte(text + "\r\n" + body)
}

// credentialOf is the credential that a Secret belongs to by its name; nil: to none or to several.
func (w *world) credentialOf(key objectKey) string {
	for _, cred := range w.setup.credentials {
		if key.Namespace == cred.Namespace && strings.HasPrefix(key.Name, cred.Name) {
			return cred.Name
		}
	}
	return ""
}
