package cli

import (
	"cmp"
	"context"
	"slices"
	"strings"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/duration"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/fluent-credential/operator/api/v1alpha1"
)

// examineOperators looks for the operator, and for a second one in its field.
func (v *examination) examineOperators(ctx context.Context) {
	found, err := findOperators(ctx, v.cluster)
	if err != nil {
		v.skip("Deployments cannot be listed: %s", err)
		return
	}
	v.operators = found
	if len(found) == 0 {
		v.fail(installAdvice, "no Deployment has the label %s=%s: no operator is installed, or it runs outside of the cluster",
			nameLabel, v1alpha1.OperatorName)
	}
	for i := range found {
		v.examineDeployment(&found[i])
		for n := range found[:i] {
			v.examineRivals(&found[n], &found[i])
		}
	}
}

func (v *examination) examineDeployment(o *operator) {
	status, wanted := o.deployment.Status, cmp.Or(o.deployment.Spec.Replicas, new(int32(1)))
	if status.AvailableReplicas == 0 {
		v.fail("kubectl describe deployment "+o.deployment.Name+" -n "+o.deployment.Namespace,
			"%s: none of %d replicas is available", o.name(), *wanted)
	} else {
		v.ok("%s: %d of %d replicas available, %s", o.name(), status.AvailableReplicas, *wanted, container(&o.deployment).Image)
	}
	if o.version() != v.version && strings.HasPrefix(o.version(), "v") && strings.HasPrefix(v.version, "v") {
		v.warn("Use the same release of both.", "%s is %s, and this kubectl fluent %s", o.name(), o.version(), v.version)
	}
	if o.flags.insecureHTTP {
		v.warn("Leave it out but in development: tokens go over the network in the clear.", "%s runs with --insecure-http", o.name())
	}
}

// examineRivals: two operators never spend one token twice, but they take turns at it, and one of them may be the older one.
func (v *examination) examineRivals(one, other *operator) {
	shared := len(one.flags.namespaces) == 0 || len(other.flags.namespaces) == 0 ||
		slices.ContainsFunc(one.flags.namespaces, other.serves)
	if shared {
		v.fail("Remove one, or divide the namespaces with --namespaces.", "%s and %s look after the same namespaces", one.name(), other.name())
	}
}

// examineAccess asks the API server what the operator may do.
func (v *examination) examineAccess(ctx context.Context) {
	if len(v.operators) == 0 {
		v.skip("there is no operator to ask for")
	}
	for i := range v.operators {
		o := &v.operators[i]
		missing, err := v.deniedTo(ctx, o)
		switch {
		case err != nil:
			v.skip("what %s may do cannot be looked at: %s", o.user(), err)
		case len(missing) > 0:
			v.fail(accessAdvice, "%s may not: %s", o.user(), strings.Join(missing, ", "))
		default:
			v.ok("%s may do its work", o.user())
		}
	}
}

func (v *examination) deniedTo(ctx context.Context, o *operator) ([]string, error) {
	missing, err := denied(ctx, v.cluster, o.user(), o.deployment.Namespace, inItsOwnNamespace)
	namespaces := o.flags.namespaces
	if len(namespaces) == 0 {
		namespaces = []string{""}
	}
	for _, namespace := range namespaces {
		if err != nil {
			return nil, err
		}
		var more []string
		more, err = denied(ctx, v.cluster, o.user(), namespace, inEveryNamespace)
		missing = append(missing, more...)
	}
	return missing, err
}

// examineLeases looks who leads, and whether its clock is right.
func (v *examination) examineLeases(ctx context.Context) {
	var list coordinationv1.LeaseList
	if err := v.cluster.List(ctx, &list); err != nil {
		v.skip("leases cannot be listed: %s", err)
		return
	}
	found := slices.DeleteFunc(list.Items, func(lease coordinationv1.Lease) bool { return lease.Name != v1alpha1.LeaderLease })
	if len(found) == 0 {
		v.warn("Look at its log, unless it runs with --leader-elect=false.", "there is no lease %s: no operator has led yet", v1alpha1.LeaderLease)
	}
	held := 0
	for i := range found {
		if v.examineLease(&found[i]) {
			held++
		}
	}
	if held > 1 {
		v.warn("Remove one, or divide the namespaces with --namespaces.", "%d operators lead, each in its namespace", held)
	}
}

// defaultLease is how long a lease lasts that does not say it.
const defaultLease = 15

func (v *examination) examineLease(lease *coordinationv1.Lease) (held bool) {
	holder, renewed := lease.Spec.HolderIdentity, lease.Spec.RenewTime
	if holder == nil || *holder == "" || renewed == nil {
		v.warn("If it stays, look at the operator's log.", "nobody holds the lease in %s", lease.Namespace)
		return false
	}
	v.examineLeaderClock(lease)
	// Twice its duration: a standby may be taking over this moment.
	age := v.serverTime.Sub(renewed.Time)
	if most := 2 * time.Duration(*cmp.Or(lease.Spec.LeaseDurationSeconds, new(int32(defaultLease)))) * time.Second; age > most {
		v.fail("Look whether its pods run.", "%s has held the lease in %s, and renewed it last %s ago", *holder, lease.Namespace, duration.HumanDuration(age))
		return false
	}
	v.ok("%s leads in %s", *holder, lease.Namespace)
	return true
}

// examineLeaderClock compares the time that the leader wrote with the time at which the API server took the writing.
func (v *examination) examineLeaderClock(lease *coordinationv1.Lease) {
	for _, entry := range lease.ManagedFields {
		if entry.Time == nil || entry.FieldsV1 == nil || !strings.Contains(entry.FieldsV1.GetRawString(), `"f:renewTime"`) {
			continue
		}
		if skew := lease.Spec.RenewTime.Sub(entry.Time.Time); skew > maxSkew || skew < -maxSkew {
			v.fail("Set the clock of its node (NTP): tokens are renewed too early, or too late.",
				"the clock of the leader in %s is %s the API server's", lease.Namespace, aheadOrBehind(skew))
		}
	}
}

// examineJournal looks for the key, and never into it.
func (v *examination) examineJournal(ctx context.Context) {
	if len(v.operators) == 0 {
		v.skip("there is no operator that has one")
	}
	for i := range v.operators {
		o := &v.operators[i]
		if o.flags.journalDir == "" {
			v.warn("Give it a directory: without one, a reply is lost when the operator is killed before it could store it.",
				"%s keeps no journal (--journal-dir is empty)", o.name())
			continue
		}
		v.examineJournalKey(ctx, o)
	}
	v.examineDisks(ctx)
}

// examineDisks asks the credentials: an operator tells of a disk that it cannot write by those that wait for it.
func (v *examination) examineDisks(ctx context.Context) {
	var list v1alpha1.FluentCredentialList
	if err := v.cluster.List(ctx, &list); err != nil {
		return // the credentials' own check says so
	}
	for i := range list.Items {
		cred := &list.Items[i]
		working := meta.FindStatusCondition(cred.Status.Conditions, v1alpha1.ConditionReconciling)
		if working != nil && working.Status == metav1.ConditionTrue && working.Reason == v1alpha1.ReasonJournalUnwritable {
			v.fail("Look at the volume behind --journal-dir: is it full, or read-only? Nothing is spent until it can be written.",
				"%s/%s waits for the journal, as may others: %s", cred.Namespace, cred.Name, working.Message)
			return
		}
	}
}

func (v *examination) examineJournalKey(ctx context.Context, o *operator) {
	name := client.ObjectKey{Namespace: o.deployment.Namespace, Name: v1alpha1.JournalKeySecret}
	err := v.cluster.Get(ctx, name, secretMetadata())
	switch {
	case apierrors.IsNotFound(err):
		v.fail("It is made when the operator starts: look at its log.", "the journal's key, Secret %s, does not exist", name)
	case err != nil:
		v.skip("Secret %s cannot be looked at: %s", name, err)
	default:
		v.ok("the journal's key is there")
	}
}
