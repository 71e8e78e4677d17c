package install

import (
	"os"
	"strings"
	"testing"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/fluent-credential/operator/api/v1alpha1"
	"github.com/fluent-credential/operator/internal/policies"
)

// TestOperatorSeesThatItsPoliciesAreThere, with its own rights, in both installations.
func TestOperatorSeesThatItsPoliciesAreThere(t *testing.T) {
	for installation, c := range map[string]*cluster{"by default": shared(t, byDefault), "for namespaces": shared(t, forNamespaces)} {
		for _, found := range policies.Review(t.Context(), c.operator(t), operatorUser) {
			if found.State != policies.Enforced {
				t.Errorf("%s: %s is %s: %s", installation, found.Policy, found.State, found.Cause)
			}
		}
	}
}

// TestOperatorSaysThatAPolicyIsMissing and works nevertheless.
func TestOperatorSaysThatAPolicyIsMissing(t *testing.T) {
	c := shared(t, forNamespaces)
	binding := &admissionv1.ValidatingAdmissionPolicyBinding{}
	if !c.get(t, binding, "", policies.Authors) {
		t.Fatal("there is no binding")
	}
	if err := c.admin.Delete(t.Context(), binding.DeepCopy()); err != nil {
		t.Fatal(err)
	}
	binding.ResourceVersion, binding.UID = "", ""
	defer c.create(t, binding)
	_, url := server(t, 0, "shop")
	operator := c.run(t)
	cred := c.credential(t, "shop", url, func(cred *v1alpha1.FluentCredential) { cred.Name = "unguarded" })
	c.rotated(t, cred, 1)
	said := 0
	eventually(t, "the operator says it", func() (bool, any) {
		text, err := os.ReadFile(operator.log)
		if err != nil {
			t.Fatal(err)
		}
		said = strings.Count(string(text), "fluent-credential-authors: its binding does not exist, so who may write")
		return said > 0, said
	})
	login := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "orders-login"}}
	for _, object := range []client.Object{cred, login} {
		if err := c.admin.Delete(t.Context(), object); err != nil {
			t.Error(err)
		}
	}
	eventually(t, "gone", func() (bool, any) { return !c.get(t, cred, cred.Namespace, cred.Name), cred.Finalizers })
	if said != 1 {
		t.Errorf("it was said %d times", said)
	}
}
