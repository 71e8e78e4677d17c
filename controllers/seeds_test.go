package controllers

import (
	"fmt"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/fluent-credential/operator/api/v1alpha1"
	"github.com/fluent-credential/operator/hack/authsim"
	"github.com/fluent-credential/operator/internal/custody"
)

const callback = "https://example.com/callback"

// seedOf is a seed as a person brings it from the server, by its key in the credentials Secret.
func (d *driven) seedOf(key string) string {
	if key == v1alpha1.CodeKey {
		return d.server.IssueCode(user, clientID, callback)
	}
	return d.server.Seed(user, clientID)
}

// unseeded is a driven operator whose login a person has yet to bring.
func unseeded(t *testing.T, of api) *driven {
	t.Helper()
	d := newSpeaking(t, of, nil, nil)
	d.withoutLogin()
	d.settle()
	if requests := d.server.Ledger().Requests; requests != 0 {
		t.Fatalf("%d requests without a seed", requests)
	}
	return d
}

// mustHavePresented judges by the server's ledger: each code and each refresh token at most once, and nothing twice.
func (d *driven) mustHavePresented(of api, requests int) {
	d.t.Helper()
	ledger := d.server.Ledger()
	if ledger.Requests != requests || ledger.Reuses != 0 {
		d.t.Fatalf("%d requests with %d reuses, want %d and none: %+v", ledger.Requests, ledger.Reuses, requests, ledger.TokenRequests)
	}
	for id, times := range ledger.Presentations {
		if times != 1 {
			d.t.Fatalf("%s was presented %d times", id, times)
		}
	}
	for _, request := range ledger.TokenRequests {
		if request.Source != of.source || request.ClientAuth != of.client {
			d.t.Fatalf("a request came as %s with the client's secret in %s, want %s and %s", request.Source, request.ClientAuth, of.source, of.client)
		}
	}
}

// mustRemember looks into the state Secret: the hash of the seed is there, and the seed is not.
func (d *driven) mustRemember(seed string) {
	d.t.Helper()
	state := secret(d.t, d.cred.Namespace, custody.Names(d.cred.Name)[0])
	record, err := d.Custody.Open(d.t.Context(), (&observation{cred: d.cred}).owner())
	if err != nil {
		d.t.Fatal(err)
	}
	if len(record.Seeds) == 0 || strings.Contains(string(state.Data["state.json"]), seed) {
		d.t.Fatalf("the state remembers %d seeds, or holds this one in the clear", len(record.Seeds))
	}
}

// TestSeeds follows a chain from a person's hand: it starts with the seed, never shows it again, and starts anew with another one.
func TestSeeds(t *testing.T) {
	t.Parallel()
	for name, of := range apis {
		for _, key := range []string{v1alpha1.RefreshTokenKey, v1alpha1.CodeKey} {
			t.Run(name+" "+key, func(t *testing.T) {
				t.Parallel()
				d := unseeded(t, of)
				first := d.seedOf(key)
				d.plant(key, first)
				wait := d.settle()
				d.mustBeAlive()
				d.mustRemember(first)
				d.mustHavePresented(of, 1)

				d.sleep(wait)
				d.settle()
				d.mustBeAlive()
				d.mustHavePresented(of, 2)

				d.reapply(key, first)
				d.mustHavePresented(of, 2)

				d.sleep(documentedPace)
				d.setSeed(key, d.seedOf(key))
				d.settle()
				d.mustBeAlive()
				d.mustHavePresented(of, 3)
				if serial := d.status().Token.Serial; serial != 3 {
					t.Errorf("serial %d after two seeds and a refresh, want 3", serial)
				}
				d.setSeed(key, first)
				d.settle()
				d.mustHavePresented(of, 3)
			})
		}
	}
}

// plant brings the credentials Secret: a client and a seed.
func (d *driven) plant(key, seed string) {
	d.t.Helper()
	login := loginSecret(d.cred.Namespace, "orders-login")
	withoutUser(login)
	login.StringData["redirect_uri"], login.StringData[key] = callback, seed
	create(d.t, login)
	d.setSeed(key, seed)
}

// reapply does what a pipeline does that knows nothing of the cluster: the same manifests once more, the Secret even made anew, and
// the operator is another process.
func (d *driven) reapply(key, seed string) {
	d.t.Helper()
	d.withoutLogin()
	d.settle()
	d.plant(key, seed)
	d.memory = newMemory()
	d.settle()
	d.mustBeAlive()
}

// TestSeedOfADeletedCredentialIsNotReplayed: the FluentCredential itself is deleted and applied again with what it began with.
func TestSeedOfADeletedCredentialIsNotReplayed(t *testing.T) {
	t.Parallel()
	for name, of := range apis {
		for _, key := range []string{v1alpha1.RefreshTokenKey, v1alpha1.CodeKey} {
			t.Run(name+" "+key, func(t *testing.T) {
				t.Parallel()
				d := unseeded(t, of)
				d.plant(key, d.seedOf(key))
				d.settle()
				d.mustHavePresented(of, 1)
				d.mustGo()
				anew := &v1alpha1.FluentCredential{ObjectMeta: metav1.ObjectMeta{Namespace: d.cred.Namespace, Name: d.cred.Name}, Spec: d.cred.Spec}
				create(t, anew)
				d.cred = anew
				d.sleep(documentedPace)
				d.settle()
				d.mustHavePresented(of, 1)
				if says := d.says(v1alpha1.ConditionStalled); !strings.Contains(says, v1alpha1.ReasonReauthorizationRequired) {
					t.Errorf("Stalled says %q, but a person has to authorize anew", says)
				}
				d.sleep(documentedPace)
				d.setSeed(key, d.seedOf(key))
				d.settle()
				d.mustBeAlive()
				d.mustHavePresented(of, 2)
			})
		}
	}
}

// TestDeadSeeds: a seed that the server refuses, or whose reply is lost, is not insisted on, and another one helps at once.
func TestDeadSeeds(t *testing.T) {
	t.Parallel()
	for name, of := range apis {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := unseeded(t, of)
			d.plant(v1alpha1.CodeKey, "never-issued-by-this-server")
			d.settle()
			d.sleep(time.Hour)
			d.settle()
			if requests := d.server.Ledger().Requests; requests != 1 {
				t.Errorf("a code that was refused was presented %d times", requests)
			}
			d.server.AddFault(fault(t, "1st: drop-after"))
			d.setSeed(v1alpha1.CodeKey, d.seedOf(v1alpha1.CodeKey))
			for range 10 {
				d.sleep(max(d.settle(), time.Minute))
			}
			if got := d.server.Ledger(); got.Presentations["code-1"] != 1 || got.Reuses != 0 {
				t.Errorf("a code whose reply was lost was presented %d times", got.Presentations["code-1"])
			}
			d.setSeed(v1alpha1.CodeKey, d.seedOf(v1alpha1.CodeKey))
			d.settle()
			d.mustBeAlive()
		})
	}
}

// TestGrantsOfEachAPI: a login by password, or by the client alone, from the first token to the refresh.
func TestGrantsOfEachAPI(t *testing.T) {
	t.Parallel()
	clientOnly := func(login *corev1.Secret) { withoutUser(login) }
	publicClient := func(config *authsim.Config) { config.Clients[0].Secret = "" }
	withoutSecret := func(login *corev1.Secret) { delete(login.StringData, "client_secret") }
	for name, test := range map[string]struct {
		of     string
		change func(*authsim.Config)
		login  func(*corev1.Secret)
		grants []string
		client authsim.ClientAuth
		why    string
	}{
		"commerce layer, sales channel": {"commerceLayer", publicClient, withoutSecret, []string{"password", "refresh_token"}, "", "it has no secret"},
		"commerce layer, webapp user":   {"commerceLayer", nil, nil, []string{"password", "refresh_token"}, authsim.ClientAuthBody, "a secret is sent where there is one"},
		"commerce layer, integration":   {"commerceLayer", nil, clientOnly, []string{"client_credentials", "client_credentials"}, authsim.ClientAuthBody, "no refresh token is normal"},
		"commerce layer, guest": {"commerceLayer", func(config *authsim.Config) { publicClient(config); config.Clients[0].ActsAlone = true },
			func(login *corev1.Secret) { withoutUser(login); withoutSecret(login) }, []string{"client_credentials", "client_credentials"}, "",
			"a sales channel has no secret, and its guests no name"},
		"oauth2 Basic, user":  {"oauth2 Basic", nil, nil, []string{"password", "refresh_token"}, authsim.ClientAuthBasic, "RFC 6749 section 4.3"},
		"oauth2 JSON, client": {"oauth2 JSON", nil, clientOnly, []string{"client_credentials", "client_credentials"}, authsim.ClientAuthBody, "RFC 6749 section 4.4"},
		"oauth2 Query, user":  {"oauth2 Query", nil, nil, []string{"password", "refresh_token"}, authsim.ClientAuthBody, "some servers read nothing else"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			of := apis[test.of]
			of.client = test.client
			d := newSpeaking(t, of, test.change, test.login)
			d.sleep(d.settle())
			d.settle()
			d.mustBeAlive()
			d.mustHavePresented(of, 2)
			var grants []string
			for _, request := range d.server.Ledger().TokenRequests {
				grants = append(grants, request.Grant)
			}
			if fmt.Sprint(grants) != fmt.Sprint(test.grants) {
				t.Errorf("asked by %v, want %v: %s", grants, test.grants, test.why)
			}
		})
	}
}

// TestClientTokenThatRepeats: Commerce Layer gives a client the same token until 15 minutes before its expiry, so asking at the usual
// lead is idle, and asking again at once would be a loop.
func TestClientTokenThatRepeats(t *testing.T) {
	t.Parallel()
	d := newSpeaking(t, apis["commerceLayer"], nil, withoutUser)
	begun := d.clock.Now()
	for d.clock.Now().Sub(begun) < 48*time.Hour {
		d.sleep(d.settle())
		d.settle()
		d.mustBeAlive()
	}
	if got := d.server.Ledger(); got.Requests > 3*24 {
		t.Errorf("%d requests in two days, in which 24 tokens expired", got.Requests)
	}
}

// TestClientTokenIsRenewedInItsLastMinutes: asked for when the next one is to be had, there is a good token at every moment, for one
// request each.
func TestClientTokenIsRenewedInItsLastMinutes(t *testing.T) {
	t.Parallel()
	for name, life := range map[string]time.Duration{"integration": 2 * time.Hour, "sales channel": 4 * time.Hour} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := newSpeaking(t, apis["commerceLayer"], func(config *authsim.Config) { config.AccessTokenLifetime = life }, withoutUser)
			wait := d.settle()
			const rotations = 24
			for range rotations {
				d.sleep(wait - time.Millisecond)
				d.mustBeAlive()
				d.sleep(time.Millisecond)
				wait = d.settle()
				d.mustBeAlive()
			}
			d.mustHavePresented(apis["commerceLayer"], 1+rotations)
			d.sleep(documentedPace)
			d.change(func(cred *v1alpha1.FluentCredential) {
				cred.Annotations = map[string]string{v1alpha1.RotateAnnotation: "in vain"}
			})
			d.sleep(d.settle() - time.Millisecond)
			d.mustBeAlive()
			d.sleep(time.Millisecond)
			d.settle()
			d.mustHavePresented(apis["commerceLayer"], 1+rotations+2)
		})
	}
}
