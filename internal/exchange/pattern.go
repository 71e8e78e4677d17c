package exchange

import (
	"net/netip"
	"slices"
	"strings"
)

// named tells whether a pattern of AllowedHosts matches the host, whatever the case. A leading "*." stands for any subdomain, of any
// depth, and not for the domain itself: *.api.fluentretail.com matches acme.sandbox.api.fluentretail.com, and neither
// api.fluentretail.com nor evilapi.fluentretail.com. Any other star stands for any characters within one label. An IPv6 address
// is matched by nothing but itself.
func (p Policy) named(host string) bool {
	host = canonical(host)
	return slices.ContainsFunc(p.AllowedHosts, func(pattern string) bool { return matches(canonical(pattern), host) })
}

// canonical is the one spelling of a host that is compared.
func canonical(host string) string {
	host = strings.ToLower(strings.TrimSuffix(strings.TrimSpace(host), "."))
	if address, err := netip.ParseAddr(strings.Trim(host, "[]")); err == nil {
		return address.Unmap().String()
	}
	return host
}

func matches(pattern, host string) bool {
	if _, err := netip.ParseAddr(host); err == nil && (strings.HasPrefix(pattern, "*.") || strings.Contains(host, ":")) {
		return pattern == host
	}
	labels := strings.Split(host, ".")
	domain, anyDepth := strings.CutPrefix(pattern, "*.")
	wanted := strings.Split(domain, ".")
	below := len(labels) - len(wanted)
	if below < 0 || anyDepth != (below > 0) {
		return false
	}
	return slices.EqualFunc(wanted, labels[below:], matchesLabel)
}

// matchesLabel matches one label; a star stands for any characters, also for none.
func matchesLabel(pattern, label string) bool {
	first, rest, starred := strings.Cut(pattern, "*")
	if !starred {
		return pattern == label
	}
	label, ok := strings.CutPrefix(label, first)
	if !ok {
		return false
	}
	for from := range len(label) + 1 {
		if matchesLabel(rest, label[from:]) {
			return true
		}
	}
	return false
}

// isDomainName tells whether a host is a name of DNS. A last label that is a number is none: many resolvers read 2130706433, 127.1
// and 0x7f.1 as IPv4 addresses.
func isDomainName(host string) bool {
	host = strings.TrimSuffix(host, ".")
	labels := strings.Split(host, ".")
	isNoLabel := func(label string) bool {
		return len(label) == 0 || len(label) > 63 || strings.Trim(label, letters+digits+"-_") != ""
	}
	return len(host) <= 253 && !slices.ContainsFunc(labels, isNoLabel) && !isNumber(labels[len(labels)-1])
}

const (
	letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
	digits  = "0123456789"
)

func isNumber(label string) bool {
	if value, hexadecimal := strings.CutPrefix(strings.ToLower(label), "0x"); hexadecimal {
		return strings.Trim(value, digits+"abcdef") == ""
	}
	return strings.Trim(label, digits) == ""
}
