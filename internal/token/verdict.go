package token

// Verdict is what is known about a refresh token, a login and a chain after one exchange.
type Verdict string

// The verdicts. Every exchange ends in exactly one of them.
const (
	// Granted: a 2xx reply with an access token.
	Granted Verdict = "Granted"
	// Unsent: not a byte of the request left this process, so nothing was spent.
	Unsent Verdict = "Unsent"
	// RefusedIntact: the API refused the client or the request; the refresh token was not looked at. Only a change of input helps.
	RefusedIntact Verdict = "RefusedIntact"
	// TryLater: the API refused to work now; nothing was spent.
	TryLater Verdict = "TryLater"
	// RefusedDead: the API refused the refresh token or the code; it will never work again.
	RefusedDead Verdict = "RefusedDead"
	// LoginRefused: the API refused the user name and password.
	LoginRefused Verdict = "LoginRefused"
	// Declined: the API refused, and what it said tells nothing of what it was sent. A refresh token or a code may be spent, a password
	// may count as a refused login; sent again as it was, it would be refused again.
	Declined Verdict = "Declined"
	// Unknown: the request may have been processed, and the reply is not to be had. A refresh token may be spent.
	Unknown Verdict = "Unknown"
)

// Verdicts are all of them, in the order of their declaration.
func Verdicts() []Verdict {
	return []Verdict{Granted, Unsent, RefusedIntact, TryLater, RefusedDead, LoginRefused, Declined, Unknown}
}
