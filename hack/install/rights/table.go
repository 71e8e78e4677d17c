// Package rights is what the operator's ServiceAccount may do in a cluster and what it may not, row by row, and how to try a row. Tests
// hold the manifests to it: in hack/install against an API server, in hack/e2e on a node, with the token of the operator's own pod.
package rights

// Namespaces in the table. Where the installation for a list of namespaces gives something, it gives it in Listed.
const (
	Listed = "shop"
	System = "fluent-credential-system"
)

// Account is the operator, as a user of the Kubernetes API.
const Account = "system:serviceaccount:" + System + ":fluent-credential-operator"

// Right is something that the operator may do, or not.
type Right struct {
	Verb      string
	Resource  string // resource, resource.group or resource.group/subresource
	Namespace string // empty: all of them, or none, as the resource has it

	ByDefault     bool // where the operator was installed for the whole cluster
	ForNamespaces bool // where it was installed for a list of namespaces
	Why           string
}

// Table is what docs/install.md tells.
var Table = []Right{
	{"get", "secrets", Listed, true, true, "logins and states are read live"},
	{"list", "secrets", Listed, true, true, "the metadata is watched"},
	{"watch", "secrets", Listed, true, true, "the metadata is watched"},
	{"create", "secrets", Listed, true, true, "states and workload Secrets"},
	{"update", "secrets", Listed, true, true, "the claim and the commit"},
	{"patch", "secrets", Listed, true, true, "the publication"},
	{"delete", "secrets", Listed, true, true, "of a FluentCredential that is gone"},
	{"deletecollection", "secrets", Listed, false, false, "it deletes one by one"},
	{"get", "secrets", "elsewhere", true, false, "no right on Secrets elsewhere"},
	{"list", "secrets", "elsewhere", true, false, "no right on Secrets elsewhere"},
	{"watch", "secrets", "elsewhere", true, false, "no right on Secrets elsewhere"},
	{"create", "secrets", "elsewhere", true, false, "no right on Secrets elsewhere"},
	{"update", "secrets", "elsewhere", true, false, "no right on Secrets elsewhere"},
	{"patch", "secrets", "elsewhere", true, false, "no right on Secrets elsewhere"},
	{"delete", "secrets", "elsewhere", true, false, "no right on Secrets elsewhere"},
	{"list", "secrets", "", true, false, "of all namespaces"},
	{"get", "secrets", "kube-system", true, false, "no right on Secrets elsewhere"},
	{"get", "secrets", System, true, true, "login guards and the journal's key"},
	{"create", "secrets", System, true, true, "login guards and the journal's key"},
	{"update", "secrets", System, true, true, "login guards"},
	{"list", "secrets", System, true, true, "which login guards hold nothing any more?"},
	{"delete", "secrets", System, true, true, "login guards that hold nothing any more"},
	{"watch", "secrets", System, true, false, "login guards are read when a login asks"},
	{"get", "fluentcredentials.auth.fluent-credential.dev", Listed, true, true, "is a login's owner still there?"},
	{"list", "fluentcredentials.auth.fluent-credential.dev", Listed, true, true, "its work"},
	{"watch", "fluentcredentials.auth.fluent-credential.dev", Listed, true, true, "its work"},
	{"list", "fluentcredentials.auth.fluent-credential.dev", "elsewhere", true, false, "not its work"},
	{"watch", "fluentcredentials.auth.fluent-credential.dev", "elsewhere", true, false, "not its work"},
	{"patch", "fluentcredentials.auth.fluent-credential.dev", Listed, true, true, "the finalizer"},
	{"patch", "fluentcredentials.auth.fluent-credential.dev/status", Listed, true, true, "the status"},
	{"update", "fluentcredentials.auth.fluent-credential.dev/finalizers", Listed, true, true, "to own Secrets"},
	{"create", "fluentcredentials.auth.fluent-credential.dev", Listed, false, false, "people do"},
	{"update", "fluentcredentials.auth.fluent-credential.dev", Listed, false, false, "people do"},
	{"delete", "fluentcredentials.auth.fluent-credential.dev", Listed, false, false, "people do"},
	{"watch", "fluenttokens.auth.fluent-credential.dev", Listed, true, true, "its work"},
	{"watch", "fluenttokens.auth.fluent-credential.dev", "elsewhere", true, false, "not its work"},
	{"patch", "fluenttokens.auth.fluent-credential.dev/status", Listed, true, true, "the status"},
	{"create", "fluenttokens.auth.fluent-credential.dev", Listed, false, false, "people do"},
	{"list", "namespaces", "", true, false, "which ones a selector selects; Roles cannot permit it"},
	{"create", "namespaces", "", false, false, "people do"},
	{"list", "pods", Listed, true, true, "who mounts what"},
	{"watch", "pods", Listed, true, true, "who mounts what"},
	{"patch", "pods", Listed, true, true, "the nudge"},
	{"list", "pods", "elsewhere", true, false, "not its work"},
	{"patch", "pods", "elsewhere", true, false, "not its work"},
	{"get", "pods", Listed, false, false, "the watch is enough"},
	{"create", "pods", Listed, false, false, "it runs nothing"},
	{"delete", "pods", Listed, false, false, "it ends nothing"},
	{"create", "pods/exec", Listed, false, false, "it looks into nothing"},
	{"get", "pods/log", Listed, false, false, "it looks into nothing"},
	{"create", "pods/eviction", Listed, false, false, "it ends nothing"},
	{"patch", "deployments.apps", Listed, true, true, "the restart"},
	{"patch", "statefulsets.apps", Listed, true, true, "the restart"},
	{"patch", "daemonsets.apps", Listed, true, true, "the restart"},
	{"patch", "deployments.apps", "elsewhere", true, false, "not its work"},
	{"patch", "deployments.apps/scale", Listed, false, false, "it restarts and does not scale"},
	{"list", "deployments.apps", Listed, false, false, "they are named"},
	{"create", "deployments.apps", Listed, false, false, "it runs nothing"},
	{"create", "events.events.k8s.io", Listed, true, true, "what happened"},
	{"list", "events.events.k8s.io", Listed, false, false, "it reads none"},
	{"create", "leases.coordination.k8s.io", System, true, true, "the first leader"},
	{"delete", "leases.coordination.k8s.io", System, false, false, "it is given back by an update"},
	{"create", "leases.coordination.k8s.io", Listed, false, false, "the lease is in its own namespace"},
	{"create", "tokenreviews.authentication.k8s.io", "", true, true, "who scrapes?"},
	{"create", "subjectaccessreviews.authorization.k8s.io", "", true, true, "may they?"},
	{"create", "serviceaccounts/token", System, false, false, "it is nobody else"},
	{"impersonate", "users", "", false, false, "it is nobody else"},
	{"bind", "clusterroles.rbac.authorization.k8s.io", "", false, false, "it gives no rights"},
	{"create", "clusterrolebindings.rbac.authorization.k8s.io", "", false, false, "it gives no rights"},
	{"list", "validatingadmissionpolicies.admissionregistration.k8s.io", "", false, false, "it gets those of its installation, by name"},
	{"get", "validatingadmissionpolicies.admissionregistration.k8s.io", "", false, false, "it gets those of its installation, by name"},
	{"patch", "validatingadmissionpolicies.admissionregistration.k8s.io", "", false, false, "it cannot let itself off"},
	{"delete", "validatingadmissionpolicybindings.admissionregistration.k8s.io", "", false, false, "it cannot let itself off"},
	{"delete", "customresourcedefinitions.apiextensions.k8s.io", "", false, false, "people do"},
	{"get", "configmaps", System, false, false, "it reads none"},
	{"list", "nodes", "", false, false, "it looks at none"},
}
