package authsim

import (
	"crypto/rand"
	"fmt"
	"time"
)

// login is what a repeated password grant is recognised by.
type login struct {
	username, clientID, scope string
}

// pair is what one reply hands out; refresh is nil where there is none.
type pair struct {
	access  *AccessToken
	refresh *RefreshToken
}

// issued is every token that was ever issued.
type issued struct {
	access    []*AccessToken
	refresh   []*RefreshToken
	byAccess  map[string]*AccessToken
	byRefresh map[string]*RefreshToken
	codes     []*Code
	byCode    map[string]*Code
	families  []family
	newest    map[login]pair
}

// family is the chain of tokens that descends from one login or seed.
type family struct {
	access  []*AccessToken
	refresh int // how many refresh tokens it had
}

func newIssued() issued {
	return issued{
		byAccess:  map[string]*AccessToken{},
		byRefresh: map[string]*RefreshToken{},
		byCode:    map[string]*Code{},
		newest:    map[login]pair{},
	}
}

// openFamily starts a chain and returns its number.
func (i *issued) openFamily() int {
	i.families = append(i.families, family{})
	return len(i.families)
}

// tokenValue is 260 bits of chance in letters and digits: long enough that
// finding it in a log is proof, and safe as an argument of a shell command.
func tokenValue() string { return rand.Text() + rand.Text() }

func (i *issued) newAccess(of login, number int, now time.Time, life time.Duration) *AccessToken {
	kin := &i.families[number-1]
	token := &AccessToken{
		ID:       fmt.Sprintf("access-%d", len(i.access)+1),
		Value:    tokenValue(),
		Family:   number,
		Serial:   len(kin.access) + 1,
		ClientID: of.clientID,
		Username: of.username,
		Scope:    of.scope,
		Issued:   now,
		Expires:  now.Add(life),
	}
	kin.access = append(kin.access, token)
	i.access = append(i.access, token)
	i.byAccess[token.Value] = token
	return token
}

// newRefresh issues a refresh token that lives for life; 0 means for ever.
func (i *issued) newRefresh(of login, number int, now time.Time, life time.Duration) *RefreshToken {
	kin := &i.families[number-1]
	kin.refresh++
	token := &RefreshToken{
		ID:       fmt.Sprintf("refresh-%d", len(i.refresh)+1),
		Value:    tokenValue(),
		Family:   number,
		Serial:   kin.refresh,
		ClientID: of.clientID,
		Username: of.username,
		Scope:    of.scope,
		Issued:   now,
	}
	if life > 0 {
		token.Expires = now.Add(life)
	}
	i.refresh = append(i.refresh, token)
	i.byRefresh[token.Value] = token
	return token
}

// living returns the newest pair of a login while its access token lives.
func (i *issued) living(of login, now time.Time) (pair, bool) {
	newest, known := i.newest[of]
	return newest, known && newest.access.lives(now)
}

// killFamily ends the life of every access token of one family.
func (i *issued) killFamily(number int, now time.Time) {
	for _, token := range i.families[number-1].access {
		token.kill(now)
	}
}
