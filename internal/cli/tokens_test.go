package cli

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/fluent-credential/operator/api/v1alpha1"
)

// stageToken creates a FluentToken as an operator would leave it.
func stageToken(t *testing.T, namespace, name, reason string) *v1alpha1.FluentToken {
	t.Helper()
	token := &v1alpha1.FluentToken{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name},
		Spec: v1alpha1.FluentTokenSpec{
			CredentialRef: v1alpha1.CredentialReference{Namespace: "shop", Name: "orders"}, Target: v1alpha1.TargetSpec{Name: name + "-token"},
		},
	}
	create(t, token)
	status := metav1.ConditionFalse
	if reason == v1alpha1.ReasonTokenPublished {
		status = metav1.ConditionTrue
		token.Status.Token = &v1alpha1.PublishedTokenStatus{Serial: 3, ExpirationTime: metav1.NewTime(time.Now().Add(time.Hour))}
	}
	token.Status.Conditions = []metav1.Condition{condition(v1alpha1.ConditionReady, status, reason, "as the operator says")}
	if err := live.Status().Update(t.Context(), token); err != nil {
		t.Fatal(err)
	}
	return token
}

func TestFluentTokensAreListed(t *testing.T) {
	t.Parallel()
	namespace := newNamespace(t)
	stageToken(t, namespace, "good", v1alpha1.ReasonTokenPublished)
	stageToken(t, namespace, "waiting", v1alpha1.ReasonNotAllowed)
	listed := must(t, 0, "", "list", "-n", namespace)
	contains(t, listed.out, "FLUENTTOKEN", "CREDENTIAL", "shop/orders", "NotAllowed", "59m")
	if strings.Index(listed.out, "waiting") > strings.Index(listed.out, "good") {
		t.Errorf("the one without a token is not the first:\n%s", listed.out)
	}
	contains(t, must(t, 0, "", "list", "-n", namespace, "-o", "wide").out, "as the operator says")
	must(t, exitAttention, "", "list", "-n", namespace, "--exit-code")
}

func TestStatusOfAFluentToken(t *testing.T) {
	t.Parallel()
	namespace := newNamespace(t)
	stageToken(t, namespace, "good", v1alpha1.ReasonTokenPublished)
	stageToken(t, namespace, "waiting", v1alpha1.ReasonNotAllowed)
	contains(t, must(t, 0, "", "status", "ftok/good", "-n", namespace).out, "shop/orders", "serial 3", "TokenPublished")
	told := must(t, exitAttention, "", "status", "fluenttoken/waiting", "-n", namespace, "-o", "json").out
	var story tokenStory
	if err := json.Unmarshal([]byte(told), &story); err != nil {
		t.Fatal(err)
	}
	contains(t, story.Advice, "orders in namespace shop", namespace)
	must(t, 1, "", "status", "ftok/none", "-n", namespace)
}

func TestCheckOfAFluentToken(t *testing.T) {
	t.Parallel()
	shop, web := newNamespace(t), newNamespace(t)
	cred := credential(shop, "orders", "https://api.example.com")
	create(t, cred)
	manifest := `{"apiVersion":"auth.fluent-credential.dev/v1alpha1","kind":"FluentToken","metadata":{"name":"orders","namespace":"` + web +
		`"},"spec":{"credentialRef":{"namespace":"` + shop + `","name":"orders"}}}`
	file := filepath.Join(t.TempDir(), "token.yaml")
	if err := os.WriteFile(file, []byte(manifest), 0o600); err != nil {
		t.Fatal(err)
	}
	contains(t, must(t, exitAttention, "", "check", file).out, "accepts it", "does not allow "+web, "Secret orders will be made")
	cred.Spec.AllowedNamespaces = &v1alpha1.AllowedNamespaces{Names: []string{web}}
	if err := live.Update(t.Context(), cred); err != nil {
		t.Fatal(err)
	}
	contains(t, must(t, 0, "", "check", file).out, "allows "+web)
	reserved := strings.Replace(manifest, `"spec":{`, `"spec":{"target":{"name":"stock-fluent-state"},`, 1)
	if err := os.WriteFile(file, []byte(reserved), 0o600); err != nil {
		t.Fatal(err)
	}
	contains(t, must(t, exitAttention, "", "check", file).out, "kept for the operator's state")
	stageToken(t, web, "orders", v1alpha1.ReasonTokenPublished)
	contains(t, must(t, exitAttention, "", "check", "ftok/orders", "-n", web).out, "FluentCredential shop/orders")
}
