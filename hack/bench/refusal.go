package main

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// turnLength is how many rotations are measured before the other side has its turn.
const turnLength = 5

// measureRefusal measures the same with a namespace that refuses and without, in turn: what else the machine does happens to both.
func (b *bench) measureRefusal(ctx context.Context, found *distribution, consumers int) error {
	if err := b.installRefusal(ctx); err != nil {
		return err
	}
	without, with := level{Consumers: consumers}, level{Consumers: consumers, Refusing: 1}
	sides := []*level{&without, &with}
	for range b.pace.distributions / turnLength {
		for _, side := range sides {
			if err := b.setRefusing(ctx, side.Refusing > 0); err != nil {
				return err
			}
			if err := b.measureTurn(ctx, side, turnLength); err != nil {
				return err
			}
		}
		slices.Reverse(sides)
	}
	found.Levels = append(found.Levels, without, with)
	return b.setRefusing(ctx, false)
}

// refusal denies the operator every Secret in namespaces with a label.
const refusal = `{"apiVersion":"admissionregistration.k8s.io/v1","kind":"ValidatingAdmissionPolicy","metadata":{"name":"refusal"},"spec":{
	"matchConstraints":{"namespaceSelector":{"matchLabels":{"refuses":"tokens"}},"resourceRules":[
		{"apiGroups":[""],"apiVersions":["v1"],"resources":["secrets"],"operations":["CREATE","UPDATE"]}]},
	"validations":[{"expression":"false"}]}}`

const refusalBinding = `{"apiVersion":"admissionregistration.k8s.io/v1","kind":"ValidatingAdmissionPolicyBinding","metadata":{"name":"refusal"},
	"spec":{"policyName":"refusal","validationActions":["Deny"]}}`

// installRefusal installs the policy, which denies nothing yet.
func (b *bench) installRefusal(ctx context.Context) error {
	for name, manifest := range map[string]string{"refusal.json": refusal, "binding.json": refusalBinding} {
		path := filepath.Join(b.cluster.Dir, name)
		if err := os.WriteFile(path, []byte(manifest), 0o600); err != nil {
			return err
		}
		if err := b.kubectl(ctx, "apply -f "+path); err != nil {
			return err
		}
	}
	return nil
}

// setRefusing lets the first consumer's namespace refuse every Secret, or take them again, and waits until it does.
func (b *bench) setRefusing(ctx context.Context, refuses bool) error {
	label := "refuses-"
	if refuses {
		label = "refuses=tokens"
	}
	if err := b.kubectl(ctx, "label --overwrite namespace "+consumerNamespace(0)+" "+label); err != nil {
		return err
	}
	probe := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: consumerNamespace(0), Name: "probe"}}
	return b.until(ctx, "a namespace refuses, or does not any more", time.Minute, func() (bool, error) {
		return (b.admin.Create(ctx, probe.DeepCopy(), client.DryRunAll) != nil) == refuses, nil
	})
}
