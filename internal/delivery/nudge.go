package delivery

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/fluent-credential/operator/api/v1alpha1"
)

// The kubelet mounts the volumes of a pod again when the pod object changes, with the content of the Secret as it knows it. It learns of
// the Secret by one watch and of the pod by another one, and asks nobody on the way (kubelet, pkg/kubelet/util/manager: GetObject reads
// from the cache that the watch fills). So a touch can come before the Secret. A second touch makes up for that: by then the Secret's
// watch has had half a second more.
const (
	touches     = 2
	betweenThem = 500 * time.Millisecond
	// untilFilled is how soon a touch is tried again that came before the pods were known: the leader has only just begun.
	untilFilled = 200 * time.Millisecond
	// The pace at which pods are written, whoever mounts what: a rotation must not be felt by the API server.
	touchRate  = 100 // a second
	touchBurst = 200
)

// touch is one change of all pods that mount a Secret.
type touch struct {
	namespace, secret string
	serial            int64
	number            int
}

func (t touch) key() types.NamespacedName {
	return types.NamespacedName{Namespace: t.namespace, Name: t.secret}
}

// mark is the value of the annotation.
func (t touch) mark() string { return fmt.Sprintf("%s/%d/%d", t.secret, t.serial, t.number) }

// nudge asks for the first touch, where nudging is permitted.
func (d *Deliverer) nudge(p Publication) {
	owner := p.Owner
	s := d.scope(owner.GetNamespace())
	if s == nil || s.is() == off {
		d.refuse(p)
		return
	}
	if d.nudges.Len() >= most {
		d.Metrics.Nudged(ResultDropped)
		return
	}
	first := touch{namespace: owner.GetNamespace(), secret: p.Secret, serial: p.Serial, number: 1}
	d.mu.Lock()
	delete(d.refused, owner.GetUID())
	d.newest[first.key()] = first.serial
	d.mu.Unlock()
	d.nudges.Add(first)
}

// isOver tells whether a newer token was published meanwhile: its own touches do.
func (d *Deliverer) isOver(t touch) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.newest[t.key()] != t.serial
}

// forget ends the touches of a Secret.
func (d *Deliverer) forget(t touch) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.newest[t.key()] == t.serial {
		delete(d.newest, t.key())
	}
}

// refuse tells somebody who insists on nudging that it is not permitted, once.
func (d *Deliverer) refuse(p Publication) {
	insists, uid := p.Delivery.InsistsOnNudge(), p.Owner.GetUID()
	d.mu.Lock()
	told := d.refused[uid]
	if insists {
		d.refused[uid] = true
	}
	d.mu.Unlock()
	if insists && !told {
		d.warn(p.Owner, "NudgeForbidden", "Nudge",
			"Pods are not nudged: the operator may not list, watch and patch pods here. They see a new token within a minute or so")
	}
}

// touch touches the pods that mount a Secret.
func (d *Deliverer) touch(ctx context.Context, t touch) {
	s := d.scope(t.namespace)
	pods, known := s.index.mounting(t.key())
	switch {
	case s.is() == off:
		d.forget(t)
		return
	case !known:
		d.nudges.AddAfter(t, untilFilled)
		return
	}
	for _, name := range pods {
		if d.isOver(t) || d.limit.Wait(ctx) != nil {
			return
		}
		d.touchPod(ctx, t, name)
	}
	if t.number == touches {
		d.forget(t)
		return
	}
	t.number++
	d.nudges.AddAfter(t, betweenThem)
}

func (d *Deliverer) touchPod(ctx context.Context, t touch, name string) {
	pod := &metav1.PartialObjectMetadata{
		TypeMeta:   metav1.TypeMeta{APIVersion: "v1", Kind: "Pod"},
		ObjectMeta: metav1.ObjectMeta{Namespace: t.namespace, Name: name},
	}
	patch := map[string]any{"metadata": map[string]any{"annotations": map[string]string{v1alpha1.NudgeAnnotation: t.mark()}}}
	err := d.patch(ctx, pod, patch)
	d.Metrics.Nudged(resultOf(err))
	if client.IgnoreNotFound(err) != nil {
		ctrl.LoggerFrom(ctx).V(1).Info("A pod could not be nudged", "namespace", t.namespace, "pod", name, "error", err.Error())
	}
}

// patchTimeout bounds one write: the API server may be away, and nobody waits.
const patchTimeout = 10 * time.Second

func (d *Deliverer) patch(ctx context.Context, object client.Object, body any) error {
	ctx, cancel := context.WithTimeout(ctx, patchTimeout)
	defer cancel()
	encoded, err := json.Marshal(body)
	if err != nil {
		return err
	}
	return d.Client.Patch(ctx, object, client.RawPatch(types.MergePatchType, encoded), client.FieldOwner(v1alpha1.OperatorName))
}
