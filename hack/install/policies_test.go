package install

import (
	"context"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/fluent-credential/operator/api/v1alpha1"
	"github.com/fluent-credential/operator/internal/journal"
	"github.com/fluent-credential/operator/internal/loginguard"
	"github.com/fluent-credential/operator/internal/token"
)

// The people and controllers of these tests.
const (
	administrator = "admin@example.com" // system:masters: RBAC lets them do everything
	controlPlane  = "system:serviceaccount:kube-system:namespace-controller"
	collector     = "system:serviceaccount:kube-system:generic-garbage-collector"
)

// policed is a cluster in which the policies have begun to be enforced: the API server takes a moment.
func policed(t *testing.T) *cluster {
	t.Helper()
	c := shared(t, byDefault)
	probe := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: system, Name: "probe"}, Type: v1alpha1.StateSecretType}
	foreign := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: system, Name: "probe"}}
	eventually(t, "the policies are enforced", func() (bool, any) {
		first := c.master(t).Create(t.Context(), probe.DeepCopy(), client.DryRunAll)
		second := c.operator(t).Create(t.Context(), foreign.DeepCopy(), client.DryRunAll)
		return apierrors.IsForbidden(first) && apierrors.IsForbidden(second), []error{first, second}
	})
	return c
}

func (c *cluster) master(t *testing.T) client.Client { return c.as(t, administrator, "system:masters") }

func (c *cluster) operator(t *testing.T) client.Client { return c.as(t, operatorUser) }

// attempt is something that somebody tries.
type attempt struct {
	why  string
	who  string
	does func(client.Client) error
	says string // part of the refusal; empty: it is permitted
}

func (c *cluster) try(t *testing.T, attempts map[string]attempt) {
	t.Helper()
	for name, test := range attempts {
		t.Run(name, func(t *testing.T) {
			who := c.as(t, test.who)
			if test.who == administrator {
				who = c.master(t)
			}
			err := test.does(who)
			switch {
			case test.says == "" && err != nil:
				t.Errorf("refused (%s): %v", test.why, err)
			case test.says != "" && (!apierrors.IsForbidden(err) || !strings.Contains(err.Error(), test.says)):
				t.Errorf("want a refusal that says %q (%s), got: %v", test.says, test.why, err)
			}
		})
	}
}

var isController = true

var ownerOfState = metav1.OwnerReference{
	APIVersion: v1alpha1.GroupVersion.String(), Kind: "FluentCredential", Name: "orders", UID: "1", Controller: &isController,
}

func stateSecret(namespace, name string) *corev1.Secret {
	return &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: namespace, Name: name, Finalizers: []string{v1alpha1.StateFinalizer},
			Labels:          map[string]string{v1alpha1.ManagedByLabel: operatorName},
			OwnerReferences: []metav1.OwnerReference{ownerOfState},
		},
		Type: v1alpha1.StateSecretType, Data: map[string][]byte{"state": []byte("{}")},
	}
}

func creates(object client.Object) func(client.Client) error {
	return func(who client.Client) error {
		return who.Create(context.Background(), object.DeepCopyObject().(client.Object), client.DryRunAll)
	}
}

func deletes(object client.Object) func(client.Client) error {
	return func(who client.Client) error { return who.Delete(context.Background(), object, client.DryRunAll) }
}

func patches(object client.Object, patch string) func(client.Client) error {
	return func(who client.Client) error {
		return who.Patch(context.Background(), object.DeepCopyObject().(client.Object), client.RawPatch(types.MergePatchType, []byte(patch)), client.DryRunAll)
	}
}

func TestStateSecretsAreTheOperators(t *testing.T) {
	c := policed(t)
	namespace := c.namespace(t, "states")
	state := stateSecret(namespace, "orders-fluent-state")
	if err := c.operator(t).Create(t.Context(), state); err != nil {
		t.Fatal(err)
	}
	ordinary := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "ordinary"}}
	c.create(t, ordinary)
	const editor, binder = "secrets@example.com", "policies@example.com"
	secrets := rbacv1.PolicyRule{APIGroups: []string{""}, Resources: []string{"secrets"}, Verbs: []string{"*"}}
	c.grant(t, namespace, editor, secrets)
	c.grant(t, namespace, binder, secrets)
	c.grantOnBinding(t, binder)
	other := stateSecret(namespace, "other-fluent-state")
	named := func(name string) *corev1.Secret {
		return &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name}}
	}
	metadata := func(body string) string { return `{"metadata":{` + body + `}}` }
	finalizers := metadata(`"finalizers":null`)
	owner := metadata(`"ownerReferences":[{"apiVersion":"v1","kind":"ConfigMap","name":"x","uid":"x"}]`)
	const ours, itsFinalizers, goes = "changes its labels and annotations", "changes the finalizers", "is deleted with its FluentCredential"
	c.try(t, map[string]attempt{
		"operator creates":                   {"it is its work", operatorUser, creates(other), ""},
		"operator changes":                   {"it is its work", operatorUser, patches(state, `{"data":{"state":"e30K"}}`), ""},
		"operator deletes":                   {"the FluentCredential is gone", operatorUser, deletes(state), ""},
		"administrator creates":              {"a planted state would be believed", administrator, creates(other), "only fluent-credential-operator creates"},
		"administrator changes":              {"the refresh token would be lost", administrator, patches(state, `{"data":{"state":"e30K"}}`), "only fluent-credential-operator changes"},
		"administrator adds":                 {"an entry is data too", administrator, patches(state, `{"stringData":{"more":"x"}}`), "only fluent-credential-operator changes"},
		"administrator deletes":              {"kubectl delete secret --all", administrator, deletes(state), goes},
		"administrator lets go":              {"the operator is gone for good", administrator, patches(state, finalizers), ""},
		"administrator labels":               {"metadata of others is no secret", administrator, patches(state, metadata(`"labels":{"team":"shop"}`)), ""},
		"administrator annotates":            {"metadata of others is no secret", administrator, patches(state, metadata(`"annotations":{"example.com/a":"b"}`)), ""},
		"administrator freezes":              {"no token could be stored any more", administrator, patches(state, `{"immutable":true}`), "must not be immutable"},
		"administrator relabels":             {"the operator would not find it", administrator, patches(state, metadata(`"labels":{"app.kubernetes.io/managed-by":"x"}`)), ours},
		"administrator unlabels":             {"the operator would not find it", administrator, patches(state, metadata(`"labels":{"app.kubernetes.io/managed-by":null}`)), ours},
		"administrator adds a mark":          {"the operator would believe it", administrator, patches(state, metadata(`"labels":{"auth.fluent-credential.dev/x":"y"}`)), ours},
		"administrator marks":                {"the operator would believe it", administrator, patches(state, metadata(`"annotations":{"auth.fluent-credential.dev/credential":"x"}`)), ours},
		"administrator holds":                {"its deletion would hang", administrator, patches(state, metadata(`"finalizers":["auth.fluent-credential.dev/state","example.com/x"]`)), itsFinalizers},
		"administrator gives":                {"the garbage collector would delete it", administrator, patches(state, owner), "change the owners"},
		"editor freezes":                     {"no token could be stored any more", editor, patches(state, `{"immutable":true}`), "must not be immutable"},
		"editor lets go":                     {"the refresh token would be lost", editor, patches(state, finalizers), itsFinalizers},
		"editor deletes":                     {"the refresh token would be lost", editor, deletes(state), goes},
		"editor labels":                      {"metadata of others is no secret", editor, patches(state, metadata(`"labels":{"team":"shop"}`)), ""},
		"editor takes the name":              {"there would be no place for a state", editor, creates(named("x-fluent-state")), "choose another name"},
		"editor takes the other":             {"there would be no place for a state", editor, creates(named("x-fluent-state-2")), "choose another name"},
		"editor takes a like name":           {"no state has it", editor, creates(named("x-fluent-state-3")), ""},
		"who may delete the binding lets go": {"they could let everybody write everything", binder, patches(state, finalizers), ""},
		"who may delete the binding changes": {"the policy is still there", binder, patches(state, `{"data":{"state":"e30K"}}`), "only fluent-credential-operator changes"},
		"who may delete the binding deletes": {"the finalizer says that the operator is to decide", binder, deletes(state), goes},
		"namespace is deleted":               {"it must not hang", controlPlane, deletes(state), ""},
		"owner is gone":                      {"it must not hang", collector, deletes(state), ""},
		"owner is gone, dependents stay":     {"kubectl delete --cascade=orphan", collector, patches(state, metadata(`"ownerReferences":null`)), ""},
		"collector lets go":                  {"the finalizer is the operator's", collector, patches(state, finalizers), itsFinalizers},
		"collector freezes":                  {"it has no business there", collector, patches(state, `{"immutable":true}`), "must not be immutable"},
		"another of kube-system deletes":     {"it has no business there", "system:serviceaccount:kube-system:anything", deletes(state), "forbidden"},
		"control plane changes":              {"it has no business there", "system:serviceaccount:kube-system:anything", patches(state, `{"data":{"state":"e30K"}}`), "forbidden"},
		"administrator, ordinary":            {"other Secrets are not concerned", administrator, patches(ordinary, `{"stringData":{"more":"x"}}`), ""},
		"administrator, ordinary frozen":     {"other Secrets are not concerned", administrator, patches(ordinary, `{"immutable":true}`), ""},
		"administrator, ordinary go":         {"other Secrets are not concerned", administrator, deletes(ordinary), ""},
		"turned into one":                    {"the type cannot change, so this asks for a new object", administrator, creates(stateSecret(namespace, "x")), "only fluent-credential-operator creates"},
	})
	patch := client.RawPatch(types.MergePatchType, []byte(finalizers))
	if err := c.as(t, binder).Patch(t.Context(), state.DeepCopy(), patch); err != nil {
		t.Fatal(err)
	}
	c.try(t, map[string]attempt{
		"editor deletes what was let go":                     {"the refresh token would be lost", editor, deletes(state), goes},
		"who may delete the binding deletes what was let go": {"nothing holds it", binder, deletes(state), ""},
	})
}

// grantOnBinding lets a person delete the binding of the policy on state Secrets, by its name.
func (c *cluster) grantOnBinding(t *testing.T, user string) {
	t.Helper()
	const name = "delete-binding"
	c.create(t, &rbacv1.ClusterRole{ObjectMeta: metav1.ObjectMeta{Name: name}, Rules: []rbacv1.PolicyRule{{
		APIGroups: []string{"admissionregistration.k8s.io"}, Resources: []string{"validatingadmissionpolicybindings"},
		ResourceNames: []string{"fluent-credential-state-secrets"}, Verbs: []string{"delete"},
	}}}, &rbacv1.ClusterRoleBinding{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: name},
		Subjects:   []rbacv1.Subject{{Kind: "User", APIGroup: rbacv1.GroupName, Name: user}},
	})
}

// secretOf makes a Secret out of parts.
func secretOf(namespace, name string, parts ...func(*corev1.Secret)) *corev1.Secret {
	secret := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name}}
	for _, part := range parts {
		part(secret)
	}
	return secret
}

func ofType(kind corev1.SecretType) func(*corev1.Secret) {
	return func(s *corev1.Secret) { s.Type = kind }
}

func labelledAs(key, value string) func(*corev1.Secret) {
	return func(s *corev1.Secret) { metav1.SetMetaDataLabel(&s.ObjectMeta, key, value) }
}

func annotatedAs(key, value string) func(*corev1.Secret) {
	return func(s *corev1.Secret) { metav1.SetMetaDataAnnotation(&s.ObjectMeta, key, value) }
}

func managed(s *corev1.Secret) { labelledAs(v1alpha1.ManagedByLabel, operatorName)(s) }

func frozen(s *corev1.Secret) {
	yes := true
	s.Immutable = &yes
}

func holding(finalizer string) func(*corev1.Secret) {
	return func(s *corev1.Secret) { s.Finalizers = append(s.Finalizers, finalizer) }
}

func controlledBy(kind, version string) func(*corev1.Secret) {
	return func(s *corev1.Secret) {
		yes := true
		s.OwnerReferences = append(s.OwnerReferences, metav1.OwnerReference{
			APIVersion: version, Kind: kind, Name: "orders", UID: types.UID(kind), Controller: &yes,
		})
	}
}

func ownedBy(kind, version string) func(*corev1.Secret) {
	return func(s *corev1.Secret) {
		s.OwnerReferences = append(s.OwnerReferences, metav1.OwnerReference{
			APIVersion: version, Kind: kind, Name: "x", UID: types.UID(kind + "-x"),
		})
	}
}

func TestOperatorCreatesSecretsOfItsOwnOnly(t *testing.T) {
	c := policed(t)
	namespace := c.namespace(t, "created")
	version := v1alpha1.GroupVersion.String()
	byCredential, byToken := controlledBy("FluentCredential", version), controlledBy("FluentToken", version)
	target := func(parts ...func(*corev1.Secret)) *corev1.Secret {
		return secretOf(namespace, "new", append([]func(*corev1.Secret){managed, byCredential}, parts...)...)
	}
	state := ofType(v1alpha1.StateSecretType)
	guard, key := ofType(v1alpha1.GuardSecretType), v1alpha1.JournalKeySecret
	token := func(s *corev1.Secret) {
		s.Type = corev1.SecretTypeServiceAccountToken
		s.Annotations = map[string]string{corev1.ServiceAccountNameKey: "default"}
	}
	account := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "default"}}
	c.create(t, account)
	docker := func(s *corev1.Secret) {
		s.Type, s.StringData = corev1.SecretTypeDockerConfigJson, map[string]string{corev1.DockerConfigJsonKey: "{}"}
	}
	basic := func(s *corev1.Secret) {
		s.Type, s.StringData = corev1.SecretTypeBasicAuth, map[string]string{corev1.BasicAuthPasswordKey: "x"}
	}
	certificate := func(s *corev1.Secret) {
		s.Type, s.StringData = corev1.SecretTypeTLS, map[string]string{corev1.TLSCertKey: "x", corev1.TLSPrivateKeyKey: "y"}
	}
	const refusal, metadata = "writes Secrets of its own only", "labels and annotations of other domains"
	tests := map[string]struct {
		why    string
		secret *corev1.Secret
		says   string
	}{
		"target of a FluentCredential":        {"it is its work", target(), ""},
		"target of a FluentToken":             {"it is its work", secretOf(namespace, "new", managed, byToken), ""},
		"target, docker":                      {"a type for tokens", target(docker), ""},
		"target, basic auth":                  {"a type for tokens", target(basic), ""},
		"target with labels":                  {"without a domain, or of Kubernetes' own list", target(labelledAs("team", "shop"), labelledAs("app.kubernetes.io/part-of", "shop")), ""},
		"token of a service account":          {"it would be anybody in the namespace", target(token), refusal},
		"token of one, as before":             {"the label was enough", secretOf(namespace, "new", managed, token), refusal},
		"bootstrap token":                     {"it would let a node join", secretOf("kube-system", "bootstrap-token-abcdef", managed, byCredential, ofType("bootstrap.kubernetes.io/token")), refusal},
		"certificate":                         {"no token is one", target(certificate), refusal},
		"type of another controller":          {"it would act on it", target(ofType("rke.cattle.io/machine-plan")), refusal},
		"release of Helm":                     {"the next upgrade would act on it", target(ofType("helm.sh/release.v1")), refusal},
		"release of Helm, by its label":       {"Helm does not look at the type", target(labelledAs("owner", "helm")), "release of Helm"},
		"without a label":                     {"it never does", secretOf(namespace, "new", byCredential), refusal},
		"with another's label":                {"it never does", secretOf(namespace, "new", byCredential, labelledAs(v1alpha1.ManagedByLabel, "Helm")), refusal},
		"without an owner":                    {"nothing would remove it", secretOf(namespace, "new", managed), refusal},
		"with an owner of another kind":       {"it never does", secretOf(namespace, "new", managed, controlledBy("Deployment", "apps/v1")), refusal},
		"with a namesake of another group":    {"it never does", secretOf(namespace, "new", managed, controlledBy("FluentCredential", "example.com/v1")), refusal},
		"with an owner that is no controller": {"it never does", secretOf(namespace, "new", managed, ownedBy("FluentCredential", version)), refusal},
		"with two owners":                     {"it never does", target(ownedBy("Deployment", "apps/v1")), refusal},
		"with a finalizer":                    {"its namespace would hang", target(holding("example.com/x")), refusal},
		"immutable":                           {"it could not be renewed", target(frozen), "immutable"},
		"with a label of another domain":      {"its controller acts on it", target(labelledAs("argocd.argoproj.io/secret-type", "cluster")), metadata},
		"with another domain's annotation":    {"its controller acts on it", target(annotatedAs("reflector.v1.k8s.emberstack.com/reflection-allowed", "true")), "reflector.v1.k8s.emberstack.com/reflection-allowed needs its domain in --allowed-target-metadata"},
		"state":                               {"it is its work", secretOf(namespace, "a-fluent-state", state, managed, byCredential, holding(v1alpha1.StateFinalizer)), ""},
		"state, other name":                   {"it is its work", secretOf(namespace, "a-fluent-state-2", state, managed, byCredential), ""},
		"state, no name of one":               {"it never does", secretOf(namespace, "a", state, managed, byCredential), refusal},
		"state of a FluentToken":              {"it has none", secretOf(namespace, "a-fluent-state", state, managed, byToken), refusal},
		"state of nobody":                     {"nothing would remove it", secretOf(namespace, "a-fluent-state", state, managed), refusal},
		"state with another finalizer":        {"it would hang", secretOf(namespace, "a-fluent-state", state, managed, byCredential, holding("example.com/x")), refusal},
		"state with another label":            {"it never does", secretOf(namespace, "a-fluent-state", state, managed, byCredential, labelledAs("app.kubernetes.io/instance", "x")), "not a target"},
		"login guard":                         {"it is its work", secretOf(system, "fluent-credential-login-2", guard, managed), ""},
		"login guard elsewhere":               {"guards are in its own namespace", secretOf(namespace, "fluent-credential-login-2", guard, managed), refusal},
		"login guard, no name of one":         {"it never does", secretOf(system, "login", guard, managed), refusal},
		"login guard's name, other type":      {"it never does", secretOf(system, "fluent-credential-login-2", managed), refusal},
		"key of the journal":                  {"it is its work", secretOf(system, key, managed), ""},
		"key of the journal elsewhere":        {"it is in its own namespace", secretOf(namespace, key, managed), refusal},
		"key of the journal, other type":      {"it never does", secretOf(system, key, managed, basic), refusal},
	}
	attempts := map[string]attempt{}
	for name, test := range tests {
		attempts[name] = attempt{test.why, operatorUser, creates(test.secret), test.says}
	}
	c.try(t, attempts)
}

func TestOperatorWritesItsOwnSecretsOnly(t *testing.T) {
	c := policed(t)
	namespace := c.namespace(t, "secrets")
	version := v1alpha1.GroupVersion.String()
	byCredential := controlledBy("FluentCredential", version)
	secret := func(name string, parts ...func(*corev1.Secret)) *corev1.Secret {
		return secretOf(namespace, name, parts...)
	}
	ours := secret("ours", managed, byCredential, annotatedAs(v1alpha1.CredentialAnnotation, "orders"),
		labelledAs("old.example.com/a", "b"), ownedBy("Deployment", "apps/v1"), holding("example.com/theirs"))
	kept := secret("kept", managed, annotatedAs(v1alpha1.TokenAnnotation, "orders"))
	owned := secret("owned", byCredential)
	labelled, annotated := secret("labelled", managed), secret("annotated", annotatedAs(v1alpha1.CredentialAnnotation, "orders"))
	taken := secret("taken", managed, annotatedAs(v1alpha1.CredentialAnnotation, "orders"), controlledBy("Deployment", "apps/v1"))
	theirs, helm := secret("theirs"), secret("helm", labelledAs(v1alpha1.ManagedByLabel, "Helm"))
	namesake := secret("namesake", controlledBy("FluentCredential", "example.com/v1"))
	guard := secretOf(system, "fluent-credential-login-1", ofType(v1alpha1.GuardSecretType))
	foreignGuard, elsewhere := secretOf(system, "fluent-credential-login-3"), secret("fluent-credential-login-1", ofType(v1alpha1.GuardSecretType))
	key, pull := c.journalKey(t), secretOf(system, "pull")
	c.create(t, ours, kept, owned, labelled, annotated, taken, theirs, helm, namesake, guard, foreignGuard, elsewhere, pull)
	state := stateSecret(namespace, "orders-fluent-state")
	c.mustCreate(t, state)
	edit, take := `{"stringData":{"a":"b"}}`, fmt.Sprintf(`{"metadata":{"labels":{%q:%q}}}`, v1alpha1.ManagedByLabel, operatorName)
	metadata := func(body string) string { return `{"metadata":{` + body + `}}` }
	reference := func(kind, version string) string {
		return fmt.Sprintf(`{"apiVersion":%q,"kind":%q,"name":"x","uid":"y"}`, version, kind)
	}
	orders := fmt.Sprintf(`{"apiVersion":%q,"kind":"FluentCredential","name":"orders","uid":"FluentCredential","controller":true}`, version)
	const other = `{"apiVersion":"apps/v1","kind":"Deployment","name":"x","uid":"Deployment-x"}`
	const refusal, owners, finalizers = "writes Secrets of its own only", "changes no owners", "changes no finalizers"
	const domains = "labels and annotations of other domains"
	c.try(t, map[string]attempt{
		"changes its own":           {"a rotation", operatorUser, patches(ours, edit), ""},
		"deletes its own":           {"the target was renamed", operatorUser, deletes(ours), ""},
		"labels its own":            {"spec.target.labels", operatorUser, patches(ours, metadata(`"labels":{"team":"shop","app.kubernetes.io/part-of":"x"}`)), ""},
		"drops a label":             {"spec.target.labels has it no more", operatorUser, patches(ours, metadata(`"labels":{"old.example.com/a":null}`)), ""},
		"keeps a label":             {"it was there before", operatorUser, patches(ours, metadata(`"labels":{"old.example.com/a":"b"}`)), ""},
		"changes a label":           {"its controller acts on it", operatorUser, patches(ours, metadata(`"labels":{"old.example.com/a":"c"}`)), domains},
		"adds a label":              {"its controller acts on it", operatorUser, patches(ours, metadata(`"labels":{"argocd.argoproj.io/secret-type":"cluster"}`)), domains},
		"adds an annotation":        {"its controller acts on it", operatorUser, patches(ours, metadata(`"annotations":{"replicator.v1.mittwald.de/replicate-to":"x"}`)), domains},
		"says it is Helm's":         {"Helm would adopt it", operatorUser, patches(ours, metadata(`"labels":{"app.kubernetes.io/managed-by":"Helm"}`)), "managed by another"},
		"makes a release":           {"Helm does not look at the type", operatorUser, patches(ours, metadata(`"labels":{"owner":"helm"}`)), "release of Helm"},
		"freezes its own":           {"it could not be renewed", operatorUser, patches(ours, `{"immutable":true}`), "immutable"},
		"gives it an owner":         {"the garbage collector would delete it", operatorUser, patches(ours, metadata(`"ownerReferences":[`+orders+`,`+other+`,`+reference("ConfigMap", "v1")+`]`)), owners},
		"gives it to a namesake":    {"another group's FluentCredential", operatorUser, patches(ours, metadata(`"ownerReferences":[`+orders+`,`+other+`,`+reference("FluentCredential", "example.com/v1")+`]`)), owners},
		"gives it another of its":   {"the FluentCredential was created again", operatorUser, patches(ours, metadata(`"ownerReferences":[`+other+`,`+reference("FluentCredential", version)+`]`)), ""},
		"takes another's owner off": {"it is the other's", operatorUser, patches(ours, metadata(`"ownerReferences":[`+orders+`]`)), owners},
		"adds a finalizer":          {"its namespace would hang", operatorUser, patches(ours, metadata(`"finalizers":["example.com/theirs","example.com/x"]`)), finalizers},
		"takes a finalizer off":     {"it is the other's", operatorUser, patches(ours, metadata(`"finalizers":null`)), finalizers},
		"repairs what it owns":      {"a person took the label off", operatorUser, patches(owned, take), ""},
		"lets go of what it owned":  {"deletionPolicy: Retain", operatorUser, patches(owned, metadata(`"ownerReferences":null`)), ""},
		"takes what it kept":        {"deletionPolicy: Retain, and a new object", operatorUser, patches(kept, metadata(`"ownerReferences":[`+reference("FluentToken", version)+`]`)), ""},
		"deletes what it kept":      {"the token of another credential", operatorUser, deletes(kept), ""},
		"changes by label alone":    {"anybody can put a label on", operatorUser, patches(labelled, edit), refusal},
		"changes by annotation":     {"anybody can put one on", operatorUser, patches(annotated, edit), refusal},
		"changes what was taken":    {"another object controls it now", operatorUser, patches(taken, edit), refusal},
		"changes another's":         {"a login, a certificate", operatorUser, patches(theirs, edit), refusal},
		"deletes another's":         {"a login, a certificate", operatorUser, deletes(theirs), refusal},
		"takes another's":           {"a label put on is no right", operatorUser, patches(theirs, take), refusal},
		"changes Helm's":            {"releases are Secrets", operatorUser, patches(helm, edit), refusal},
		"changes a namesake's":      {"another group's FluentCredential", operatorUser, patches(namesake, edit), refusal},
		"keeps a login guard":       {"a person took the label off", operatorUser, patches(guard, edit), ""},
		"deletes a login guard":     {"a guard that holds nothing is removed", operatorUser, deletes(guard), ""},
		"owns a login guard":        {"the garbage collector would delete it", operatorUser, patches(guard, metadata(`"ownerReferences":[`+orders+`]`)), owners},
		"labels a login guard":      {"it never does", operatorUser, patches(guard, metadata(`"labels":{"team":"shop"}`)), "not a target"},
		"a guard's name alone":      {"guards have a type", operatorUser, patches(foreignGuard, edit), refusal},
		"a guard's name elsewhere":  {"guards are in its own namespace", operatorUser, patches(elsewhere, edit), refusal},
		"key of the journal":        {"what is on the disk could not be read any more", operatorUser, patches(key, edit), refusal},
		"deletes the key":           {"what is on the disk could not be read any more", operatorUser, deletes(key), refusal},
		"its own pull secret":       {"its namespace holds others' Secrets too", operatorUser, patches(pull, edit), refusal},
		"a state's finalizer":       {"the state moves", operatorUser, patches(state, metadata(`"finalizers":null`)), ""},
		"another's on a state":      {"it would hang", operatorUser, patches(state, metadata(`"finalizers":["example.com/x"]`)), finalizers},
		"an owner of a state":       {"the FluentCredential was created again", operatorUser, patches(state, metadata(`"ownerReferences":[`+reference("FluentCredential", version)+`]`)), ""},
		"another owner of a state":  {"the garbage collector would delete it", operatorUser, patches(state, metadata(`"ownerReferences":[`+reference("ConfigMap", "v1")+`]`)), owners},
		"a label on a state":        {"it never does", operatorUser, patches(state, metadata(`"labels":{"app.kubernetes.io/instance":"x"}`)), "not a target"},
		"freezes a state":           {"no token could be stored any more", operatorUser, patches(state, `{"immutable":true}`), "immutable"},
		"somebody else":             {"the policy is about the operator", administrator, patches(theirs, edit), ""},
	})
}

// journalKey is the key of the journal, which an operator of another test may have made.
func (c *cluster) journalKey(t *testing.T) *corev1.Secret {
	t.Helper()
	key := secretOf(system, v1alpha1.JournalKeySecret, managed)
	key.StringData = map[string]string{"key": strings.Repeat("k", journal.KeySize)}
	if err := c.operator(t).Create(t.Context(), key); err != nil && !apierrors.IsAlreadyExists(err) {
		t.Fatal(err)
	}
	return key
}

// mustCreate creates an object as the operator.
func (c *cluster) mustCreate(t *testing.T, object client.Object) {
	t.Helper()
	if err := c.operator(t).Create(t.Context(), object); err != nil {
		t.Fatal(err)
	}
}

// TestOperatorChangesNoSpec: an operator that was taken over gives no token to another namespace, and sends no login elsewhere.
func TestOperatorChangesNoSpec(t *testing.T) {
	c := policed(t)
	namespace := c.namespace(t, "specs")
	cred := c.ask("orders", v1alpha1.ProviderSpec{Fluent: &v1alpha1.FluentProvider{Account: "ACME"}})
	cred.Namespace, cred.Finalizers = namespace, []string{"example.com/theirs"}
	token := &v1alpha1.FluentToken{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "orders"},
		Spec: v1alpha1.FluentTokenSpec{
			CredentialRef: v1alpha1.CredentialReference{Namespace: namespace, Name: "orders"},
			Target:        v1alpha1.TargetSpec{Name: "other-token"},
		},
	}
	c.create(t, cred, token)
	metadata := func(body string) string { return `{"metadata":{` + body + `}}` }
	const spec, rest = "changes no spec", "changes no labels, annotations and owners"
	c.try(t, map[string]attempt{
		"its finalizer":        {"it is its work", operatorUser, patches(cred, metadata(`"finalizers":["example.com/theirs","auth.fluent-credential.dev/release"]`)), ""},
		"its finalizer, token": {"it is its work", operatorUser, patches(token, metadata(`"finalizers":["auth.fluent-credential.dev/release"]`)), ""},
		"another's finalizer":  {"it is the other's", operatorUser, patches(cred, metadata(`"finalizers":["auth.fluent-credential.dev/release"]`)), "changes no finalizers"},
		"a new finalizer":      {"the object would hang", operatorUser, patches(token, metadata(`"finalizers":["example.com/x"]`)), "changes no finalizers"},
		"namespaces":           {"the token would be given away", operatorUser, patches(cred, `{"spec":{"allowedNamespaces":{"names":["mine"]}}}`), spec},
		"endpoint":             {"the login would go elsewhere", operatorUser, patches(cred, `{"spec":{"provider":{"fluent":{"account":"OTHER"}}}}`), spec},
		"suspend":              {"a person decides", operatorUser, patches(cred, `{"spec":{"suspend":true}}`), spec},
		"target of a token":    {"a person decides", operatorUser, patches(token, `{"spec":{"target":{"name":"x"}}}`), spec},
		"label":                {"it has no business there", operatorUser, patches(cred, metadata(`"labels":{"a":"b"}`)), rest},
		"rotate":               {"a person asks for it", operatorUser, patches(cred, metadata(`"annotations":{"auth.fluent-credential.dev/rotate":"now"}`)), rest},
		"owner":                {"the garbage collector would delete it", operatorUser, patches(cred, metadata(`"ownerReferences":[{"apiVersion":"v1","kind":"ConfigMap","name":"x","uid":"x"}]`)), rest},
		"an administrator's":   {"the policy is about the operator", administrator, patches(cred, `{"spec":{"suspend":true}}`), ""},
	})
	wide := c.namespace(t, "wide-specs")
	c.wide(t, wide)
	cred.Namespace, cred.ResourceVersion, cred.UID = wide, "", ""
	c.try(t, map[string]attempt{
		"creates": {"people do", operatorUser, creates(cred), "creates and deletes no"},
	})
}

func TestOperatorChangesItsAnnotationsOnly(t *testing.T) {
	c := policed(t)
	namespace := c.namespace(t, "workloads")
	labels := map[string]string{"app": "orders"}
	spec := corev1.PodSpec{Containers: []corev1.Container{{Name: "main", Image: "example.com/one"}}}
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "orders", Labels: labels, Annotations: map[string]string{"a": "b"}}, Spec: spec}
	meta := metav1.ObjectMeta{Namespace: namespace, Name: "orders"}
	selector, template := &metav1.LabelSelector{MatchLabels: labels}, corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: labels}, Spec: spec}
	objects := map[string]client.Object{
		"Deployment":  &appsv1.Deployment{ObjectMeta: meta, Spec: appsv1.DeploymentSpec{Selector: selector, Template: template}},
		"StatefulSet": &appsv1.StatefulSet{ObjectMeta: meta, Spec: appsv1.StatefulSetSpec{Selector: selector, Template: template}},
		"DaemonSet":   &appsv1.DaemonSet{ObjectMeta: meta, Spec: appsv1.DaemonSetSpec{Selector: selector, Template: template}},
	}
	c.create(t, pod)
	annotate := func(key, value string) string { return fmt.Sprintf(`{"metadata":{"annotations":{%q:%s}}}`, key, value) }
	const image = `"spec":{"containers":[{"name":"main","image":"example.com/two"}]}`
	attempts := map[string]attempt{
		"nudges":                  {"delivery.nudgePods", operatorUser, patches(pod, annotate(v1alpha1.NudgeAnnotation, `"orders-token/1/1"`)), ""},
		"pod: another annotation": {"it has no business there", operatorUser, patches(pod, annotate("a", `"c"`)), "no annotation but its own"},
		"pod: a new annotation":   {"it has no business there", operatorUser, patches(pod, annotate("new", `"c"`)), "no annotation but its own"},
		"pod: annotation removed": {"it has no business there", operatorUser, patches(pod, annotate("a", "null")), "no annotation but its own"},
		"pod: label":              {"it would move the pod between Services", operatorUser, patches(pod, `{"metadata":{"labels":{"app":"x"}}}`), "changes no labels"},
		"pod: finalizer":          {"the pod would hang", operatorUser, patches(pod, `{"metadata":{"finalizers":["example.com/x"]}}`), "neither finalizers nor owners"},
		"pod: owner": {"the garbage collector would delete it", operatorUser, patches(pod,
			`{"metadata":{"ownerReferences":[{"apiVersion":"v1","kind":"ConfigMap","name":"x","uid":"x"}]}}`), "neither finalizers nor owners"},
		"pod: image":            {"it would run something else", operatorUser, patches(pod, "{"+image+"}"), "what a pod runs"},
		"somebody else's image": {"the policy is about the operator", administrator, patches(pod, "{"+image+"}"), ""},
	}
	for kind, object := range objects {
		c.create(t, object)
		inTemplate := func(body string) string { return `{"spec":{"template":{` + body + `}}}` }
		restart := fmt.Sprintf(`"metadata":{"annotations":{%q:"orders-token/1"}}`, v1alpha1.RestartAnnotation)
		attempts[kind+": restarts"] = attempt{"delivery.restart", operatorUser, patches(object, inTemplate(restart)), ""}
		attempts[kind+": image"] = attempt{"it would run something else", operatorUser, patches(object, inTemplate(image)), "what a pod runs"}
		attempts[kind+": annotation"] = attempt{"it has no business there", operatorUser,
			patches(object, inTemplate(`"metadata":{"annotations":{"a":"b"}}`)), "no annotation but its own"}
		attempts[kind+": its own metadata"] = attempt{"it has no business there", operatorUser, patches(object, annotate("a", `"b"`)), "pod template only"}
	}
	for kind, fields := range workloadFields {
		for field, body := range fields {
			patch := fmt.Sprintf(`{"spec":{%q:%s}}`, field, body)
			attempts[kind+": "+field] = attempt{"it has no business there", operatorUser, patches(objects[kind], patch), "pod template only"}
		}
		for field, body := range templateFields {
			patch := fmt.Sprintf(`{"spec":{"template":{"metadata":{%q:%s}}}}`, field, body)
			attempts[kind+": template's "+field] = attempt{"it has no business there", operatorUser, patches(objects[kind], patch), "fluent-credential-operator changes"}
		}
		attempts[kind+": label"] = attempt{"it has no business there", operatorUser, patches(objects[kind], `{"metadata":{"labels":{"a":"b"}}}`), "changes no labels"}
		attempts[kind+": finalizer"] = attempt{"it would hang", operatorUser, patches(objects[kind], `{"metadata":{"finalizers":["example.com/x"]}}`), "neither finalizers nor owners"}
	}
	c.try(t, attempts)
}

// workloadFields are changes of the fields of the three specs but the template; frozenFields are those that the API server itself keeps.
var (
	workloadFields = map[string]map[string]string{
		"Deployment": {
			"replicas": "0", "paused": "true", "strategy": `{"type":"Recreate","rollingUpdate":null}`, "minReadySeconds": "60",
			"revisionHistoryLimit": "0", "progressDeadlineSeconds": "700",
		},
		"StatefulSet": {
			"replicas": "0", "updateStrategy": `{"type":"OnDelete","rollingUpdate":null}`, "minReadySeconds": "60",
			"revisionHistoryLimit": "0", "ordinals": `{"start":5}`,
			"persistentVolumeClaimRetentionPolicy": `{"whenDeleted":"Delete","whenScaled":"Delete"}`,
		},
		"DaemonSet": {
			"updateStrategy": `{"type":"OnDelete","rollingUpdate":null}`, "minReadySeconds": "60", "revisionHistoryLimit": "0",
		},
	}
	frozenFields = map[string][]string{
		"Deployment":  {"selector"},
		"StatefulSet": {"selector", "serviceName", "volumeClaimTemplates", "podManagementPolicy"},
		"DaemonSet":   {"selector"},
	}
	templateFields = map[string]string{
		"name": `"x"`, "generateName": `"x"`, "namespace": `"x"`, "labels": `{"app":"orders","a":"b"}`, "finalizers": `["example.com/x"]`,
		"ownerReferences": `[{"apiVersion":"v1","kind":"ConfigMap","name":"x","uid":"x"}]`,
	}
)

// TestEveryFieldOfAWorkloadIsTried: a field that a later Kubernetes adds has to be added to the tables above.
func TestEveryFieldOfAWorkloadIsTried(t *testing.T) {
	for kind, spec := range map[string]reflect.Type{
		"Deployment":  reflect.TypeFor[appsv1.DeploymentSpec](),
		"StatefulSet": reflect.TypeFor[appsv1.StatefulSetSpec](),
		"DaemonSet":   reflect.TypeFor[appsv1.DaemonSetSpec](),
	} {
		for field := range spec.Fields() {
			name, _, _ := strings.Cut(field.Tag.Get("json"), ",")
			_, tried := workloadFields[kind][name]
			if name != "template" && !tried && !slices.Contains(frozenFields[kind], name) {
				t.Errorf("no test changes the field %s of a %s as the operator", name, kind)
			}
		}
	}
}

// TestOperatorChangesNoSubresource: RBAC permits none, and the policy does not rely on it.
func TestOperatorChangesNoSubresource(t *testing.T) {
	c := policed(t)
	namespace := c.namespace(t, "subresources")
	c.wide(t, namespace)
	labels := map[string]string{"app": "orders"}
	meta := metav1.ObjectMeta{Namespace: namespace, Name: "orders", Labels: labels}
	spec := corev1.PodSpec{Containers: []corev1.Container{{Name: "main", Image: "example.com/one"}}}
	cpu := corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("100m")}
	spec.Containers[0].Resources = corev1.ResourceRequirements{Requests: cpu}
	pod := &corev1.Pod{ObjectMeta: meta, Spec: spec}
	deployment := &appsv1.Deployment{ObjectMeta: meta, Spec: appsv1.DeploymentSpec{
		Selector: &metav1.LabelSelector{MatchLabels: labels},
		Template: corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: labels}, Spec: spec},
	}}
	c.create(t, pod, deployment)
	through := func(subresource string, object client.Object, patch string) func(client.Client) error {
		return func(who client.Client) error {
			raw := client.RawPatch(types.StrategicMergePatchType, []byte(patch))
			return who.SubResource(subresource).Patch(context.Background(), object.DeepCopyObject().(client.Object), raw, client.DryRunAll)
		}
	}
	const container = `{"spec":{"ephemeralContainers":[{"name":"debug","image":"example.com/two"}]}}`
	const size = `{"spec":{"containers":[{"name":"main","resources":{"requests":{"cpu":"1"}}}]}}`
	c.try(t, map[string]attempt{
		"ephemeral container":         {"it would run something else", operatorUser, through("ephemeralcontainers", pod, container), "changes no subresource"},
		"size":                        {"it has no business there", operatorUser, through("resize", pod, size), "changes no subresource"},
		"scale":                       {"it restarts and does not scale", operatorUser, through("scale", deployment, `{"spec":{"replicas":0}}`), "changes no subresource"},
		"ephemeral container, others": {"the policy is about the operator", administrator, through("ephemeralcontainers", pod, container), ""},
	})
}

// TestPolicyOutlivesWideRights: even an operator that RBAC lets do everything is held by the policies.
func TestPolicyOutlivesWideRights(t *testing.T) {
	c := policed(t)
	namespace := c.namespace(t, "wide")
	c.wide(t, namespace)
	theirs := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "theirs"}}
	c.create(t, theirs)
	c.try(t, map[string]attempt{
		"deletes another's": {"RBAC would let it", operatorUser, deletes(theirs), "writes Secrets of its own only"},
	})
}

// wide lets the operator do everything in a namespace that RBAC can permit.
func (c *cluster) wide(t *testing.T, namespace string) {
	t.Helper()
	c.create(t, &rbacv1.RoleBinding{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "wide"},
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: "cluster-admin"},
		Subjects:   []rbacv1.Subject{{Kind: "ServiceAccount", Namespace: system, Name: operatorName}},
	})
}

// grant gives a person rules in a namespace.
func (c *cluster) grant(t *testing.T, namespace, user string, rules ...rbacv1.PolicyRule) {
	t.Helper()
	name := strings.ReplaceAll(user, "@", "-at-")
	c.create(t, &rbacv1.Role{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name}, Rules: rules})
	c.create(t, &rbacv1.RoleBinding{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name},
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "Role", Name: name},
		Subjects:   []rbacv1.Subject{{Kind: "User", APIGroup: rbacv1.GroupName, Name: user}},
	})
}

// TestOperatorRemovesItsLoginGuards goes through the life of login guards with the operator's own rights, under its own policies: more
// of them than one FluentCredential may have at a time.
func TestOperatorRemovesItsLoginGuards(t *testing.T) {
	c := policed(t)
	operator := c.as(t, operatorUser)
	now := time.Date(2026, 1, 5, 12, 0, 0, 0, time.UTC)
	guard := &loginguard.Guard{
		Reader: operator, Writer: operator, Namespace: system, Salt: func() string { return "salt" },
		HasLeft: func(context.Context, loginguard.Use, loginguard.Login) bool { return false },
	}
	owner := loginguard.Owner{Namespace: "shop", Name: "orders", UID: "uid-of-orders", Created: now}
	guards := func() int {
		var list corev1.SecretList
		ofType := client.MatchingFields{"type": v1alpha1.GuardSecretType}
		if err := c.admin.List(t.Context(), &list, client.InNamespace(system), ofType); err != nil {
			t.Fatal(err)
		}
		return len(list.Items)
	}
	before := guards()
	for n := range loginguard.MaxKept + 3 {
		login := loginguard.Login{
			Endpoint: "https://auth.example.com/token", Username: fmt.Sprint("user-", n), Password: token.NewSecret("password"),
			Use: loginguard.Use{Client: "client", Owner: owner},
		}
		id := fmt.Sprint("attempt-", n)
		refusal, err := guard.Reserve(t.Context(), login, id, now)
		if err != nil || refusal != nil {
			t.Fatalf("login %d: %v %v", n, refusal, err)
		}
		if _, err := guard.Settle(t.Context(), login, id, token.LoginRefused, now); err != nil {
			t.Fatal(err)
		}
		now = now.Add(48 * time.Hour)
	}
	if err := guard.Forget(t.Context(), owner, now); err != nil {
		t.Fatal(err)
	}
	if left := guards() - before; left > 0 {
		t.Errorf("%d login guards are left of a FluentCredential that is gone", left)
	}
}

// TestOperatorMayUseTheDomainsOfThePolicy: the list in the policy is the one of --allowed-target-metadata.
func TestOperatorMayUseTheDomainsOfThePolicy(t *testing.T) {
	c, err := newCluster(func() (string, error) {
		text, err := kustomize("config", "default")
		return strings.Replace(text, `expression: '[]'`, `expression: '["argocd.argoproj.io", "*.example.com"]'`, 1), err
	})
	if err != nil {
		t.Fatal(err)
	}
	namespace := c.namespace(t, "domains")
	target := func(part func(*corev1.Secret)) *corev1.Secret {
		return secretOf(namespace, "new", managed, controlledBy("FluentCredential", v1alpha1.GroupVersion.String()), part)
	}
	denied := target(labelledAs("other.example.org/a", "b"))
	eventually(t, "the policy is enforced", func() (bool, any) {
		err := c.operator(t).Create(t.Context(), denied.DeepCopy(), client.DryRunAll)
		return apierrors.IsForbidden(err), err
	})
	const refused = "labels and annotations of other domains"
	c.try(t, map[string]attempt{
		"named":               {"the list has it", operatorUser, creates(target(labelledAs("argocd.argoproj.io/secret-type", "repository"))), ""},
		"below a pattern":     {"the list has it", operatorUser, creates(target(annotatedAs("a.b.Example.com/c", "d"))), ""},
		"the pattern itself":  {"*. stands for what is below", operatorUser, creates(target(labelledAs("example.com/a", "b"))), refused},
		"a name that ends so": {"a dot is a dot", operatorUser, creates(target(labelledAs("badexample.com/a", "b"))), refused},
		"another":             {"the list does not have it", operatorUser, creates(denied), refused},
	})
}
