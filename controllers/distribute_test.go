package controllers

import (
	"fmt"
	"slices"
	"testing"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/fluent-credential/operator/api/v1alpha1"
)

// many is a credential whose token goes to many namespaces.
type many struct {
	*running
	webs []string
}

func newMany(t *testing.T, count int) *many {
	t.Helper()
	sim, all := newServer(t, longLived), []string{newNamespace(t)}
	for range count {
		all = append(all, newNamespace(t))
	}
	cred := credential(all[0], "orders", sim)
	cred.Spec.AllowedNamespaces = names(all[1:]...)
	r := &running{server: sim, operator: startOperatorAs(t, cluster, all...), namespace: all[0], cred: cred}
	create(t, loginSecret(all[0], "orders-login"))
	create(t, cred)
	for _, web := range all[1:] {
		create(t, fluentToken(web, cred))
	}
	m := &many{running: r, webs: all[1:]}
	for _, web := range m.webs {
		m.mustFollow(t, web, 1)
	}
	return m
}

// mustFollow waits until a namespace has the token with that serial.
func (m *many) mustFollow(t *testing.T, web string, serial int64) {
	t.Helper()
	eventually(t, fmt.Sprintf("%s has token %d", web, serial), func() (bool, any) {
		found := &corev1.Secret{}
		err := live.Get(t.Context(), client.ObjectKey{Namespace: web, Name: "orders-token"}, found)
		return err == nil && serialOf(found) == serial, err
	})
}

// inNamespace selects one namespace, for admission.
func inNamespace(name string) *metav1.LabelSelector {
	return &metav1.LabelSelector{MatchLabels: map[string]string{corev1.LabelMetadataName: name}}
}

var secretWrites = admissionv1.RuleWithOperations{
	Operations: []admissionv1.OperationType{admissionv1.Create, admissionv1.Update},
	Rule:       admissionv1.Rule{APIGroups: []string{""}, APIVersions: []string{"v1"}, Resources: []string{"secrets"}},
}

// refuseIn makes a namespace refuse every Secret, until what is returned is called.
func refuseIn(t *testing.T, namespace string) (relent func()) {
	t.Helper()
	return denyIn(t, namespace, secretWrites, "false")
}

// denyIn makes a namespace refuse what a rule matches, but where an expression holds.
func denyIn(t *testing.T, namespace string, what admissionv1.RuleWithOperations, unless string) (relent func()) {
	t.Helper()
	policy := &admissionv1.ValidatingAdmissionPolicy{
		ObjectMeta: metav1.ObjectMeta{Name: "refusal-" + namespace},
		Spec: admissionv1.ValidatingAdmissionPolicySpec{
			MatchConstraints: &admissionv1.MatchResources{
				NamespaceSelector: inNamespace(namespace), ResourceRules: []admissionv1.NamedRuleWithOperations{{RuleWithOperations: what}},
			},
			Validations: []admissionv1.Validation{{Expression: unless, Message: "no Secrets here"}},
		},
	}
	binding := &admissionv1.ValidatingAdmissionPolicyBinding{
		ObjectMeta: metav1.ObjectMeta{Name: policy.Name},
		Spec: admissionv1.ValidatingAdmissionPolicyBindingSpec{
			PolicyName: policy.Name, ValidationActions: []admissionv1.ValidationAction{admissionv1.Deny},
		},
	}
	create(t, policy)
	create(t, binding)
	relent = func() {
		_ = live.Delete(t.Context(), binding)
		_ = live.Delete(t.Context(), policy)
	}
	t.Cleanup(relent)
	probe := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "probe"}}
	try := func() error { return live.Create(t.Context(), probe.DeepCopy(), client.DryRunAll) }
	if slices.Contains(what.Operations, admissionv1.Delete) {
		create(t, probe)
		try = func() error { return live.Delete(t.Context(), probe.DeepCopy(), client.DryRunAll) }
	}
	eventually(t, "the namespace refuses", func() (bool, any) {
		err := try()
		return err != nil, err
	})
	return relent
}

func (m *many) counts(t *testing.T) v1alpha1.ConsumersStatus {
	t.Helper()
	if counted := reread(t, m.cred).Status.Consumers; counted != nil {
		return *counted
	}
	return v1alpha1.ConsumersStatus{}
}

func TestOneNamespaceRefusesAndTheOthersFollow(t *testing.T) {
	t.Parallel()
	m := newMany(t, 6)
	relent := refuseIn(t, m.webs[2])
	for range 2 {
		serial := m.renew(t)
		for i, web := range m.webs {
			if i != 2 {
				m.mustFollow(t, web, serial)
			}
		}
		want := v1alpha1.ConsumersStatus{Total: 6, Current: 5}
		eventually(t, "the status counts", func() (bool, any) { now := m.counts(t); return now == want, now })
	}
	eventually(t, "its FluentToken says so", func() (bool, any) {
		status := get(t, &v1alpha1.FluentToken{}, m.webs[2], "orders").Status
		return meta.FindStatusCondition(status.Conditions, v1alpha1.ConditionReady).Reason == v1alpha1.ReasonPublishFailed, status
	})
	if status := reread(t, m.cred).Status; !meta.IsStatusConditionTrue(status.Conditions, v1alpha1.ConditionReady) {
		t.Errorf("the credential suffers from a consumer: %+v", status.Conditions)
	}
	relent()
	eventuallyIn(t, 2*errorBackoffMost, "it follows by itself", func() (bool, any) {
		now := secret(t, m.webs[2], "orders-token")
		return serialOf(now) == 3, serialOf(now)
	})
	if requests := m.server.Ledger().Requests; requests != 3 {
		t.Errorf("%d exchanges for 3 tokens and 6 consumers", requests)
	}
}

// TestSelectorNeedsTheRightToReadNamespaces: an operator with Roles only says that it cannot see labels, and takes names.
func TestSelectorNeedsTheRightToReadNamespaces(t *testing.T) {
	t.Parallel()
	sim, shop, web := newServer(t, longLived), newNamespace(t), newNamespace(t)
	who := restricted(t, shop, "role.yaml")
	permitTo(t, web, "role.yaml", shop)
	cred := credential(shop, "orders", sim)
	cred.Spec.AllowedNamespaces = &v1alpha1.AllowedNamespaces{Selector: &metav1.LabelSelector{}}
	r := &running{server: sim, operator: startOperatorAs(t, who, shop, web), namespace: shop, cred: cred}
	s := &shared{running: r, web: web, token: fluentToken(web, cred)}
	create(t, loginSecret(shop, "orders-login"))
	create(t, cred)
	create(t, s.token)
	eventually(t, "it says so", func() (bool, any) {
		status := reread(t, cred).Status
		ignored := meta.FindStatusCondition(status.Conditions, v1alpha1.ConditionSelectorIgnored)
		return ignored != nil && ignored.Status == metav1.ConditionTrue && ignored.Reason == v1alpha1.ReasonNamespacesUnreadable, status
	})
	s.mustWithhold(t)
	s.allow(t, names(web))
	s.mustPublish(t)
	eventually(t, "nothing is ignored", func() (bool, any) {
		status := reread(t, cred).Status
		return meta.FindStatusCondition(status.Conditions, v1alpha1.ConditionSelectorIgnored) == nil, status
	})
}

// TestRestartSuppliesConsumersFromTheState: what a stopped operator did not get to is published by the next one, with no call.
func TestRestartSuppliesConsumersFromTheState(t *testing.T) {
	t.Parallel()
	m := newMany(t, 2)
	relent := refuseIn(t, m.webs[0])
	serial := m.renew(t)
	m.mustFollow(t, m.webs[1], serial)
	m.operator.stop()
	relent()
	calls := m.server.Ledger().Requests
	probe := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: m.webs[0], Name: "probe"}}
	eventually(t, "the namespace takes Secrets again", func() (bool, any) {
		err := live.Create(t.Context(), probe.DeepCopy(), client.DryRunAll)
		return err == nil, err
	})
	startOperatorAs(t, cluster, append([]string{m.namespace}, m.webs...)...)
	m.mustFollow(t, m.webs[0], serial)
	if now := m.server.Ledger().Requests; now != calls {
		t.Errorf("%d calls after a restart with nothing due", now-calls)
	}
}
