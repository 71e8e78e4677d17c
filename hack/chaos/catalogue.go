package main

import (
	"context"
	"time"
)

// fault is one row of the table.
type fault struct {
	name, title string
	cases       []scenario
	notes       []string
}

// scenario is one way in which a fault happens. It gets a stage of its own for every round.
type scenario struct {
	name  string
	quick bool // a part of the short pass
	setting
	most time.Duration // how long it may take; zero: a few minutes
	run  func(ctx context.Context, s *stage) error
	// waits is for a scenario that does little but wait: many of them are played beside the others.
	waits bool
	// onDemand is for a scenario that another one contains: it is played where --case asks for it.
	onDemand bool
	// alone is for a scenario that needs a control plane of its own.
	alone bool
}

// catalogue is every fault, in the order of the table.
func catalogue(pass pass) []fault {
	return []fault{
		{name: "F1", title: "SIGKILL before the send", cases: killedBeforeTheSend()},
		{name: "F2", title: "SIGKILL while the reply is on the wire", cases: killedBeforeTheReply()},
		{name: "F3", title: "SIGKILL between reply and commit", cases: killedBeforeTheCommit()},
		{name: "F4", title: "SIGKILL between commit and publish, or after", cases: killedAfterTheCommit()},
		{name: "F5", title: "SIGKILL at every system call of one rotation", cases: killedEverywhere(pass.quick)},
		{name: "F6", title: "journal file torn at any byte, bits flipped", cases: tornJournal(pass.quick)},
		{name: "F7", title: "leader frozen, another takes over, thawed", cases: frozenLeader()},
		{name: "F8", title: "several leaders forced", cases: twoLeaders(pass.quick)},
		{name: "F9", title: "Kubernetes API down before the claim", cases: awayBeforeTheClaim()},
		{name: "F10", title: "Kubernetes API down from reply to commit", cases: awayBeforeTheCommit(pass.outage())},
		{name: "F11", title: "the answer to a compare-and-swap is lost", cases: lostAnswers()},
		{name: "F12", title: "the token endpoint refuses, or swallows", cases: deafEndpoint()},
		{name: "F13", title: "the reply lost, cut, reset, replaced by a 502", cases: brokenReplies(pass.quick)},
		{name: "F14", title: "5xx before the server did anything", cases: serverErrors()},
		{name: "F15", title: "the network delivers the request twice", cases: doubled()},
		{name: "F16", title: "the connection closed, a redirect to another host", cases: elsewhere()},
		{name: "F17", title: "wrong password, locked account, password changed, with a crash loop", cases: refusedLogins(pass.quick)},
		{name: "F18", title: "many due together, host limit 30 a minute", cases: dueTogether(pass.quick)},
		{name: "F19", title: "the clock jumps by an hour or a day, either way", cases: clockJumps()},
		{name: "F20", title: "journal disk full, read-only, fsync error", cases: failingDisks()},
		{name: "F21", title: "state Secret deleted or edited by a person", cases: meddledState()},
		{name: "F22", title: "etcd restored from an old snapshot", cases: restoredBackups()},
		{name: "F23", title: "workload Secret deleted, edited; FluentCredential deleted in mid-exchange", cases: meddledObjects()},
		{name: "F24", title: "another client uses the same login", cases: strangers()},
		{name: "F25", title: "odd replies", cases: oddReplies()},
		{name: "F32", title: "other tenants' poisoned objects of every kind", cases: poisonedTenants(pass.quick)},
	}
}

// outage is how long the Kubernetes API is away.
func (p pass) outage() time.Duration {
	if p.quick {
		return 20 * time.Second
	}
	return 10 * time.Minute
}
