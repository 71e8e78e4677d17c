package controllers

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/fluent-credential/operator/api/v1alpha1"
	"github.com/fluent-credential/operator/internal/delivery"
)

// podOn is a pod that a scheduler has put on a node.
func podOn(namespace, name string, volumes ...corev1.Volume) *corev1.Pod {
	container := corev1.Container{Name: "main", Image: "example.com/none"}
	for i := range volumes {
		volumes[i].Name = "volume-" + strconv.Itoa(i)
		container.VolumeMounts = append(container.VolumeMounts, corev1.VolumeMount{Name: volumes[i].Name, MountPath: "/" + volumes[i].Name})
	}
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name},
		Spec:       corev1.PodSpec{NodeName: "node", Containers: []corev1.Container{container}, Volumes: volumes},
	}
}

func mountOf(secret string) corev1.Volume {
	return corev1.Volume{VolumeSource: corev1.VolumeSource{Secret: &corev1.SecretVolumeSource{SecretName: secret}}}
}

func projectionOf(secret string) corev1.Volume {
	return corev1.Volume{VolumeSource: corev1.VolumeSource{Projected: &corev1.ProjectedVolumeSource{Sources: []corev1.VolumeProjection{
		{Secret: &corev1.SecretProjection{LocalObjectReference: corev1.LocalObjectReference{Name: secret}}},
	}}}}
}

// nudged is what the annotation of a pod says.
func nudged(t *testing.T, pod *corev1.Pod) string {
	t.Helper()
	return get(t, &corev1.Pod{}, pod.Namespace, pod.Name).Annotations[v1alpha1.NudgeAnnotation]
}

// renew asks for a new token and waits until it is published.
func (r *running) renew(t *testing.T) int64 {
	t.Helper()
	before := serialOf(r.workload(t))
	edit(t, r.cred, func(cred *v1alpha1.FluentCredential) {
		cred.Annotations = map[string]string{v1alpha1.RotateAnnotation: strconv.FormatInt(before, 10)}
	})
	eventually(t, "rotated", func() (bool, any) { now := serialOf(r.workload(t)); return now > before, now })
	return serialOf(r.workload(t))
}

func TestPodsThatMountTheSecretAreNudged(t *testing.T) {
	t.Parallel()
	r := startReady(t, longLived)
	elsewhere := newNamespace(t)
	wanted := []*corev1.Pod{
		podOn(r.namespace, "volume", mountOf("orders-token")),
		podOn(r.namespace, "projected", mountOf("another"), projectionOf("orders-token")),
	}
	environment := podOn(r.namespace, "environment")
	environment.Spec.Containers[0].EnvFrom = []corev1.EnvFromSource{{
		SecretRef: &corev1.SecretEnvSource{LocalObjectReference: corev1.LocalObjectReference{Name: "orders-token"}},
	}}
	unscheduled := podOn(r.namespace, "unscheduled", mountOf("orders-token"))
	unscheduled.Spec.NodeName = ""
	finished := podOn(r.namespace, "finished", mountOf("orders-token"))
	unwanted := []*corev1.Pod{
		podOn(r.namespace, "plain"), podOn(r.namespace, "other-secret", mountOf("another")), environment, unscheduled,
		podOn(elsewhere, "elsewhere", mountOf("orders-token")),
	}
	for _, pod := range slices.Concat(wanted, unwanted, []*corev1.Pod{finished}) {
		create(t, pod)
	}
	finished.Status.Phase = corev1.PodSucceeded
	if err := live.Status().Update(t.Context(), finished); err != nil {
		t.Fatal(err)
	}
	unwanted = append(unwanted, finished)

	for range 3 {
		serial := r.renew(t)
		for _, pod := range wanted {
			mark := fmt.Sprintf("orders-token/%d/2", serial)
			eventually(t, pod.Name+" was touched twice", func() (bool, any) { now := nudged(t, pod); return now == mark, now })
		}
	}
	for _, pod := range unwanted {
		if now := get(t, &corev1.Pod{}, pod.Namespace, pod.Name); now.ResourceVersion != pod.ResourceVersion {
			t.Errorf("pod %s was written; it does not mount the Secret on a node here", pod.Name)
		}
	}
	if done := r.operator.counted(t, "fluent_credential_nudges_total", "done"); done < 12 {
		t.Errorf("%v touches counted, want 12 at least: 3 rotations, 2 pods, 2 touches", done)
	}
}

func TestManyPodsAreNudged(t *testing.T) {
	t.Parallel()
	const pods = 300
	r := startReady(t, longLived)
	for i := range pods {
		create(t, podOn(r.namespace, fmt.Sprintf("pod-%d", i), mountOf("orders-token")))
	}
	serial := r.renew(t)
	next := r.renew(t) // does not wait for the pods of the one before
	if next != serial+1 {
		t.Errorf("serial %d after %d", next, serial)
	}
	var list corev1.PodList
	eventuallyIn(t, time.Minute, "all were touched", func() (bool, any) {
		if err := live.List(t.Context(), &list, client.InNamespace(r.namespace)); err != nil {
			t.Fatal(err)
		}
		touched := 0
		for i := range list.Items {
			if list.Items[i].Annotations[v1alpha1.NudgeAnnotation] == fmt.Sprintf("orders-token/%d/2", next) {
				touched++
			}
		}
		return touched == pods, touched
	})
}

func TestNudgingCanBeTurnedOff(t *testing.T) {
	t.Parallel()
	sim, namespace := newServer(t, longLived), newNamespace(t)
	cred := credential(namespace, "orders", sim)
	cred.Spec.Delivery.NudgePods = new(bool)
	r := &running{server: sim, operator: startOperator(t, namespace), namespace: namespace, cred: cred}
	create(t, loginSecret(namespace, "orders-login"))
	create(t, cred)
	eventually(t, "Ready", ready(t, cred))
	quiet, other := podOn(r.namespace, "quiet", mountOf("orders-token")), podOn(r.namespace, "other", mountOf("stock-token"))
	create(t, quiet)
	create(t, other)
	r.renew(t)
	stock := credential(r.namespace, "stock", r.server)
	stock.Spec.Scope = "" // with another scope, it is another use of the login
	create(t, stock)
	eventually(t, "the other credential's pod was touched", func() (bool, any) { now := nudged(t, other); return now != "", now })
	if now := nudged(t, quiet); strings.HasPrefix(now, "orders-token/2") { // the first token came before it was turned off
		t.Errorf("the pod was touched all the same: %s", now)
	}
}

// restricted is somebody who may do in the namespace what the role of that file permits.
func restricted(t *testing.T, namespace string, files ...string) *rest.Config {
	t.Helper()
	for _, file := range files {
		permit(t, namespace, file)
	}
	who := rest.CopyConfig(cluster)
	who.Impersonate = rest.ImpersonationConfig{UserName: "system:serviceaccount:" + namespace + ":operator"}
	return who
}

// permit gives that ServiceAccount the rules of a role in config/rbac, for one namespace.
func permit(t *testing.T, namespace, file string) {
	t.Helper()
	permitTo(t, namespace, file, namespace)
}

// permitTo gives the ServiceAccount of another namespace the rules of a role for this one.
func permitTo(t *testing.T, namespace, file, home string) {
	t.Helper()
	role := &rbacv1.ClusterRole{}
	readManifest(t, "../config/rbac/"+file, role)
	create(t, &rbacv1.Role{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: role.Name}, Rules: role.Rules})
	create(t, &rbacv1.RoleBinding{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: role.Name},
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "Role", Name: role.Name},
		Subjects:   []rbacv1.Subject{{Kind: "ServiceAccount", Namespace: home, Name: "operator"}},
	})
}

func TestNudgingWithoutPermission(t *testing.T) {
	t.Parallel()
	sim, namespace := newServer(t, longLived), newNamespace(t)
	operator := startOperatorAs(t, restricted(t, namespace, "role.yaml"), namespace)
	create(t, loginSecret(namespace, "orders-login"))
	cred := credential(namespace, "orders", sim)
	yes := true
	cred.Spec.Delivery.NudgePods = &yes
	create(t, cred)
	eventually(t, "Ready", ready(t, cred))
	r := &running{server: sim, operator: operator, namespace: namespace, cred: cred}
	pod := podOn(namespace, "volume", mountOf("orders-token"))
	create(t, pod)
	for range 3 {
		r.renew(t)
	}
	eventually(t, "it was said", func() (bool, any) { return len(r.told(t, "NudgeForbidden")) > 0, r.told(t, "") })
	if told := r.told(t, "NudgeForbidden"); len(told) != 1 {
		t.Errorf("said %d times, want once: %+v", len(told), told)
	}
	if now := nudged(t, pod); now != "" {
		t.Errorf("the pod was touched without a permission: %s", now)
	}

	permit(t, namespace, "delivery_role.yaml")
	eventually(t, "nudged once it is permitted", func() (bool, any) { r.renew(t); now := nudged(t, pod); return now != "", now })
}

// told are the events of that reason about the credential; all of them where it is empty.
func (r *running) told(t *testing.T, reason string) (told []eventsv1.Event) {
	t.Helper()
	var list eventsv1.EventList
	if err := live.List(t.Context(), &list, client.InNamespace(r.namespace)); err != nil {
		t.Fatal(err)
	}
	for _, event := range list.Items {
		if event.Regarding.UID == r.cred.UID && (reason == "" || event.Reason == reason) {
			told = append(told, event)
		}
	}
	return told
}

// TestPodsAreListedPageByPage is about API servers that cannot stream a list: of more pods than fit into a page, those that mount a Secret
// are kept, and the watch goes on where the list ended.
func TestPodsAreListedPageByPage(t *testing.T) {
	t.Parallel()
	const pods, mounting = 520, 7
	namespace := newNamespace(t)
	for i := range pods {
		pod := podOn(namespace, fmt.Sprintf("pod-%d", i))
		if i%(pods/mounting) == 0 && i/(pods/mounting) < mounting {
			pod = podOn(namespace, pod.Name, mountOf("orders-token"))
		}
		create(t, pod)
	}
	core, err := coreClient(newManager(t, namespace))
	if err != nil {
		t.Fatal(err)
	}
	source := delivery.Pods(core, namespace)
	listed, err := source.ListWithContext(t.Context(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	list := listed.(*corev1.PodList)
	if len(list.Items) != mounting {
		t.Errorf("%d pods are kept, want the %d that mount a Secret", len(list.Items), mounting)
	}
	if kept := list.Items[0].Spec; len(kept.Containers) != 0 || len(kept.Volumes) != 1 {
		t.Errorf("more is kept of a pod than its volumes: %+v", kept)
	}
	late := podOn(namespace, "late", mountOf("orders-token"))
	create(t, late)
	watched, err := source.WatchWithContext(t.Context(), metav1.ListOptions{ResourceVersion: list.ResourceVersion})
	if err != nil {
		t.Fatal(err)
	}
	defer watched.Stop()
	select {
	case event := <-watched.ResultChan():
		if pod, ok := event.Object.(*corev1.Pod); !ok || pod.Name != late.Name {
			t.Errorf("the watch begins with %s %v, want the pod that came after the list", event.Type, event.Object)
		}
	case <-time.After(patience):
		t.Error("the watch tells nothing")
	}
}
