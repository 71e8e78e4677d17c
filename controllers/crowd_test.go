package controllers

import (
	"encoding/json"
	"fmt"
	"path/filepath"
	"slices"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/fluent-credential/operator/api/v1alpha1"
	"github.com/fluent-credential/operator/internal/custody"
)

// A tenant who may write the Secrets of one namespace can deny the commit of every exchange there, after its claim. As
// many of them as the operator has workers must not stop the credentials of others, the shutdown, or the next start.

const (
	crowded   = 24 // as many as startOperator has workers
	bystander = 4
)

// crowd is a namespace with many credentials whose commits are denied, beside one with good credentials.
type crowd struct {
	t          *testing.T
	bad, good  string // namespaces
	badServer  *server
	goodServer *server
	who        *rest.Config
	journal    string
	operator   *operator
	poisoned   map[string]bool // names of credentials
	rules      []rbacv1.PolicyRule
	isDenied   bool // to write any Secret of the bad namespace
}

// poison makes the commits of a namespace impossible, from the claim of each credential on.
type poison struct {
	why    string
	before func(*crowd)           // for the whole namespace, before the exchanges; nil: nothing
	each   func(*crowd, string)   // for one credential, once its claim is stored
	clear  func(*crowd, []string) // makes the commits possible again; nil: they are possible all the time
}

var poisons = map[string]poison{
	"an immutable state": {
		"the result is stored under the other name", nil,
		func(c *crowd, name string) { c.freeze(name) }, nil,
	},
	"an immutable state, and the other name taken": {
		"there is no place for the result", nil,
		func(c *crowd, name string) { c.occupy(custody.Names(name)[1]); c.freeze(name) },
		func(c *crowd, names []string) { c.vacate(1, names) },
	},
	"a foreign Secret in place of the state": {
		"nothing is written over it", nil,
		func(c *crowd, name string) { c.tear(name); c.occupy(custody.Names(name)[0]) },
		func(c *crowd, names []string) { c.vacate(0, names) },
	},
	"a policy": {
		"somebody has to change it", func(c *crowd) { forbidMarked(c.t, c.bad) },
		func(c *crowd, name string) { c.mark(name, true) },
		func(c *crowd, names []string) {
			for _, name := range names {
				c.mark(name, false)
			}
		},
	},
	"a quota, and the state torn away": {
		"it cannot be created", func(c *crowd) { forbidMore(c.t, c.bad) },
		func(c *crowd, name string) { c.tear(name) },
		func(c *crowd, _ []string) {
			quota := &corev1.ResourceQuota{ObjectMeta: metav1.ObjectMeta{Namespace: c.bad, Name: "few-secrets"}}
			if err := live.Delete(c.t.Context(), quota); err != nil {
				c.t.Fatal(err)
			}
		},
	},
	"a right that is missing": {
		"somebody has to give it back", nil,
		func(c *crowd, _ string) { c.permitWrites(false) },
		func(c *crowd, _ []string) { c.permitWrites(true) },
	},
}

func TestDeniedCommitsHoldNeitherOthersNorTheShutdownNorTheStart(t *testing.T) {
	t.Parallel()
	for name, test := range poisons {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := newCrowd(t)
			c.start()
			c.waitReady()
			if test.before != nil {
				test.before(c)
			}
			names := c.spoil(test.each)
			c.mustRotateGood("first")
			if test.clear != nil {
				c.mustTell(names)
			}
			for _, round := range []string{"second", "third"} {
				c.mustStopSoon()
				c.start()
				c.mustRotateGood(round)
			}
			if test.clear != nil {
				test.clear(c, names)
			}
			c.mustStoreAll(names, test.why)
		})
	}
}

func newCrowd(t *testing.T) *crowd {
	t.Helper()
	c := &crowd{t: t, good: newNamespace(t), bad: newNamespace(t), journal: t.TempDir(), poisoned: map[string]bool{}}
	c.goodServer = newServer(t, manyUsers(bystander, longLived))
	c.badServer = newServer(t, manyUsers(crowded, longLived))
	c.who = restricted(t, c.good, "role.yaml")
	permitTo(t, c.bad, "role.yaml", c.good)
	createMany(t, c.good, bystander, c.goodServer)
	createMany(t, c.bad, crowded, c.badServer)
	return c
}

func (c *crowd) start() { c.operator = startOperatorOn(c.t, c.journal, c.who, c.good, c.bad) }

func (c *crowd) all(namespace string) []v1alpha1.FluentCredential {
	c.t.Helper()
	var list v1alpha1.FluentCredentialList
	if err := live.List(c.t.Context(), &list, client.InNamespace(namespace)); err != nil {
		c.t.Fatal(err)
	}
	return list.Items
}

func (c *crowd) waitReady() {
	c.t.Helper()
	for _, namespace := range []string{c.good, c.bad} {
		for _, cred := range c.all(namespace) {
			eventuallyIn(c.t, 2*time.Minute, cred.Name+" is Ready", ready(c.t, &cred))
		}
	}
}

// rotate asks for new tokens of a namespace.
func (c *crowd) rotate(namespace, value string) {
	c.t.Helper()
	for _, cred := range c.all(namespace) {
		edit(c.t, &cred, func(cred *v1alpha1.FluentCredential) {
			metav1.SetMetaDataAnnotation(&cred.ObjectMeta, v1alpha1.RotateAnnotation, value)
		})
	}
}

// spoil lets the bad credentials rotate, and poisons each of them between its claim and its reply. It returns their
// names. What denies the whole namespace leaves the others without a claim.
func (c *crowd) spoil(each func(*crowd, string)) []string {
	c.t.Helper()
	c.badServer.AddFault(fault(c.t, "every refresh_token: slow 3s"))
	c.rotate(c.bad, "spoil")
	var names []string
	eventuallyIn(c.t, 2*time.Minute, "all are poisoned", func() (bool, any) {
		for _, cred := range c.all(c.bad) {
			if !c.poisoned[cred.Name] && c.isClaimed(cred.Name) {
				c.poisoned[cred.Name] = true
				names = append(names, cred.Name)
				each(c, cred.Name)
			}
		}
		asked := len(c.badServer.Ledger().RefreshTokens)
		return len(names) == crowded || c.isDenied, fmt.Sprintf("%d, %d issued", len(names), asked)
	})
	eventuallyIn(c.t, time.Minute, "all replies are here", func() (bool, any) {
		issued := len(c.badServer.Ledger().RefreshTokens)
		return issued >= crowded+len(names), issued
	})
	return names
}

// permitWrites takes the right to write Secrets of the bad namespace from the operator, or gives it back.
func (c *crowd) permitWrites(permitted bool) {
	c.t.Helper()
	var roles rbacv1.RoleList
	if err := live.List(c.t.Context(), &roles, client.InNamespace(c.bad)); err != nil || len(roles.Items) != 1 {
		c.t.Fatalf("%d roles, %v", len(roles.Items), err)
	}
	edit(c.t, &roles.Items[0], func(role *rbacv1.Role) {
		if c.rules == nil {
			c.rules = role.DeepCopy().Rules
		}
		role.Rules = slices.Clone(c.rules)
		for i, rule := range role.Rules {
			if !permitted && slices.Equal(rule.Resources, []string{"secrets"}) {
				role.Rules[i].Verbs = []string{"get", "list", "watch"}
			}
		}
	})
	c.isDenied = !permitted
}

// isClaimed looks at the stored document.
func (c *crowd) isClaimed(name string) bool {
	var state corev1.Secret
	if live.Get(c.t.Context(), client.ObjectKey{Namespace: c.bad, Name: custody.Names(name)[0]}, &state) != nil {
		return false
	}
	var document struct {
		Serial int64           `json:"serial"`
		Claim  json.RawMessage `json:"claim"`
	}
	return json.Unmarshal(state.Data["state.json"], &document) == nil && document.Serial == 1 && document.Claim != nil
}

// mustRotateGood shows that the good credentials get new tokens, and are Ready.
func (c *crowd) mustRotateGood(value string) {
	c.t.Helper()
	before := c.all(c.good)
	c.rotate(c.good, value)
	for _, cred := range before {
		eventuallyIn(c.t, 30*time.Second, cred.Name+" rotates beside the bad ones", func() (bool, any) {
			status := reread(c.t, &cred).Status
			isRotated := cred.Status.Token != nil && status.Token.Serial > cred.Status.Token.Serial
			return isRotated && status.LastHandledRotateAt == value && status.Summary.Reason == v1alpha1.ReasonTokenPublished, status
		})
	}
}

// mustTell shows that each bad credential says what it waits for.
func (c *crowd) mustTell(names []string) {
	c.t.Helper()
	for _, name := range names {
		cred := &v1alpha1.FluentCredential{ObjectMeta: metav1.ObjectMeta{Namespace: c.bad, Name: name}}
		eventually(c.t, name+" says that its state cannot be written", func() (bool, any) {
			status := reread(c.t, cred).Status
			return status.Summary.Reason == v1alpha1.ReasonStateUnwritable || status.Summary.Reason == v1alpha1.ReasonStateInvalid, status
		})
	}
}

func (c *crowd) mustStopSoon() {
	c.t.Helper()
	began := time.Now()
	c.operator.stop()
	if took := time.Since(began); took > 30*time.Second {
		c.t.Errorf("the shutdown took %s", took)
	}
}

// mustStoreAll shows that every reply is stored and published in the end, and that nothing was presented twice.
func (c *crowd) mustStoreAll(names []string, why string) {
	c.t.Helper()
	for _, name := range names {
		cred := &v1alpha1.FluentCredential{ObjectMeta: metav1.ObjectMeta{Namespace: c.bad, Name: name}}
		eventuallyIn(c.t, 3*time.Minute, name+" has the token of its reply: "+why, func() (bool, any) {
			status := reread(c.t, cred).Status
			return status.Token.Serial >= 2 && status.Summary.Reason == v1alpha1.ReasonTokenPublished, status
		})
	}
	ledger := c.badServer.Ledger()
	if presented := mostPresented(ledger); presented != 1 || ledger.Reuses != 0 {
		c.t.Errorf("a refresh token was presented %d times, %d reuses", presented, ledger.Reuses)
	}
	eventually(c.t, "the journal is empty", func() (bool, any) {
		left, _ := filepath.Glob(filepath.Join(c.journal, "*.reply"))
		return len(left) == 0, left
	})
}

func (c *crowd) freeze(name string) {
	c.t.Helper()
	edit(c.t, secret(c.t, c.bad, custody.Names(name)[0]), func(s *corev1.Secret) { s.Immutable = ptr.To(true) })
}

func (c *crowd) occupy(name string) {
	c.t.Helper()
	create(c.t, &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: c.bad, Name: name}})
}

// vacate deletes the Secrets that have the first or the second name of the states.
func (c *crowd) vacate(which int, names []string) {
	c.t.Helper()
	for _, name := range names {
		remove(c.t, secret(c.t, c.bad, custody.Names(name)[which]))
	}
}

// tear deletes a state Secret together with our finalizer.
func (c *crowd) tear(name string) {
	c.t.Helper()
	state := secret(c.t, c.bad, custody.Names(name)[0])
	edit(c.t, state, func(s *corev1.Secret) { s.Finalizers = nil })
	remove(c.t, state)
}

// mark makes the policy of forbidMarked deny what the operator writes to a state Secret, or ends that.
func (c *crowd) mark(name string, isDenied bool) {
	c.t.Helper()
	edit(c.t, secret(c.t, c.bad, custody.Names(name)[0]), func(s *corev1.Secret) {
		delete(s.Labels, "denied")
		if isDenied {
			s.Labels["denied"] = "true"
		}
	})
}

// forbidMarked is a policy against updates of Secrets that have a label.
func forbidMarked(t *testing.T, namespace string) {
	t.Helper()
	forbid(t, namespace, "oldObject == null || !has(oldObject.metadata.labels) || !('denied' in oldObject.metadata.labels) || "+
		"!has(object.metadata.labels) || !('denied' in object.metadata.labels)", "nobody changes a marked Secret")
	probe := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "probe", Labels: map[string]string{"denied": "true"}}}
	create(t, probe)
	eventually(t, "the policy is in force", func() (bool, any) {
		err := live.Update(t.Context(), probe.DeepCopy(), client.DryRunAll)
		return err != nil, err
	})
	remove(t, probe)
}
