package main

import (
	"context"
	"fmt"
	"syscall"
	"time"

	"github.com/fluent-credential/operator/hack/authsim"
	"github.com/fluent-credential/operator/hack/localcluster"
)

// failoverFigures are how long nobody rotates when the leader goes.
type failoverFigures struct {
	Credentials int       `json:"credentials"`
	Rate        float64   `json:"rotationsPerSecond"`
	Terminated  []handing `json:"terminated"`
	Killed      []handing `json:"killed"`
	Reuses      int       `json:"refreshTokensReused"`
	LoginsAgain int       `json:"loginsAgain"`
}

// handing is one change of the leader.
type handing struct {
	Ended float64 `json:"processEndedAfterSeconds"`
	Next  float64 `json:"nextRotationAfterSeconds"`    // from the signal
	Storm int     `json:"mostRotationsInASecondAfter"` // in the ten seconds from then on
}

// failoverCredentials rotate failoverRate times a second.
const (
	failoverCredentials = 200
	failoverRate        = 20
)

func (b *bench) measureFailover(ctx context.Context) (any, error) {
	life := lifeFor(failoverCredentials, failoverRate)
	server, err := b.startServerFor("steady", life, failoverCredentials)
	if err != nil {
		return nil, err
	}
	m, err := b.makeMold(ctx, server, failoverCredentials)
	if err != nil {
		return nil, err
	}
	for _, command := range []string{
		"create role leases -n " + localcluster.OperatorNamespace + " --verb=get,create,update,patch --resource=leases.coordination.k8s.io",
		"create rolebinding leases -n " + localcluster.OperatorNamespace + " --role=leases --user=" + operatorName,
	} {
		if err := b.kubectl(ctx, command); err != nil {
			return nil, err
		}
	}
	now := time.Now()
	err = b.castAll(ctx, m, 0, failoverCredentials, func(i int) span {
		due := now.Add(15*time.Second + time.Duration(i)*time.Second/failoverRate)
		return span{obtained: now, refresh: due, expires: due.Add(time.Minute)}
	})
	if err != nil {
		return nil, err
	}
	figures := &failoverFigures{Credentials: failoverCredentials, Rate: failoverRate}
	if err := b.handOver(ctx, server, figures); err != nil {
		return nil, err
	}
	ledger, err := server.Ledger(ctx)
	figures.Reuses, figures.LoginsAgain = ledger.Reuses, loginsAgain(ledger)
	return figures, err
}

// handOver lets one leader after the other go.
func (b *bench) handOver(ctx context.Context, server *localcluster.Authsim, figures *failoverFigures) error {
	elects := []string{"--leader-elect=true", "--leader-election-namespace=" + localcluster.OperatorNamespace}
	if err := b.startReplica(ctx, "-0", elects...); err != nil {
		return err
	}
	err := b.until(ctx, "the leader rotates", time.Minute, func() (bool, error) {
		ledger, err := server.Ledger(ctx)
		return ledger.RefreshGrants >= failoverRate, err
	})
	if err != nil {
		return err
	}
	for number := range 2 * b.pace.handings {
		leader := b.operator
		b.say("a standby starts")
		if err := b.startReplica(ctx, fmt.Sprintf("-%d", number+1), elects...); err != nil {
			return err
		}
		if err := b.pass(ctx, b.pace.between); err != nil {
			return err
		}
		signal, into := syscall.SIGTERM, &figures.Terminated
		if number%2 == 1 {
			signal, into = syscall.SIGKILL, &figures.Killed
		}
		handed, err := b.handed(ctx, server, leader, signal)
		if err != nil {
			return err
		}
		b.say("  %s: the process ended after %.2f s, the next rotation came after %.2f s", signal, handed.Ended, handed.Next)
		*into = append(*into, handed)
	}
	return b.operator.Stop()
}

func (b *bench) startReplica(ctx context.Context, pod string, args ...string) error {
	operator, err := b.cluster.StartReplica(ctx, b.operatorUser, pod, args...)
	b.operator = operator
	return err
}

// handed ends the leader, and waits for ten seconds of the other's work.
func (b *bench) handed(ctx context.Context, server *localcluster.Authsim, leader *localcluster.Operator, signal syscall.Signal) (handing, error) {
	from := time.Now()
	leader.Signal(signal)
	<-leader.Done()
	ended := time.Now()
	_ = leader.Stop() // it is known to have ended
	found, first := handing{Ended: ended.Sub(from).Seconds()}, time.Time{}
	err := b.until(ctx, "the other one rotates", time.Minute, func() (bool, error) {
		ledger, err := server.Ledger(ctx)
		if err != nil {
			return false, err
		}
		var ok bool
		first, ok = firstAfter(ledger, ended)
		return ok, err
	})
	if err != nil {
		return found, err
	}
	found.Next = first.Sub(from).Seconds()
	if err := b.pass(ctx, 10*time.Second); err != nil {
		return found, err
	}
	ledger, err := server.Ledger(ctx)
	found.Storm = mostInASecond(ledger, first)
	return found, err
}

func firstAfter(ledger authsim.Ledger, at time.Time) (time.Time, bool) {
	var first time.Time
	for _, request := range ledger.TokenRequests {
		if request.Time.After(at) && (first.IsZero() || request.Time.Before(first)) {
			first = request.Time
		}
	}
	return first, !first.IsZero()
}

// mostInASecond is the most requests in one of the ten seconds after a moment.
func mostInASecond(ledger authsim.Ledger, at time.Time) int {
	var seconds [10]int
	most := 0
	for _, request := range ledger.TokenRequests {
		if after := request.Time.Sub(at); after > 0 && after < 10*time.Second {
			seconds[int(after/time.Second)]++
			most = max(most, seconds[int(after/time.Second)])
		}
	}
	return most
}
