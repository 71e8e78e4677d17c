package controllers

import (
	"bytes"
	"context"
	"errors"
	"net/http"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/fluent-credential/operator/api/v1alpha1"
	"github.com/fluent-credential/operator/hack/authsim"
	"github.com/fluent-credential/operator/internal/custody"
)

// What people and machines do to a cluster that must not stop a rotation, nor spend a token in vain.

func TestCopiedWorkloadSecretHoldsNothingUp(t *testing.T) {
	t.Parallel()
	d := newDriven(t, nil)
	wait := d.settle()
	copied := secret(t, d.cred.Namespace, "orders-token")
	copied.ObjectMeta = metav1.ObjectMeta{
		Namespace: copied.Namespace, Name: "a-copy", Labels: copied.Labels, Annotations: copied.Annotations,
	}
	create(t, copied)
	d.sleep(wait)
	d.settle()
	if serial := d.status().Token.Serial; serial != 2 {
		t.Errorf("serial %d, want 2: a copy of the Secret stopped the rotation", serial)
	}
	if left := secret(t, d.cred.Namespace, "a-copy"); left.Name == "" {
		t.Error("somebody's copy was deleted")
	}
}

func TestRenamedKeysAreNoticed(t *testing.T) {
	t.Parallel()
	d := newDrivenWith(t, nil, func(login *corev1.Secret) {
		login.StringData["USER"] = login.StringData["username"]
		delete(login.StringData, "username")
	}, nil)
	d.settle()
	edit(t, d.cred, func(cred *v1alpha1.FluentCredential) {
		cred.Spec.CredentialsSecretRef.Keys = map[string]v1alpha1.SecretKey{"username": "USER"}
	})
	d.settle()
	if got := d.status().Summary.Reason; got != v1alpha1.ReasonTokenPublished {
		t.Errorf("says %s after the keys were set right", got)
	}
}

func TestDoubtAboutABackupSurvivesAFailure(t *testing.T) {
	t.Parallel()
	d := newDriven(t, nil)
	wait := d.settle()
	old := d.state()
	d.sleep(wait)
	d.sleep(d.settle())
	d.editState(func(state *corev1.Secret) {
		state.Data = old.Data
		state.OwnerReferences[0].UID = "00000000-0000-0000-0000-000000000000" // of the object before the restore
	})
	edit(t, secret(t, d.cred.Namespace, "orders-token"), func(s *corev1.Secret) { s.Annotations[v1alpha1.SerialAnnotation] = "1" })
	d.server.AddFault(fault(t, "every x1: rate-limited 1"))
	d.runFor(20 * time.Second)
	if reuses := d.server.Ledger().Reuses; reuses != 0 {
		t.Errorf("the refresh token of a backup was presented, %d reuses, although the login could be used", reuses)
	}
}

func TestFinalizerThatWasTakenAwayComesBack(t *testing.T) {
	t.Parallel()
	r := startReady(t, longLived)
	edit(t, r.cred, func(cred *v1alpha1.FluentCredential) { cred.Finalizers = nil })
	eventually(t, "the finalizer is back", func() (bool, any) {
		now := reread(t, r.cred).Finalizers
		return len(now) == 1, now
	})
}

func TestStateOfANewerOperatorIsLeftAlone(t *testing.T) {
	t.Parallel()
	d := newDriven(t, nil)
	d.settle()
	newer := func(state *corev1.Secret) {
		state.Data["state.json"] = bytes.Replace(state.Data["state.json"], []byte(`"version":1`), []byte(`"version":9`), 1)
	}
	d.editState(newer)
	d.settle()
	if got := d.status().Summary; got.Reason != v1alpha1.ReasonStateInvalid {
		t.Errorf("says %s: %s, want StateInvalid", got.Reason, got.Message)
	}
	if err := live.Delete(t.Context(), reread(t, d.cred)); err != nil {
		t.Fatal(err)
	}
	d.settle()
	if left := reread(t, d.cred); left.Name != "" {
		t.Errorf("the deletion hangs: %v", left.Finalizers)
	}
}

func TestRaisedSerialIsAnEdit(t *testing.T) {
	t.Parallel()
	d := newDriven(t, longLived)
	d.settle()
	access := d.access()
	edit(t, secret(t, d.cred.Namespace, "orders-token"), func(s *corev1.Secret) {
		s.Annotations[v1alpha1.SerialAnnotation], s.Data["access_token"] = "99", []byte("forged")
	})
	eventually(t, "the edit is seen by the cache and repaired", func() (bool, any) {
		d.settle()
		return d.access() == access, nil
	})
	if requests := d.server.Ledger().Requests; requests != 1 {
		t.Errorf("%d requests, want the first one only", requests)
	}
}

// TestTargetWithTheStatesName: admission refuses it, and an object that is older than the rule gets no token.
func TestTargetWithTheStatesName(t *testing.T) {
	t.Parallel()
	for _, name := range custody.Names("orders") {
		d := newDriven(t, nil)
		for range 3 {
			stored := reread(t, d.cred)
			stored.Spec.Target.Name = name
			if _, err := d.Reconcile(ctrl.LoggerInto(t.Context(), ctrl.Log), stored); err != nil {
				t.Fatal(err)
			}
		}
		if got := d.status().Summary.Reason; got != v1alpha1.ReasonTargetConflict {
			t.Errorf("target %s: says %s, want TargetConflict", name, got)
		}
		if requests := d.server.Ledger().Requests; requests != 0 {
			t.Errorf("target %s: %d requests for a token that cannot be published", name, requests)
		}
	}
}

// stopping cancels the operator's context in the middle of a write, as SIGTERM can.
type stopping struct {
	client.Writer
	stop context.CancelFunc
}

func (s *stopping) Update(ctx context.Context, object client.Object, options ...client.UpdateOption) error {
	s.stop()
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return s.Writer.Update(ctx, object, options...)
}

func TestStopDuringTheClaimFinishesTheExchange(t *testing.T) {
	t.Parallel()
	d := newDriven(t, nil)
	d.sleep(d.settle())
	ctx, stop := context.WithCancel(ctrl.LoggerInto(t.Context(), ctrl.Log))
	whole := d.Custody.Writer
	d.Custody.Writer = &stopping{whole, stop}
	if _, err := d.Reconcile(ctx, reread(t, d.cred)); err != nil && !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	d.Custody.Writer = whole
	d.Drain()
	if status := d.status(); status.Token.Serial != 2 {
		t.Errorf("serial %d after a stop during the claim, want 2: it was begun, so it is finished", status.Token.Serial)
	}
	mustRotateCleanly(t, d.server.Ledger(), 1)
	if code := d.server.pings(t, d.access()); code != http.StatusOK {
		t.Errorf("the published token gets HTTP %d", code)
	}
}

func TestLostReplyBesideAWrongPassword(t *testing.T) {
	t.Parallel()
	d := newChain(t, v1alpha1.LostReplyAuto, false)
	d.sleep(d.settle())
	d.server.SetPassword(user, "changed-on-the-server-only")
	d.server.AddFault(fault(t, "1st: server-error 502"))
	d.runFor(time.Minute)
	if got := d.status().Summary.Reason; got != v1alpha1.ReasonTokenPublished {
		t.Errorf("says %s, want TokenPublished: the refresh token was intact", got)
	}
	if got := d.server.Ledger().RequestsOf(authsim.GrantPassword); got != 2 {
		t.Errorf("the password was used %d times, want twice", got)
	}
}
