package cli

import (
	"crypto/x509"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/spf13/pflag"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/fluent-credential/operator/api/v1alpha1"
	"github.com/fluent-credential/operator/internal/binding"
	"github.com/fluent-credential/operator/internal/exchange"
)

// TestLoginShowsWhereThePasswordGoes: somebody changed the host. The person sees it before the password is typed, and
// nothing is sent unless it is confirmed.
func TestLoginShowsWhereThePasswordGoes(t *testing.T) {
	t.Parallel()
	sim, namespace := newServer(t, nil), newNamespace(t)
	create(t, loginSecret(namespace, "orders-login", clientAlone()))
	create(t, credential(namespace, "orders", sim.URL))
	for _, answer := range []string{"no", "", "yes"} {
		shown := onTerminal(t, nil, "login", "orders", "-n", namespace, "--insecure-http", "--username", user)
		shown.shows("Type yes to go on: ")
		contains(t, shown.text(), "FluentCredential "+namespace+"/orders", "goes to:      "+sim.address(), "not encrypted",
			"127.0.0.1 is no host of this provider")
		if strings.Contains(shown.text(), "Password") {
			t.Error("the password is asked for before the host is confirmed")
		}
		shown.types(answer + "\n")
		if answer != "yes" {
			shown.ends(exitRefused)
			continue
		}
		shown.shows("Password for " + user + " at " + sim.address() + ": ")
		shown.hides()
		if requests := sim.Ledger().Requests; requests != 0 {
			t.Errorf("%d requests before the password", requests)
		}
		shown.types(password + "\n")
		shown.ends(0)
	}
}

func TestLoginInAScriptNamesItsEndpoint(t *testing.T) {
	t.Parallel()
	sim, namespace := newServer(t, nil), newNamespace(t)
	create(t, loginSecret(namespace, "orders-login", clientAlone()))
	create(t, credential(namespace, "orders", sim.URL))
	login := []string{"login", "orders", "-n", namespace, "--insecure-http", "--username", user, "--password-stdin"}
	unnamed := must(t, exitRefused, password, login...)
	contains(t, unnamed.err, "has to be confirmed", "--endpoint "+sim.address())
	other := must(t, exitRefused, password, append(login, "--endpoint", "auth.example.com")...)
	contains(t, other.err, "would go to "+sim.address()+", and not to auth.example.com")
	if requests := sim.Ledger().Requests; requests != 0 {
		t.Errorf("%d requests were sent", requests)
	}
	must(t, 0, password, append(login, "--endpoint", sim.address())...)
}

// TestLoginHidesAUserNameThatMayBeASecret: the author of the manifest chose the entry that the user name is read from.
func TestLoginHidesAUserNameThatMayBeASecret(t *testing.T) {
	t.Parallel()
	sim, namespace := newServer(t, nil), newNamespace(t)
	data := clientAlone()
	data["database"] = "hunter2-of-the-database"
	create(t, loginSecret(namespace, "orders-login", data))
	cred := credential(namespace, "orders", sim.URL)
	cred.Spec.CredentialsSecretRef.Keys = map[string]v1alpha1.SecretKey{"username": "database"}
	create(t, cred)
	shown := onTerminal(t, nil, "login", "orders", "-n", namespace, "--insecure-http", "--endpoint", sim.address())
	shown.shows("User name [entry database of Secret orders-login]: ")
	shown.types(user + "\n")
	shown.shows("Password for " + user + " at ")
	shown.hides()
	shown.types(password + "\n")
	shown.ends(0)
	if strings.Contains(shown.text(), "hunter2") {
		t.Error("the value is shown")
	}
}

func TestPeerOfACertificate(t *testing.T) {
	t.Parallel()
	listener := httptest.NewTLSServer(http.NotFoundHandler())
	defer listener.Close()
	spec := v1alpha1.ProviderSpec{OAuth2: &v1alpha1.OAuth2Provider{
		TokenURL:        v1alpha1.TokenURL(listener.URL + "/token"),
		EndpointOptions: v1alpha1.EndpointOptions{CABundle: pemOf(listener.Certificate())},
	}}
	api, err := binding.APIOf(spec)
	if err != nil {
		t.Fatal(err)
	}
	cred := &v1alpha1.FluentCredential{Spec: v1alpha1.FluentCredentialSpec{Provider: spec}}
	try := &attempt{cred: cred, api: api, dialer: exchange.Dialer{Policy: exchange.Policy{InsecureHTTP: true}}}
	if err := try.reach(t.Context()); err != nil {
		t.Fatal(err)
	}
	if words := try.peer.words(); !try.peer.byBundle || !strings.Contains(words, "Acme Co") || !strings.Contains(words, "because of the caBundle") {
		t.Errorf("the peer is %q", words)
	}
	o := &loginOptions{endpointPolicy: endpointPolicy{flags: pflag.NewFlagSet("", pflag.ContinueOnError)}}
	if doubts := o.doubts(try); len(doubts) != 1 || !strings.Contains(doubts[0], "caBundle") {
		t.Errorf("doubts: %q", doubts)
	}
	if (peer{}).isLike(try.peer) || !try.peer.isLike(peer{certificate: listener.Certificate(), byBundle: true}) {
		t.Error("another server would get the password")
	}
}

func TestDoubts(t *testing.T) {
	t.Parallel()
	certificate := &peer{certificate: &x509.Certificate{}}
	fluent := func(url string) v1alpha1.ProviderSpec {
		return v1alpha1.ProviderSpec{Fluent: &v1alpha1.FluentProvider{Account: "ACME", BaseURL: v1alpha1.BaseURL(url)}}
	}
	obtained := metav1.NewTime(noon)
	tests := map[string]struct {
		why   string
		spec  v1alpha1.ProviderSpec
		wrote time.Duration // after the last token; zero: there is none
		want  string
	}{
		"the account's host":   {"it follows from the account", fluent(""), 0, ""},
		"a host of the API":    {"another stage", fluent("https://acme.test.api.fluentretail.com"), 0, ""},
		"in upper case":        {"the same host", fluent("https://ACME.API.FLUENTRETAIL.COM"), 0, ""},
		"another host":         {"somebody changed it", fluent("https://evil.example.com"), 0, "evil.example.com is no host"},
		"a host that ends so":  {"it is another domain", fluent("https://evilfluentretail.com"), 0, "is no host"},
		"a host that holds it": {"likewise", fluent("https://fluentretail.com.evil.example"), 0, "is no host"},
		"Commerce Layer": {"an organization's", v1alpha1.ProviderSpec{
			CommerceLayer: &v1alpha1.CommerceLayerProvider{BaseURL: "https://acme.commercelayer.io"}}, 0, ""},
		"any API": {"no host is usual", v1alpha1.ProviderSpec{
			OAuth2: &v1alpha1.OAuth2Provider{TokenURL: "https://id.example.com/token"}}, 0, ""},
		"changed before the token": {"the token came from there", fluent(""), -time.Hour, ""},
		"changed since":            {"the token came from elsewhere", fluent(""), time.Hour, "changed by kubectl-edit at"},
	}
	for name, test := range tests {
		api, err := binding.APIOf(test.spec)
		if err != nil {
			t.Fatal(err)
		}
		cred := &v1alpha1.FluentCredential{Spec: v1alpha1.FluentCredentialSpec{Provider: test.spec}}
		if test.wrote != 0 {
			at := metav1.NewTime(noon.Add(test.wrote))
			cred.Status.Token = &v1alpha1.TokenStatus{ObtainedTime: obtained}
			cred.ManagedFields = []metav1.ManagedFieldsEntry{
				{Manager: "kubectl-edit", Time: &at, FieldsV1: metav1.NewFieldsV1(`{"f:spec":{"f:provider":{}}}`)},
				{Manager: "operator", Time: &at, FieldsV1: metav1.NewFieldsV1(`{"f:status":{}}`), Subresource: "status"},
			}
		}
		o := &loginOptions{endpointPolicy: endpointPolicy{flags: pflag.NewFlagSet("", pflag.ContinueOnError)}}
		got := strings.Join(o.doubts(&attempt{cred: cred, api: api, peer: *certificate}), "; ")
		if !strings.Contains(got, test.want) || (test.want == "") != (got == "") {
			t.Errorf("%s: %q, want %q (%s)", name, got, test.want, test.why)
		}
	}
}

func TestExpectedEndpoint(t *testing.T) {
	t.Parallel()
	for flag, want := range map[string]bool{
		"auth.example.com": true, "auth.example.com:443": true, "AUTH.example.com": true, "auth.example.com:8443": false,
		"auth.example.com.evil.example": false, "example.com": false, "": false,
	} {
		endpoint, err := url.Parse("https://auth.example.com/token")
		if err != nil {
			t.Fatal(err)
		}
		if got := expects(flag, addressOf(endpoint)); got != want {
			t.Errorf("--endpoint %q: %t", flag, got)
		}
	}
	six, err := url.Parse("https://[2001:db8::1]/token")
	if err != nil {
		t.Fatal(err)
	}
	if !expects("[2001:db8::1]", addressOf(six)) || !expects("[2001:db8::1]:443", addressOf(six)) {
		t.Error("an address of IPv6 is not recognized")
	}
}

// TestLoginOverwritesNothingUnasked: the author of the manifest chose the Secret and its entries, and may be able to read neither.
func TestLoginOverwritesNothingUnasked(t *testing.T) {
	t.Parallel()
	sim, namespace := newServer(t, nil), newNamespace(t)
	data := clientAlone()
	data["hmac"] = "the-key-of-another-program"
	create(t, loginSecret(namespace, "orders-login", data))
	cred := credential(namespace, "orders", sim.URL)
	cred.Spec.CredentialsSecretRef.Keys = map[string]v1alpha1.SecretKey{"refresh_token": "hmac"}
	create(t, cred)
	shown := onTerminal(t, nil, "login", "orders", "-n", namespace, "--insecure-http", "--username", user)
	shown.shows("Type yes to go on: ")
	contains(t, shown.text(), "entry hmac of Secret orders-login is replaced or removed: spec.credentialsSecretRef.keys names it")
	shown.types("no\n")
	shown.ends(exitRefused)

	certificate := loginSecret(namespace, "prod-tls", map[string]string{"tls.crt": "c", "tls.key": "k", "client_id": clientID})
	certificate.Type = corev1.SecretTypeTLS
	create(t, certificate)
	other := credential(namespace, "other", sim.URL)
	other.Spec.CredentialsSecretRef.Name = certificate.Name
	create(t, other)
	refused := must(t, exitFailed, password, "login", "other", "-n", namespace, "--insecure-http", "--username", user,
		"--password-stdin", "--endpoint", sim.address())
	contains(t, refused.err, "Secret prod-tls has the type kubernetes.io/tls", "nothing is stored in it")
	if requests := sim.Ledger().Requests; requests != 0 {
		t.Errorf("%d requests were sent", requests)
	}
}
