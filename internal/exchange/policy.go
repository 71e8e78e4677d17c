package exchange

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
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
	case !isPort(endpoint.Port()):
		return notAllowed("the endpoint's port is %s; a port is a number from 1 to 65535", endpoint.Port())
	}
	return p.checkHost(host)
}

func isPort(text string) bool {
	number, err := strconv.ParseUint(text, 10, 16)
	return text == "" || err == nil && number > 0
}

func (p Policy) checkHost(host string) error {
	address, err := netip.ParseAddr(host)
	switch {
	case err != nil && !isDomainName(host):
		return notAllowed("the host %q is neither a domain name nor an IP address", host)
	case len(p.AllowedHosts) > 0 && !p.named(host):
		return notAllowed("the host %s matches no pattern of --allowed-hosts", host)
	case err == nil:
		return p.checkAddress(host, address)
	}
	return nil
}

// checkAddress refuses what no authentication API is reached by, and what leads there.
func (p Policy) checkAddress(host string, address netip.Addr) error {
	address = unclothed(address)
	if inside, tunnels := tunnelled(address); tunnels {
		if err := p.checkAddress(host, inside); err != nil {
			return err
		}
	}
	switch {
	case address.IsLoopback():
		if p.InsecureHTTP {
			return nil
		}
		return notAllowed("%s has a loopback address", host)
	case isForbidden(address):
		return notAllowed("%s has the address %s, which is never allowed", host, address)
	case isPrivate(address) && !p.named(host):
		return notAllowed("%s has a private address and matches no pattern of --allowed-hosts", host)
	}
	return nil
}

// translated is where a NAT64 translator keeps the IPv4 addresses (RFC 6052 section 2.1). In a cluster that has only IPv6, every
// API that has only IPv4 is reached there.
var translated = netip.MustParsePrefix("64:ff9b::/96")

// unclothed looks at an IPv4 address in IPv6 clothing as what it is.
func unclothed(address netip.Addr) netip.Addr {
	address = address.Unmap().WithZone("")
	if !translated.Contains(address) {
		return address
	}
	bytes := address.As16()
	return netip.AddrFrom4([4]byte(bytes[12:]))
}

// tunnelled is the IPv4 address to which a host that speaks ISATAP (RFC 5214 section 6.1) sends what is for the address.
func tunnelled(address netip.Addr) (netip.Addr, bool) {
	bytes := address.As16()
	if !address.Is6() || bytes[8]&^2 != 0 || bytes[9] != 0 || bytes[10] != 0x5e || bytes[11] != 0xfe {
		return netip.Addr{}, false
	}
	return netip.AddrFrom4([4]byte(bytes[12:])), true
}

// forbidden are, outside of the link-local ranges, the addresses at which clouds give credentials away, and those that hide an
// IPv4 address in a way that nobody uses any more.
var forbidden = []netip.Prefix{
	netip.MustParsePrefix("100.100.100.200/32"),     // Alibaba Cloud
	netip.MustParsePrefix("168.63.129.16/32"),       // Azure
	netip.MustParsePrefix("192.0.0.192/32"),         // Oracle Cloud
	netip.MustParsePrefix("fd00:ec2::254/128"),      // AWS
	netip.MustParsePrefix("fd00:ec2::23/128"),       // AWS, for pods
	netip.MustParsePrefix("fd20:ce::254/128"),       // Google Cloud
	netip.MustParsePrefix("fd00:42::42/128"),        // Scaleway
	netip.MustParsePrefix("fd00:c1::a9fe:a9fe/128"), // Oracle Cloud, IPv6
	netip.MustParsePrefix("255.255.255.255/32"),     // broadcast
	netip.MustParsePrefix("::/96"),                  // RFC 4291 section 2.5.5.1: IPv4-compatible
	netip.MustParsePrefix("::ffff:0:0:0/96"),        // RFC 2765 section 2.1: IPv4-translated (SIIT)
	netip.MustParsePrefix("2001::/32"),              // RFC 4380: Teredo
	netip.MustParsePrefix("2002::/16"),              // RFC 3056: 6to4
}

func isForbidden(address netip.Addr) bool {
	return address.IsLinkLocalUnicast() || address.IsUnspecified() || address.IsMulticast() || isIn(forbidden, address)
}

// private are the ranges beside RFC 1918 and RFC 4193 that are not reached over the public network.
var private = []netip.Prefix{
	netip.MustParsePrefix("0.0.0.0/8"),      // RFC 1122 section 3.2.1.3
	netip.MustParsePrefix("100.64.0.0/10"),  // RFC 6598
	netip.MustParsePrefix("192.0.0.0/24"),   // RFC 6890
	netip.MustParsePrefix("198.18.0.0/15"),  // RFC 2544
	netip.MustParsePrefix("240.0.0.0/4"),    // RFC 1112 section 4
	netip.MustParsePrefix("64:ff9b:1::/48"), // RFC 8215: translators of one's own
	netip.MustParsePrefix("fec0::/10"),      // RFC 3879: the former site-local range
}

func isPrivate(address netip.Addr) bool { return address.IsPrivate() || isIn(private, address) }

func isIn(ranges []netip.Prefix, address netip.Addr) bool {
	return slices.ContainsFunc(ranges, func(one netip.Prefix) bool { return one.Contains(address) })
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
		return p.checkAddress(host, parsed)
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
