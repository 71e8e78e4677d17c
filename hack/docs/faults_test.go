package docs

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/fluent-credential/operator/hack/authsim"
)

// account opens a Fluent account at a host of its own, named as the credential is.
func (s *stage) account(name string, life time.Duration, faults ...string) *authsim.Server {
	s.t.Helper()
	config := acme()
	config.AccessTokenLifetime, config.Lockout = life, true
	for _, text := range faults {
		fault, err := authsim.ParseFault(text)
		if err != nil {
			s.t.Fatal(err)
		}
		config.Faults = append(config.Faults, fault)
	}
	return s.net.host(hostOf(name), config)
}

func hostOf(name string) string { return name + ".sandbox.api.fluentretail.com" }

// credential applies a login and a FluentCredential for an account. More of its spec can be given as lines of YAML.
func (s *stage) credential(namespace, name, password string, spec ...string) {
	s.t.Helper()
	s.write(name+".yaml", strings.NewReplacer("NAMESPACE", namespace, "NAME", name, "PASSWORD", password).Replace(`apiVersion: v1
kind: Secret
metadata: {name: NAME-login, namespace: NAMESPACE}
stringData: {username: fluent-api, password: PASSWORD, client_id: fluent-api, client_secret: replace-me}
---
apiVersion: auth.fluent-credential.dev/v1alpha1
kind: FluentCredential
metadata: {name: NAME, namespace: NAMESPACE}
spec:
  provider: {fluent: {account: NAME}}
  credentialsSecretRef: {name: NAME-login}
  target: {name: NAME-token}
`)+"  "+strings.Join(spec, "\n  ")+"\n")
	s.sh("kubectl apply -f " + name + ".yaml")
}

// healthy applies one and waits for its token.
func (s *stage) healthy(namespace, name string, spec ...string) {
	s.t.Helper()
	s.credential(namespace, name, "replace-me", spec...)
	s.sh("kubectl -n " + namespace + " wait --for=condition=Ready fcred/" + name + " --timeout=60s")
}

// login changes an entry of a login.
func (s *stage) login(name, key, value string) {
	s.t.Helper()
	s.sh("kubectl -n shop patch secret " + name + `-login --type=merge -p '{"stringData":{"` + key + `":"` + value + `"}}'`)
}

// rejected is a credential without a token: its last one has expired, its refresh token and its password are refused.
func (s *stage) rejected(namespace, name string) {
	s.t.Helper()
	api := s.account(name, 10*time.Second)
	s.healthy(namespace, name, "refresh: {before: 1s}")
	api.SetPassword("fluent-api", "another")
	s.endChain(api, namespace, name)
	s.reasonIn(namespace, name, "CredentialsRejected")
	s.reasonIn(namespace, name, "TokenExpired")
}

// unrenewable is a credential whose token lives, and whose refresh token is dead: it was logged in by a person.
func (s *stage) unrenewable(namespace, name string) {
	s.t.Helper()
	api := s.account(name, time.Hour)
	s.write("seed.json", `{"stringData":{"refresh_token":"`+api.Seed("fluent-api", "fluent-api")+`"},"data":{"username":null,"password":null}}`)
	s.credential(namespace, name, "replace-me", "suspend: true")
	s.sh("kubectl -n " + namespace + " patch secret " + name + "-login --type=merge --patch-file seed.json")
	s.sh("kubectl fluent resume " + name + " -n " + namespace)
	s.sh("kubectl -n " + namespace + " wait --for=condition=Ready fcred/" + name + " --timeout=60s")
	s.endChain(api, namespace, name)
	s.reasonIn(namespace, name, "ReauthorizationRequired")
}

// endChain lets an API refuse every refresh token, and the operator find that out.
func (s *stage) endChain(api *authsim.Server, namespace, name string) {
	s.t.Helper()
	fault, err := authsim.ParseFault("every refresh_token: refuse 400 invalid_grant Invalid refresh token")
	if err != nil {
		s.t.Fatal(err)
	}
	api.AddFault(fault)
	s.sh("kubectl fluent rotate " + name + " -n " + namespace)
}

// stopOperator ends the operator as a rollout would.
func (s *stage) stopOperator() {
	s.t.Helper()
	if err := s.operator.Stop(); err != nil {
		s.t.Fatal(err)
	}
}

// runbook opens the page of an alert about a credential.
func (s *stage) runbook(alert, name string) *reader {
	return s.read("docs/runbooks/FluentCredential"+alert+".md", "NAMESPACE", "shop", "NAME", name, "TARGET", name+"-token")
}

// tells holds that an output has the words that lead on.
func (s *stage) tells(output string, words ...string) {
	s.t.Helper()
	for _, word := range words {
		if !strings.Contains(output, word) {
			s.t.Errorf("no %q in what the page leads to:\n%s", word, output)
		}
	}
}

// eachFault stages what each runbook is for, follows it, does what it says, and sees it end.
func eachFault(s *stage) {
	s.install()
	for _, fault := range []struct {
		name  string
		stage func(*stage)
	}{
		{"Expired", tokenExpired}, {"ExpiresSoon", tokenExpiresSoon}, {"InputRequired", inputRequired}, {"LoginLocked", loginLocked}, {"NotReady", notReady},
		{"ProviderFailing", providerFailing}, {"RefreshFailing", refreshFailing}, {"ReplyLost", replyLost}, {"Stalled", stalled},
		{"JournalUnwritable", journalUnwritable}, {"OperatorAbsent", operatorAbsent}, {"troubleshooting", anyReason},
	} {
		s.part(fault.name, fault.stage)
	}
}

func anyReason(s *stage) {
	s.account("trouble", time.Hour)
	s.credential("shop", "trouble", "wrong")
	s.reason("trouble", "CredentialsRejected")
	page := s.read("docs/troubleshooting.md", "NAMESPACE", "shop", "NAME", "trouble")
	s.tells(page.to("kubectl get fcred -A -o wide"), "trouble", "CredentialsRejected", "Bad credentials")
	page.rest()
}

func tokenExpired(s *stage) {
	s.account("expired", 6*time.Second)
	s.healthy("shop", "expired")
	s.net.outage(hostOf("expired"), true)
	s.reason("expired", "TokenExpired")
	page := s.runbook("Expired", "expired")
	s.tells(page.to("kubectl -n NAMESPACE describe"), "TokenExpired", "ProviderUnavailable", "Unsent")
	s.tells(page.to("kubectl -n NAMESPACE get events"), "ProviderUnavailable")
	s.net.outage(hostOf("expired"), false)
	page.rest()
	s.reason("expired", "TokenPublished")
	s.sh("kubectl -n shop delete fcred expired")
}

func tokenExpiresSoon(s *stage) {
	s.account("soon", time.Hour)
	s.healthy("shop", "soon")
	s.sh("kubectl fluent suspend soon -n shop")
	s.reason("soon", "Suspended")
	page := s.runbook("ExpiresSoon", "soon")
	s.tells(page.to("kubectl -n NAMESPACE get fcred"), "Suspended", "spec.suspend is true")
	page.rest()
	s.sh("kubectl fluent resume soon -n shop")
	s.reason("soon", "RenewalExpected")
}

func loginLocked(s *stage) {
	s.account("locked", time.Hour)
	for range 5 { // somebody else's client
		s.logInWrongly(hostOf("locked"))
	}
	s.credential("shop", "locked", "replace-me")
	s.reason("locked", "CredentialsRejected") // Fluent gives a locked user the answer of a wrong password
	page := s.runbook("LoginLocked", "locked")
	s.tells(page.to("kubectl -n NAMESPACE describe"), "Bad credentials", "Retry Time")
	s.tells(page.to("kubectl get fcred -A -o wide | grep"), "locked")
	page.rest()
	s.account("locked", time.Hour) // the lock has passed, and the login has another user
	s.login("locked", "password", "replace-me")
	s.sh("kubectl -n shop delete fcred locked")
}

// logInWrongly is what a client does that has an old password.
func (s *stage) logInWrongly(host string) {
	s.t.Helper()
	api, _ := s.net.find(host)
	s.post(api, "/oauth/token", url.Values{
		"grant_type": {"password"}, "username": {"fluent-api"}, "password": {"old"}, "client_id": {"fluent-api"}, "client_secret": {"replace-me"},
	})
}

// post sends a form to an API, past the operator, and returns what it answers.
func (s *stage) post(api *authsim.Server, path string, form url.Values) string {
	s.t.Helper()
	request := httptest.NewRequestWithContext(s.t.Context(), http.MethodPost, path, strings.NewReader(form.Encode()))
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	answer := httptest.NewRecorder()
	api.ServeHTTP(answer, request)
	return answer.Body.String()
}

func notReady(s *stage) {
	s.account("foreign", time.Hour)
	s.sh("kubectl -n shop create secret generic foreign-token --from-literal=made-by=somebody-else")
	s.credential("shop", "foreign", "replace-me")
	s.reason("foreign", "TargetConflict")
	page := s.runbook("NotReady", "foreign")
	s.tells(page.to("kubectl -n NAMESPACE describe"), "TargetConflict", "does not belong to this FluentCredential")
	if owner := page.to("kubectl -n NAMESPACE get secret"); strings.TrimSpace(owner) != "" {
		s.t.Errorf("the Secret is somebody's: %s", owner)
	}
	page.rest()
	s.sh("kubectl -n shop delete secret foreign-token")
	s.reason("foreign", "TokenPublished")
}

func providerFailing(s *stage) {
	api := s.account("down", time.Hour)
	s.healthy("shop", "down")
	fault, _ := authsim.ParseFault("every: server-error 503 1")
	api.AddFault(fault)
	s.sh("kubectl fluent rotate down -n shop")
	s.reason("down", "ProviderUnavailable")
	page := s.runbook("ProviderFailing", "down")
	s.tells(page.to("kubectl get fcred -A -o custom-columns"), "down", "503")
	page.rest()
	s.account("down", time.Hour)
}

func refreshFailing(s *stage) {
	s.account("failing", time.Hour)
	s.healthy("shop", "failing")
	s.net.outage(hostOf("failing"), true)
	s.sh("kubectl fluent rotate failing -n shop")
	s.await(`[ "$(kubectl -n shop get fcred failing -o jsonpath='{.status.failures.count}')" -ge 2 ] && echo "more than once"`, "more than once")
	page := s.runbook("RefreshFailing", "failing")
	s.tells(page.to("kubectl -n NAMESPACE describe"), "Unsent", "ProviderUnavailable", "Retry Time", "Failures")
	page.rest()
	s.net.outage(hostOf("failing"), false)
	s.sh("kubectl fluent rotate failing -n shop --wait --timeout 60s")
}

func replyLost(s *stage) {
	s.account("lost", time.Hour, "1st refresh_token: drop-after")
	s.healthy("shop", "lost")
	s.sh("kubectl fluent rotate lost -n shop")
	s.await(serialOf("lost"), "2")
	page := s.runbook("ReplyLost", "lost")
	s.tells(page.to("kubectl -n NAMESPACE describe"), "ReplyLost", "Unknown", "Granted")
	page.rest()
}

func inputRequired(s *stage) {
	s.account("waiting", time.Hour)
	s.credential("shop", "waiting", "wrong")
	s.reason("waiting", "CredentialsRejected")
	page := s.runbook("InputRequired", "waiting")
	s.tells(page.to("kubectl -n NAMESPACE get fcred"), "CredentialsRejected")
	s.tells(page.to("kubectl fluent status", 3), "Input", "Secret waiting-login", "Bad credentials", "the next try is at")
	page.rest()
	s.login("waiting", "password", "replace-me")
	s.reason("waiting", "TokenPublished")
}

func stalled(s *stage) {
	s.account("halted", time.Hour)
	s.credential("shop", "halted", "replace-me", "suspend: true")
	s.sh(`kubectl -n shop patch secret halted-login --type=merge -p '{"data":{"password":null}}'`)
	s.sh("kubectl fluent resume halted -n shop")
	s.reason("halted", "CredentialsIncomplete")
	page := s.runbook("Stalled", "halted")
	s.tells(page.to("kubectl -n NAMESPACE get fcred"), "CredentialsIncomplete")
	s.tells(page.to("kubectl -n NAMESPACE describe"), "Stalled", "password")
	page.rest()
	s.login("halted", "password", "replace-me")
	s.reason("halted", "TokenPublished")
}

func journalUnwritable(s *stage) {
	s.account("disk", time.Hour)
	s.healthy("shop", "disk")
	journal := filepath.Join(s.cluster.Dir, "journal")
	if err := os.Rename(journal, journal+".gone"); err != nil {
		s.t.Fatal(err)
	}
	s.sh("kubectl fluent rotate disk -n shop")
	s.reason("disk", "JournalUnwritable")
	page := s.runbook("JournalUnwritable", "disk")
	s.tells(page.to("kubectl get fcred -A -o custom-columns"), "disk", "no such file or directory")
	page.rest()
	if err := os.Rename(journal+".gone", journal); err != nil {
		s.t.Fatal(err)
	}
	s.sh("kubectl fluent rotate disk -n shop --wait --timeout 60s")
}

func operatorAbsent(s *stage) {
	s.account("left", time.Hour)
	s.healthy("shop", "left")
	s.stopOperator()
	page := s.runbook("OperatorAbsent", "left")
	s.tells(page.to("kubectl get fcred -A"), "left", "TokenPublished")
	page.rest()
	s.startOperator()
	s.sh("kubectl fluent rotate left -n shop --wait --timeout 60s")
}
