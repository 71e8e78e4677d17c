// Package controllers keeps the workload Secret of every FluentCredential supplied with an access token that is valid now.
//
// # One pass
//
// Reconcile observes, decides, performs one action and reports:
//
//	observe.go    live state, workload Secret, login and spec  →  plan.Observed
//	plan.Next     the first rule that decides wins (internal/plan: pure)
//	perform       one of the actions below
//	report.go     conditions, metrics, and when to look again
//
// # The life of a credential
//
//	           Register              Exchange (first token)              due
//	created ────────────▶ registered ───────────────────────▶ published ─────▶ Exchange (refresh)
//	                          ▲                                   │  ▲               │
//	                          │ changed login or spec             │  └───────────────┤ Granted
//	                          │                                   │                  │
//	                       stalled ◀── RefusedIntact, LoginRefused ┼──────────────────┤
//	                          ▲                                   │                  │ Unknown: the token may be spent
//	                          │ nothing left to try               │                  ▼
//	                          └───────────────────────────────────┼───────────── in doubt ── spec.refresh.onLostReply ──▶ Exchange
//	                                                              │
//	deleted ◀── Release ◀── Revoke ───────────────────────────────┘
//
// Repairs happen anywhere in it and cost no call: Publish (the workload Secret was deleted or edited), Withdraw (the target was
// renamed), Relocate (somebody deleted the state Secret), Settle (the process that made a claim is gone).
//
// # The order of one exchange
//
// exchange.go is the only place where a refresh token is spent. What a crash leaves behind, after each step:
//
//	step       what is durable then                        what the next process does
//	reserve    journal: an empty file                      removes it
//	dial       nothing changed                             starts over
//	claim      state: claim {token hash, attempt, holder}  finds no mark in the journal: nothing was sent, the token is intact
//	mark       journal: the request is about to be sent    waits until the holder is gone, then counts the reply as lost
//	send       the same; the token may be spent            the same: it cannot be told from the line above
//	read       journal: the reply                          stores it, 0 calls
//	commit     state: serial+1, new tokens, no claim       publishes, 0 calls
//	publish    workload Secret: serial+1                   writes the status
//	status     the view                                    nothing
//
// The claim is a compare-and-swap on the state Secret, so of two operators only one sends, whoever leads. The window that no
// client can close is between the mark, an instant before the first byte, and the reply being in the journal: see docs/guarantees.md.
//
// # Consumers in other namespaces
//
// A FluentToken publishes the credential's token in its own namespace, where spec.allowedNamespaces permits it. Its passes have the
// same form, with a plan of their own (internal/distribution), and spend nothing: the token comes out of the state Secret. The pass
// of the credential that obtains a token publishes it for all consumers beside its own publication (distribute.go); only the count in
// its status waits for them, and not for long.
//
//	FluentToken  ──▶ tokenobserve.go: consent, state, Secret ──▶ distribution.Next ──▶ publish, withdraw, release … ──▶ tokenreport.go
//	Exchange ──▶ commit ──▶ publish  ∥  distribute: the same observe and publish for every consumer
//
// # Where things are
//
//	fluentcredential_controller.go  Reconciler, Reconcile, perform
//	observe.go login.go workload.go   what a pass looks at
//	exchange.go outcome.go                        claim, send, commit; what an answer makes of the state
//	guard.go journal.go journalkey.go             logins that may be tried; replies on disk
//	publish.go recover.go revoke.go release.go    the other actions
//	publisher.go                                  reads, writes and removes workload Secrets, whoever owns them
//	fluenttoken_controller.go tokenobserve.go tokenstatus.go tokenreport.go tokenwatches.go consumers.go   FluentTokens
//	distribute.go                                 a new token goes to all consumers
//	restart.go                                    what a former process left in the journal
//	delivery.go                                   after a publication: pods and workloads are told (internal/delivery)
//	status.go statusview.go history.go report.go events.go measure.go   what people see
//	memory.go mark.go                             what this process remembers, and its machine
//	hosts.go turns.go health.go                   what is on its way to token hosts, their rate, and whose turn is next
//	forecast.go                                   who waits for a turn is not looked at in vain
//	watches.go wiring.go setup.go                 what wakes the controllers
//	strip.go index.go                             what the caches keep
package controllers
