package install

import (
	"crypto/tls"
	"fmt"
	"net/http"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	authorizationv1 "k8s.io/api/authorization/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/fluent-credential/operator/api/v1alpha1"
	"github.com/fluent-credential/operator/hack/install/rights"
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

// TestRights asks the API server's authorizer for every row of the table, and tries it with the operator's token, under both
// installations.
func TestRights(t *testing.T) {
	for installation, c := range map[string]*cluster{"by default": shared(t, byDefault), "for namespaces": shared(t, forNamespaces)} {
		who := c.withToken(t)
		for _, row := range rights.Table {
			want := row.ByDefault
			if installation == "for namespaces" {
				want = row.ForNamespaces
			}
			if got := c.may(t, row); got != want {
				t.Errorf("%s: may %s %s in %q: %t, want %t: %s", installation, row.Verb, row.Resource, row.Namespace, got, want, row.Why)
			}
			got, err := row.Attempt(t.Context(), who)
			if err != nil || got != want {
				t.Errorf("%s: could %s %s in %q: %t, want %t: %s: %v", installation, row.Verb, row.Resource, row.Namespace, got, want, row.Why, err)
			}
		}
	}
}

func (c *cluster) may(t *testing.T, row rights.Right) bool {
	t.Helper()
	resource, group, subresource := row.Split()
	review := &authorizationv1.SubjectAccessReview{Spec: authorizationv1.SubjectAccessReviewSpec{
		User: operatorUser, Groups: []string{"system:authenticated", "system:serviceaccounts", "system:serviceaccounts:" + system},
		ResourceAttributes: &authorizationv1.ResourceAttributes{
			Verb: row.Verb, Group: group, Resource: resource, Subresource: subresource, Namespace: row.Namespace,
		},
	}}
	if err := c.admin.Create(t.Context(), review); err != nil {
		t.Fatal(err)
	}
	return review.Status.Allowed
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
