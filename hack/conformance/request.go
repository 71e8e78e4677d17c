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
	path   string
	grant  string // empty at other endpoints
	spends string // the refresh token or the code that is presented
	status int

	access, refresh string // what the reply brought
	clientSecret    string
	password        string
}

// readRequest reads the parameters from wherever the operator may put them: query, form or JSON.
func readRequest(r *http.Request, body []byte, said reply) request {
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
	granted := readGranted(said.body)
	return request{
		path: r.URL.Path, grant: values.Get("grant_type"), status: said.status,
		spends: values.Get("refresh_token") + values.Get("code"),
		access: granted.Access, refresh: granted.Refresh,
		clientSecret: values.Get("client_secret") + basic, password: values.Get("password"),
	}
}

// granted is a reply with tokens.
type granted struct {
	Access  string `json:"access_token"`
	Refresh string `json:"refresh_token"`
}

func readGranted(reply []byte) granted {
	var read granted
	_ = json.Unmarshal(reply, &read) // a refusal brings nothing
	return read
}

// secrets are the values that nobody but the operator and the server may see. The access token is for workloads, and for nobody else.
func (r request) secrets() []string {
	var found []string
	for _, value := range []string{r.spends, r.access, r.refresh, r.clientSecret, r.password} {
		if value != "" {
			found = append(found, value)
		}
	}
	return found
}

// tally is what a series of requests was about.
type tally struct {
	logins, refreshes, codes int
	refusedLogins            int
	most                     int // how often the token was presented that was presented most often
}

func tallyOf(requests []request) tally {
	var sum tally
	presented := map[string]int{}
	for _, r := range requests {
		switch r.grant {
		case passwordGrant:
			sum.logins++
			if r.status != http.StatusOK {
				sum.refusedLogins++
			}
		case refreshGrant:
			sum.refreshes++
		case codeGrant:
			sum.codes++
		}
		if r.grant == refreshGrant || r.grant == codeGrant {
			presented[r.spends]++
			sum.most = max(sum.most, presented[r.spends])
		}
	}
	return sum
}
