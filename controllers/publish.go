package controllers

import (
	"context"
	"errors"

	"k8s.io/apimachinery/pkg/types"

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
	data, err := o.template.Render(valuesOf(stored, binding.AccountOf(o.cred.Spec.Provider)))
	if err != nil {
		o.obstruct(v1alpha1.ReasonTemplateInvalid, err.Error())
		return
	}
	o.workload.wanted = workloadOf(o.cred.Spec.Target, o.domains, o.targetKey(), o.record.Serial, data)
	o.workload.wanted.Owner = o.beneficiary()
}

// beneficiary is the credential as the owner of its workload Secret.
func (o *observation) beneficiary() projection.Owner {
	return projection.Owner{Kind: projection.Credential, Name: o.cred.Name, UID: o.cred.UID}
}

func (o *observation) targetKey() types.NamespacedName {
	return types.NamespacedName{Namespace: o.cred.Namespace, Name: o.cred.TargetName()}
}

// valuesOf are what a template can use of a stored token.
func valuesOf(stored *custody.Token, account string) projection.Values {
	values := projection.NewValues(stored.Access, stored.Type, stored.Expires)
	values.Scope, values.Extra = stored.Scope, stored.Extra
	values.Account, values.RetailerID, values.Roles = account, stored.Identity.RetailerID, stored.Identity.Roles
	return values
}

// workloadOf is the Secret that a target asks for, without the labels and annotations that are not allowed. It has no owner
// yet.
func workloadOf(
	target v1alpha1.TargetSpec, domains projection.Domains, key types.NamespacedName, serial int64, data map[string][]byte,
) *projection.Workload {
	return &projection.Workload{
		Namespace: key.Namespace, Name: key.Name, Type: target.Type,
		Labels: projection.Allowed(domains, target.Labels), Annotations: projection.Allowed(domains, target.Annotations),
		Serial: serial, Data: data,
	}
}

// publishReply publishes the token that was obtained a moment ago. Where an API kills the old token at refresh, every
// millisecond here is an outage.
func (r *Reconciler) publishReply(ctx context.Context, seen *observation, try *attempt) {
	if try.answer.Verdict != token.Granted || seen.record.Token == nil {
		return
	}
	r.distribute(ctx, seen, try.replied)
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
	before, known := seen.workload.serial, seen.memory.published
	written, err := r.publisher().put(ctx, &seen.workload, func() (bool, error) { return r.lookAgain(ctx, seen) })
	seen.failed = err
	switch {
	case written != nil:
		r.deliver(seen, before)
		seen.memory.published = *written
		r.targetWorks(seen, known, *written)
		seen.workload.recall(*written, seen.record.Serial)
	case err != nil:
		r.targetFails(seen, err)
		logWrite(ctx, seen, err)
	}
}

// lookAgain reads the Secret that somebody else changed meanwhile, and tells whether it is still to be written: not where somebody
// else published it, or a newer one.
func (r *Reconciler) lookAgain(ctx context.Context, seen *observation) (bool, error) {
	seen.memory.published = publication{}
	seen.workload = workload{wanted: seen.workload.wanted, leftovers: seen.workload.leftovers}
	if err := r.readWorkload(ctx, seen); err != nil {
		return false, err
	}
	if seen.workload.floor > seen.record.Serial {
		return false, errUnexplained
	}
	return seen.publication() == plan.Outdated, nil
}

// errUnexplained stops a publication: the Secret shows a serial above which the state has to be raised first.
var errUnexplained = errors.New("the workload Secret has a serial that nobody can explain")
