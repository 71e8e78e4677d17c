package controllers

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"strings"
	"time"

	"unicode/utf16"

	"github.com/fluent-credential/operator/api/v1alpha1"
)

// badReplies are the ways to misbehave in the reply to a request that was read.
func badReplies() map[string]badEndpoint {
	all := map[string]badEndpoint{}
	for _, some := range []map[string]badEndpoint{redirects(), wrongFields(), oddFields(), noJSON(), badStatuses(), noHTTP(), slowReplies()} {
		maps.Copy(all, some)
	}
	return all
}

// raw answers with bytes.
func raw(text string) manners { return manners{serve: func(t turn) { t.say(text) }} }

// said is a whole reply with a body.
func said(status, contentType, body string) string {
	return fmt.Sprintf("HTTP/1.1 %s\r\nContent-Type: %s\r\nContent-Length: %d\r\n\r\n%s", status, contentType, len(body), body)
}

// rewritten answers 200 with what is made of the good body.
func rewritten(change func(good string) string) manners {
	return manners{serve: func(t turn) { t.say(said("200 OK", "application/json", change(t.good))) }}
}

// member answers with the good reply, one of its members replaced by other JSON; empty takes it out.
func member(name, value string) manners {
	return rewritten(func(good string) string {
		object := map[string]json.RawMessage{}
		if err := json.Unmarshal([]byte(good), &object); err != nil {
			return err.Error()
		}
		object[name] = json.RawMessage(value)
		if value == "" {
			delete(object, name)
		}
		changed, _ := json.Marshal(object) // it was JSON before
		return string(changed)
	})
}

// preceded puts a second member by a name before the good ones.
func preceded(by string) manners {
	return rewritten(func(good string) string { return "{" + by + "," + strings.TrimPrefix(good, "{") })
}

// unclear is a reply of the API that cannot be understood: a refresh token may be spent.
func unclear(bad manners, says, why string) badEndpoint {
	return badEndpoint{manners: bad, then: doubted, reason: v1alpha1.ReasonInvalidReply, says: says, why: why}
}

// lost is no reply of the API at all: a refresh token may be spent.
func lost(bad manners, says, why string) badEndpoint {
	return badEndpoint{manners: bad, then: doubted, reason: v1alpha1.ReasonProviderUnavailable, says: says, why: why}
}

func goodEnough(bad manners, why string) badEndpoint {
	return badEndpoint{manners: bad, then: used, why: why}
}

func redirects() map[string]badEndpoint {
	rows := map[string]badEndpoint{}
	for _, status := range []string{"301 Moved Permanently", "302 Found", "303 See Other", "307 Temporary Redirect", "308 Permanent Redirect"} {
		away := raw("HTTP/1.1 " + status + "\r\nLocation: https://elsewhere.example/oauth/token?secret=hidden\r\nContent-Length: 0\r\n\r\n")
		away.unread = true
		then := doubted
		if status[:3] == "307" || status[:3] == "308" { // the same request is asked for elsewhere: it was not carried out here
			then = intact
		}
		rows["redirect "+status[:3]] = badEndpoint{manners: away, then: then, reason: v1alpha1.ReasonEndpointNotAllowed,
			says: "redirects to elsewhere.example, which is not followed", why: "it would take the password elsewhere, and may be gone tomorrow"}
	}
	return rows
}

func wrongFields() map[string]badEndpoint {
	lacking, noText := "the reply has no access_token", "access_token is not a string"
	mangled := "access_token holds characters that no token has"
	return map[string]badEndpoint{
		"access_token missing":         unclear(member("access_token", ""), lacking, "the successor may be lost with it"),
		"access_token null":            unclear(member("access_token", "null"), lacking, "null is none"),
		"access_token empty":           unclear(member("access_token", `""`), lacking, "an empty one is none"),
		"access_token number":          unclear(member("access_token", "12345678901234567890"), noText, "a number loses digits"),
		"access_token array":           unclear(member("access_token", `["a"]`), noText, "which of them is open"),
		"access_token object":          unclear(member("access_token", `{"value":"a"}`), noText, "what it means is open"),
		"access_token true":            unclear(member("access_token", "true"), noText, "it is no token"),
		"access_token of two lines":    unclear(member("access_token", `"a\r\nX-Injected: 1"`), mangled, "it would end the header in which it is used"),
		"access_token beyond ASCII":    unclear(member("access_token", `"tökén"`), mangled, "it was mangled on its way"),
		"refresh_token number":         unclear(member("refresh_token", "7"), "refresh_token is not a string", "the chain would be continued with something else"),
		"refresh_token object":         unclear(member("refresh_token", "{}"), "refresh_token is not a string", "the chain would be continued with something else"),
		"refresh_token of two lines":   unclear(member("refresh_token", `"a\nb"`), "refresh_token holds characters", "it was mangled on its way"),
		"two different access_tokens":  unclear(preceded(`"access_token":"another"`), "two different members access_token", "a guess could publish the wrong one"),
		"two different refresh_tokens": unclear(preceded(`"refresh_token":"another"`), "two different members refresh_token", "a guess could lose the chain"),
		"an empty object":              unclear(rewritten(func(string) string { return "{}" }), lacking, "there is nothing in it"),
	}
}

// oddFields are wrong where no token is.
func oddFields() map[string]badEndpoint {
	cannotTell := "a token that was granted must not be lost over its life"
	return map[string]badEndpoint{
		"expires_in missing":       goodEnough(member("expires_in", ""), cannotTell),
		"expires_in null":          goodEnough(member("expires_in", "null"), cannotTell),
		"expires_in object":        goodEnough(member("expires_in", `{"seconds":30}`), cannotTell),
		"expires_in array":         goodEnough(member("expires_in", "[30]"), cannotTell),
		"expires_in negative":      goodEnough(member("expires_in", "-30"), cannotTell),
		"expires_in a word":        goodEnough(member("expires_in", `"soon"`), cannotTell),
		"expires_in a string":      goodEnough(member("expires_in", `"30"`), "it is a number all the same"),
		"expires_in a fraction":    goodEnough(member("expires_in", "30.75"), "the second is cut off"),
		"expires_in huge":          goodEnough(member("expires_in", "1e400"), "a year is the most"),
		"token_type missing":       goodEnough(member("token_type", ""), "it is Bearer then"),
		"token_type number":        goodEnough(member("token_type", "7"), "nothing depends on it"),
		"token_type object":        goodEnough(member("token_type", "{}"), "nothing depends on it"),
		"scope object":             goodEnough(member("scope", `{"a":1}`), "nothing depends on it"),
		"two equal token types":    goodEnough(preceded(`"token_type":"bearer"`), "both say the same"),
		"two different lives":      goodEnough(preceded(`"expires_in":7`), "the last one counts, as in most parsers"),
		"a deep extra member":      goodEnough(member("extra", strings.Repeat(`{"a":`, 2000)+"1"+strings.Repeat("}", 2000)), "nobody looks into it"),
		"a byte order mark":        goodEnough(rewritten(func(good string) string { return "\ufeff" + good }), "RFC 8259 lets a reader pass over it"),
		"an unknown charset":       goodEnough(manners{serve: func(t turn) { t.say(said("200 OK", "application/json; charset=klingon", t.good)) }}, "JSON is UTF-8, whatever is claimed"),
		"HTML by its content type": goodEnough(manners{serve: func(t turn) { t.say(said("200 OK", "text/html", t.good)) }}, "the body is what counts"),
		"early hints come before":  goodEnough(manners{serve: func(t turn) { t.say("HTTP/1.1 103 Early Hints\r\n\r\n" + said("200 OK", "application/json", t.good)) }}, "interim replies are passed over"),
		"headers that were injected": goodEnough(manners{serve: func(t turn) {
			t.say("HTTP/1.1 200 OK\r\nLocation: https://elsewhere.example\r\nRetry-After: 9999\r\nSet-Cookie: a=b\r\n\r\n" + t.good)
		}}, "no header of a granted reply means anything"),
	}
}

func noJSON() map[string]badEndpoint {
	no := "the reply is not a JSON object"
	padded := func(good string) string {
		return good[:len(good)-1] + `,"padding":"` + strings.Repeat("x", 270<<10) + `"}`
	}
	return map[string]badEndpoint{
		"an HTML page, 200": unclear(raw(said("200 OK", "text/html", "<html>Log in</html>")), "an HTML page, not a reply of the API", "a captive portal answers so"),
		"truncated JSON":    unclear(rewritten(func(good string) string { return good[:len(good)/2] }), no, "half of a token is none"),
		"two JSON values":   unclear(rewritten(func(good string) string { return good + good }), no, "which of them is open"),
		"a JSON array":      unclear(rewritten(func(good string) string { return "[" + good + "]" }), no, "the standard knows none"),
		"a JSON string":     unclear(rewritten(func(string) string { return `"token"` }), no, "the standard knows none"),
		"null":              unclear(rewritten(func(string) string { return "null" }), no, "it is no object"),
		"an empty body":     unclear(raw(said("200 OK", "application/json", "")), no, "there is nothing in it"),
		"204 No Content":    unclear(raw("HTTP/1.1 204 No Content\r\n\r\n"), no, "there is nothing in it"),
		"205 with a body":   unclear(raw(said("205 Reset Content", "application/json", "x")), no, "there is nothing in it"),
		"gzip unasked":      unclear(raw("HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 10\r\n\r\n\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff"), "the reply's gzip coding is damaged or incomplete", "what is missing may be the token"),
		"UTF-16":            unclear(rewritten(asUTF16), no, "JSON is UTF-8"),
		"270 KiB of body":   unclear(rewritten(padded), "larger than 256 KiB", "memory is bounded"),
		"a header without end": unclear(manners{serve: func(t turn) {
			t.say("HTTP/1.1 200 OK\r\nX-Pad: ")
			forEver(t, strings.Repeat("x", 4096))
		}}, "larger than 64 KiB", "memory is bounded"),
		"interim replies without end": unclear(manners{serve: func(t turn) { forEver(t, strings.Repeat("HTTP/1.1 100 Continue\r\n\r\n", 100)) }},
			"larger than 64 KiB", "time and memory are bounded"),
	}
}

// asUTF16 is what some servers send, a byte order mark first.
func asUTF16(good string) string {
	var encoded strings.Builder
	for _, unit := range append([]uint16{0xfeff}, utf16.Encode([]rune(good))...) {
		encoded.Write([]byte{byte(unit >> 8), byte(unit)})
	}
	return encoded.String()
}

// forEver repeats a text until the client hangs up.
func forEver(t turn, text string) {
	for {
		if _, err := io.WriteString(t, text); err != nil {
			return
		}
	}
}

func badStatuses() map[string]badEndpoint {
	passing := func(reason, status, contentType, body, says, why string) badEndpoint {
		bad := raw(said(status, contentType, body))
		bad.unread = true
		return badEndpoint{manners: bad, then: intact, reason: reason, says: says, why: why}
	}
	away := v1alpha1.ReasonProviderUnavailable
	page := "an HTML page, not a reply of the API"
	waiting := func(headers string) badEndpoint {
		row := passing(v1alpha1.ReasonRateLimited, "429 Too Many Requests\r\n"+headers, "text/plain", "", "HTTP 429", "an hour is the most that is waited for")
		row.long = true
		return row
	}
	echo := func(t turn) {
		body, _ := json.Marshal(map[string]string{"error": "server_error", "error_description": "cannot\r\nread " + t.sent}) // strings encode
		t.say(said("500 Internal Server Error", "application/json", string(body)))
	}
	return map[string]badEndpoint{
		"an HTML page, 404":       lost(raw(said("404 Not Found", "text/html", "<html>")), "HTTP 404: "+page, "a page is not the API's word"),
		"an HTML page, 403":       lost(raw(said("403 Forbidden", "text/html", "<html>")), "HTTP 403: "+page, "a page is not the API's word"),
		"an HTML page, 405":       lost(raw(said("405 Method Not Allowed", "text/html", "<html>")), "HTTP 405: "+page, "a page is not the API's word"),
		"an HTML page, 401":       lost(raw(said("401 Unauthorized", "text/html", "<html>")), "HTTP 401: "+page, "a page is not the API's word"),
		"an HTML page, 400":       lost(raw(said("400 Bad Request", "text/html", "<html>")), "HTTP 400: "+page, "a page is not the API's word"),
		"a later of the API, 400": passing(away, "400 Bad Request", "application/json", `{"error":"temporarily_unavailable"}`, "HTTP 400: temporarily_unavailable", "the API says that it has not handled the request"),
		"the client refused, 200": passing(v1alpha1.ReasonCredentialsRejected, "200 OK", "application/json", `{"error":"incorrect_client_credentials"}`, "HTTP 200: incorrect_client_credentials", "an error is an error, whatever the status"),
		"421":                     passing(away, "421 Misdirected Request", "text/plain", "", "HTTP 421", "it was not looked at"),
		"425":                     passing(away, "425 Too Early", "text/plain", "", "HTTP 425", "it was not looked at"),
		"429 for a century":       waiting("Retry-After: 3153600000"),
		"429 until a day to come": waiting("Date: Mon, 05 Jan 2026 10:00:00 GMT\r\nRetry-After: Fri, 31 Dec 9999 23:59:59 GMT"),
		"429 until yesterday":     passing(v1alpha1.ReasonRateLimited, "429 Too Many Requests\r\nRetry-After: -86400", "text/plain", "", "HTTP 429", "it backs off all the same"),
		"503 with a time":         passing(away, "503 Service Unavailable\r\nRetry-After: 1", "text/html", "<html>", "HTTP 503: "+page, "who names a time has refused"),
		"503 without a time":      lost(raw(said("503 Service Unavailable", "text/html", "<html>")), "HTTP 503: "+page, "it may have failed after the token was spent"),
		"408":                     lost(raw(said("408 Request Timeout", "text/plain", "")), "HTTP 408", "proxies say it of the server behind them, too"),
		"an endless description":  lost(raw(said("500 Internal Server Error", "application/json", `{"error":"server_error","error_description":"`+strings.Repeat("very ", 9000)+`"}`)), "server_error: very very", "a condition is for people to read"),
		"a description that paints": lost(raw(said("500 Internal Server Error", "application/json", `{"error":"server_error","error_description":"\u001b[2J\u202ered\u0000\u200b"}`)),
			"HTTP 500: server_error", "a terminal that shows it must not obey it"),
		"429":                      passing(v1alpha1.ReasonRateLimited, "429 Too Many Requests", "text/plain", "slow down", "HTTP 429", "it was not looked at"),
		"an HTML page, 502":        lost(raw(said("502 Bad Gateway", "text/html", "<html>")), "HTTP 502: "+page, "the API may have answered the gateway"),
		"504 without a body":       lost(raw("HTTP/1.1 504 Gateway Timeout\r\nContent-Length: 0\r\n\r\n"), "HTTP 504", "the API may answer yet"),
		"an error with the secret": lost(manners{serve: echo}, "HTTP 500: server_error: cannot", "what was sent comes back, over two lines"),
		"status 600":               unclear(raw("HTTP/1.1 600 Whatever\r\nContent-Length: 0\r\n\r\n"), "not that of a final reply", "nobody knows such a status"),
	}
}

func noHTTP() map[string]badEndpoint {
	garbled, cutOff := "the reply is not valid HTTP", "the connection was closed before the reply was complete"
	chunked := "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
	return map[string]badEndpoint{
		"closed before a byte":     lost(raw(""), cutOff, "it was read, so it may be spent"),
		"closed in the status":     lost(raw("HTTP/1.1 2"), garbled, "half a status line is none"),
		"closed in the header":     lost(raw("HTTP/1.1 200 OK\r\nContent-Type: applica"), cutOff, "the reply is on its way to nobody"),
		"closed in the body":       lost(raw("HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n{"), cutOff, "the reply is on its way to nobody"),
		"a status line of garbage": lost(raw("\x16\x03\x01 what?\r\n\r\n"), garbled, "the port may be another service's"),
		"a status of letters":      lost(raw("HTTP/1.1 abc OK\r\n\r\n"), garbled, "it is no status"),
		"chunks of garbage":        lost(raw(chunked+"zz\r\nnonsense\r\n"), garbled, "there is no telling what was meant"),
		"a chunk that ends early":  lost(raw(chunked+"ff\r\n{"), cutOff, "the reply is on its way to nobody"),
		"a header of two words":    lost(raw("HTTP/1.1 200 OK\r\nno colon here\r\n\r\n"), garbled, "the rest cannot be trusted"),
		"two different lengths":    lost(raw("HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n{}"), garbled, "a smuggled reply looks so"),
	}
}

// slowReplies end by the operator's patience, which is cut short for them, whatever the machine's pace.
func slowReplies() map[string]badEndpoint {
	late := "no reply in time"
	slow := func(serve func(turn)) badEndpoint {
		row := lost(manners{serve: serve}, late, "a worker must not be held for ever")
		row.slow = true
		return row
	}
	return map[string]badEndpoint{
		"silence":              slow(func(t turn) { _, _ = io.Copy(io.Discard, t) }),
		"silence after a half": slow(func(t turn) { t.say("HTTP/1.1 200 OK\r\n"); _, _ = io.Copy(io.Discard, t) }),
		"a slow drip": slow(func(t turn) {
			t.say("HTTP/1.1 200 OK\r\nX-Pad: ")
			for drip := time.NewTicker(time.Millisecond); ; <-drip.C {
				if _, err := io.WriteString(t, "x"); err != nil {
					drip.Stop()
					return
				}
			}
		}),
	}
}
