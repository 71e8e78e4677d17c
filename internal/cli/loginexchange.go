package cli

import (
	"context"
	"fmt"
	"time"

	"github.com/fluent-credential/operator/api/v1alpha1"
	"github.com/fluent-credential/operator/internal/provider"
	"github.com/fluent-credential/operator/internal/token"
)

// reach connects to the endpoint, notes who answers, and lets go again: nothing is sent.
func (t *attempt) reach(ctx context.Context) error {
	request, err := t.api.Request(token.RefreshToken, token.Login{ClientID: "none", Refresh: token.NewSecret("none")})
	if err != nil {
		return err
	}
	conn, refused := t.dialer.Dial(ctx, t.api, request)
	if refused != nil {
		return failWith(exitFailed, "%s cannot be reached: %s", t.api.Endpoint().Redacted(), refused.Problem.Description)
	}
	t.peer = peerOf(conn, t.api.Endpoint(), request.CABundle)
	conn.Close()
	return nil
}

// obtain sends the login, once, and returns the refresh token.
func (o *loginOptions) obtain(ctx context.Context, try *attempt) (token.Secret, error) {
	request, err := try.api.Request(try.grant, try.login)
	if err != nil {
		return token.Secret{}, err
	}
	conn, refused := try.dialer.Dial(ctx, try.api, request)
	if refused != nil {
		return token.Secret{}, try.verdictOn(*refused)
	}
	if err := try.sameTrust(conn, request.CABundle); err != nil {
		conn.Close()
		return token.Secret{}, err
	}
	answer := conn.Send(ctx, try.api, try.grant, request)
	if answer.Verdict != token.Granted {
		return token.Secret{}, try.verdictOn(answer)
	}
	if answer.Set.Refresh.IsZero() {
		return token.Secret{}, failWith(exitRefused, "the API granted a token, but no refresh token: this login cannot be renewed without "+
			"a stored password.\nAsk the API's operator to allow refresh tokens for this client, or store username and password.")
	}
	o.ErrOut.printf("Logged in.\n")
	return answer.Set.Refresh, nil
}

// verdictOn says what an answer means to the person who logs in.
func (t *attempt) verdictOn(answer provider.Answer) error {
	said := answer.Problem.Description
	if answer.Problem.Code != "" {
		said = answer.Problem.Code + ": " + said
	}
	switch answer.Verdict {
	case token.LoginRefused:
		return failWith(exitRefused, "the API refused the login: %s\nCheck user name and password before the next try: several refused "+
			"logins lock the user, and a locked user is told the same.", said)
	case token.RefusedDead:
		return failWith(exitRefused, "the API refused the code: %s\nA code works once, and for minutes only: authorize again.", said)
	case token.RefusedIntact:
		return failWith(exitRefused, "the API refused the request: %s\nCheck %s, %s and spec.scope.", said,
			t.keyName(v1alpha1.ClientIDKey), t.keyName(v1alpha1.ClientSecretKey))
	case token.TryLater:
		return failWith(exitFailed, "the API asks to come back later%s: %s", in(answer.RetryAfter), said)
	case token.Unsent:
		return failWith(exitFailed, "the API cannot be reached: %s\nNothing was sent: try again.", said)
	case token.Declined:
		return failWith(exitRefused, "the API refused: %s\nIt does not say what that means for what was sent: a password may count as a "+
			"refused login, and a code as used.", said)
	case token.Unknown, token.Granted:
	}
	return failWith(exitFailed, "the API's answer is not to be had: %s\nThe login may have been counted: wait a moment before the next try.", said)
}

func in(wait time.Duration) string {
	if wait <= 0 {
		return ""
	}
	return " in " + wait.String()
}

// renewal is the operator's first token of a new login.
type renewal struct {
	of     key
	serial int64 // of the token before
}

func (r *renewal) key() key { return r.of }

func (r *renewal) judge(cred *v1alpha1.FluentCredential, now time.Time) (progress, string) {
	why := causeOf(cred, now)
	if serialOf(cred) > r.serial && hasValidToken(cred, now) {
		return done, fmt.Sprintf("renewed: token %d by %s, valid until %s",
			serialOf(cred), cred.Status.Token.Grant, stamp(cred.Status.Token.ExpirationTime))
	}
	return pending, why.Reason + ": " + why.Message
}
