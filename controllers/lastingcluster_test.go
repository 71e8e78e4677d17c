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
	const held = "a reply that is held is stored when it can be"
	const intact = "nothing is spent that cannot be written down"
	target := refusing(butTarget, "set the label owner")
	state := refusing(butState, "no states here")
	unwritable, unreadable := withVerbs("get", "list", "watch"), withVerbs("list", "watch", "create", "update", "patch", "delete")
	everything := func(*http.Request) bool { return true }
	statusless := lasting(outOfSpace(isStatus), "",
		"the status is a view, and nothing waits for it").once().only(expiring, staying)
	statusless.harmless = true
	foreign := lasting(foreignState, "has the name of the state", "its deletion is seen")
	foreign.within = time.Second
	return map[string]lastingFailure{
		"a policy refuses the target": lasting(target, "set the label owner", "a person needs the policy's words").once(),
		"a quota refuses the target": lasting(quotaFor(2), "exceeded quota", "a person needs the quota's words").
			only(noneYet),
		"a foreign Secret has the target's name": lasting(foreignTarget, "does not belong",
			"its deletion is seen").once(),

		"a policy refuses the state":                  lasting(state, "no states here", intact).once(),
		"a policy refuses the state of a spent token": lasting(state, "no states here", held).afterSpent(),
		"a policy refuses the copy of a deleted state": lasting(deletedWithoutRoom, "no copies here",
			"the chain stays where it is until there is room").once().only(expiring, staying),
		"a policy refuses the login guard": lasting(refusing(butGuard, "no guards here"), "no guards here",
			"no login is made that is not counted").with(withPassword).only(noneYet),
		"a quota refuses the state":                 lasting(quotaFor(1), "exceeded quota", intact).only(noneYet),
		"the state was made immutable":              lasting(immutableState, "", "it moves at once").once().only(expiring, staying),
		"the state of a spent token was made so":    lasting(immutableState, "", "it moves at once").afterSpent(),
		"a foreign Secret has the state's name":     foreign,
		"likewise, after a token was spent":         foreign.afterSpent(),
		"no right to write Secrets":                 lasting(unwritable, "cannot update resource", intact).once().only(expiring, staying),
		"no right to write, after a token is spent": lasting(unwritable, "cannot update resource", held).afterSpent(),
		"no right to read Secrets":                  lasting(unreadable, "cannot get resource", intact).once().only(expiring, staying),

		"a webhook is down":                         lasting(webhookDown, "failed calling webhook", "it is no lost race").once(),
		"a webhook is down after a token was spent": lasting(webhookDown, "failed calling webhook", held).afterSpent(),
		"etcd has no space for Secrets":             lasting(outOfSpace(isSecret), "database space exceeded", "reads work").once(),
		"etcd has no space":                         lasting(outOfSpace(everything), "", "nor for a status").once().mute(),
		"no status can be written":                  statusless.mute(),
		"the API accepts and does not answer": lasting(apiSilent, "deadline exceeded",
			intact).once().only(expiring, staying),
		"the API is away":                         lasting(apiAway, "", intact).once().mute(),
		"the API is away after a token was spent": lasting(apiAway, "", held).afterSpent().mute(),
	}
}

// lastingCredentials are failures of what a person wrote, which the person corrects.
func lastingCredentials() map[string]lastingFailure {
	corrected := func(breaks func(*ordeal) func(), says string) lastingFailure {
		failure := lasting(breaks, says, "the correction is seen")
		failure.within = time.Second
		return failure
	}
	none := func([]byte) []byte { return nil }
	marked := func(right []byte) []byte { return append([]byte("\xef\xbb\xbf"), right...) }
	return map[string]lastingFailure{
		"the credentials Secret is gone": corrected(credentialsGone, "orders-login"),
		"a key is missing":               corrected(wrongKey(v1alpha1.ClientSecretKey, none), "username and password"),
		"a byte order mark":              corrected(wrongKey(v1alpha1.ClientSecretKey, marked), "byte order mark"),
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
					NamespaceSelector: inNamespace(o.cred.Namespace),
					ResourceRules:     []admissionv1.NamedRuleWithOperations{{RuleWithOperations: secretWrites}},
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
		return o.atMostOnce(func() {
			_ = live.Delete(context.Background(), binding)
			_ = live.Delete(context.Background(), policy)
			o.awaitProbe(true)
		})
	}
}

// atMostOnce makes a repair that is made at the end of the test at the latest: it removes what is in no namespace.
func (o *ordeal) atMostOnce(repair func()) func() {
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
			ObjectMeta: metav1.ObjectMeta{Namespace: o.cred.Namespace, Name: "few-secrets"},
			Spec:       corev1.ResourceQuotaSpec{Hard: hard},
		}
		create(o.t, quota)
		used := corev1.ResourceList{"count/secrets": *resource.NewQuantity(1, resource.DecimalSI)}
		quota.Status = corev1.ResourceQuotaStatus{Hard: hard, Used: used}
		if err := live.Status().Update(o.t.Context(), quota); err != nil { // no controller of quotas runs here
			o.t.Fatal(err)
		}
		others := func() error {
			probe := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: o.cred.Namespace, GenerateName: "probe-"}}
			return live.Create(context.Background(), probe, client.DryRunAll)
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
			Name: "validate.policy.example", AdmissionReviewVersions: []string{"v1"},
			SideEffects:   ptr.To(admissionv1.SideEffectClassNone),
			FailurePolicy: ptr.To(admissionv1.Fail), NamespaceSelector: inNamespace(o.cred.Namespace),
			Rules: []admissionv1.RuleWithOperations{secretWrites},
			ClientConfig: admissionv1.WebhookClientConfig{
				Service: &admissionv1.ServiceReference{Namespace: o.cred.Namespace, Name: "policy"},
			},
		}},
	}
	create(o.t, hook)
	o.awaitProbe(false)
	return o.atMostOnce(func() {
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
		TypeMeta: metav1.TypeMeta{Kind: "Status", APIVersion: "v1"},
		Status:   metav1.StatusFailure, Code: http.StatusInternalServerError, Message: "etcdserver: mvcc: database space exceeded",
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

// immutableState makes the state immutable, which cannot be undone.
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

// foreignState removes the state by force, and puts a Secret in its place that is not the operator's.
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
