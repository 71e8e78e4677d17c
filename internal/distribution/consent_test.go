package distribution

import (
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/fluent-credential/operator/api/v1alpha1"
)

func TestAllows(t *testing.T) {
	orders := &metav1.LabelSelector{MatchLabels: map[string]string{"tokens": "orders"}}
	web := Namespace{Name: "web", Labels: map[string]string{"tokens": "orders", "team": "web"}}
	tests := map[string]struct {
		why       string
		allowed   *v1alpha1.AllowedNamespaces
		namespace Namespace
		want      bool
	}{
		"nothing is said":            {"none is the default", nil, web, false},
		"nobody is named":            {"that is none, too", &v1alpha1.AllowedNamespaces{}, web, false},
		"named":                      {"by its owner", &v1alpha1.AllowedNamespaces{Names: []string{"api", "web"}}, web, true},
		"another is named":           {"a name is the whole name", &v1alpha1.AllowedNamespaces{Names: []string{"web2", "we"}}, web, false},
		"a star is named":            {"it is no pattern", &v1alpha1.AllowedNamespaces{Names: []string{"*"}}, web, false},
		"the credential's own":       {"it is allowed like any other one", &v1alpha1.AllowedNamespaces{Names: []string{"web"}}, Namespace{Name: "shop"}, false},
		"selected":                   {"its label matches", &v1alpha1.AllowedNamespaces{Selector: orders}, web, true},
		"not selected":               {"its label does not", &v1alpha1.AllowedNamespaces{Selector: orders}, Namespace{Name: "web", Labels: map[string]string{"tokens": "stock"}}, false},
		"without labels":             {"there is nothing to match", &v1alpha1.AllowedNamespaces{Selector: orders}, Namespace{Name: "web", Labels: map[string]string{}}, false},
		"named beside a selector":    {"one of the two is enough", &v1alpha1.AllowedNamespaces{Names: []string{"web"}, Selector: orders}, Namespace{Name: "web"}, true},
		"the empty selector":         {"Kubernetes' own meaning: all", &v1alpha1.AllowedNamespaces{Selector: &metav1.LabelSelector{}}, Namespace{Name: "web", Labels: map[string]string{}}, true},
		"labels that nobody reads":   {"not even the empty selector selects what cannot be seen", &v1alpha1.AllowedNamespaces{Selector: &metav1.LabelSelector{}}, Namespace{Name: "web"}, false},
		"a selector that is invalid": {"it selects nothing", &v1alpha1.AllowedNamespaces{Selector: &metav1.LabelSelector{MatchExpressions: []metav1.LabelSelectorRequirement{{Key: "a", Operator: "Like"}}}}, web, false},
		"selected by NotIn": {"a label that is not there is not in the set", &v1alpha1.AllowedNamespaces{Selector: &metav1.LabelSelector{
			MatchExpressions: []metav1.LabelSelectorRequirement{{Key: "env", Operator: metav1.LabelSelectorOpNotIn, Values: []string{"test"}}},
		}}, web, true},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			cred := &v1alpha1.FluentCredential{Spec: v1alpha1.FluentCredentialSpec{AllowedNamespaces: test.allowed}}
			if got := Allows(cred, test.namespace); got != test.want {
				t.Errorf("allowed: %t, want %t: %s", got, test.want, test.why)
			}
			cred.DeletionTimestamp = &metav1.Time{Time: time.Unix(1, 0)}
			if Allows(cred, test.namespace) {
				t.Error("a credential that is going permits nothing more")
			}
		})
	}
}
