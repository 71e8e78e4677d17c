package install

import (
	"crypto/tls"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	authorizationv1 "k8s.io/api/authorization/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/fluent-credential/operator/api/v1alpha1"
)

// TestOperatorWithItsRights runs the operator with the token of its service account, under the policies, and has it do everything that
// it does: end looks through its log for a refusal.
func TestOperatorWithItsRights(t *testing.T) {
	c := policed(t)
	namespace := c.namespace(t, "work")
	sim, url := server(t, 4*time.Second, namespace)
	operator := c.run(t)
	labels := map[string]string{"app": "orders"}
	spec := corev1.PodSpec{Containers: []corev1.Container{{Name: "main", Image: "example.com/one"}}}
	deployment := &appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "orders"}, Spec: appsv1.DeploymentSpec{
		Selector: &metav1.LabelSelector{MatchLabels: labels}, Template: corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: labels}, Spec: spec},
	}}
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "orders"}, Spec: *spec.DeepCopy()}
	pod.Spec.NodeName = "node"
	pod.Spec.Volumes = []corev1.Volume{{Name: "token", VolumeSource: corev1.VolumeSource{Secret: &corev1.SecretVolumeSource{SecretName: "orders-token"}}}}
	c.create(t, deployment, pod)
	cred := c.credential(t, namespace, url, func(cred *v1alpha1.FluentCredential) {
		cred.Spec.Delivery.Restart = []v1alpha1.RestartReference{{Kind: v1alpha1.RestartDeployment, Name: "orders"}}
	})
	c.rotated(t, cred, 3)
	eventually(t, "the pod was nudged", func() (bool, any) {
		c.get(t, pod, namespace, pod.Name)
		return pod.Annotations[v1alpha1.NudgeAnnotation] != "", pod.Annotations
	})
	eventually(t, "the Deployment was restarted", func() (bool, any) {
		c.get(t, deployment, namespace, deployment.Name)
		return deployment.Spec.Template.Annotations[v1alpha1.RestartAnnotation] != "", deployment.Spec.Template.Annotations
	})
	c.rename(t, cred, "other-token")
	c.scrape(t, operator)
	if err := c.admin.Delete(t.Context(), cred); err != nil {
		t.Fatal(err)
	}
	eventually(t, "nothing is left", func() (bool, any) {
		var left corev1.SecretList
		if err := c.admin.List(t.Context(), &left, client.InNamespace(namespace), client.MatchingLabels{v1alpha1.ManagedByLabel: operatorName}); err != nil {
			t.Fatal(err)
		}
		return !c.get(t, &v1alpha1.FluentCredential{}, namespace, cred.Name) && len(left.Items) == 0, len(left.Items)
	})
	if reuses := sim.Ledger().Reuses; reuses != 0 {
		t.Errorf("%d spent refresh tokens were presented again", reuses)
	}
}

// rename has the operator publish under another name and remove the former one.
func (c *cluster) rename(t *testing.T, cred *v1alpha1.FluentCredential, name string) {
	t.Helper()
	former, patch := cred.TargetName(), []byte(fmt.Sprintf(`{"spec":{"target":{"name":%q}}}`, name))
	if err := c.admin.Patch(t.Context(), cred, client.RawPatch("application/merge-patch+json", patch)); err != nil {
		t.Fatal(err)
	}
	eventually(t, "renamed", func() (bool, any) {
		return c.get(t, &corev1.Secret{}, cred.Namespace, name) && !c.get(t, &corev1.Secret{}, cred.Namespace, former), nil
	})
}

// scrape asks for the metrics: as nobody, as somebody without the right, and as Prometheus would.
func (c *cluster) scrape(t *testing.T, operator *process) {
	t.Helper()
	namespace := c.namespace(t, "monitoring")
	for _, name := range []string{"nobody", "prometheus"} {
		c.create(t, &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name}})
	}
	c.create(t, &rbacv1.ClusterRoleBinding{
		ObjectMeta: metav1.ObjectMeta{Name: "prometheus-reads-" + operatorName},
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: operatorName + "-metrics-reader"},
		Subjects:   []rbacv1.Subject{{Kind: "ServiceAccount", Namespace: namespace, Name: "prometheus"}},
	})
	for who, want := range map[string]int{"": http.StatusUnauthorized, "nobody": http.StatusForbidden, "prometheus": http.StatusOK} {
		token := ""
		if who != "" {
			token = c.token(t, namespace, who)
		}
		eventually(t, fmt.Sprintf("%q gets %d", who, want), func() (bool, any) { // who may what reaches the API server's authorizer a moment later
			status, err := statusOf(t, "https://"+operator.metrics+"/metrics", token)
			return status == want, fmt.Sprint(status, err)
		})
	}
}

func statusOf(t *testing.T, url, token string) (int, error) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	if token != "" {
		request.Header.Set("Authorization", "Bearer "+token)
	}
	transport := &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}} // the certificate is the operator's own
	defer transport.CloseIdleConnections()
	response, err := transport.RoundTrip(request)
	if err != nil {
		return 0, err
	}
	return response.StatusCode, response.Body.Close()
}

// TestOperatorForNamespaces runs the operator with Roles in two namespaces only.
func TestOperatorForNamespaces(t *testing.T) {
	c := shared(t, forNamespaces)
	c.namespace(t, "elsewhere")
	_, url := server(t, 4*time.Second, "shop", "warehouse", "elsewhere")
	c.run(t)
	outside := c.credential(t, "elsewhere", url, nil)
	inside := []*v1alpha1.FluentCredential{c.credential(t, "shop", url, nil), c.credential(t, "warehouse", url, nil)}
	for _, cred := range inside {
		c.rotated(t, cred, 3)
	}
	if c.get(t, outside, "elsewhere", "orders"); len(outside.Finalizers) != 0 || len(outside.Status.Conditions) != 0 {
		t.Errorf("it works where it must not: %+v", outside.Status)
	}
	for _, cred := range inside {
		if err := c.admin.Delete(t.Context(), cred); err != nil {
			t.Fatal(err)
		}
		eventually(t, "gone", func() (bool, any) { return !c.get(t, cred, cred.Namespace, cred.Name), cred.Finalizers })
	}
}

// right is something that the operator may do, or not.
type right struct {
	verb, resource, namespace string
	byDefault, forNamespaces  bool
	why                       string
}

// rights is the table of docs/install.md. Where the overlay for namespaces gives something, it gives it in "shop".
var rights = []right{
	{"get", "secrets", "shop", true, true, "logins and states are read live"},
	{"list", "secrets", "shop", true, true, "the metadata is watched"},
	{"watch", "secrets", "shop", true, true, "the metadata is watched"},
	{"create", "secrets", "shop", true, true, "states and workload Secrets"},
	{"update", "secrets", "shop", true, true, "the claim and the commit"},
	{"patch", "secrets", "shop", true, true, "the publication"},
	{"delete", "secrets", "shop", true, true, "of a FluentCredential that is gone"},
	{"deletecollection", "secrets", "shop", false, false, "it deletes one by one"},
	{"get", "secrets", "elsewhere", true, false, "no right on Secrets elsewhere"},
	{"list", "secrets", "elsewhere", true, false, "no right on Secrets elsewhere"},
	{"create", "secrets", "elsewhere", true, false, "no right on Secrets elsewhere"},
	{"delete", "secrets", "elsewhere", true, false, "no right on Secrets elsewhere"},
	{"list", "secrets", "", true, false, "of all namespaces"},
	{"get", "secrets", "kube-system", true, false, "no right on Secrets elsewhere"},
	{"get", "secrets", system, true, true, "login guards and the journal's key"},
	{"update", "secrets", system, true, true, "login guards"},
	{"list", "secrets", system, true, false, "it knows the names"},
	{"delete", "secrets", system, true, false, "guards stay"},
	{"get", "fluentcredentials.auth.fluent-credential.dev", "shop", true, true, "is a login's owner still there?"},
	{"watch", "fluentcredentials.auth.fluent-credential.dev", "shop", true, true, "its work"},
	{"watch", "fluentcredentials.auth.fluent-credential.dev", "elsewhere", true, false, "not its work"},
	{"patch", "fluentcredentials.auth.fluent-credential.dev", "shop", true, true, "the finalizer"},
	{"patch", "fluentcredentials.auth.fluent-credential.dev/status", "shop", true, true, "the status"},
	{"create", "fluentcredentials.auth.fluent-credential.dev", "shop", false, false, "people do"},
	{"delete", "fluentcredentials.auth.fluent-credential.dev", "shop", false, false, "people do"},
	{"watch", "fluenttokens.auth.fluent-credential.dev", "shop", true, true, "its work"},
	{"watch", "fluenttokens.auth.fluent-credential.dev", "elsewhere", true, false, "not its work"},
	{"patch", "fluenttokens.auth.fluent-credential.dev/status", "shop", true, true, "the status"},
	{"create", "fluenttokens.auth.fluent-credential.dev", "shop", false, false, "people do"},
	{"list", "namespaces", "", true, false, "which ones a selector selects; Roles cannot permit it"},
	{"create", "namespaces", "", false, false, "people do"},
	{"list", "pods", "shop", true, true, "who mounts what"},
	{"patch", "pods", "shop", true, true, "the nudge"},
	{"patch", "pods", "elsewhere", true, false, "not its work"},
	{"get", "pods", "shop", false, false, "the watch is enough"},
	{"create", "pods", "shop", false, false, "it runs nothing"},
	{"delete", "pods", "shop", false, false, "it ends nothing"},
	{"create", "pods/exec", "shop", false, false, "it looks into nothing"},
	{"get", "pods/log", "shop", false, false, "it looks into nothing"},
	{"patch", "deployments.apps", "shop", true, true, "the restart"},
	{"patch", "statefulsets.apps", "shop", true, true, "the restart"},
	{"patch", "daemonsets.apps", "shop", true, true, "the restart"},
	{"list", "deployments.apps", "shop", false, false, "they are named"},
	{"create", "deployments.apps", "shop", false, false, "it runs nothing"},
	{"create", "events.events.k8s.io", "shop", true, true, "what happened"},
	{"create", "leases.coordination.k8s.io", system, true, true, "the first leader"},
	{"delete", "leases.coordination.k8s.io", system, false, false, "it is given back by an update"},
	{"create", "leases.coordination.k8s.io", "shop", false, false, "the lease is in its own namespace"},
	{"create", "tokenreviews.authentication.k8s.io", "", true, true, "who scrapes?"},
	{"create", "subjectaccessreviews.authorization.k8s.io", "", true, true, "may they?"},
	{"create", "serviceaccounts/token", system, false, false, "it is nobody else"},
	{"impersonate", "users", "", false, false, "it is nobody else"},
	{"bind", "clusterroles.rbac.authorization.k8s.io", "", false, false, "it gives no rights"},
	{"patch", "validatingadmissionpolicies.admissionregistration.k8s.io", "", false, false, "it cannot let itself off"},
	{"delete", "customresourcedefinitions.apiextensions.k8s.io", "", false, false, "people do"},
	{"get", "configmaps", system, false, false, "it reads none"},
	{"list", "nodes", "", false, false, "it looks at none"},
}

// TestRights asks the API server's authorizer for every row of the table, under both installations.
func TestRights(t *testing.T) {
	clusters := map[string]*cluster{"by default": shared(t, byDefault), "for namespaces": shared(t, forNamespaces)}
	for installation, c := range clusters {
		for _, row := range rights {
			want := row.byDefault
			if installation == "for namespaces" {
				want = row.forNamespaces
			}
			if got := c.may(t, row); got != want {
				t.Errorf("%s: may %s %s in %q: %t, want %t: %s", installation, row.verb, row.resource, row.namespace, got, want, row.why)
			}
		}
	}
}

func (c *cluster) may(t *testing.T, row right) bool {
	t.Helper()
	resource, group, _ := strings.Cut(row.resource, ".")
	group, sub, isSub := strings.Cut(group, "/")
	if !isSub {
		resource, sub, _ = strings.Cut(resource, "/")
	}
	review := &authorizationv1.SubjectAccessReview{Spec: authorizationv1.SubjectAccessReviewSpec{
		User: operatorUser, Groups: []string{"system:authenticated", "system:serviceaccounts", "system:serviceaccounts:" + system},
		ResourceAttributes: &authorizationv1.ResourceAttributes{
			Verb: row.verb, Group: group, Resource: resource, Subresource: sub, Namespace: row.namespace,
		},
	}}
	if err := c.admin.Create(t.Context(), review); err != nil {
		t.Fatal(err)
	}
	return review.Status.Allowed
}

// TestAttemptsElsewhere makes real attempts where the overlay for namespaces gives no right.
func TestAttemptsElsewhere(t *testing.T) {
	c := shared(t, forNamespaces)
	operator := c.operator(t)
	for _, namespace := range []string{"default", "kube-system", ""} {
		attempts := map[string]error{
			"list Secrets":           operator.List(t.Context(), &corev1.SecretList{}, client.InNamespace(namespace)),
			"list FluentCredentials": operator.List(t.Context(), &v1alpha1.FluentCredentialList{}, client.InNamespace(namespace)),
			"list pods":              operator.List(t.Context(), &corev1.PodList{}, client.InNamespace(namespace)),
		}
		if namespace != "" {
			attempts["read a Secret"] = operator.Get(t.Context(), client.ObjectKey{Namespace: namespace, Name: "any"}, &corev1.Secret{})
			attempts["create a Secret"] = operator.Create(t.Context(), stateSecret(namespace, "any"))
		}
		for what, err := range attempts {
			if !apierrors.IsForbidden(err) {
				t.Errorf("%s in %q: %v, want it refused", what, namespace, err)
			}
		}
	}
	if err := operator.List(t.Context(), &corev1.SecretList{}, client.InNamespace("shop")); err != nil {
		t.Errorf("and where it works: %v", err)
	}
}

// TestPeople asks who may do what with FluentCredentials and FluentTokens: the aggregated roles of Kubernetes include them. There is no controller here
// that aggregates, so the labels are looked at, and the rules by binding the roles themselves.
func TestPeople(t *testing.T) {
	c := shared(t, byDefault)
	namespace := c.namespace(t, "people")
	for role, test := range map[string]struct {
		resource string
		labels   []string
		may      []string
		mayNot   []string
	}{
		"fluent-credential-viewer": {"fluentcredentials", []string{"view"}, []string{"get", "list", "watch"}, []string{"create", "patch", "delete"}},
		"fluent-credential-editor": {"fluentcredentials", []string{"edit", "admin"}, []string{"get", "list", "watch", "create", "update", "patch", "delete"}, nil},
		"fluent-token-viewer":      {"fluenttokens", []string{"view"}, []string{"get", "list", "watch"}, []string{"create", "patch", "delete"}},
		"fluent-token-editor":      {"fluenttokens", []string{"edit", "admin"}, []string{"get", "list", "watch", "create", "update", "patch", "delete"}, nil},
	} {
		found := &rbacv1.ClusterRole{}
		if !c.get(t, found, "", role) {
			t.Fatalf("there is no ClusterRole %s", role)
		}
		for _, label := range test.labels {
			if found.Labels["rbac.authorization.k8s.io/aggregate-to-"+label] != "true" {
				t.Errorf("%s is not aggregated to %s", role, label)
			}
		}
		c.create(t, &rbacv1.RoleBinding{
			ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: role},
			RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: role},
			Subjects:   []rbacv1.Subject{{Kind: "User", APIGroup: rbacv1.GroupName, Name: role + "@example.com"}},
		})
		c.people(t, namespace, role+"@example.com", test.resource, test.may, true)
		c.people(t, namespace, role+"@example.com", test.resource, test.mayNot, false)
	}
}

func (c *cluster) people(t *testing.T, namespace, user, resource string, verbs []string, want bool) {
	t.Helper()
	for _, verb := range verbs {
		eventually(t, fmt.Sprintf("%s may %s %s: %t", user, verb, resource, want), func() (bool, any) {
			review := &authorizationv1.SubjectAccessReview{Spec: authorizationv1.SubjectAccessReviewSpec{
				User: user, ResourceAttributes: &authorizationv1.ResourceAttributes{
					Verb: verb, Group: v1alpha1.GroupVersion.Group, Resource: resource, Namespace: namespace,
				},
			}}
			if err := c.admin.Create(t.Context(), review); err != nil {
				t.Fatal(err)
			}
			return review.Status.Allowed == want, review.Status
		})
	}
}
