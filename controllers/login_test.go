package controllers

import (
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"

	"github.com/fluent-credential/operator/api/v1alpha1"
	"github.com/fluent-credential/operator/hack/authsim"
)

// setLogin changes one entry of the credentials Secret.
func (r *running) setLogin(t *testing.T, key, value string) {
	t.Helper()
	edit(t, secret(t, r.namespace, "orders-login"), func(login *corev1.Secret) { login.Data[key] = []byte(value) })
}

// rotate sets the rotate annotation.
func (r *running) rotate(t *testing.T, value string) {
	t.Helper()
	edit(t, r.cred, func(cred *v1alpha1.FluentCredential) {
		cred.Annotations = map[string]string{v1alpha1.RotateAnnotation: value}
	})
}

func startWith(t *testing.T, key, value string, change func(*authsim.Config)) *running {
	t.Helper()
	sim, namespace := newServer(t, change), newNamespace(t)
	operator := startOperator(t, namespace)
	login := loginSecret(namespace, "orders-login")
	login.StringData[key] = value
	create(t, login)
	cred := credential(namespace, "orders", sim)
	create(t, cred)
	return &running{server: sim, operator: operator, namespace: namespace, cred: cred}
}

func (r *running) reason(t *testing.T, condition string) string {
	t.Helper()
	found := meta.FindStatusCondition(reread(t, r.cred).Status.Conditions, condition)
	if found == nil {
		return ""
	}
	return found.Reason
}

func (r *running) eventuallyReason(t *testing.T, condition, reason string) {
	t.Helper()
	eventually(t, condition+" says "+reason, func() (bool, any) {
		now := r.reason(t, condition)
		return now == reason, reread(t, r.cred).Status
	})
}

func TestWrongPasswordIsTriedOnce(t *testing.T) {
	t.Parallel()
	const wrong = "a-wrong-password-that-is-long-enough-to-be-found"
	r := startWith(t, "password", wrong, longLived)
	r.eventuallyReason(t, v1alpha1.ConditionStalled, v1alpha1.ReasonCredentialsRejected)
	r.rotate(t, "now")
	r.setLogin(t, "unrelated", "an entry that nothing reads")
	r.operator.stop()
	second := startOperator(t, r.namespace)
	eventually(t, "the second operator has looked at it", func() (bool, any) {
		seen := second.series(t, "fluent_credential_ready")
		return seen == 1, seen
	})
	if refused := r.Ledger().LoginsRefused; refused != 1 {
		t.Errorf("the wrong password was tried %d times, want once", refused)
	}

	changed := time.Now()
	r.setLogin(t, "password", password)
	eventually(t, "Ready with the new password", ready(t, r.cred))
	t.Logf("Ready %s after the new password", time.Since(changed).Round(time.Millisecond))
	if requests := r.Ledger().RequestsOf(authsim.GrantPassword); requests != 2 {
		t.Errorf("the password grant was used %d times, want twice", requests)
	}
	logs.mustNotHold(t, []string{wrong})
}

func TestWrongPasswordIsProbedAfterTwentyMinutes(t *testing.T) {
	t.Parallel()
	d := newDriven(t, nil)
	d.server.SetPassword(user, "changed-on-the-server-only")
	begun := d.clock.Now()
	for refused := range 3 {
		wait := d.settle()
		if got := d.server.Ledger().LoginsRefused; got != refused+1 {
			t.Fatalf("%d refused logins after %s, want %d", got, d.clock.Now().Sub(begun), refused+1)
		}
		d.sleep(wait)
		if passed := d.clock.Now().Sub(begun); passed < time.Duration(refused+1)*20*time.Minute {
			t.Fatalf("tried again after %s", passed)
		}
	}
}

func TestSeedIsSpentOnce(t *testing.T) {
	t.Parallel()
	sim, namespace := newServer(t, longLived), newNamespace(t)
	operator := startOperator(t, namespace)
	login := loginSecret(namespace, "orders-login")
	delete(login.StringData, "username")
	delete(login.StringData, "password")
	login.StringData["refresh_token"] = sim.Seed(user, clientID)
	create(t, login)
	cred := credential(namespace, "orders", sim)
	create(t, cred)
	eventually(t, "Ready by the seed", ready(t, cred))
	r := &running{server: sim, operator: operator, namespace: namespace, cred: cred}

	r.setLogin(t, "applied", "twice")
	r.operator.stop()
	startOperator(t, namespace)
	r.setLogin(t, "refresh_token", sim.Seed(user, clientID))
	eventually(t, "the new seed was spent at once", func() (bool, any) {
		serial := reread(t, cred).Status.Token.Serial
		return serial == 2, serial
	})
	ledger := sim.Ledger()
	if ledger.Reuses != 0 || ledger.Requests != 2 || ledger.RequestsOf(authsim.GrantPassword) != 0 {
		t.Errorf("reuses %d, requests %d, passwords %d; want 0, 2, 0", ledger.Reuses, ledger.Requests, ledger.RequestsOf(authsim.GrantPassword))
	}
}

// TestMendedLoginIsTriedAtOnce: the chain is dead and the password refused, long before the token is due; the new password is not
// kept waiting until then.
func TestMendedLoginIsTriedAtOnce(t *testing.T) {
	t.Parallel()
	r := startWith(t, "password", password, longLived)
	r.eventuallyReason(t, v1alpha1.ConditionReady, v1alpha1.ReasonTokenPublished)
	const changed = "a-changed-password-that-is-long-enough-to-be-found"
	r.SetPassword(user, changed)
	r.AddFault(authsim.Fault{At: 1, Grant: authsim.GrantRefreshToken, Kind: authsim.FaultRefuse})
	r.rotate(t, "now")
	r.eventuallyReason(t, v1alpha1.ConditionRenewable, v1alpha1.ReasonCredentialsRejected)
	r.setLogin(t, "password", changed)
	eventually(t, "a token by the new password", func() (bool, any) {
		status := reread(t, r.cred).Status
		return status.Token != nil && status.Token.Serial == 2, status
	})
	if refused := r.server.Ledger().LoginsRefused; refused != 1 {
		t.Errorf("%d logins were refused, want the one with the old password", refused)
	}
}

func TestRotateAnnotation(t *testing.T) {
	t.Parallel()
	r := startReady(t, longLived)
	for _, value := range []string{"one", "two"} {
		before := reread(t, r.cred).Status.Token.Serial
		r.rotate(t, value)
		eventually(t, "rotated and said so", func() (bool, any) {
			status := reread(t, r.cred).Status
			return status.Token.Serial == before+1 && status.LastHandledRotateAt == value, status
		})
	}
	mustRotateCleanly(t, r.Ledger(), 2)
}

func TestSuspendSpendsNothing(t *testing.T) {
	t.Parallel()
	d := newDriven(t, nil)
	d.settle()
	edit(t, d.cred, func(cred *v1alpha1.FluentCredential) { cred.Spec.Suspend = true })
	requests, access := d.server.Ledger().Requests, d.access()
	for range 5 {
		d.settle()
		d.sleep(time.Minute)
	}
	d.settle()
	if asked := d.server.Ledger().Requests - requests; asked != 0 {
		t.Errorf("a suspended credential asked the server %d times", asked)
	}
	if d.access() != access {
		t.Error("the published token is gone")
	}
	ready := meta.FindStatusCondition(d.status().Conditions, v1alpha1.ConditionReady)
	if ready.Status != "False" || ready.Reason != v1alpha1.ReasonTokenExpired {
		t.Errorf("the expiry is not reported: %+v", ready)
	}
}
