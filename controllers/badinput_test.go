package controllers

import (
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/fluent-credential/operator/api/v1alpha1"
	"github.com/fluent-credential/operator/hack/authsim"
	"github.com/fluent-credential/operator/internal/custody"
)

// badInput is one thing that can be wrong, what the status says of it, and what it may cost.
type badInput struct {
	login  func(*corev1.Secret)
	cred   func(*v1alpha1.FluentCredential)
	fault  string
	before func(t *testing.T, namespace string)
	policy func(*Reconciler)

	reason    string
	says      string
	stalled   bool
	exchanges int // requests that may reach the token endpoint in the first minute
	why       string
}

func badInputs() map[string]badInput {
	foreign := func(t *testing.T, namespace string) {
		create(t, &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "orders-token"}, StringData: map[string]string{"keep": "me"}})
	}
	return map[string]badInput{
		"missing Secret": {cred: func(c *v1alpha1.FluentCredential) { c.Spec.CredentialsSecretRef.Name = "nowhere" },
			reason: v1alpha1.ReasonCredentialsNotFound, says: "Secret nowhere does not exist", why: "it may be on its way: nothing is stalled"},
		"missing password": {login: func(s *corev1.Secret) { delete(s.StringData, "password") },
			reason: v1alpha1.ReasonCredentialsIncomplete, says: "has no password", stalled: true, why: "the message names the key"},
		"empty password": {login: func(s *corev1.Secret) { s.StringData["password"] = "" },
			reason: v1alpha1.ReasonCredentialsIncomplete, says: "has no password, or an empty one", stalled: true, why: "an empty value is none"},
		"password of a line end": {login: func(s *corev1.Secret) { s.StringData["password"] = "\n" },
			reason: v1alpha1.ReasonCredentialsIncomplete, says: "has no password", stalled: true, why: "a line end is an editor's"},
		"missing client id": {login: func(s *corev1.Secret) { delete(s.StringData, "client_id") },
			reason: v1alpha1.ReasonCredentialsIncomplete, says: "has no client_id", stalled: true, why: "the API cannot tell whose request it is"},
		"renamed key is missing": {cred: func(c *v1alpha1.FluentCredential) {
			c.Spec.CredentialsSecretRef.Keys = map[string]v1alpha1.SecretKey{"password": "PASSWORD"}
		}, reason: v1alpha1.ReasonCredentialsIncomplete, says: "has no PASSWORD", stalled: true, why: "the message names the key as the Secret should have it"},
		"nothing but a client": {login: func(s *corev1.Secret) { delete(s.StringData, "username"); delete(s.StringData, "password") },
			reason: v1alpha1.ReasonCredentialsIncomplete, says: "neither username and password nor a refresh_token", stalled: true, why: "this API has no client credentials grant"},
		"unknown account host": {cred: func(c *v1alpha1.FluentCredential) { c.Spec.Provider.Fluent.BaseURL = "https://acme.sandbox.invalid" },
			reason: v1alpha1.ReasonProviderUnavailable, says: "acme.sandbox.invalid", why: "the name may exist in a minute"},
		"http endpoint": {policy: func(r *Reconciler) { r.Dialer.Policy.InsecureHTTP = false },
			reason: v1alpha1.ReasonEndpointNotAllowed, says: "only https is allowed", stalled: true, why: "a password is not sent in the clear"},
		"host that is not allowed": {policy: func(r *Reconciler) { r.Dialer.Policy.AllowedHosts = []string{"*.api.fluentretail.com"} },
			reason: v1alpha1.ReasonEndpointNotAllowed, says: "matches no pattern of --allowed-hosts", stalled: true, why: "the admin said so"},
		"metadata address": {cred: func(c *v1alpha1.FluentCredential) { c.Spec.Provider.Fluent.BaseURL = "http://169.254.169.254" },
			reason: v1alpha1.ReasonEndpointNotAllowed, says: "never allowed", stalled: true, why: "a cloud gives credentials away there"},
		"redirecting endpoint": {fault: "every: redirect 307 https://elsewhere.example/oauth/token?code=hidden",
			reason: v1alpha1.ReasonEndpointNotAllowed, says: "redirects to elsewhere.example, which is not followed", exchanges: 12, why: "an endpoint that redirects today may answer tomorrow"},
		"HTML reply": {fault: "every: html 200", reason: v1alpha1.ReasonInvalidReply, says: "an HTML page, not a reply of the API", exchanges: 12, why: "something in front of the API may pass"},
		"HTML 502":   {fault: "every: html 502", reason: v1alpha1.ReasonProviderUnavailable, says: "HTTP 502", exchanges: 12, why: "a CDN answers so while the API is away"},
		"300 KiB reply": {fault: "every: oversized", reason: v1alpha1.ReasonInvalidReply, says: "larger than 256 KiB", exchanges: 12,
			why: "a reply is read within bounds"},
		"rate limited": {fault: "every: rate-limited 3600", reason: v1alpha1.ReasonRateLimited, says: "HTTP 429", exchanges: 1, why: "Retry-After is honoured"},
		"wrong client": {login: func(s *corev1.Secret) { s.StringData["client_secret"] = "wrong-secret" },
			reason: v1alpha1.ReasonCredentialsRejected, says: "invalid_client: Bad client credentials", exchanges: 12, why: "a new secret may not have reached the API yet"},
		"wrong password": {login: func(s *corev1.Secret) { s.StringData["password"] = "wrong-password" },
			reason: v1alpha1.ReasonCredentialsRejected, says: "invalid_grant: Bad credentials", stalled: true, exchanges: 1, why: "a second try could lock the user"},
		"dropped reply": {fault: "every: drop-after", reason: v1alpha1.ReasonProviderUnavailable, says: "closed before the reply was complete", exchanges: 12,
			why: "a password is not spent by it"},
		"bad template": {cred: func(c *v1alpha1.FluentCredential) { c.Spec.Target.Data = map[string]string{"a": "{{ .AccessToken"} },
			reason: v1alpha1.ReasonTemplateInvalid, says: "target.data: template: a:1", stalled: true, why: "nothing is spent for what cannot be published"},
		"template of an unknown field": {cred: func(c *v1alpha1.FluentCredential) { c.Spec.Target.Data = map[string]string{"a": "{{ .AccesToken }}"} },
			reason: v1alpha1.ReasonTemplateInvalid, says: "AccesToken", stalled: true, why: "a typing error is found before a token is spent"},
		"template of a missing value": {cred: func(c *v1alpha1.FluentCredential) {
			c.Spec.Target.Data = map[string]string{"a": "{{ .Extra.nothing }}"}
		},
			reason: v1alpha1.ReasonTemplateInvalid, says: "target.data[a] cannot be rendered", stalled: true, exchanges: 1, why: "only the reply tells"},
		"caBundle that is none": {cred: func(c *v1alpha1.FluentCredential) {
			c.Spec.Provider.Fluent.BaseURL = v1alpha1.BaseURL(strings.Replace(string(c.Spec.Provider.Fluent.BaseURL), "http:", "https:", 1))
			c.Spec.Provider.Fluent.CABundle = "no certificate"
		}, reason: v1alpha1.ReasonEndpointNotAllowed, says: "caBundle holds no PEM certificate", stalled: true, why: "only another bundle helps"},
		"existing foreign Secret": {before: foreign, reason: v1alpha1.ReasonTargetConflict, says: "does not belong to this FluentCredential", stalled: true, why: "it is never overwritten"},
		"foreign Secret with the state's name": {before: func(t *testing.T, namespace string) {
			create(t, &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: custody.Names("orders")[0]}})
		}, reason: v1alpha1.ReasonStateInvalid, says: "orders-fluent-state", stalled: true, why: "it is never overwritten"},
	}
}

func TestBadInputs(t *testing.T) {
	t.Parallel()
	for name, input := range badInputs() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := newBad(t, input)
			d.settle()
			d.mustSay(input)
			status := d.status()
			for begun := d.clock.Now(); d.clock.Now().Sub(begun).Minutes() < 1; {
				wait := d.settle()
				if wait == 0 {
					break
				}
				d.sleep(wait)
			}
			d.mustSay(input)
			if requests := d.server.Ledger().Requests; requests > input.exchanges {
				t.Errorf("%d requests in a minute, want %d at most (%s)", requests, input.exchanges, input.why)
			}
			if before, after := status.Summary.Message, d.status().Summary.Message; before != after {
				t.Errorf("the message changed although nothing did: %q, then %q", before, after)
			}
			if foreign := secret(t, d.cred.Namespace, "orders-token"); input.before != nil && foreign.Name != "" && string(foreign.Data["keep"]) != "me" {
				t.Error("the foreign Secret was changed")
			}
		})
	}
}

func newBad(t *testing.T, input badInput) *driven {
	t.Helper()
	d := newDrivenWith(t, func(config *authsim.Config) {
		if input.fault != "" {
			config.Faults = []authsim.Fault{fault(t, input.fault)}
		}
	}, input.login, input.cred)
	if input.before != nil {
		input.before(t, d.cred.Namespace)
	}
	if input.policy != nil {
		input.policy(d.Reconciler)
	}
	return d
}

// mustSay looks for the cause where people look: in the column STATUS and its message, and in Stalled for tools.
func (d *driven) mustSay(input badInput) {
	d.t.Helper()
	status := d.status()
	if status.Summary.Reason != input.reason || !strings.Contains(status.Summary.Message, input.says) {
		d.t.Errorf("says %s: %q; want %s with %q (%s)", status.Summary.Reason, status.Summary.Message, input.reason, input.says, input.why)
	}
	if meta.IsStatusConditionTrue(status.Conditions, v1alpha1.ConditionReady) {
		d.t.Error("it is Ready")
	}
	if stalled := meta.IsStatusConditionTrue(status.Conditions, v1alpha1.ConditionStalled); stalled != input.stalled {
		d.t.Errorf("Stalled is %t, want %t (%s)", stalled, input.stalled, input.why)
	}
}
