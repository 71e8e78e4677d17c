// Package authsim simulates the authorization server of one tenant, closely
// enough to be the judge of a client: it speaks a documented dialect, can be
// told to misbehave, and keeps a ledger of everything.
//
// # The Fluent dialect
//
// POST /oauth/token knows the password and the refresh_token grant. Parameters
// come from the query string, from an urlencoded form body, or from both; where
// both name one parameter, the form wins (the form is what the vendor
// recommends today). A parameter given twice in one place is refused (RFC 6749
// section 3.2). Any other kind of body is not read, nor is HTTP Basic: the vendor
// documents neither.
//
// The client is judged first, then the scope, then the grant. A refresh token
// works once and its family is not revoked when it is presented again, because
// the vendor documents no more than the error. The scope of a login never
// changes at a refresh.
//
// expires_in is the whole seconds that remain by the server's clock, rounded
// down, so a client is never promised more than there is: a token in its last
// second says 0. A lockout counts every refused login, also the right password
// while locked, and a granted login does not clear the count: the vendor names
// a rolling window and no reset.
//
// GET /api/ping with an access token as bearer answers 200 while that token
// lives and 401 otherwise.
//
// # The other dialects
//
// Commerce Layer takes JSON and nothing else, for all four grants. A client's
// own token is given again until 15 minutes before its expiry. Refresh tokens
// die two weeks after their issue, requests are counted, 30 a minute, and
// /oauth/revoke answers with an empty object.
//
// Nordea has a token endpoint for forms and one for JSON. It knows the client by
// two headers and by nothing else, has no password and no revocation, says no in
// a shape of its own, and may put its replies into an envelope.
//
// OAuth2 is RFC 6749 with parameters anywhere, HTTP Basic, and RFC 7009. Each
// dialect has its lifetimes, which [Config] can replace.
//
// An authorization code works once, like a refresh token; presented again, it
// ends the family that it opened (RFC 6749 section 4.1.2). A revocation ends the
// family of its refresh token, also where that was spent before.
//
// # Ledger
//
// GET /ledger is the type [Ledger] as JSON; its shape is stable. It holds the
// values of all tokens in the clear, on purpose: tests search logs for them.
// Nothing here is a server for real credentials.
//
// # Faults
//
// A fault is data: which request, what goes wrong. See [Fault], [FaultKind]
// and [ParseFault] for the text form. Every request to a token endpoint counts,
// whatever becomes of it; those to /oauth/revoke count apart.
//
// # Control
//
// Unauthenticated, for tests that drive a process of their own:
//
//	GET    /healthz                          200 while serving
//	GET    /ledger                           the ledger as JSON
//	POST   /faults                           one fault a line; all or none are added
//	DELETE /faults                           forget the faults still to come
//	POST   /users/{name}/password            the body is the new password
//	POST   /users/{name}/refresh-token       ?client=ID; answers with a refresh token issued out of band
//	POST   /users/{name}/code                ?client=ID&redirect_uri=URI; answers with an authorization code
package authsim
