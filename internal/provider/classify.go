package provider

import (
	"net/http"

	"github.com/fluent-credential/operator/internal/failure"
	"github.com/fluent-credential/operator/internal/token"
)

// reading is the content of a reply without an access token, as far as its meaning depends on it.
type reading struct {
	status statusClass
	body   bodyClass
	code   codeClass
	words  wordClass
	grant  token.Grant // determines what was presented: a refresh token, a code, a password, or only the client
}

// statusClass is what an HTTP status means for the request.
type statusClass int

const (
	notFinal     statusClass = iota // no status of a final reply
	succeeded                       // 2xx
	carriedOut                      // 300 to 306: the request may have been carried out
	elsewhere                       // 307, 308: the same request is to be made elsewhere
	refused                         // a 4xx without a more specific meaning
	unauthorized                    // 401
	beforeAPI                       // 403, 404, 405, 407: also sent by proxies in front of the API
	formRefused                     // the form of the request is refused
	timedOut                        // 408
	notProcessed                    // 421, 425, 429, and a 503 that names a time
	failed                          // any other 5xx
	statusClasses
)

// bodyClass is the kind of a reply's body.
type bodyClass int

const (
	emptyBody bodyClass = iota
	jsonBody            // an object, or a list of them; a form counts as an object
	htmlBody
	otherBody
	bodyClasses
)

// codeClass is the subject of an error code.
type codeClass int

const (
	noCode          codeClass = iota
	unknownCode               // a code that is in no table
	badLogin                  // the user name and password
	badGrant                  // what was presented
	badToken                  // the refresh token or the code
	badRefreshToken           // the refresh token, by name
	badCode                   // the authorization code, by name
	badClient                 // the client
	badSpec                   // the scope or the grant
	badRequest                // the request, or reuse of a refresh token
	denied                    // the client or the user
	limitCode                 // the rate
	notNowCode                // that the server cannot handle the request now
	laterCode                 // a failure of the server
	codeClasses
)

// wordClass is the meaning of the text of a code and a description.
type wordClass int

const (
	noWords    wordClass = iota
	retryWords           // to try again, and nothing else
	limitWords           // a rate limit
	wordClasses
)

// judgment is the conclusion from a reading: whether the presented token may be spent, and when to act again.
type judgment struct {
	verdict token.Verdict
	cause   failure.Cause
}

// byGrant is one judgment for each thing that can be presented.
type byGrant struct{ refresh, code, password, client judgment }

// of treats an unknown grant as a refresh token: that is the careful reading.
func (b byGrant) of(grant token.Grant) judgment {
	switch grant {
	case token.Password:
		return b.password
	case token.ClientCredentials:
		return b.client
	case token.AuthorizationCode:
		return b.code
	case token.RefreshToken:
	}
	return b.refresh
}

// all returns the same judgment for every grant.
func all(same judgment) byGrant { return byGrant{same, same, same, same} }

// The judgments.
var (
	inDoubt     = judgment{token.Unknown, failure.Passing()}
	tryLater    = judgment{token.TryLater, failure.Passing()}
	intact      = judgment{token.RefusedIntact, failure.Passing()}
	dead        = judgment{token.RefusedDead, failure.Passing()} // the next grant is tried at once
	wrongLogin  = judgment{token.LoginRefused, failure.WaitsFor(failure.CredentialsSecret)}
	wrongClient = judgment{token.RefusedIntact, failure.WaitsFor(failure.CredentialsSecret)}
	wrongSpec   = judgment{token.RefusedIntact, failure.WaitsFor(failure.Spec)}
	// A declined refresh token is not probed. The login guard paces the probes of a declined password.
	unclearToken = judgment{token.Declined, failure.WaitsForUnprobed(failure.CredentialsSecret)}
	unclearLogin = judgment{token.Declined, failure.WaitsFor(failure.CredentialsSecret)}
)

// byStatusAlone are the statuses that decide independently of the rest of the reply. A status is believed if it means
// that the request was not carried out. 301 to 303 answer requests that were carried out (RFC 9110 section 15.4), and a
// server may fail after it spent the token.
var byStatusAlone = map[statusClass]judgment{
	notFinal: inDoubt, carriedOut: inDoubt, elsewhere: intact,
	timedOut: inDoubt, notProcessed: tryLater, failed: inDoubt,
}

// byPage are the judgments on an HTML page, which never comes from the API. It proves nothing about a refresh token or
// a code, not even with 403: a firewall that inspects replies replaces a sent reply with its page.
var byPage = map[statusClass]byGrant{
	succeeded: all(inDoubt), refused: all(inDoubt), formRefused: all(intact),
	beforeAPI:    {inDoubt, inDoubt, tryLater, tryLater},
	unauthorized: {inDoubt, inDoubt, inDoubt, tryLater}, // a password may have been counted as a failed login
}

// byCode are the judgments on the codes that take precedence over words and over the status of a refusal. dex and
// fosite answer reuse of a refresh token with invalid_request.
var byCode = map[codeClass]byGrant{
	badLogin:        {unclearToken, unclearToken, wrongLogin, wrongClient},
	badGrant:        {dead, dead, wrongLogin, wrongClient},
	badToken:        {dead, dead, wrongClient, wrongClient},
	badRefreshToken: {dead, unclearToken, unclearLogin, wrongClient},
	badCode:         {unclearToken, dead, unclearLogin, wrongClient},
	badClient:       all(wrongClient),
	badSpec:         all(wrongSpec),
	badRequest:      {inDoubt, inDoubt, wrongSpec, wrongSpec},
	limitCode:       {tryLater, tryLater, inDoubt, tryLater}, // locked users get it too: the login guard counts it
	notNowCode:      {tryLater, tryLater, inDoubt, tryLater},
	laterCode:       {inDoubt, inDoubt, inDoubt, tryLater},
}

// byStatus are the judgments on a refusal without a code, or with a code that means no more than the status.
var byStatus = map[statusClass]byGrant{
	succeeded:    {unclearToken, unclearToken, unclearLogin, wrongClient},
	refused:      {unclearToken, unclearToken, unclearLogin, wrongClient},
	unauthorized: {wrongClient, wrongClient, unclearLogin, wrongClient},
	beforeAPI:    {wrongClient, wrongClient, unclearLogin, wrongClient},
	formRefused:  all(wrongSpec),
}

// classify returns the meaning of a reply without an access token. It is total: every reading has a judgment.
//
// A status that decides alone comes first, then bodies that are not the API's, then the code, then the words, then the
// rest of the status.
func classify(r reading) judgment {
	settled, isSettled := byStatusAlone[r.status]
	switch {
	case isSettled && r.status == failed && r.code == badLogin:
		return byCode[badLogin].orElse(r.grant, settled)
	case isSettled:
		return settled
	case r.body == htmlBody:
		return byPage[r.status].of(r.grant)
	case r.status == succeeded && r.code == noCode:
		return inDoubt // the server succeeded, and the token is not here
	}
	if coded, known := byCode[r.code]; known {
		return afterWords(r, coded.of(r.grant))
	}
	if r.words == limitWords {
		return byCode[limitCode].of(r.grant)
	}
	if r.status == beforeAPI && r.code == noCode {
		return tryLater // the API itself would have given a reason
	}
	if r.code == denied {
		return byStatus[unauthorized].of(r.grant)
	}
	return afterWords(r, byStatus[r.status].of(r.grant))
}

// orElse returns one judgment for a password, and another one for anything else.
func (b byGrant) orElse(grant token.Grant, other judgment) judgment {
	if grant == token.Password {
		return b.password
	}
	return other
}

// afterWords changes the judgment on a code or a status according to the words. A dead grant stays dead. A rejected
// login stays rejected, since a locked user is also asked to come back later.
func afterWords(r reading, given judgment) judgment {
	switch {
	case given.verdict == token.RefusedIntact && r.words == limitWords:
		return intact
	case r.words == limitWords && given.verdict == token.Unknown:
		return byCode[limitCode].of(r.grant)
	case r.words != retryWords || r.grant == token.Password || r.code != noCode && r.code != unknownCode:
		return given
	case r.grant == token.ClientCredentials:
		return tryLater
	case given.verdict == token.RefusedIntact:
		return intact
	}
	return inDoubt
}

// statusOf classifies a status. A 503 with a Retry-After time is a refusal; any other may come after the token was
// spent.
func statusOf(reply Reply) statusClass {
	if known, ok := statuses[reply.Status]; ok {
		return known
	}
	switch reply.Status / 100 {
	case 2:
		return succeeded
	case 3:
		return carriedOut
	case 4:
		return refused
	case 5:
		if reply.Status == http.StatusServiceUnavailable && reply.Header.Get("Retry-After") != "" {
			return notProcessed
		}
		return failed
	}
	return notFinal
}

// IsUnprocessed reports whether the status alone means that the request was not carried out.
func (r Reply) IsUnprocessed() bool {
	status := statusOf(r)
	return status == elsewhere || status == notProcessed
}

// statuses are the statuses with a class of their own (RFC 9110 sections 15.4 and 15.5, RFC 6585).
var statuses = map[int]statusClass{
	http.StatusTemporaryRedirect:           elsewhere,
	http.StatusPermanentRedirect:           elsewhere,
	http.StatusUnauthorized:                unauthorized,
	http.StatusForbidden:                   beforeAPI,
	http.StatusNotFound:                    beforeAPI,
	http.StatusMethodNotAllowed:            beforeAPI,
	http.StatusProxyAuthRequired:           beforeAPI,
	http.StatusRequestTimeout:              timedOut,
	http.StatusLengthRequired:              formRefused,
	http.StatusRequestEntityTooLarge:       formRefused,
	http.StatusRequestURITooLong:           formRefused,
	http.StatusUnsupportedMediaType:        formRefused,
	http.StatusExpectationFailed:           formRefused,
	http.StatusUpgradeRequired:             formRefused,
	http.StatusRequestHeaderFieldsTooLarge: formRefused,
	http.StatusMisdirectedRequest:          notProcessed,
	http.StatusTooEarly:                    notProcessed,
	http.StatusTooManyRequests:             notProcessed,
}
