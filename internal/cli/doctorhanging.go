package cli

import (
	"context"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/fluent-credential/operator/api/v1alpha1"
)

// hanging is how long something that takes seconds may take before it counts as hanging. The longest that is meant to be is the wait
// for a claim of an operator that vanished: a minute or two.
const hanging = 5 * time.Minute

// examineCredentials looks for what does not move by itself.
func (v *examination) examineCredentials(ctx context.Context) {
	var list v1alpha1.FluentCredentialList
	if err := v.cluster.List(ctx, &list); err != nil {
		v.skip("FluentCredentials cannot be listed: %s", err)
		return
	}
	needed := 0
	for i := range list.Items {
		cred := &list.Items[i]
		if trouble := v.hangs(cred); trouble != "" {
			v.fail("kubectl fluent status "+cred.Name+" -n "+cred.Namespace, "%s/%s %s", cred.Namespace, cred.Name, trouble)
		}
		if urgencyOf(cred, v.serverTime).needsPerson() {
			needed++
		}
	}
	if needed > 0 {
		v.warn("kubectl fluent list -A", "%d of %d FluentCredentials need a person", needed, len(list.Items))
		return
	}
	v.ok("%d FluentCredentials, none of which needs a person", len(list.Items))
}

// hangs tells what hangs; empty: nothing.
func (v *examination) hangs(cred *v1alpha1.FluentCredential) string {
	since := func(at time.Time) bool { return v.serverTime.Sub(at) > hanging }
	working := meta.FindStatusCondition(cred.Status.Conditions, v1alpha1.ConditionReconciling)
	switch {
	case !cred.DeletionTimestamp.IsZero() && since(cred.DeletionTimestamp.Time):
		return "is being deleted since " + stamp(*cred.DeletionTimestamp) + ", and held by " + strings.Join(cred.Finalizers, ", ")
	case len(cred.Status.Conditions) == 0 && since(cred.CreationTimestamp.Time):
		return "was never looked at"
	case working != nil && working.Reason == v1alpha1.ReasonProgressing && since(working.LastTransitionTime.Time):
		return "has an exchange under way since " + stamp(working.LastTransitionTime) + ": its claim hangs"
	case isNeglected(cred, v.serverTime, hanging):
		return "was due for a refresh at " + stamp(*cred.Status.NextRefreshTime) + ", and nobody tried"
	}
	return ""
}

// examineStates looks at the metadata of the state Secrets: those that cannot go, and those that nobody owns any more.
func (v *examination) examineStates(ctx context.Context) {
	states := &metav1.PartialObjectMetadataList{TypeMeta: metav1.TypeMeta{APIVersion: corev1.SchemeGroupVersion.String(), Kind: "SecretList"}}
	err := v.cluster.List(ctx, states, client.MatchingFields{"type": v1alpha1.StateSecretType})
	if err != nil {
		v.skip("Secrets cannot be listed: %s", err)
		return
	}
	owners, err := v.uids(ctx)
	if err != nil {
		v.skip("FluentCredentials cannot be listed: %s", err)
		return
	}
	before := len(v.all)
	for i := range states.Items {
		v.examineState(&states.Items[i], owners)
	}
	if len(v.all) == before {
		v.ok("%d state Secrets, each of them somebody's", len(states.Items))
	}
}

func (v *examination) examineState(state *metav1.PartialObjectMetadata, owners map[types.UID]bool) {
	name := state.Namespace + "/" + state.Name
	owner := metav1.GetControllerOf(state)
	switch {
	case !state.DeletionTimestamp.IsZero() && v.serverTime.Sub(state.DeletionTimestamp.Time) > hanging:
		v.fail("The operator copies it under another name before it lets it go: look at its log.",
			"Secret %s is being deleted since %s", name, stamp(*state.DeletionTimestamp))
	case owner == nil || !owners[owner.UID]:
		v.warn("If the FluentCredential "+state.Annotations[v1alpha1.CredentialAnnotation]+" is not coming back out of a backup: take the finalizer "+
			v1alpha1.StateFinalizer+" off and delete it.", "Secret %s holds a refresh token, and its FluentCredential is gone", name)
	case !slices.Contains(state.Finalizers, v1alpha1.StateFinalizer):
		v.warn("Set the rotate annotation: the operator puts it back when it writes.", "Secret %s lost its finalizer %s", name, v1alpha1.StateFinalizer)
	}
}

func (v *examination) uids(ctx context.Context) (map[types.UID]bool, error) {
	var list v1alpha1.FluentCredentialList
	err := v.cluster.List(ctx, &list)
	found := map[types.UID]bool{}
	for i := range list.Items {
		found[list.Items[i].UID] = true
	}
	return found, err
}
