package main

import (
	"encoding/json"
	"maps"
	"net/http"
	"net/url"
	"strings"
)

// Grants, as grant_type has them.
const (
	passwordGrant = "password"
	refreshGrant  = "refresh_token"
	codeGrant     = "authorization_code"
)

// request is one request to a server, and what came of it.
type request struct {
	path    string
	grant   string // empty at other endpoints
	spends  string // the refresh token or the code that is presented
	revokes string // the token whose life is to end

	status          int
	failure         string // the error code of the reply
	access, refresh string // what the reply brought

	clientSecret  string
	password      string
	authorization string // the header
}

// readRequest reads the parameters from wherever the operator may put them: query, form or JSON.
func readRequest(r *http.Request, body []byte) request {
	values := r.URL.Query()
	if strings.HasPrefix(r.Header.Get("Content-Type"), "application/json") {
		var object map[string]string
		_ = json.Unmarshal(body, &object) // what is no object of strings has no parameters, which the judge will notice
		for name, value := range object {
			values.Set(name, value)
		}
	} else if form, err := url.ParseQuery(string(body)); err == nil {
		maps.Copy(values, form)
	}
	_, basic, _ := r.BasicAuth()
	return request{
		path: r.URL.Path, grant: values.Get("grant_type"),
		spends: values.Get("refresh_token") + values.Get("code"), revokes: values.Get("token"),
		clientSecret: values.Get("client_secret") + basic, password: values.Get("password"),
		authorization: r.Header.Get("Authorization"),
	}
}

// with is the request and its reply.
func (r request) with(said reply) request {
	granted := readGranted(said.body)
	r.status, r.failure, r.access, r.refresh = said.status, granted.Failure, granted.Access, granted.Refresh
	return r
}

// granted is a reply with tokens, or a refusal.
type granted struct {
	Access  string `json:"access_token"`
	Refresh string `json:"refresh_token"`
	Failure string `json:"error"`
}

func readGranted(reply []byte) granted {
	var read granted
	_ = json.Unmarshal(reply, &read) // a refusal brings nothing
	return read
}

// secrets are the values that nobody but the operator and the server may see. The access token is for workloads, and for nobody else.
func (r request) secrets() []string {
	var found []string
	_, encoded, _ := strings.Cut(r.authorization, " ")
	for _, value := range []string{r.spends, r.revokes, r.access, r.refresh, r.clientSecret, r.password, encoded} {
		if value != "" {
			found = append(found, value)
		}
	}
	return found
}

// tally is what a series of requests was about.
type tally struct {
	logins, refusedLogins       int
	refreshes, refusedRefreshes int
	codes, refusedCodes         int
	reuses                      int // of tokens and codes for which there had been a grant before
	unknownClients              int // whatever they wanted; in none of those above
	revocations                 int
	most                        int // how often the token or the code was presented that was presented most often
}

// counts is what a server has to count where this is what it was asked.
func (t tally) counts() counts {
	return counts{
		Granted:   t.logins - t.refusedLogins + t.refreshes - t.refusedRefreshes + t.codes - t.refusedCodes,
		Presented: t.refreshes, Codes: t.codes, Reused: t.reuses,
		RefusedLogins: t.refusedLogins, RefusedClients: t.unknownClients, Revoked: t.revocations,
	}
}

// plus is what two series were about.
func (t tally) plus(more tally) tally {
	return tally{
		logins: t.logins + more.logins, refusedLogins: t.refusedLogins + more.refusedLogins,
		refreshes: t.refreshes + more.refreshes, refusedRefreshes: t.refusedRefreshes + more.refusedRefreshes,
		codes: t.codes + more.codes, refusedCodes: t.refusedCodes + more.refusedCodes,
		reuses: t.reuses + more.reuses, unknownClients: t.unknownClients + more.unknownClients,
		revocations: t.revocations + more.revocations, most: max(t.most, more.most),
	}
}

// refreshed is a number of refreshes, each of another token.
func refreshed(times int) tally { return tally{refreshes: times, most: min(times, 1)} }

// tallyOf counts requests from a number on. Those before it tell which tokens were presented already.
func tallyOf(requests []request, first int) tally {
	var sum tally
	presented, spent := map[string]int{}, map[string]bool{}
	for i, r := range requests {
		if i >= first {
			sum = sum.plus(r.tally(presented[r.spends]+1, spent[r.spends]))
		}
		if r.spends != "" {
			presented[r.spends]++
			spent[r.spends] = spent[r.spends] || r.access != ""
		}
	}
	return sum
}

// tally is what one request is about, which presents a token for the nth time.
func (r request) tally(times int, spent bool) tally {
	one, refused := tally{}, oneIf(r.access == "")
	if r.spends != "" {
		one.most = times
	}
	switch {
	case r.failure == unknownClient:
		one.unknownClients = 1
		return one
	case r.grant == passwordGrant:
		one.logins, one.refusedLogins = 1, refused
	case r.grant == refreshGrant:
		one.refreshes, one.refusedRefreshes = 1, refused
	case r.grant == codeGrant:
		one.codes, one.refusedCodes = 1, refused
	case r.revokes != "":
		one.revocations = 1
	}
	one.reuses = oneIf(spent)
	return one
}

// unknownClient is the error code of RFC 6749 for a client that could not be authenticated.
const unknownClient = "invalid_client"

func oneIf(is bool) int {
	if is {
		return 1
	}
	return 0
}
