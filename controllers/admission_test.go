package controllers

import (
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/fluent-credential/operator/api/v1alpha1"
)

func TestAdmission(t *testing.T) {
	t.Parallel()
	namespace := newNamespace(t)
	percent := func(p int32) *int32 { return &p }
	duration := func(d time.Duration) *metav1.Duration { return &metav1.Duration{Duration: d} }
	cases := map[string]struct {
		change func(*v1alpha1.FluentCredential)
		says   string // part of the refusal; empty: it is admitted
		why    string
	}{
		"the example": {func(*v1alpha1.FluentCredential) {}, "", "it is in the README"},
		"no provider": {func(c *v1alpha1.FluentCredential) { c.Spec.Provider = v1alpha1.ProviderSpec{} },
			"set exactly one of", "there is nobody to ask"},
		"two providers": {func(c *v1alpha1.FluentCredential) {
			c.Spec.Provider.OAuth2 = &v1alpha1.OAuth2Provider{TokenURL: "https://auth.example.com/token"}
		}, "set exactly one of", "which one is meant?"},
		"fluent without account and baseURL": {func(c *v1alpha1.FluentCredential) { c.Spec.Provider.Fluent = &v1alpha1.FluentProvider{} },
			"set account or baseURL", "the host follows from one of them"},
		"account with a dot": {func(c *v1alpha1.FluentCredential) { c.Spec.Provider.Fluent.Account = "evil.example.com/x" },
			"spec.provider.fluent.account", "it becomes a part of a host name"},
		"another environment": {func(c *v1alpha1.FluentCredential) { c.Spec.Provider.Fluent.Environment = "Staging" },
			"Unsupported value", "its host is not known"},
		"baseURL with a user name": {func(c *v1alpha1.FluentCredential) { c.Spec.Provider.Fluent.BaseURL = "https://me:pw@example.com" },
			"spec.provider.fluent.baseURL", "a spec is no place for a password"},
		"baseURL that is a file": {func(c *v1alpha1.FluentCredential) { c.Spec.Provider.Fluent.BaseURL = "file:///etc/passwd" },
			"spec.provider.fluent.baseURL", "only https is spoken"},
		"before and beforePercentage": {func(c *v1alpha1.FluentCredential) {
			c.Spec.Refresh.Before, c.Spec.Refresh.BeforePercentage = duration(time.Minute), percent(10)
		}, "not both", "which one is meant?"},
		"before of zero":         {func(c *v1alpha1.FluentCredential) { c.Spec.Refresh.Before = duration(0) }, "more than zero", "a lead is ahead"},
		"beforePercentage of 90": {func(c *v1alpha1.FluentCredential) { c.Spec.Refresh.BeforePercentage = percent(90) }, "beforePercentage", "half of the life is the most"},
		"beforePercentage of 50": {func(c *v1alpha1.FluentCredential) { c.Spec.Refresh.BeforePercentage = percent(50) }, "", "half of the life is allowed"},
		"another policy":         {func(c *v1alpha1.FluentCredential) { c.Spec.Refresh.OnLostReply = "Hope" }, "Unsupported value", "the policies are a closed set"},
		"no credentials Secret":  {func(c *v1alpha1.FluentCredential) { c.Spec.CredentialsSecretRef.Name = "" }, "credentialsSecretRef.name", "there is no login"},
		"target is the login":    {func(c *v1alpha1.FluentCredential) { c.Spec.Target.Name = "orders-login" }, "must not be the credentials Secret", "the login would be overwritten"},
		"target defaults to the login": {func(c *v1alpha1.FluentCredential) {
			c.Spec.Target.Name, c.Spec.CredentialsSecretRef.Name = "", c.Name
		}, "must not be the credentials Secret", "the login would be overwritten"},
		"target of the state's type": {func(c *v1alpha1.FluentCredential) { c.Spec.Target.Type = v1alpha1.StateSecretType },
			typesOfTargets, "it would be taken for the state"},
		"target with a service account's token": {func(c *v1alpha1.FluentCredential) { c.Spec.Target.Type = "kubernetes.io/service-account-token" },
			typesOfTargets, "whoever may write a FluentCredential could have one of any service account"},
		"renamed key that is none": {func(c *v1alpha1.FluentCredential) {
			c.Spec.CredentialsSecretRef.Keys = map[string]v1alpha1.SecretKey{"user": "USER"}
		}, "keys may rename", "a misspelt name would be ignored in silence"},
		"header with a line break": {func(c *v1alpha1.FluentCredential) {
			c.Spec.Provider.Fluent.Headers = map[string]v1alpha1.HeaderValue{"fluent.account": "a\r\nHost: evil"}
		}, "headers", "it would add a header of its own"},
		"header with a colon in its name": {func(c *v1alpha1.FluentCredential) {
			c.Spec.Provider.Fluent.Headers = map[string]v1alpha1.HeaderValue{"a: b": "c"}
		}, "header's name", "it would add a header of its own"},
		"scope with a line break": {func(c *v1alpha1.FluentCredential) { c.Spec.Scope = "a\nb" }, "spec.scope", "RFC 6749 section 3.3"},
		"another deletionPolicy":  {func(c *v1alpha1.FluentCredential) { c.Spec.Target.DeletionPolicy = "Keep" }, "Unsupported value", "the policies are a closed set"},
	}
	for name, test := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cred := credential(namespace, "orders", &server{})
			cred.Spec.Provider.Fluent = &v1alpha1.FluentProvider{Account: "ACME"}
			test.change(cred)
			err := live.Create(t.Context(), cred, client.DryRunAll)
			switch {
			case test.says == "" && err != nil:
				t.Errorf("refused (%s): %v", test.why, err)
			case test.says != "" && (err == nil || !strings.Contains(err.Error(), test.says)):
				t.Errorf("want a refusal that says %q (%s), got: %v", test.says, test.why, err)
			}
		})
	}
}
