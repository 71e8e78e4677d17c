package install

import (
	"context"
	"fmt"
	"os"
	"strings"
	"testing"

	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/fluent-credential/operator/api/v1alpha1"
)

// TestChangeNeedsTheRightsThatItNewlyUses: what was there and stays as it was needs no right.
func TestChangeNeedsTheRightsThatItNewlyUses(t *testing.T) {
	c := policed(t)
	namespace := c.namespace(t, "authors-change")
	c.hire(t, namespace)
	plain := order(namespace, "orders", nil)
	shared := order(namespace, "shared", sharing("web", "api"))
	selected := order(namespace, "selected", func(cred *v1alpha1.FluentCredential) {
		sharing("web", "api")(cred)
		cred.Spec.AllowedNamespaces.Selector = &metav1.LabelSelector{MatchLabels: map[string]string{"team": "web"}}
	})
	rolls := order(namespace, "rolls", func(cred *v1alpha1.FluentCredential) {
		cred.Spec.Delivery.Restart = []v1alpha1.RestartReference{{Kind: v1alpha1.RestartDeployment, Name: "stock"}}
	})
	bare := order(namespace, "bare", func(cred *v1alpha1.FluentCredential) { cred.Spec.Target = v1alpha1.TargetSpec{} })
	token := wish(namespace, "orders", nil)
	c.create(t, plain, shared, selected, rolls, bare, token)
	const toMine = `{"spec":{"provider":{"fluent":{"baseURL":"https://mine.example.com"}}}}`
	c.try(t, map[string]attempt{
		"editor shares a member": {
			"consumers would see more of the reply", editor,
			patches(shared, `{"spec":{"allowedNamespaces":{"replyMembers":["tenant"]}}}`), needsToShare + "orders-token",
		},
		"owner shares a member": {
			"they may read that Secret", owner,
			patches(shared, `{"spec":{"allowedNamespaces":{"replyMembers":["tenant"]}}}`), needsNoRight,
		},
		"editor sends it elsewhere": {
			"the login would go to a host of theirs", editor, patches(plain, toMine), needsGet + "orders-login",
		},
		"consumer sends it elsewhere": {
			"they have the login, and write the target", consumer, patches(plain, toMine), needsCreate,
		},
		"owner sends it elsewhere": {"they have all rights", owner, patches(plain, toMine), needsNoRight},
		"editor adds a header": {
			"it is part of the endpoint", editor,
			patches(plain, `{"spec":{"provider":{"fluent":{"headers":{"X-A":"b"}}}}}`), needsGet,
		},
		"editor takes another login": {
			"the password would be used", editor,
			patches(plain, `{"spec":{"credentialsSecretRef":{"name":"stock-login"}}}`), needsGet + "stock-login",
		},
		"owner takes another login": {
			"they may not get that one", owner,
			patches(plain, `{"spec":{"credentialsSecretRef":{"name":"stock-login"}}}`), needsGet + "stock-login",
		},
		"editor renames a key": {
			"a password becomes a user name, which people see", editor,
			patches(plain, `{"spec":{"credentialsSecretRef":{"keys":{"client_id":"password"}}}}`), needsGet,
		},
		"editor widens the scope": {
			"the token would be another one", editor, patches(plain, `{"spec":{"scope":"admin"}}`), needsGet,
		},
		"editor renames the target": {
			"another Secret would be written", editor,
			patches(plain, `{"spec":{"target":{"name":"new"}}}`), needsCreate,
		},
		"maker renames the target": {
			"its readers become others", maker,
			patches(plain, `{"spec":{"target":{"name":"new"}}}`), needsFormer + "orders-token",
		},
		"reader renames to their own": {
			"they would read the token of a login that they may not get", reader,
			patches(plain, `{"spec":{"target":{"name":"mine-token"}}}`), needsFormer + "orders-token",
		},
		"owner renames the target": {
			"they may read it anyway", owner, patches(plain, `{"spec":{"target":{"name":"new"}}}`), needsNoRight,
		},
		"editor drops the target": {
			"the default name is another name", editor, patches(plain, `{"spec":{"target":null}}`), needsCreate,
		},
		"editor sets the default": {
			"a name that is written out is a change as well", editor,
			patches(bare, `{"spec":{"target":{"name":"bare"}}}`), needsCreate,
		},
		"editor adds an annotation": {
			"a replicator may copy the Secret", editor,
			patches(plain, `{"spec":{"target":{"annotations":{"example.com/copy-to":"web"}}}}`), needsCreate,
		},
		"reader adds an annotation": {
			"a replicator may copy the Secret", reader,
			patches(plain, `{"spec":{"target":{"annotations":{"example.com/copy-to":"web"}}}}`), needsFormer,
		},
		"editor adds an entry": {
			"a constant is a Secret of their making", editor,
			patches(plain, `{"spec":{"target":{"data":{"a":"b"}}}}`), needsCreate,
		},
		"editor retains": {
			"it is part of the target", editor,
			patches(plain, `{"spec":{"target":{"deletionPolicy":"Retain"}}}`), needsCreate,
		},
		"suspended, editor changes": {
			"it can be resumed", editor,
			patches(plain, `{"spec":{"suspend":true,"provider":{"fluent":{"account":"OTHER"}}}}`), needsGet,
		},
		"editor suspends": {
			"nothing new is read or written", editor, patches(plain, `{"spec":{"suspend":true}}`), needsNoRight,
		},
		"editor refreshes earlier": {
			"nothing new is read or written", editor,
			patches(plain, `{"spec":{"refresh":{"beforePercentage":50}}}`), needsNoRight,
		},
		"editor rotates": {
			"a login is spent as the FluentCredential says, which the right to update it covers", editor,
			patches(plain, `{"metadata":{"annotations":{"auth.fluent-credential.dev/rotate":"1"}}}`), needsNoRight,
		},
		"editor labels": {
			"metadata only", editor, patches(plain, `{"metadata":{"labels":{"team":"shop"}}}`), needsNoRight,
		},
		"operator adds its finalizer": {
			"metadata only", operatorUser,
			patches(plain, `{"metadata":{"finalizers":["auth.fluent-credential.dev/release"]}}`), needsNoRight,
		},
		"editor writes nothing new": {
			"a GitOps controller applies again and again", editor,
			updates(plain, func(*v1alpha1.FluentCredential) {}), needsNoRight,
		},
		"editor nudges": {
			"the annotation is harmless, and the default", editor,
			patches(plain, `{"spec":{"delivery":{"nudgePods":true}}}`), needsNoRight,
		},
		"editor restarts": {
			"they may not roll it", editor,
			patches(plain, `{"spec":{"delivery":{"restart":[{"kind":"Deployment","name":"orders"}]}}}`),
			needsToPatch + "Deployment/orders",
		},
		"owner restarts": {
			"they may patch it", owner,
			patches(plain, `{"spec":{"delivery":{"restart":[{"kind":"Deployment","name":"orders"}]}}}`), needsNoRight,
		},
		"owner restarts one more": {
			"what was named before stays", owner,
			patches(rolls, `{"spec":{"delivery":{"restart":[{"kind":"Deployment","name":"stock"},{"kind":"Deployment","name":"orders"}]}}}`),
			needsNoRight,
		},
		"the same name, another kind": {
			"it is another workload", owner,
			patches(rolls, `{"spec":{"delivery":{"restart":[{"kind":"StatefulSet","name":"stock"}]}}}`),
			needsToPatch + "StatefulSet/stock",
		},
		"editor restarts no more": {
			"nothing is rolled", editor, patches(rolls, `{"spec":{"delivery":null}}`), needsNoRight,
		},
		"editor shares": {
			"they could read it there and not here", editor,
			patches(plain, `{"spec":{"allowedNamespaces":{"names":["mine"]}}}`), needsToShare + "orders-token",
		},
		"owner shares": {
			"they may read it anyway", owner,
			patches(plain, `{"spec":{"allowedNamespaces":{"names":["mine"]}}}`), needsNoRight,
		},
		"editor shares with more": {
			"they could read it there and not here", editor,
			patches(shared, `{"spec":{"allowedNamespaces":{"names":["web","api","mine"]}}}`), needsToShare,
		},
		"editor swaps a namespace": {
			"the number is the same, the namespace is not", editor,
			patches(shared, `{"spec":{"allowedNamespaces":{"names":["web","mine"]}}}`), needsToShare,
		},
		"editor shares by a selector": {
			"they could read it there and not here", editor,
			patches(shared, `{"spec":{"allowedNamespaces":{"selector":{}}}}`), needsToShare,
		},
		"editor changes the selector": {
			"nobody can tell whether it selects fewer", editor,
			patches(selected, `{"spec":{"allowedNamespaces":{"selector":{"matchLabels":{"team":"api"}}}}}`),
			needsToShare,
		},
		"editor shares with fewer": {
			"nobody gets anything by it", editor,
			patches(shared, `{"spec":{"allowedNamespaces":{"names":["web"]}}}`), needsNoRight,
		},
		"editor sorts": {
			"a set has no order", editor,
			patches(shared, `{"spec":{"allowedNamespaces":{"names":["api","web"]}}}`), needsNoRight,
		},
		"editor shares with fewer names": {
			"the selector stays", editor,
			patches(selected, `{"spec":{"allowedNamespaces":{"names":["web"]}}}`), needsNoRight,
		},
		"editor drops the selector": {
			"nobody gets anything by it", editor,
			patches(selected, `{"spec":{"allowedNamespaces":{"selector":null}}}`), needsNoRight,
		},
		"editor shares with none": {
			"nobody gets anything by it", editor, patches(shared, `{"spec":{"allowedNamespaces":null}}`), needsNoRight,
		},
		"shared, editor suspends": {
			"what is given stays given", editor, patches(shared, `{"spec":{"suspend":true}}`), needsNoRight,
		},
		"shared, a new login and fewer": {
			"what is left of the list gets another token", editor,
			patches(shared, `{"spec":{"scope":"more","allowedNamespaces":{"names":["web"]}}}`), needsGet,
		},
		"token: editor, another source": {
			"the Secret would hold another token", editor,
			patches(token, `{"spec":{"credentialRef":{"name":"stock"}}}`), needsCreate,
		},
		"token: maker, another source": {
			"they may write Secrets", maker,
			patches(token, `{"spec":{"credentialRef":{"name":"stock"}}}`), needsNoRight,
		},
		"token: editor renames": {
			"another Secret would be written", editor,
			patches(token, `{"spec":{"target":{"name":"new"}}}`), needsCreate,
		},
		"token: reader renames": {
			"its readers become others", reader,
			patches(token, `{"spec":{"target":{"name":"mine-token"}}}`), needsFormer + "orders-token",
		},
		"token: editor labels": {
			"metadata only", editor, patches(token, `{"metadata":{"labels":{"team":"shop"}}}`), needsNoRight,
		},
		"token: editor restarts": {
			"they may not roll it", editor,
			patches(token, `{"spec":{"delivery":{"restart":[{"kind":"DaemonSet","name":"agent"}]}}}`),
			needsToPatch + "DaemonSet/agent",
		},
	})
}

// updates writes the stored object again, changed.
func updates(cred *v1alpha1.FluentCredential, change func(*v1alpha1.FluentCredential)) func(client.Client) error {
	return func(who client.Client) error {
		stored := &v1alpha1.FluentCredential{}
		if err := who.Get(context.Background(), client.ObjectKeyFromObject(cred), stored); err != nil {
			return err
		}
		change(stored)
		return who.Update(context.Background(), stored, client.DryRunAll)
	}
}

// steps makes changes one after the other, for good, and returns the first refusal.
func steps(all ...func(client.Client) error) func(client.Client) error {
	return func(who client.Client) error {
		for i, step := range all {
			if err := step(who); err != nil {
				return fmt.Errorf("step %d: %w", i+1, err)
			}
		}
		return nil
	}
}

func really(cred *v1alpha1.FluentCredential, patch string) func(client.Client) error {
	return func(who client.Client) error {
		return who.Patch(context.Background(), cred.DeepCopy(), client.RawPatch(types.MergePatchType, []byte(patch)))
	}
}

func made(cred *v1alpha1.FluentCredential) func(client.Client) error {
	return func(who client.Client) error { return who.Create(context.Background(), cred.DeepCopy()) }
}

func removed(cred *v1alpha1.FluentCredential) func(client.Client) error {
	return func(who client.Client) error { return who.Delete(context.Background(), cred.DeepCopy()) }
}

// TestNoSequenceOfChangesGivesMore: changes that are harmless one by one add up to nothing that one change could not
// do.
func TestNoSequenceOfChangesGivesMore(t *testing.T) {
	c := policed(t)
	namespace := c.namespace(t, "authors-steps")
	c.hire(t, namespace)
	each := func(name string, change func(*v1alpha1.FluentCredential)) *v1alpha1.FluentCredential {
		cred := order(namespace, name, change)
		c.create(t, cred)
		return cred
	}
	renamed, shared, suspended := each("renamed", nil), each("shared", sharing("web")), each("suspended", nil)
	recreated, back, rolls := each("recreated", nil), each("back", sharing("web")), each("rolls", func(cred *v1alpha1.FluentCredential) {
		cred.Spec.Delivery.Restart = []v1alpha1.RestartReference{{Kind: v1alpha1.RestartDeployment, Name: "stock"}}
	})
	lured := mine(namespace, "lured", nil)
	c.try(t, map[string]attempt{
		"share what is mine, then rename the target": {"the list would get the token of a Secret that the author may not get", reader, steps(
			made(mine(namespace, "first", sharing("web"))),
			really(mine(namespace, "first", nil), `{"spec":{"target":{"name":"orders-token"}}}`)), "step 2"},
		"rename the target to what is mine, then share": {"the rename is refused already", reader, steps(
			really(renamed, `{"spec":{"target":{"name":"mine-token"}}}`),
			really(renamed, `{"spec":{"allowedNamespaces":{"names":["mine"]}}}`)), needsFormer + "orders-token"},
		"create with what is mine, then take another's login": {"the list would get the other token", reader, steps(
			made(lured), really(lured, `{"spec":{"allowedNamespaces":{"names":["mine"]}}}`),
			really(lured, `{"spec":{"credentialsSecretRef":{"name":"orders-login"}}}`)), "step 3"},
		"create with what is mine, then take another's keys": {"the value would be printed as a user name", reader, steps(
			made(mine(namespace, "keys", nil)),
			really(mine(namespace, "keys", nil), `{"spec":{"credentialsSecretRef":{"name":"database","keys":{"username":"password"}}}}`)),
			needsGet + "database"},
		"suspend, then send it elsewhere": {"a change counts while it is suspended", editor, steps(
			really(suspended, `{"spec":{"suspend":true}}`),
			really(suspended, `{"spec":{"provider":{"fluent":{"account":"OTHER"}}}}`)), "step 2"},
		"delete, then create again": {"a creation is judged as a whole", editor, steps(
			removed(recreated), made(order(namespace, "recreated", nil))), "step 2"},
		"share with none, then with the former": {"what was taken away is given by the one who gives it back", editor, steps(
			really(shared, `{"spec":{"allowedNamespaces":null}}`),
			really(shared, `{"spec":{"allowedNamespaces":{"names":["web"]}}}`)), "step 2"},
		"share with none, change nothing": {"nothing is given back", editor, steps(
			really(back, `{"spec":{"allowedNamespaces":{"names":[]}}}`), really(back, `{"spec":{"suspend":true}}`)), needsNoRight},
		"restart no more, then again": {"what was taken away is named again", editor, steps(
			really(rolls, `{"spec":{"delivery":null}}`),
			really(rolls, `{"spec":{"delivery":{"restart":[{"kind":"Deployment","name":"stock"}]}}}`)), "step 2"},
	})
}

// TestStatusCarriesNoSpec: the policy does not see writes of the status, so they must change nothing else.
func TestStatusCarriesNoSpec(t *testing.T) {
	c := policed(t)
	namespace := c.namespace(t, "authors-status")
	cred := order(namespace, "orders", nil)
	c.create(t, cred)
	patch := `{"metadata":{"labels":{"a":"b"}},"spec":{"credentialsSecretRef":{"name":"database"},"suspend":true},"status":{"targetName":"written"}}`
	written := cred.DeepCopy()
	if err := c.operator(t).Status().Patch(t.Context(), written, client.RawPatch(types.MergePatchType, []byte(patch))); err != nil {
		t.Fatal(err)
	}
	if written.Status.TargetName != "written" || written.Spec.CredentialsSecretRef.Name != "orders-login" || written.Spec.Suspend {
		t.Errorf("a write of the status left %+v", written)
	}
}

// TestAuthorWithAllRightsIsNotHindered goes the way of an ordinary editor: create, edit, share, rename, delete.
func TestAuthorWithAllRightsIsNotHindered(t *testing.T) {
	c := policed(t)
	for _, who := range []string{owner, general} {
		t.Run(who, func(t *testing.T) {
			namespace := c.namespace(t, map[string]string{owner: "authors-owner", general: "authors-general"}[who])
			c.hire(t, namespace)
			cred := order(namespace, "orders", nil)
			err := steps(made(cred),
				really(cred, `{"metadata":{"annotations":{"auth.fluent-credential.dev/rotate":"1"}}}`),
				really(cred, `{"spec":{"provider":{"fluent":{"account":"OTHER"}},"scope":"api","refresh":{"before":"10m"}}}`),
				really(cred, `{"spec":{"allowedNamespaces":{"names":["web"]},"delivery":{"restart":[{"kind":"Deployment","name":"orders"}]}}}`),
				really(cred, `{"spec":{"allowedNamespaces":null}}`),
				really(cred, `{"spec":{"target":{"name":"new-token","data":{"token":"{{ .AccessToken }}"}}}}`),
				removed(cred))(c.as(t, who))
			if err != nil {
				t.Error(err)
			}
		})
	}
}

// TestDocumentedRoleIsEnough: what docs/install.md gives to an account of Argo CD or Flux admits what such a controller
// applies.
func TestDocumentedRoleIsEnough(t *testing.T) {
	c := policed(t)
	if out, err := c.kubectl(c.config, "", "apply", "-f", root("config", "samples", "namespace.yaml")); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	page, err := os.ReadFile(root("docs", "install.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, after, _ := strings.Cut(string(page), "```yaml\n")
	role, _, found := strings.Cut(after, "```")
	if !found || !strings.Contains(role, "name: orders-deployer") {
		t.Fatalf("no role in the page: %q", role)
	}
	if out, err := c.kubectl(c.config, role, "apply", "-f", "-"); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	const deployer = "system:serviceaccount:shop:deployer"
	c.create(t, &rbacv1.RoleBinding{
		ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "deployer"},
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "Role", Name: "orders-deployer"},
		Subjects:   []rbacv1.Subject{{Kind: "ServiceAccount", Namespace: "shop", Name: "deployer"}},
	})
	cred := order("shop", "orders", func(cred *v1alpha1.FluentCredential) {
		sharing("web")(cred)
		cred.Spec.Delivery.Restart = []v1alpha1.RestartReference{{Kind: v1alpha1.RestartDeployment, Name: "orders"}}
	})
	eventually(t, "the account has its rights", func() (bool, any) {
		err := c.as(t, deployer).Create(t.Context(), cred.DeepCopy(), client.DryRunAll)
		return err == nil, err
	})
	other := order("shop", "other", func(cred *v1alpha1.FluentCredential) { cred.Spec.CredentialsSecretRef.Name = "stock-login" })
	c.try(t, map[string]attempt{
		"its own": {"create, edit, share, remove", deployer, steps(made(cred),
			really(cred, `{"spec":{"scope":"api","target":{"data":{"token":"{{ .AccessToken }}"}}}}`),
			really(cred, `{"spec":{"allowedNamespaces":{"names":["web","api"]}}}`), removed(cred)), needsNoRight},
		"its own token":   {"it may create Secrets", deployer, creates(wish("shop", "orders", nil)), needsNoRight},
		"another's login": {"the Role does not name it", deployer, creates(other), needsGet + "stock-login"},
	})
}
