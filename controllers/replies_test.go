package controllers

import (
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/fluent-credential/operator/api/v1alpha1"
	"github.com/fluent-credential/operator/hack/authsim"
)

// newBesetClient is a driven operator that has nothing but a client, and whose endpoint is a rogue.
func newBesetClient(t *testing.T, spec func(*v1alpha1.FluentCredential)) *beset {
	t.Helper()
	front := newRogue(t, nil)
	d := newDrivenWith(t, speaking(authsim.DialectOAuth2, nil), withoutUser, func(cred *v1alpha1.FluentCredential) {
		cred.Spec.Provider.Fluent.BaseURL = front.url()
		standard(cred)
		if spec != nil {
			spec(cred)
		}
	})
	front.behind = d.server.Server
	return &beset{driven: d, rogue: front}
}

// TestLaterInAnyDress: the API, or something in front of it, cannot do it now, and says so in its own way. It is asked again by itself, long
// before the token expires, and nobody is called.
func TestLaterInAnyDress(t *testing.T) {
	t.Parallel()
	const firewall = "<!DOCTYPE html><html><head><title>Request Rejected</title></head></html>"
	tests := map[string]struct{ reply, says string }{
		"temporarily unavailable": {said("400 Bad Request", "application/json", `{"error":"temporarily_unavailable"}`), "HTTP 400: temporarily_unavailable"},
		"a firewall":              {said("400 Bad Request", "text/html", firewall), "an HTML page, not a reply of the API"},
		"a firewall, 401":         {said("401 Unauthorized", "text/html", firewall), "an HTML page, not a reply of the API"},
		"too many requests": {said("400 Bad Request", "application/json",
			`{"error":"Access Denied","error_description":"You have made too many requests continuously. Please try again after some time."}`), "too many requests continuously"},
		"retry":           {said("400 Bad Request", "application/json", `{"error":"unknown_error","error_description":"retry your request"}`), "retry your request"},
		"a limit, 200":    {said("200 OK", "application/json", `{"error":"rate_limit_exceeded"}`), "HTTP 200: rate_limit_exceeded"},
		"a portal":        {said("200 OK", "text/html", "<html>Log in</html>"), "an HTML page, not a reply of the API"},
		"moved for a day": {"HTTP/1.1 307 Temporary Redirect\r\nLocation: https://status.example/\r\nContent-Length: 0\r\n\r\n", "redirects to status.example, which is not followed"},
		"a login page":    {"HTTP/1.1 302 Found\r\nLocation: /login\r\nContent-Length: 0\r\n\r\n", "redirects to another place, which is not followed"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBesetClient(t, nil)
			b.sleep(b.settle())
			expires := b.status().Token.ExpirationTime.Time
			later := raw(test.reply)
			later.unread = true
			b.rogue.manners.Store(&later)
			wait := b.settle()
			if says := b.says(v1alpha1.ConditionReconciling); !strings.Contains(says, test.says) {
				t.Errorf("Reconciling says %q, want %q", says, test.says)
			}
			if says := b.says(v1alpha1.ConditionStalled); says != "" {
				t.Errorf("Stalled says %q", says)
			}
			b.rogue.manners.Store(nil)
			b.sleep(wait)
			b.settle()
			b.mustHave(badEndpoint{why: "it has passed"}, "client_credentials", 2)
			if !b.clock.Now().Before(expires) {
				t.Error("the token had expired by then")
			}
			if requests, _ := b.rogue.seen(); requests != 3 {
				t.Errorf("%d requests, want 3", requests)
			}
		})
	}
}

// TestErrorInsideA200IsARefusal: some APIs know no other status. What is dead is presented once, in their words a person learns why.
func TestErrorInsideA200IsARefusal(t *testing.T) {
	t.Parallel()
	b := newBesetWith(t, withoutUser)
	b.setSeed("refresh_token", b.server.Seed(user, clientID))
	dead := raw(said("200 OK", "application/json",
		`{"error":"bad_refresh_token","error_description":"The refresh token passed is incorrect or expired."}`))
	b.rogue.manners.Store(&dead)
	for range 5 {
		b.settle()
		b.sleep(24 * time.Hour)
	}
	if says := b.says(v1alpha1.ConditionStalled); !strings.Contains(says, "bad_refresh_token: The refresh token passed is incorrect or expired.") {
		t.Errorf("Stalled says %q", says)
	}
	b.mustHaveEvent(v1alpha1.ReasonRefreshTokenRejected, "bad_refresh_token")
	if requests, presentations := b.rogue.seen(); requests != 1 || presentations != 1 {
		t.Errorf("%d requests, the refresh token presented %d times; want it once", requests, presentations)
	}
}

// TestGrantWithoutATokenNamesItsMembers: a person sees where the token is.
func TestGrantWithoutATokenNamesItsMembers(t *testing.T) {
	t.Parallel()
	b := newBesetClient(t, nil)
	odd := raw(said("200 OK", "application/json", `{"tokenData":{"access_token":"hidden-7391","expires_in":60},"errors":[]}`))
	b.rogue.manners.Store(&odd)
	b.settle()
	says := b.says(v1alpha1.ConditionReconciling)
	if !strings.Contains(says, "its members are errors, tokenData") || strings.Contains(says, "7391") {
		t.Errorf("Reconciling says %q", says)
	}
}

// TestLifeOfATokenIsCapped: a life in milliseconds is a year, unless the spec knows better.
func TestLifeOfATokenIsCapped(t *testing.T) {
	t.Parallel()
	b := newBesetClient(t, func(cred *v1alpha1.FluentCredential) {
		cred.Spec.Refresh.MaximumLifetime = &metav1.Duration{Duration: time.Hour}
	})
	millis := member("expires_in", "3600000")
	b.rogue.manners.Store(&millis)
	b.settle()
	if life := b.status().Token.ExpirationTime.Sub(start); life > time.Hour {
		t.Errorf("the token is said to live for %s", life)
	}
}

// TestTokenTypeEndsNoHeader: what a reply says of the type reaches the key authorization.
func TestTokenTypeEndsNoHeader(t *testing.T) {
	t.Parallel()
	for said, want := range map[string]string{`"BearerToken"`: "Bearer ", `"bearer token"`: "Bearer ", `"MAC\r\nX-Injected: 1"`: "MAC ", `"\r\n"`: "Bearer "} {
		b := newBesetClient(t, nil)
		typed := member("token_type", said)
		b.rogue.manners.Store(&typed)
		b.settle()
		b.mustHave(badEndpoint{why: "a token is not lost over its type"}, "client_credentials", 1)
		data := secret(t, b.cred.Namespace, "orders-token").Data
		if got := string(data[v1alpha1.AuthorizationKey]); got != want+string(data[v1alpha1.AccessTokenKey]) {
			t.Errorf("token_type %s is published as %q", said, got)
		}
	}
}

// TestOptionalMemberTakesTheElseBranch: a template may ask for what this reply does not have.
func TestOptionalMemberTakesTheElseBranch(t *testing.T) {
	t.Parallel()
	b := newBesetClient(t, func(cred *v1alpha1.FluentCredential) {
		cred.Spec.Target.Data = map[string]string{
			"url": "{{ if .Extra.instance_url }}{{ .Extra.instance_url }}{{ else }}https://default{{ end }}",
		}
	})
	b.sleep(b.settle())
	if url := string(secret(t, b.cred.Namespace, "orders-token").Data["url"]); url != "https://default" {
		t.Errorf("without the member it is %q", url)
	}
	there := member("instance_url", `"https://acme.example"`)
	b.rogue.manners.Store(&there)
	b.settle()
	if url := string(secret(t, b.cred.Namespace, "orders-token").Data["url"]); url != "https://acme.example" {
		t.Errorf("with the member it is %q", url)
	}
}

// TestLifetimesAreCheckedAtAdmission: what cannot work is refused before anything is spent.
func TestLifetimesAreCheckedAtAdmission(t *testing.T) {
	t.Parallel()
	namespace := newNamespace(t)
	sim := newServer(t, nil)
	tests := map[string]struct {
		refresh v1alpha1.RefreshSpec
		says    string
	}{
		"no life":        {v1alpha1.RefreshSpec{MaximumLifetime: &metav1.Duration{}}, "maximumLifetime must be 30s at least"},
		"a moment":       {v1alpha1.RefreshSpec{MaximumLifetime: &metav1.Duration{Duration: time.Nanosecond}}, "maximumLifetime must be 30s at least"},
		"short, assumed": {v1alpha1.RefreshSpec{AssumedLifetime: &metav1.Duration{Duration: time.Second}}, "assumedLifetime must be 30s at least"},
		"negative life":  {v1alpha1.RefreshSpec{MaximumLifetime: &metav1.Duration{Duration: -time.Hour}}, "maximumLifetime must be 30s at least"},
		"other source":   {v1alpha1.RefreshSpec{LifetimeFrom: "Header"}, "lifetimeFrom"},
		"both":           {v1alpha1.RefreshSpec{MaximumLifetime: &metav1.Duration{Duration: time.Hour}, LifetimeFrom: v1alpha1.LifetimeFromJWT}, ""},
	}
	for name, test := range tests {
		cred := credential(namespace, "orders", sim)
		cred.Spec.Refresh = test.refresh
		err := live.Create(t.Context(), cred, client.DryRunAll)
		if test.says == "" && err != nil || test.says != "" && (err == nil || !strings.Contains(err.Error(), test.says)) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
