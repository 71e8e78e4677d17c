package cli

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"net"
	"net/url"
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/fluent-credential/operator/api/v1alpha1"
	"github.com/fluent-credential/operator/internal/exchange"
	"github.com/fluent-credential/operator/internal/printable"
)

// A FluentCredential says where a password goes, and its author may be another than the person who types the password.
// The person is shown the host and the certificate first. What is unusual about them has to be confirmed.

// peer is who answers at the endpoint.
type peer struct {
	certificate *x509.Certificate // nil: without TLS
	byBundle    bool              // only the caBundle of the FluentCredential makes it trusted
}

// peerOf returns the peer of a connection.
func peerOf(conn *exchange.Conn, endpoint *url.URL, caBundle string) peer {
	secured, ok := conn.Conn.(*tls.Conn)
	if !ok {
		return peer{}
	}
	shown := secured.ConnectionState().PeerCertificates
	between := x509.NewCertPool()
	for _, each := range shown[1:] {
		between.AddCert(each)
	}
	found := peer{certificate: shown[0]}
	if caBundle != "" {
		_, err := shown[0].Verify(x509.VerifyOptions{DNSName: endpoint.Hostname(), Intermediates: between})
		found.byBundle = err != nil
	}
	return found
}

// isLike reports whether two peers are trusted for the same reason.
func (p peer) isLike(other peer) bool {
	return (p.certificate == nil) == (other.certificate == nil) && p.byBundle == other.byBundle
}

// maxDistinguishedName bounds a name of a certificate that is shown.
const maxDistinguishedName = 160

func (p peer) words() string {
	if p.certificate == nil {
		return "none: the connection is not encrypted"
	}
	trust := "trusted by this machine"
	if p.byBundle {
		trust = "trusted because of the caBundle of the FluentCredential"
	}
	subject := p.certificate.Subject.String()
	if subject == "" {
		subject = strings.Join(p.certificate.DNSNames, ", ")
	}
	name := func(text string) string { return printable.Cut(text, maxDistinguishedName) }
	return name(subject) + ", issued by " + name(p.certificate.Issuer.String()) + "; " + trust
}

// usualDomains are the domains of the APIs that have some.
var usualDomains = map[string]string{
	"fluent":        "fluentretail.com",
	"commerceLayer": "commercelayer.io",
	"nordea":        "nordeaopenbanking.com",
}

// addressOf returns the host and the port of an endpoint.
func addressOf(endpoint *url.URL) string {
	port := endpoint.Port()
	if port == "" {
		port = map[string]string{"http": "80", "https": "443"}[endpoint.Scheme]
	}
	return net.JoinHostPort(endpoint.Hostname(), port)
}

// expects reports whether an address is the one that the flag --endpoint names: a host, with a port unless it is 443.
func expects(flag, address string) bool {
	if _, _, err := net.SplitHostPort(flag); err != nil {
		flag = net.JoinHostPort(strings.Trim(flag, "[]"), "443")
	}
	return strings.EqualFold(flag, address)
}

// doubts returns what is unusual about the endpoint that the login goes to.
func (o *loginOptions) doubts(try *attempt) []string {
	var found []string
	endpoint := try.api.Endpoint()
	domain, isKnown := usualDomains[providerName(try.cred)]
	host := strings.ToLower(strings.TrimSuffix(endpoint.Hostname(), "."))
	if isKnown && host != domain && !strings.HasSuffix(host, "."+domain) {
		found = append(found, host+" is no host of this provider: those end in "+domain)
	}
	if try.peer.certificate == nil && !o.flags.Changed("insecure-http") {
		found = append(found, "the connection is not encrypted")
	}
	if try.peer.byBundle {
		found = append(found, "the certificate is trusted only because of the caBundle of the FluentCredential")
	}
	if by, at := lastAuthor(try.cred); by != "" {
		found = append(found, "the spec was changed by "+by+" at "+stamp(at)+", after the last token was obtained")
	}
	for _, entry := range try.overwritten(o.removePassword) {
		found = append(found, "entry "+entry+" of Secret "+try.secret.Name+" is replaced or removed: "+
			"spec.credentialsSecretRef.keys names it")
	}
	return found
}

// lastAuthor returns the field manager that has spec.provider and changed the spec after the last token was obtained, if
// one did. The time of a field manager counts for all of its fields.
func lastAuthor(cred *v1alpha1.FluentCredential) (manager string, at metav1.Time) {
	if cred.Status.Token == nil {
		return "", at
	}
	for _, entry := range cred.ManagedFields {
		isProvider := entry.Subresource == "" && entry.FieldsV1 != nil &&
			strings.Contains(entry.FieldsV1.GetRawString(), `"f:provider"`)
		if !isProvider || entry.Time == nil || !entry.Time.After(cred.Status.Token.ObtainedTime.Time) {
			continue
		}
		if entry.Time.After(at.Time) {
			manager, at = entry.Manager, *entry.Time
		}
	}
	return manager, at
}

// introduce shows where the login goes, and has it confirmed if there is a doubt. Without a terminal, the flag
// --endpoint confirms it.
func (o *loginOptions) introduce(ctx context.Context, try *attempt) error {
	address := addressOf(try.api.Endpoint())
	o.ErrOut.printf("Login of FluentCredential %s (provider %s)\n", keyOf(try.cred), providerName(try.cred))
	o.ErrOut.printf("  goes to:      %s\n  certificate:  %s\n", address, try.peer.words())
	doubts := o.doubts(try)
	for _, doubt := range doubts {
		o.ErrOut.printf("  %s  %s\n", painted{yellow, "warning:    "}, doubt)
	}
	switch {
	case o.endpoint != "" && !expects(o.endpoint, address):
		return failWith(exitRefused, "the login would go to %s, and not to %s: nothing was sent", address, o.endpoint)
	case o.endpoint != "", len(doubts) == 0:
		return nil
	case !isTerminal(o.In) || o.passwordStdin || o.codeStdin:
		return failWith(exitRefused, "this login has to be confirmed: nothing was sent.\n"+
			"If the endpoint is the one that you expect, and the warnings are no surprise: --endpoint %s", address)
	}
	answer, err := o.prompter().ask(ctx, "Send the login there? Type yes to go on", "")
	if err == nil && !slices.Contains([]string{"yes", "y"}, strings.ToLower(strings.TrimSpace(answer))) {
		err = failWith(exitRefused, "not confirmed: nothing was sent")
	}
	return err
}

// sameTrust refuses a connection that is trusted for another reason than the one that the person was shown.
func (t *attempt) sameTrust(conn *exchange.Conn, caBundle string) error {
	if now := peerOf(conn, t.api.Endpoint(), caBundle); !now.isLike(t.peer) {
		return failWith(exitRefused, "another server answers at %s than a moment ago, with this certificate: %s.\nNothing was sent.",
			addressOf(t.api.Endpoint()), now.words())
	}
	return nil
}
