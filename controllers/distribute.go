package controllers

import (
	"cmp"
	"context"
	"slices"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/fluent-credential/operator/api/v1alpha1"
	"github.com/fluent-credential/operator/internal/custody"
	"github.com/fluent-credential/operator/internal/distribution"
)

// A new token goes to all consumers in the pass that obtained it. It is best effort, and what fails is tried again by the passes of the
// FluentTokens, which the new status of the credential wakes.

const (
	// distributionWidth is how many consumers are written at a time.
	distributionWidth = 16
	// consumerPatience bounds the write for one consumer: one whose namespace does not answer delays the others no longer.
	consumerPatience = 5 * time.Second
	// distributionPatience bounds all of them, so that they end within the time that a pod has to stop.
	distributionPatience = 30 * time.Second
	// countPatience bounds how long the credential's status waits for them, to be written once in most rotations: who has the token later
	// is counted later.
	countPatience = time.Second
)

// distribute begins to publish the token that was stored a moment ago for all consumers, beside the credential's own publication. Nothing
// that is the credential's own waits for the end of it, but for the count in its status, and that not for long.
func (r *Reconciler) distribute(ctx context.Context, seen *observation, replied time.Time) {
	if r.Tokens == nil || seen.cred.Spec.AllowedNamespaces == nil {
		return
	}
	cred, record, done := seen.cred, *seen.record, make(chan struct{})
	seen.distributed = done
	r.inFlight.Add(1) // shutdown waits for it
	go func() {
		defer r.inFlight.Add(-1)
		defer close(done)
		if r.Tokens.supplyAll(context.WithoutCancel(ctx), cred, &record) > 0 { // the pass may be over by then
			r.Metrics.AllDistributed(r.Clock.Now().Sub(replied))
		}
	}()
}

// untilDistributed waits a moment for the consumers, so that the status counts them with the serial that it tells.
func (o *observation) untilDistributed(ctx context.Context) {
	if o.distributed == nil {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, countPatience)
	defer cancel()
	select {
	case <-o.distributed:
	case <-ctx.Done():
	}
}

// supplyAll returns how many have the token then.
func (t *TokenReconciler) supplyAll(ctx context.Context, cred *v1alpha1.FluentCredential, record *custody.Record) int {
	ctx, cancel := context.WithTimeout(ctx, distributionPatience)
	defer cancel()
	rush, over := t.consumers.begin(cred.UID, record)
	defer over()
	list := t.permitted(ctx, cred)
	var writing errgroup.Group
	writing.SetLimit(distributionWidth)
	var supplied atomic.Int64
	for i := range list {
		writing.Go(func() error {
			if t.supply(ctx, &list[i], cred.UID, record) {
				supplied.Add(1)
			}
			return nil
		})
	}
	rush.begun.Store(true)
	_ = writing.Wait()
	return int(supplied.Load())
}

// supply publishes a token for one consumer, where that is what its plan says.
func (t *TokenReconciler) supply(ctx context.Context, token *v1alpha1.FluentToken, source types.UID, record *custody.Record) bool {
	ctx, cancel := context.WithTimeout(ctx, consumerPatience)
	defer cancel()
	known := t.consumers.of(client.ObjectKeyFromObject(token), token.UID)
	if !known.take(ctx) {
		return false
	}
	defer known.leave()
	token = t.still(ctx, token)
	if token == nil {
		return false
	}
	token, err := t.whole(ctx, token)
	var seen *tokenObservation
	if err == nil {
		seen, err = t.observe(ctx, token, known, record)
	}
	if err == nil && seen.cred != nil && seen.cred.UID == source && distribution.Next(seen.facts, seen.now).Do == distribution.Publish {
		if err = t.publish(ctx, seen); err == nil {
			err = seen.failed
		}
	}
	known.failed.Store(err != nil && !isRace(err))
	return known.has(source, record.Serial)
}

// still is the FluentToken as it is now, by the cache: others were supplied before it. Nil where it is gone, is going, or refers to
// another credential.
func (t *TokenReconciler) still(ctx context.Context, token *v1alpha1.FluentToken) *v1alpha1.FluentToken {
	now, key := &v1alpha1.FluentToken{}, client.ObjectKeyFromObject(token)
	err := t.Client.Get(ctx, key, now)
	if apierrors.IsNotFound(err) || err == nil && now.UID != token.UID {
		t.consumers.forget(key)
		return nil
	}
	if err != nil || !now.DeletionTimestamp.IsZero() || now.Spec.CredentialRef != token.Spec.CredentialRef {
		return nil
	}
	return now
}

// referring are the FluentTokens that refer to a credential, by the cache; those that could not be supplied last time come last. They
// are not copies.
func (t *TokenReconciler) referring(ctx context.Context, cred types.NamespacedName) []v1alpha1.FluentToken {
	var list v1alpha1.FluentTokenList
	if err := t.Client.List(ctx, &list, client.MatchingFields{referenceIndex: cred.String()}, client.UnsafeDisableDeepCopy); err != nil {
		return nil // the cache answers, or is not there
	}
	failed := func(token *v1alpha1.FluentToken) int {
		if t.consumers.of(client.ObjectKeyFromObject(token), token.UID).failed.Load() {
			return 1
		}
		return 0
	}
	slices.SortStableFunc(list.Items, func(a, b v1alpha1.FluentToken) int { return cmp.Compare(failed(&a), failed(&b)) })
	return list.Items
}

// permitted are those of them that the credential permits. Others take no place: anybody can make them, in any number.
func (t *TokenReconciler) permitted(ctx context.Context, cred *v1alpha1.FluentCredential) []v1alpha1.FluentToken {
	return slices.DeleteFunc(t.referring(ctx, client.ObjectKeyFromObject(cred)), func(token v1alpha1.FluentToken) bool {
		namespace, err := t.namespaceOf(ctx, token.Namespace)
		return err != nil || !token.DeletionTimestamp.IsZero() || !distribution.Allows(cred, namespace)
	})
}

// consumersOf counts the consumers that a credential permits, and those that have its newest token; nil where it permits none.
func (r *Reconciler) consumersOf(ctx context.Context, seen *observation) *v1alpha1.ConsumersStatus {
	if r.Tokens == nil || seen.cred.Spec.AllowedNamespaces == nil {
		return nil
	}
	seen.untilDistributed(ctx)
	count := &v1alpha1.ConsumersStatus{}
	for _, token := range r.Tokens.permitted(ctx, seen.cred) {
		count.Total++
		if r.Tokens.isSupplied(&token, seen.cred.UID, seen.record.Serial) {
			count.Current++
		}
	}
	return count
}

// isSupplied asks the memory, and after a start the status that the FluentToken was given before.
func (t *TokenReconciler) isSupplied(token *v1alpha1.FluentToken, source types.UID, serial int64) bool {
	known := t.consumers.of(client.ObjectKeyFromObject(token), token.UID)
	if known.holds.Load() != nil {
		return known.has(source, serial)
	}
	return isTokenReady(token) && token.Status.Token != nil && token.Status.Token.Serial == serial
}

// ignoresSelector: the credential selects namespaces by labels, and the operator may not read them.
func (r *Reconciler) ignoresSelector(cred *v1alpha1.FluentCredential) bool {
	allowed := cred.Spec.AllowedNamespaces
	return r.Tokens != nil && !r.Tokens.Selects && allowed != nil && allowed.Selector != nil
}
