// Package authsim simulates the authorization server of a Fluent Commerce
// tenant, closely enough to be the judge of a client: it speaks the documented
// dialect, can be told to misbehave, and keeps a ledger of everything.
//
// # Dialect
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
// # Ledger
//
// GET /ledger is the type [Ledger] as JSON; its shape is stable. It holds the
// values of all tokens in the clear, on purpose: tests search logs for them.
// Nothing here is a server for real credentials.
//
// # Faults
//
// A fault is data: which request, what goes wrong. See [Fault], [FaultKind]
// and [ParseFault] for the text form. Every request to /oauth/token counts,
// whatever becomes of it.
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
package authsim
