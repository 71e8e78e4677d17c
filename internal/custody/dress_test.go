package custody

import (
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/fluent-credential/operator/api/v1alpha1"
	"github.com/fluent-credential/operator/internal/projection"
)

func TestEveryStatesNameIsReserved(t *testing.T) {
	for _, credential := range []string{"orders", strings.Repeat("a", maxName), "a.b"} {
		for _, name := range Names(credential) {
			if !projection.IsStateName(name) {
				t.Errorf("%s can be the name of a state, and somebody else may take it", name)
			}
		}
	}
	for _, name := range []string{"orders-token", "fluent-state", "orders-fluent-state-3", "orders-fluent-state-2-token"} {
		if projection.IsStateName(name) {
			t.Errorf("%s is no state's name", name)
		}
	}
}

func TestNames(t *testing.T) {
	credentials := map[string]string{
		"short":                        "orders",
		"just short enough":            strings.Repeat("a", maxName-len(alternateSuffix)),
		"one too long":                 strings.Repeat("a", maxName-len(alternateSuffix)+1),
		"as long as can be":            strings.Repeat("a", maxName),
		"as long, another end":         strings.Repeat("a", maxName-1) + "b",
		"as long, another beginning":   "b" + strings.Repeat("a", maxName-1),
		"with dots":                    strings.Repeat("a.", 126) + "a",
		"with dots, one further":       "a" + strings.Repeat("a.", 126),
		"with hyphens":                 strings.Repeat("a-", 126) + "a",
		"like another's state Secret":  "orders" + suffix,
		"like another's second Secret": "orders" + alternateSuffix,
	}
	seen := map[string]string{}
	for title, credential := range credentials {
		for _, name := range Names(credential) {
			if other, taken := seen[name]; taken {
				t.Errorf("%s: the name is that of %s: %s", title, other, name)
			}
			seen[name] = title
			if problems := validation.IsDNS1123Subdomain(name); len(problems) > 0 {
				t.Errorf("%s: %q is no name of a Secret: %s", title, name, problems)
			}
			if other := otherName(credential, name); !slices.Contains(named(credential), other) || other == name {
				t.Errorf("%s: the other name of %s is %s", title, name, other)
			}
		}
	}
	if got := Names("orders"); got != [2]string{"orders-fluent-state", "orders-fluent-state-2"} {
		t.Errorf("the names are a contract with backups and network policies: %v", got)
	}
}

func named(credential string) []string { names := Names(credential); return names[:] }

func TestDress(t *testing.T) {
	now := metav1.Now()
	tests := map[string]struct {
		why       string
		secret    corev1.Secret
		finalizer bool
	}{
		"a new one":  {"it is protected from the first moment", corev1.Secret{}, true},
		"an old one": {"once is enough", corev1.Secret{ObjectMeta: metav1.ObjectMeta{Finalizers: []string{v1alpha1.StateFinalizer}}}, true},
		"undressed by somebody": {
			"what a person took away is put on again",
			corev1.Secret{ObjectMeta: metav1.ObjectMeta{
				Finalizers: []string{"example.com/theirs"}, Labels: map[string]string{"team": "shop"},
				OwnerReferences: []metav1.OwnerReference{{UID: "somebody"}},
			}},
			true,
		},
		"on its way out": {
			"the API server forbids new finalizers on what is being deleted",
			corev1.Secret{ObjectMeta: metav1.ObjectMeta{DeletionTimestamp: &now, Finalizers: []string{"example.com/theirs"}}}, false,
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			secret, theirs := test.secret, slices.Contains(test.secret.Finalizers, "example.com/theirs")
			dress(&secret, owner)
			dress(&secret, owner)
			ours := 0
			for _, finalizer := range secret.Finalizers {
				if finalizer == v1alpha1.StateFinalizer {
					ours++
				}
			}
			if (ours == 1) != test.finalizer || ours > 1 {
				t.Errorf("our finalizer is there %d times: %s", ours, test.why)
			}
			if theirs && !slices.Contains(secret.Finalizers, "example.com/theirs") {
				t.Error("another's finalizer was taken")
			}
			if secret.Labels[v1alpha1.ManagedByLabel] != v1alpha1.OperatorName || secret.Labels[v1alpha1.CredentialLabel] != string(owner.UID) ||
				secret.Annotations[v1alpha1.CredentialAnnotation] != owner.Name {
				t.Errorf("labels %v, annotations %v: %s", secret.Labels, secret.Annotations, test.why)
			}
			if controller := metav1.GetControllerOf(&secret); len(secret.OwnerReferences) != 1 || controller.UID != owner.UID {
				t.Errorf("owners %+v: %s", secret.OwnerReferences, test.why)
			}
		})
	}
}

func TestCredentialOf(t *testing.T) {
	for name, want := range map[string]string{
		"orders-fluent-state": "orders", "orders-fluent-state-2": "orders", "orders-fluent-state-fluent-state": "orders-fluent-state",
		"orders": "", "-fluent-state": "", "orders-fluent-state-3": "",
	} {
		if got, isState := CredentialOf(name); got != want || isState != (want != "") {
			t.Errorf("%s is the state of %q, %t; want %q", name, got, isState, want)
		}
	}
}
