package exchange

import "fmt"

// words describes what went wrong. The text stays the same as long as the situation does: no local port, no resolver's
// address, no time.
func (f *fault) words() string {
	words := f.reason()
	switch {
	case f.phase == atProxy && f.proxy != "":
		words = "the proxy " + f.proxy + ": " + words
	case f.asked && f.phase >= atWrite && (f.kind == closed || f.kind == reset):
		words += "; the endpoint had asked for a client certificate"
	}
	return words
}

// reason describes what went wrong, without its originator.
func (f *fault) reason() string {
	switch f.kind {
	case notFound, temporary:
		return f.lookupWords()
	case refused, reset, unreachable, disallowed, declined:
		return f.detailOr(plain[f.kind])
	case closed, timedOut, canceled, tooLate:
		return f.brokenOff()
	case noTLS, wantsClient, rejectedTLS, brokenTLS:
		return f.tlsWords()
	case unnamed, forOtherHost, notForServers, expired, notYetValid, unknownIssuer, weak, invalid:
		return f.certificateWords()
	case tooLarge:
		return f.detailOr(fmt.Sprintf("the reply is larger than %d KiB", MaxReply>>10))
	case unknownCoding:
		return "the reply has the content coding " + f.detailOr("unknown") + ", which was not asked for"
	case damagedCoding:
		return "the reply's " + f.detailOr("content") + " coding is damaged or incomplete"
	case malformed:
		return "the reply is not valid HTTP"
	case other:
	}
	return f.detailOr(otherwise[f.phase])
}

func (f *fault) detailOr(words string) string {
	if f.detail != "" {
		return f.detail
	}
	return words
}

// plain are the texts for kinds that usually bring their own.
var plain = map[kind]string{
	refused:     "connection refused",
	reset:       "connection reset by peer",
	unreachable: "no route to host",
	disallowed:  "the endpoint is not allowed",
	declined:    "there is no connection to the endpoint",
}

// otherwise are the texts for errors without a kind of their own.
var otherwise = map[phase]string{
	atURL:       "the request cannot be built",
	atTrust:     "caBundle holds no PEM certificate",
	atLookup:    "the host cannot be looked up",
	atAddress:   "the address is not allowed",
	atConnect:   "the connection failed",
	atProxy:     "the connection failed",
	atHandshake: "TLS could not be agreed on",
	atWrite:     "the request could not be sent",
	midWrite:    "the request was not sent whole",
	atRead:      "the connection failed",
	midRead:     "the connection failed",
}

func (f *fault) lookupWords() string {
	host := "the host"
	if f.host != "" {
		host += " " + f.host
	}
	switch {
	case f.detail != "":
		return host + " " + f.detail
	case f.kind == notFound:
		return host + " does not exist"
	}
	return host + " cannot be looked up"
}

// brokenOff are the texts for an exchange that a timeout or the peer ended.
func (f *fault) brokenOff() string {
	switch {
	case f.kind == tooLate && f.phase == midWrite:
		return "the request was not sent whole: the claim's deadline passed"
	case f.kind == tooLate:
		return "the request was not sent: the claim's deadline passed"
	case f.kind == canceled:
		return "the connection was not waited for"
	case f.kind == timedOut && f.phase == atLookup:
		return f.lookupWords() + " in time"
	case f.kind == timedOut && f.phase >= atWrite:
		return "no reply in time"
	case f.kind == timedOut:
		return "no connection in time"
	case f.phase >= atWrite:
		return "the connection was closed before the reply was complete"
	case f.phase == atHandshake:
		return "the connection was closed during the TLS handshake"
	}
	return "the connection was closed"
}

func (f *fault) tlsWords() string {
	if f.kind == noTLS {
		return "the endpoint does not speak TLS"
	}
	if f.kind == wantsClient {
		return "the endpoint requires a client certificate"
	}
	return "the endpoint ended TLS: " + f.detailOr("alert")
}

// mistrusted are the reasons not to trust a certificate.
var mistrusted = map[kind]string{
	unnamed:       "it has no subject alternative name",
	forOtherHost:  "it is for another host",
	notForServers: "it is not meant for servers",
	expired:       "it has expired",
	notYetValid:   "it is not valid yet",
	unknownIssuer: "signed by an unknown authority",
	weak:          "its key or its signature is too weak",
	invalid:       "it is not valid",
}

func (f *fault) certificateWords() string {
	words := "the endpoint's certificate is not trusted: "
	if f.phase == atProxy {
		words = "its certificate is not trusted: "
	}
	words += mistrusted[f.kind]
	if f.detail != "" {
		words += " (" + f.detail + ")"
	}
	return words
}
