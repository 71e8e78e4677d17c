package docs

import (
	"net/url"
	"os"
	"path/filepath"
	"strings"

	"github.com/fluent-credential/operator/hack/authsim"
)

// sandbox is the host of the account ACME, which the pages use.
const sandbox = "acme.sandbox.api.fluentretail.com"

// stories are how the pages are followed.
var stories = map[string]story{
	"beginning": {[]string{"docs/quickstart.md", "README.md", "docs/install.md"}, fromNothing},
	"apis": {[]string{
		"docs/guides/fluent-commerce.md", "docs/guides/commerce-layer.md", "docs/guides/nordea.md", "docs/guides/oauth2.md", "docs/providers.md",
		"docs/distribution.md", "docs/runbooks/FluentTokenNotReady.md",
	}, eachAPI},
	"plugin":    {[]string{"docs/kubectl-fluent.md"}, thePlugin},
	"operating": {[]string{"docs/operating.md", "docs/dashboards.md", "docs/runbooks/README.md"}, theOperator},
	"runbooks": {[]string{
		"docs/runbooks/FluentCredentialExpired.md", "docs/runbooks/FluentCredentialExpiresSoon.md", "docs/runbooks/FluentCredentialInputRequired.md",
		"docs/runbooks/FluentCredentialJournalUnwritable.md",
		"docs/runbooks/FluentCredentialLoginLocked.md", "docs/runbooks/FluentCredentialNotReady.md", "docs/runbooks/FluentCredentialOperatorAbsent.md",
		"docs/runbooks/FluentCredentialProviderFailing.md", "docs/runbooks/FluentCredentialRefreshFailing.md", "docs/runbooks/FluentCredentialReplyLost.md",
		"docs/runbooks/FluentCredentialStalled.md", "docs/troubleshooting.md",
	}, eachFault},
}

// acme is the account of the pages.
func acme() authsim.Config {
	config := authsim.Config{Account: "ACME"}
	for _, name := range []string{"fluent-api", "fluent-catalogue"} {
		config.Clients = append(config.Clients, authsim.Client{ID: name, Secret: "replace-me"})
		config.Users = append(config.Users, authsim.User{
			Username: name, Password: "replace-me", RetailerID: 5, Roles: []string{"RETAILER"}, FirstName: "Fluent", LastName: "Commerce",
		})
	}
	return config
}

// fromNothing is a new administrator with an empty cluster, who follows the quickstart.
func fromNothing(s *stage) {
	api := s.net.host(sandbox, acme())
	page := s.read("docs/quickstart.md")
	page.to("kubectl apply --server-side -f dist/install.yaml")
	s.startOperator()
	s.file("docs/quickstart.md", "login.yaml", "orders-login, namespace: shop")
	s.file("docs/quickstart.md", "orders.yaml", "kind: FluentCredential\n")
	page.to("kubectl -n shop delete fcred orders")
	page.to("kubectl -n shop delete secret orders-login")
	s.await("kubectl -n shop get secrets", "No resources found")
	page.rest()
	if ledger := api.Ledger(); ledger.PasswordGrants != 1 || ledger.RefreshGrants != 1 || ledger.Reuses != 0 {
		s.t.Errorf("the API was asked for %d logins and %d refreshes, and saw %d spent tokens; want 1, 1, 0", ledger.PasswordGrants, ledger.RefreshGrants, ledger.Reuses)
	}
	s.part("readme", (*stage).theReadme)
	s.part("installation", (*stage).thePageOnInstallation)
}

// theReadme shows the same in thirty seconds.
func (s *stage) theReadme() {
	s.sh("kubectl -n shop delete pod orders --ignore-not-found")
	s.file("README.md", "readme.yaml", "orders-login")
	s.sh("kubectl apply -f readme.yaml && kubectl -n shop wait --for=condition=Ready fcred/orders")
	s.write("credential.yaml", s.shown("README.md", "orders-login"))
	page := s.read("README.md")
	page.to("kubectl fluent doctor", 3) // it misses the operator's pods
	page.rest()
}

func (s *stage) thePageOnInstallation() {
	page := s.read("docs/install.md")
	page.to("kubectl apply -k config/samples")
	s.sh("kubectl -n web wait --for=condition=Ready ftok/catalogue --timeout=60s")
	s.stopOperator() // as the page says: it is gone, and something hangs
	s.sh("kubectl -n shop delete fcred orders --wait=false && kubectl -n web delete ftok catalogue --wait=false")
	page.rest()
	s.sh("kubectl -n shop wait --for=delete fcred/orders --timeout=30s && kubectl -n web wait --for=delete ftok/catalogue --timeout=30s")
}

// eachAPI follows the guides, with an account at each API.
func eachAPI(s *stage) {
	s.install()
	s.part("fluent", func(s *stage) {
		s.net.host(sandbox, acme())
		s.read("docs/guides/fluent-commerce.md").rest()
	})
	s.part("distribution", func(s *stage) {
		s.sh("kubectl create namespace web")
		s.sh("kubectl apply -f config/samples/distribution.yaml && kubectl -n web wait --for=condition=Ready ftok/catalogue --timeout=60s")
		page := s.read("docs/distribution.md")
		s.tells(page.to("kubectl -n web get ftok"), "catalogue", "True")
		page.rest()
		s.sh(`kubectl -n shop patch fcred catalogue --type=merge -p '{"spec":{"allowedNamespaces":{"names":["other"]}}}'`)
		s.sh("kubectl -n web wait --for=condition=Ready=false ftok/catalogue --timeout=60s")
		page = s.read("docs/runbooks/FluentTokenNotReady.md", "NAMESPACE", "web", "NAME", "catalogue", "OWNER", "shop", "CREDENTIAL", "catalogue")
		s.tells(page.to("kubectl -n NAMESPACE get ftok"), "NotAllowed", "shop")
		s.tells(page.to("kubectl -n NAMESPACE describe"), "NotAllowed")
		s.tells(page.to("kubectl -n OWNER get fcred"), "other")
		page.rest()
	})
	s.part("commerce layer", func(s *stage) {
		s.net.host("auth.commercelayer.io", authsim.Config{Dialect: authsim.DialectCommerceLayer, Clients: []authsim.Client{{ID: "replace-me", Secret: "replace-me", ActsAlone: true}}})
		s.read("docs/guides/commerce-layer.md").rest()
	})
	s.part("nordea", (*stage).nordea)
	s.part("oauth2", func(s *stage) {
		partner := s.net.host("auth.partner.example.com", authsim.Config{
			Dialect: authsim.DialectOAuth2, Clients: []authsim.Client{{ID: "replace-me", Secret: "replace-me"}}, Users: []authsim.User{{Username: "somebody", Password: "p"}},
		})
		s.edit("config/samples/oauth2.yaml", "refresh_token: replace-me", "refresh_token: "+partner.Seed("somebody", "replace-me"))
		s.read("docs/guides/oauth2.md").rest()
	})
}

// nordea is the API where a person brings a code.
func (s *stage) nordea() {
	bank := s.net.host("api.nordeaopenbanking.com", authsim.Config{
		Dialect: authsim.DialectNordea, Clients: []authsim.Client{{ID: "replace-me", Secret: "replace-me"}}, Users: []authsim.User{{Username: "person", Password: "p"}},
	})
	code := func() string {
		return s.post(bank, "/users/person/code?"+url.Values{"client": {"replace-me"}, "redirect_uri": {"https://shop.example.com/authorized"}}.Encode(), nil)
	}
	s.edit("config/samples/nordea.yaml", "code: replace-me", "code: "+code())
	page := s.read("docs/guides/nordea.md")
	page.to("kubectl -n shop get fcred bank")
	s.env = append(s.env, "CODE="+code(), "NEXT_CODE="+code())
	page.to("kubectl fluent login bank -n shop --code-stdin")
	s.await(serialOf("bank"), "2")
	page.rest()
	s.await(serialOf("bank"), "3")
	s.env = append(s.env, "CODE="+code())
	s.read("docs/providers.md").rest()
	s.await(serialOf("bank"), "4")
}

func serialOf(name string) string {
	return "kubectl -n shop get fcred " + name + " -o jsonpath='{.status.token.serial}'"
}

// thePlugin has three credentials: one is fine, one has no token, and one soon has none.
func thePlugin(s *stage) {
	s.install()
	s.sh("kubectl create namespace bank")
	s.net.host(sandbox, acme())
	s.write("login.yaml", s.shown("docs/quickstart.md", "orders-login, namespace: shop"))
	s.write("credential.yaml", s.shown("docs/quickstart.md", "kind: FluentCredential\n"))
	s.write("manifests/credential.yaml", s.shown("docs/quickstart.md", "kind: FluentCredential\n"))
	s.write("kustomization.yaml", "resources: [credential.yaml]\n")
	s.write("password.txt", "replace-me")
	s.write("bin/alert-somebody", "#!/bin/sh\necho somebody is alerted\n")
	s.sh("kubectl apply -f login.yaml -f credential.yaml && kubectl -n shop label fcred orders team=orders")
	s.sh("kubectl -n shop wait --for=condition=Ready fcred/orders")
	s.rejected("shop", "returns")
	s.unrenewable("bank", "accounts")
	page := s.read("docs/kubectl-fluent.md")
	page.to("kubectl fluent status returns", 3)
	page.to("kubectl fluent check orders -n shop")
	page.to("kubectl fluent doctor", 3) // it misses the operator's pods
	page.to("kubectl fluent doctor -o yaml", 3)
	page.rest()
}

// theOperator is for who runs it.
func theOperator(s *stage) {
	s.install()
	s.net.host(sandbox, acme())
	s.write("manifests.yaml", s.shown("docs/quickstart.md", "orders-login, namespace: shop")+"---\n"+s.shown("docs/quickstart.md", "kind: FluentCredential\n"))
	s.sh("kubectl apply -f manifests.yaml && kubectl -n shop wait --for=condition=Ready fcred/orders")
	page := s.read("docs/operating.md")
	page.to("kubectl fluent doctor", 3) // it misses the operator's pods
	page.rest()
	s.sh("kubectl create namespace monitoring")
	s.permit("prometheusrules", "PrometheusRule")
	s.permit("servicemonitors", "ServiceMonitor")
	s.read("docs/dashboards.md").rest()
	s.read("docs/runbooks/README.md").rest()
}

// permit makes the kind of another operator known to the API server, so that manifests of it can be applied.
func (s *stage) permit(plural, kind string) {
	s.write("crd.yaml", strings.NewReplacer("PLURAL", plural, "KIND", kind).Replace(`apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: PLURAL.monitoring.coreos.com}
spec:
  group: monitoring.coreos.com
  scope: Namespaced
  names: {plural: PLURAL, kind: KIND}
  versions:
    - {name: v1, served: true, storage: true, schema: {openAPIV3Schema: {type: object, x-kubernetes-preserve-unknown-fields: true}}}
`))
	s.sh("kubectl apply -f crd.yaml && kubectl wait --for=condition=Established crd/" + plural + ".monitoring.coreos.com")
}

// file writes a manifest of a page where its reader would.
func (s *stage) file(page, name, has string) { s.write(name, s.shown(page, has)) }

// shown is the manifest of a page that has a text.
func (s *stage) shown(page, has string) string {
	s.t.Helper()
	text, err := os.ReadFile(filepath.Join(root, page))
	if err != nil {
		s.t.Fatal(err)
	}
	for _, part := range blocks(string(text)) {
		if part.lang == "yaml" && strings.Contains(part.text, has) {
			return strings.ReplaceAll(part.text, `"…"`, "replace-me")
		}
	}
	s.t.Fatalf("%s shows no manifest with %q", page, has)
	return ""
}

// edit changes a file as a page asks its reader to.
func (s *stage) edit(name, was, is string) {
	s.t.Helper()
	text, err := os.ReadFile(filepath.Join(s.dir, name))
	if err != nil {
		s.t.Fatal(err)
	}
	if !strings.Contains(string(text), was) {
		s.t.Fatalf("%s has no %q", name, was)
	}
	s.write(name, strings.Replace(string(text), was, is, 1))
}
