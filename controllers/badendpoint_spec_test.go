package controllers

import (
	"net"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"

	"github.com/fluent-credential/operator/api/v1alpha1"
	"github.com/fluent-credential/operator/internal/exchange"
)

// forbidden is an endpoint to which nothing is ever sent.
type forbidden struct {
	baseURL string // PORT stands for the port of a server that would answer
	policy  exchange.Policy
	says    string
	why     string
}

func forbiddenEndpoints() map[string]forbidden {
	developing, public := exchange.Policy{InsecureHTTP: true}, exchange.Policy{}
	named := exchange.Policy{AllowedHosts: []string{"*.api.fluentretail.com"}}
	never, loopback, noHost := "which is never allowed", "has a loopback address", "is neither a domain name nor an IP address"
	private, unnamed := "has a private address and matches no pattern of --allowed-hosts", "matches no pattern of --allowed-hosts"
	metadata, disguised := "clouds give credentials away there", "to many resolvers it is an address"
	return map[string]forbidden{
		"metadata":                     {"http://169.254.169.254", developing, never, metadata},
		"metadata over HTTPS":          {"https://169.254.169.254", public, never, metadata},
		"metadata, IPv4-mapped":        {"http://[::ffff:169.254.169.254]", developing, never, metadata},
		"metadata, IPv4-mapped in hex": {"http://[::ffff:a9fe:a9fe]", developing, never, metadata},
		"metadata, translated":         {"https://[64:ff9b::a9fe:a9fe]", public, never, metadata},
		"metadata, 6to4":               {"https://[2002:a9fe:a9fe::1]", public, never, metadata},
		"metadata of Alibaba, mapped":  {"https://[::ffff:100.100.100.200]", public, never, "it is outside of the link-local range"},
		"metadata of AWS, IPv6":        {"https://[fd00:ec2::254]", public, never, metadata},
		"metadata, SIIT":               {"https://[::ffff:0:a9fe:a9fe]", public, never, "a translator ends it at the IPv4 address inside"},
		"metadata, ISATAP":             {"https://[2001:db8::200:5efe:a9fe:a9fe]", public, never, "a tunnel ends at the IPv4 address inside"},
		"metadata of Oracle, IPv6":     {"https://[fd00:c1::a9fe:a9fe]", exchange.Policy{AllowedHosts: []string{"[fd00:c1::a9fe:a9fe]"}}, never, metadata},
		"metadata, decimal":            {"http://2852039166", developing, noHost, disguised},
		"metadata, hexadecimal":        {"http://0xa9fea9fe", developing, noHost, disguised},
		"metadata, octal":              {"http://0251.0376.0251.0376", developing, noHost, disguised},
		"metadata, short":              {"http://169.16689662", developing, noHost, disguised},
		"link-local":                   {"http://169.254.7.7", developing, never, "no API is there"},
		"link-local, IPv6":             {"http://[fe80::1]", developing, never, "no API is there"},
		"unspecified":                  {"http://0.0.0.0:PORT", developing, never, "to Linux it is this pod"},
		"unspecified, IPv6":            {"http://[::]:PORT", developing, never, "to Linux it is this pod"},
		"loopback":                     {"https://127.0.0.1:PORT", public, loopback, "it is this pod"},
		"loopback, another":            {"https://127.1.2.3:PORT", public, loopback, "it is this pod"},
		"loopback, IPv6":               {"https://[::1]:PORT", public, loopback, "it is this pod"},
		"loopback, IPv4-mapped":        {"https://[::ffff:127.0.0.1]:PORT", public, loopback, "it is this pod"},
		"loopback, short":              {"https://127.1:PORT", public, noHost, disguised},
		"loopback by name":             {"https://localhost:PORT", public, loopback, "a name is looked at when it is resolved"},
		"loopback, allowed by pattern": {"https://127.0.0.1:PORT", exchange.Policy{AllowedHosts: []string{"127.0.0.1"}}, loopback, "a pattern does not make it public"},
		"private":                      {"https://10.0.0.1", public, private, "it must be named"},
		"private, for developers":      {"http://192.168.1.1", developing, private, "--insecure-http does not permit it"},
		"private, IPv6":                {"https://[fd12:3456::1]", public, private, "it must be named"},
		"private, IPv4-mapped":         {"https://[::ffff:172.16.0.1]", public, private, "it must be named"},
		"not an allowed host":          {"https://acme.example.com", named, unnamed, "the admin said so"},
		"a longer domain":              {"https://acme.api.fluentretail.com.example.com", named, unnamed, "anybody may own it"},
		"plain HTTP":                   {"http://acme.api.fluentretail.com", named, "only https is allowed", "a password is not sent in the clear"},
		"port 0":                       {"https://acme.api.fluentretail.com:0", named, "a port is a number from 1 to 65535", "nobody listens there"},
	}
}

// TestForbiddenEndpoints turns a credential that works to another endpoint, and back: nothing is sent there, and the chain goes on.
func TestForbiddenEndpoints(t *testing.T) {
	t.Parallel()
	for name, bad := range forbiddenEndpoints() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBeset(t)
			b.settle()
			_, port, err := net.SplitHostPort(b.rogue.listener.Addr().String())
			if err != nil {
				t.Fatal(err)
			}
			b.Dialer.Policy = bad.policy
			b.moveTo(v1alpha1.BaseURL(strings.Replace(bad.baseURL, "PORT", port, 1)))
			b.settle()
			b.mustSayNotAllowed(bad.says, bad.why, name != "loopback by name")
			b.Dialer.Policy = exchange.Policy{InsecureHTTP: true}
			b.moveTo(b.rogue.url())
			b.mustGoOn(2, bad.why)
		})
	}
}

func (b *beset) moveTo(baseURL v1alpha1.BaseURL) {
	b.t.Helper()
	edit(b.t, reread(b.t, b.cred), func(cred *v1alpha1.FluentCredential) { cred.Spec.Provider.Fluent.BaseURL = baseURL })
}

// mustSayNotAllowed: what a URL says stays as it is; what a name resolves to can change at any moment, so it is looked up again.
func (b *beset) mustSayNotAllowed(says, why string, stalled bool) {
	b.t.Helper()
	status := b.status()
	kind := v1alpha1.ConditionReconciling
	if stalled {
		kind = v1alpha1.ConditionStalled
	}
	found := meta.FindStatusCondition(status.Conditions, kind)
	if found == nil || found.Reason != v1alpha1.ReasonEndpointNotAllowed || !strings.Contains(found.Message, says) {
		b.t.Errorf("%s is %+v; want EndpointNotAllowed with %q (%s)", kind, found, says, why)
	}
	if !meta.IsStatusConditionTrue(status.Conditions, v1alpha1.ConditionReady) {
		b.t.Errorf("the token that is good still is not Ready: %+v", status.Conditions)
	}
	b.mustHideSecrets(status)
}

// mustGoOn wants the chain to be used once for the next token, the server having been asked for no other.
func (b *beset) mustGoOn(requests int, why string) {
	b.t.Helper()
	if wait := b.settle(); b.status().Token.Serial == 1 {
		b.sleep(wait)
		b.settle()
	}
	b.mustHave(badEndpoint{why: why}, "refresh_token", 2)
	if came, presentations := b.rogue.seen(); came != requests || presentations != 1 {
		b.t.Errorf("%d requests came, a refresh token %d times; want %d and once (%s)", came, presentations, requests, why)
	}
}

// injections are specs that would end a header or a URL where a new one begins: the API server takes none of them.
func injections() map[string]func(*v1alpha1.FluentCredentialSpec) {
	header := func(name, value string) func(*v1alpha1.FluentCredentialSpec) {
		return func(spec *v1alpha1.FluentCredentialSpec) {
			spec.Provider.Fluent.Headers = map[string]v1alpha1.HeaderValue{name: v1alpha1.HeaderValue(value)}
		}
	}
	scope := func(value string) func(*v1alpha1.FluentCredentialSpec) {
		return func(spec *v1alpha1.FluentCredentialSpec) { spec.Scope = value }
	}
	endpoint := func(value string) func(*v1alpha1.FluentCredentialSpec) {
		return func(spec *v1alpha1.FluentCredentialSpec) {
			spec.Provider.Fluent.BaseURL = v1alpha1.BaseURL(value)
		}
	}
	return map[string]func(*v1alpha1.FluentCredentialSpec){
		"header value of two lines":   header("X-Tenant", "acme\r\nX-Injected: 1"),
		"header value, line feed":     header("X-Tenant", "acme\nX-Injected: 1"),
		"header value ends in a line": header("X-Tenant", "acme\r\n"),
		"header value, NUL":           header("X-Tenant", "acme\x00"),
		"header name of two lines":    header("X-Tenant: a\r\nX-Injected", "1"),
		"header name with a colon":    header("X-Injected:", "1"),
		"header name, empty":          header("", "1"),
		"scope of two lines":          scope("api\r\nX-Injected: 1"),
		"scope with a quote":          scope(`api" X="`),
		"base URL of two lines":       endpoint("https://acme.example\r\nX-Injected: 1"),
		"base URL with a space":       endpoint("https://acme.example/ HTTP/1.1"),
		"base URL with a user":        endpoint("https://user@acme.example"),
		"base URL with a query":       endpoint("https://acme.example/?a=b"),
		"base URL with a fragment":    endpoint("https://acme.example/#a"),
		"base URL of another scheme":  endpoint("file:///etc/passwd"),
	}
}

func TestInjectionsAreNotAdmitted(t *testing.T) {
	t.Parallel()
	b := newBeset(t)
	b.settle()
	for name, inject := range injections() {
		cred := reread(t, b.cred)
		inject(&cred.Spec)
		if err := live.Update(t.Context(), cred); !apierrors.IsInvalid(err) {
			t.Errorf("%s: got %v; want it to be refused as invalid", name, err)
		}
	}
	b.mustGoOn(2, "what was not admitted changed nothing")
}

// TestLoginCannotInject: what is in the credentials Secret is not checked at admission, and reaches the API as one value.
func TestLoginCannotInject(t *testing.T) {
	t.Parallel()
	for _, key := range []string{"username", "password", "client_id", "client_secret"} {
		t.Run(key, func(t *testing.T) {
			t.Parallel()
			good := ""
			b := newBesetWith(t, func(login *corev1.Secret) {
				good = login.StringData[key]
				login.StringData[key] += "\r\nX-Injected: 1\r\n\r\nGET /api/ping HTTP/1.1&X-Injected=1"
			})
			b.settle()
			if status := b.status(); status.Summary.Reason != v1alpha1.ReasonCredentialsRejected {
				t.Errorf("says %s: %q; want CredentialsRejected", status.Summary.Reason, status.Summary.Message)
			}
			b.mustHideSecrets(b.status())
			b.setLogin(func(login map[string][]byte) { login[key] = []byte(good) })
			b.settle()
			b.mustHave(badEndpoint{why: "the login was mended"}, "password", 1)
			b.mustSeeNoInjection()
		})
	}
}

func (b *beset) mustSeeNoInjection() {
	b.t.Helper()
	b.rogue.mu.Lock()
	defer b.rogue.mu.Unlock()
	for _, header := range b.rogue.headers {
		if header.Get("X-Injected") != "" {
			b.t.Errorf("a header was injected: %v", header)
		}
	}
	if asked := b.server.Ledger().Requests; asked != 2 || b.rogue.requests != 2 {
		b.t.Errorf("%d requests, %d to the token endpoint; want one that is refused and one that is granted", b.rogue.requests, asked)
	}
}

// TestHeadersCannotBreakTheReply: headers that say how a message is carried are not the user's to set. A reply that comes compressed, or on
// a connection that goes on, would be lost with the refresh token in it.
func TestHeadersCannotBreakTheReply(t *testing.T) {
	t.Parallel()
	b := newBeset(t)
	b.change(func(cred *v1alpha1.FluentCredential) {
		cred.Spec.Provider.Fluent.Headers = map[string]v1alpha1.HeaderValue{
			"accept-encoding": "gzip", "Connection": "keep-alive, Upgrade", "Upgrade": "h2c", "Transfer-Encoding": "chunked", "Content-Length": "1",
			"Expect": "100-continue", "Content-Encoding": "gzip", "TE": "trailers", "Host": "elsewhere.example", "X-Tenant": "acme",
		}
	})
	b.settle()
	b.mustGoOn(2, "the API is asked as ever")
	b.rogue.mustBeAskedPlainly(t)
	for _, header := range b.rogue.headers {
		if header.Get("X-Tenant") != "acme" || header.Get("Upgrade")+header.Get("Expect")+header.Get("Content-Encoding")+header.Get("Te") != "" {
			t.Errorf("asked with the headers %v", header)
		}
	}
}
