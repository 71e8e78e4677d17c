package controllers

import (
	"context"
	"slices"
	"strconv"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/resourceversion"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/fluent-credential/operator/api/v1alpha1"
	"github.com/fluent-credential/operator/internal/custody"
	"github.com/fluent-credential/operator/internal/plan"
	"github.com/fluent-credential/operator/internal/projection"
)

// workload is what is known of the workload Secret.
type workload struct {
	wanted    *projection.Workload // nil: no token, or one that cannot be rendered
	found     bool
	ours      bool
	serial    int64 // of the token in it; zero where it is not ours
	floor     int64 // a higher serial in it that nobody can explain
	version   string
	current   bool // it holds all that is wanted, and nothing of ours that is not
	content   projection.Found
	leftovers []string
}

func secretMetadata() *metav1.PartialObjectMetadata {
	return &metav1.PartialObjectMetadata{TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Secret"}}
}

// observeWorkload compares the workload Secret with the stored token. The cache says whether it is still the version that this
// process wrote or read last; only otherwise it is read.
func (r *Reconciler) observeWorkload(ctx context.Context, seen *observation) error {
	seen.render()
	leftovers, err := r.leftovers(ctx, seen)
	if err != nil {
		return err
	}
	seen.workload.leftovers = leftovers
	cached := secretMetadata()
	key := types.NamespacedName{Namespace: seen.cred.Namespace, Name: seen.cred.TargetName()}
	err = r.Client.Get(ctx, key, cached)
	if client.IgnoreNotFound(err) != nil {
		return err
	}
	known := seen.memory.published
	if err == nil && known.isOf(key.Name, seen.workload.wanted) && !isNewer(cached.ResourceVersion, known.resourceVersion) {
		seen.workload.recall(known, seen.record.Serial)
		return nil
	}
	return r.readWorkload(ctx, seen, key)
}

// isOf tells whether it is known what else is in the Secret. Where other keys are wanted than before, it is to be looked at what is
// not wanted any more.
func (p publication) isOf(name string, wanted *projection.Workload) bool {
	return p.name == name && (wanted == nil || p.shape == wanted.Shape())
}

// recall takes the Secret to be what this process last knew it to be: the cache has seen nothing newer.
func (w *workload) recall(known publication, serial int64) {
	w.found, w.ours, w.version, w.serial = true, true, known.resourceVersion, known.serial
	w.content = projection.Found{Shared: known.shared}
	w.current = w.wanted != nil && w.wanted.Digest() == known.digest && known.serial <= serial
}

// isNewer compares two versions of one object; versions that cannot be compared count as newer.
func isNewer(version, than string) bool {
	order, err := resourceversion.CompareResourceVersion(version, than)
	return err != nil || order > 0
}

func (r *Reconciler) readWorkload(ctx context.Context, seen *observation, key types.NamespacedName) error {
	var secret corev1.Secret
	if err := r.Live.Get(ctx, key, &secret); apierrors.IsNotFound(err) {
		return nil
	} else if err != nil {
		return err
	}
	found := &seen.workload
	found.found, found.version = true, secret.ResourceVersion
	found.ours = isOurs(&secret, seen.cred)
	if !found.ours {
		return nil
	}
	found.serial = serialOf(&secret)
	if found.serial > seen.record.Serial {
		if err := r.explainSerial(ctx, seen); err != nil {
			return err
		}
	}
	if found.wanted == nil {
		return nil
	}
	found.content = found.wanted.Find(&secret, v1alpha1.OperatorName)
	found.current = found.wanted.Matches(&secret) && found.content.IsTidy()
	if found.current {
		seen.memory.published = publicationOf(found.wanted, secret.ResourceVersion, found.content.Shared)
	}
	return nil
}

// explainSerial looks why the workload Secret has a higher serial than the state. Another replica has published meanwhile: a live read
// shows it, because the state is stored first. The state came out of a backup: the status or the mark has seen the higher serial too.
// Otherwise somebody edited the annotation.
func (r *Reconciler) explainSerial(ctx context.Context, seen *observation) error {
	if err := r.observeState(ctx, seen); err != nil {
		return err
	}
	seen.render()
	if seen.workload.serial > max(seen.record.Serial, seen.witnessed()) {
		seen.workload.serial, seen.workload.floor = 0, seen.workload.serial
	}
	return nil
}

// isOurs tells whether the Secret is this credential's: it is owned by it, or it was left behind by a former object of that name
// (deletionPolicy: Retain, or a backup) and is owned by nobody else.
func isOurs(secret *corev1.Secret, cred *v1alpha1.FluentCredential) bool {
	controller := metav1.GetControllerOf(secret)
	if controller != nil && controller.UID == cred.UID {
		return true
	}
	former := controller == nil || controller.Kind == credentialKind && controller.Name == cred.Name
	return former && secret.Type != v1alpha1.StateSecretType &&
		secret.Labels[v1alpha1.ManagedByLabel] == v1alpha1.OperatorName &&
		secret.Annotations[v1alpha1.CredentialAnnotation] == cred.Name
}

// serialOf is the serial in the annotation; what nobody could have counted to is somebody's edit, and counts as none.
func serialOf(object metav1.Object) int64 {
	serial, err := strconv.ParseInt(object.GetAnnotations()[v1alpha1.SerialAnnotation], 10, 64)
	if err != nil || serial < 0 || serial > custody.MostSerial {
		return 0
	}
	return serial
}

func publicationOf(wanted *projection.Workload, resourceVersion string, shared bool) publication {
	return publication{
		name: wanted.Name, resourceVersion: resourceVersion, digest: wanted.Digest(), shape: wanted.Shape(), shared: shared, serial: wanted.Serial,
	}
}

// publication compares the workload Secret with the stored token.
func (o *observation) publication() plan.Publication {
	switch {
	case o.workload.found && !o.workload.ours:
		return plan.Taken
	case o.workload.serial > o.record.Serial:
		return plan.Newer
	case o.workload.current:
		return plan.Current
	case o.workload.wanted == nil:
		return "" // there is nothing to publish
	}
	return plan.Outdated
}

// leftovers are workload Secrets of this credential under former names.
func (r *Reconciler) leftovers(ctx context.Context, seen *observation) ([]string, error) {
	owned := &metav1.PartialObjectMetadataList{TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "SecretList"}}
	err := r.Client.List(ctx, owned, client.InNamespace(seen.cred.Namespace), client.MatchingFields{ownerIndex: shelf(string(seen.cred.UID))},
		client.UnsafeDisableDeepCopy)
	if err != nil {
		return nil, err
	}
	states := custody.Names(seen.cred.Name)
	var names []string
	for i := range owned.Items {
		secret := &owned.Items[i]
		if ownerOf(secret) == seen.cred.UID && secret.Name != seen.cred.TargetName() && !slices.Contains(states[:], secret.Name) && secret.DeletionTimestamp.IsZero() {
			names = append(names, secret.Name)
		}
	}
	return names, nil
}
