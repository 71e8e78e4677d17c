package install

import (
	"context"
	"fmt"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/fluent-credential/operator/api/v1alpha1"
)

// The people and controllers of these tests.
const (
	administrator = "admin@example.com" // system:masters: RBAC lets them do everything
	controlPlane  = "system:serviceaccount:kube-system:namespace-controller"
	collector     = "system:serviceaccount:kube-system:generic-garbage-collector"
)

// policed is a cluster in which the policies have begun to be enforced: the API server takes a moment.
func policed(t *testing.T) *cluster {
	t.Helper()
	c := shared(t, byDefault)
	probe := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: system, Name: "probe"}, Type: v1alpha1.StateSecretType}
	foreign := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: system, Name: "probe"}}
	eventually(t, "the policies are enforced", func() (bool, any) {
		first := c.master(t).Create(t.Context(), probe.DeepCopy(), client.DryRunAll)
		second := c.operator(t).Create(t.Context(), foreign.DeepCopy(), client.DryRunAll)
		return apierrors.IsForbidden(first) && apierrors.IsForbidden(second), []error{first, second}
	})
	return c
}

func (c *cluster) master(t *testing.T) client.Client { return c.as(t, administrator, "system:masters") }

func (c *cluster) operator(t *testing.T) client.Client { return c.as(t, operatorUser) }

// attempt is something that somebody tries.
type attempt struct {
	why  string
	who  string
	does func(client.Client) error
	says string // part of the refusal; empty: it is permitted
}

func (c *cluster) try(t *testing.T, attempts map[string]attempt) {
	t.Helper()
	for name, test := range attempts {
		t.Run(name, func(t *testing.T) {
			who := c.as(t, test.who)
			if test.who == administrator {
				who = c.master(t)
			}
			err := test.does(who)
			switch {
			case test.says == "" && err != nil:
				t.Errorf("refused (%s): %v", test.why, err)
			case test.says != "" && (!apierrors.IsForbidden(err) || !strings.Contains(err.Error(), test.says)):
				t.Errorf("want a refusal that says %q (%s), got: %v", test.says, test.why, err)
			}
		})
	}
}

func stateSecret(namespace, name string) *corev1.Secret {
	return &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: namespace, Name: name, Finalizers: []string{v1alpha1.StateFinalizer},
			Labels: map[string]string{v1alpha1.ManagedByLabel: operatorName},
		},
		Type: v1alpha1.StateSecretType, Data: map[string][]byte{"state": []byte("{}")},
	}
}

func creates(object client.Object) func(client.Client) error {
	return func(who client.Client) error {
		return who.Create(context.Background(), object.DeepCopyObject().(client.Object), client.DryRunAll)
	}
}

func deletes(object client.Object) func(client.Client) error {
	return func(who client.Client) error { return who.Delete(context.Background(), object, client.DryRunAll) }
}

func patches(object client.Object, patch string) func(client.Client) error {
	return func(who client.Client) error {
		return who.Patch(context.Background(), object.DeepCopyObject().(client.Object), client.RawPatch(types.MergePatchType, []byte(patch)), client.DryRunAll)
	}
}

func TestStateSecretsAreTheOperators(t *testing.T) {
	c := policed(t)
	namespace := c.namespace(t, "states")
	state := stateSecret(namespace, "orders-fluent-state")
	if err := c.operator(t).Create(t.Context(), state); err != nil {
		t.Fatal(err)
	}
	ordinary := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "ordinary"}}
	c.create(t, ordinary)
	other := stateSecret(namespace, "other-fluent-state")
	c.try(t, map[string]attempt{
		"operator creates":           {"it is its work", operatorUser, creates(other), ""},
		"operator changes":           {"it is its work", operatorUser, patches(state, `{"data":{"state":"e30K"}}`), ""},
		"operator deletes":           {"the FluentCredential is gone", operatorUser, deletes(state), ""},
		"administrator creates":      {"a planted state would be believed", administrator, creates(other), "only fluent-credential-operator creates"},
		"administrator changes":      {"the refresh token would be lost", administrator, patches(state, `{"data":{"state":"e30K"}}`), "only fluent-credential-operator changes"},
		"administrator adds":         {"an entry is data too", administrator, patches(state, `{"stringData":{"more":"x"}}`), "only fluent-credential-operator changes"},
		"administrator deletes":      {"kubectl delete secret --all", administrator, deletes(state), "goes with its FluentCredential"},
		"administrator lets go":      {"the operator is gone for good", administrator, patches(state, `{"metadata":{"finalizers":null}}`), ""},
		"administrator labels":       {"metadata is nobody's secret", administrator, patches(state, `{"metadata":{"labels":{"team":"shop"}}}`), ""},
		"namespace is deleted":       {"it must not hang", controlPlane, deletes(state), ""},
		"owner is gone":              {"it must not hang", collector, deletes(state), ""},
		"control plane changes":      {"it has no business there", "system:serviceaccount:kube-system:anything", patches(state, `{"data":{"state":"e30K"}}`), "forbidden"},
		"administrator, ordinary":    {"other Secrets are not concerned", administrator, patches(ordinary, `{"stringData":{"more":"x"}}`), ""},
		"administrator, ordinary go": {"other Secrets are not concerned", administrator, deletes(ordinary), ""},
		"turned into one":            {"the type cannot change, so this asks for a new object", administrator, creates(stateSecret(namespace, "x")), "only fluent-credential-operator creates"},
	})
}

func TestOperatorWritesItsOwnSecretsOnly(t *testing.T) {
	c := policed(t)
	namespace := c.namespace(t, "secrets")
	secret := func(namespace, name string, change func(*corev1.Secret)) *corev1.Secret {
		s := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name}}
		if change != nil {
			change(s)
		}
		return s
	}
	labelled := func(s *corev1.Secret) { s.Labels = map[string]string{v1alpha1.ManagedByLabel: operatorName} }
	byHelm := func(s *corev1.Secret) { s.Labels = map[string]string{v1alpha1.ManagedByLabel: "Helm"} }
	ownedBy := func(kind, group string) func(*corev1.Secret) {
		return func(s *corev1.Secret) {
			s.OwnerReferences = []metav1.OwnerReference{{APIVersion: group, Kind: kind, Name: "orders", UID: "1"}}
		}
	}
	ours, owned := secret(namespace, "ours", labelled), secret(namespace, "owned", ownedBy("FluentCredential", v1alpha1.GroupVersion.String()))
	theirs, helm := secret(namespace, "theirs", nil), secret(namespace, "helm", byHelm)
	namesake := secret(namespace, "namesake", ownedBy("FluentCredential", "example.com/v1"))
	login, elsewhere := secret(system, "fluent-credential-login-1", nil), secret(namespace, "fluent-credential-login-1", nil)
	pull := secret(system, "pull", nil)
	c.create(t, ours, owned, theirs, helm, namesake, login, elsewhere, pull)
	edit, take := `{"stringData":{"a":"b"}}`, fmt.Sprintf(`{"metadata":{"labels":{%q:%q}}}`, v1alpha1.ManagedByLabel, operatorName)
	const refusal = "writes Secrets of its own only"
	c.try(t, map[string]attempt{
		"creates its own":          {"a workload Secret", operatorUser, creates(secret(namespace, "new", labelled)), ""},
		"creates without a label":  {"it never does", operatorUser, creates(secret(namespace, "new", nil)), refusal},
		"creates with another's":   {"it never does", operatorUser, creates(secret(namespace, "new", byHelm)), refusal},
		"changes its own":          {"a rotation", operatorUser, patches(ours, edit), ""},
		"deletes its own":          {"the target was renamed", operatorUser, deletes(ours), ""},
		"repairs what it owns":     {"somebody took the label off", operatorUser, patches(owned, edit), ""},
		"lets go of what it owned": {"deletionPolicy: Retain", operatorUser, patches(owned, `{"metadata":{"ownerReferences":null}}`), ""},
		"changes another's":        {"a login, a certificate", operatorUser, patches(theirs, edit), refusal},
		"deletes another's":        {"a login, a certificate", operatorUser, deletes(theirs), refusal},
		"takes another's":          {"a label put on is no right", operatorUser, patches(theirs, take), refusal},
		"changes Helm's":           {"releases are Secrets", operatorUser, patches(helm, edit), refusal},
		"changes a namesake's":     {"another group's FluentCredential", operatorUser, patches(namesake, edit), refusal},
		"keeps a login guard":      {"somebody took the label off", operatorUser, patches(login, edit), ""},
		"a guard's name elsewhere": {"guards are in its own namespace", operatorUser, patches(elsewhere, edit), refusal},
		"its own pull secret":      {"its namespace holds others' Secrets too", operatorUser, patches(pull, edit), refusal},
		"somebody else":            {"the policy is about the operator", administrator, patches(theirs, edit), ""},
	})
}

func TestOperatorChangesItsAnnotationsOnly(t *testing.T) {
	c := policed(t)
	namespace := c.namespace(t, "workloads")
	labels := map[string]string{"app": "orders"}
	spec := corev1.PodSpec{Containers: []corev1.Container{{Name: "main", Image: "example.com/one"}}}
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "orders", Labels: labels, Annotations: map[string]string{"a": "b"}}, Spec: spec}
	meta := metav1.ObjectMeta{Namespace: namespace, Name: "orders"}
	selector, template := &metav1.LabelSelector{MatchLabels: labels}, corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: labels}, Spec: spec}
	objects := map[string]client.Object{
		"Deployment":  &appsv1.Deployment{ObjectMeta: meta, Spec: appsv1.DeploymentSpec{Selector: selector, Template: template}},
		"StatefulSet": &appsv1.StatefulSet{ObjectMeta: meta, Spec: appsv1.StatefulSetSpec{Selector: selector, Template: template}},
		"DaemonSet":   &appsv1.DaemonSet{ObjectMeta: meta, Spec: appsv1.DaemonSetSpec{Selector: selector, Template: template}},
	}
	c.create(t, pod)
	annotate := func(key, value string) string { return fmt.Sprintf(`{"metadata":{"annotations":{%q:%s}}}`, key, value) }
	const image = `"spec":{"containers":[{"name":"main","image":"example.com/two"}]}`
	attempts := map[string]attempt{
		"nudges":                  {"delivery.nudgePods", operatorUser, patches(pod, annotate(v1alpha1.NudgeAnnotation, `"orders-token/1/1"`)), ""},
		"pod: another annotation": {"it has no business there", operatorUser, patches(pod, annotate("a", `"c"`)), "no annotation but its own"},
		"pod: a new annotation":   {"it has no business there", operatorUser, patches(pod, annotate("new", `"c"`)), "no annotation but its own"},
		"pod: annotation removed": {"it has no business there", operatorUser, patches(pod, annotate("a", "null")), "no annotation but its own"},
		"pod: label":              {"it would move the pod between Services", operatorUser, patches(pod, `{"metadata":{"labels":{"app":"x"}}}`), "changes no labels"},
		"pod: finalizer":          {"the pod would hang", operatorUser, patches(pod, `{"metadata":{"finalizers":["example.com/x"]}}`), "neither finalizers nor owners"},
		"pod: owner": {"the garbage collector would delete it", operatorUser, patches(pod,
			`{"metadata":{"ownerReferences":[{"apiVersion":"v1","kind":"ConfigMap","name":"x","uid":"x"}]}}`), "neither finalizers nor owners"},
		"pod: image":            {"it would run something else", operatorUser, patches(pod, "{"+image+"}"), "what a pod runs"},
		"somebody else's image": {"the policy is about the operator", administrator, patches(pod, "{"+image+"}"), ""},
	}
	for kind, object := range objects {
		c.create(t, object)
		inTemplate := func(body string) string { return `{"spec":{"template":{` + body + `}}}` }
		restart := fmt.Sprintf(`"metadata":{"annotations":{%q:"orders-token/1"}}`, v1alpha1.RestartAnnotation)
		attempts[kind+": restarts"] = attempt{"delivery.restart", operatorUser, patches(object, inTemplate(restart)), ""}
		attempts[kind+": image"] = attempt{"it would run something else", operatorUser, patches(object, inTemplate(image)), "what a pod runs"}
		attempts[kind+": annotation"] = attempt{"it has no business there", operatorUser,
			patches(object, inTemplate(`"metadata":{"annotations":{"a":"b"}}`)), "no annotation but its own"}
		attempts[kind+": its own metadata"] = attempt{"it has no business there", operatorUser, patches(object, annotate("a", `"b"`)), "pod template only"}
	}
	for field, body := range map[string]string{
		"Deployment: paused": `{"spec":{"paused":true}}`, "Deployment: strategy": `{"spec":{"strategy":{"type":"Recreate","rollingUpdate":null}}}`,
		"StatefulSet: strategy": `{"spec":{"updateStrategy":{"type":"OnDelete","rollingUpdate":null}}}`,
	} {
		kind, _, _ := strings.Cut(field, ":")
		attempts[field] = attempt{"it would hold the restart up", operatorUser, patches(objects[kind], body), "pod template only"}
	}
	attempts["Deployment: replicas"] = attempt{"it has no business there", operatorUser, patches(objects["Deployment"], `{"spec":{"replicas":0}}`), "pod template only"}
	c.try(t, attempts)
}

// TestPolicyOutlivesWideRights: even an operator that RBAC lets do everything is held by the policies.
func TestPolicyOutlivesWideRights(t *testing.T) {
	c := policed(t)
	namespace := c.namespace(t, "wide")
	c.create(t, &rbacv1.RoleBinding{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "wide"},
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: "cluster-admin"},
		Subjects:   []rbacv1.Subject{{Kind: "ServiceAccount", Namespace: system, Name: operatorName}},
	})
	theirs := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "theirs"}}
	c.create(t, theirs)
	c.try(t, map[string]attempt{
		"deletes another's": {"RBAC would let it", operatorUser, deletes(theirs), "writes Secrets of its own only"},
	})
}

// grant gives a person rules in a namespace.
func (c *cluster) grant(t *testing.T, namespace, user string, rules ...rbacv1.PolicyRule) {
	t.Helper()
	name := strings.ReplaceAll(user, "@", "-at-")
	c.create(t, &rbacv1.Role{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name}, Rules: rules})
	c.create(t, &rbacv1.RoleBinding{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name},
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "Role", Name: name},
		Subjects:   []rbacv1.Subject{{Kind: "User", APIGroup: rbacv1.GroupName, Name: user}},
	})
}
