package exchange

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"net/url"
	"strings"
	"testing"

	"github.com/fluent-credential/operator/internal/failure"
	"github.com/fluent-credential/operator/internal/provider"
	"github.com/fluent-credential/operator/internal/token"
)

func TestPolicyCheck(t *testing.T) {
	public, insecure := Policy{}, Policy{InsecureHTTP: true}
	only := func(patterns ...string) Policy { return Policy{AllowedHosts: patterns} }
	fluent := only("*.api.fluentretail.com")
	const never, private, loopback = "which is never allowed", "has a private address", "has a loopback address"
	const noHost, noMatch = "is neither a domain name nor an IP address", "matches no pattern of --allowed-hosts"
	cases := map[string]struct {
		policy   Policy
		endpoint string
		refusal  string // empty: allowed
		why      string
	}{
		"public host":         {public, "https://acme.api.fluentretail.com/oauth/token", "", "the zero policy allows every public host"},
		"public address":      {public, "https://198.51.100.7/token", "", "a certificate can be for an address"},
		"public IPv6":         {public, "https://[2606:4700::1111]/token", "", "a certificate can be for an address"},
		"port":                {public, "https://acme.api.fluentretail.com:8443/token", "", "a proxy may listen anywhere"},
		"upper case":          {fluent, "HTTPS://ACME.API.FLUENTRETAIL.COM/token", "", "schemes and hosts have no case"},
		"trailing dot":        {fluent, "https://acme.api.fluentretail.com./token", "", "the dot only says that the name is complete"},
		"underscore":          {public, "https://my_host.example.com/token", "", "DNS has such names"},
		"http":                {public, "http://acme.api.fluentretail.com/token", "only https is allowed", "the credentials would be in the open"},
		"http for developers": {insecure, "http://acme.api.fluentretail.com/token", "", "--insecure-http is for that"},
		"ftp for developers":  {insecure, "ftp://acme.api.fluentretail.com/token", "only https is allowed", "--insecure-http permits http and nothing else"},
		"no scheme":           {public, "//acme.api.fluentretail.com/token", "only https is allowed", "no scheme is not https"},
		"opaque":              {public, "https:acme.api.fluentretail.com", "has no host", "it looks like a host, and is none"},
		"port alone":          {public, "https://:443/token", "has no host", "an empty host is this machine"},
		"user name":           {public, "https://user@acme.api.fluentretail.com/token", "holds a user name", "it would be shown wherever the URL is"},
		"host in disguise":    {fluent, "https://acme.api.fluentretail.com@evil.example/token", "holds a user name", "the host comes after the @"},
		"port 0":              {public, "https://acme.api.fluentretail.com:0/token", "a port is a number", "nobody listens there"},
		"port too high":       {public, "https://acme.api.fluentretail.com:65536/token", "a port is a number", "some resolvers would cut it to 0"},

		"127.0.0.1":               {public, "https://127.0.0.1/token", loopback, "it is this pod"},
		"127.8.8.8":               {public, "https://127.8.8.8/token", loopback, "all of 127/8 is this pod"},
		"::1":                     {public, "https://[::1]/token", loopback, "it is this pod"},
		"mapped loopback":         {public, "https://[::ffff:127.0.0.1]/token", loopback, "it is connected to as IPv4"},
		"translated loopback":     {public, "https://[64:ff9b::7f00:1]/token", loopback, "it ends at the IPv4 address inside"},
		"loopback, developers":    {insecure, "http://127.0.0.1:8080/token", "", "--insecure-http is for that"},
		"loopback with pattern":   {only("127.0.0.1"), "https://127.0.0.1/token", loopback, "a pattern does not make it public"},
		"link-local":              {public, "https://169.254.10.1/token", never, "no API is there"},
		"metadata":                {public, "https://169.254.169.254/token", never, "clouds give credentials away there"},
		"mapped metadata":         {public, "https://[::ffff:169.254.169.254]/token", never, "it is connected to as IPv4"},
		"mapped metadata, hex":    {public, "https://[::ffff:a9fe:a9fe]/token", never, "it is connected to as IPv4"},
		"translated metadata":     {public, "https://[64:ff9b::a9fe:a9fe]/token", never, "it ends at the IPv4 address inside"},
		"6to4":                    {public, "https://[2002:a9fe:a9fe::1]/token", never, "it ends at the IPv4 address inside"},
		"Teredo":                  {public, "https://[2001:0:4136:e378:8000:63bf:3fff:fdd2]/token", never, "it hides an IPv4 address"},
		"SIIT":                    {public, "https://[::ffff:0:169.254.169.254]/token", never, "a stateless translator ends it at the IPv4 address inside"},
		"SIIT, public":            {only("[::ffff:0:c633:6407]"), "https://[::ffff:0:c633:6407]/token", never, "nobody uses it any more, and naming it does not change that"},
		"ISATAP, metadata":        {public, "https://[2001:db8::5efe:169.254.169.254]/token", never, "the last hop is a tunnel to the IPv4 address inside"},
		"ISATAP, universal bit":   {public, "https://[2001:db8::200:5efe:a9fe:a9fe]/token", never, "the same interface identifier, of a public address"},
		"ISATAP, loopback":        {public, "https://[2001:db8::5efe:127.0.0.1]/token", loopback, "the last hop is a tunnel to the IPv4 address inside"},
		"ISATAP, private":         {public, "https://[2001:db8::5efe:10.0.0.1]/token", private, "the last hop is a tunnel to the IPv4 address inside"},
		"ISATAP, private, named":  {only("[2001:db8::5efe:a00:1]"), "https://[2001:db8::5efe:10.0.0.1]/token", "", "the administrator names it"},
		"ISATAP, private outside": {public, "https://[fd12::5efe:198.51.100.7]/token", private, "both addresses have to be allowed"},
		"ISATAP, public":          {public, "https://[2001:db8::200:5efe:198.51.100.7]/token", "", "nothing on the way is forbidden"},
		"almost ISATAP":           {public, "https://[2001:db8::400:5efe:a9fe:a9fe]/token", "", "an interface identifier of chance"},
		"Oracle, IPv6":            {only("[fd00:c1::a9fe:a9fe]"), "https://[fd00:c1::a9fe:a9fe]/token", never, "no pattern permits it"},
		"IPv4-compatible":         {public, "https://[::169.254.169.254]/token", never, "it hides an IPv4 address"},
		"metadata, developers":    {insecure, "http://169.254.169.254/token", never, "--insecure-http does not permit it"},
		"metadata with pattern":   {only("169.254.169.254"), "https://169.254.169.254/token", never, "a pattern does not permit it"},
		"metadata of Alibaba":     {public, "https://100.100.100.200/token", never, "it is outside of the link-local range"},
		"metadata of Azure":       {public, "https://168.63.129.16/token", never, "it looks public, and is not"},
		"metadata of AWS, IPv6":   {only("fd00:ec2::254"), "https://[fd00:ec2::254]/token", never, "it is outside of the link-local range"},
		"metadata of Google":      {only("fd20:ce::254"), "https://[fd20:ce::254]/token", never, "it is outside of the link-local range"},
		"link-local IPv6":         {public, "https://[fe80::1]/token", never, "no API is there"},
		"link-local, zone":        {public, "https://[fe80::1%25eth0]/token", never, "a zone changes nothing"},
		"unspecified":             {public, "https://0.0.0.0/token", never, "to Linux it is this pod"},
		"unspecified IPv6":        {public, "https://[::]/token", never, "to Linux it is this pod"},
		"multicast":               {public, "https://224.0.0.1/token", never, "it is no endpoint"},
		"multicast IPv6":          {public, "https://[ff02::1]/token", never, "it is no endpoint"},
		"broadcast":               {only("255.255.255.255"), "https://255.255.255.255/token", never, "it is no endpoint"},
		"private":                 {public, "https://10.0.0.1/token", private, "it must be named"},
		"private, named":          {only("10.0.0.1"), "https://10.0.0.1/token", "", "it is named"},
		"private, star":           {only("10.0.*.*"), "https://10.0.7.1/token", "", "it is named"},
		"private, other named":    {only("10.0.0.2"), "https://10.0.0.1/token", noMatch, "another one is named"},
		"private, deep star":      {only("*.0.0.1"), "https://10.0.0.1/token", noMatch, "an address has no subdomains"},
		"private, developers":     {insecure, "https://192.168.1.1/token", private, "--insecure-http does not permit it"},
		"172.16/12":               {public, "https://172.31.255.255/token", private, "RFC 1918"},
		"172.32.0.1":              {public, "https://172.32.0.1/token", "", "the private range ends before it"},
		"shared":                  {public, "https://100.64.0.1/token", private, "RFC 6598: some clusters have their pods there"},
		"benchmarking":            {public, "https://198.18.0.1/token", private, "RFC 2544: some clusters have their services there"},
		"reserved":                {public, "https://240.0.0.1/token", private, "some clusters have their pods there"},
		"this network":            {public, "https://0.1.2.3/token", private, "it is not reached over the public network"},
		"unique local":            {public, "https://[fd12:3456::1]/token", private, "RFC 4193"},
		"unique local, named":     {only("[FD12:3456:0::1]"), "https://[fd12:3456::1]/token", "", "it is named in another spelling"},
		"unique local, star":      {only("*"), "https://[fd12:3456::1]/token", noMatch, "a star stands for part of a name"},
		"site-local, zone":        {public, "https://[fec0::1%25eth0]/token", private, "a zone changes nothing"},
		"mapped private":          {public, "https://[::ffff:10.0.0.1]/token", private, "it is connected to as IPv4"},
		"mapped private, named":   {only("10.0.0.1"), "https://[::ffff:10.0.0.1]/token", "", "it is the same address"},
		"translated private":      {public, "https://[64:ff9b::a00:1]/token", private, "it ends at the IPv4 address inside"},
		"translated public":       {public, "https://[64:ff9b::c633:6407]/token", "", "a cluster with IPv6 alone reaches every IPv4 API like that"},
		"translator of one's own": {public, "https://[64:ff9b:1::c633:6407]/token", private, "RFC 8215: where the IPv4 address is, is not known"},

		"decimal IPv4":           {public, "https://2130706433/token", noHost, "to many resolvers it is 127.0.0.1"},
		"hexadecimal IPv4":       {public, "https://0x7f000001/token", noHost, "to many resolvers it is 127.0.0.1"},
		"hexadecimal parts":      {public, "https://0x7f.0.0.0x1/token", noHost, "to many resolvers it is 127.0.0.1"},
		"octal IPv4":             {public, "https://0177.0.0.1/token", noHost, "to many resolvers it is 127.0.0.1"},
		"short IPv4":             {public, "https://127.1/token", noHost, "to many resolvers it is 127.0.0.1"},
		"IPv4 with trailing dot": {public, "https://127.0.0.1./token", noHost, "to many resolvers it is 127.0.0.1"},
		"five numbers":           {public, "https://1.2.3.4.5/token", noHost, "no domain ends in a number"},
		"0x alone":               {public, "https://host.0x/token", noHost, "to many resolvers it is a number"},
		"empty label":            {public, "https://acme..example/token", noHost, "DNS has no such name"},
		"two trailing dots":      {fluent, "https://acme.api.fluentretail.com../token", noHost, "DNS has no such name"},
		"not ASCII":              {public, "https://acmé.example/token", noHost, "resolvers differ in what they make of it"},
		"a letter like a k":      {only("*.kiosk.example"), "https://a.\u212aiosk.example/token", noHost, "in lower case it is a k, and DNS is asked for something else"},
		"star":                   {public, "https://*.example.com/token", noHost, "a pattern is no host"},
		"long label":             {public, "https://" + strings.Repeat("a", 64) + ".example/token", noHost, "DNS has no such name"},
		"long name":              {public, "https://" + strings.Repeat("a.", 126) + "example/token", noHost, "DNS has no such name"},

		"below the pattern":     {fluent, "https://acme.api.fluentretail.com/token", "", "it is a subdomain"},
		"two below the pattern": {fluent, "https://acme.sandbox.api.fluentretail.com/token", "", "a leading *. stands for any depth"},
		"the domain itself":     {fluent, "https://api.fluentretail.com/token", noMatch, "it is no subdomain"},
		"longer label":          {fluent, "https://evilapi.fluentretail.com/token", noMatch, "the label ends differently, and anybody may own it"},
		"longer domain":         {fluent, "https://acme.api.fluentretail.com.evil.example/token", noMatch, "the domain goes on"},
		"other domain":          {fluent, "https://acme.apixfluentretail.com/token", noMatch, "a dot is a dot"},
		"empty first label":     {fluent, "https://.api.fluentretail.com/token", noHost, "DNS has no such name"},
		"exact":                 {only("auth.commercelayer.io"), "https://auth.commercelayer.io/token", "", "it is named"},
		"below an exact one":    {only("commercelayer.io"), "https://auth.commercelayer.io/token", noMatch, "a domain does not name its subdomains"},
		"star in a label":       {only("acme-*.example.com"), "https://acme-eu.example.com/token", "", "it stands for part of a label"},
		"star across a dot":     {only("acme-*.example.com"), "https://acme-eu.evil.example.com/token", noMatch, "a star in a label does not go beyond it"},
		"star for a label":      {only("acme.*.example.com"), "https://acme.eu.example.com/token", "", "it stands for a label"},
		"star for two labels":   {only("acme.*.example.com"), "https://acme.eu.west.example.com/token", noMatch, "it stands for one label"},
		"star for nothing":      {only("acme*.example.com"), "https://acme.example.com/token", "", "part of a label may be empty"},
		"stars in a label":      {only("*-auth-*.example.com"), "https://a-auth-b-auth-c.example.com/token", "", "each stands for what it must"},
		"both kinds of star":    {only("*.eu-*.example.com"), "https://a.b.eu-west.example.com/token", "", "each stands for what it must"},
		"both kinds, too short": {only("*.eu-*.example.com"), "https://eu-west.example.com/token", noMatch, "the leading one stands for one label at least"},
		"star alone":            {only("*"), "https://acme.example.com/token", noMatch, "it stands for one label"},
		"star in a name":        {only("*"), "https://vault/token", "", "it stands for one label"},
		"pattern's case":        {only("*.API.FluentRetail.COM."), "https://acme.api.fluentretail.com/token", "", "hosts have no case, and a dot changes nothing"},
		"pattern's brackets":    {only("a[b]c.example.com"), "https://abc.example.com/token", noMatch, "a bracket is no pattern"},
		"pattern's question":    {only("ac?e.example.com"), "https://acme.example.com/token", noMatch, "a question mark is no pattern"},
		"second pattern":        {only("a.example.com", " *.example.org"), "https://b.example.org/token", "", "one match is enough"},
		"pattern without host":  {only(""), "https://b.example.org/token", noMatch, "an empty pattern is a mistake, and names nobody"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			endpoint, err := url.Parse(c.endpoint)
			if err != nil {
				t.Fatal(err)
			}
			reason, refused := IsNotAllowed(c.policy.Check(endpoint))
			if refused != (c.refusal != "") || !strings.Contains(reason, c.refusal) {
				t.Errorf("%s: got refusal %q, want %q, because %s", c.endpoint, reason, c.refusal, c.why)
			}
		})
	}
}

// control sees the addresses that a name resolved to.
func TestPolicyControl(t *testing.T) {
	cases := map[string]struct {
		policy  Policy
		address string
		refusal string
		why     string
	}{
		"public":            {Policy{}, "198.51.100.7:443", "", "this is what an API resolves to"},
		"loopback":          {Policy{}, "127.0.0.1:443", "api.example.com has a loopback address", "the name may have been made to point there"},
		"metadata":          {Policy{}, "169.254.169.254:80", "never allowed", "the name may have been made to point there"},
		"zone":              {Policy{}, "[fe80::1%eth0]:443", "never allowed", "a resolver adds the zone"},
		"private":           {Policy{}, "10.0.0.1:443", "has a private address", "the host is not named"},
		"private, named":    {Policy{AllowedHosts: []string{"*.example.com"}}, "10.0.0.1:443", "", "the host is named, whatever its address"},
		"metadata, named":   {Policy{AllowedHosts: []string{"*.example.com"}}, "169.254.169.254:80", "never allowed", "a pattern does not permit it"},
		"not an address":    {Policy{}, "api.example.com:443", "cannot be read", "what is not understood is refused"},
		"no port":           {Policy{}, "198.51.100.7", "cannot be read", "what is not understood is refused"},
		"developer's own":   {Policy{InsecureHTTP: true}, "[::1]:443", "", "--insecure-http is for that"},
		"translated public": {Policy{}, "[64:ff9b::c633:6407]:443", "", "DNS64 makes such addresses"},
	}
	for name, c := range cases {
		reason, refused := IsNotAllowed(c.policy.control("api.example.com")("tcp", c.address, nil))
		if refused != (c.refusal != "") || !strings.Contains(reason, c.refusal) {
			t.Errorf("%s: got refusal %q, want %q, because %s", name, reason, c.refusal, c.why)
		}
	}
}

// A name passes Check, and is refused when it is connected to.
func TestDialRefusesWhatANameResolvesTo(t *testing.T) {
	server := listen(t, func(p *peer) {})
	_, port, err := net.SplitHostPort(server.address())
	if err != nil {
		t.Fatal(err)
	}
	api := oauth2(t, "https://localhost:"+port+"/token", provider.Form)
	if err := (Policy{}).Check(api.Endpoint()); err != nil {
		t.Fatalf("a name is refused before it is resolved: %v", err)
	}
	_, refused := (Dialer{}).Dial(context.Background(), api, request(t, api))
	if refused == nil || refused.Verdict != token.Unsent || refused.Cause != failure.Passing() || refused.Problem.Code != NotAllowed {
		t.Fatalf("localhost is not refused, or not for the time being: %+v", refused)
	}
	if want := "localhost has a loopback address"; refused.Problem.Description != want {
		t.Errorf("got %q, want %q", refused.Problem.Description, want)
	}
	if n := server.connections(); n != 0 {
		t.Errorf("%d connections were made all the same", n)
	}
}

func TestIsNotAllowed(t *testing.T) {
	if reason, refused := IsNotAllowed(errors.New("other")); refused || reason != "" {
		t.Errorf("another error is taken for a refusal: %q", reason)
	}
	if _, refused := IsNotAllowed(nil); refused {
		t.Error("no error is taken for a refusal")
	}
}

// FuzzHost: whatever is spelled, a name that passes Check is no IPv4 address in disguise.
func FuzzHost(f *testing.F) {
	for _, host := range []string{"localhost", "0x7f.1", "127.1", "1.2.3.4", "a.b", "٣.example", "fe80::1%eth0", "0", "-"} {
		f.Add(host)
	}
	f.Fuzz(func(t *testing.T, host string) {
		if !isDomainName(host) {
			return
		}
		if _, err := netip.ParseAddr(host); err == nil {
			t.Errorf("%q is an address", host)
		}
		if last := host[strings.LastIndexByte(strings.TrimSuffix(host, "."), '.')+1:]; strings.Trim(last, "0123456789.") == "" {
			t.Errorf("%q ends in a number", host)
		}
		if !(Policy{AllowedHosts: []string{host}}).named(host) {
			t.Errorf("%q does not name itself", host)
		}
	})
}
