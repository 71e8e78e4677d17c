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
	Operator []turn  `json:"operator"`
	Bare     []turn  `json:"bareClient"` // each before a turn of the operator, and one after the last
}

// turn is what one of the two did while it was counted.
type turn struct {
	Rotations int       `json:"rotations"`
	Seconds   float64   `json:"seconds"`
	Requests  *requests `json:"requests"` // known when the audit log is read
}

func turnOf(done work) turn { return turn{done.Rotations, done.Seconds, done.requests} }

func (t turn) rate() float64 { return float64(t.Rotations) / t.Seconds }

// together is the rate of several turns.
func together(turns []turn) float64 {
	var sum turn
	for _, one := range turns {
		sum.Rotations += one.Rotations
		sum.Seconds += one.Seconds
	}
	return sum.rate()
}

// ratio is the operator's share of what the bare client makes.
func (r *rateFigures) ratio() float64 { return together(r.Operator) / together(r.Bare) }

// measureRate measures the way out of a long stop, and in it the most rotations a second, in turns with the bare client.
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
	return b.rateInTurns(ctx, bare, when)
}

// rateInTurns lets the bare client and the operator take turns.
func (b *bench) rateInTurns(ctx context.Context, bare *bareClient, when deadlines) (_ any, err error) {
	var figures rateFigures
	if figures.Overdue, err = b.serveOverdue(ctx, b.pressing, when, 0); err != nil {
		return nil, err
	}
	if err := b.operatorTurns(ctx, bare, &figures); err != nil {
		return nil, err
	}
	return &figures, errors.Join(b.bareTurn(ctx, bare, &figures), b.tallyAudit(ctx))
}

// secondLife is the life of the tokens that the operator obtains: they come due again when all were served, even on a machine that
// serves a bare fifty a second.
func secondLife(count int) time.Duration { return lifeFor(count, 50) }

// turns is how many turns there are before the first token expires that came due in them.
func (b *bench) turns(count int) int {
	return min(max(int(secondLife(count)/2/(3*b.pace.round)), 1), b.pace.turns)
}

// operatorTurns measure the operator while more is due than it can do, and all was looked at before: the first look after a start costs
// reads of the login and of the workload Secret, which are a start's and not a rotation's. From the moment at which the first token
// comes due again it is held up, until a quarter are. The bare client has its turns while the operator is held up: what the machine does
// changes within a minute.
func (b *bench) operatorTurns(ctx context.Context, bare *bareClient, figures *rateFigures) error {
	due, err := b.dueTimes(ctx)
	if err != nil {
		return err
	}
	if err := b.pass(ctx, time.Until(due[0])); err != nil {
		return err
	}
	many, turns := due[len(due)/4], b.turns(len(due))
	b.say("the operator is held up for %.0f s, until many are due again", time.Until(many).Seconds())
	b.operator.Signal(syscall.SIGSTOP)
	defer b.operator.Signal(syscall.SIGCONT) // so that it can be stopped
	if err := b.pass(ctx, time.Until(many)-bareWarmUp-b.pace.round); err != nil {
		return err
	}
	for range turns {
		if err := b.bareTurn(ctx, bare, figures); err != nil {
			return err
		}
		if err := b.pass(ctx, time.Until(many)); err != nil {
			return err
		}
		if err := b.operatorTurn(ctx, len(due)/2/turns, figures); err != nil {
			return err
		}
	}
	b.operator.Signal(syscall.SIGCONT)
	return b.operator.Stop()
}

// operatorTurn lets the operator work for a while.
func (b *bench) operatorTurn(ctx context.Context, most int, figures *rateFigures) error {
	b.say("saturated for %s: the operator", b.pace.round)
	b.operator.Signal(syscall.SIGCONT)
	err := b.pass(ctx, bareWarmUp)
	if err != nil {
		return err
	}
	counted, err := b.countTurn(ctx, most)
	b.operator.Signal(syscall.SIGSTOP)
	if err != nil {
		return err
	}
	done, err := workIn(ctx, b.pressing, counted)
	figures.Operator = append(figures.Operator, turnOf(done))
	return err
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
		cred := m.cred.DeepCopy()
		cred.Status.History = oldHistory()
		copied, err := b.copyObjects(ctx, kubernetes, keyOf(bare, i), cred, m.state.DeepCopy(), m.workload.DeepCopy())
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
