package projection

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"unicode/utf8"

	corev1 "k8s.io/api/core/v1"
	apivalidation "k8s.io/apimachinery/pkg/api/validation"
	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/fluent-credential/operator/api/v1alpha1"
)

// Problems returns why the API server would refuse the Secret that a target describes, in the words of Kubernetes, and
// which values the operator reserves for itself. Admission finds the same problems. An object stored before these rules
// can still have one, and no login is spent for a Secret that cannot be written.
func Problems(object string, target v1alpha1.TargetSpec) []string {
	found := PublishedProblems(object, target)
	if kind := cmp.Or(target.Type, opaque); !slices.Contains(targetTypes, kind) {
		found = append(found, fmt.Sprintf("spec.target.type: a target Secret has the type %s, not %q: "+
			"Kubernetes or a controller acts on others", strings.Join(targetTypes, ", "), kind))
	}
	return found
}

// targetTypes are the types of target Secrets: those that a token is of use in, and that no controller takes for more than they
// are. The CRDs and the admission policy fluent-credential-operator-secrets have the same list.
var targetTypes = []string{
	opaque, string(corev1.SecretTypeBasicAuth), string(corev1.SecretTypeDockercfg), string(corev1.SecretTypeDockerConfigJson),
}

// PublishedProblems is Problems for a target that was published before. Its type can be one that new targets cannot have.
func PublishedProblems(object string, target v1alpha1.TargetSpec) []string {
	var found []string
	add := func(field string, problems ...string) {
		for _, problem := range problems {
			found = append(found, field+": "+problem)
		}
	}
	name := object
	if target.Name != "" {
		name = target.Name
	}
	add("spec.target.name", nameProblems(name)...)
	add("spec.target.type", typeProblems(target)...)
	for _, key := range sorted(target.Labels) {
		add("spec.target.labels", naming(key, validation.IsQualifiedName(key))...)
		add("spec.target.labels."+key, validation.IsValidLabelValue(string(target.Labels[key]))...)
	}
	size := 0
	for _, key := range sorted(target.Annotations) {
		add("spec.target.annotations", naming(key, validation.IsQualifiedName(strings.ToLower(key)))...)
		size += len(key) + len(target.Annotations[key])
	}
	if size > maxAnnotations {
		add("spec.target.annotations", fmt.Sprintf("must have at most %d bytes in all", maxAnnotations))
	}
	for _, key := range sorted(target.Data) {
		add("spec.target.data", naming(key, validation.IsConfigMapKey(key))...)
	}
	return found
}

// The limits of a target at admission, in characters. All targets are kept in the cluster's store and rendered in one
// process.
const (
	maxEntry   = 16 << 10 // of one template
	maxEntries = 64 << 10 // of all templates with their keys, and of all annotations
)

// SizeProblems returns what admission finds too large in a target. An object stored before these limits is served all
// the same.
func SizeProblems(target v1alpha1.TargetSpec) []string {
	var found []string
	size := 0
	for _, key := range sorted(target.Data) {
		entry := utf8.RuneCountInString(target.Data[key])
		if entry > maxEntry {
			found = append(found, fmt.Sprintf(
				"spec.target.data: entry %s has more than %d characters", key, maxEntry))
		}
		size += utf8.RuneCountInString(key) + entry
	}
	if size > maxEntries {
		found = append(found, fmt.Sprintf(
			"spec.target.data: the entries have at most %d characters in all, with their keys", maxEntries))
	}
	size = 0
	for key, value := range target.Annotations {
		size += utf8.RuneCountInString(key) + utf8.RuneCountInString(value)
	}
	if size > maxEntries {
		found = append(found, fmt.Sprintf(
			"spec.target.annotations: annotations have at most %d characters in all, with their keys", maxEntries))
	}
	return found
}

// maxAnnotations leaves room for the annotations of the operator.
const maxAnnotations = apivalidation.TotalAnnotationSizeLimitB - 2048

// naming adds the key to its problems.
func naming(key string, problems []string) []string {
	if len(problems) == 0 {
		return nil
	}
	return []string{fmt.Sprintf("invalid key %s: %s", key, strings.Join(problems, "; "))}
}

// NameProblems returns why Kubernetes would refuse the name of a Secret or a workload.
func NameProblems(name string) []string { return validation.IsDNS1123Subdomain(name) }

func nameProblems(name string) []string {
	problems := NameProblems(name)
	switch {
	case IsStateName(name):
		problems = append(problems, "names that end in "+v1alpha1.StateSuffix+" or "+v1alpha1.AlternateStateSuffix+
			" are kept for the operator's state Secrets: choose another name")
	case name == v1alpha1.JournalKeySecret:
		problems = append(problems, "this name is kept for the key of the operator's journal: choose another name")
	}
	return problems
}

// required are the entries without which Kubernetes refuses a Secret of a type: at least one of each group.
var required = map[corev1.SecretType][][]string{
	corev1.SecretTypeDockercfg:        {{corev1.DockerConfigKey}},
	corev1.SecretTypeDockerConfigJson: {{corev1.DockerConfigJsonKey}},
	corev1.SecretTypeTLS:              {{corev1.TLSCertKey}, {corev1.TLSPrivateKeyKey}},
	corev1.SecretTypeSSHAuth:          {{corev1.SSHAuthPrivateKey}},
	corev1.SecretTypeBasicAuth:        {{corev1.BasicAuthUsernameKey, corev1.BasicAuthPasswordKey}},
}

func typeProblems(target v1alpha1.TargetSpec) []string {
	var problems []string
	if IsKeptType(corev1.SecretType(target.Type)) {
		problems = append(problems, fmt.Sprintf("the type %s is kept for Kubernetes or the operator", target.Type))
	}
	keys := slices.Collect(maps.Keys(target.Data))
	for _, group := range required[corev1.SecretType(target.Type)] {
		if !slices.ContainsFunc(group, func(entry string) bool { return slices.Contains(keys, entry) }) {
			problems = append(problems, fmt.Sprintf("a Secret of type %s needs the entry %s: name it in target.data",
				target.Type, strings.Join(group, " or ")))
		}
	}
	key := objects[corev1.SecretType(target.Type)]
	if slices.Contains(keys, key) && !makesObject(key, target.Data[key]) {
		problems = append(problems,
			fmt.Sprintf("a Secret of type %s needs a JSON object in the entry %s", target.Type, key))
	}
	return problems
}

// objects are the entries that Kubernetes requires to be JSON objects, by the type of the Secret.
var objects = map[corev1.SecretType]string{
	corev1.SecretTypeDockercfg:        corev1.DockerConfigKey,
	corev1.SecretTypeDockerConfigJson: corev1.DockerConfigJsonKey,
}

// makesObject reports whether a template can produce a JSON object. A template that depends on the reply's extra
// members counts as one that can, and a template that cannot be parsed has a problem of its own.
func makesObject(key, text string) bool {
	templates, err := Parse(map[string]string{key: text})
	if err != nil || strings.Contains(text, "Extra") {
		return true
	}
	rendered, err := templates.Render(sample)
	var object map[string]any
	return err != nil || json.Unmarshal(rendered[key], &object) == nil
}

// IsKeptType reports whether Secrets of a type belong to the operator or to Kubernetes: state, login guards, and the
// tokens of service accounts. No target has such a type, and no credentials are read from such a Secret.
func IsKeptType(of corev1.SecretType) bool {
	return strings.HasPrefix(string(of), v1alpha1.GroupVersion.Group+"/") || of == corev1.SecretTypeServiceAccountToken
}
