package controllers

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/fluent-credential/operator/api/v1alpha1"
	"github.com/fluent-credential/operator/internal/binding"
	"github.com/fluent-credential/operator/internal/custody"
	"github.com/fluent-credential/operator/internal/loginguard"
	"github.com/fluent-credential/operator/internal/provider"
	"github.com/fluent-credential/operator/internal/token"
)

const (
	// leavePatience is how long a deletion waits for the turn of the token host, and for the Kubernetes API to take the claim.
	leavePatience = 15 * time.Second
	// lookTimeout bounds the search for others that use the refresh token.
	lookTimeout = 5 * time.Second
)

// isRevocable: there is a refresh token whose life the API can end, and this process did not try it yet.
func (o *observation) isRevocable() bool {
	if o.cred.DeletionTimestamp.IsZero() || o.api == nil || o.record.Chain == nil || o.memory.leaving.revoked {
		return false
	}
	_, can := o.api.Revocation(token.Login{})
	return can
}

// revoke asks the API to end the life of the refresh token of a FluentCredential that goes: once, within a few seconds, and
// whatever comes of it the deletion goes on. In doubt a token is kept: an idle one ends by itself, but nothing brings back one
// that somebody else lives on.
func (r *Reconciler) revoke(ctx context.Context, seen *observation) error {
	problem, because, err := r.revocation(ctx, seen)
	if because == "" && r.isTooLate(ctx, seen, err) {
		because, err = "its claim could not be written: "+wordsOfWrite(seen, err), nil
	}
	if err == nil {
		err = ctx.Err()
	}
	if err != nil {
		return err // SIGTERM, or the claim is tried again: somebody else is at it, or the Kubernetes API does not take it
	}
	seen.memory.leaving.revoked = true
	result := "revoked"
	switch {
	case because != "":
		result = "kept"
		r.sayKept(seen, because)
	case problem != nil:
		result, because = "failed", strings.Join(wordsOf(*problem), ": ")
		r.sayNotRevoked(seen, because)
	default:
		r.sayRevoked(seen)
	}
	r.Metrics.Revoked(seen.api.Name(), result)
	ctrl.LoggerFrom(ctx).Info("The FluentCredential goes, and its refresh token was dealt with", "result", result, "because", because)
	return nil
}

// isTooLate tells whether a claim could not be written for so long that the deletion goes on without the revocation. A write whose
// answer says nothing looks like a conflict too: the live read after it finds no claim of ours.
func (r *Reconciler) isTooLate(ctx context.Context, seen *observation, err error) bool {
	waited := r.Clock.Now().Sub(seen.memory.leaving.first)
	return err != nil && ctx.Err() == nil && waited >= leavePatience
}

// revocation sends the request, or says why it must not be sent. It claims the token as an exchange does: of many replicas one
// asks, and one that was frozen on the way does not end a chain that by then is another object's.
func (r *Reconciler) revocation(ctx context.Context, seen *observation) (problem *provider.Problem, because string, err error) {
	if because := seen.keeps(); because != "" {
		return nil, because, nil
	}
	if because := r.isShared(ctx, seen); because != "" {
		return nil, because, nil
	}
	if !r.Hosts.Take(hostOf(seen.api), seen.waiter(), seen.now) {
		return nil, "the turn at the token host did not come in time (--host-rate, or the rate that its API documents)", nil
	}
	try := r.prepareRevocation(seen)
	defer r.land(seen, try)
	conn, problem := r.Dialer.DialRevocation(ctx, try.request)
	if problem != nil {
		return problem, "", nil
	}
	defer conn.Close()
	seen.memory.leaving.claim = try.claim.ID
	claimed, err := r.claim(ctx, conn, seen, try)
	if err != nil {
		return nil, "", err
	}
	seen.record = claimed
	if try.sent = r.Clock.Now(); isLate(try) {
		return nil, "this process was held up", nil
	}
	return conn.Revoke(ctx, try.request), "", nil
}

func (r *Reconciler) prepareRevocation(seen *observation) *attempt {
	login := seen.login
	login.Refresh = seen.record.Chain.Refresh
	request, _ := seen.api.Revocation(login) // it was found to be possible
	request.Secrets = seen.secretsBeside(request)
	return &attempt{spends: login.Refresh, request: request, claim: custody.Claim{
		ID: custody.NewID(), Grant: revocation, Attempt: 1, Spends: login.Refresh.Hash(seen.record.Salt), Holder: r.Holder,
	}}
}

// revocation is no grant: it is what the claim of a revocation says in the place of one.
const revocation token.Grant = "revocation"

// keeps says why the refresh token is not to be revoked; empty where it is. A suspended credential does nothing at the API, which
// is how a chain is moved to another cluster.
func (o *observation) keeps() string {
	switch {
	case o.cred.Spec.Suspend:
		return "spec.suspend is true"
	case o.cred.Spec.Target.DeletionPolicy == v1alpha1.DeletionRetain:
		return "target.deletionPolicy is Retain, and many APIs end the life of the access token with it"
	case o.facts.Chain.Presented > 0, o.record.Claim != nil:
		return "it may be spent already, and its successor may be somebody else's"
	case o.login.ClientID == "":
		return "the client is not known any more: Secret " + o.cred.Spec.CredentialsSecretRef.Name + " is gone or has no client id"
	}
	return o.revocationOrigin()
}

// isShared looks for another FluentCredential that uses the refresh token, or that took the family over. The login guard
// knows who spent it as a seed, in whichever namespace. Beside it only the credential's own namespace is searched: what
// others keep in theirs must not decide what is revoked here.
func (r *Reconciler) isShared(ctx context.Context, seen *observation) string {
	ctx, cancel := context.WithTimeout(ctx, lookTimeout)
	defer cancel()
	heir, err := r.heir(ctx, seen)
	switch {
	case err != nil:
		ctrl.LoggerFrom(ctx).Info("Whether another FluentCredential uses the refresh token is not known", "because", err.Error())
		return "whether another FluentCredential uses it could not be found out"
	case heir != nil:
		return r.sayWhoUses(ctx, seen, *heir)
	}
	return ""
}

// maxHeirs bounds how many other FluentCredentials are looked at, each by two or three live reads.
const maxHeirs = 100

var errTooManyHeirs = fmt.Errorf(
	"more than %d FluentCredentials of the namespace have no token yet or share the credentials Secret", maxHeirs)

// heir returns another FluentCredential that uses the refresh token or is about to, or nil if there is none.
func (r *Reconciler) heir(ctx context.Context, seen *observation) (*types.NamespacedName, error) {
	if r.Guard != nil {
		login := seen.guarded()
		login.Seed = seen.record.Chain.Refresh
		owner, err := r.Guard.OwnerOf(ctx, login)
		if err != nil || owner != nil && owner.UID != string(seen.cred.UID) {
			return named(owner), err
		}
	}
	var beside v1alpha1.FluentCredentialList
	if err := r.Client.List(ctx, &beside, client.InNamespace(seen.cred.Namespace)); err != nil {
		return nil, err
	}
	looked := 0
	for i := range beside.Items {
		other := &beside.Items[i]
		if !mayInherit(other, seen.cred) {
			continue
		}
		if looked++; looked > maxHeirs {
			return nil, errTooManyHeirs
		}
		if uses, err := r.uses(ctx, other, seen); uses || err != nil {
			key := client.ObjectKeyFromObject(other)
			return &key, err
		}
	}
	return nil, nil
}

// sayWhoUses names a FluentCredential of the same namespace in the event, and any other one in the log only.
func (r *Reconciler) sayWhoUses(ctx context.Context, seen *observation, heir types.NamespacedName) string {
	other := loginguard.Owner{Namespace: heir.Namespace, Name: heir.Name}
	if heir.Namespace != seen.cred.Namespace {
		ctrl.LoggerFrom(ctx).Info("A FluentCredential of another namespace uses the refresh token",
			"otherNamespace", heir.Namespace, "otherName", heir.Name)
	}
	return otherCredential(other, seen.cred.Namespace) + " uses it" + hintAtLog(other, seen.cred.Namespace)
}

func named(owner *loginguard.Owner) *types.NamespacedName {
	if owner == nil {
		return nil
	}
	return &types.NamespacedName{Namespace: owner.Namespace, Name: owner.Name}
}

// mayInherit reports whether another FluentCredential of the namespace can have the refresh token of one that is being
// deleted: it shares the credentials Secret, or has no token yet and may be about to take it. To look at all would take
// seconds in a large namespace.
func mayInherit(other, gone *v1alpha1.FluentCredential) bool {
	if other.UID == gone.UID || !other.DeletionTimestamp.IsZero() {
		return false
	}
	shares := other.Spec.CredentialsSecretRef.Name == gone.Spec.CredentialsSecretRef.Name
	return shares || other.Status.Token == nil
}

// uses tells whether another FluentCredential of the same API has the refresh token, spent it as its seed, or is going to.
func (r *Reconciler) uses(ctx context.Context, other *v1alpha1.FluentCredential, seen *observation) (bool, error) {
	api, err := binding.APIOf(other.Spec.Provider)
	if err != nil || api.Name() != seen.api.Name() {
		return false, nil
	}
	refresh := seen.record.Chain.Refresh
	record, err := r.Custody.Open(ctx, stateOwner(other))
	if errors.Is(err, custody.ErrForeign) {
		record, err = &custody.Record{}, nil // it has no family: the operator stores nothing there
	}
	if err != nil {
		return false, err
	}
	if record.Chain != nil && record.Chain.Refresh.Equal(refresh) || record.Spent(refresh) {
		return true, nil
	}
	var login corev1.Secret
	key := types.NamespacedName{Namespace: other.Namespace, Name: other.Spec.CredentialsSecretRef.Name}
	if err := r.Live.Get(ctx, key, &login); err != nil {
		return false, client.IgnoreNotFound(err)
	}
	return binding.LoginOf(&login, other.Spec.CredentialsSecretRef.Keys).Refresh.Equal(refresh), nil
}
