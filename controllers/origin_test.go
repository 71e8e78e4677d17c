package controllers

import (
	"bytes"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync"
	"testing"

	corev1 "k8s.io/api/core/v1"

	"github.com/fluent-credential/operator/api/v1alpha1"
	"github.com/fluent-credential/operator/hack/authsim"
	"github.com/fluent-credential/operator/internal/custody"
)

// certificate is PEM that no server of a test uses.
func certificate(t *testing.T) string {
	t.Helper()
	return newSigner(t).bundle()
}

// listener is a front of an authorization server that remembers every request as one text.
type listener struct {
	URL  string
	mu   sync.Mutex
	seen []string
}

func listenTo(t *testing.T, sim *server) *listener {
	t.Helper()
	target, err := url.Parse(sim.URL)
	if err != nil {
		t.Fatal(err)
	}
	proxy := httputil.NewSingleHostReverseProxy(target)
	proxy.ErrorLog = log.New(io.Discard, "", 0) // a fault of the server is wanted
	l := &listener{}
	front := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, request *http.Request) {
		body, _ := io.ReadAll(request.Body)
		request.Body = io.NopCloser(bytes.NewReader(body))
		l.mu.Lock()
		l.seen = append(l.seen, request.URL.String()+" "+string(body))
		l.mu.Unlock()
		proxy.ServeHTTP(w, request)
	}))
	t.Cleanup(front.Close)
	l.URL = front.URL
	return l
}

// heard returns how many requests had a text in them.
func (l *listener) heard(text string) (count int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, request := range l.seen {
		if strings.Contains(request, url.QueryEscape(text)) {
			count++
		}
	}
	return count
}

// family is a credential whose refresh token is all that it has: nothing but a person could replace it.
func family(t *testing.T) (*driven, *listener) {
	t.Helper()
	var front *listener
	d := newSpeaking(t, apis["oauth2 Basic"], nil, nil)
	front = listenTo(t, d.server)
	d.change(func(cred *v1alpha1.FluentCredential) {
		cred.Spec.Provider.OAuth2.TokenURL = v1alpha1.TokenURL(front.URL + "/oauth/token")
		cred.Spec.Provider.OAuth2.RevocationURL = v1alpha1.TokenURL(front.URL + "/oauth/revoke")
		cred.Spec.Provider.OAuth2.CABundle = certificate(t)
		cred.Spec.Provider.OAuth2.Headers = map[string]v1alpha1.HeaderValue{"X-Tenant": "acme"}
	})
	d.settle()
	d.setLogin(func(login map[string][]byte) { delete(login, "password") })
	d.settle()
	return d, front
}

// record is the state as it is stored.
func (d *driven) stored() *custody.Record {
	d.t.Helper()
	record, err := d.Custody.Open(d.t.Context(), (&observation{cred: reread(d.t, d.cred)}).owner())
	if err != nil {
		d.t.Fatal(err)
	}
	return record
}

// refresh turns the clock to when the token is due, and makes passes.
func (d *driven) refreshDue() {
	d.t.Helper()
	if due := d.stored().Token.Refresh; due.After(d.clock.Now()) {
		d.clock.SetTime(due)
	}
	d.settle()
}

// reshape is a change of the spec, and what of the family's origin it changes.
type reshape struct {
	why   string
	edit  func(*testing.T, *v1alpha1.OAuth2Provider)
	names string // what the message names; empty: the refresh token is presented as before
}

func reshapes() map[string]reshape {
	return map[string]reshape{
		"the path of the token endpoint": {
			"another program of the host may answer there",
			func(_ *testing.T, o *v1alpha1.OAuth2Provider) { o.TokenURL += "/of/mine" }, "token endpoint",
		},
		"the parameter style": {
			"the URL of a request is in the logs of servers and proxies",
			func(_ *testing.T, o *v1alpha1.OAuth2Provider) { o.ParameterStyle = v1alpha1.ParametersQuery }, "parameterStyle",
		},
		"the client authentication": {
			"the client's secret is sent in another place",
			func(_ *testing.T, o *v1alpha1.OAuth2Provider) { o.ClientAuthentication = v1alpha1.ClientAuthBody },
			"clientAuthentication",
		},
		"one certificate more": {
			"who has its key can read the refresh token on its way",
			func(t *testing.T, o *v1alpha1.OAuth2Provider) { o.CABundle += certificate(t) }, "caBundle",
		},
		"another certificate": {
			"likewise", func(t *testing.T, o *v1alpha1.OAuth2Provider) { o.CABundle = certificate(t) }, "caBundle",
		},
		"no certificate": {
			"less is trusted than before", func(_ *testing.T, o *v1alpha1.OAuth2Provider) { o.CABundle = "" }, "",
		},
		"a comment in the bundle": {
			"the same certificates are trusted",
			func(_ *testing.T, o *v1alpha1.OAuth2Provider) { o.CABundle = "# ours\n" + o.CABundle + o.CABundle }, "",
		},
		"another tenant": {
			"the tenant's administrator may read what is sent to it",
			func(_ *testing.T, o *v1alpha1.OAuth2Provider) { o.Headers["X-Tenant"] = "mine" }, "header",
		},
		"another program": {
			"it selects no recipient",
			func(_ *testing.T, o *v1alpha1.OAuth2Provider) { o.Headers["User-Agent"] = "shop/2" }, "",
		},
		"the revocation endpoint": {
			"a refresh goes where it always went",
			func(_ *testing.T, o *v1alpha1.OAuth2Provider) { o.RevocationURL += "/of/mine" }, "",
		},
	}
}

// TestRefreshTokenStaysWithItsOrigin: who may edit a FluentCredential, and not read its tokens, cannot have them sent in
// another way. Nothing is lost by the edit: with the former spec, the family goes on.
func TestRefreshTokenStaysWithItsOrigin(t *testing.T) {
	t.Parallel()
	for name, test := range reshapes() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d, front := family(t)
			before := d.cred.Spec.Provider.DeepCopy()
			refresh := d.stored().Chain.Refresh.Reveal()
			d.change(func(cred *v1alpha1.FluentCredential) { test.edit(t, cred.Spec.Provider.OAuth2) })
			d.settle()
			d.refreshDue()
			if test.names == "" {
				if front.heard(refresh) != 1 || d.stored().Serial != 2 {
					t.Errorf("the refresh token was presented %d times, but %s: %s",
						front.heard(refresh), test.why, d.says(v1alpha1.ConditionRenewable))
				}
				return
			}
			if count := front.heard(refresh); count != 0 {
				t.Errorf("the refresh token was sent %d times, but %s", count, test.why)
			}
			says := "True ReauthorizationRequired the stored refresh token was obtained with another " + test.names +
				", so it is not presented: undo the change"
			if got := d.says(v1alpha1.ConditionStalled); !strings.HasPrefix(got, says) {
				t.Errorf("Stalled says %q, want %q", got, says)
			}
			d.change(func(cred *v1alpha1.FluentCredential) { cred.Spec.Provider = *before })
			d.settle()
			if serial := d.stored().Serial; serial != 2 || front.heard(refresh) != 1 {
				t.Errorf("with the former spec: serial %d, want 2: %s", serial, d.says(v1alpha1.ConditionRenewable))
			}
		})
	}
}

// TestRevocationStaysWithItsOrigin: a deletion sends the refresh token and the client's secret to no endpoint that was
// named after the family began, however often it was refreshed since.
func TestRevocationStaysWithItsOrigin(t *testing.T) {
	t.Parallel()
	revoke := func(_ *testing.T, o *v1alpha1.OAuth2Provider) { o.RevocationURL += "/of/mine" }
	tests := map[string]struct {
		why     string
		edit    func(*testing.T, *v1alpha1.OAuth2Provider)
		rotates int
		says    string // of the event; empty: it is revoked
	}{
		"nothing":             {"it is asked as ever", func(*testing.T, *v1alpha1.OAuth2Provider) {}, 1, ""},
		"another path":        {"what answers there may be the author's", revoke, 0, "revocation endpoint"},
		"another path, later": {"a refresh does not make it the family's", revoke, 2, "revocation endpoint"},
		"another certificate": {
			"what answers may be the author's",
			func(t *testing.T, o *v1alpha1.OAuth2Provider) { o.CABundle = certificate(t) }, 0, "caBundle",
		},
		"another tenant": {
			"its administrator is another one",
			func(_ *testing.T, o *v1alpha1.OAuth2Provider) { o.Headers["X-Tenant"] = "mine" }, 0, "header",
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d, front := family(t)
			d.change(func(cred *v1alpha1.FluentCredential) { test.edit(t, cred.Spec.Provider.OAuth2) })
			d.settle()
			for range test.rotates {
				d.refreshDue()
			}
			refresh := d.stored().Chain.Refresh.Reveal()
			d.mustGo()
			if test.says == "" {
				if front.heard(refresh) != 1 || d.server.Ledger().Revocations != 1 {
					t.Errorf("the refresh token was sent %d times, but %s", front.heard(refresh), test.why)
				}
				return
			}
			if count := front.heard(refresh); count != 0 {
				t.Errorf("the refresh token was sent %d times, but %s", count, test.why)
			}
			d.mustHaveEvent("RefreshTokenKept", "it was obtained with another "+test.says)
		})
	}
}

// TestLoginBeginsAFamilyWithTheNewOrigin: where a login works without a person, a change costs one login and no token.
func TestLoginBeginsAFamilyWithTheNewOrigin(t *testing.T) {
	t.Parallel()
	d := newSpeaking(t, apis["oauth2 Basic"], nil, nil)
	front := listenTo(t, d.server)
	d.settle()
	former := d.stored().Chain.Refresh.Reveal()
	d.change(func(cred *v1alpha1.FluentCredential) {
		cred.Spec.Provider.OAuth2.TokenURL = v1alpha1.TokenURL(front.URL + "/oauth/token")
		cred.Spec.Provider.OAuth2.RevocationURL = v1alpha1.TokenURL(front.URL + "/oauth/revoke")
	})
	d.settle()
	if serial := d.stored().Serial; serial != 2 {
		t.Errorf("serial %d, want 2: %s", serial, d.says(v1alpha1.ConditionRenewable))
	}
	refresh := d.stored().Chain.Refresh.Reveal()
	d.mustGo()
	if front.heard(former) != 0 || front.heard(refresh) != 1 {
		t.Errorf("the former refresh token was sent %d times, the new one %d times; want 0 and 1",
			front.heard(former), front.heard(refresh))
	}
}

// TestMovedRefreshTokenContinues: who may read the state Secret can take a family along to a new origin, by moving its
// refresh token into the credentials Secret.
func TestMovedRefreshTokenContinues(t *testing.T) {
	t.Parallel()
	d, front := family(t)
	refresh := d.stored().Chain.Refresh.Reveal()
	d.change(func(cred *v1alpha1.FluentCredential) { cred.Spec.Provider.OAuth2.CABundle += certificate(t) })
	d.settle()
	d.setSeed("refresh_token", refresh)
	d.settle()
	if serial := d.stored().Serial; serial != 2 || front.heard(refresh) != 1 {
		t.Errorf("serial %d after %d presentations, want 2 after one: %s",
			serial, front.heard(refresh), d.says(v1alpha1.ConditionRenewable))
	}
	next := d.stored().Chain.Refresh.Reveal()
	d.refreshDue()
	if serial := d.stored().Serial; serial != 3 || front.heard(next) != 1 {
		t.Errorf("serial %d, want 3: the family has the new origin now", serial)
	}
}

// TestMovedRefreshTokenIsPresentedTwiceAtMost: as a seed it is the token that it was before.
func TestMovedRefreshTokenIsPresentedTwiceAtMost(t *testing.T) {
	t.Parallel()
	d, front := family(t)
	refresh := d.stored().Chain.Refresh.Reveal()
	d.fault("every refresh_token: drop-after")
	d.refreshDue()
	for range 10 {
		d.clock.SetTime(d.clock.Now().Add(defaultLifetime))
		d.settle()
	}
	d.setSeed("refresh_token", refresh)
	for range 10 {
		d.settle()
		d.clock.SetTime(d.clock.Now().Add(defaultLifetime))
	}
	if count := front.heard(refresh); count != 2 {
		t.Errorf("the refresh token was presented %d times, want 2", count)
	}
}

// TestOriginOutlastsACrash: a reply that was journaled before a crash belongs to the spec that it was asked for with, and
// not to what the spec was changed to meanwhile.
func TestOriginOutlastsACrash(t *testing.T) {
	t.Parallel()
	const commit = 2
	d := newSpeaking(t, apis["oauth2 Basic"], nil, nil)
	d.journalIn(t.TempDir())
	front := listenTo(t, d.server)
	d.settle()
	d.setLogin(func(login map[string][]byte) { delete(login, "password") })
	d.settle()
	d.clock.SetTime(d.stored().Token.Refresh)
	d.crashAt(commit, false)
	d.change(func(cred *v1alpha1.FluentCredential) {
		cred.Spec.Provider.OAuth2.TokenURL = v1alpha1.TokenURL(front.URL + "/oauth/token")
		cred.Spec.Provider.OAuth2.RevocationURL = v1alpha1.TokenURL(front.URL + "/oauth/revoke")
	})
	d.restart()
	d.settle()
	if serial := d.stored().Serial; serial != 2 {
		t.Fatalf("serial %d, want 2: the reply is in the journal", serial)
	}
	refresh := d.stored().Chain.Refresh.Reveal()
	d.refreshDue()
	if count := front.heard(refresh); count != 0 {
		t.Errorf("the refresh token was sent to the new endpoint %d times", count)
	}
	if says := d.says(v1alpha1.ConditionStalled); !strings.Contains(says, "another token endpoint") {
		t.Errorf("Stalled says %q", says)
	}
}

// TestOriginOfALostSeedOutlastsACrash: likewise of a seed whose reply was lost, before there was any token,
// and that was taken out of the credentials Secret.
func TestOriginOfALostSeedOutlastsACrash(t *testing.T) {
	t.Parallel()
	const commit = 2
	d := newSpeaking(t, apis["oauth2 Basic"], nil, nil)
	front := listenTo(t, d.server)
	d.settle()
	seed := d.stored().Chain.Refresh.Reveal()
	other := credential(d.cred.Namespace, "stock", d.server)
	standard(other)
	other.Spec.Provider.OAuth2.RevocationURL = ""
	other.Spec.CredentialsSecretRef.Name = "stock-login"
	login := loginSecret(d.cred.Namespace, "stock-login")
	login.StringData = map[string]string{"client_id": clientID, "client_secret": clientSecret, "refresh_token": seed}
	create(t, login)
	create(t, other)
	eventually(t, "the cache shows the other one", func() (bool, any) {
		err := d.Client.Get(t.Context(), keyOf(other), &v1alpha1.FluentCredential{})
		return err == nil, err
	})
	d.cred = other
	d.pass()
	d.crashAt(commit, false)
	d.change(func(cred *v1alpha1.FluentCredential) {
		cred.Spec.Provider.OAuth2.TokenURL = v1alpha1.TokenURL(front.URL + "/oauth/token")
	})
	edit(t, secret(t, other.Namespace, "stock-login"), func(login *corev1.Secret) {
		delete(login.Data, "refresh_token")
		login.Data["username"] = []byte(user)
	})
	d.restart()
	for range 5 {
		d.settle()
		d.clock.SetTime(d.clock.Now().Add(defaultLifetime))
	}
	if count := front.heard(seed); count != 0 {
		t.Errorf("the seed, whose reply was lost, was sent to the new endpoint %d times", count)
	}
}

// forgetOrigin makes the state one of an operator that recorded no origins.
func (d *driven) forgetOrigin() {
	d.t.Helper()
	record := d.stored()
	state := record.State
	access, chain := *state.Token, *state.Chain
	access.Origin, chain.Origin = nil, nil
	state.Token, state.Chain = &access, &chain
	if _, err := d.Custody.Put(d.t.Context(), (&observation{cred: reread(d.t, d.cred)}).owner(), record, state); err != nil {
		d.t.Fatal(err)
	}
	d.memory = newMemory()
}

// TestUpgradeKeepsFamilies: a state of a former version is read, marked in the first pass, and bound from then on. What
// the former version did not allow is not allowed afterwards either.
func TestUpgradeKeepsFamilies(t *testing.T) {
	t.Parallel()
	style := func(o *v1alpha1.OAuth2Provider) { o.ParameterStyle = v1alpha1.ParametersQuery }
	none := func(*v1alpha1.OAuth2Provider) {}
	moved := func(o *v1alpha1.OAuth2Provider) { o.TokenURL += "/of/mine" }
	tests := map[string]struct {
		why           string
		before, after func(*v1alpha1.OAuth2Provider) // of the first pass
		presented     int
	}{
		"unchanged":          {"an upgrade costs no family", none, none, 1},
		"changed afterwards": {"the first pass has marked it", none, style, 0},
		"a changed endpoint": {"a former version refused that too", moved, none, 0},
		"changed and restored": {
			"the family waits for its endpoint", moved,
			func(o *v1alpha1.OAuth2Provider) {
				o.TokenURL = v1alpha1.TokenURL(strings.TrimSuffix(string(o.TokenURL), "/of/mine"))
			}, 1,
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d, front := family(t)
			refresh := d.stored().Chain.Refresh.Reveal()
			d.forgetOrigin()
			d.change(func(cred *v1alpha1.FluentCredential) { test.before(cred.Spec.Provider.OAuth2) })
			d.settle()
			d.change(func(cred *v1alpha1.FluentCredential) { test.after(cred.Spec.Provider.OAuth2) })
			d.settle()
			d.refreshDue()
			if count := front.heard(refresh); count != test.presented {
				t.Errorf("the refresh token was presented %d times, want %d, because %s: %s",
					count, test.presented, test.why, d.says(v1alpha1.ConditionRenewable))
			}
		})
	}
}

// TestUpgradeRevokesNothingUnknown: a former version did not record the revocation endpoint, so one that was edited
// before the upgrade looks like the right one.
func TestUpgradeRevokesNothingUnknown(t *testing.T) {
	t.Parallel()
	d, front := family(t)
	d.forgetOrigin()
	d.change(func(cred *v1alpha1.FluentCredential) { cred.Spec.Provider.OAuth2.RevocationURL += "/of/mine" })
	d.settle()
	d.refreshDue()
	refresh := d.stored().Chain.Refresh.Reveal()
	d.mustGo()
	if count := front.heard(refresh); count != 0 {
		t.Errorf("the refresh token was sent %d times", count)
	}
	d.mustHaveEvent("RefreshTokenKept", "did not record the revocation endpoint")
}

// TestUpgradeRevokesWhereTheEndpointFollows: of Commerce Layer the former record names both endpoints.
func TestUpgradeRevokesWhereTheEndpointFollows(t *testing.T) {
	t.Parallel()
	d := newSpeaking(t, api{dialect: authsim.DialectCommerceLayer, asks: commerceLayer}, nil, func(*corev1.Secret) {})
	d.settle()
	d.forgetOrigin()
	d.settle()
	d.mustGo()
	if revoked := d.server.Ledger().Revocations; revoked != 1 {
		t.Errorf("%d revocations, want 1", revoked)
	}
}
