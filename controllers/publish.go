package controllers

import (
	"context"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/fluent-credential/operator/api/v1alpha1"
	"github.com/fluent-credential/operator/internal/binding"
	"github.com/fluent-credential/operator/internal/custody"
	"github.com/fluent-credential/operator/internal/plan"
	"github.com/fluent-credential/operator/internal/projection"
	"github.com/fluent-credential/operator/internal/token"
)

// render makes the workload Secret that the stored token asks for.
func (o *observation) render() {
	o.workload.wanted = nil
	stored := o.record.Token
	if stored == nil || o.obstacle.reason == v1alpha1.ReasonTemplateInvalid {
		return
	}
	values := projection.NewValues(stored.Access, stored.Type, stored.Expires)
	values.Scope, values.Extra = stored.Scope, stored.Extra
	values.Account, values.RetailerID, values.Roles = binding.AccountOf(o.cred.Spec.Provider), stored.Identity.RetailerID, stored.Identity.Roles
	data, err := o.template.Render(values)
	if err != nil {
		o.obstruct(v1alpha1.ReasonTemplateInvalid, err.Error())
		return
	}
	target := o.cred.Spec.Target
	o.workload.wanted = &projection.Workload{
		Namespace: o.cred.Namespace, Name: o.cred.TargetName(), Type: target.Type,
		Labels: target.Labels, Annotations: target.Annotations, Serial: o.record.Serial, Data: data,
		Owner: projection.Owner{Name: o.cred.Name, UID: o.cred.UID},
	}
}

// publishReply publishes the token that was obtained a moment ago. Where an API kills the old token at refresh, every
// millisecond here is an outage.
func (r *Reconciler) publishReply(ctx context.Context, seen *observation, try *attempt) {
	if try.answer.Verdict != token.Granted || seen.record.Token == nil {
		return
	}
	seen.render()
	seen.workload.current = false
	if seen.publication() != plan.Outdated || !seen.now.Before(seen.record.Token.Expires) {
		return
	}
	r.publish(ctx, seen)
	if seen.failed == nil {
		r.measurePublication(try)
	}
}

// republish repairs the workload Secret from the stored token: nothing is spent for it.
func (r *Reconciler) republish(ctx context.Context, seen *observation) error {
	if seen.workload.floor > seen.record.Serial {
		return r.raise(ctx, seen)
	}
	r.publish(ctx, seen)
	status := seen.cred.Status
	if seen.failed == nil && status.TargetName == seen.cred.TargetName() && seen.statusSerial() == seen.record.Serial {
		r.sayRestored(seen)
	}
	return nil
}

// raise puts the state's serial above one that the workload Secret shows and nobody can explain, so that what is published next does
// not count back, whoever wrote it. The next pass publishes.
func (r *Reconciler) raise(ctx context.Context, seen *observation) error {
	next := seen.record.State
	if seen.isRolledBack() {
		next = next.Doubted() // with the higher serial nothing else would tell
	}
	next.Serial = seen.workload.floor + 1
	record, err := r.Custody.Put(ctx, seen.owner(), seen.record, next)
	if err == nil {
		seen.record = record
		seen.render()
	}
	return err
}

// publish writes the workload Secret. What the Kubernetes API says against it is kept in the observation: the token is safe, and
// the status shall tell.
func (r *Reconciler) publish(ctx context.Context, seen *observation) {
	for range publishTries {
		wanted := seen.workload.wanted // a look at what is there may have brought a newer token
		version, err := r.write(ctx, wanted, seen.workload)
		if err == nil {
			r.deliver(seen)
			seen.memory.published = publicationOf(wanted, version, seen.workload.content.Shared)
			seen.workload.recall(seen.memory.published, seen.record.Serial)
			seen.failed = nil
			return
		}
		seen.failed = err
		if !isRace(err) {
			break
		}
		if err := r.lookAgain(ctx, seen); err != nil || seen.publication() != plan.Outdated || seen.workload.floor > seen.record.Serial {
			break
		}
	}
	if seen.failed != nil && !isRace(seen.failed) {
		ctrl.LoggerFrom(ctx).Info("The workload Secret could not be written", "because", custody.Refused(seen.failed))
	}
}

// publishTries bounds the races with somebody who edits the Secret at the same time; the next pass goes on.
const publishTries = 3

func isRace(err error) bool {
	return apierrors.IsConflict(err) || apierrors.IsAlreadyExists(err) || apierrors.IsNotFound(err)
}

// lookAgain reads the Secret that somebody else changed meanwhile.
func (r *Reconciler) lookAgain(ctx context.Context, seen *observation) error {
	seen.memory.published = publication{}
	seen.workload = workload{wanted: seen.workload.wanted, leftovers: seen.workload.leftovers}
	err := r.readWorkload(ctx, seen, types.NamespacedName{Namespace: seen.cred.Namespace, Name: seen.cred.TargetName()})
	if err == nil && seen.publication() != plan.Outdated {
		seen.failed = nil // somebody else published it, or a newer one
	}
	return err
}

// write creates the Secret, or writes over exactly the version that was seen: so that a lower serial never overwrites a higher one,
// whoever else is publishing (invariant I5). A Secret that holds nothing but what is wanted is replaced, which is the cheapest for
// the API server; one that others put something into is patched.
func (r *Reconciler) write(ctx context.Context, wanted *projection.Workload, found workload) (string, error) {
	secret, owner := wanted.Secret(found.version), client.FieldOwner(v1alpha1.OperatorName)
	var err error
	switch {
	case found.version == "":
		err = r.Client.Create(ctx, secret, owner)
	case !found.content.Shared:
		err = r.Client.Update(ctx, secret, owner)
	default:
		err = r.patch(ctx, wanted, found, secret)
	}
	return secret.ResourceVersion, err
}

func (r *Reconciler) patch(ctx context.Context, wanted *projection.Workload, found workload, into *corev1.Secret) error {
	patch, err := wanted.Patch(found.version, found.content.Dropped)
	if err != nil {
		return err
	}
	return r.Client.Patch(ctx, into, client.RawPatch(types.StrategicMergePatchType, patch), client.FieldOwner(v1alpha1.OperatorName))
}
