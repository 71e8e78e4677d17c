package controllers

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strings"
	"syscall"
	"time"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/fluent-credential/operator/api/v1alpha1"
	"github.com/fluent-credential/operator/internal/custody"
)

// CEL expressions that hold for the Secrets that are let through.
const (
	butTarget = "object.metadata.name != 'orders-token'"
	butState  = "!has(object.type) || object.type != '" + v1alpha1.StateSecretType + "'"
	butGuard  = "!has(object.type) || object.type != '" + v1alpha1.GuardSecretType + "'"
)

// lastingCluster are failures of writes to the Kubernetes API.
func lastingCluster() map[string]lastingFailure {
	return map[string]lastingFailure{
		"a policy refuses the target": {breaks: refusing(butTarget, "set the label owner"), login: seeded,
			says: "set the label owner", presented: 1, why: "the policy's words are what a person needs"},
		"a quota refuses the target": {breaks: quotaFor(2), starts: []lastingStart{noneYet}, says: "exceeded quota",
			why: "the quota's words are what a person needs"},
		"a foreign Secret has the target's name": {breaks: foreignTarget, login: seeded, says: "does not belong", presented: 1,
			why: "it is left alone, and its deletion is seen"},
		"a policy refuses the state": {breaks: refusing(butState, "no states here"), login: seeded, says: "no states here",
			presented: 1, why: "nothing is spent that cannot be written down"},
		"a policy refuses the state of a spent token": {breaks: refusing(butState, "no states here"), login: seeded,
			afterSpending: true, starts: []lastingStart{expiring, staying}, says: "no states here", presented: 1,
			why: "a reply that is held is stored when it can be"},
		"a quota refuses the state": {breaks: quotaFor(1), starts: []lastingStart{noneYet}, says: "exceeded quota",
			why: "nothing is spent that cannot be written down"},
		"the right to write Secrets is missing": {breaks: withVerbs("get", "list", "watch"), login: seeded, says: "cannot update resource", presented: 1,
			starts: []lastingStart{expiring, staying}, why: "a role was edited"},
		"the right is missing after a token was spent": {breaks: withVerbs("get", "list", "watch"), login: seeded, afterSpending: true,
			starts: []lastingStart{expiring, staying}, says: "cannot update resource", presented: 1,
			why: "a reply that is held is stored when it can be"},
		"a webhook is down": {breaks: webhookDown, login: seeded, says: "failed calling webhook", presented: 1,
			why: "an error of a write is no lost race"},
		"a webhook is down after a token was spent": {breaks: webhookDown, login: seeded, afterSpending: true,
			starts: []lastingStart{expiring, staying}, says: "failed calling webhook", presented: 1,
			why: "a reply that is held is stored when it can be"},
		"etcd is out of space for Secrets": {breaks: outOfSpace(isSecret), login: seeded, says: "database space exceeded", presented: 1,
			why: "reads work, and writes do not"},
		"etcd is out of space": {breaks: outOfSpace(func(*http.Request) bool { return true }), login: seeded, isMute: true, presented: 1,
			why: "not even the status can be written"},
		"the status cannot be written": {breaks: outOfSpace(isStatus), login: seeded, isMute: true, harmless: true, presented: 1,
			starts: []lastingStart{expiring, staying}, why: "the status is a view, and nobody waits for it"},
		"a policy refuses the copy of a deleted state": {breaks: deletedWithoutRoom, login: seeded, says: "no copies here", presented: 1,
			starts: []lastingStart{expiring, staying}, why: "the chain stays where it is until there is room for it"},
		"the right to read Secrets is missing": {breaks: withVerbs("list", "watch", "create", "update", "patch", "delete"), login: seeded,
			starts: []lastingStart{expiring, staying}, says: "cannot get resource", presented: 1, why: "a role was edited"},
		"the API is away": {breaks: apiAway, login: seeded, isMute: true, presented: 1, why: "nothing is spent meanwhile"},
		"the API is away after a token was spent": {breaks: apiAway, login: seeded, afterSpending: true, isMute: true, presented: 1,
			starts: []lastingStart{expiring, staying}, why: "a reply that is held is stored when it can be"},
		"the state was made immutable": {breaks: immutableState, login: seeded, presented: 1, starts: []lastingStart{expiring, staying},
			why: "it goes on under its other name at once"},
		"the state was made immutable after a token was spent": {breaks: immutableState, login: seeded, afterSpending: true, presented: 1,
			starts: []lastingStart{expiring, staying}, why: "it goes on under its other name at once"},
		"a foreign Secret has the state's name": {breaks: foreignState, says: "has the name of the state Secret", why: "it is left alone"},
		"a foreign Secret has the state's name after a token was spent": {breaks: foreignState, login: seeded, afterSpending: true, presented: 1,
			starts: []lastingStart{expiring, staying}, says: "has the name of the state Secret",
			why: "a reply that is held is stored when it can be"},
		"a policy refuses the login guard": {breaks: refusing(butGuard, "no guards here"), login: withPassword, starts: []lastingStart{noneYet},
			says: "no guards here", why: "no login is made that is not counted"},
	}
}

// lastingCredentials are failures of what a person wrote, which the person corrects.
func lastingCredentials() map[string]lastingFailure {
	mark := []byte("\xef\xbb\xbf")
	return map[string]lastingFailure{
		"the credentials Secret is gone": {breaks: credentialsGone, says: "orders-login", within: time.Second, why: "its creation is seen"},
		"a key is missing": {breaks: wrongKey(v1alpha1.ClientSecretKey, func([]byte) []byte { return nil }), says: "username and password", within: time.Second,
			why: "its correction is seen"},
		"a byte order mark": {breaks: wrongKey(v1alpha1.ClientSecretKey, func(right []byte) []byte { return append(mark, right...) }),
			says: "byte order mark", within: time.Second, why: "an editor put it there, and nobody sees it"},
	}
}

func wrongKey(key string, change func([]byte) []byte) func(*ordeal) func() {
	return func(o *ordeal) func() {
		var right []byte
		o.setLogin(func(login map[string][]byte) {
			right = login[key]
			login[key] = change(right)
		})
		return func() { o.setLogin(func(login map[string][]byte) { login[key] = right }) }
	}
}

func credentialsGone(o *ordeal) func() {
	old := secret(o.t, o.cred.Namespace, "orders-login")
	remove(o.t, old.DeepCopy())
	return func() {
		old.ResourceVersion, old.UID = "", ""
		create(o.t, old)
	}
}

// refusing makes a policy refuse Secrets, but those for which an expression holds.
func refusing(but, message string) func(*ordeal) func() {
	return func(o *ordeal) func() {
		policy := &admissionv1.ValidatingAdmissionPolicy{
			ObjectMeta: metav1.ObjectMeta{Name: "lasting-" + o.cred.Namespace},
			Spec: admissionv1.ValidatingAdmissionPolicySpec{
				MatchConstraints: &admissionv1.MatchResources{
					NamespaceSelector: inNamespace(o.cred.Namespace), ResourceRules: []admissionv1.NamedRuleWithOperations{{RuleWithOperations: secretWrites}},
				},
				Validations: []admissionv1.Validation{
					{Expression: but, Message: message},
					{Expression: "object.metadata.name != 'probe'", Message: "this is a probe"},
				},
			},
		}
		binding := &admissionv1.ValidatingAdmissionPolicyBinding{
			ObjectMeta: metav1.ObjectMeta{Name: policy.Name},
			Spec: admissionv1.ValidatingAdmissionPolicyBindingSpec{
				PolicyName: policy.Name, ValidationActions: []admissionv1.ValidationAction{admissionv1.Deny},
			},
		}
		create(o.t, policy)
		create(o.t, binding)
		o.awaitProbe(false)
		return o.once(func() {
			_ = live.Delete(context.Background(), binding)
			_ = live.Delete(context.Background(), policy)
			o.awaitProbe(true)
		})
	}
}

// once makes a repair that is made at the end of the test at the latest: what it removes is not in the test's namespace.
func (o *ordeal) once(repair func()) func() {
	done := false
	only := func() {
		if !done {
			done = true
			repair()
		}
	}
	o.t.Cleanup(only)
	return only
}

// awaitProbe waits until the API server admits a Secret of the name probe, or does not.
func (o *ordeal) awaitProbe(admitted bool) {
	o.t.Helper()
	probe := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: o.cred.Namespace, Name: "probe"}}
	eventually(o.t, "a probe is admitted, or is not", func() (bool, any) {
		err := live.Create(context.Background(), probe.DeepCopy(), client.DryRunAll)
		return err == nil == admitted, err
	})
}

// quotaFor makes a quota that is used up by so many Secrets, and says that so many are there.
func quotaFor(secrets int64) func(*ordeal) func() {
	return func(o *ordeal) func() {
		hard := corev1.ResourceList{"count/secrets": *resource.NewQuantity(secrets, resource.DecimalSI)}
		quota := &corev1.ResourceQuota{
			ObjectMeta: metav1.ObjectMeta{Namespace: o.cred.Namespace, Name: "few-secrets"}, Spec: corev1.ResourceQuotaSpec{Hard: hard},
		}
		create(o.t, quota)
		quota.Status = corev1.ResourceQuotaStatus{Hard: hard, Used: corev1.ResourceList{"count/secrets": *resource.NewQuantity(1, resource.DecimalSI)}}
		if err := live.Status().Update(o.t.Context(), quota); err != nil { // no controller of quotas runs here
			o.t.Fatal(err)
		}
		others := func() error {
			return live.Create(context.Background(), &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: o.cred.Namespace, GenerateName: "probe-"}},
				client.DryRunAll)
		}
		if secrets == 1 {
			eventually(o.t, "the quota holds", func() (bool, any) { err := others(); return err != nil, err })
		}
		return func() {
			if err := live.Delete(o.t.Context(), quota); err != nil {
				o.t.Error(err)
			}
			eventually(o.t, "the quota is gone", func() (bool, any) { err := others(); return err == nil, err })
		}
	}
}

// withVerbs leaves the operator's role only these verbs for Secrets.
func withVerbs(verbs ...string) func(*ordeal) func() {
	return func(o *ordeal) func() {
		role := get(o.t, &rbacv1.Role{}, o.cred.Namespace, "fluent-credential-operator")
		rules := role.DeepCopy().Rules
		edit(o.t, role, func(role *rbacv1.Role) {
			for i := range role.Rules {
				if role.Rules[i].Resources[0] == "secrets" {
					role.Rules[i].Verbs = verbs
				}
			}
		})
		o.awaitRights(false)
		return func() {
			edit(o.t, role, func(role *rbacv1.Role) { role.Rules = rules })
			o.awaitRights(true)
		}
	}
}

// awaitRights waits until the operator may read and create Secrets, or may not do both.
func (o *ordeal) awaitRights(may bool) {
	o.t.Helper()
	probe := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: o.cred.Namespace, Name: "probe"}}
	eventually(o.t, "the role is in force", func() (bool, any) {
		err := errors.Join(
			o.Client.Create(context.Background(), probe.DeepCopy(), client.DryRunAll),
			client.IgnoreNotFound(o.Live.Get(context.Background(), keyOf(probe), probe.DeepCopy())),
		)
		return err == nil == may, err
	})
}

// webhookDown registers a webhook for Secrets whose service does not exist.
func webhookDown(o *ordeal) func() {
	hook := &admissionv1.ValidatingWebhookConfiguration{
		ObjectMeta: metav1.ObjectMeta{Name: "lasting-" + o.cred.Namespace},
		Webhooks: []admissionv1.ValidatingWebhook{{
			Name: "validate.policy.example", AdmissionReviewVersions: []string{"v1"}, SideEffects: ptr.To(admissionv1.SideEffectClassNone),
			FailurePolicy: ptr.To(admissionv1.Fail), NamespaceSelector: inNamespace(o.cred.Namespace),
			Rules:        []admissionv1.RuleWithOperations{secretWrites},
			ClientConfig: admissionv1.WebhookClientConfig{Service: &admissionv1.ServiceReference{Namespace: o.cred.Namespace, Name: "policy"}},
		}},
	}
	create(o.t, hook)
	o.awaitProbe(false)
	return o.once(func() {
		_ = live.Delete(context.Background(), hook)
		o.awaitProbe(true)
	})
}

func isWrite(request *http.Request) bool {
	return request.Method != http.MethodGet && !strings.Contains(request.URL.Path, "selfsubject")
}

func isSecret(request *http.Request) bool { return strings.Contains(request.URL.Path, "/secrets") }

// outOfSpace answers writes as an API server whose etcd has no space left.
func outOfSpace(concerned func(*http.Request) bool) func(*ordeal) func() {
	status := metav1.Status{
		TypeMeta: metav1.TypeMeta{Kind: "Status", APIVersion: "v1"}, Status: metav1.StatusFailure, Code: http.StatusInternalServerError,
		Message: "etcdserver: mvcc: database space exceeded",
	}
	body, _ := json.Marshal(status) // plain data always encodes
	return failingTransport(func(request *http.Request) (*http.Response, error) {
		if !isWrite(request) || !concerned(request) {
			return nil, nil
		}
		return &http.Response{
			StatusCode: http.StatusInternalServerError, Header: http.Header{"Content-Type": {"application/json"}},
			Body: io.NopCloser(bytes.NewReader(body)), Request: request,
		}, nil
	})
}

// apiAway refuses every connection to the API server, but for the watches that are there.
func apiAway(o *ordeal) func() {
	return failingTransport(func(request *http.Request) (*http.Response, error) {
		if request.URL.Query().Get("watch") != "" {
			return nil, nil
		}
		return nil, syscall.ECONNREFUSED
	})(o)
}

func failingTransport(fail func(*http.Request) (*http.Response, error)) func(*ordeal) func() {
	return func(o *ordeal) func() {
		o.kubernetes.failWith(fail)
		return func() { o.kubernetes.failWith(nil) }
	}
}

// immutableState makes the state immutable, which cannot be undone: nobody repairs it.
func immutableState(o *ordeal) func() {
	edit(o.t, o.state(), func(state *corev1.Secret) { state.Immutable = ptr.To(true) })
	return func() {}
}

// deletedWithoutRoom deletes the state, and lets a policy refuse the copy of it.
func deletedWithoutRoom(o *ordeal) func() {
	repair := refusing("object.metadata.name != 'orders-fluent-state-2'", "no copies here")(o)
	remove(o.t, o.state())
	return repair
}

func isStatus(request *http.Request) bool { return strings.HasSuffix(request.URL.Path, "/status") }

// foreignState removes the state by force, and puts a Secret of somebody else in its place.
func foreignState(o *ordeal) func() {
	name := custody.Names(o.cred.Name)[0]
	if state := o.state(); state.Name != "" {
		edit(o.t, state, func(state *corev1.Secret) { state.Finalizers = nil })
		remove(o.t, state)
	}
	foreign := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: o.cred.Namespace, Name: name}}
	create(o.t, foreign)
	return func() { remove(o.t, foreign) }
}

func foreignTarget(o *ordeal) func() {
	if target := secret(o.t, o.cred.Namespace, o.cred.TargetName()); target.Name != "" {
		remove(o.t, target)
	}
	foreign := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: o.cred.Namespace, Name: o.cred.TargetName()}}
	create(o.t, foreign)
	return func() { remove(o.t, foreign) }
}
