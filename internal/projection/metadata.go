package projection

import (
	"fmt"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/fluent-credential/operator/api/v1alpha1"
)

// Domains are the domains that keys of labels and annotations of a target may have: "argocd.argoproj.io" is one
// domain, "*.example.com" are the domains below example.com, and "*" are all. Controllers act on labels and
// annotations of their domain, so such a key can do more than the Secret alone. Keys without a domain, and those of
// app.kubernetes.io, are always allowed.
type Domains []string

// recommended is the domain of the labels that Kubernetes recommends for every object.
const recommended = "app.kubernetes.io"

// IsDomain reports whether a text can be one of Domains.
func IsDomain(text string) bool {
	return text == "*" || len(validation.IsDNS1123Subdomain(strings.TrimPrefix(text, "*."))) == 0
}

// allow reports whether a key may be put on a target Secret.
func (d Domains) allow(key string) bool {
	prefix, _, hasPrefix := strings.Cut(key, "/")
	domain := strings.ToLower(prefix)
	return !hasPrefix || domain == recommended || slices.ContainsFunc(d, func(pattern string) bool {
		parent, isWildcard := strings.CutPrefix(pattern, "*.")
		return pattern == "*" || pattern == domain || isWildcard && strings.HasSuffix(domain, "."+parent)
	})
}

// Allowed returns the entries of labels or annotations that may be put on a target Secret.
func Allowed[V ~string](d Domains, entries map[string]V) map[string]string {
	allowed := make(map[string]string, len(entries))
	for key, value := range entries {
		if d.allow(key) {
			allowed[key] = string(value)
		}
	}
	return allowed
}

// Ignored reports which labels and annotations of a target are not put on its Secret, and what to do. It returns an
// empty text if all are. The operator's own keys do not count: they are never taken from a target.
func (d Domains) Ignored(target v1alpha1.TargetSpec) string {
	fields, keys := []string{}, []string{}
	add := func(field string, of []string) {
		for _, key := range of {
			if !d.allow(key) && !isKept(key, "") {
				fields, keys = append(fields, field+"."+key), append(keys, key)
			}
		}
	}
	add("spec.target.labels", sorted(target.Labels))
	add("spec.target.annotations", sorted(target.Annotations))
	if len(fields) == 0 {
		return ""
	}
	more := ""
	if len(fields) > 1 {
		more = fmt.Sprintf(" and %d more", len(fields)-1)
	}
	domain, _, _ := strings.Cut(strings.ToLower(keys[0]), "/")
	return fmt.Sprintf("the token is published without %s%s: the operator's flag --allowed-target-metadata does not name "+
		"the domain %s. Add it there, or remove the key", fields[0], more, domain)
}
