package cli

import (
	"strings"
	"testing"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"

	"github.com/fluent-credential/operator/api/v1alpha1"
	"github.com/fluent-credential/operator/internal/exchange"
)

// TestUnitForgedOperatorDecidesNothing: everybody with a namespace can make a Deployment that looks like the operator's. It must not
// decide which endpoints a password may be sent to.
func TestUnitForgedOperatorDecidesNothing(t *testing.T) {
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{appsv1.AddToScheme, admissionv1.AddToScheme} {
		if err := add(scheme); err != nil {
			t.Fatal(err)
		}
	}
	deployment := func(namespace string, flags ...string) client.Object {
		made := &appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{
			Namespace: namespace, Name: v1alpha1.OperatorName, Labels: map[string]string{nameLabel: v1alpha1.OperatorName},
		}}
		made.Spec.Template.Spec.ServiceAccountName = v1alpha1.OperatorName
		made.Spec.Template.Spec.Containers = []corev1.Container{{Name: "operator", Args: flags}}
		return made
	}
	policy := func(namespace string) client.Object {
		made := &admissionv1.ValidatingAdmissionPolicy{ObjectMeta: metav1.ObjectMeta{Name: "fluent-credential-operator-secrets"}}
		made.Spec.MatchConditions = []admissionv1.MatchCondition{{
			Expression: `request.userInfo.username == "system:serviceaccount:` + namespace + `:fluent-credential-operator"`,
		}}
		return made
	}
	installed := deployment("system", "--allowed-hosts=*.example.com")
	forged := deployment("mallory", "--insecure-http")
	strict := exchange.Policy{AllowedHosts: []string{"*.example.com"}}
	tests := map[string]struct {
		why    string
		there  []client.Object
		want   exchange.Policy
		source string
	}{
		"one":                   {"as installed", []client.Object{installed}, strict, "Deployment system/fluent-credential-operator"},
		"two, and a policy":     {"an administrator made the policy", []client.Object{installed, forged, policy("system")}, strict, "Deployment system/fluent-credential-operator"},
		"two that differ":       {"nothing tells which is real", []client.Object{installed, forged}, exchange.Policy{}, "the default, since the flags of Deployments"},
		"two that agree":        {"it makes no difference", []client.Object{installed, deployment("other", "--allowed-hosts=*.example.com")}, strict, "Deployment system/"},
		"one for another place": {"it does not serve the namespace", []client.Object{installed, deployment("other", "--namespaces=other")}, strict, "Deployment system/"},
		"none":                  {"it runs elsewhere", nil, exchange.Policy{}, "the default"},
	}
	for name, test := range tests {
		reader := fake.NewClientBuilder().WithScheme(scheme).WithObjects(test.there...).Build()
		got, source := policyOf(t.Context(), reader, "shop")
		if got.InsecureHTTP != test.want.InsecureHTTP || len(got.AllowedHosts) != len(test.want.AllowedHosts) || !strings.HasPrefix(source, test.source) {
			t.Errorf("%s: %+v from %q, want %+v from %q: %s", name, got, source, test.want, test.source, test.why)
		}
	}
}
