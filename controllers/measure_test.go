package controllers

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	corev1 "k8s.io/api/core/v1"

	"github.com/fluent-credential/operator/api/v1alpha1"
	"github.com/fluent-credential/operator/internal/metrics"
	"github.com/fluent-credential/operator/internal/token"
)

func TestMetricsOfACredentialSayWhatItsStatusSays(t *testing.T) {
	expires, refresh := start.Add(20*time.Minute), start.Add(9*time.Minute)
	for name, test := range map[string]struct {
		why   string
		given func(*scene)
		want  metrics.Credential
	}{
		"healthy": {"nothing is wrong", func(*scene) {}, metrics.Credential{
			Reason: v1alpha1.ReasonTokenPublished, Ready: true, Renewable: true, Expires: expires, NextRefresh: refresh,
		}},
		"fresh": {"there is nothing yet that could expire", func(s *scene) { s.fresh() }, metrics.Credential{Reason: v1alpha1.ReasonProgressing}},
		"failing": {"the token is good, and still the API is away", func(s *scene) { s.answered(token.RefreshToken, unreachable) },
			metrics.Credential{
				Reason: v1alpha1.ReasonProviderUnavailable, Ready: true, Renewable: true, Expires: expires, NextRefresh: refresh, Failures: 1,
				RetryAt: start.Add(time.Second), Class: "Time",
			}},
		"wrong password": {"only a person can help, and the login is held back", func(s *scene) {
			s.fresh()
			s.answered(token.Password, wrongLogin)
		}, metrics.Credential{
			Reason: v1alpha1.ReasonCredentialsRejected, Stalled: true, Failures: 1,
			RetryAt: start.Add(20 * time.Minute), BarredUntil: start.Add(20 * time.Minute), Class: "Input",
		}},
		"suspended": {"the early warning", func(s *scene) { s.cred.Spec.Suspend = true }, metrics.Credential{
			Reason: v1alpha1.ReasonSuspended, Ready: true, Expires: expires, NextRefresh: refresh,
		}},
	} {
		t.Run(name, func(t *testing.T) {
			s := newScene(t)
			test.given(s)
			test.want.API = "fluent"
			if diff := cmp.Diff(test.want, measured(s.observation, s.status(), classOf(s.observation, s.next()))); diff != "" {
				t.Errorf("%s (-want +got)\n%s", test.why, diff)
			}
		})
	}
}

// value is what one series says; -1 where there is none. Of a histogram it is the sum.
func value(t *testing.T, registry prometheus.Gatherer, name string, labels ...string) float64 {
	t.Helper()
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, family := range families {
		for _, metric := range family.GetMetric() {
			has := map[string]bool{}
			for _, label := range metric.GetLabel() {
				has[label.GetValue()] = true
			}
			matches := family.GetName() == "fluent_credential_"+name
			for _, label := range labels {
				matches = matches && has[label]
			}
			if matches {
				return metric.GetGauge().GetValue() + metric.GetCounter().GetValue() + metric.GetHistogram().GetSampleSum()
			}
		}
	}
	return -1
}

// TestMetricsOfAChain counts on the real API server and the simulated authorization server.
func TestMetricsOfAChain(t *testing.T) {
	t.Parallel()
	registry := prometheus.NewRegistry()
	d := newDriven(t, nil)
	d.Metrics = metrics.New(registry)
	mustSay := func(when string, want float64, name string, labels ...string) {
		t.Helper()
		if got := value(t, registry, name, labels...); got != want {
			t.Errorf("%s: %s %q is %v, want %v", when, name, labels, got, want)
		}
	}
	wait := d.settle()
	mustSay("first token", 1, "login_guard_decisions_total", metrics.Allowed)
	mustSay("first token", 0, "life_left_at_publication_seconds")
	mustSay("first token", 1, "reason", d.cred.Name, v1alpha1.ReasonTokenPublished)
	d.sleep(wait)
	wait = d.settle()
	if left := value(t, registry, "life_left_at_publication_seconds"); left <= 0 || left >= 30 {
		t.Errorf("the first token had %v s left when the second was published, want some of its 30 s", left)
	}
	d.server.AddFault(fault(t, "1st refresh_token: drop-after"))
	d.sleep(wait)
	d.settle()
	if got, want := value(t, registry, "reply_lost_timestamp_seconds", d.cred.Name), d.clock.Now().Unix(); got != float64(want) {
		t.Errorf("a reply was lost at %v, want %v", got, want)
	}
	mustSay("reply lost", 1, "failures", d.cred.Name)
	mustSay("reply lost", 1, "reason", d.cred.Name, v1alpha1.ReasonReplyLost)
	mustSay("reply lost", -1, "reason", d.cred.Name, v1alpha1.ReasonTokenPublished)
	if err := live.Delete(t.Context(), reread(t, d.cred)); err != nil {
		t.Fatal(err)
	}
	d.pass()
	for _, definition := range metrics.Definitions() {
		if got := value(t, registry, definition.Name[len("fluent_credential_"):], d.cred.Namespace); got != -1 {
			t.Errorf("%s is left of an object that is gone: %v", definition.Name, got)
		}
	}
}

// TestMetricsOfALoginThatIsHeldBack: of the guard's decisions, and until when it stays like this.
func TestMetricsOfALoginThatIsHeldBack(t *testing.T) {
	t.Parallel()
	registry := prometheus.NewRegistry()
	d := newDrivenWith(t, nil, func(login *corev1.Secret) { login.StringData["password"] = wrongPassword }, nil)
	d.Metrics = metrics.New(registry)
	d.settle()
	edit(t, d.cred, func(cred *v1alpha1.FluentCredential) { cred.Spec.Scope = "" })
	d.settle()
	if got := value(t, registry, "login_guard_decisions_total", "Rejected"); got != 1 {
		t.Errorf("the guard held back %v logins, want 1", got)
	}
	until := float64(start.Add(20 * time.Minute).Unix())
	if got := value(t, registry, "login_barred_until_timestamp_seconds", d.cred.Name); got < until-1 || got > until+1 {
		t.Errorf("the login is barred until %v, want %v", got, until)
	}
	if got := value(t, registry, "reply_lost_timestamp_seconds", d.cred.Name); got != -1 {
		t.Errorf("a reply was lost at %v, want never", got)
	}
}
