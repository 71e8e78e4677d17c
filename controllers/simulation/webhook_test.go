package simulation

import (
	"context"
	"errors"
	"net"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/fluent-credential/operator/api/v1alpha1"
)

// outage is a time in which the API server answers every read and refuses every write of a Secret, as it does with a
// webhook that is down.
type outage struct {
	world  *world
	from   time.Duration // zero: it has not begun
	to     time.Duration // zero: it has not ended
	err    error
	only   func(*corev1.Secret) bool // of which Secrets the writes are refused; nil: all
	writes []time.Duration           // that were refused
	dials  []time.Duration           // of the token host meanwhile
}

func (o *outage) is() bool {
	return o.from > 0 && o.world.now() >= o.from && (o.to == 0 || o.world.now() < o.to)
}

// into puts the outage into a replica.
func (o *outage) into(r *replica) {
	o.world = r.world
	refusing := &refusing{Client: r.Client, outage: o}
	r.Client, r.Custody.Writer, r.Guard.Writer = refusing, refusing, refusing
	connect := r.Dialer.Connect
	r.Dialer.Connect = func(ctx context.Context, network, address string) (net.Conn, error) {
		if o.is() {
			o.dials = append(o.dials, r.world.now())
		}
		return connect(ctx, network, address)
	}
}

// refusing is a client whose writes of Secrets are refused during an outage.
type refusing struct {
	client.Client
	outage *outage
}

func (r *refusing) refuses(object client.Object) error {
	secret, isSecret := object.(*corev1.Secret)
	if !isSecret || !r.outage.is() || r.outage.only != nil && !r.outage.only(secret) {
		return nil
	}
	r.outage.writes = append(r.outage.writes, r.outage.world.now())
	return r.outage.err
}

func (r *refusing) Create(ctx context.Context, object client.Object, options ...client.CreateOption) error {
	if err := r.refuses(object); err != nil {
		return err
	}
	return r.Client.Create(ctx, object, options...)
}

func (r *refusing) Update(ctx context.Context, object client.Object, options ...client.UpdateOption) error {
	if err := r.refuses(object); err != nil {
		return err
	}
	return r.Client.Update(ctx, object, options...)
}

func (r *refusing) Patch(ctx context.Context, object client.Object, patch client.Patch, options ...client.PatchOption) error {
	if err := r.refuses(object); err != nil {
		return err
	}
	return r.Client.Patch(ctx, object, patch, options...)
}

// inWorstMinute is how many of these happened within one minute, from a moment on.
func inWorstMinute(at []time.Duration, from time.Duration) int {
	worst := 0
	for i, first := range at {
		count := 0
		for _, other := range at[i:] {
			if first >= from && other < first+time.Minute {
				count++
			}
		}
		worst = max(worst, count)
	}
	return worst
}

// quiet is a world in which nothing else goes wrong: one credential, one replica that leads.
func quiet(seed uint64, o *outage) *world {
	return buildWith(seed, []choice{}, o.into, func(s *setup) {
		s.credentials, s.consumers = s.credentials[:1], nil
		s.elects, s.slots, s.hostRate = true, 2, 0
	})
}

// begin lets the credential obtain its first token.
func (o *outage) begin(t *testing.T, seed uint64) {
	w := quiet(seed, o)
	if !w.run(w.setup.storm, 3000, w.isWell) {
		t.Errorf("seed %d: nothing goes wrong, and it is not well: %s", seed, w.state(w.setup.credentials[0]))
	}
}

// TestWritesFailAndReadsWork: a webhook is down for an hour, or a policy denies, and a token comes due. The token host
// is left in peace, the status tells the cause and does not call an expired token good, and all is well soon after the
// end.
func TestWritesFailAndReadsWork(t *testing.T) {
	webhook := apierrors.NewInternalError(errors.New(`failed calling webhook "validate.kyverno.svc-fail": no endpoints available`))
	quota := apierrors.NewForbidden(objectKey{kind: secretKind}.resource(), "x", errors.New("exceeded quota: secrets"))
	slow := apierrors.NewTooManyRequests("the server has received too many requests", 1)
	conflict := apierrors.NewConflict(objectKey{kind: secretKind}.resource(), "x", errors.New("the object has been modified"))
	for name, test := range map[string]struct {
		err  error
		says string
	}{
		"a webhook is down":     {webhook, "failed calling webhook"},
		"a policy":              {quota, "exceeded quota"},
		"priority and fairness": {slow, "too many requests"},
		"no route":              {errUnreachable, "did not answer"},
		"always a conflict":     {conflict, "the object has been modified"},
	} {
		t.Run(name, func(t *testing.T) {
			for _, seed := range []uint64{1, 2, 3, 5, 8} {
				inBubble(t, func() {
					o := &outage{err: test.err}
					o.begin(t, seed)
					defer o.world.finish()
					o.suffer(t, seed, test.says)
				})
			}
		})
	}
}

// suffer lives through the outage and its end.
func (o *outage) suffer(t *testing.T, seed uint64, says string) {
	t.Helper()
	w := o.world
	never := func() bool { return false }
	key := w.setup.credentials[0]
	o.from = w.now()
	w.run(w.now()+w.setup.dialect.life, 2000000, func() bool { return len(o.writes) > 0 })
	if len(o.writes) == 0 {
		t.Fatalf("seed %d: nothing was due", seed)
	}
	first := o.writes[0]
	w.run(first+5*time.Minute, 2000000, never)
	if renewable := w.condition(key, v1alpha1.ConditionRenewable); !strings.Contains(renewable, "False "+v1alpha1.ReasonStateUnwritable) ||
		!strings.Contains(renewable, says) {
		t.Errorf("seed %d: %s; want it to name the cause", seed, renewable)
	}
	expires := w.expiry(key)
	w.run(max(w.now(), expires+time.Minute), 2000000, never)
	if ready := w.condition(key, v1alpha1.ConditionReady); !strings.Contains(ready, "False "+v1alpha1.ReasonTokenExpired) || !strings.Contains(ready, says) {
		t.Errorf("seed %d: %s a minute after the expiry", seed, ready)
	}
	if most := inWorstMinute(o.dials, first+time.Minute); most > 4 {
		t.Errorf("seed %d: %d connections to the token host in a minute", seed, most)
	}
	if most := inWorstMinute(o.dials, 0); most > 16 {
		t.Errorf("seed %d: %d connections to the token host in the first minute", seed, most)
	}
	if most := inWorstMinute(o.writes, first+time.Minute); most > 8 { // a claim, and what tells the guard
		t.Errorf("seed %d: %d writes in a minute", seed, most)
	}
	o.to = w.now()
	if !w.run(w.now()+90*time.Second, 200000, w.isWell) {
		t.Errorf("seed %d: not well within one step of the back-off: %s", seed, w.state(key))
	}
	if w.oracle.violation != nil {
		t.Errorf("seed %d: %s", seed, w.oracle.violation)
	}
}

func (w *world) expiry(key types.NamespacedName) time.Duration {
	return w.truth(key).Token.Expires.Sub(start)
}

// isCommit tells a state with a result in it from one with a claim.
func isCommit(secret *corev1.Secret) bool {
	state := documentOf(secret)
	return state != nil && state.Claim == nil
}

// TestAResultThatCannotBeStored: the claim is written, the reply comes, and then the state Secret is denied for ten
// minutes. The reply is held, no worker is, nothing else is sent, the status says so, and the result is stored soon
// after the end.

func TestAResultThatCannotBeStored(t *testing.T) {
	denied := apierrors.NewForbidden(objectKey{kind: secretKind}.resource(), "x", errors.New("a policy"))
	down := apierrors.NewInternalError(errors.New("etcdserver: no space left"))
	for name, err := range map[string]error{"denied": denied, "down": down} {
		t.Run(name, func(t *testing.T) {
			for _, seed := range []uint64{1, 2, 3, 4, 5, 8, 13} {
				inBubble(t, func() {
					o := &outage{err: err, only: isCommit}
					o.begin(t, seed)
					defer o.world.finish()
					o.hold(t, seed)
				})
			}
		})
	}
}

func (o *outage) hold(t *testing.T, seed uint64) {
	t.Helper()
	w := o.world
	key, never := w.setup.credentials[0], func() bool { return false }
	o.from = w.now()
	w.run(w.now()+w.setup.dialect.life, 2000000, func() bool { return len(o.writes) > 0 })
	if len(o.writes) == 0 {
		t.Fatalf("seed %d: nothing was due", seed)
	}
	first, sent := o.writes[0], w.counts.sent
	w.run(first+20*time.Second, 2000000, never)
	for _, r := range w.replicas {
		if it := r.queue[key]; it != nil && it.busy {
			t.Errorf("seed %d: %s has a worker at it after 20 s", seed, r.writer())
		}
	}
	w.run(first+10*time.Minute, 2000000, never)
	renewable := w.condition(key, v1alpha1.ConditionRenewable)
	if !strings.Contains(renewable, "False "+v1alpha1.ReasonStateUnwritable) || !strings.Contains(renewable, "is held until it can be stored") {
		t.Errorf("seed %d: %s; want it to say that a reply is held", seed, renewable)
	}
	if w.now() > w.expiry(key) && !strings.Contains(w.condition(key, v1alpha1.ConditionReady), "False") {
		t.Errorf("seed %d: %s after the expiry", seed, w.condition(key, v1alpha1.ConditionReady))
	}
	if w.counts.sent != sent {
		t.Errorf("seed %d: %d requests were sent while a reply was held", seed, w.counts.sent-sent)
	}
	if most := inWorstMinute(o.writes, first+time.Minute); most > 4 {
		t.Errorf("seed %d: %d writes in a minute", seed, most)
	}
	serial := w.serial(key)
	o.to = w.now()
	if !w.run(w.now()+90*time.Second, 200000, func() bool { return w.serial(key) > serial }) {
		t.Errorf("seed %d: not stored within one step of the back-off: %s", seed, w.state(key))
	}
	if !w.run(w.now()+w.setup.dialect.life, 200000, w.isWell) || w.oracle.violation != nil {
		t.Errorf("seed %d: %v; %s", seed, w.oracle.violation, w.state(key))
	}
}
