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
	// distributionPatience bounds all of them, so that a pass ends within the time that a pod has to stop.
	distributionPatience = 30 * time.Second
)

// distribute begins to publish the token that was stored a moment ago for all consumers, beside the credential's own publication. What
// it returns waits until that is done.
func (r *Reconciler) distribute(ctx context.Context, seen *observation, replied time.Time) (wait func()) {
	if r.Tokens == nil || seen.cred.Spec.AllowedNamespaces == nil {
		return func() {}
	}
	of, record, done := seen.owner(), seen.record, make(chan struct{})
	go func() {
		defer close(done)
		if r.Tokens.supplyAll(ctx, of, record) > 0 {
			r.Metrics.AllDistributed(r.Clock.Now().Sub(replied))
		}
	}()
	return func() { <-done }
}

// supplyAll returns how many have the token then.
func (t *TokenReconciler) supplyAll(ctx context.Context, of custody.Owner, record *custody.Record) int {
	ctx, cancel := context.WithTimeout(ctx, distributionPatience)
	defer cancel()
	list := t.referring(ctx, types.NamespacedName{Namespace: of.Namespace, Name: of.Name})
	var writing errgroup.Group
	writing.SetLimit(distributionWidth)
	var supplied atomic.Int64
	for i := range list {
		writing.Go(func() error {
			if t.supply(ctx, &list[i], of.UID, record) {
				supplied.Add(1)
			}
			return nil
		})
	}
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
	seen, err := t.observe(ctx, token, known, record)
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

// consumersOf counts the consumers that a credential permits, and those that have its newest token; nil where it permits none.
func (r *Reconciler) consumersOf(ctx context.Context, seen *observation) *v1alpha1.ConsumersStatus {
	if r.Tokens == nil || seen.cred.Spec.AllowedNamespaces == nil {
		return nil
	}
	count := &v1alpha1.ConsumersStatus{}
	for _, token := range r.Tokens.referring(ctx, client.ObjectKeyFromObject(seen.cred)) {
		namespace, err := r.Tokens.namespaceOf(ctx, token.Namespace)
		if err != nil || !token.DeletionTimestamp.IsZero() || !distribution.Allows(seen.cred, namespace) {
			continue
		}
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
