package main

import (
	"context"
	"errors"
	"slices"
	"syscall"
	"time"
)

// rateFigures are the most that is to be had.
type rateFigures struct {
	Overdue  overdue `json:"overdue"`
	Operator turn    `json:"operator"`
	Bare     []turn  `json:"bareClientBeforeAndAfter"`
}

// turn is what one of the two did while it was counted.
type turn struct {
	Rotations int       `json:"rotations"`
	Seconds   float64   `json:"seconds"`
	Requests  *requests `json:"requests"` // known when the audit log is read
}

func turnOf(done work) turn { return turn{done.Rotations, done.Seconds, done.requests} }

func (t turn) rate() float64 { return float64(t.Rotations) / t.Seconds }

// ratio is the operator's share of what the bare client makes.
func (r *rateFigures) ratio() float64 {
	var bare turn
	for _, window := range r.Bare {
		bare.Rotations += window.Rotations
		bare.Seconds += window.Seconds
	}
	return r.Operator.rate() / bare.rate()
}

// measureRate measures the way out of a long stop, and in it the most rotations a second, between two turns of the bare client.
func (b *bench) measureRate(ctx context.Context) (any, error) {
	count := b.options.saturated
	server, err := b.startServerFor("pressing", secondLife(count), count)
	if err != nil {
		return nil, err
	}
	b.pressing = server
	m, err := b.makeMold(ctx, server, count)
	if err != nil {
		return nil, err
	}
	bare, err := b.bareOfMold(ctx, m)
	if err != nil {
		return nil, err
	}
	when, err := b.prepareOverdue(ctx, m, count, 90*time.Second, 25*time.Millisecond)
	if err != nil {
		return nil, err
	}
	return b.rateBetween(ctx, bare, when)
}

// rateBetween is the operator's turn, between two of the bare client.
func (b *bench) rateBetween(ctx context.Context, bare *bareClient, when deadlines) (_ any, err error) {
	var figures rateFigures
	if figures.Overdue, err = b.serveOverdue(ctx, b.pressing, when, 0); err != nil {
		return nil, err
	}
	if err := b.operatorTurn(ctx, bare, &figures); err != nil {
		return nil, err
	}
	return &figures, errors.Join(b.bareTurn(ctx, bare, &figures), b.tallyAudit(ctx))
}

// secondLife is the life of the tokens that the operator obtains: they come due again when all were served, even on a machine that
// serves a bare fifty a second.
func secondLife(count int) time.Duration { return lifeFor(count, 50) }

// operatorTurn measures the operator while more is due than it can do, and all was looked at before: the first look after a start costs
// reads of the login and of the workload Secret, which are a start's and not a rotation's. From the moment at which the first token
// comes due again it is held up, until a quarter are. Meanwhile the bare client has its turn: what the machine does changes within
// minutes.
func (b *bench) operatorTurn(ctx context.Context, bare *bareClient, figures *rateFigures) error {
	due, err := b.dueTimes(ctx)
	if err != nil {
		return err
	}
	if err := b.pass(ctx, time.Until(due[0])); err != nil {
		return err
	}
	many := due[len(due)/4]
	b.say("the operator is held up for %.0f s, until many are due again", time.Until(many).Seconds())
	if err := b.holdUp(ctx, many, bare, figures); err != nil {
		return err
	}
	b.say("saturated for %s: the operator", b.pace.round)
	if err := b.pass(ctx, bareWarmUp); err != nil {
		return err
	}
	counted, err := b.countTurn(ctx, figures.Overdue.Credentials/2)
	if err != nil {
		return err
	}
	if err := b.operator.Stop(); err != nil {
		return err
	}
	done, err := workIn(ctx, b.pressing, counted)
	figures.Operator = turnOf(done)
	return err
}

// holdUp stops the operator until then. The bare client has its turn at the end of that time.
func (b *bench) holdUp(ctx context.Context, until time.Time, bare *bareClient, figures *rateFigures) error {
	b.operator.Signal(syscall.SIGSTOP)
	defer b.operator.Signal(syscall.SIGCONT)
	if err := b.pass(ctx, time.Until(until)-bareWarmUp-b.pace.round); err != nil {
		return err
	}
	if err := b.bareTurn(ctx, bare, figures); err != nil {
		return err
	}
	return b.pass(ctx, time.Until(until))
}

// dueTimes are when the operator will refresh, the earliest first.
func (b *bench) dueTimes(ctx context.Context) ([]time.Time, error) {
	seen, err := b.scrape(ctx)
	if err != nil {
		return nil, err
	}
	var due []time.Time
	for _, seconds := range seen.values("fluent_credential_token_next_refresh_timestamp_seconds") {
		due = append(due, time.UnixMilli(int64(seconds*1000)))
	}
	if len(due) == 0 {
		return nil, errors.New("the operator tells of no refresh to come")
	}
	slices.SortFunc(due, time.Time.Compare)
	return due, nil
}

// countTurn is the window of a turn; it is shorter where so many were served before.
func (b *bench) countTurn(ctx context.Context, most int) (*window, error) {
	follower, err := b.followAudit()
	if err != nil {
		return nil, err
	}
	defer follower.Close() //nolint:errcheck // it was only read
	counted := b.open(operatorName)
	err = b.operator.Until(ctx, pollEvery, func() (bool, error) {
		served, err := follower.statuses()
		return served >= most || time.Since(counted.from) >= b.pace.round, err
	})
	counted.close()
	return counted, err
}

func (b *bench) bareTurn(ctx context.Context, bare *bareClient, figures *rateFigures) error {
	b.say("saturated for %s: the bare client", b.pace.round)
	done, err := b.bareRound(ctx, bare)
	figures.Bare = append(figures.Bare, turnOf(done))
	return err
}

// bareOfMold makes the bare client's own objects.
func (b *bench) bareOfMold(ctx context.Context, m *mold) (*bareClient, error) {
	kubernetes, err := newClient(b.bareUser)
	if err != nil {
		return nil, err
	}
	made := b.emptyBareClient(kubernetes, bareCredentials)
	b.say("making the bare client's %d credentials", bareCredentials)
	return made, each(ctx, bareCredentials, func(ctx context.Context, i int) error {
		copied, err := b.copyObjects(ctx, kubernetes, keyOf(bare, i), m.cred.DeepCopy(), m.state.DeepCopy(), m.workload.DeepCopy())
		if err == nil {
			made.idle <- copied
		}
		return err
	})
}

// bareCredentials are enough: the bare client does not know how many there are.
const bareCredentials = 500

// measureLimited is the way out of a stop where the token host is held to a rate.
func (b *bench) measureLimited(ctx context.Context) (any, error) {
	count := b.options.limited
	server, err := b.startServerFor("limited", time.Hour, count)
	if err != nil {
		return nil, err
	}
	m, err := b.makeMold(ctx, server, count)
	if err != nil {
		return nil, err
	}
	each := time.Minute / time.Duration(limitedRate)
	when, err := b.prepareOverdue(ctx, m, count, 10*time.Second, each+each/10)
	if err != nil {
		return nil, err
	}
	found, err := b.serveOverdue(ctx, server, when, limitedRate)
	return &found, errors.Join(err, b.operator.Stop())
}

// limitedRate is --host-rate.
const limitedRate = 600
