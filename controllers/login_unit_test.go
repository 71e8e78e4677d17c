package controllers

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/fluent-credential/operator/api/v1alpha1"
	"github.com/fluent-credential/operator/internal/custody"
	"github.com/fluent-credential/operator/internal/plan"
	"github.com/fluent-credential/operator/internal/token"
)

// oauth2 makes the provider a plain token endpoint, which knows every grant.
func oauth2(s *scene) {
	s.cred.Spec.Provider = v1alpha1.ProviderSpec{OAuth2: &v1alpha1.OAuth2Provider{
		TokenURL: "https://login.example/token", ParameterStyle: v1alpha1.ParametersForm, ClientAuthentication: v1alpha1.ClientAuthBody,
	}}
	s.useSpec()
}

func TestUnitGrantsOfALogin(t *testing.T) {
	seed, spent := token.NewSecret(sceneSeed), []string{token.NewSecret(sceneSeed).Hash("salt")}
	tests := map[string]struct {
		why   string
		given func(*scene)
		want  plan.Login
		seed  token.Grant // of the seed that would be used
	}{
		"a user":              {"a password renews by itself", func(*scene) {}, plan.Login{Password: true}, ""},
		"a user, no password": {"half a login is none", func(s *scene) { s.login.Password = token.Secret{} }, plan.Login{}, ""},
		"a password, no user": {"half a login is none", func(s *scene) { s.login.Username = "" }, plan.Login{}, ""},
		"a seed":              {"it was never spent", func(s *scene) { s.login.Refresh = seed }, plan.Login{Seed: true, Password: true}, token.RefreshToken},
		"a seed, spent": {
			"a manifest that is applied twice replays nothing", func(s *scene) { s.login.Refresh, s.record.Seeds = seed, spent },
			plan.Login{Password: true}, token.RefreshToken,
		},
		"a code":                          {"it was never spent", func(s *scene) { oauth2(s); s.login.Code = seed }, plan.Login{Seed: true, Password: true}, token.AuthorizationCode},
		"a code for an API without codes": {"it would be refused", func(s *scene) { s.login.Code = seed }, plan.Login{Password: true}, ""},
		"a spent refresh token and a new code": {
			"of two seeds the one that was not spent counts",
			func(s *scene) {
				oauth2(s)
				s.login.Refresh, s.login.Code, s.record.Seeds = seed, token.NewSecret("code"), spent
			},
			plan.Login{Seed: true, Password: true}, token.AuthorizationCode,
		},
		"a refresh token and a code": {
			"the refresh token first", func(s *scene) { s.login.Refresh, s.login.Code = seed, token.NewSecret("code") },
			plan.Login{Seed: true, Password: true}, token.RefreshToken,
		},
		"a client, where the API knows no such grant": {
			"the Fluent API has no client credentials", func(s *scene) { s.login.Username, s.login.Password = "", token.Secret{} }, plan.Login{}, "",
		},
		"a client": {
			"client credentials renew by themselves",
			func(s *scene) { oauth2(s); s.login.Username, s.login.Password = "", token.Secret{} }, plan.Login{Client: true}, "",
		},
		"a client beside a user": {
			"the client's own token would be somebody else's", func(s *scene) { oauth2(s) }, plan.Login{Password: true}, "",
		},
		"no API": {"a spec that names none", func(s *scene) { s.api = nil }, plan.Login{}, ""},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			s := newScene(t)
			test.given(s)
			if diff := cmp.Diff(test.want, s.loginFact()); diff != "" {
				t.Errorf("%s (-want +got)\n%s", test.why, diff)
			}
			if found := s.seed(); !found.secret.IsZero() && found.grant != test.seed || found.secret.IsZero() != (test.seed == "") {
				t.Errorf("the seed is a %s, want %s: %s", found.grant, test.seed, test.why)
			}
		})
	}
}

func TestUnitMissing(t *testing.T) {
	renamed := func(s *scene) {
		s.cred.Spec.CredentialsSecretRef.Keys = map[string]v1alpha1.SecretKey{
			"username": "USER", "password": "PASS", "client_id": "CLIENT", "refresh_token": "SEED",
		}
	}
	nobody := func(s *scene) { s.login.Username, s.login.Password = "", token.Secret{} }
	tests := map[string]struct {
		why   string
		given func(*scene)
		want  string
	}{
		"nothing":            {"the login is whole", func(s *scene) { s.fresh() }, ""},
		"no client":          {"no API works without", func(s *scene) { s.fresh(); s.login.ClientID = "" }, "Secret orders-login has no client_id, or an empty one"},
		"no client, a chain": {"not even a refresh", func(s *scene) { s.login.ClientID = "" }, "Secret orders-login has no client_id, or an empty one"},
		"no client, renamed": {"the name that the user chose", func(s *scene) { renamed(s); s.login.ClientID = "" }, "Secret orders-login has no CLIENT, or an empty one"},
		"no password":        {"there is a user", func(s *scene) { s.fresh(); s.login.Password = token.Secret{} }, "Secret orders-login has no password, or an empty one"},
		"no password, a seed": {"the seed is enough", func(s *scene) {
			s.fresh()
			s.login.Password, s.login.Refresh = token.Secret{}, token.NewSecret(sceneSeed)
		}, ""},
		"no password, renamed": {
			"the name that the user chose", func(s *scene) { s.fresh(); renamed(s); s.login.Password = token.Secret{} },
			"Secret orders-login has no PASS, or an empty one",
		},
		"no user": {
			"any of the two ways will do", func(s *scene) { s.fresh(); nobody(s) },
			"Secret orders-login has neither username and password nor a refresh_token",
		},
		"no user, renamed": {
			"the names that the user chose", func(s *scene) { s.fresh(); renamed(s); nobody(s) }, "Secret orders-login has neither USER and PASS nor a SEED",
		},
		"no user, a chain":      {"the chain goes on", func(s *scene) { nobody(s) }, ""},
		"no user, a chain lost": {"the plan tells what to do", func(s *scene) { nobody(s); s.record.Chain = nil }, ""},
		"a spent seed":          {"the plan tells what to do", func(s *scene) { s.fresh(); s.seeded() }, ""},
		"no user, a client":     {"client credentials", func(s *scene) { s.fresh(); oauth2(s); nobody(s) }, ""},
		"no Secret":             {"the first obstacle is the one that is told", func(s *scene) { s.fresh(); s.obstruct("CredentialsNotFound", "gone"); s.login = token.Login{} }, ""},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			s := newScene(t)
			test.given(s)
			if got := s.missing(); got != test.want {
				t.Errorf("%q, want %q: %s", got, test.want, test.why)
			}
		})
	}
}

// changes are what a person can change, and what each of them means: another attempt (a failure is forgotten), and another chain (the
// stored token is stale).
var changes = map[string]struct {
	why              string
	change           func(*scene)
	attempted, stale bool
}{
	"nothing":         {"there is no reason", func(*scene) {}, false, false},
	"the password":    {"it may be the right one now; the chain is the same user's", func(s *scene) { s.login.Password = token.NewSecret("new") }, true, false},
	"the user":        {"another user is another chain", func(s *scene) { s.login.Username = "other" }, true, true},
	"the user, taken": {"a login without a user name continues any chain", func(s *scene) { s.login.Username = "" }, true, false},
	"the client":      {"another client is another chain", func(s *scene) { s.login.ClientID = "other" }, true, true},
	"the client's secret": {
		"it may be the right one now; the chain is the same client's", func(s *scene) { s.login.ClientSecret = token.NewSecret("new") }, true, false,
	},
	"the seed":     {"a new one is used at once, by another rule", func(s *scene) { s.login.Refresh = token.NewSecret("new") }, true, false},
	"the code":     {"a new one is used at once, by another rule", func(s *scene) { s.login.Code = token.NewSecret("new") }, true, false},
	"the redirect": {"it belongs to the code", func(s *scene) { s.login.RedirectURI = "https://x" }, true, false},
	"the scope":    {"another scope is another chain", func(s *scene) { s.cred.Spec.Scope, s.login.Scope = "other", "other" }, true, true},
	"the account":  {"another endpoint is another chain", func(s *scene) { s.cred.Spec.Provider.Fluent.Account = "OTHER"; s.useSpec() }, true, true},
	"the case of the account": {
		"the host is the same, so the chain is", func(s *scene) { s.cred.Spec.Provider.Fluent.Account = "acme"; s.useSpec() }, true, false,
	},
	"the headers": {
		"one of them may be what was missing; it may select another tenant as well",
		func(s *scene) {
			s.cred.Spec.Provider.Fluent.Headers = map[string]v1alpha1.HeaderValue{"fluent.account": "ACME"}
			s.useSpec()
		}, true, true,
	},
	"a neutral header": {
		"it selects no recipient",
		func(s *scene) {
			s.cred.Spec.Provider.Fluent.Headers = map[string]v1alpha1.HeaderValue{"user-agent": "shop/1"}
			s.useSpec()
		}, true, false,
	},
	"the style": {
		"it may be what the API understands; it may put the refresh token into URLs as well",
		func(s *scene) { s.cred.Spec.Provider.Fluent.ParameterStyle = "Query"; s.useSpec() }, true, true,
	},
	"the trust": {
		"who holds the key of the new certificate can read what is sent",
		func(s *scene) { s.cred.Spec.Provider.Fluent.CABundle = certificate(s.t); s.useSpec() }, true, true,
	},
	"a bundle without a certificate": {
		"nothing more is trusted", func(s *scene) { s.cred.Spec.Provider.Fluent.CABundle = "none"; s.useSpec() }, true, false,
	},
	"the target": {
		"it has nothing to do with the API", func(s *scene) { s.cred.Spec.Target.Name = "other"; s.cred.Spec.Refresh.OnLostReply = "Retry" }, false, false,
	},
	"an unrelated entry": {"nothing reads it", func(s *scene) { s.cred.Spec.CredentialsSecretRef.Name = "moved" }, false, false},
}

func TestUnitWhatAChangeMeans(t *testing.T) {
	for name, test := range changes {
		t.Run(name, func(t *testing.T) {
			s := newScene(t)
			s.record.Failure = &custody.Failure{Login: s.attempted()}
			test.change(s)
			if forgotten := s.failureFact() == nil; forgotten != test.attempted {
				t.Errorf("the failure is forgotten: %t, want %t: %s", forgotten, test.attempted, test.why)
			}
			if stale := s.tokenFact().Stale; stale != test.stale {
				t.Errorf("the token is stale: %t, want %t: %s", stale, test.stale, test.why)
			}
		})
	}
}

// TestUnitHashesCannotBeConfused: two values that are moved from one entry to another make another login.
func TestUnitHashesCannotBeConfused(t *testing.T) {
	seen := map[string]string{}
	for name, login := range map[string]token.Login{
		"a password":      {Password: token.NewSecret("x")},
		"a client secret": {ClientSecret: token.NewSecret("x")},
		"a seed":          {Refresh: token.NewSecret("x")},
		"a code":          {Code: token.NewSecret("x")},
		"a user":          {Username: "x"},
		"a client":        {ClientID: "x"},
		"two":             {Username: `x","y`},
		"one and another": {Username: "x", ClientID: "y"},
	} {
		s := newScene(t)
		s.login = login
		hash := s.attempted()
		if other, taken := seen[hash]; taken {
			t.Errorf("%s is hashed like %s", name, other)
		}
		seen[hash] = name
	}
}

func TestUnitSaltHidesTheLogin(t *testing.T) {
	one, other := newScene(t), newScene(t)
	other.record.Salt = "another"
	if one.attempted() == other.attempted() || one.user() == other.user() {
		t.Error("two credentials with the same login have the same hash: a password could be looked up")
	}
	if one.inputs() != other.inputs() {
		t.Error("inputs hold nothing that is secret, and are compared across credentials")
	}
}

// TestUnitForgottenSeedsStaySpent: when the state was emptied, nobody knows whether the seed in the credentials Secret was spent. It is
// not tried then, and not after the next write either, which makes the state look whole again.
func TestUnitForgottenSeedsStaySpent(t *testing.T) {
	s := newScene(t)
	s.fresh()
	s.login.Refresh, s.record.Forgotten = token.NewSecret(sceneSeed), true
	if next := s.next(); next.Means != plan.ByPassword {
		t.Errorf("at first: %+v, want a login with the password", next)
	}
	s.answered(token.Password, reply(time.Hour, "new"))
	if next := s.next(); next.Do == plan.Exchange {
		t.Errorf("after the login: %+v, and the seed may have been spent long ago", next)
	}
}

// TestUnitFailureOfAClockThatWasAheadEnds: another replica's clock is a day ahead. What it stored makes this one wait as long as it was
// to be, however often it looks, and not until its own clock comes to that day.
func TestUnitFailureOfAClockThatWasAheadEnds(t *testing.T) {
	s := newScene(t)
	last := s.now.Add(24 * time.Hour)
	s.record.Failure = &custody.Failure{Login: s.attempted(), Last: last, RetryAt: last.Add(5 * time.Minute)}
	ends := s.now.Add(5 * time.Minute)
	for range 7 {
		if at := s.failureFact().RetryAt; !at.Equal(ends) {
			t.Fatalf("at %s it waits until %s, want %s", s.now, at, ends)
		}
		s.later(time.Minute)
	}
	s.record.Failure = &custody.Failure{Login: s.attempted(), Last: last.Add(time.Second), RetryAt: last.Add(time.Minute)}
	if at, ends := s.failureFact().RetryAt, s.now.Add(59*time.Second); !at.Equal(ends) {
		t.Errorf("the next failure waits until %s, want %s", at, ends)
	}
}
