package controllers

import (
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/fluent-credential/operator/api/v1alpha1"
	"github.com/fluent-credential/operator/internal/loginguard"
)

// surprise refuses a grant for a reason that nobody knows; others are answered as ever. What is unread was not processed.
func surprise(grant string, status string, unread bool) *manners {
	return &manners{unread: unread, serve: func(t turn) {
		if strings.Contains(t.sent, "grant_type="+grant) {
			t.say(said(status, "application/json", `{"error":"surprise"}`))
			return
		}
		t.say(said("200 OK", "application/json", t.good))
	}}
}

// TestDeclinedRefreshTokenIsLeftAlone: the server has spent it, and says something that nobody knows. The password is there, so
// nobody has to wait for a person, and the token is not presented again.
func TestDeclinedRefreshTokenIsLeftAlone(t *testing.T) {
	t.Parallel()
	b := newBeset(t)
	b.sleep(b.settle())
	b.rogue.manners.Store(surprise("refresh_token", "400 Bad Request", false))
	b.settle()
	b.mustHave(badEndpoint{why: "the login can"}, "password", 2)
	b.mustHaveEvent(v1alpha1.ReasonCredentialsRejected, "HTTP 400: surprise")
	if requests, presentations := b.rogue.seen(); requests != 3 || presentations != 1 {
		t.Errorf("%d requests, the refresh token presented %d times; want 3 and once", requests, presentations)
	}
}

// TestDeclinedRefreshTokenStaysSo: what becomes of the login after it makes no lost reply of a refusal. Neither Retry nor the late try
// of Auto presents the token again.
func TestDeclinedRefreshTokenStaysSo(t *testing.T) {
	t.Parallel()
	answers := map[string][2]string{
		"the login is refused":     {"400 Bad Request", `{"error":"invalid_grant"}`},
		"the login's reply is odd": {"500 Internal Server Error", `{"error":"server_error"}`},
		"the login is to wait":     {"429 Too Many Requests", `{"error":"slow_down"}`},
	}
	for name, answer := range answers {
		for _, policy := range []v1alpha1.LostReplyPolicy{v1alpha1.LostReplyAuto, v1alpha1.LostReplyRetry} {
			t.Run(name+", "+string(policy), func(t *testing.T) {
				t.Parallel()
				b := newBeset(t)
				b.change(func(cred *v1alpha1.FluentCredential) { cred.Spec.Refresh.OnLostReply = policy })
				b.sleep(b.settle())
				b.rogue.manners.Store(&manners{unread: true, serve: func(t turn) {
					if strings.Contains(t.sent, "grant_type=refresh_token") {
						t.say(said("400 Bad Request", "application/json", `{"error":"surprise"}`))
						return
					}
					t.say(said(answer[0], "application/json", answer[1]))
				}})
				for range 200 {
					b.sleep(min(b.settle(), time.Hour))
				}
				if requests, presentations := b.rogue.seen(); presentations != 1 || requests < 3 {
					t.Errorf("%d requests, the refresh token presented %d times; want it once, and the login tried", requests, presentations)
				}
			})
		}
	}
}

// TestDeclinedSeedWaitsForAPerson: nothing else is left, so it is kept, not insisted on, and presented once more when a person has
// mended what was wrong with the request.
func TestDeclinedSeedWaitsForAPerson(t *testing.T) {
	t.Parallel()
	b := newBesetWith(t, withoutUser)
	b.setSeed("refresh_token", b.server.Seed(user, clientID))
	b.rogue.manners.Store(surprise("refresh_token", "400 Bad Request", true))
	for range 5 {
		b.settle()
		b.sleep(24 * time.Hour)
	}
	if says := b.says(v1alpha1.ConditionStalled); !strings.Contains(says, "CredentialsRejected") || !strings.Contains(says, "surprise") {
		t.Errorf("Stalled says %q", says)
	}
	if requests, _ := b.rogue.seen(); requests != 1 {
		t.Errorf("%d requests, want one: it would be refused again", requests)
	}
	b.rogue.manners.Store(nil)
	b.change(func(cred *v1alpha1.FluentCredential) {
		cred.Spec.Provider.Fluent.Headers = map[string]v1alpha1.HeaderValue{"fluent.account": "ACME"}
	})
	b.settle()
	b.mustHave(badEndpoint{why: "the request was mended, and the token was alive"}, "refresh_token", 1)
}

// TestDeclinedPasswordCountsAsRefused (I4): many servers have words of their own for a wrong password, and lock the user after some.
// Not even the rotate annotation goes past the guard.
func TestDeclinedPasswordCountsAsRefused(t *testing.T) {
	t.Parallel()
	for _, status := range []string{"400 Bad Request", "401 Unauthorized", "403 Forbidden", "422 Unprocessable Entity"} {
		t.Run(status, func(t *testing.T) {
			t.Parallel()
			b := newBesetWith(t, func(login *corev1.Secret) { login.StringData["password"] = wrongPassword })
			b.rogue.manners.Store(surprise("password", status, true))
			for range 6 {
				b.settle()
				b.change(func(cred *v1alpha1.FluentCredential) {
					cred.Annotations = map[string]string{v1alpha1.RotateAnnotation: b.clock.Now().String()}
				})
				b.sleep(time.Minute)
			}
			if requests, _ := b.rogue.seen(); requests != loginguard.Budget {
				t.Errorf("%d logins that may have been refused, in six minutes; want %d", requests, loginguard.Budget)
			}
		})
	}
}
