package authsim

import (
	"net/http"
	"strconv"
	"time"
)

// judge answers a token request as the documentation of the dialect's vendor
// says. Call with the lock held.
func (s *Server) judge(asked asked, fault Fault, now time.Time) ruling {
	if asked.method != http.MethodPost {
		return wrongMethod()
	}
	if asked.malformed != "" {
		return invalidRequest(asked.malformed)
	}
	client, known := s.clients[asked.of("client_id")]
	if !known || (client.Secret != "" && client.Secret != asked.of("client_secret")) {
		return badClient()
	}
	if !client.mayAsk(asked.of("scope")) {
		return invalidScope()
	}
	grant := asked.of("grant_type")
	switch {
	case grant == "":
		return missing("grant_type")
	case !s.traits.knows(grant):
		return unsupportedGrant()
	}
	return s.judgeGrant(grant, client, asked, fault, now)
}

func (s *Server) judgeGrant(grant string, client Client, asked asked, fault Fault, now time.Time) ruling {
	switch grant {
	case GrantPassword:
		return s.judgePassword(client, asked, fault, now)
	case GrantRefreshToken:
		return s.judgeRefresh(client, asked, fault, now)
	case GrantAuthorizationCode:
		return s.judgeCode(client, asked, fault, now)
	}
	return s.judgeClient(client, asked, fault, now)
}

// judgeClient gives a client a token of its own, and never a refresh token (RFC
// 6749 section 4.4.3).
func (s *Server) judgeClient(client Client, asked asked, fault Fault, now time.Time) ruling {
	if client.Secret == "" && !client.ActsAlone {
		return refusal(http.StatusBadRequest, OutcomeUnauthorizedClient, "The client cannot act alone")
	}
	of := login{clientID: client.ID, scope: client.grantedScope(asked.of("scope"))}
	newest := s.issued.newest[of]
	if newest.access == nil || newest.access.Expires.Sub(now) <= s.traits.repeatsUntil || s.traits.repeatsUntil == 0 {
		newest = pair{access: s.issued.newAccess(of, s.issued.openFamily(), now, s.config.accessLifetime(client))}
		s.issued.newest[of] = newest
	}
	return s.granted(newest, fault, now)
}

func (s *Server) judgePassword(client Client, asked asked, fault Fault, now time.Time) ruling {
	for _, name := range []string{"username", "password"} {
		if asked.of(name) == "" {
			return missing(name)
		}
	}
	username := asked.of("username")
	user, known := s.users[username]
	locked := s.locked(username, now)
	if locked || !known || user.Password != asked.of("password") {
		return s.refuseLogin(username, locked, now)
	}
	of := login{username: username, clientID: client.ID, scope: client.grantedScope(asked.of("scope"))}
	return s.granted(s.logIn(of, client, fault, now), fault, now)
}

// refuseLogin counts the failure and picks the answer. An unknown user name is
// told nothing else than a known one.
func (s *Server) refuseLogin(username string, locked bool, now time.Time) ruling {
	s.failuresOf(username).refused(now)
	refused := badCredentials()
	if user := s.users[username]; locked && user != nil && user.SSO {
		refused = lockedSSO()
	}
	refused.locked = locked
	return refused
}

// logIn hands out the living pair of the login where the tenant does that, and
// else the first pair of a new family.
func (s *Server) logIn(of login, client Client, fault Fault, now time.Time) pair {
	if again, living := s.issued.living(of, now); living && s.config.SameToken {
		return again
	}
	return s.open(of, client, fault, now)
}

// open hands out the first pair of a new family.
func (s *Server) open(of login, client Client, fault Fault, now time.Time) pair {
	number := s.issued.openFamily()
	fresh := pair{access: s.issued.newAccess(of, number, now, s.config.accessLifetime(client))}
	if s.hasRefreshTokens(of) && fault.Kind != FaultOmitRefreshToken {
		fresh.refresh = s.issued.newRefresh(of, number, now, s.config.RefreshTokenLifetime)
	}
	s.issued.newest[of] = fresh
	return fresh
}

func (s *Server) judgeRefresh(client Client, asked asked, fault Fault, now time.Time) ruling {
	value := asked.of("refresh_token")
	if value == "" {
		return missing("refresh_token")
	}
	token := s.issued.byRefresh[value]
	if token == nil || token.ClientID != client.ID || !token.usable(now) {
		refused := invalidGrant("Invalid refresh token")
		refused.expired = token != nil && token.stateAt(now) == RefreshTokenExpired
		return refused
	}
	if !scopeWithin(asked.of("scope"), token.Scope) {
		return invalidScope()
	}
	return s.granted(s.rotate(token, client, fault, now), fault, now)
}

// rotate spends a refresh token and issues its successors, except where a fault
// says that the token is not to be rotated.
func (s *Server) rotate(token *RefreshToken, client Client, fault Fault, now time.Time) pair {
	if s.config.KillOnRefresh {
		s.issued.killFamily(token.Family, now)
	}
	of := login{username: token.Username, clientID: token.ClientID, scope: token.Scope}
	next := pair{
		access:  s.issued.newAccess(of, token.Family, now, s.config.accessLifetime(client)),
		refresh: token,
	}
	if !fault.keepsRefreshToken() {
		token.Spent = now
		next.refresh = s.successor(of, token.Family, now)
	}
	s.issued.newest[of] = next
	return next
}

// successor is the refresh token that replaces a spent one; an account without
// refresh tokens gets none, so a seed ends its chain there.
func (s *Server) successor(of login, number int, now time.Time) *RefreshToken {
	if !s.hasRefreshTokens(of) {
		return nil
	}
	return s.issued.newRefresh(of, number, now, s.config.RefreshTokenLifetime)
}

func (s *Server) hasRefreshTokens(of login) bool {
	return !s.clients[of.clientID].NoRefreshTokens && !s.users[of.username].NoRefreshTokens
}

// granted is the reply that hands out a pair.
func (s *Server) granted(handed pair, fault Fault, now time.Time) ruling {
	if fault.Kind == FaultOmitRefreshToken || (handed.refresh != nil && !handed.refresh.usable(now)) {
		handed.refresh = nil
	}
	expiresIn := fault.expiresIn(handed.access.Expires.Sub(now))
	body := s.traits.granted(s, handed, expiresIn)
	return ruling{outcome: OutcomeGranted, answer: jsonAnswer(http.StatusOK, body), handed: handed}
}

// wholeSeconds rounds down, so that nobody is promised more than there is.
func wholeSeconds(remaining time.Duration) []byte {
	return strconv.AppendInt(nil, int64(remaining/time.Second), 10)
}
