package cli

import (
	"context"
	"crypto/x509"
	"encoding/pem"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	"github.com/fluent-credential/operator/api/v1alpha1"
)

func inNamespaceOption(namespace string) client.ListOption { return client.InNamespace(namespace) }

func pemOf(certificate *x509.Certificate) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: certificate.Raw}))
}

func remove(t *testing.T, object client.Object) {
	t.Helper()
	// Cleanups run when the test's own context is over.
	if err := live.Delete(context.WithoutCancel(t.Context()), object); client.IgnoreNotFound(err) != nil {
		t.Errorf("delete %s: %v", object.GetName(), err)
	}
}

// operatorDeployment is the Deployment of config/manager, with more flags.
func operatorDeployment(namespace string, flags ...string) *appsv1.Deployment {
	text, err := os.ReadFile(filepath.Join("..", "..", "config", "manager", "deployment.yaml"))
	if err != nil {
		panic(err)
	}
	deployment := &appsv1.Deployment{}
	if err := yaml.Unmarshal(text, deployment); err != nil {
		panic(err)
	}
	deployment.Namespace = namespace
	deployment.Labels = map[string]string{nameLabel: v1alpha1.OperatorName} // as config/default puts it on
	runs := &deployment.Spec.Template.Spec.Containers[0]
	runs.Args = append(runs.Args, flags...)
	runs.Image = "registry.example.com/fluent-credential-operator:" + testVersion
	return deployment
}

// bindOperator gives the operator's service account the role of config/rbac, and its own namespace that of the lease.
func bindOperator(t *testing.T, namespace string) {
	t.Helper()
	subject := rbacv1.Subject{Kind: "ServiceAccount", Name: v1alpha1.OperatorName, Namespace: namespace}
	var role rbacv1.ClusterRole
	readRole(t, "role.yaml", &role)
	role.Name = namespace
	binding := &rbacv1.ClusterRoleBinding{
		ObjectMeta: metav1.ObjectMeta{Name: namespace}, Subjects: []rbacv1.Subject{subject},
		RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: namespace},
	}
	var leads rbacv1.Role
	readRole(t, filepath.Join("bindings", "leader_election_role.yaml"), &leads)
	leads.Namespace = namespace
	leading := &rbacv1.RoleBinding{
		ObjectMeta: metav1.ObjectMeta{Name: leads.Name, Namespace: namespace}, Subjects: []rbacv1.Subject{subject},
		RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "Role", Name: leads.Name},
	}
	for _, object := range []client.Object{&role, binding, &leads, leading} {
		createRaw(t, object)
	}
}

func readRole(t *testing.T, file string, into any) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", "..", "config", "rbac", file))
	if err == nil {
		err = yaml.Unmarshal(text, into)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// createRaw creates an object of a kind that the program itself does not know.
func createRaw(t *testing.T, object client.Object) {
	t.Helper()
	if err := rbacClient(t).Create(t.Context(), object); err != nil {
		t.Fatal(err)
	}
}

func rbacClient(t *testing.T) client.Client {
	t.Helper()
	scheme := newScheme()
	if err := rbacv1.AddToScheme(scheme); err != nil {
		t.Fatal(err)
	}
	made, err := client.New(cluster, client.Options{Scheme: scheme})
	if err != nil {
		t.Fatal(err)
	}
	return made
}

// lease is a lease that somebody renewed a while ago, or will have renewed, by their clock.
func lease(namespace string, renewed time.Duration) *coordinationv1.Lease {
	return &coordinationv1.Lease{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: v1alpha1.LeaderLease},
		Spec: coordinationv1.LeaseSpec{
			HolderIdentity: new("operator-0"), LeaseDurationSeconds: new(int32(15)), RenewTime: new(metav1.NewMicroTime(time.Now().Add(renewed))),
		},
	}
}

// TestDoctor goes from an empty cluster to a whole installation, and then breaks it. It is not parallel: it is about the cluster.
func TestDoctor(t *testing.T) {
	doctor := func(code int) map[string][]finding {
		t.Helper()
		return levels(t, must(t, code, "", "doctor", "-o", "json"))
	}
	found := doctor(exitAttention)
	finds(t, found, "server", okay, "Kubernetes v1.")
	finds(t, found, "clock", okay, "agree")
	finds(t, found, "crd", okay, "with the fields of this kubectl fluent")
	finds(t, found, "operator", failure, "no operator is installed")
	finds(t, found, "leader", warning, "no operator has led yet")

	home := newNamespace(t)
	deployment := operatorDeployment(home)
	create(t, deployment)
	t.Cleanup(func() { remove(t, deployment) })
	found = doctor(exitAttention)
	finds(t, found, "operator", failure, "none of 2 replicas is available")
	finds(t, found, "rbac", failure, "may not: create leases, get leases, update leases, get secrets")
	finds(t, found, "journal", failure, "does not exist")

	install(t, home, deployment)
	found = doctor(0)
	finds(t, found, "operator", okay, "1 of 2 replicas available")
	finds(t, found, "rbac", okay, "may do its work")
	finds(t, found, "leader", okay, "operator-0 leads in "+home)
	finds(t, found, "journal", okay, "the journal's key is there")
	contains(t, must(t, 0, "", "doctor").out, "ok    server", " failed, ")

	testDoctorFindsRivals(t, doctor)
	testDoctorFindsWrongClocks(t, doctor, home)
	testDoctorFindsWhatHangs(t, doctor)
	testDoctorFindsAnotherCRD(t, doctor)
	testDoctorFindsPolicies(t, doctor, home) // they keep the tests before from making state Secrets
}

// install makes the installation whole, as a cluster with nodes would.
func install(t *testing.T, home string, deployment *appsv1.Deployment) {
	t.Helper()
	deployment.Status = appsv1.DeploymentStatus{Replicas: 2, ReadyReplicas: 1, AvailableReplicas: 1}
	if err := live.Status().Update(t.Context(), deployment); err != nil {
		t.Fatal(err)
	}
	bindOperator(t, home)
	create(t, lease(home, 0))
	create(t, &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: home, Name: v1alpha1.JournalKeySecret}, Data: map[string][]byte{"key": make([]byte, 32)}})
}

func testDoctorFindsRivals(t *testing.T, doctor func(int) map[string][]finding) {
	t.Helper()
	second := newNamespace(t)
	rival := operatorDeployment(second, "--insecure-http", "--journal-dir=")
	create(t, rival)
	create(t, lease(second, 0))
	found := doctor(exitAttention)
	finds(t, found, "operator", failure, "look after the same namespaces")
	finds(t, found, "operator", warning, "runs with --insecure-http")
	finds(t, found, "journal", warning, "keeps no journal")
	finds(t, found, "leader", warning, "2 operators lead")
	remove(t, rival)
	remove(t, lease(second, 0))
}

func testDoctorFindsWrongClocks(t *testing.T, doctor func(int) map[string][]finding, home string) {
	t.Helper()
	remove(t, lease(home, 0))
	create(t, lease(home, 10*time.Minute))
	finds(t, doctor(exitAttention), "leader", failure, "ahead of the API server's")
	remove(t, lease(home, 0))
	create(t, lease(home, -10*time.Minute))
	finds(t, doctor(exitAttention), "leader", failure, "and renewed it last")
	remove(t, lease(home, 0))
	create(t, lease(home, 0))
}

func testDoctorFindsWhatHangs(t *testing.T, doctor func(int) map[string][]finding) {
	t.Helper()
	namespace := newNamespace(t)
	long := metav1.NewTime(time.Now().Add(-time.Hour))
	claimed := condition(v1alpha1.ConditionReconciling, metav1.ConditionTrue, v1alpha1.ReasonProgressing, "an exchange begun by another process is waited for")
	claimed.LastTransitionTime = long
	scene{conditions: []metav1.Condition{ready, renewable, claimed}, expires: time.Hour}.stage(t, namespace, "claimed")
	scenes["vanished"].stage(t, namespace, "overdue")
	full := condition(v1alpha1.ConditionReconciling, metav1.ConditionTrue, v1alpha1.ReasonJournalUnwritable, "reserve: no space left on device")
	scene{conditions: []metav1.Condition{ready, renewable, full}, expires: time.Hour}.stage(t, namespace, "waiting")
	orphan := loginSecret(namespace, "orphan-state", map[string]string{"state.json": "a-state-that-nobody-may-print"})
	orphan.Type = v1alpha1.StateSecretType
	create(t, orphan)
	found := doctor(exitAttention)
	finds(t, found, "credentials", failure, namespace+"/claimed has an exchange under way since "+stamp(long)+": its claim hangs")
	finds(t, found, "credentials", failure, namespace+"/overdue was due for a refresh")
	finds(t, found, "journal", failure, namespace+"/waiting waits for the journal, as may others: reserve: no space left on device")
	finds(t, found, "credentials", warning, "need a person")
	finds(t, found, "state", warning, namespace+"/orphan-state holds a refresh token, and its FluentCredential is gone")
	if text := must(t, exitAttention, "", "doctor").out; strings.Contains(text, "nobody-may-print") {
		t.Error("the content of a Secret was printed")
	}
	remove(t, orphan)
	for _, name := range []string{"claimed", "overdue", "waiting"} {
		remove(t, &v1alpha1.FluentCredential{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name}})
	}
}

// testDoctorFindsAnotherCRD changes the CRD of the cluster, and puts it back.
func testDoctorFindsAnotherCRD(t *testing.T, doctor func(int) map[string][]finding) {
	t.Helper()
	crd := &unstructured.Unstructured{}
	crd.SetGroupVersionKind(schema.GroupVersionKind{Group: "apiextensions.k8s.io", Version: "v1", Kind: "CustomResourceDefinition"})
	if err := live.Get(t.Context(), client.ObjectKey{Name: pluralName}, crd); err != nil {
		t.Fatal(err)
	}
	versions, _, _ := unstructured.NestedSlice(crd.Object, "spec", "versions")
	spec := []string{"schema", "openAPIV3Schema", "properties", "spec", "properties"}
	edit := func(change func(properties map[string]any)) {
		t.Helper()
		fresh := versions[0].(map[string]any)
		properties, _, _ := unstructured.NestedMap(fresh, spec...)
		change(properties)
		edited := (&unstructured.Unstructured{Object: fresh}).DeepCopy().Object
		_ = unstructured.SetNestedMap(edited, properties, spec...)
		_ = unstructured.SetNestedSlice(crd.Object, []any{edited}, "spec", "versions")
		if err := live.Update(t.Context(), crd); err != nil {
			t.Fatal(err)
		}
	}
	edit(func(properties map[string]any) { properties["fromTheFuture"] = map[string]any{"type": "string"} })
	finds(t, doctor(0), "crd", warning, "newer than this kubectl fluent: it has spec.fromTheFuture")
	edit(func(properties map[string]any) { delete(properties, "suspend") })
	finds(t, doctor(0), "crd", warning, "older than this kubectl fluent: it lacks spec.suspend")
	edit(func(map[string]any) {})
	finds(t, doctor(0), "crd", okay, "with the fields of this kubectl fluent")
}

// TestDoctorWithoutPermissions tells what it may not see, and does not fail over it.
func TestDoctorWithoutPermissions(t *testing.T) {
	t.Parallel()
	found := levels(t, must(t, 0, "", "doctor", "-o", "json", "--as", "nobody", "--as-group", "system:authenticated"))
	for _, check := range []string{"crd", "operator", "leader", "credentials", "state"} {
		finds(t, found, check, skipped, "")
	}
}

func TestDoctorWithoutACluster(t *testing.T) {
	t.Parallel()
	contains(t, must(t, exitFailed, "", "doctor", "--server", "https://127.0.0.1:1").err, "The API server cannot be reached")
	must(t, exitUsage, "", "doctor", "orders")
}
