package controllers

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/fluent-credential/operator/api/v1alpha1"
	"github.com/fluent-credential/operator/hack/authsim"
	"github.com/fluent-credential/operator/internal/custody"
	"github.com/fluent-credential/operator/internal/loginguard"
	"github.com/fluent-credential/operator/internal/token"
)

const wrongPassword = "another-wrong-password-that-is-long-enough"

func newGuarded(t *testing.T, change func(*authsim.Config), right bool) *driven {
	t.Helper()
	d := newDrivenWith(t, change, func(login *corev1.Secret) {
		if !right {
			login.StringData["password"] = wrongPassword
		}
	}, nil)
	d.Guard = &loginguard.Guard{Reader: live, Writer: live, Namespace: d.cred.Namespace, Salt: custody.NewID, HasLeft: d.hasLeft}
	return d
}

// newSeeded is guarded, and has a seed and no password.
func newSeeded(t *testing.T) (*driven, token.Secret) {
	t.Helper()
	d := newDrivenWith(t, nil, func(login *corev1.Secret) {
		delete(login.StringData, "username")
		delete(login.StringData, "password")
	}, nil)
	d.Guard = &loginguard.Guard{Reader: live, Writer: live, Namespace: d.cred.Namespace, Salt: custody.NewID, HasLeft: d.hasLeft}
	seed := token.NewSecret(d.server.Seed(user, clientID))
	edit(t, secret(t, d.cred.Namespace, "orders-login"), func(login *corev1.Secret) {
		login.Data["refresh_token"] = []byte(seed.Reveal())
	})
	return d, seed
}

// mostRefusedWithin is the most refused logins that the server counted in any window.
func mostRefusedWithin(ledger authsim.Ledger, window time.Duration) int {
	var refused []time.Time
	for _, request := range ledger.TokenRequests {
		if request.Grant == authsim.GrantPassword && request.Outcome != authsim.OutcomeGranted {
			refused = append(refused, request.Time)
		}
	}
	most := 0
	for i := range refused {
		count := 0
		for _, at := range refused[i:] {
			if at.Sub(refused[i]) < window {
				count++
			}
		}
		most = max(most, count)
	}
	return most
}

func TestRefusedLoginIsProbedEverMoreRarely(t *testing.T) {
	t.Parallel()
	d := newGuarded(t, nil, false)
	d.settle()
	var waits []time.Duration
	for range 5 {
		before := d.clock.Now()
		requests := d.server.Ledger().Requests
		for d.server.Ledger().Requests == requests {
			d.sleep(d.settle())
			d.settle()
		}
		waits = append(waits, d.clock.Now().Sub(before))
	}
	want := []time.Duration{20 * time.Minute, time.Hour, 4 * time.Hour, 24 * time.Hour, 24 * time.Hour}
	for i := range want {
		if waits[i] != want[i] {
			t.Errorf("probe %d came after %s, want %s", i+1, waits[i], want[i])
		}
	}
}

func TestCrashLoopWithAWrongPasswordKeepsTheBudget(t *testing.T) {
	t.Parallel()
	d := newGuarded(t, nil, false)
	for range 30 {
		func() {
			whole := d.Custody.Writer
			d.Custody.Writer = &crashing{Writer: whole, at: 2} // the commit: the first is the claim, or what confirms it
			defer func() { d.Custody.Writer = whole; _ = recover() }()
			for range 10 {
				d.pass()
			}
		}()
		d.restart()
		d.sleep(time.Minute)
	}
	if most := mostRefusedWithin(d.server.Ledger(), 20*time.Minute); most > loginguard.Budget || most == 0 {
		t.Errorf("%d refused logins in 20 minutes, want %d at most, and one at least", most, loginguard.Budget)
	}
}

func TestManyCredentialsOfOneUserShareTheBudget(t *testing.T) {
	t.Parallel()
	d := newGuarded(t, func(config *authsim.Config) { config.Lockout = true }, false)
	for _, name := range []string{"second", "third", "fourth"} {
		other := credential(d.cred.Namespace, name, d.server)
		other.Spec.Scope = ""
		create(t, other)
		for range 5 {
			read := reread(t, other)
			if _, err := d.Reconcile(ctrl.LoggerInto(t.Context(), ctrl.Log), read); err != nil {
				t.Fatal(err)
			}
		}
	}
	d.runFor(10 * time.Minute)
	if refused := d.server.Ledger().LoginsRefused; refused > loginguard.Budget {
		t.Errorf("%d refused logins, want %d at most", refused, loginguard.Budget)
	}
}

func TestTwoCredentialsWithOneLogin(t *testing.T) {
	t.Parallel()
	d := newGuarded(t, nil, true)
	d.settle()
	younger := credential(d.cred.Namespace, "younger", d.server)
	create(t, younger)
	elder := d.cred
	d.cred = younger
	d.settle()
	if got := d.status().Summary; got.Reason != v1alpha1.ReasonLoginInUse {
		t.Errorf("the younger says %s: %s, want LoginInUse", got.Reason, got.Message)
	}
	if requests := d.server.Ledger().Requests; requests != 1 {
		t.Errorf("%d requests, want the elder's one", requests)
	}
	edit(t, elder, func(cred *v1alpha1.FluentCredential) { cred.Finalizers = nil })
	if err := live.Delete(t.Context(), elder); err != nil {
		t.Fatal(err)
	}
	d.runFor(10 * time.Minute)
	if got := d.status().Summary; got.Reason != v1alpha1.ReasonTokenPublished {
		t.Errorf("after the elder went, the younger says %s: %s", got.Reason, got.Message)
	}
}

func TestSharedLoginIsFreeWhenItsOwnerWasGivenAnother(t *testing.T) {
	t.Parallel()
	d := newGuarded(t, nil, true)
	d.settle()
	elder, waiting := d.cred, credential(d.cred.Namespace, "waiting", d.server)
	own := loginSecret(d.cred.Namespace, "waiting-login")
	waiting.Spec.CredentialsSecretRef.Name = own.Name
	create(t, own)
	create(t, waiting)
	d.cred = waiting
	d.settle()
	if got := d.status().Summary; got.Reason != v1alpha1.ReasonLoginInUse {
		t.Fatalf("the second says %s: %s, want LoginInUse", got.Reason, got.Message)
	}
	edit(t, secret(t, elder.Namespace, "orders-login"), func(login *corev1.Secret) {
		delete(login.Data, "username")
		delete(login.Data, "password")
		login.Data["refresh_token"] = []byte(d.server.Seed(user, clientID))
	})
	d.cred = elder
	d.settle()
	d.cred = waiting
	d.runFor(2 * loginInUsePoll)
	if got := d.status().Summary; got.Reason != v1alpha1.ReasonTokenPublished {
		t.Errorf("the owner has another login by now, and the second says %s: %s", got.Reason, got.Message)
	}
}

func TestSeedGivenToTwoIsSpentByOne(t *testing.T) {
	t.Parallel()
	d, _ := newSeeded(t)
	d.settle()
	second := credential(d.cred.Namespace, "second", d.server)
	create(t, second)
	first := d.cred
	d.cred = second
	d.settle()
	if got := d.status().Summary; got.Reason != v1alpha1.ReasonLoginInUse {
		t.Errorf("the second says %s: %s, want LoginInUse", got.Reason, got.Message)
	}
	edit(t, first, func(cred *v1alpha1.FluentCredential) { cred.Finalizers = nil })
	if err := live.Delete(t.Context(), first); err != nil {
		t.Fatal(err)
	}
	d.runFor(2 * loginInUsePoll)
	if got := d.status().Summary; got.Reason != v1alpha1.ReasonReauthorizationRequired {
		t.Errorf("after the first went, the second says %s: %s, want ReauthorizationRequired", got.Reason, got.Message)
	}
	if requests := d.server.Ledger().Requests; requests != 1 {
		t.Errorf("%d requests, want one: a seed works once", requests)
	}
}

// TestRestoredStatePresentsNoSeedOfAnother: a backup shows a seed as sent, with no reply, that was given back and taken by another since.
func TestRestoredStatePresentsNoSeedOfAnother(t *testing.T) {
	t.Parallel()
	d, seed := newSeeded(t)
	d.settle()
	second := credential(d.cred.Namespace, "second", d.server)
	second.Spec.Refresh.OnLostReply = v1alpha1.LostReplyRetry
	create(t, second)
	d.cred = second
	d.settle()

	owner := custody.Owner{Namespace: second.Namespace, Name: second.Name, UID: d.cred.UID}
	record, err := d.Custody.Open(t.Context(), owner)
	if err != nil {
		t.Fatal(err)
	}
	claim := custody.Claim{ID: "restored", Grant: token.RefreshToken, Spends: seed.Hash(record.Salt), Seed: true, Attempt: 1}
	lost := custody.Failure{Verdict: token.Unknown, Reason: v1alpha1.ReasonReplyLost, Last: d.clock.Now(), RetryAt: d.clock.Now()}
	if _, err := d.Custody.Put(t.Context(), owner, record, record.Claimed(claim, "").Settled(claim, lost, seed)); err != nil {
		t.Fatal(err)
	}
	d.runFor(time.Minute)
	if got := d.status().Summary; got.Reason != v1alpha1.ReasonLoginInUse {
		t.Errorf("the second says %s: %s, want LoginInUse", got.Reason, got.Message)
	}
	if requests := d.server.Ledger().Requests; requests != 1 {
		t.Errorf("%d requests, want one: the seed is another's", requests)
	}
}

// TestObjectThatIsGoneTakesNoSeed: a cache that is behind shows a FluentCredential whose name another one has by now. A seed that was
// taken for the old one would count as spent for the new one.
func TestObjectThatIsGoneTakesNoSeed(t *testing.T) {
	t.Parallel()
	d := newDrivenWith(t, nil, nil, nil)
	d.giveSeed()
	d.pass()
	stale := reread(t, d.cred)
	edit(t, d.cred, func(cred *v1alpha1.FluentCredential) { cred.Finalizers = nil })
	if err := live.Delete(t.Context(), d.cred); err != nil {
		t.Fatal(err)
	}
	d.cred = credential(stale.Namespace, stale.Name, d.server)
	create(t, d.cred)
	if result, err := d.Reconcile(t.Context(), stale); err != nil || result.RequeueAfter < time.Second {
		t.Errorf("look again after %s, error %v: the cache decides when, and nothing is wrong", result.RequeueAfter, err)
	}
	d.settle()
	if got := d.status().Summary; got.Reason != v1alpha1.ReasonTokenPublished {
		t.Errorf("the one that lives says %s: %s", got.Reason, got.Message)
	}
	if result, err := d.Reconcile(t.Context(), stale); err != nil || result.RequeueAfter < time.Second {
		t.Errorf("beside another's state: look again after %s, error %v", result.RequeueAfter, err)
	}
	if ledger := d.server.Ledger(); ledger.Requests != 1 || ledger.Reuses != 0 {
		t.Errorf("%d requests, %d reuses, want the one of the seed", ledger.Requests, ledger.Reuses)
	}
}

// guardSecret is the guard's memory of the one login of a driven operator.
func (d *driven) guardSecret() *corev1.Secret {
	d.t.Helper()
	var all corev1.SecretList
	if err := live.List(d.t.Context(), &all, client.InNamespace(d.cred.Namespace)); err != nil {
		d.t.Fatal(err)
	}
	for i := range all.Items {
		if strings.HasPrefix(all.Items[i].Name, "fluent-credential-login-") {
			return &all.Items[i]
		}
	}
	d.t.Fatal("there is no login guard")
	return nil
}

// TestDamagedGuardFailsSafe (I4): a guard that somebody damaged is told, and holds logins back for a window as if two had been
// refused; then it works as any other.
func TestDamagedGuardFailsSafe(t *testing.T) {
	t.Parallel()
	for name, damage := range map[string]func(*corev1.Secret){
		"garbled": func(guard *corev1.Secret) { guard.Data["guard.json"] = []byte("{\"salt\":") },
		"emptied": func(guard *corev1.Secret) { guard.Data = nil },
		"a count that was never written": func(guard *corev1.Secret) {
			guard.Data["guard.json"] = []byte(`{"salt":"s","rejections":[{"credentials":"c","count":0,"last":"2026-01-05T10:00:00Z"}]}`)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := newGuarded(t, nil, false)
			registry := d.gathering()
			d.settle()
			edit(t, d.guardSecret(), damage)
			d.setLogin(func(login map[string][]byte) { login["password"] = []byte(password) })
			d.settle()
			if got := d.status().Summary; got.Reason != v1alpha1.ReasonLoginLocked || !strings.Contains(got.Message, "the login guard's Secret cannot be read") {
				t.Errorf("says %s: %s", got.Reason, got.Message)
			}
			d.mustHaveEvent("LoginLocked", "the login guard's Secret cannot be read")
			if count := value(t, registry, "login_guard_decisions_total", "Damaged"); count != 1 {
				t.Errorf("counted as damaged %g times, want once", count)
			}
			d.runFor(loginguard.Window - time.Minute)
			if got := d.server.Ledger(); got.Requests != 1 {
				t.Errorf("%d requests, want the first one: what the guard knew is not to be forgotten in favour of one more", got.Requests)
			}
			d.runFor(2 * time.Minute)
			if got := d.status().Summary; got.Reason != v1alpha1.ReasonTokenPublished {
				t.Errorf("the window is over, and it says %s: %s", got.Reason, got.Message)
			}
		})
	}
}

// TestDamagedGuardOfASeed: whether the seed was spent is not known any more, and a spent one could end somebody else's chain.
func TestDamagedGuardOfASeed(t *testing.T) {
	t.Parallel()
	d := newDrivenWith(t, nil, withoutUser, nil)
	d.Guard = &loginguard.Guard{Reader: live, Writer: live, Namespace: d.cred.Namespace, Salt: custody.NewID, HasLeft: d.hasLeft}
	d.setSeed("refresh_token", d.server.Seed(user, clientID))
	d.settle()
	edit(t, d.guardSecret(), func(guard *corev1.Secret) { guard.Data["guard.json"] = []byte("?") })
	second := credential(d.cred.Namespace, "second", d.server)
	create(t, second)
	d.cred = second
	for range 3 {
		d.settle()
		if got := d.status().Summary; got.Reason != v1alpha1.ReasonReauthorizationRequired || !strings.Contains(got.Message, "is not known any more") {
			t.Errorf("says %s: %s", got.Reason, got.Message)
		}
		d.sleep(24 * time.Hour)
	}
	if requests := d.server.Ledger().Requests; requests != 1 {
		t.Errorf("%d requests, want that of the first one", requests)
	}
}

// TestGuessedLoginRevealsNoOther: an author in another namespace guesses a user name and a client. What he is told
// names neither the FluentCredential that has the login nor its namespace.
func TestGuessedLoginRevealsNoOther(t *testing.T) {
	t.Parallel()
	d := newGuarded(t, nil, true)
	d.settle()
	owner := d.cred
	guess := newGuarded(t, nil, false)
	guess.Guard = &loginguard.Guard{
		Reader: live, Writer: live, Namespace: owner.Namespace, Salt: custody.NewID, HasLeft: d.hasLeft,
	}
	guess.change(func(cred *v1alpha1.FluentCredential) { cred.Spec.Provider = *owner.Spec.Provider.DeepCopy() })
	guess.settle()
	got := guess.status().Summary
	if got.Reason != v1alpha1.ReasonLoginInUse || !strings.Contains(got.Message, "another FluentCredential") ||
		!strings.Contains(got.Message, "the operator's log names it") {
		t.Errorf("says %s: %s", got.Reason, got.Message)
	}
	shown, err := json.Marshal(guess.status())
	if err != nil {
		t.Fatal(err)
	}
	for _, hidden := range []string{owner.Namespace, owner.Name + " ", string(owner.UID)} {
		if strings.Contains(string(shown), hidden) {
			t.Errorf("the status reveals %q: %s", hidden, shown)
		}
	}
	if requests := d.server.Ledger().Requests; requests != 1 {
		t.Errorf("%d requests, want the owner's one", requests)
	}
}

func TestUnitOthersAreNamedInTheirNamespaceOnly(t *testing.T) {
	by := loginguard.Owner{Namespace: "shop", Name: "orders", UID: "uid"}
	for _, why := range []loginguard.Why{
		loginguard.InUse, loginguard.Spent, loginguard.Rejected, loginguard.Exhausted, loginguard.Damaged,
	} {
		refusal := &loginguard.Refusal{Why: why, By: by}
		own, foreign := explain(refusal, "shop"), explain(refusal, "elsewhere")
		if strings.Contains(foreign, "shop") || strings.Contains(foreign, "orders") {
			t.Errorf("%s: another namespace reads %q", why, foreign)
		}
		if named := why == loginguard.InUse || why == loginguard.Spent; named != strings.Contains(own, "FluentCredential orders") {
			t.Errorf("%s: the namespace itself reads %q", why, own)
		}
	}
}
