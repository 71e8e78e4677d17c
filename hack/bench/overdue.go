package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/fluent-credential/operator/api/v1alpha1"
	"github.com/fluent-credential/operator/hack/authsim"
	"github.com/fluent-credential/operator/hack/localcluster"
)

// overdue is what became of credentials that were all due when the operator came back.
type overdue struct {
	Credentials int     `json:"credentials"`
	HostRate    int     `json:"hostRate"`
	Seconds     float64 `json:"secondsToServeAll"`
	Expired     int     `json:"expiredBeforeTheirTurn"`
	Rank        float64 `json:"rankCorrelationWithDeadlines"`
	Fastest     int     `json:"mostRequestsInAMinute"`
	// Places is, of every credential in the order in which they were served, its place in the order of deadlines, thinned out.
	Places []place `json:"places"`
}

type place struct {
	Served   int `json:"served"`
	Deadline int `json:"deadline"`
}

// deadlines are when the tokens of so many credentials expire: in random order, one after the other, from a moment on.
type deadlines struct {
	due   time.Time
	order []int // by credential: its place
	from  time.Duration
	each  time.Duration
}

func newDeadlines(count int, due time.Time, from, each time.Duration) deadlines {
	return deadlines{due: due, order: rand.New(rand.NewPCG(1, 2)).Perm(count), from: from, each: each} // the same in every run
}

func (d deadlines) expiry(i int) time.Time {
	return d.due.Add(d.from + time.Duration(d.order[i])*d.each).Round(time.Second).Add(time.Duration(i) * time.Microsecond)
}

func (d deadlines) span(i int) span {
	return span{obtained: d.due.Add(-time.Hour), refresh: d.due, expires: d.expiry(i)}
}

// prepareOverdue casts credentials that will be due at one moment, has the operator adopt them, and stops it. When that moment is,
// follows from how fast this machine makes all but their states, which is the larger part of the work.
func (b *bench) prepareOverdue(ctx context.Context, m *mold, count int, from, apart time.Duration) (deadlines, error) {
	began, bodies := time.Now(), make([]*v1alpha1.FluentCredential, count)
	err := b.eachTold(ctx, 0, count, func(ctx context.Context, i int) (err error) {
		bodies[i], err = m.castBody(ctx, b, i)
		return err
	})
	if err != nil {
		return deadlines{}, err
	}
	when := newDeadlines(count, time.Now().Add(30*time.Second+preparations*time.Since(began)), from, apart)
	err = each(ctx, count, func(ctx context.Context, i int) error { return m.castState(ctx, b, bodies[i], i, when.span(i)) })
	if err != nil {
		return deadlines{}, err
	}
	return when, b.adoptOverdue(ctx, when)
}

// preparations is how many times as long as to make the bodies it takes at most to make the states and to have them adopted.
const preparations = 3

// adoptOverdue lets the operator publish what was cast, and waits until all are due.
func (b *bench) adoptOverdue(ctx context.Context, when deadlines) error {
	b.say("they are to be adopted within %.0f s", time.Until(when.due).Seconds())
	if err := b.startOperator(ctx, "--namespaces="+operatedNamespaces()); err != nil { // the bare client's are none of its business
		return err
	}
	if _, err := b.untilSilent(ctx, len(when.order)); err != nil {
		return err
	}
	if err := b.operator.Stop(); err != nil {
		return err
	}
	left := time.Until(when.due)
	if left < 0 {
		return fmt.Errorf("the preparation took %.0f s too long", -left.Seconds())
	}
	b.say("the operator is stopped; all are due in %.0f s", left.Seconds())
	select {
	case <-time.After(left):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// serveOverdue starts the operator and waits until all were served.
func (b *bench) serveOverdue(ctx context.Context, server *localcluster.Authsim, when deadlines, limit int) (overdue, error) {
	count, began := len(when.order), time.Now()
	found := overdue{Credentials: count, HostRate: limit}
	args := []string{"--namespaces=" + operatedNamespaces()}
	if limit > 0 {
		args = append(args, fmt.Sprintf("--host-rate=%d", limit))
	}
	follower, err := b.followAudit()
	if err != nil {
		return found, err
	}
	defer follower.Close() //nolint:errcheck // it was only read
	if err := b.startOperator(ctx, args...); err != nil {
		return found, err
	}
	if err := b.untilServed(ctx, follower, count); err != nil {
		return found, err
	}
	return found, b.judgeOverdue(ctx, server, when, began, &found)
}

// untilServed counts the statuses that were written: one for each rotation.
func (b *bench) untilServed(ctx context.Context, follower *auditFollower, count int) error {
	told := time.Now()
	return b.operator.Until(ctx, pollEvery, func() (bool, error) {
		served, err := follower.statuses()
		if time.Since(told) > 15*time.Second {
			b.say("  about %d of %d were served", served, count)
			told = time.Now()
		}
		return served >= count, err
	})
}

// judgeOverdue looks at the server's ledger: which refresh token came when.
func (b *bench) judgeOverdue(ctx context.Context, server *localcluster.Authsim, when deadlines, began time.Time, found *overdue) error {
	served, err := b.servedOrder(ctx, server, len(when.order), began)
	if err != nil {
		return err
	}
	var places []float64
	for position, request := range served {
		deadline := when.order[request.credential]
		places = append(places, float64(deadline))
		if late := request.at.Sub(when.expiry(request.credential)); late > 0 {
			found.Expired++
			b.say("  the one with deadline %d was served as number %d, %.1f s after the start and %.1f s too late",
				deadline, position, request.at.Sub(began).Seconds(), late.Seconds())
		}
		if position%max(len(served)/500, 1) == 0 {
			found.Places = append(found.Places, place{position, deadline})
		}
	}
	found.Seconds = served[len(served)-1].at.Sub(began).Seconds()
	found.Rank, found.Fastest = rankCorrelation(places), mostInAMinute(served)
	return nil
}

// service is the first refresh of a credential.
type service struct {
	credential int
	at         time.Time
}

// servedOrder is the order in which the credentials got their next token: each has a user of its own.
func (b *bench) servedOrder(ctx context.Context, server *localcluster.Authsim, count int, began time.Time) ([]service, error) {
	b.say("  asking in which order they were served")
	ledger, err := server.Ledger(ctx)
	if err != nil {
		return nil, err
	}
	var served []service
	seen := map[string]bool{bareName: true}
	for _, request := range ledger.TokenRequests {
		if request.Grant != authsim.GrantRefreshToken || request.Outcome != authsim.OutcomeGranted || seen[request.Username] || request.Time.Before(began) {
			continue
		}
		seen[request.Username] = true
		number := 0
		if _, err := fmt.Sscanf(request.Username, "user-%d", &number); err != nil {
			return nil, err
		}
		served = append(served, service{number, request.Time})
	}
	if len(served) != count {
		return nil, fmt.Errorf("%d of %d were served, as the server's ledger says", len(served), count)
	}
	slices.SortFunc(served, func(a, b service) int { return a.at.Compare(b.at) })
	return served, nil
}

// rankCorrelation is Spearman's, of a sequence of distinct numbers from 0 on with its own order: 1 where they grow.
func rankCorrelation(places []float64) float64 {
	n, sum := float64(len(places)), 0.0
	if n < 2 {
		return 1
	}
	for position, place := range places {
		sum += (float64(position) - place) * (float64(position) - place)
	}
	return 1 - 6*sum/(n*(n*n-1))
}

// mostInAMinute is the most requests that fell into any one minute.
func mostInAMinute(served []service) int {
	most, first := 0, 0
	for last := range served {
		for served[last].at.Sub(served[first].at) >= time.Minute {
			first++
		}
		most = max(most, last-first+1)
	}
	return most
}
