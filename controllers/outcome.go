package controllers

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/fluent-credential/operator/api/v1alpha1"
	"github.com/fluent-credential/operator/internal/custody"
	"github.com/fluent-credential/operator/internal/exchange"
	"github.com/fluent-credential/operator/internal/plan"
	"github.com/fluent-credential/operator/internal/printable"
	"github.com/fluent-credential/operator/internal/provider"
	"github.com/fluent-credential/operator/internal/redact"
	"github.com/fluent-credential/operator/internal/token"
)

// defaultLifetime is the life of a token whose reply does not tell.
const defaultLifetime = time.Hour

// granted makes the transition of a granted reply. The draw is made once, so that a commit that is tried again stores the same.
func (r *Reconciler) granted(seen *observation, try *attempt) func(custody.State) custody.State {
	draw := r.Draw()
	set := seen.described(try)
	floor := max(seen.workload.serial, seen.workload.floor, seen.witnessed())
	return func(state custody.State) custody.State {
		got := seen.tokenOf(try, set, state.Token)
		got.Inputs, got.Origin = state.InputsOf(try.claim, got.Inputs), state.OriginOf(try.claim)
		life := got.Expires.Sub(got.Obtained)
		idle := life <= 0 || state.Token != nil && state.Token.Access.Equal(got.Access)
		chained := !try.answer.Set.Refresh.IsZero() || try.claim.Grant == token.RefreshToken
		window := seen.api.RenewalWindow(try.claim.Grant)
		repeats := !chained && !plan.Windowed(life, window) && (idle || state.Repeats || plan.TooShort(life))
		next := state.Repeated(idle, repeats)
		lead := leadOf(seen.cred.Spec.Refresh)
		got.Schedule = scheduleOf(lead, draw)
		got.Refresh = plan.Renewal{
			Obtained: got.Obtained, Expires: got.Expires, Lead: lead, Draw: draw,
			Stagnant: next.Stagnant, Repeats: repeats, IdleLife: seen.idleLife(chained), Window: window,
		}.RefreshAt()
		return next.Granted(try.claim, custody.Obtained{Token: got, Refresh: try.answer.Set.Refresh, Sent: try.spends, Floor: floor})
	}
}

// idleLife is how long the refresh token lives on without being used, where there is one.
func (o *observation) idleLife(chained bool) time.Duration {
	if !chained {
		return 0
	}
	return o.api.IdleLife()
}

// tokenOf is the token of a granted reply, its life counted from the moment before the request was sent.
func (o *observation) tokenOf(try *attempt, set token.Set, stored *custody.Token) custody.Token {
	end := o.expiryOf(try, stored)
	user := ""
	if o.login.Username != "" {
		user = o.user()
	}
	if end.Latest.Equal(end.At) {
		end.Latest = time.Time{}
	}
	return custody.Token{
		Access: set.Access, Type: set.Type, Scope: set.Scope, Grant: try.claim.Grant,
		Obtained: try.sent, Expires: end.At, Latest: end.Latest, Inputs: o.inputs(), User: user,
		Identity: set.Identity, Extra: set.Extra,
	}
}

// described returns the set of a granted reply. What the reply says of the token and of its user is shown to people and put
// into the files of workloads, so it is one printable line, and empty if it repeats a secret.
func (o *observation) described(try *attempt) token.Set {
	set := try.answer.Set
	repeats := redact.Finder(slices.Concat(try.request.Secrets, o.secrets(), []token.Secret{try.spends, set.Access, set.Refresh})...)
	clean := func(text string) string {
		if repeats(text) {
			return ""
		}
		return printable.Line(text)
	}
	set.Scope = clean(set.Scope)
	who := &set.Identity
	for _, text := range []*string{&who.RetailerID, &who.FirstName, &who.LastName, &who.OwnerID, &who.OwnerType} {
		*text = clean(*text)
	}
	var roles []string
	for _, role := range who.Roles {
		if role = clean(role); role != "" {
			roles = append(roles, role)
		}
	}
	who.Roles = roles
	return set
}

// expiryOf is when the token of a granted reply ends, which may be the one that is stored.
func (o *observation) expiryOf(try *attempt, stored *custody.Token) plan.Expiry {
	isNew := stored == nil || !stored.Access.Equal(try.answer.Set.Access)
	told := toldOf(try.answer.Set, o.cred.Spec.Refresh, isNew)
	told.Sent = try.sent
	if isNew {
		return told.First()
	}
	known := plan.Expiry{At: stored.Expires, Latest: stored.Latest}
	if known.Latest.IsZero() {
		known.Latest = known.At
	}
	return told.Again(known, stored.Obtained)
}

// toldOf returns what a reply states about the life of its token, interpreted according to the spec. A new token
// without a life in its reply has the assumed life; a token that is issued again has none left.
func toldOf(set token.Set, spec v1alpha1.RefreshSpec, isNew bool) plan.Told {
	told := plan.Told{Life: set.Life, Age: set.Age}
	switch {
	case spec.LifetimeFrom == v1alpha1.LifetimeFromJWT && set.JWTLife > 0:
		told.Life, told.Age = set.JWTLife, max(set.Age, set.JWTAge)
	case set.LifeUnknown && (isNew || !set.LifeZero):
		told.Life, told.Assumed = assumedLifetime(spec), true
	}
	if most := spec.MaximumLifetime; most != nil {
		told.Life = min(told.Life, most.Duration)
	}
	return told
}

func assumedLifetime(spec v1alpha1.RefreshSpec) time.Duration {
	if spec.AssumedLifetime == nil {
		return defaultLifetime
	}
	return spec.AssumedLifetime.Duration
}

func leadOf(spec v1alpha1.RefreshSpec) plan.LeadSpec {
	var lead plan.LeadSpec
	if spec.Before != nil {
		lead.Before = spec.Before.Duration
	}
	if spec.BeforePercentage != nil {
		lead.Percent = int(*spec.BeforePercentage)
	}
	return lead
}

// statusSerial is the serial that the status shows: a floor for the next one where the state Secret was lost.
func (o *observation) statusSerial() int64 {
	if shown := o.cred.Status.Token; shown != nil && custody.CanBeCounted(shown.Serial, shown.Serial) {
		return shown.Serial
	}
	return 0
}

// reasonOf is the condition reason of an answer without a token.
func reasonOf(try *attempt) string {
	switch code := try.answer.Problem.Code; code {
	case journalUnwritable:
		return v1alpha1.ReasonJournalUnwritable
	case stateFull, resultsHeld, journalQuota: // replies wait because the Kubernetes API does not take them
		return v1alpha1.ReasonStateUnwritable
	case exchange.NotAllowed, provider.Redirect:
		return v1alpha1.ReasonEndpointNotAllowed
	case provider.InvalidReply:
		if try.spends.IsZero() {
			return v1alpha1.ReasonInvalidReply
		}
	}
	switch try.answer.Verdict {
	case token.RefusedIntact, token.LoginRefused, token.Declined:
		return refusedLogin(try.answer.Problem)
	case token.RefusedDead:
		return v1alpha1.ReasonRefreshTokenRejected
	case token.Unknown:
		if !try.spends.IsZero() {
			return v1alpha1.ReasonReplyLost
		}
	case token.TryLater:
		if try.answer.Problem.Status == http.StatusTooManyRequests {
			return v1alpha1.ReasonRateLimited
		}
	case token.Granted, token.Unsent:
	}
	return v1alpha1.ReasonProviderUnavailable
}

// refusedLogin: a login that is locked gets another status than one that is wrong, but only from some APIs.
func refusedLogin(problem provider.Problem) string {
	if reason, ok := guardReasons[problem.Code]; ok {
		return reason
	}
	if problem.Status == http.StatusInternalServerError {
		return v1alpha1.ReasonLoginLocked
	}
	return v1alpha1.ReasonCredentialsRejected
}

// message names the cause in the API's own words. It contains no time and no count, so it stays the same as long as the
// situation does.
func (o *observation) message(try *attempt) string {
	request := fmt.Sprintf("%s of %s", try.claim.Grant, o.api.Endpoint().Host)
	return strings.Join(append([]string{request}, wordsOf(try.answer.Problem)...), ": ")
}

// wordsOf is what a problem says, part by part.
func wordsOf(problem provider.Problem) []string {
	var parts []string
	if problem.Status != 0 {
		parts = append(parts, fmt.Sprintf("HTTP %d", problem.Status))
	}
	for _, text := range []string{problem.Code, problem.Description} {
		if text != "" {
			parts = append(parts, text)
		}
	}
	return parts
}
