package controllers

import (
	"context"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/fluent-credential/operator/api/v1alpha1"
	"github.com/fluent-credential/operator/hack/authsim"
	"github.com/fluent-credential/operator/internal/provider"
	"github.com/fluent-credential/operator/internal/token"
)

// statusCounter counts the writes of the status.
type statusCounter struct {
	client.Client
	writes int
}

func (c *statusCounter) Status() client.SubResourceWriter { return statusWriter{c.Client.Status(), c} }

type statusWriter struct {
	client.SubResourceWriter
	counter *statusCounter
}

func (w statusWriter) Patch(ctx context.Context, object client.Object, patch client.Patch, options ...client.SubResourcePatchOption) error {
	w.counter.writes++
	return w.SubResourceWriter.Patch(ctx, object, patch, options...)
}

func (d *driven) countStatus() *statusCounter {
	counter := &statusCounter{Client: d.Client}
	d.Client = counter
	return counter
}

// told is a history without what differs from run to run.
func told(history []v1alpha1.ExchangeStatus) []v1alpha1.ExchangeStatus {
	var plain []v1alpha1.ExchangeStatus
	for _, entry := range history {
		plain = append(plain, v1alpha1.ExchangeStatus{Grant: entry.Grant, Verdict: entry.Verdict, Reason: entry.Reason, Serial: entry.Serial})
	}
	return plain
}

func (d *driven) mustTell(why string, want ...v1alpha1.ExchangeStatus) {
	d.t.Helper()
	if diff := cmp.Diff(want, told(d.status().History)); diff != "" {
		d.t.Errorf("%s (-want +got):\n%s", why, diff)
	}
}

const (
	byPassword = string(token.Password)
	byRefresh  = string(token.RefreshToken)
	wasGranted = string(token.Granted)
)

func TestHistoryTellsTheLastTenExchanges(t *testing.T) {
	t.Parallel()
	d := newDriven(t, nil)
	d.sleep(d.settle())
	d.mustTell("the first token", v1alpha1.ExchangeStatus{Grant: byPassword, Verdict: wasGranted, Serial: 1})
	counter := d.countStatus()
	for range 13 {
		d.sleep(d.settle())
	}
	if counter.writes != 13 {
		t.Errorf("%d writes of the status for 13 rotations, want one each", counter.writes)
	}
	history := d.status().History
	if len(history) != maxHistory {
		t.Fatalf("the history has %d entries, want %d", len(history), maxHistory)
	}
	for i, entry := range history {
		if entry.Serial != int64(14-i) || entry.Grant != byRefresh || entry.Verdict != wasGranted || entry.Reason != "" || entry.Duration == nil {
			t.Errorf("entry %d is %+v, want the rotation to serial %d and how long it took", i, entry, 14-i)
		}
		if i > 0 && !entry.Time.Before(&history[i-1].Time) {
			t.Errorf("entry %d is of %s, which is not before %s", i, entry.Time, history[i-1].Time)
		}
	}
}

func TestHistoryOutlivesARestart(t *testing.T) {
	t.Parallel()
	d := newDriven(t, nil)
	for range 3 {
		d.sleep(d.settle())
	}
	before, counter := d.status().History, d.countStatus()
	d.sleep(-time.Second) // nothing is due
	d.restart()
	for range 5 {
		d.pass()
	}
	if counter.writes != 0 {
		t.Errorf("%d writes of the status in passes that did nothing", counter.writes)
	}
	d.sleep(time.Second)
	d.sleep(d.settle())
	after := d.status().History
	if diff := cmp.Diff(before, after[1:]); diff != "" {
		t.Errorf("what the old process told is not there any more (-before +after):\n%s", diff)
	}
}

func TestHistoryTellsFailures(t *testing.T) {
	t.Parallel()
	d := newDriven(t, nil)
	d.sleep(d.settle())
	d.server.AddFault(fault(t, "1st refresh_token: rate-limited 1"))
	d.server.AddFault(fault(t, "2nd refresh_token: drop-after"))
	for d.status().Token.Serial < 2 {
		d.sleep(d.settle())
	}
	d.mustTell("limited, then lost, then a new login",
		v1alpha1.ExchangeStatus{Grant: byPassword, Verdict: wasGranted, Serial: 2},
		v1alpha1.ExchangeStatus{Grant: byRefresh, Verdict: "Unknown", Reason: v1alpha1.ReasonReplyLost, Serial: 1},
		v1alpha1.ExchangeStatus{Grant: byRefresh, Verdict: "TryLater", Reason: v1alpha1.ReasonRateLimited, Serial: 1},
		v1alpha1.ExchangeStatus{Grant: byPassword, Verdict: wasGranted, Serial: 1})
}

func TestHistoryTellsNoLoginThatTheGuardHeldBack(t *testing.T) {
	t.Parallel()
	d := newDrivenWith(t, nil, func(login *corev1.Secret) { login.StringData["password"] = wrongPassword }, nil)
	d.settle()
	want := v1alpha1.ExchangeStatus{Grant: byPassword, Verdict: "LoginRefused", Reason: v1alpha1.ReasonCredentialsRejected}
	d.mustTell("the password was refused", want)
	edit(t, d.cred, func(cred *v1alpha1.FluentCredential) { cred.Spec.Scope = "" })
	d.settle()
	if refused := d.server.Ledger().RequestsOf(authsim.GrantPassword); refused != 1 {
		t.Fatalf("the password was sent %d times, want once", refused)
	}
	d.mustTell("nobody was asked again", want)
}

func TestHistoryTellsWhatAProcessThatIsGoneDid(t *testing.T) {
	t.Parallel()
	const claim, commit = 1, 2
	first := v1alpha1.ExchangeStatus{Grant: byPassword, Verdict: wasGranted, Serial: 1}
	cases := map[string]struct {
		why   string
		write int
		after bool
		want  []v1alpha1.ExchangeStatus
	}{
		"after the claim": {"nothing was sent, and the token is as good as before", claim, true, []v1alpha1.ExchangeStatus{
			{Grant: byRefresh, Verdict: wasGranted, Serial: 2},
			{Grant: byRefresh, Verdict: "Unsent", Reason: v1alpha1.ReasonProviderUnavailable, Serial: 1}, first,
		}},
		"before the commit": {"its reply was in the journal", commit, false, []v1alpha1.ExchangeStatus{
			{Grant: byRefresh, Verdict: wasGranted, Serial: 2}, first,
		}},
		"after the commit": {"the state tells of it", commit, true, []v1alpha1.ExchangeStatus{
			{Grant: byRefresh, Verdict: wasGranted, Serial: 2}, first,
		}},
	}
	for name, test := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := newJournaled(t)
			d.sleep(d.settle())
			d.crashAt(test.write, test.after)
			d.restart()
			for d.status().Token.Serial < 2 {
				d.sleep(d.settle())
			}
			d.mustTell(test.why, test.want...)
		})
	}
}

// TestHistoryOfALostStatus: the status is a view. What the state does not hold is gone with it, and that is all.
func TestHistoryOfALostStatus(t *testing.T) {
	t.Parallel()
	d := newDriven(t, nil)
	for range 3 {
		d.sleep(d.settle())
	}
	d.sleep(-time.Second)
	cred := reread(t, d.cred)
	cred.Status = v1alpha1.FluentCredentialStatus{}
	if err := live.Status().Update(t.Context(), cred); err != nil {
		t.Fatal(err)
	}
	d.restart()
	d.settle()
	d.mustTell("the newest token is known from the state", v1alpha1.ExchangeStatus{Grant: byRefresh, Verdict: wasGranted, Serial: 3})
}

func TestDurationsInTheHistory(t *testing.T) {
	for name, test := range map[string]struct {
		why    string
		grant  token.Grant
		answer provider.Answer
		late   bool
		want   time.Duration
	}{
		"granted": {"from before the request to the whole reply", token.RefreshToken, provider.Answer{Verdict: token.Granted}, false, time.Second},
		"refused": {"that took its time too", token.RefreshToken, deadToken, false, time.Second},
		"unsent":  {"nothing was sent, so nothing took time", token.RefreshToken, unreachable, false, 0},
		"replayed": {"it is not known how long the process waited that sent it", token.RefreshToken,
			provider.Answer{Verdict: token.Granted}, true, 0},
	} {
		t.Run(name, func(t *testing.T) {
			s := newScene(t)
			try := s.attempt(test.grant, test.answer)
			if !test.late {
				try.claim.Holder = s.r.Holder
			}
			s.r.recallAttempt(s.observation, try)
			var got time.Duration
			if entry := s.knownHistory()[0]; entry.Duration != nil {
				got = entry.Duration.Duration
			}
			if got != test.want {
				t.Errorf("%s: it took %s, want %s", test.why, got, test.want)
			}
		})
	}
}
