package controllers

import (
	"context"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/fluent-credential/operator/api/v1alpha1"
	"github.com/fluent-credential/operator/internal/binding"
	"github.com/fluent-credential/operator/internal/custody"
	"github.com/fluent-credential/operator/internal/plan"
)

// A pass reads the state live. Of a credential that is due, and of which nothing else is new, it would be read in vain while others
// come first: so its turn is looked at before.

// forecast is what the next pass is for: the exchange that is due from a moment on, unless something changes before.
type forecast struct {
	from       time.Time // zero: no exchange, or nobody knows
	expires    time.Time // of the token, which people are to be told of; zero: they are, or there is none
	lane       lane
	told       bool   // the wait was reported
	state      string // the version of the state Secret
	generation int64
	rotate     string
}

// scheduled are the outcomes after which an exchange is a matter of time.
var scheduled = map[plan.Why]bool{plan.NotDue: true, plan.BackingOff: true, plan.HostBusy: true}

// expect remembers what the next pass is for.
func (o *observation) expect(next plan.Step, told bool) {
	o.memory.expected = forecast{}
	if next.Do != plan.Wait || !scheduled[next.Why] || next.At.IsZero() {
		return
	}
	who := o.waiter()
	wants := forecast{
		from:       next.At,
		lane:       who.lane,
		told:       told,
		state:      o.record.Version(),
		generation: o.cred.Generation,
		rotate:     o.cred.Rotate(),
	}
	if next.Why == plan.HostBusy {
		wants.from = o.now
	}
	if who.lane == living {
		wants.expires = who.expires
	}
	o.memory.expected = wants
}

// holdBack tells for how long a credential is left alone because others come before it: its exchange is due, its turn has not come,
// and nobody has changed anything. Zero: a pass is made.
func (r *Reconciler) holdBack(ctx context.Context, cred *v1alpha1.FluentCredential, memory *remembered) time.Duration {
	now, wants := r.Clock.Now(), memory.expected
	isOver := !wants.expires.IsZero() && !now.Before(wants.expires)
	if wants.from.IsZero() || now.Before(wants.from) || isOver || !r.isUnchanged(ctx, cred, memory) {
		return 0
	}
	api, err := binding.APIOf(cred.Spec.Provider)
	if err != nil {
		return 0
	}
	host, who := hostOf(api), waiter{key: client.ObjectKeyFromObject(cred), lane: wants.lane, expires: wants.expires}
	who.perMinute = api.RequestsPerMinute()
	until := r.Hosts.FreeAt(host, who, now)
	if until.IsZero() {
		return 0
	}
	return wants.wait(until.Sub(now), now.Sub(r.Hosts.Wait(host, who, until, now)), now)
}

// wait is for how long it is left alone: until its turn, until people are to be told that it waits, or that its token has expired.
func (f forecast) wait(turn, waited time.Duration, now time.Time) time.Duration {
	if !f.told && waited >= briefly {
		return 0
	}
	if !f.told {
		turn = min(turn, briefly-waited)
	}
	if !f.expires.IsZero() {
		turn = min(turn, f.expires.Sub(now))
	}
	return max(turn, soon)
}

// isUnchanged tells by the caches whether the credential and its Secrets are as they were at the last pass.
func (r *Reconciler) isUnchanged(ctx context.Context, cred *v1alpha1.FluentCredential, memory *remembered) bool {
	if cred.Generation != memory.expected.generation || cred.Rotate() != memory.expected.rotate || !cred.DeletionTimestamp.IsZero() {
		return false
	}
	cached, name := secretMetadata(), cred.Spec.CredentialsSecretRef
	err := r.Client.Get(ctx, types.NamespacedName{Namespace: cred.Namespace, Name: name.Name}, cached)
	if err != nil || !memory.login.is(cached, name.Keys) {
		return false
	}
	if !r.isStateUnchanged(ctx, cred, memory.expected.state) {
		return false
	}
	published := memory.published
	if published.name == "" {
		return memory.expected.lane == lacking // nothing was published yet
	}
	err = r.Client.Get(ctx, types.NamespacedName{Namespace: cred.Namespace, Name: published.name}, cached)
	return err == nil && published.name == cred.TargetName() && !isNewer(cached.ResourceVersion, published.resourceVersion)
}

// isStateUnchanged reports whether no other process has written or deleted the state Secret since it had this version.
// A late reply that another process stored is news, and is published without waiting for a turn.
func (r *Reconciler) isStateUnchanged(ctx context.Context, cred *v1alpha1.FluentCredential, known string) bool {
	found := false
	for _, name := range custody.Names(cred.Name) {
		cached := secretMetadata()
		err := r.Client.Get(ctx, types.NamespacedName{Namespace: cred.Namespace, Name: name}, cached)
		if apierrors.IsNotFound(err) {
			continue
		}
		if err != nil || known == "" || isNewer(cached.ResourceVersion, known) {
			return false
		}
		found = true
	}
	return found || known == ""
}

// lineUp puts all that are due into the lines of their hosts before the first of them has its turn: after a long stop thousands are,
// and whoever is looked at first would go first.
func (r *Reconciler) lineUp(ctx context.Context) {
	var list v1alpha1.FluentCredentialList
	if err := r.Client.List(ctx, &list, client.UnsafeDisableDeepCopy); err != nil {
		return // the cache answers; without it the order is that of the first looks
	}
	now := r.Clock.Now()
	for i := range list.Items {
		cred := &list.Items[i]
		if !looksDue(cred, now) {
			continue
		}
		if api, err := binding.APIOf(cred.Spec.Provider); err == nil {
			who := waiter{key: client.ObjectKeyFromObject(cred), lane: lacking, expires: cred.Status.Token.ExpirationTime.Time}
			who.perMinute = api.RequestsPerMinute()
			if now.Before(who.expires) {
				who.lane = living
			}
			r.Hosts.Expect(hostOf(api), who, now)
		}
	}
	r.Hosts.Begin(now)
}

// looksDue goes by the status: it is a guess, which the first pass corrects.
func looksDue(cred *v1alpha1.FluentCredential, now time.Time) bool {
	status := cred.Status
	if status.Token == nil || cred.Spec.Suspend || !cred.DeletionTimestamp.IsZero() || status.NextRefreshTime == nil {
		return false
	}
	if failures := status.Failures; failures != nil && (failures.RetryTime == nil || now.Before(failures.RetryTime.Time)) {
		return false
	}
	return !now.Before(status.NextRefreshTime.Time)
}
