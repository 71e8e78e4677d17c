package controllers

import (
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/events"
	testclock "k8s.io/utils/clock/testing"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	"github.com/fluent-credential/operator/api/v1alpha1"
	"github.com/fluent-credential/operator/internal/delivery"
	"github.com/fluent-credential/operator/internal/metrics"
)

// counted is how often something had a result.
func (o *operator) counted(t *testing.T, metric, result string) float64 {
	t.Helper()
	families, err := o.registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, family := range families {
		for _, series := range family.GetMetric() {
			if family.GetName() == metric && series.GetLabel()[0].GetValue() == result {
				return series.GetCounter().GetValue()
			}
		}
	}
	return 0
}

func readManifest(t *testing.T, path string, into any) {
	t.Helper()
	text, err := os.ReadFile(path)
	if err == nil {
		err = yaml.UnmarshalStrict(text, into)
	}
	if err != nil {
		t.Fatalf("%s: %v", path, err)
	}
}

// rollable are one workload of each kind that can be rolled.
func rollable(namespace, name string) []client.Object {
	meta := metav1.ObjectMeta{Namespace: namespace, Name: name}
	labels := map[string]string{"app": name}
	selector := &metav1.LabelSelector{MatchLabels: labels}
	template := corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: labels}, Spec: podOn(namespace, name).Spec}
	return []client.Object{
		&appsv1.Deployment{ObjectMeta: meta, Spec: appsv1.DeploymentSpec{Selector: selector, Template: template}},
		&appsv1.StatefulSet{ObjectMeta: meta, Spec: appsv1.StatefulSetSpec{Selector: selector, Template: template}},
		&appsv1.DaemonSet{ObjectMeta: meta, Spec: appsv1.DaemonSetSpec{Selector: selector, Template: template}},
	}
}

// restartedFor is what the pod template says, and how often the spec was changed.
func restartedFor(t *testing.T, object client.Object) (mark string, generation int64) {
	t.Helper()
	switch now := get(t, object, object.GetNamespace(), object.GetName()).(type) {
	case *appsv1.Deployment:
		return now.Spec.Template.Annotations[v1alpha1.RestartAnnotation], now.Generation
	case *appsv1.StatefulSet:
		return now.Spec.Template.Annotations[v1alpha1.RestartAnnotation], now.Generation
	case *appsv1.DaemonSet:
		return now.Spec.Template.Annotations[v1alpha1.RestartAnnotation], now.Generation
	}
	return "", 0
}

func TestRestart(t *testing.T) {
	t.Parallel()
	sim, namespace := newServer(t, longLived), newNamespace(t)
	workloads := rollable(namespace, "orders")
	bystanders := rollable(namespace, "bystander")
	for _, object := range append(workloads, bystanders...) {
		create(t, object)
	}
	cred := credential(namespace, "orders", sim)
	cred.Spec.Delivery.Restart = []v1alpha1.RestartReference{
		{Kind: v1alpha1.RestartDeployment, Name: "orders"}, {Kind: v1alpha1.RestartStatefulSet, Name: "orders"},
		{Kind: v1alpha1.RestartDaemonSet, Name: "orders"}, {Kind: v1alpha1.RestartDeployment, Name: "not-there"},
	}
	r := &running{server: sim, operator: startOperator(t, namespace), namespace: namespace, cred: cred}
	create(t, loginSecret(namespace, "orders-login"))
	create(t, cred)
	eventually(t, "Ready", ready(t, cred))
	edit(t, r.workload(t), func(s *corev1.Secret) { s.Data["access_token"] = []byte("edited") })
	eventually(t, "repaired", func() (bool, any) { return string(r.workload(t).Data["access_token"]) != "edited", nil })
	serial := r.renew(t)
	for _, object := range workloads {
		eventually(t, fmt.Sprintf("%T was restarted", object), func() (bool, any) {
			mark, generation := restartedFor(t, object)
			if mark == "orders-token/1" {
				t.Fatalf("%T was restarted at the first publication, or for a repair", object)
			}
			return mark == fmt.Sprintf("orders-token/%d", serial) && generation == 2, mark
		})
	}
	for _, object := range bystanders {
		if mark, generation := restartedFor(t, object); mark != "" || generation != 1 {
			t.Errorf("%T was restarted, and nobody asked for it", object)
		}
	}
	eventually(t, "people are told", func() (bool, any) {
		return len(r.told(t, "WorkloadRestarted")) >= 1 && len(r.told(t, "RestartFailed")) == 1, r.told(t, "")
	})
	eventually(t, "it is counted", func() (bool, any) {
		done, gone := r.operator.counted(t, "fluent_credential_restarts_total", "done"), r.operator.counted(t, "fluent_credential_restarts_total", "gone")
		return done == 3 && gone == 1, []float64{done, gone}
	})
}

func TestRestartWithoutPermission(t *testing.T) {
	t.Parallel()
	sim, namespace := newServer(t, longLived), newNamespace(t)
	workload := rollable(namespace, "orders")[0]
	create(t, workload)
	cred := credential(namespace, "orders", sim)
	cred.Spec.Delivery.Restart = []v1alpha1.RestartReference{{Kind: v1alpha1.RestartDeployment, Name: "orders"}}
	r := &running{server: sim, operator: startOperatorAs(t, restricted(t, namespace, "role.yaml"), namespace), namespace: namespace, cred: cred}
	create(t, loginSecret(namespace, "orders-login"))
	create(t, cred)
	eventually(t, "Ready", ready(t, cred))
	r.renew(t)
	eventually(t, "it is said", func() (bool, any) { return len(r.told(t, "RestartForbidden")) == 1, r.told(t, "") })
	if _, generation := restartedFor(t, workload); generation != 1 {
		t.Error("it was restarted without a permission")
	}
	r.renew(t) // goes on
}

// TestRestartIsDebounced turns the clock by hand: changes that come close together make one restart, and restarts keep a distance.
func TestRestartIsDebounced(t *testing.T) {
	t.Parallel()
	namespace := newNamespace(t)
	deployment := rollable(namespace, "orders")[0]
	create(t, deployment)
	clock := testclock.NewFakeClock(start)
	core, err := coreClient(newManager(t, namespace))
	if err != nil {
		t.Fatal(err)
	}
	d := delivery.New(delivery.Options{
		Client: live, Core: core, Recorder: events.NewFakeRecorder(100), Metrics: metrics.New(prometheus.NewRegistry()), Namespaces: []string{namespace}, Clock: clock,
	})
	publish := func(secret string, serial int64) {
		cred := &v1alpha1.FluentCredential{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: secret}}
		cred.Spec.Delivery = v1alpha1.DeliverySpec{
			NudgePods: new(bool), Restart: []v1alpha1.RestartReference{{Kind: v1alpha1.RestartDeployment, Name: "orders"}},
		}
		d.Deliver(delivery.Publication{Owner: cred, Delivery: cred.Spec.Delivery, Secret: secret, Serial: serial, Changed: true})
	}
	startDelivery(t, d)
	until := func(mark string, generation int64) (turned time.Duration) {
		t.Helper()
		eventually(t, "restarted for "+mark, func() (bool, any) {
			now, changes := restartedFor(t, deployment)
			if now == mark && changes == generation {
				return true, nil
			}
			clock.Step(time.Second)
			turned += time.Second
			return false, now
		})
		return turned
	}
	publish("orders-token", 2)
	publish("stock-token", 7)
	publish("orders-token", 3)
	until("orders-token/3", 2) // three changes, one restart
	publish("orders-token", 4)
	if turned := until("orders-token/4", 3); turned < 30*time.Second {
		t.Errorf("restarted again within %s, want a minute between", turned)
	}
}

func startDelivery(t *testing.T, d *delivery.Deliverer) {
	t.Helper()
	ctx, done := t.Context(), make(chan error, 1)
	go func() { done <- d.Start(ctx) }()
	t.Cleanup(func() { // the test's context has ended by now
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}
