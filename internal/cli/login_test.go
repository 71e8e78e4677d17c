package cli

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"

	"github.com/fluent-credential/operator/api/v1alpha1"
	"github.com/fluent-credential/operator/hack/authsim"
)

// entries reads a Secret; the values are for comparing, not for printing.
func entries(t *testing.T, namespace, name string) map[string]string {
	t.Helper()
	var secret corev1.Secret
	if err := live.Get(t.Context(), key{Namespace: namespace, Name: name}, &secret); err != nil {
		t.Fatal(err)
	}
	found := map[string]string{}
	for entry, value := range secret.Data {
		found[entry] = string(value)
	}
	return found
}

// tellsNoSecret searches what was printed for every secret that there was.
func tellsNoSecret(t *testing.T, sim *server, printed ...string) {
	t.Helper()
	for _, secret := range append(sim.SecretValues(), password, clientSecret) {
		for _, text := range printed {
			if secret != "" && strings.Contains(text, secret) {
				t.Errorf("a secret of %d characters was printed", len(secret))
			}
		}
	}
}

// stored tells whether any entry of the login is, or holds, the password.
func holdsPassword(login map[string]string) bool {
	for _, value := range login {
		if strings.Contains(value, password) {
			return true
		}
	}
	return false
}

// TestLoginOnATerminal is the whole way: a person types a password that nobody sees, and a workload gets a token that renews itself.
func TestLoginOnATerminal(t *testing.T) {
	t.Parallel()
	sim, namespace := newServer(t, nil), newNamespace(t)
	startOperator(t, namespace)
	create(t, loginSecret(namespace, "orders-login", clientAlone()))
	cred := credential(namespace, "orders", sim.URL)
	create(t, cred)
	eventually(t, cred, "incomplete", hasReason(v1alpha1.ReasonCredentialsIncomplete))

	shown := onTerminal(t, nil, "login", "orders", "-n", namespace, "--insecure-http", "--endpoint", sim.address(), "--wait")
	shown.shows("User name: ")
	if !shown.echoes() {
		t.Error("the user name is not shown")
	}
	shown.types(user + "\n")
	shown.shows("Password for " + user + " at " + sim.address() + ": ")
	shown.hides()
	shown.types(password + "\n")
	shown.ends(0)
	contains(t, shown.text(), "Logged in.", "secret/orders-login refresh token stored; no password was", "renewed: token 1 by refresh_token")
	if !shown.echoes() {
		t.Error("the terminal stays blind")
	}
	tellsNoSecret(t, sim, shown.text())

	login := entries(t, namespace, "orders-login")
	if holdsPassword(login) || login["password"] != "" {
		t.Error("the password is in the Secret")
	}
	first := sim.Ledger().RefreshTokens[0].Value
	if login["refresh_token"] != first || login["client_id"] != clientID || login["client_secret"] != clientSecret {
		t.Error("the Secret does not hold the refresh token of the reply and the client")
	}
	must(t, 0, "", "rotate", "orders", "-n", namespace, "--wait")
	if ledger := sim.Ledger(); ledger.PasswordGrants != 1 || ledger.Reuses != 0 {
		t.Errorf("%d logins and %d reuses, want 1 and 0", ledger.PasswordGrants, ledger.Reuses)
	}
}

// TestLoginIsInterrupted: Ctrl-C while nothing is shown leaves a terminal that shows.
func TestLoginIsInterrupted(t *testing.T) {
	t.Parallel()
	sim, namespace := newServer(t, nil), newNamespace(t)
	create(t, loginSecret(namespace, "orders-login", clientAlone()))
	create(t, credential(namespace, "orders", sim.URL))
	shown := onTerminal(t, nil, "login", "orders", "-n", namespace, "--insecure-http", "--endpoint", sim.address(), "--username", user)
	shown.shows("Password for " + user + " at " + sim.address() + ": ")
	shown.hides()
	shown.types("half\x03")
	shown.ends(exitInterrupted)
	if !shown.echoes() {
		t.Error("the terminal stays blind")
	}
	if ledger := sim.Ledger(); ledger.Requests != 0 {
		t.Errorf("%d requests were sent", ledger.Requests)
	}
}

// TestLoginMakesTheSecret: there is none yet, so the client is asked for too.
func TestLoginMakesTheSecret(t *testing.T) {
	t.Parallel()
	sim, namespace := newServer(t, nil), newNamespace(t)
	cred := credential(namespace, "orders", sim.URL)
	cred.Spec.CredentialsSecretRef.Keys = map[string]v1alpha1.SecretKey{"refresh_token": "SEED", "client_id": "APP"}
	create(t, cred)
	shown := onTerminal(t, nil, "login", "orders", "-n", namespace, "--insecure-http", "--endpoint", sim.address())
	shown.shows("Client id: ")
	shown.types(clientID + "\n")
	shown.shows("Client secret (empty: none): ")
	shown.hides()
	shown.types(clientSecret + "\n")
	shown.shows("User name: ")
	shown.types(user + "\n")
	shown.shows("Password for ")
	shown.hides()
	shown.types(password + "\n")
	shown.ends(0)
	want := map[string]string{"SEED": sim.Ledger().RefreshTokens[0].Value, "APP": clientID, "client_secret": clientSecret}
	if !cmp.Equal(want, entries(t, namespace, "orders-login")) {
		t.Error("the Secret does not hold the refresh token and the client under their names")
	}
	tellsNoSecret(t, sim, shown.text())
}

// TestLoginStoresWhateverHappens: the Secret is removed while the password is typed; the refresh token is stored all the same.
func TestLoginStoresWhateverHappens(t *testing.T) {
	t.Parallel()
	sim, namespace := newServer(t, nil), newNamespace(t)
	secret := loginSecret(namespace, "orders-login", clientAlone())
	create(t, secret)
	create(t, credential(namespace, "orders", sim.URL))
	shown := onTerminal(t, nil, "login", "orders", "-n", namespace, "--insecure-http", "--endpoint", sim.address(), "--username", user)
	shown.shows("Password for ")
	shown.hides()
	remove(t, secret)
	shown.types(password + "\n")
	shown.ends(0)
	want := clientAlone()
	want["refresh_token"] = sim.Ledger().RefreshTokens[0].Value
	if !cmp.Equal(want, entries(t, namespace, "orders-login")) {
		t.Error("the Secret does not hold the refresh token and the client")
	}
}

func TestLoginFromAPipe(t *testing.T) {
	t.Parallel()
	sim, namespace := newServer(t, nil), newNamespace(t)
	create(t, loginSecret(namespace, "orders-login", fullLogin()))
	create(t, credential(namespace, "orders", sim.URL))
	login := []string{"login", "orders", "-n", namespace, "--insecure-http", "--endpoint", sim.address()}

	contains(t, must(t, exitUsage, password, login...).err, "--password-stdin")
	kept := must(t, 0, password+"\n", append(login, "--password-stdin")...) // the user's name is in the Secret
	contains(t, kept.err, "still holds a password", "--remove-password")
	removed := must(t, 0, password, append(login, "--password-stdin", "--username", user, "--remove-password")...)
	if holdsPassword(entries(t, namespace, "orders-login")) {
		t.Error("the password is still in the Secret")
	}
	tellsNoSecret(t, sim, kept.out, kept.err, removed.out, removed.err)
	contains(t, must(t, exitFailed, "\n", append(login, "--password-stdin")...).err, "nothing was piped in")
}

// TestLoginIsTriedOnce: a refused login is told, counted once, and leaves the Secret alone.
func TestLoginIsTriedOnce(t *testing.T) {
	t.Parallel()
	sim, namespace := newServer(t, func(config *authsim.Config) { config.Lockout = true }), newNamespace(t)
	create(t, loginSecret(namespace, "orders-login", clientAlone()))
	create(t, credential(namespace, "orders", sim.URL))
	got := must(t, exitRefused, "wrong-"+password, "login", "orders", "-n", namespace, "--insecure-http", "--endpoint", sim.address(), "--username", user, "--password-stdin")
	contains(t, got.err, "the API refused the login", "Bad credentials", "several refused logins lock the user")
	tellsNoSecret(t, sim, got.out, got.err)
	if ledger := sim.Ledger(); ledger.Requests != 1 || ledger.LoginsRefused != 1 {
		t.Errorf("%d requests, %d refused logins, want one of each", ledger.Requests, ledger.LoginsRefused)
	}
	if diff := cmp.Diff(clientAlone(), entries(t, namespace, "orders-login")); diff != "" {
		t.Error("the Secret was changed")
	}
}

func TestLoginAnswers(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		why    string
		change func(*authsim.Config)
		code   int
		says   string
	}{
		"no refresh token": {"it could not be renewed", func(c *authsim.Config) { c.Clients[0].NoRefreshTokens = true }, exitRefused, "but no refresh token"},
		"unknown client":   {"the login itself was not judged", func(c *authsim.Config) { c.Clients[0].Secret = "another" }, exitRefused, "client_id, client_secret"},
		"lost reply":       {"nobody knows whether it was counted", fault(authsim.FaultDropAfter), exitFailed, "not to be had"},
		"later":            {"the API is busy", fault(authsim.FaultRateLimited), exitFailed, "come back later"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			sim, namespace := newServer(t, test.change), newNamespace(t)
			create(t, loginSecret(namespace, "orders-login", clientAlone()))
			create(t, credential(namespace, "orders", sim.URL))
			got := must(t, test.code, password, "login", "orders", "-n", namespace, "--insecure-http", "--endpoint", sim.address(), "--username", user, "--password-stdin")
			contains(t, got.err, test.says)
			if requests := sim.Ledger().Requests; requests != 1 {
				t.Errorf("%d requests were sent: %s", requests, test.why)
			}
			tellsNoSecret(t, sim, got.out, got.err)
		})
	}
}

func fault(kind authsim.FaultKind) func(*authsim.Config) {
	return func(config *authsim.Config) { config.Faults = []authsim.Fault{{Kind: kind}} }
}

// TestLoginLooksBeforeItAsks: what would lose the refresh token, or cannot work, is found before anything is sent.
func TestLoginLooksBeforeItAsks(t *testing.T) {
	t.Parallel()
	sim, namespace := newServer(t, nil), newNamespace(t)
	frozen, yes := loginSecret(namespace, "orders-login", clientAlone()), true
	frozen.Immutable = &yes
	create(t, frozen)
	create(t, credential(namespace, "orders", sim.URL))
	create(t, credential(namespace, "closed", "http://127.0.0.1:1"))
	create(t, loginSecret(namespace, "closed-login", clientAlone()))
	login := []string{"login", "-n", namespace, "--password-stdin", "--username", user}
	contains(t, must(t, exitFailed, password, append(login, "orders", "--insecure-http")...).err, "is immutable")
	contains(t, must(t, exitFailed, password, append(login, "closed", "--insecure-http")...).err, "connection refused")
	contains(t, must(t, exitFailed, password, append(login, "closed")...).err, "only https is allowed")
	contains(t, must(t, exitFailed, password, append(login, "nobody")...).err, "not found")
	contains(t, must(t, exitFailed, password, append(login, "closed", "--as", "nobody", "--insecure-http")...).err, "Your user may not do this")
	contains(t, must(t, exitUsage, password, append(login, "closed", "--code-stdin")...).err, "exclude each other")
	contains(t, must(t, exitUsage, password, append(login, "closed", "--grant", "authorization_code")...).err, "has no grant authorization_code")
	contains(t, must(t, exitUsage, "", "login", "orders", "-n", namespace, "--password", password).err, "unknown flag: --password")
	if requests := sim.Ledger().Requests; requests != 0 {
		t.Errorf("%d requests were sent", requests)
	}
}
