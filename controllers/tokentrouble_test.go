package controllers

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	admissionv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/events"
	testclock "k8s.io/utils/clock/testing"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/fluent-credential/operator/api/v1alpha1"
	"github.com/fluent-credential/operator/internal/metrics"
)

// apart is a FluentToken whose passes a test makes itself, of a credential that an operator keeps which does not work in its namespace.
type apart struct {
	*shared
	*TokenReconciler
	registry *prometheus.Registry
	told     *events.FakeRecorder
}

func newApart(t *testing.T) *apart {
	t.Helper()
	sim, shop, web := newServer(t, longLived), newNamespace(t), newNamespace(t)
	cred := credential(shop, "orders", sim)
	cred.Spec.AllowedNamespaces = names(web)
	r := &running{server: sim, operator: startOperator(t, shop), namespace: shop, cred: cred}
	create(t, loginSecret(shop, "orders-login"))
	create(t, cred)
	eventually(t, "Ready", ready(t, cred))
	a := &apart{
		shared: &shared{running: r, web: web, token: fluentToken(web, cred)}, registry: prometheus.NewRegistry(), told: events.NewFakeRecorder(100),
		TokenReconciler: newIdleTokens(t, testclock.NewFakePassiveClock(time.Now()), shop, web),
	}
	a.Metrics, a.Recorder = metrics.New(a.registry), a.told
	create(t, a.token)
	a.settle(t)
	return a
}

// pass makes one pass over the FluentToken, and returns what it came to.
func (a *apart) pass(t *testing.T) (ctrl.Result, error) {
	t.Helper()
	return a.Reconcile(t.Context(), get(t, &v1alpha1.FluentToken{}, a.web, "orders"))
}

// settle makes passes until one comes to rest.
func (a *apart) settle(t *testing.T) {
	t.Helper()
	eventually(t, "at rest", func() (bool, any) {
		result, err := a.pass(t)
		return err == nil && (result.RequeueAfter == 0 || result.RequeueAfter > lagWait), err
	})
}

// renew has the credential rotated, and waits until its status, which is what wakes a consumer, tells so to the test's reconciler.
func (a *apart) renew(t *testing.T) int64 {
	t.Helper()
	serial := a.shared.renew(t)
	eventually(t, "the status tells the new serial", func() (bool, any) {
		now := &v1alpha1.FluentCredential{}
		err := a.Client.Get(t.Context(), client.ObjectKeyFromObject(a.cred), now)
		return err == nil && now.Status.Token != nil && now.Status.Token.Serial == serial, now.Status.Token
	})
	return serial
}

// untilSeen waits until the cache of the test's reconciler shows the objects as they are.
func (a *apart) untilSeen(t *testing.T, objects ...client.Object) {
	t.Helper()
	for _, object := range objects {
		eventually(t, "the cache has caught up", func() (bool, any) {
			cached := object.DeepCopyObject().(client.Object)
			if _, isSecret := object.(*corev1.Secret); isSecret {
				cached = secretMetadata()
			}
			err := a.Client.Get(t.Context(), client.ObjectKeyFromObject(object), cached)
			if object.GetDeletionTimestamp().IsZero() && err == nil {
				return !isNewer(object.GetResourceVersion(), cached.GetResourceVersion()), cached.GetResourceVersion()
			}
			return client.IgnoreNotFound(err) == nil && err != nil && object.GetResourceVersion() == "", err
		})
	}
}

func (a *apart) condition(t *testing.T, kind string) metav1.Condition {
	t.Helper()
	if found := meta.FindStatusCondition(get(t, &v1alpha1.FluentToken{}, a.web, "orders").Status.Conditions, kind); found != nil {
		return *found
	}
	return metav1.Condition{}
}

// rival writes each Secret a moment before the reconciler does.
type rival struct {
	client.Client
	first func(client.Object)
}

func (r rival) Update(ctx context.Context, object client.Object, options ...client.UpdateOption) error {
	if _, isSecret := object.(*corev1.Secret); isSecret {
		r.first(object)
	}
	return r.Client.Update(ctx, object, options...)
}

// TestRaceIsNoFailure: somebody else keeps writing the Secret. Nothing is wrong with that, and nothing was published.
func TestRaceIsNoFailure(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		why   string
		first func(*testing.T, *apart, client.Object)
		wait  time.Duration
	}{
		"edited again and again": {"the next pass goes on", func(t *testing.T, a *apart, _ client.Object) {
			edit(t, secret(t, a.web, "orders-token"), func(s *corev1.Secret) { s.Data["access_token"] = append(s.Data["access_token"], 'x') })
		}, raceWait},
		"published by another replica": {"it is there", func(t *testing.T, _ *apart, wanted client.Object) {
			if err := live.Update(t.Context(), wanted.DeepCopyObject().(client.Object), client.FieldOwner(v1alpha1.OperatorName)); err != nil {
				t.Fatal(err)
			}
		}, 0},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a := newApart(t)
			done, failed := value(t, a.registry, "distributions_total", "done"), value(t, a.registry, "distributions_total", "failed")
			a.renew(t)
			a.Client = rival{a.Client, func(wanted client.Object) { test.first(t, a, wanted) }}
			result, err := a.pass(t)
			if err != nil || test.wait > 0 && result.RequeueAfter != test.wait {
				t.Errorf("%+v, %v: want %s: %s", result, err, test.wait, test.why)
			}
			if now := a.condition(t, v1alpha1.ConditionReady); now.Reason != v1alpha1.ReasonTokenPublished {
				t.Errorf("a race is told to people: %s %s", now.Reason, now.Message)
			}
			if d, f := value(t, a.registry, "distributions_total", "done"), value(t, a.registry, "distributions_total", "failed"); d != done || f != failed {
				t.Errorf("%v publications and %v refusals were counted; nothing was written, and nothing was refused", d-done, f-failed)
			}
		})
	}
}

// TestWithdrawalIsToldWhereThereWasOne: the consumer had deleted the Secret already.
func TestWithdrawalIsToldWhereThereWasOne(t *testing.T) {
	t.Parallel()
	for name, held := range map[string]bool{"the Secret is there": true, "it was deleted": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a := newApart(t)
			if published := secret(t, a.web, "orders-token"); !held {
				remove(t, published)
				published.ResourceVersion = ""
				a.untilSeen(t, published)
			}
			a.allow(t, names("other"))
			a.untilSeen(t, reread(t, a.cred))
			a.settle(t)
			told := false
			for len(a.told.Events) > 0 {
				event := <-a.told.Events
				told = told || strings.Contains(event, "TokenWithdrawn")
			}
			if told != held {
				t.Errorf("it is told to be withdrawn: %t; want %t", told, held)
			}
			a.mustWithhold(t)
		})
	}
}

// TestFormerSecretThatDoesNotGo: the one under the new name is there, and workloads have their token.
func TestFormerSecretThatDoesNotGo(t *testing.T) {
	t.Parallel()
	s := newPublished(t)
	relent := denyIn(t, s.web, secretDeletes, "false")
	edit(t, s.token, func(token *v1alpha1.FluentToken) { token.Spec.Target.Name = "renamed" })
	status := func() v1alpha1.FluentTokenStatus { return get(t, &v1alpha1.FluentToken{}, s.web, "orders").Status }
	eventually(t, "it is tried again", func() (bool, any) {
		now := meta.FindStatusCondition(status().Conditions, v1alpha1.ConditionReconciling)
		return now != nil && now.Reason == v1alpha1.ReasonPublishFailed && strings.Contains(now.Message, "orders-token"), status()
	})
	if now := status(); !meta.IsStatusConditionTrue(now.Conditions, v1alpha1.ConditionReady) || now.TargetName != "renamed" {
		t.Errorf("the token is published as renamed, and the status says %+v", now)
	}
	relent()
	eventuallyIn(t, 2*errorBackoffMost, "the former one goes", func() (bool, any) {
		found := s.secretsOf(t)
		return len(found) == 1 && meta.FindStatusCondition(status().Conditions, v1alpha1.ConditionReconciling) == nil, found
	})
}

// TestFluentTokenThatCannotBeReleasedSaysSo: its Secret does not go, so it stays itself.
func TestFluentTokenThatCannotBeReleasedSaysSo(t *testing.T) {
	t.Parallel()
	s := newPublished(t)
	relent := denyIn(t, s.web, secretDeletes, "false")
	if err := live.Delete(t.Context(), s.token); err != nil {
		t.Fatal(err)
	}
	eventually(t, "it says why", func() (bool, any) {
		status := get(t, &v1alpha1.FluentToken{}, s.web, "orders").Status
		now := meta.FindStatusCondition(status.Conditions, v1alpha1.ConditionReady)
		return now.Status == metav1.ConditionFalse && now.Reason == v1alpha1.ReasonPublishFailed && strings.Contains(now.Message, "orders-token"), status
	})
	relent()
	eventuallyIn(t, 2*errorBackoffMost, "it goes", func() (bool, any) {
		now := get(t, &v1alpha1.FluentToken{}, s.web, "orders")
		return now.Name == "", now
	})
	if found := s.secretsOf(t); len(found) > 0 {
		t.Errorf("%v is left of it", found)
	}
}

var secretDeletes = admissionv1.RuleWithOperations{
	Operations: []admissionv1.OperationType{admissionv1.Delete}, Rule: secretWrites.Rule,
}
