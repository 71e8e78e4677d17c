package controllers

import (
	"context"
	"encoding/json"
	"encoding/pem"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"

	admissionv1 "k8s.io/api/admission/v1"
	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/fluent-credential/operator/api/v1alpha1"
	"github.com/fluent-credential/operator/internal/custody"
)

// doorman is a webhook that is asked about every Secret that is written in a namespace.
type doorman struct {
	name  string
	ended atomic.Int32 // how many publications were kept waiting to their end
}

// newDoorman lets a Secret pass when hold returns.
func newDoorman(t *testing.T, namespace string, hold func(context.Context)) *doorman {
	t.Helper()
	d := &doorman{name: "doorman-" + namespace}
	webhook := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, request *http.Request) {
		var review admissionv1.AdmissionReview
		if err := json.NewDecoder(request.Body).Decode(&review); err != nil {
			return
		}
		if hold(request.Context()); review.Request.Name == "orders-token" {
			d.ended.Add(1)
		}
		review.Response = &admissionv1.AdmissionResponse{UID: review.Request.UID, Allowed: true}
		_ = json.NewEncoder(w).Encode(review)
	}))
	t.Cleanup(webhook.Close)
	url, patience, never, fail := webhook.URL+"/", int32(30), admissionregistrationv1.SideEffectClassNone, admissionregistrationv1.Fail
	create(t, &admissionregistrationv1.ValidatingWebhookConfiguration{
		ObjectMeta: metav1.ObjectMeta{Name: d.name},
		Webhooks: []admissionregistrationv1.ValidatingWebhook{{
			Name: "doorman.example.com", AdmissionReviewVersions: []string{"v1"}, SideEffects: &never, TimeoutSeconds: &patience, FailurePolicy: &fail,
			NamespaceSelector: inNamespace(namespace), Rules: []admissionregistrationv1.RuleWithOperations{secretWrites},
			ClientConfig: admissionregistrationv1.WebhookClientConfig{
				URL: &url, CABundle: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: webhook.Certificate().Raw}),
			},
		}},
	})
	t.Cleanup(func() { d.leave(t) })
	probe := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "probe"}}
	eventually(t, "the webhook is asked", func() (bool, any) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		err := live.Create(ctx, probe.DeepCopy())
		if err == nil {
			remove(t, probe.DeepCopy())
		}
		return err != nil, err
	})
	return d
}

func (d *doorman) leave(t *testing.T) {
	t.Helper()
	_ = live.Delete(context.Background(), &admissionregistrationv1.ValidatingWebhookConfiguration{ObjectMeta: metav1.ObjectMeta{Name: d.name}})
}

// TestNamespaceThatDoesNotAnswer: every write of a Secret there hangs in a webhook, and nobody else waits for it: no other consumer, and
// nothing that is the credential's own.
func TestNamespaceThatDoesNotAnswer(t *testing.T) {
	t.Parallel()
	m := newMany(t, 4)
	released := make(chan struct{})
	silence := newDoorman(t, m.webs[0], func(ctx context.Context) {
		select {
		case <-released:
		case <-ctx.Done():
		}
	})
	serial := m.renew(t) // it waits for the credential's own Secret
	for _, web := range m.webs[1:] {
		m.mustFollow(t, web, serial)
	}
	eventually(t, "the credential's status follows", func() (bool, any) {
		status := reread(t, m.cred).Status
		return status.Token.Serial == serial && status.LastHandledRotateAt == reread(t, m.cred).Rotate(), status
	})
	if ended := silence.ended.Load(); ended > 0 {
		t.Errorf("the credential's own status came when %d writes had been given up in the namespace that does not answer", ended)
	}
	if now := serialOf(secret(t, m.webs[0], "orders-token")); now != 1 {
		t.Fatalf("serial %d in the namespace that does not answer", now)
	}
	mustCountIn(t, m, v1alpha1.ConsumersStatus{Total: 4, Current: 3})
	next := m.renew(t) // nor does the next rotation wait
	for _, web := range m.webs[1:] {
		m.mustFollow(t, web, next)
	}
	silence.leave(t)
	close(released)
	eventuallyIn(t, 2*errorBackoffMost, "it follows by itself", func() (bool, any) {
		now := serialOf(secret(t, m.webs[0], "orders-token"))
		return now == next, now
	})
	mustCountIn(t, m, v1alpha1.ConsumersStatus{Total: 4, Current: 4})
}

// mustCountIn waits until the credential's status counts its consumers right.
func mustCountIn(t *testing.T, m *many, want v1alpha1.ConsumersStatus) {
	t.Helper()
	eventuallyIn(t, 4*countPause+consumerPatience, "the status counts", func() (bool, any) { now := m.counts(t); return now == want, now })
}

// TestSlowNamespaceIsCountedWhenItFollows: the status does not wait for it, and its FluentToken is Ready all the time.
func TestSlowNamespaceIsCountedWhenItFollows(t *testing.T) {
	t.Parallel()
	m := newMany(t, 2)
	mustCountIn(t, m, v1alpha1.ConsumersStatus{Total: 2, Current: 2})
	released := make(chan struct{})
	newDoorman(t, m.webs[0], func(ctx context.Context) {
		select {
		case <-released:
		case <-ctx.Done():
		}
	})
	serial := m.renew(t)
	want := v1alpha1.ConsumersStatus{Total: 2, Current: 1}
	eventually(t, "the status counts who has it", func() (bool, any) {
		status := reread(t, m.cred).Status
		return status.Token.Serial == serial && *status.Consumers == want, status
	})
	close(released)
	m.mustFollow(t, m.webs[0], serial)
	mustCountIn(t, m, v1alpha1.ConsumersStatus{Total: 2, Current: 2})
}

// TestConsumerWithoutItsSecretIsNotCounted: it was deleted, and cannot be written again.
func TestConsumerWithoutItsSecretIsNotCounted(t *testing.T) {
	t.Parallel()
	for name, spoil := range map[string]func(*testing.T, *corev1.Secret){
		"deleted": remove, "edited": edited(func(s *corev1.Secret) { s.Data["access_token"] = []byte("x") }),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m := newMany(t, 2)
			mustCountIn(t, m, v1alpha1.ConsumersStatus{Total: 2, Current: 2})
			relent := denyIn(t, m.webs[0], secretWrites, "object.?data['access_token'].orValue('') == 'eA=='") // the x below
			spoil(t, secret(t, m.webs[0], "orders-token"))
			mustCountIn(t, m, v1alpha1.ConsumersStatus{Total: 2, Current: 1})
			relent()
			m.mustFollow(t, m.webs[0], 1)
			mustCountIn(t, m, v1alpha1.ConsumersStatus{Total: 2, Current: 2})
		})
	}
}

// TestTokensWithoutConsentTakeNoPlace: as many as can be supplied at a time refer to the credential, and none of them lets go of its
// turn. The one that is permitted waits for none.
func TestTokensWithoutConsentTakeNoPlace(t *testing.T) {
	t.Parallel()
	a := newApart(t)
	for i := range distributionWidth {
		stranger := fluentToken(a.namespace, a.cred) // the credential's own namespace is not permitted
		stranger.Name += "-" + string(rune('a'+i))
		create(t, stranger)
		a.untilSeen(t, stranger)
		if !a.consumers.of(client.ObjectKeyFromObject(stranger), stranger.UID).take(t.Context()) {
			t.Fatal("somebody else has the turn")
		}
	}
	a.renew(t)
	cred := reread(t, a.cred)
	record, err := a.Custody.Open(t.Context(), custody.Owner{Namespace: cred.Namespace, Name: cred.Name, UID: cred.UID})
	if err != nil {
		t.Fatal(err)
	}
	supplied := make(chan int, 1)
	go func() { supplied <- a.supplyAll(t.Context(), cred, record) }()
	select {
	case count := <-supplied:
		if count != 1 {
			t.Errorf("%d were supplied, want the one", count)
		}
	case <-time.After(consumerPatience - time.Second):
		t.Error("the distribution waits for some that are not permitted")
	}
}

// TestStatusOfAConsumerWaitsForTheSecretsOfOthers: it is a view. What a person does in the meantime acts at once.
func TestStatusOfAConsumerWaitsForTheSecretsOfOthers(t *testing.T) {
	t.Parallel()
	a := newApart(t)
	serial := a.renew(t)
	cred := reread(t, a.cred)
	record, err := a.Custody.Open(t.Context(), custody.Owner{Namespace: cred.Namespace, Name: cred.Name, UID: cred.UID})
	if err != nil {
		t.Fatal(err)
	}
	rush, over := a.consumers.begin(cred.UID, record)
	told := func() int64 { return serialIn(get(t, &v1alpha1.FluentToken{}, a.web, "orders")) }
	if result, err := a.pass(t); err != nil || result.RequeueAfter != viewWait || told() == serial {
		t.Errorf("%+v, %v, and the status tells serial %d: it can wait", result, err, told())
	}
	if now := serialOf(secret(t, a.web, "orders-token")); now != serial {
		t.Errorf("serial %d in the Secret, want %d: that cannot wait", now, serial)
	}
	rush.begun.Store(true)
	a.settle(t)
	if told() != serial {
		t.Errorf("the status tells serial %d, want %d: all have their place", told(), serial)
	}
	over()
	_, over = a.consumers.begin(cred.UID, record)
	defer over()
	a.allow(t, names("other"))
	a.untilSeen(t, reread(t, a.cred))
	if _, err := a.pass(t); err != nil {
		t.Fatal(err)
	}
	a.mustWithhold(t)
}
