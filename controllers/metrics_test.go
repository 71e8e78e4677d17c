package controllers

import (
	"fmt"
	"testing"

	"k8s.io/apimachinery/pkg/api/meta"

	"github.com/fluent-credential/operator/api/v1alpha1"
)

// series is how many series of a metric the operator exposes.
func (o *operator) series(t *testing.T, name string) int {
	t.Helper()
	families, err := o.registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, family := range families {
		if family.GetName() == name {
			return len(family.GetMetric())
		}
	}
	return 0
}

func isReady(cred *v1alpha1.FluentCredential) (bool, any) {
	return meta.IsStatusConditionTrue(cred.Status.Conditions, v1alpha1.ConditionReady), cred.Status
}

// exposition is all that a scrape would see.
func (o *operator) exposition(t *testing.T) string {
	t.Helper()
	families, err := o.registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprint(families)
}
