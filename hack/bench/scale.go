package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/fluent-credential/operator/hack/localcluster"
)

// The scenarios at scale. Each has a control plane of its own and leaves its figures in a file, so that each can be run alone; the
// report is made of all the files that are there.

// scenario is one measurement.
type scenario struct {
	name    string
	measure func(*bench, context.Context) (any, error)
}

var scenarios = []scenario{
	{"rate", (*bench).measureRate},
	{"limited", (*bench).measureLimited},
	{"foreign", (*bench).measureForeign},
	{"failover", (*bench).measureFailover},
	{"sizes", (*bench).measureSizes}, // the longest is the last
}

// etcdFlags: fifty thousand credentials and their history are more than etcd holds by default.
var etcdFlags = map[string]string{"quota-backend-bytes": "8589934592", "auto-compaction-mode": "periodic", "auto-compaction-retention": "1m"}

// scale runs the chosen scenarios, and writes the report.
func scale(ctx context.Context, chosen options) error {
	if err := os.MkdirAll(chosen.out, 0o755); err != nil {
		return err
	}
	for _, scenario := range scenarios {
		if chosen.scenarios != "" && !slices.Contains(strings.Split(chosen.scenarios, ","), scenario.name) {
			continue
		}
		if err := runScenario(ctx, chosen, scenario); err != nil {
			return fmt.Errorf("%s: %w", scenario.name, err)
		}
		if err := writeReport(chosen.out); err != nil {
			return err
		}
	}
	return writeReport(chosen.out)
}

func runScenario(ctx context.Context, chosen options, scenario scenario) (err error) {
	b := &bench{options: chosen, pace: chosen.pace(), began: time.Now(), results: newResults(chosen)}
	cluster, err := localcluster.Start(localcluster.Options{
		Name: "fluent-bench", Files: map[string]string{auditPolicyFile: auditPolicy}, APIServerFlags: auditFlags, EtcdFlags: etcdFlags,
	})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, cluster.Stop()) }()
	b.cluster = cluster
	fmt.Fprintf(os.Stderr, "\n%s\n", strings.ToUpper(scenario.name))
	if err := b.install(ctx); err != nil {
		return err
	}
	measured, err := scenario.measure(b, ctx)
	if err != nil {
		return errors.Join(err, b.lastWords(ctx))
	}
	took := time.Since(b.began).Seconds()
	return saveJSON(filepath.Join(chosen.out, scenario.name+".json"), outcome{Machine: b.results.Machine, Took: took, Figures: measured})
}

// outcome is one scenario's file.
type outcome struct {
	Machine machine `json:"machine"`
	Took    float64 `json:"tookSeconds"`
	Figures any     `json:"figures"`
}

// startServerFor starts a server that knows so many users, and the bare client.
func (b *bench) startServerFor(name string, life time.Duration, users int) (*localcluster.Authsim, error) {
	args := []string{"--token-lifetime=" + life.String(), "--client=" + clientID, "--client-secret=" + clientSecret}
	for i := range users {
		args = append(args, "--user="+userName(i), "--password="+password)
	}
	return b.cluster.StartAuthsim(name, append(args, "--user="+bareName, "--password="+password)...)
}

// castAll casts the credentials from one number to another.
func (b *bench) castAll(ctx context.Context, m *mold, from, to int, lifeOf func(i int) span) error {
	return b.eachTold(ctx, from, to, func(ctx context.Context, i int) error { return m.cast(ctx, b, i, lifeOf(i)) })
}

// eachTold makes the credentials from one number to another, and tells how it goes.
func (b *bench) eachTold(ctx context.Context, from, to int, makeOne func(ctx context.Context, i int) error) error {
	began, step := time.Now(), max((to-from)/5, 1)
	return each(ctx, to-from, func(ctx context.Context, i int) error {
		if i > 0 && i%step == 0 {
			b.say("  %d of %d credentials, %.0f a second", from+i, to, float64(i)/time.Since(began).Seconds())
		}
		return makeOne(ctx, from+i)
	})
}

// resting is the life of a token that is not due for a day.
func resting(int) span {
	now := time.Now()
	return span{obtained: now, refresh: now.Add(24 * time.Hour), expires: now.Add(48 * time.Hour)}
}

// silence is how long the audit log has to be still before the operator is asked whether it is done.
const silence = 4 * time.Second

// untilSilent waits until the API server hears no more of the operator and so many credentials are ready, and returns when it was heard
// last. Between filling its caches and the first pass it asks for nothing while it queues what it found. It is asked itself only when it is
// silent: to answer is work for it.
func (b *bench) untilSilent(ctx context.Context, ready int) (time.Time, error) {
	var size int64
	last := time.Now()
	asked := last
	err := b.until(ctx, "the operator is silent", time.Hour, func() (bool, error) {
		file, err := os.Stat(filepath.Join(b.cluster.Dir, auditLogFile))
		if err != nil {
			return false, err
		}
		if file.Size() != size {
			size, last = file.Size(), time.Now()
		}
		if time.Since(last) <= silence || time.Since(asked) <= silence {
			return false, nil
		}
		asked = time.Now()
		seen, err := b.scrape(ctx)
		return int(seen.sum("fluent_credential_ready")) == ready, err
	})
	return last, err
}

// mustBeReady looks whether so many are ready, once all is still.
func (b *bench) mustBeReady(ctx context.Context, count int) error {
	seen, err := b.scrape(ctx)
	if err != nil {
		return err
	}
	if ready := int(seen.sum("fluent_credential_ready")); ready != count {
		return fmt.Errorf("%d of %d credentials are ready", ready, count)
	}
	return nil
}
