package controllers

import (
	"encoding/base64"
	"encoding/json"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/fluent-credential/operator/api/v1alpha1"
)

// inTurn answers with one text after the other, and begins again after the last.
func inTurn(texts ...string) func(*ordeal) func() {
	return func(o *ordeal) func() {
		var turns atomic.Int64 // of this credential: others break at the same time
		return misbehaving(manners{unread: true, serve: func(reply turn) {
			reply.say(texts[int(turns.Add(1)-1)%len(texts)])
		}})(o)
	}
}

// echoing answers with what is made of the request's body, and so of the login.
func echoing(status, contentType string, body func(sent string) string) func(*ordeal) func() {
	return misbehaving(manners{unread: true, serve: func(reply turn) {
		reply.say(said(status, contentType, body(reply.sent)))
	}})
}

func quoted(text string) string {
	encoded, _ := json.Marshal(text) // a string always encodes
	return string(encoded)
}

// toPerson is a failure after which a refresh token that was presented so often has to be replaced by a person.
func toPerson(presented int, breaks func(*ordeal) func(), says, why string) lastingFailure {
	failure := lasting(breaks, says, why).with(seeded).only(expiring)
	failure.presented, failure.forPerson = presented, true
	return failure
}

// siblingFailures are kin of the failures that last, which the endpoint brings in other words or in other orders.
func siblingFailures() map[string]lastingFailure {
	refuses := func(status, body string) func(*ordeal) func() { return replying(inJSON(status, body)) }
	slow := inJSON("429 Too Many Requests", `{"error":"slow_down"}`)
	blip := inJSON("401 Unauthorized", `{"error":"invalid_client","error_description":"blip"}`)
	away := "HTTP/1.1 307 Temporary Redirect\r\nLocation: https://captive.example/\r\nContent-Length: 0\r\n\r\n"
	page := said("403 Forbidden", "text/html", blockPage)
	failed := said("500 Internal Server Error", "text/plain", "")
	past := withHeader(withHeader(said("503 Service Unavailable", "text/plain", ""),
		"Retry-After: Mon, 05 Jan 2026 09:00:00 GMT"), "Date: Mon, 05 Jan 2026 10:00:00 GMT")
	xhtml := `<?xml version="1.0"?><!-- 7 --><!DOCTYPE html PUBLIC "x"><html></html>`
	halfLimit := "HTTP/1.1 429 Too Many Requests\r\nContent-Type: application/json\r\nContent-Length: 500\r\n\r\n{"
	half := "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 500\r\n\r\n{\"access_token\":\"AT"
	codedAs := func(name string) string { return "HTTP/1.1 401 Unauthorized\r\nContent-Encoding: " + name + "\r\n" }

	aYear := lasting(replying(withHeader(slow, "Retry-After: 31536000")), "429", "an hour at most is waited for").only(expiring)
	aYear.within = time.Hour

	return map[string]lastingFailure{
		"a time of zero":     lasting(replying(withHeader(slow, "Retry-After: 0")), "429", "it is no leave to hurry").with(seeded).only(expiring),
		"a negative time":    lasting(replying(withHeader(slow, "Retry-After: -1")), "429", "it is no leave to hurry").with(seeded).only(expiring),
		"a time in the past": lasting(replying(past), "503", "it is no leave to hurry").only(expiring),
		"a year":             aYear,

		"one after the other": lasting(inTurn(blip, slow, page, away, past), "blip", "no change of kind begins the back-off anew").
			only(expiring, noneYet, staying),
		"a refusal and a limit": lasting(inTurn(blip, slow), "blip", "no change of kind begins the back-off anew").only(expiring, staying),
		"to a refresh token": lasting(inTurn(blip, slow, away), "blip", "none of them looked at the token").
			with(seeded).only(expiring),
		"with a doubt among them": toPerson(4, inTurn(failed, blip, slow), "500", "what was not looked at does not count"),

		"access_denied": lasting(refuses("403 Forbidden", `{"error":"access_denied"}`), "access_denied",
			"what has just worked is not refused for good").with(seeded).only(expiring),
		"unsupported_grant_type": lasting(refuses("400 Bad Request", `{"error":"unsupported_grant_type"}`), "unsupported_grant_type",
			"what has just worked is not refused for good").with(seeded).only(expiring),
		"410": lasting(replying(said("410 Gone", "text/plain", "")), "410", "what has just worked is not refused for good").only(expiring),
		"423": lasting(refuses("423 Locked", `{"error":"locked"}`), "locked", "what has just worked is not refused for good").only(expiring),
		"421": lasting(replying(said("421 Misdirected Request", "text/html", blockPage)), "421", "nothing was done").with(seeded).only(expiring),
		"204": lasting(replying("HTTP/1.1 204 No Content\r\n\r\n"), "204", "a client alone spends nothing").only(expiring),

		"401 in gzip, of nothing": lasting(replying(withHeader(said("401 Unauthorized", "text/plain", ""), "Content-Encoding: gzip")), "401",
			"the whole reply was read").with(seeded).only(expiring),
		"429, cut off":        lasting(replying(halfLimit), "429", "the status says that nothing was done").with(seeded).only(expiring),
		"429 after a hint":    lasting(replying("HTTP/1.1 103 Early Hints\r\n\r\n"+slow), "429", "the reply is the one after it").with(seeded).only(expiring),
		"403 of a CDN":        lasting(replying(said("403 Forbidden", "text/plain", "error code: 1015")), "error code: 1015", "the API was not asked").with(seeded).only(expiring),
		"a page of XHTML":     toPerson(2, replying(said("400 Bad Request", "text/plain", xhtml)), "an HTML page", "a page is not the API's word"),
		"a page, 401":         toPerson(2, replying(said("401 Unauthorized", "text/html", blockPage)), "an HTML page", "a page is not the API's word"),
		"304":                 toPerson(2, replying("HTTP/1.1 304 Not Modified\r\n\r\n"), "does not say where to", "a cache may answer for the API"),
		"a grant, cut off":    toPerson(2, replying(half), "the connection was closed", "the token may be spent"),
		"not HTTP":            toPerson(2, replying("SSH-2.0-OpenSSH_9.6\r\n"), "not valid HTTP", "the token may be spent"),
		"success: false, 200": toPerson(1, refuses("200 OK", `{"success":false,"message":"The refresh token has expired"}`), "has expired", "it can be read"),
		"ok: false, 200":      toPerson(1, refuses("200 OK", `{"ok":false,"error":"token_revoked"}`), "token_revoked", "it can be read"),
		"errcode, 200":        toPerson(1, refuses("200 OK", `{"errcode":40030,"errmsg":"invalid refresh_token"}`), "invalid refresh_token", "it can be read"),
		"code, 200":           toPerson(1, refuses("200 OK", `{"code":"invalid_grant","message":"gone"}`), "gone", "it can be read"),
		"one level in, 200":   toPerson(1, refuses("200 OK", `{"data":{"error":"invalid_grant"}}`), "invalid_grant", "it can be read"),

		"an echo in a text": toPerson(1, echoing("400 Bad Request", "application/json", quoted), "[redacted]", "no secret is told"),
		"an echo in details": lasting(echoing("401 Unauthorized", "application/json", func(sent string) string {
			return `{"error":"invalid_client","details":` + quoted(sent) + `,"info":` + quoted(base64.StdEncoding.EncodeToString([]byte(sent))) + `}`
		}), "[redacted]", "no secret is told").with(seeded).only(expiring),
		"an echo in a name": lasting(echoing("200 OK", "application/json", func(string) string { return `{"` + clientSecret + `":1}` }),
			"1 more", "no secret is told").only(expiring),
		"an echo in a host": lasting(replying("HTTP/1.1 307 Away\r\nLocation: https://"+clientSecret+".example/\r\nContent-Length: 0\r\n\r\n"),
			"[redacted].example", "no secret is told").only(expiring),
		"an echo in a coding": lasting(replying(codedAs(clientSecret)+"Content-Length: 1\r\n\r\n\x01"), "the content coding [redacted]",
			"no secret is told").only(expiring),
	}
}

// TestSiblingsLast: each lasts ten minutes and ends, and what holds for every failure holds for it.
func TestSiblingsLast(t *testing.T) {
	t.Parallel()
	for name, failure := range siblingFailures() {
		for _, from := range failure.starts {
			t.Run(name+"/"+from.name, func(t *testing.T) {
				t.Parallel()
				o := newOrdeal(t, failure, from)
				o.arrive()
				o.endure()
				o.recover()
				o.judge()
			})
		}
	}
}

// TestSiblingClockIsCorrected: a clock that was a day ahead while a try failed, or a token was granted, leaves no wait
// of a day.
func TestSiblingClockIsCorrected(t *testing.T) {
	t.Parallel()
	for name, reply := range map[string]string{
		"limited": inJSON("429 Too Many Requests", `{"error":"slow_down"}`),
		"refused": inJSON("401 Unauthorized", `{"error":"invalid_client"}`),
		"granted": "",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBesetClient(t, nil)
			b.sleep(b.settle())
			b.sleep(24 * time.Hour)
			if later := raw(reply); reply != "" {
				later.unread = true
				b.rogue.manners.Store(&later)
			}
			for range 6 {
				b.sleep(min(b.settle(), 20*time.Minute))
			}
			b.settle()
			b.sleep(-24 * time.Hour)
			b.rogue.manners.Store(nil)
			for end := b.clock.Now().Add(2 * time.Hour); b.clock.Now().Before(end); {
				b.sleep(max(b.settle(), time.Second))
			}
			b.settle()
			token := b.status().Token
			if left := token.ExpirationTime.Sub(b.clock.Now()); left <= 0 || left > time.Hour {
				t.Errorf("two hours later the token is said to live for %s", left)
			}
			if says := b.says(v1alpha1.ConditionReconciling); says != "" {
				t.Errorf("Reconciling says %q", says)
			}
		})
	}
}

// TestSiblingMembers: a template sees a member as it is written, and may compare one that is missing.
func TestSiblingMembers(t *testing.T) {
	t.Parallel()
	tests := map[string]struct{ template, want string }{
		"id":       {"{{ .Extra.id }}", "12345678901234567"},
		"ok":       {"{{ .Extra.ok }}", "false"},
		"big":      {"{{ .Extra.big }}", "1e21"},
		"compared": {`{{ if eq .Extra.env "prod" }}production{{ else }}test{{ end }}`, "test"},
		"negated":  {`{{ if not (eq .Extra.env "prod") }}test{{ end }}`, "test"},
		"chained":  {`{{ if .Extra.env }}{{ .Extra.env }}{{ else if .Extra.ok }}{{ .Extra.ok }}{{ end }}`, "false"},
		"assigned": {`{{ $url := or .Extra.url "https://default" }}{{ $url }}`, "https://default"},
		"hyphened": {`{{ if index .Extra "x-y" }}x{{ else }}none{{ end }}`, "none"},
	}
	b := newBesetClient(t, func(cred *v1alpha1.FluentCredential) {
		cred.Spec.Target.Data = map[string]string{}
		for key, test := range tests {
			cred.Spec.Target.Data[key] = test.template
		}
	})
	odd := rewritten(func(good string) string {
		return strings.TrimSuffix(strings.TrimSpace(good), "}") + `,"id":12345678901234567,"ok":false,"big":1e21}`
	})
	b.rogue.manners.Store(&odd)
	b.settle()
	data := secret(t, b.cred.Namespace, "orders-token").Data
	for key, test := range tests {
		if got := string(data[key]); got != test.want {
			t.Errorf("%s is %q, want %q", key, got, test.want)
		}
	}
}

// TestSiblingDockerConfigSpendsNothing: a target that Kubernetes would refuse for what is in it costs no login.
func TestSiblingDockerConfigSpendsNothing(t *testing.T) {
	t.Parallel()
	b := newBesetClient(t, func(cred *v1alpha1.FluentCredential) {
		cred.Spec.Target.Type = string(corev1.SecretTypeDockerConfigJson)
		cred.Spec.Target.Data = map[string]string{corev1.DockerConfigJsonKey: "{{ .AccessToken }}"}
	})
	b.settle()
	if requests, _ := b.rogue.seen(); requests != 0 {
		t.Errorf("%d requests were made", requests)
	}
	if says := b.says(v1alpha1.ConditionReady); !strings.Contains(says, "needs a JSON object in the entry .dockerconfigjson") {
		t.Errorf("Ready says %q", says)
	}
}
