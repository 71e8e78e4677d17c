package controllers

import (
	"context"
	"strconv"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/resourceversion"

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
	serial    int64     // of the token in it; zero where it is not ours
	source    types.UID // of the credential whose token it is, where the Secret says so
	floor     int64     // a higher serial in it that nobody can explain
	version   string
	current   bool // it holds all that is wanted, and nothing of ours that is not
	content   projection.Found
	read      *corev1.Secret // the version above; nil if it was recalled, not read
	examined  uint64         // the shape that content was compared with; zero: no comparison was made
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
	known := seen.memory.published
	unchanged, err := r.publisher().isUnchanged(ctx, seen.targetKey(), known)
	if err != nil {
		return err
	}
	if unchanged && known.fits(seen.workload.wanted) {
		seen.workload.recall(known, seen.record.Serial)
		return nil
	}
	return r.readWorkload(ctx, seen)
}

// fits tells whether it is known what else is in the Secret. Where other keys are wanted than before, it is to be looked at what is
// not wanted any more.
func (p publication) fits(wanted *projection.Workload) bool {
	return wanted == nil || p.shape == wanted.Shape()
}

// recall takes the Secret to be what this process last knew it to be: the cache has seen nothing newer.
func (w *workload) recall(known publication, serial int64) {
	w.found, w.ours, w.version, w.serial = true, true, known.resourceVersion, known.serial
	w.content = projection.Found{Shared: known.shared}
	w.examined = known.shape
	w.read = nil
	w.current = w.wanted != nil && w.wanted.Digest() == known.digest && known.serial <= serial
}

// isNewer compares two versions of one object; versions that cannot be compared count as newer.
func isNewer(version, than string) bool {
	order, err := resourceversion.CompareResourceVersion(version, than)
	return err != nil || order > 0
}

func (r *Reconciler) readWorkload(ctx context.Context, seen *observation) error {
	found := &seen.workload
	secret, err := r.publisher().read(ctx, found, seen.targetKey(), seen.beneficiary())
	if secret == nil || err != nil {
		return err
	}
	if found.serial > seen.record.Serial {
		if err := r.explainSerial(ctx, seen); err != nil {
			return err
		}
	}
	found.compare(secret, &seen.memory.published)
	return nil
}

// compare tells whether the Secret holds all that is wanted; one that does is remembered.
func (w *workload) compare(secret *corev1.Secret, known *publication) {
	if w.wanted == nil {
		w.current = false
		return
	}
	w.examine()
	w.current = w.wanted.Matches(secret) && w.content.IsTidy()
	if w.current {
		*known = publicationOf(w.wanted, secret.ResourceVersion, w.content.Shared)
	}
}

// examine finds what others put into the Secret and what of the operator's is no longer wanted. It reports whether that
// is known: it is not if the Secret was recalled and the wanted keys have changed since. Every write calls it first. A
// pass that begins without a token reads the Secret before it knows what is wanted.
func (w *workload) examine() bool {
	shape := w.wanted.Shape()
	if w.read != nil {
		w.content = w.wanted.Find(w.read, v1alpha1.OperatorName)
		w.examined = shape
	}
	return w.version == "" || w.examined == shape
}

// explainSerial looks why the workload Secret has a higher serial than the state. Another replica has published meanwhile: a live read
// shows it, because the state is stored first. The state came out of a backup: the status or the mark has seen the higher serial too.
// Otherwise an edit changed the annotation: the state is raised above it, unless it is so high that no counting on from
// it is possible.
func (r *Reconciler) explainSerial(ctx context.Context, seen *observation) error {
	if err := r.observeState(ctx, seen); err != nil {
		return err
	}
	seen.render()
	if known := max(seen.record.Serial, seen.witnessed()); seen.workload.serial > known {
		if custody.CanBeCounted(seen.workload.serial, known) {
			seen.workload.floor = seen.workload.serial
		}
		seen.workload.serial = 0
	}
	return nil
}

// isOurs tells whether the Secret is this owner's: it is owned by it, or it was left behind by a former object of that kind and name
// (deletionPolicy: Retain, or a backup) and is owned by nobody else.
func isOurs(secret *corev1.Secret, owner projection.Owner) bool {
	if isControlledBy(secret, owner) {
		return true
	}
	controller := metav1.GetControllerOf(secret)
	former := controller == nil || controller.Kind == string(owner.Kind) && controller.Name == owner.Name
	return former && secret.Type != v1alpha1.StateSecretType &&
		secret.Labels[v1alpha1.ManagedByLabel] == v1alpha1.OperatorName &&
		secret.Annotations[owner.Annotation()] == owner.Name
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
func (o *observation) publication() plan.Publication { return o.workload.against(o.record.Serial) }

// against compares the Secret with the newest token.
func (w *workload) against(serial int64) plan.Publication {
	switch {
	case w.found && !w.ours:
		return plan.Taken
	case w.serial > serial:
		return plan.Newer
	case w.current:
		return plan.Current
	case w.wanted == nil:
		return "" // there is nothing to publish
	}
	return plan.Outdated
}

// leftovers are workload Secrets of this credential under former names.
func (r *Reconciler) leftovers(ctx context.Context, seen *observation) ([]string, error) {
	states := custody.Names(seen.cred.Name)
	certain := []string{seen.cred.Status.TargetName, seen.memory.published.name}
	not := append(states[:], seen.cred.TargetName())
	names, copies, err := r.publisher().published(
		ctx, seen.cred.Namespace, seen.beneficiary(), &seen.memory.copies, certain, not...)
	for _, name := range copies {
		r.sayCopied(seen, name)
	}
	return names, err
}
