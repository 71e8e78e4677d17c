package simulation

import (
	"bufio"
	"bytes"
	"fmt"
	"net/http"
	"time"
)

func newReader(raw []byte) *bufio.Reader { return bufio.NewReader(bytes.NewReader(raw)) }

// mark begins every secret of a run, so that one is recognized wherever it turns up.
const mark = "zqx7"

// dialect is how a token server treats what RFC 6749 leaves open.
type dialect struct {
	life        time.Duration
	grace       time.Duration // in which a spent refresh token still works
	revokes     bool          // the family, when a spent refresh token comes again
	killsOld    bool          // the old access token, at the refresh
	repeats     bool          // a password gets the tokens that there are, while they live
	keepsTokens bool          // no refresh token in the reply to a refresh: the old one goes on
}

// tokenServer keeps the ledger: every token that was issued and what became of it.
type tokenServer struct {
	world    *world
	dialect  dialect
	password string // of every user; people change it
	issued   int
	families map[int]*family
	access   map[string]*accessToken
	refresh  map[string]*refreshToken
	users    map[string]*user
	late     []delivery

	reuses int
}

// delivery is a request that the network held back.
type delivery struct {
	at    time.Duration
	asked question
}

type family struct {
	revoked bool
	because string // why that may be
	number  int
	current pair // what was issued last
}

type pair struct{ access, refresh string }

type accessToken struct {
	family  *family
	expires time.Duration
	dead    bool
}

type refreshToken struct {
	family  *family
	spentAt time.Duration
	spent   bool
	by      *claimed // who spent it; nil: the network, or a person
	because string   // why it may be spent that way
	next    pair
}

type user struct {
	refusals    []refusedLogin
	lockedUntil time.Duration
	families    map[string]*family // by client and scope
}

// refusedLogin is a login that was refused.
type refusedLogin struct {
	at, sent time.Duration
	claim    *claimed
}

func newTokenServer(w *world) *tokenServer {
	return &tokenServer{
		world: w, dialect: w.setup.dialect, password: secretOf("password-0"),
		families: map[int]*family{}, access: map[string]*accessToken{}, refresh: map[string]*refreshToken{}, users: map[string]*user{},
	}
}

func (s *tokenServer) user(name string) *user {
	if s.users[name] == nil {
		s.users[name] = &user{families: map[string]*family{}}
	}
	return s.users[name]
}

// deliver brings the requests whose time has come.
func (s *tokenServer) deliver() {
	for i := 0; i < len(s.late); i++ {
		if held := s.late[i]; held.at <= s.world.now() {
			s.late = append(s.late[:i], s.late[i+1:]...)
			i--
			s.world.tell("the network delivers %s", held.asked)
			s.answer(held.asked)
		}
	}
}

// answer processes one request.
func (s *tokenServer) answer(asked question) []byte {
	switch asked.grant {
	case "password":
		return s.byPassword(asked)
	case "refresh_token":
		return s.byRefresh(asked)
	case revocation:
		return s.revoke(asked)
	}
	return s.refuse(asked, "unsupported_grant_type")
}

func refusal(code string) []byte {
	return replyOf(http.StatusBadRequest, fmt.Sprintf(`{"error":%q}`, code))
}

// Fluent's lock: 5 refused logins in 15 minutes lock a user for 15 minutes from the last one.
const (
	lockAfter = 5
	lockFor   = 15 * time.Minute
)

func (s *tokenServer) byPassword(asked question) []byte {
	who, now := s.user(asked.username+" "+asked.path), s.world.now()
	if now < who.lockedUntil || asked.password != s.password {
		who.refusals = append(who.refusals, refusedLogin{now, asked.sent, asked.claim})
		if recent(who.refusals, now, lockFor) >= lockAfter {
			who.lockedUntil = now + lockFor
		}
		s.world.oracle.refusedLogin(asked.username, who.refusals)
		return s.refuse(asked, "invalid_grant")
	}
	was := who.families[asked.client]
	if s.dialect.repeats && was != nil && !was.revoked {
		if token := s.access[was.current.access]; token != nil && s.accepts(was.current.access) {
			s.world.oracle.reissued(was.current.refresh)
			return s.grant(was.current, token.expires-now)
		}
	}
	fresh := &family{number: len(s.families) + 1}
	s.families[fresh.number] = fresh
	who.families[asked.client] = fresh
	return s.grant(s.issue(fresh), s.dialect.life)
}

func recent(refusals []refusedLogin, now, window time.Duration) int {
	count := 0
	for _, refused := range refusals {
		if now-refused.at < window {
			count++
		}
	}
	return count
}

func (s *tokenServer) byRefresh(asked question) []byte {
	shown, ok := s.refresh[asked.refresh]
	if !ok || shown.family.revoked {
		return s.refuse(asked, "invalid_grant")
	}
	now := s.world.now()
	if shown.spent && now-shown.spentAt < s.dialect.grace {
		return s.grant(shown.next, s.access[shown.next.access].expires-now)
	}
	if shown.spent {
		s.reuses++
		s.world.tell("the server sees %s again", asked.refresh)
		if s.dialect.revokes && !shown.family.revoked {
			shown.family.revoked = true
			shown.family.because = s.world.oracle.whyReused(shown, asked)
		}
		return s.refuse(asked, "invalid_grant")
	}
	old := shown.family.current
	if old.access != "" && s.dialect.killsOld {
		s.access[old.access].dead = true
	}
	next := s.issue(shown.family)
	if s.dialect.keepsTokens {
		delete(s.refresh, next.refresh)
		next.refresh = asked.refresh
		shown.family.current = next
		return s.grant(pair{access: next.access}, s.dialect.life)
	}
	shown.spent, shown.spentAt, shown.next = true, now, next
	shown.by, shown.because = asked.claim, asked.because
	return s.grant(next, s.dialect.life)
}

// revoke ends a family, also where the token was spent before.
func (s *tokenServer) revoke(asked question) []byte {
	if shown, ok := s.refresh[asked.refresh]; ok {
		shown.family.revoked = true
		shown.family.because = "its object was deleted"
		s.world.counts.revoked++
		s.world.oracle.revoked(shown.family)
	}
	return replyOf(http.StatusOK, `{}`)
}

// issue makes the next pair of a family.
func (s *tokenServer) issue(f *family) pair {
	s.issued++
	made := pair{secretOf(fmt.Sprint("A", s.issued)), secretOf(fmt.Sprint("R", s.issued))}
	s.access[made.access] = &accessToken{family: f, expires: s.world.now() + s.dialect.life}
	s.refresh[made.refresh] = &refreshToken{family: f}
	f.current = made
	return made
}

func (s *tokenServer) grant(tokens pair, life time.Duration) []byte {
	refresh := ""
	if tokens.refresh != "" {
		refresh = fmt.Sprintf(`,"refresh_token":%q`, tokens.refresh)
	}
	s.world.tell("the server grants %s %s", tokens.access, tokens.refresh)
	return replyOf(http.StatusOK, fmt.Sprintf(`{"access_token":%q,"token_type":"bearer","expires_in":%d%s%s}`,
		tokens.access, int(life.Seconds()), refresh, s.extras(tokens)))
}

// accepts tells whether the API would take the access token now.
func (s *tokenServer) accepts(access string) bool {
	found := s.access[access]
	return found != nil && !found.dead && !found.family.revoked && s.world.now() < found.expires
}

// seed is a refresh token that a person obtained.
func (s *tokenServer) seed() string {
	fresh := &family{number: len(s.families) + 1}
	s.families[fresh.number] = fresh
	return s.issue(fresh).refresh
}
