package delivery

import (
	"context"
	"fmt"
	"maps"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/fluent-credential/operator/api/v1alpha1"
)

const (
	// settle is how long a restart waits for further tokens that the same workload reads.
	settle = 5 * time.Second
	// spacing is the least time between two restarts of a workload: a rollout takes its time.
	spacing = time.Minute
	// A restart that failed is tried again so many times, so far apart.
	restartTries = 5
	betweenTries = 10 * time.Second
)

// workload is something that can be rolled.
type workload struct {
	namespace, name string
	kind            v1alpha1.RestartKind
}

// roll is what a workload is to be restarted for, and when it last was.
type roll struct {
	wanted client.Object // nil: nothing is wanted
	mark   string
	tries  int
	last   time.Time
}

// restart asks for a restart, soon.
func (d *Deliverer) restart(p Publication, reference v1alpha1.RestartReference) {
	w := workload{namespace: p.Owner.GetNamespace(), kind: reference.Kind, name: reference.Name}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.forgetOld()
	r := d.rolls[w]
	if r == nil {
		r = &roll{}
		d.rolls[w] = r
	}
	r.wanted, r.mark, r.tries = p.Owner, fmt.Sprintf("%s/%d", p.Secret, p.Serial), 0
	d.restarts.AddAfter(w, max(settle, r.last.Add(spacing).Sub(d.Clock.Now())))
}

// forgetOld drops the workloads of which nothing is wanted any more, and whose last restart holds up no other one.
func (d *Deliverer) forgetOld() {
	maps.DeleteFunc(d.rolls, func(_ workload, r *roll) bool { return r.wanted == nil && d.Clock.Since(r.last) > spacing })
}

// take is what the workload is to be restarted for now.
func (d *Deliverer) take(w workload) roll {
	d.mu.Lock()
	defer d.mu.Unlock()
	r := d.rolls[w]
	if r == nil {
		return roll{}
	}
	taken := *r
	if r.wanted != nil {
		r.wanted, r.last = nil, d.Clock.Now()
	}
	return taken
}

// roll restarts a workload by an annotation of its pod template.
func (d *Deliverer) roll(ctx context.Context, w workload) {
	taken := d.take(w)
	if taken.wanted == nil {
		return
	}
	object := &metav1.PartialObjectMetadata{
		TypeMeta:   metav1.TypeMeta{APIVersion: "apps/v1", Kind: string(w.kind)},
		ObjectMeta: metav1.ObjectMeta{Namespace: w.namespace, Name: w.name},
	}
	template := map[string]any{"metadata": map[string]any{"annotations": map[string]string{v1alpha1.RestartAnnotation: taken.mark}}}
	err := d.patch(ctx, object, map[string]any{"spec": map[string]any{"template": template}})
	result := resultOf(err)
	d.Metrics.Restarted(result)
	if result == ResultFailed {
		d.rollAgain(ctx, w, taken, err)
		return
	}
	d.tellRoll(w, taken, result)
}

// rollAgain tries later, unless something newer is wanted by then.
func (d *Deliverer) rollAgain(ctx context.Context, w workload, taken roll, err error) {
	ctrl.LoggerFrom(ctx).Info("A workload could not be restarted", "namespace", w.namespace, "kind", w.kind, "name", w.name, "error", err.Error())
	d.mu.Lock()
	defer d.mu.Unlock()
	r := d.rolls[w]
	if taken.tries++; taken.tries >= restartTries || r != nil && r.wanted != nil {
		return
	}
	taken.last = d.Clock.Now()
	d.rolls[w] = &taken
	d.restarts.AddAfter(w, betweenTries)
}

func (d *Deliverer) tellRoll(w workload, done roll, result string) {
	switch result {
	case ResultDone:
		d.Recorder.Eventf(done.wanted, nil, corev1.EventTypeNormal, "WorkloadRestarted", "Restart",
			"Restarted %s %s: the token in Secret %s changed", w.kind, w.name, done.mark)
	case ResultGone:
		d.warn(done.wanted, "RestartFailed", "Restart", "%s %s is not restarted: there is none of that name", w.kind, w.name)
	case ResultForbidden:
		d.warn(done.wanted, "RestartForbidden", "Restart", "%s %s is not restarted: the operator may not patch it", w.kind, w.name)
	}
}
