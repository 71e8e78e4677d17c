package install

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/fluent-credential/operator/api/v1alpha1"
	"github.com/fluent-credential/operator/hack/authsim"
)

// says waits until a condition of a FluentCredential is not True, and returns its reason and message.
func (c *cluster) says(t *testing.T, cred *v1alpha1.FluentCredential, reason string) string {
	t.Helper()
	message := ""
	eventually(t, cred.Namespace+"/"+cred.Name+" says "+reason, func() (bool, any) {
		now := &v1alpha1.FluentCredential{}
		c.get(t, now, cred.Namespace, cred.Name)
		ready := meta.FindStatusCondition(now.Status.Conditions, v1alpha1.ConditionReady)
		if ready == nil || ready.Reason != reason {
			return false, now.Status.Conditions
		}
		message = ready.Message
		return true, nil
	})
	return message
}

// TestTenantsUnderTheReleasedManifests plays what tenants try against each other's logins and tokens, with the operator as a process that has
// the released ServiceAccount, roles and admission policies.
func TestTenantsUnderTheReleasedManifests(t *testing.T) {
	c := policed(t)
	shop, web, mallory := c.namespace(t, "tenants-shop"), c.namespace(t, "tenants-web"), c.namespace(t, "tenants-mallory")
	sim, endpoint := server(t, time.Hour, shop)
	c.run(t)
	owned := c.credential(t, shop, endpoint, func(cred *v1alpha1.FluentCredential) {
		cred.Spec.AllowedNamespaces = &v1alpha1.AllowedNamespaces{Names: []string{web}}
	})
	c.rotated(t, owned, 1)
	t.Run("a guessed login names no other namespace", func(t *testing.T) {
		guessed := c.credential(t, mallory, endpoint, func(cred *v1alpha1.FluentCredential) { cred.Spec.Suspend = true })
		login := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: mallory, Name: "orders-login"}}
		c.patch(t, login, `{"stringData":{"username":"`+shop+`","password":"a-guess"}}`)
		c.patch(t, guessed, `{"spec":{"suspend":false}}`)
		if message := c.says(t, guessed, v1alpha1.ReasonLoginInUse); strings.Contains(message, shop) {
			t.Errorf("the message names the other namespace: %s", message)
		}
		if attempts := sim.Ledger().Reuses; attempts > 0 {
			t.Errorf("%d spent refresh tokens were presented", attempts)
		}
	})
	t.Run("a consumer sees what the owner lists", func(t *testing.T) {
		token := &v1alpha1.FluentToken{
			ObjectMeta: metav1.ObjectMeta{Namespace: web, Name: "orders"},
			Spec: v1alpha1.FluentTokenSpec{
				CredentialRef: v1alpha1.CredentialReference{Namespace: shop, Name: owned.Name},
				Target:        v1alpha1.TargetSpec{Data: map[string]string{"retailer": "id={{ .RetailerID }}"}},
			},
		}
		c.create(t, token)
		secret := &corev1.Secret{}
		eventually(t, "the template is refused", func() (bool, any) {
			c.get(t, token, web, token.Name)
			ready := meta.FindStatusCondition(token.Status.Conditions, v1alpha1.ConditionReady)
			return ready != nil && ready.Reason == v1alpha1.ReasonTemplateInvalid, token.Status.Conditions
		})
		if c.get(t, secret, web, "orders") {
			t.Error("a Secret was published")
		}
		c.patch(t, owned, `{"spec":{"allowedNamespaces":{"replyMembers":["RetailerID"]}}}`)
		eventually(t, "the Secret is published", func() (bool, any) {
			there := c.get(t, secret, web, "orders")
			return there && strings.HasPrefix(string(secret.Data["retailer"]), "id="), token.Status.Conditions
		})
	})
	t.Run("nobody takes the name of a state", func(t *testing.T) {
		c.hire(t, mallory)
		spoil := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: mallory, Name: "spoil-fluent-state"}}
		if err := c.as(t, general).Create(t.Context(), spoil); err == nil {
			t.Error("a Secret with the name of a state is admitted")
		}
	})
	t.Run("a refresh token is revoked nowhere else", func(t *testing.T) { c.revokesNowhereElse(t, sim, shop) })
}

// revokesNowhereElse changes the revocation endpoint of a FluentCredential that lives on a refresh token alone, and deletes it.
func (c *cluster) revokesNowhereElse(t *testing.T, sim *authsim.Server, user string) {
	t.Helper()
	var elsewhere atomic.Int64
	listener := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/elsewhere" {
			elsewhere.Add(1)
		}
		sim.ServeHTTP(w, r)
	}))
	t.Cleanup(listener.Close)
	reply, err := http.PostForm(listener.URL+"/oauth/token", url.Values{
		"grant_type": {"password"}, "username": {user}, "password": {"a-password"}, "client_id": {"client"},
		"client_secret": {"a-client-secret"}, "scope": {"api"},
	})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = reply.Body.Close() }()
	var granted struct {
		RefreshToken string `json:"refresh_token"`
	}
	if err := json.NewDecoder(reply.Body).Decode(&granted); err != nil || granted.RefreshToken == "" {
		t.Fatalf("status %d without a refresh token: %v", reply.StatusCode, err)
	}
	namespace := c.namespace(t, "tenants-seeded")
	c.create(t, &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "seeded-login"},
		StringData: map[string]string{"refresh_token": granted.RefreshToken, "client_id": "client", "client_secret": "a-client-secret"},
	})
	cred := &v1alpha1.FluentCredential{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "seeded"},
		Spec: v1alpha1.FluentCredentialSpec{
			Provider: v1alpha1.ProviderSpec{OAuth2: &v1alpha1.OAuth2Provider{
				TokenURL:      v1alpha1.TokenURL(listener.URL + "/oauth/token"),
				RevocationURL: v1alpha1.TokenURL(listener.URL + "/revoke"),
			}},
			CredentialsSecretRef: v1alpha1.CredentialsSecretReference{Name: "seeded-login"}, Scope: "api",
			Target: v1alpha1.TargetSpec{Name: "seeded-token"},
		},
	}
	c.create(t, cred)
	c.rotated(t, cred, 1)
	c.patch(t, cred, `{"spec":{"provider":{"oauth2":{"revocationURL":"`+listener.URL+`/elsewhere"}}}}`)
	if err := c.admin.Delete(t.Context(), cred); err != nil {
		t.Fatal(err)
	}
	eventually(t, "it is gone", func() (bool, any) { return !c.get(t, cred, namespace, cred.Name), cred.Finalizers })
	if elsewhere.Load() > 0 {
		t.Errorf("the refresh token was sent to the new revocation endpoint")
	}
}

// patch merges a change into an object, as an administrator.
func (c *cluster) patch(t *testing.T, object client.Object, change string) {
	t.Helper()
	if err := c.admin.Patch(t.Context(), object, client.RawPatch(types.MergePatchType, []byte(change))); err != nil {
		t.Fatal(err)
	}
}
