package main

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/fluent-credential/operator/hack/authsim"
)

// tally is what one run, or all runs of one fault, came to.
type tally struct {
	Runs        int     `json:"runs"`
	Rotations   int     `json:"rotations"`     // tokens issued for a refresh token
	Presented   int     `json:"presentedMost"` // of one refresh token, as it left the client
	Unpermitted int     `json:"unpermitted"`   // presentations beyond what is permitted
	Lost        int     `json:"chainsLost"`
	Permitted   int     `json:"chainsLostPermitted"` // what the two-generals bound, or the fault itself, takes
	Passwords   int     `json:"passwordsUsed"`       // beyond the first login of each credential
	Without     float64 `json:"secondsWithoutToken"` // of the credential that fared worst
	// Counts are figures of the fault's own.
	Counts   map[string]int `json:"counts,omitempty"`
	Findings []string       `json:"findings,omitempty"` // what must not have happened
}

// add sums up two runs.
func (t *tally) add(run tally) {
	t.Runs += run.Runs
	t.Rotations += run.Rotations
	t.Presented = max(t.Presented, run.Presented)
	t.Unpermitted += run.Unpermitted
	t.Lost += run.Lost
	t.Permitted += run.Permitted
	t.Passwords += run.Passwords
	t.Without = max(t.Without, run.Without)
	t.Findings = append(t.Findings, run.Findings...)
	for what, n := range run.Counts {
		if t.Counts == nil {
			t.Counts = map[string]int{}
		}
		t.Counts[what] += n
	}
}

// judge compares what the operator did with what the ledger says.
func (s *stage) judge(_ context.Context) tally {
	ledger, sent := s.sim.Ledger(), s.tokens.sendings()
	result := tally{Runs: 1, Rotations: ledger.RefreshGrants, Permitted: s.mayLose, Counts: s.counts}
	s.judgeFaults(ledger)
	s.judgeAccount(ledger, sent)
	s.judgePresentations(&result, ledger, sent)
	s.judgeChains(&result, ledger, sent)
	s.judgePublications(&result, ledger)
	s.judgeGuard(sent, ledger)
	s.judgeLogs()
	s.mu.Lock()
	defer s.mu.Unlock()
	result.Findings = append(result.Findings, s.findings...)
	return result
}

// judgeFaults looks whether what was to go wrong did: a fault that never struck proves nothing.
func (s *stage) judgeFaults(ledger authsim.Ledger) {
	unsprung := s.tokens.unsprung()
	for _, each := range s.replicas {
		unsprung = append(unsprung, each.api.unsprung()...)
	}
	for _, at := range unsprung {
		s.find("the fault did not happen: nothing fell into a trap for what has %s", at)
	}
	for _, fault := range s.faults {
		struck := func(request authsim.TokenRequest) bool { return request.Fault == fault }
		if !slices.ContainsFunc(ledger.TokenRequests, struck) {
			s.find("the fault did not happen: %s", fault)
		}
	}
}

// judgeAccount compares the proxy's account with the server's: what reached the server another way would not be judged.
func (s *stage) judgeAccount(ledger authsim.Ledger, sent []sending) {
	past := 0
	for _, request := range ledger.TokenRequests {
		if request.Account != strangerAccount {
			past++
		}
	}
	for _, each := range sent {
		past -= each.forwarded
	}
	if past > 0 {
		s.find("%d requests reached the token endpoint past the proxy", past)
	}
}

// judgePresentations counts how often each refresh token left the client.
func (s *stage) judgePresentations(result *tally, ledger authsim.Ledger, sent []sending) {
	count := map[string]int{}
	for _, each := range sent {
		if each.spends != "" {
			count[each.spends]++
		}
	}
	permitted := s.permitted(ledger)
	for value, times := range count {
		result.Presented = max(result.Presented, times)
		if beyond := times - permitted[value]; beyond > 0 {
			result.Unpermitted += beyond
			token, _ := ledger.RefreshTokenByValue(value)
			s.find("%s was presented %d times, permitted are %d", token.ID, times, permitted[value])
		}
	}
}

// permitted is how often each refresh token may be presented: once, or as the policy says, and again for every answer which said
// that nobody had looked at it.
func (s *stage) permitted(ledger authsim.Ledger) map[string]int {
	permitted, values := map[string]int{}, map[string]string{}
	for _, token := range ledger.RefreshTokens {
		permitted[token.Value], values[token.ID] = max(1, s.mayPresent), token.Value
	}
	for _, request := range ledger.TokenRequests {
		if request.Outcome == authsim.OutcomeUnprocessed && slices.Contains(untouched, request.Status) {
			permitted[values[request.Presented]]++
		}
	}
	return permitted
}

// untouched are the statuses by which a server or a proxy before it says that it did not look at a request.
var untouched = []int{307, 308, 403, 404, 405, 429, 503}

// judgeChains counts the chains that were given up: every login after the first one of a user, and what a person was asked for.
func (s *stage) judgeChains(result *tally, ledger authsim.Ledger, sent []sending) {
	granted, asked := map[string]int{}, map[string]int{}
	for _, request := range ledger.TokenRequests {
		if request.Grant == authsim.GrantPassword && request.Outcome == authsim.OutcomeGranted {
			granted[request.Username]++
		}
	}
	for _, each := range sent {
		if each.grant == authsim.GrantPassword {
			asked[each.user]++
		}
	}
	for user, times := range asked {
		result.Passwords += times - 1
		result.Lost += max(0, granted[user]-1)
	}
	result.Lost += s.lost
	if result.Lost > s.mayLose {
		s.find("%d chains were given up, the fault accounts for %d", result.Lost, s.mayLose)
	}
}

// judgePublications measures how long workloads were without, and looks for what they must never be given.
func (s *stage) judgePublications(result *tally, ledger authsim.Ledger) {
	tokens := map[string]authsim.AccessToken{}
	for _, token := range ledger.AccessTokens {
		tokens[token.Value] = token
	}
	now := time.Now()
	for name, list := range s.watch.all() {
		result.Without = max(result.Without, without(list, tokens, now).Seconds())
		serial := int64(0)
		for _, each := range list {
			token, issued := tokens[each.access]
			switch {
			case each.access == "":
				continue
			case !issued && each.access != forgery:
				s.find("%s was published with a token that was never issued", name)
			case issued && each.at.Sub(token.Expires) > time.Second:
				s.find("%s was published with a token that had expired %s before", name, each.at.Sub(token.Expires))
			case each.serial < serial && !s.restores:
				s.find("%s went back from serial %d to %d", name, serial, each.serial)
			}
			serial = max(serial, each.serial)
		}
	}
}

// forgery is what a case puts into a workload Secret itself.
const forgery = "forged-by-the-case"

// The login guard's budget: so many refusals of one user, in so long.
const (
	budget       = 2
	budgetWindow = 20 * time.Minute
)

// judgeGuard looks for users of whom more logins were refused than the guard allows. What a case itself sent is not in sent.
func (s *stage) judgeGuard(sent []sending, ledger authsim.Ledger) {
	users := map[string]int{}
	for _, each := range sent {
		if each.grant == authsim.GrantPassword {
			users[each.user]++
		}
	}
	refused := map[string][]time.Time{}
	for _, request := range ledger.TokenRequests {
		isRefusal := request.Grant == authsim.GrantPassword && (request.Outcome == authsim.OutcomeInvalidGrant || request.Outcome == authsim.OutcomeLocked)
		if isRefusal && users[request.Username] > 0 && request.Account != strangerAccount {
			refused[request.Username] = append(refused[request.Username], request.Time)
		}
	}
	for user, times := range refused {
		for i := budget; i < len(times); i++ {
			if times[i].Sub(times[i-budget]) < budgetWindow {
				s.find("%d logins of %s were refused within %s", budget+1, user, times[i].Sub(times[i-budget]).Round(time.Second))
				break
			}
		}
	}
}

// judgeLogs looks for crashes, and for secrets in the clear.
func (s *stage) judgeLogs() {
	secrets := append(s.sim.SecretValues(), wrongPassword, newPassword)
	for _, each := range s.replicas {
		if each.current() == nil {
			continue
		}
		log := each.log()
		for _, crash := range []string{"panic:", "fatal error:", "Observed a panic"} {
			if at := strings.Index(log, crash); at >= 0 {
				s.find("%s crashed: %s", each.name, firstLine(log[at:]))
			}
		}
		for _, secret := range secrets {
			if strings.Contains(log, secret) {
				s.find("%s logged a secret", each.name)
				break
			}
		}
	}
}

func firstLine(text string) string {
	line, _, _ := strings.Cut(text, "\n")
	return line
}
