package exchange

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"path"
	"strings"
	"syscall"
)

// Policy says which endpoints may be asked for a token. The zero value allows every public host over HTTPS.
type Policy struct {
	// AllowedHosts are patterns such as *.api.fluentretail.com; a host must match one where there is any. A host with a private
	// address must match one always.
	AllowedHosts []string
	// InsecureHTTP permits http:// and loopback addresses, for development.
	InsecureHTTP bool
}

// NotAllowedError says why an endpoint is refused.
type NotAllowedError struct{ Reason string }

func (e *NotAllowedError) Error() string { return e.Reason }

func notAllowed(format string, args ...any) error {
	return &NotAllowedError{Reason: fmt.Sprintf(format, args...)}
}

// Check looks at the endpoint's URL; its addresses are looked at when they are connected to, after name resolution.
func (p Policy) Check(endpoint *url.URL) error {
	host := endpoint.Hostname()
	switch {
	case host == "":
		return notAllowed("the endpoint has no host")
	case endpoint.User != nil:
		return notAllowed("the endpoint holds a user name")
	case endpoint.Scheme != "https" && (endpoint.Scheme != "http" || !p.InsecureHTTP):
		return notAllowed("the endpoint's scheme is %s; only https is allowed", endpoint.Scheme)
	case len(p.AllowedHosts) > 0 && !p.named(host):
		return notAllowed("the host %s matches no pattern of --allowed-hosts", host)
	}
	if address, err := netip.ParseAddr(host); err == nil {
		return p.checkAddress(host, address)
	}
	return nil
}

// named tells whether a pattern of AllowedHosts matches the host. A star stands for any run of characters within one label, or,
// as *.example.com, for any subdomain.
func (p Policy) named(host string) bool {
	host = strings.ToLower(strings.TrimSuffix(host, "."))
	for _, pattern := range p.AllowedHosts {
		pattern = strings.ToLower(pattern)
		if matched, err := path.Match(pattern, host); err == nil && matched {
			return true
		}
	}
	return false
}

// checkAddress refuses what no authentication API is reached by. An IPv4 address in IPv6 clothing is looked at as what it is.
func (p Policy) checkAddress(host string, address netip.Addr) error {
	address = address.Unmap()
	switch {
	case address.IsLoopback():
		if p.InsecureHTTP {
			return nil
		}
		return notAllowed("%s has a loopback address", host)
	case address.IsLinkLocalUnicast(), address.IsUnspecified(), address.IsMulticast(), isMetadata(address):
		return notAllowed("%s has the address %s, which is never allowed", host, address)
	case isPrivate(address) && !p.named(host):
		return notAllowed("%s has a private address and matches no pattern of --allowed-hosts", host)
	}
	return nil
}

// metadata are addresses outside the link-local ranges at which clouds give credentials away.
var metadata = []netip.Addr{
	netip.MustParseAddr("fd00:ec2::254"),   // AWS, IPv6
	netip.MustParseAddr("100.100.100.200"), // Alibaba Cloud
	netip.MustParseAddr("168.63.129.16"),   // Azure
	netip.MustParseAddr("192.0.0.192"),     // Oracle Cloud
}

func isMetadata(address netip.Addr) bool {
	for _, known := range metadata {
		if address == known {
			return true
		}
	}
	return false
}

// private are the ranges beside RFC 1918 and RFC 4193 that are not reached over the public network.
var private = []netip.Prefix{
	netip.MustParsePrefix("0.0.0.0/8"),     // RFC 1122 section 3.2.1.3
	netip.MustParsePrefix("100.64.0.0/10"), // RFC 6598
	netip.MustParsePrefix("192.0.0.0/24"),  // RFC 6890
	netip.MustParsePrefix("198.18.0.0/15"), // RFC 2544
	netip.MustParsePrefix("240.0.0.0/4"),   // RFC 1112 section 4
	netip.MustParsePrefix("64:ff9b::/96"),  // RFC 6052: IPv4 behind a translator
	netip.MustParsePrefix("2002::/16"),     // RFC 3056: IPv4 inside 6to4
	netip.MustParsePrefix("fec0::/10"),     // RFC 3879: the former site-local range
}

func isPrivate(address netip.Addr) bool {
	for _, prefix := range private {
		if prefix.Contains(address) {
			return true
		}
	}
	return address.IsPrivate()
}

// control looks at every address the dialer is about to connect to, so that a name that resolves anew cannot slip past.
func (p Policy) control(host string) func(network, address string, _ syscall.RawConn) error {
	return func(_, address string, _ syscall.RawConn) error {
		literal, _, err := net.SplitHostPort(address)
		if err != nil {
			return notAllowed("the address of %s cannot be read", host)
		}
		parsed, err := netip.ParseAddr(literal)
		if err != nil {
			return notAllowed("the address of %s cannot be read", host)
		}
		return p.checkAddress(host, parsed.WithZone(""))
	}
}

// IsNotAllowed tells whether an error is a refusal by the Policy, and its reason.
func IsNotAllowed(err error) (string, bool) {
	var refused *NotAllowedError
	if errors.As(err, &refused) {
		return refused.Reason, true
	}
	return "", false
}
