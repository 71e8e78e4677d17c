package controllers

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/fluent-credential/operator/api/v1alpha1"
	"github.com/fluent-credential/operator/hack/authsim"
	"github.com/fluent-credential/operator/internal/custody"
)

// stoppedAtTheGuard ends the operator's context while the login guard writes an attempt down.
type stoppedAtTheGuard struct {
	client.Writer
	stop context.CancelFunc
}

func (s *stoppedAtTheGuard) Create(ctx context.Context, object client.Object, options ...client.CreateOption) error {
	s.stop()
	return s.Writer.Create(ctx, object, options...)
}

// TestStopBeforeTheClaimClaimsNothing: whoever is told to stop while the login guard is asked begins nothing any more, gives the attempt
// back, and calls nothing a failure.
func TestStopBeforeTheClaimClaimsNothing(t *testing.T) {
	t.Parallel()
	d := newGuarded(t, nil, true)
	d.pass() // the finalizer
	ctx, stop := context.WithCancel(ctrl.LoggerInto(t.Context(), ctrl.Log))
	d.Guard.Writer = &stoppedAtTheGuard{live, stop}
	if _, err := d.Reconcile(ctx, reread(t, d.cred)); !errors.Is(err, context.Canceled) {
		t.Fatalf("error %v, want that of the context that ended", err)
	}
	if ctx.Err() == nil {
		t.Fatal("the guard was never asked")
	}
	if sent := d.server.Ledger().Requests; sent != 0 {
		t.Errorf("%d requests were sent after the stop", sent)
	}
	for _, condition := range d.status().Conditions {
		if condition.Reason == v1alpha1.ReasonPublishFailed {
			t.Errorf("%s says %s: %s; nothing failed", condition.Type, condition.Reason, condition.Message)
		}
	}
	d.Guard.Writer = live
	d.server.SetPassword(user, "changed-on-the-server-only")
	d.settle()
	d.setLogin(func(login map[string][]byte) { login["password"] = []byte("changed-on-the-server-only") })
	d.settle()
	if got := d.status().Summary.Reason; got != v1alpha1.ReasonTokenPublished {
		t.Errorf("says %s: the login that was never tried counts against the guard's budget", got)
	}
}

// heldUp turns the clock while a claim is written, as it goes on while a process is frozen.
type heldUp struct {
	client.Writer
	sleep func()
}

func (h *heldUp) Update(ctx context.Context, object client.Object, options ...client.UpdateOption) error {
	err := h.Writer.Update(ctx, object, options...)
	h.sleep()
	return err
}

// TestFence: a claim that is older than SpendBefore is not spent any more; it is given back, and the token is as good as before.
func TestFence(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		frozen time.Duration
		sent   int
		why    string
	}{
		"in time":  {SpendBefore - time.Second, 1, "the claim is young enough"},
		"too late": {SpendBefore + time.Second, 0, "somebody else may be recovering the claim"},
		"a day":    {24 * time.Hour, 0, "a virtual machine that was paused sees it on the wall clock only"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := newJournaled(t)
			d.sleep(d.settle())
			whole, before := d.Custody.Writer, d.server.Ledger().Requests
			d.Custody.Writer = &heldUp{whole, func() { d.sleep(test.frozen) }}
			d.pass()
			d.Custody.Writer = whole
			if sent := d.server.Ledger().Requests - before; sent != test.sent {
				t.Errorf("%d requests after %s, want %d: %s", sent, test.frozen, test.sent, test.why)
			}
			d.runFor(time.Minute)
			if ledger := d.server.Ledger(); ledger.Reuses != 0 || ledger.RequestsOf(authsim.GrantPassword) != 1 {
				t.Errorf("%d reuses, %d passwords; want none, and the first one", ledger.Reuses, ledger.RequestsOf(authsim.GrantPassword))
			}
		})
	}
}

// denying is an API server with a rule of admission against every change of a state Secret.
type denying struct{ client.Writer }

func (denying) Update(_ context.Context, object client.Object, _ ...client.UpdateOption) error {
	return apierrors.NewForbidden(schema.GroupResource{Resource: "secrets"}, object.GetName(), errors.New("a rule of admission"))
}

// TestRevocationThatCannotBeClaimed: the claim of a revocation is refused for ever, and the deletion goes on without it.
func TestRevocationThatCannotBeClaimed(t *testing.T) {
	t.Parallel()
	d := newSpeaking(t, apis["oauth2 Basic"], nil, nil)
	d.settle()
	d.Custody.Writer = denying{d.Custody.Writer}
	if err := live.Delete(t.Context(), d.cred.DeepCopy()); err != nil {
		t.Fatal(err)
	}
	for range 20 {
		if reread(t, d.cred).Name == "" {
			break
		}
		_, _ = d.Reconcile(ctrl.LoggerInto(t.Context(), ctrl.Log), reread(t, d.cred)) // it fails until the operator's patience ends
		d.sleep(2 * time.Second)
	}
	if left := reread(t, d.cred); left.Name != "" {
		t.Fatalf("the deletion hangs: %v", left.Finalizers)
	}
	d.mustHaveEvent("RefreshTokenKept", "its claim could not be written")
	if asked := len(d.server.Ledger().RevocationRequests); asked != 0 {
		t.Errorf("%d revocations were sent without a claim", asked)
	}
}

// TestStoppedLeaderLetsGoLast: SIGTERM with a reply on its way. The lease is there until the reply is stored and published, nothing new
// is begun, and no token is lost.
func TestStoppedLeaderLetsGoLast(t *testing.T) {
	t.Parallel()
	sim, namespace := newServer(t, longLived), newNamespace(t)
	create(t, loginSecret(namespace, "orders-login"))
	cred := credential(namespace, "orders", sim)
	create(t, cred)
	leader := startProcess(t, namespace)
	eventuallyIn(t, time.Minute, "Ready", ready(t, cred))
	sim.AddFault(fault(t, "1st refresh_token: slow 5s"))
	edit(t, cred, func(c *v1alpha1.FluentCredential) {
		c.Annotations = map[string]string{v1alpha1.RotateAnnotation: "now"}
	})
	eventuallyIn(t, time.Minute, "the request is on its way", func() (bool, any) {
		asked := sim.Ledger().RequestsOf(authsim.GrantRefreshToken)
		return asked == 1, asked
	})
	if err := leader.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	create(t, credential(namespace, "late", sim))
	lease := &coordinationv1.Lease{}
	eventuallyIn(t, time.Minute, "the lease is let go", func() (bool, any) {
		if err := live.Get(t.Context(), client.ObjectKey{Namespace: namespace, Name: v1alpha1.LeaderLease}, lease); err != nil {
			return false, err
		}
		return lease.Spec.HolderIdentity == nil || *lease.Spec.HolderIdentity == "", lease.Spec
	})
	workload := secret(t, namespace, "orders-token")
	if got := workload.Annotations[v1alpha1.SerialAnnotation]; got != "2" {
		t.Errorf("the lease was let go with serial %s published, want 2: the reply first", got)
	}
	if state := string(secret(t, namespace, custody.Names("orders")[0]).Data["state.json"]); !strings.Contains(state, `"serial":2`) || strings.Contains(state, `"claim":{`) {
		t.Error("the lease was let go before the reply was stored")
	}
	if code := sim.pings(t, string(workload.Data[v1alpha1.AccessTokenKey])); code != 200 {
		t.Errorf("the published token gets HTTP %d", code)
	}
	mustRotateCleanly(t, sim.Ledger(), 1)
	if err := leader.Wait(); err != nil {
		t.Errorf("the operator ended with %v", err)
	}
	if requests := sim.Ledger().Requests; requests != 2 {
		t.Errorf("%d requests, want two: nothing is begun after SIGTERM", requests)
	}
}

// TestStaleReplyIsTold: the operator was killed after the commit, and its journal holds a reply that is stored.
func TestStaleReplyIsTold(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		before func(*driven)
		why    string
	}{
		"it is stored":                 {func(*driven) {}, "the file outlived the commit"},
		"the FluentCredential is gone": {func(d *driven) { d.mustVanish() }, "there is nobody left whose token it is"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := newJournaled(t)
			registry := d.gathering()
			d.sleep(d.settle())
			d.crashAt(2, true) // the commit
			test.before(d)
			d.restart()
			if told := (&operator{registry: registry}).counted(t, "fluent_credential_journal_errors_total", "stale"); told != 1 {
				t.Errorf("%v stale replies were counted, want 1: %s", told, test.why)
			}
			d.mustKeep(0)
		})
	}
}

// TestOldReplyIsNoStateToStartFrom: a file of the journal could not be removed, the chain went on, and then the state was torn away. What
// the old reply holds was spent since.
func TestOldReplyIsNoStateToStartFrom(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		rotations int // after the reply
		passwords int
		why       string
	}{
		"an old one": {2, 2, "its refresh token was spent"},
		"the newest": {0, 1, "it is all that is left of the chain"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d, dir := newDriven(t, nil), t.TempDir()
			d.journalIn(dir)
			d.sleep(d.settle())
			d.crashAt(2, true) // the commit
			files, err := filepath.Glob(filepath.Join(dir, "*.reply"))
			if err != nil || len(files) != 1 {
				t.Fatalf("the journal holds %q, %v", files, err)
			}
			left, err := os.ReadFile(files[0])
			if err != nil {
				t.Fatal(err)
			}
			wait := d.settle()
			for range test.rotations {
				d.sleep(wait)
				wait = d.settle()
			}
			if err := os.WriteFile(files[0], left, 0o600); err != nil {
				t.Fatal(err)
			}
			state := d.state()
			edit(t, state, func(s *corev1.Secret) { s.Finalizers = nil })
			if err := live.Delete(t.Context(), state); err != nil {
				t.Fatal(err)
			}
			d.restart()
			d.runFor(time.Minute)
			if ledger := d.server.Ledger(); ledger.Reuses != 0 || ledger.RequestsOf(authsim.GrantPassword) != test.passwords {
				t.Errorf("%d reuses and %d logins, want none and %d: %s", ledger.Reuses, ledger.RequestsOf(authsim.GrantPassword), test.passwords, test.why)
			}
		})
	}
}

// mustVanish takes the credential away by force.
func (d *driven) mustVanish() {
	d.t.Helper()
	edit(d.t, d.cred, func(cred *v1alpha1.FluentCredential) { cred.Finalizers = nil })
	if err := live.Delete(d.t.Context(), d.cred); err != nil {
		d.t.Fatal(fmt.Errorf("it does not go: %w", err))
	}
}
