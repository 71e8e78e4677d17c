package controllers

import (
	"cmp"
	"maps"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/predicate"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/fluent-credential/operator/api/v1alpha1"
)

// until makes passes until something holds.
func (o *ordeal) until(what string, within time.Duration, holds func() bool) {
	o.t.Helper()
	for limit := o.clock.Now().Add(within); !holds(); {
		if o.clock.Now().After(limit) {
			o.t.Fatalf("%s: not within %s; the status says %+v", what, within, o.status().Conditions)
		}
		o.step(limit)
	}
}

// endure makes passes until the failure has ended.
func (o *ordeal) endure() {
	o.t.Helper()
	for end := o.begun.Add(lastsFor); o.isFailing(); {
		o.step(end)
	}
}

// recover makes passes after the failure until all is well, for hours if need be.
func (o *ordeal) recover() {
	o.t.Helper()
	o.ready = -1
	o.after = -1
	for limit := o.ended.Add(recoveryLimit); o.after < 0 && o.clock.Now().Before(limit); o.step(limit) {
		passed := o.clock.Now().Sub(o.ended)
		if o.ready < 0 && meta.IsStatusConditionTrue(o.shown().Conditions, v1alpha1.ConditionReady) && o.isValid() {
			o.ready = passed
		}
		if o.isReady() {
			o.after = passed
			o.tries = len(o.asked.between(o.ended, o.clock.Now().Add(time.Second)))
			return
		}
	}
}

// step lets time pass until the next pass is wanted, and makes it; it lets no time pass after the limit.
func (o *ordeal) step(limit time.Time) {
	o.t.Helper()
	if o.next.IsZero() || o.next.After(limit) || o.isDown {
		o.sleepUntil(limit)
		if !o.isDown && (o.watch() || o.called) {
			o.next = o.clock.Now()
		}
		if o.next.IsZero() || o.next.After(o.clock.Now()) {
			return
		}
	}
	o.sleepUntil(o.next)
	o.makePass()
}

// sleepUntil turns the clock. What the status says meanwhile stays as it is.
func (o *ordeal) sleepUntil(then time.Time) {
	o.t.Helper()
	status := o.shown()
	if status.Token != nil && meta.IsStatusConditionTrue(status.Conditions, v1alpha1.ConditionReady) {
		o.overdue = max(o.overdue, then.Sub(status.Token.ExpirationTime.Time))
	}
	if wait := then.Sub(o.clock.Now()); wait > 0 {
		o.advance(wait)
	}
}

// makePass makes a pass as the controller would: after an error the next one is made with back-off.
func (o *ordeal) makePass() {
	o.t.Helper()
	if o.passes++; o.passes > mostPasses {
		o.t.Fatalf("more than %d passes: they come without a pause; the status says %+v", mostPasses, o.status().Conditions)
	}
	o.called = false
	began := o.clock.Now()
	result, err := o.reconcileKey(ctrl.LoggerInto(o.t.Context(), ctrl.Log), ctrl.Request{NamespacedName: keyOf(o.cred)})
	wait := result.RequeueAfter
	if o.isFailing() {
		o.held = max(o.held, o.clock.Now().Sub(began))
	}
	if err != nil {
		wait = min(errorBackoff<<min(o.failed, 20), errorBackoffMost)
		o.failed++
	} else {
		o.failed = 0
	}
	if o.watch() || o.called {
		wait = soon
	}
	o.look()
	if o.failure.harmless && o.isFailing() {
		o.mustServe()
	}
	o.next = time.Time{}
	if wait > 0 {
		o.next = o.clock.Now().Add(wait)
	}
}

// shown is the status as the last look at the cluster showed it.
func (o *ordeal) shown() v1alpha1.FluentCredentialStatus {
	return o.watched["FluentCredential"].(*v1alpha1.FluentCredential).Status
}

// look notes what the conditions say while the failure lasts.
func (o *ordeal) look() {
	o.t.Helper()
	if !o.isFailing() {
		return
	}
	for _, condition := range o.shown().Conditions {
		words := lastingWords{
			after: o.clock.Now().Sub(o.begun), kind: condition.Type, status: string(condition.Status),
			reason: condition.Reason, message: condition.Message,
		}
		if !slices.ContainsFunc(o.said, func(before lastingWords) bool { return before.text() == words.text() }) {
			o.said = append(o.said, words)
		}
	}
}

// isValid reports whether the token of the status is valid.
func (o *ordeal) isValid() bool {
	status := o.shown()
	return status.Token != nil && status.Token.ExpirationTime.After(o.clock.Now())
}

// watch reports whether what changed since the last look would wake the controller, and waits until its cache shows all
// of it.
func (o *ordeal) watch() bool {
	o.t.Helper()
	now := o.objects()
	wakes := false
	for name, object := range now {
		before, known := o.watched[name]
		if known && before.GetResourceVersion() == object.GetResourceVersion() {
			continue
		}
		o.awaitCache(object)
		isNews := !known || o.predicateFor(object).Update(event.UpdateEvent{ObjectOld: before, ObjectNew: object})
		wakes = wakes || isNews && o.concerns(object)
	}
	for name, object := range o.watched {
		if _, stays := now[name]; !stays {
			o.awaitNone(object)
			wakes = wakes || o.concerns(object)
		}
	}
	o.watched = now
	return wakes
}

// objects are what the controller watches, by kind and name.
func (o *ordeal) objects() map[string]client.Object {
	o.t.Helper()
	var secrets corev1.SecretList
	if err := live.List(o.t.Context(), &secrets, client.InNamespace(o.cred.Namespace)); err != nil {
		o.t.Fatal(err)
	}
	found := map[string]client.Object{"FluentCredential": reread(o.t, o.cred)}
	for i := range secrets.Items {
		if secret := &secrets.Items[i]; secret.Type != v1alpha1.GuardSecretType {
			found["Secret "+secret.Name] = secret
		}
	}
	return found
}

func (o *ordeal) predicateFor(object client.Object) predicate.Predicate {
	if _, isSecret := object.(*corev1.Secret); isSecret {
		return secretChanged()
	}
	return credentialChanged()
}

// concerns reports whether an event of the object is mapped to the credential.
func (o *ordeal) concerns(object client.Object) bool {
	if _, isSecret := object.(*corev1.Secret); !isSecret {
		return true
	}
	requests := concernedBy(o.t.Context(), o.Client, object)
	return slices.Contains(requests, reconcile.Request{NamespacedName: keyOf(o.cred)})
}

// awaitCache waits until the operator's cache shows the object as it is.
func (o *ordeal) awaitCache(object client.Object) {
	o.t.Helper()
	eventually(o.t, "the cache shows "+object.GetName(), func() (bool, any) {
		cached := o.emptyLike(object)
		err := o.Client.Get(o.t.Context(), keyOf(object), cached)
		return err == nil && !isNewer(object.GetResourceVersion(), cached.GetResourceVersion()), err
	})
}

func (o *ordeal) awaitNone(object client.Object) {
	o.t.Helper()
	eventually(o.t, "the cache does not show "+object.GetName()+" any more", func() (bool, any) {
		err := o.Client.Get(o.t.Context(), keyOf(object), o.emptyLike(object))
		return client.IgnoreNotFound(err) == nil && err != nil, err
	})
}

func (o *ordeal) emptyLike(object client.Object) client.Object {
	if _, isSecret := object.(*corev1.Secret); isSecret {
		return secretMetadata()
	}
	return &v1alpha1.FluentCredential{}
}

// rates returns the most connections to the token host in a minute: after the first one of the failure, and in those of
// them that have a part of the last minute before the expiry.
func (o *ordeal) rates() (steady, atLast int) {
	first := o.asked.between(o.begun, o.ended)
	if len(first) == 0 {
		return 0, 0
	}
	isLast := func(from time.Time) bool {
		return from.Before(o.expires) && from.Add(time.Minute).After(o.expires.Add(-time.Minute))
	}
	after := first[0].Add(time.Minute)
	steady = o.asked.most(after, o.ended, func(from time.Time) bool { return !isLast(from) })
	return steady, o.asked.most(after, o.ended, isLast)
}

// kubernetesRate returns the most requests to the Kubernetes API in a minute, after the first one of the failure.
func (o *ordeal) kubernetesRate() int {
	return o.kubernetes.count.most(o.begun.Add(time.Minute), o.ended, func(time.Time) bool { return true })
}

// judge checks what holds for every failure.
func (o *ordeal) judge() {
	o.t.Helper()
	complain := func(format string, values ...any) {
		o.t.Helper()
		o.t.Errorf(format+" ("+strings.ReplaceAll(o.failure.why, "%", "%%")+")", values...)
	}
	if steady, atLast := o.rates(); steady > mostAsked || atLast > mostAskedAtLast {
		complain("%d connections a minute to the token host, and %d in the last minute before the expiry; want %d and %d at most",
			steady, atLast, mostAsked, mostAskedAtLast)
	}
	if most := o.kubernetesRate(); most > mostKubernetes {
		complain("%d requests a minute to the Kubernetes API, want %d at most", most, mostKubernetes)
	}
	if o.held > mostHeld {
		complain("a pass took %s, want %s at most", o.held, mostHeld)
	}
	if o.overdue > mostOverdue && !o.failure.isMute {
		complain("Ready was True for %s after the expiry", o.overdue)
	}
	switch {
	case o.failure.forPerson && o.after >= 0:
		complain("all is well after %s without a person", o.after)
	case o.failure.forPerson && !meta.IsStatusConditionTrue(o.status().Conditions, v1alpha1.ConditionStalled):
		complain("no person is asked: %+v", o.status().Conditions)
	case !o.failure.forPerson && o.after < 0:
		complain("all is not well %s after the end: %+v", recoveryLimit, o.status().Conditions)
	case !o.failure.forPerson && o.after > cmp.Or(o.failure.within, longestStep)+settlingTime:
		complain("all is well %s after the end only", o.after)
	case o.tries > 1:
		complain("%d requests were made after the end until all was well", o.tries)
	}
	o.judgeWords()
	o.judgePresentations()
}

// mustServe checks that the target has a token that is valid now.
func (o *ordeal) mustServe() {
	o.t.Helper()
	value := o.access()
	for _, issued := range o.server.Ledger().AccessTokens {
		if issued.Value == value && issued.Expires.After(o.clock.Now()) {
			return
		}
	}
	o.t.Errorf("the target has no valid token at %s (%s)", o.clock.Now(), o.failure.why)
}

func (o *ordeal) judgeWords() {
	o.t.Helper()
	text := ""
	for _, words := range o.said {
		text += words.text() + "\n"
	}
	if !strings.Contains(text, o.failure.says) {
		o.t.Errorf("no condition says %q (%s):\n%s", o.failure.says, o.failure.why, text)
	}
	presented := slices.Collect(maps.Keys(o.rogue.presented))
	secrets := slices.Concat(o.server.SecretValues(), []string{password, clientSecret}, presented)
	searched(o.t, "a condition", text, secrets)
}

func (o *ordeal) judgePresentations() {
	o.t.Helper()
	if _, presented := o.rogue.seen(); o.failure.presented > 0 && presented > o.failure.presented {
		o.t.Errorf("a refresh token was presented %d times, want %d at most (%s)", presented, o.failure.presented, o.failure.why)
	}
	if ledger := o.server.Ledger(); ledger.Reuses > 0 {
		o.t.Errorf("%d times a refresh token was presented that was spent (%s)", ledger.Reuses, o.failure.why)
	}
}
