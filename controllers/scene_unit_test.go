package controllers

import (
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	testclock "k8s.io/utils/clock/testing"

	"github.com/fluent-credential/operator/api/v1alpha1"
	"github.com/fluent-credential/operator/internal/binding"
	"github.com/fluent-credential/operator/internal/custody"
	"github.com/fluent-credential/operator/internal/exchange"
	"github.com/fluent-credential/operator/internal/failure"
	"github.com/fluent-credential/operator/internal/loginguard"
	"github.com/fluent-credential/operator/internal/plan"
	"github.com/fluent-credential/operator/internal/projection"
	"github.com/fluent-credential/operator/internal/provider"
	"github.com/fluent-credential/operator/internal/token"
)

// A scene is what one pass has seen of a credential, without a cluster: for the parts of this package that are pure.
type scene struct {
	*observation
	r *Reconciler
	t *testing.T
}

// The secrets of a scene; no message may hold one of them.
const (
	scenePassword = "a-password-in-a-scene"
	sceneSecret   = "a-client-secret-in-a-scene"
	sceneAccess   = "an-access-token-in-a-scene"
	sceneRefresh  = "a-refresh-token-in-a-scene"
	sceneSeed     = "a-seed-in-a-scene"
)

// newScene is a healthy credential: a token of half an hour, obtained ten minutes ago, published, with a refresh token and a login.
func newScene(t *testing.T) *scene {
	t.Helper()
	r := &Reconciler{
		Hosts: NewHosts(0), Clock: testclock.NewFakePassiveClock(start), Draw: func() float64 { return 0.5 },
		Holder: custody.Holder{Pod: "pod", Start: "start"}, memory: newMemory(),
	}
	cred := &v1alpha1.FluentCredential{
		ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "orders", UID: "uid", Generation: 3},
		Spec: v1alpha1.FluentCredentialSpec{
			Provider:             v1alpha1.ProviderSpec{Fluent: &v1alpha1.FluentProvider{Account: "ACME"}},
			CredentialsSecretRef: v1alpha1.CredentialsSecretReference{Name: "orders-login"},
			Scope:                "api",
			Target:               v1alpha1.TargetSpec{Name: "orders-token"},
		},
	}
	s := &scene{r: r, t: t, observation: &observation{
		now: start, policy: exchange.Policy{}, cred: cred, memory: &remembered{uid: "uid", registered: "1"},
		login: token.Login{
			Username: "fluent-api", Password: token.NewSecret(scenePassword),
			ClientID: "client", ClientSecret: token.NewSecret(sceneSecret), Scope: "api",
		},
		record: &custody.Record{State: custody.State{
			Salt: "salt", Serial: 17, LastClaim: "before", Chain: &custody.Chain{Refresh: token.NewSecret(sceneRefresh)},
		}},
	}}
	s.useSpec()
	s.record.Token = &custody.Token{
		Access: token.NewSecret(sceneAccess), Type: "bearer", Grant: token.RefreshToken, Inputs: s.inputs(), User: s.user(),
		Obtained: start.Add(-10 * time.Minute), Expires: start.Add(20 * time.Minute), Refresh: start.Add(9 * time.Minute),
	}
	s.record.State = s.record.Adopted(s.originNow(s.record.Salt))
	s.workload = workload{wanted: &projection.Workload{Name: "orders-token", Serial: 17}, found: true, ours: true, serial: 17, current: true}
	return s
}

// useSpec reads the spec as an observation does.
func (s *scene) useSpec() {
	s.t.Helper()
	api, err := binding.APIOf(s.cred.Spec.Provider)
	if err != nil {
		s.t.Fatal(err)
	}
	s.api = api
}

// fresh takes the token away: a credential that was created a moment ago.
func (s *scene) fresh() {
	s.record.State = custody.State{Salt: "salt"}
	s.workload = workload{}
}

// seeded takes the login away and leaves a seed that was spent: a credential that only a person can give a new chain.
func (s *scene) seeded() {
	s.login.Username, s.login.Password, s.login.Refresh = "", token.Secret{}, token.NewSecret(sceneSeed)
	s.record.Seeds = []string{s.login.Refresh.Hash("salt")}
	if s.record.Token != nil {
		s.record.Token.User = ""
		s.record.Token.Origin.User = ""
	}
}

// later moves the scene on in time.
func (s *scene) later(wait time.Duration) {
	s.now = s.now.Add(wait)
	s.r.Clock.(*testclock.FakePassiveClock).SetTime(s.now)
}

// The grants that an answer in a scene is for.
func (s *scene) attempt(grant token.Grant, answer provider.Answer) *attempt {
	try := &attempt{
		claim: custody.Claim{ID: "claim", Grant: grant, Attempt: 1}, answer: answer, sent: s.now, replied: s.now.Add(time.Second),
	}
	if grant == token.RefreshToken {
		try.spends = token.NewSecret(sceneRefresh)
		if chain := s.record.Chain; chain != nil {
			try.claim.Attempt = chain.Presented + 1
		}
		try.claim.Spends = try.spends.Hash(s.record.Salt)
	}
	return try
}

// answered is an exchange that ended with that answer, stored.
func (s *scene) answered(grant token.Grant, answer provider.Answer) {
	try := s.attempt(grant, answer)
	claimed := s.record.Claimed(try.claim, s.handledRotate())
	s.record = &custody.Record{State: s.r.result(s.observation, try).Apply(claimed)}
}

// refused is an answer without a token.
func refused(verdict token.Verdict, status int, code, description string) provider.Answer {
	cause := failure.Passing()
	switch verdict {
	case token.RefusedIntact:
		cause = failure.WaitsFor(failure.CredentialsSecret)
	case token.LoginRefused, token.Declined:
		cause = failure.WaitsForUnprobed(failure.CredentialsSecret)
	}
	return provider.Answer{
		Verdict: verdict, Problem: provider.Problem{Status: status, Code: code, Description: description}, Cause: cause,
	}
}

// refusedByGuard is the answer of the login guard to a login.
func refusedByGuard(why loginguard.Why, description string) provider.Answer {
	answer := refused(token.LoginRefused, 0, string(why), description)
	answer.Cause = guardCauses[why]
	return answer
}

// passing is an answer that a later try may change by itself.
func passing(answer provider.Answer) provider.Answer {
	answer.Cause = failure.Passing()
	return answer
}

// refusedSince is a run of the same answer that began that long ago, each try made when it was due.
func (s *scene) refusedSince(ago time.Duration, grant token.Grant, answer provider.Answer) {
	end := s.now
	s.later(-ago)
	for s.answered(grant, answer); !s.record.Failure.RetryAt.After(end); s.answered(grant, answer) {
		s.later(s.record.Failure.RetryAt.Sub(s.now))
	}
	s.later(end.Sub(s.now))
}

// next is what the plan makes of the scene.
func (s *scene) next() plan.Step {
	s.r.refresh(s.observation)
	return plan.Next(s.facts, s.now)
}

// status is what the scene is reported as.
func (s *scene) status() v1alpha1.FluentCredentialStatus {
	next := s.next()
	return statusOf(s.observation, next)
}
