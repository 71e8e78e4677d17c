package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"time"
)

// pass is how much is done.
type pass struct {
	quick    bool
	only     []string // empty: all
	except   []string
	part     string // of the names of the scenarios that are played; empty: all
	rounds   int
	parallel int
}

// includes tells whether a fault was asked for.
func (p pass) includes(name string) bool {
	return (len(p.only) == 0 || slices.Contains(p.only, name)) && !slices.Contains(p.except, name)
}

// runner runs scenarios, several at a time, and sums up.
type runner struct {
	pass  pass
	plant *plant
	out   io.Writer
	began time.Time

	mu     sync.Mutex
	rows   []row
	stages int
}

// job is one round of one scenario.
type job struct {
	row      int
	fault    string
	scenario scenario
}

// run runs everything that was asked for.
func (r *runner) run(ctx context.Context, faults []fault) []row {
	var jobs []job
	for _, each := range faults {
		if !r.pass.includes(each.name) {
			continue
		}
		r.rows = append(r.rows, row{Fault: each.name, Title: each.title, Notes: each.notes})
		for _, scenario := range each.cases {
			for range r.roundsOf(scenario) {
				jobs = append(jobs, job{row: len(r.rows) - 1, fault: each.name, scenario: scenario})
			}
		}
	}
	// The longest first, so that nothing long is left over at the end; what waits before what works.
	slices.SortStableFunc(jobs, func(a, b job) int { return int(b.scenario.most - a.scenario.most) })
	slices.SortStableFunc(jobs, func(a, b job) int { return weight(a) - weight(b) })
	// What measures how late others are has the machine to itself.
	var last []job
	jobs = slices.DeleteFunc(jobs, func(j job) bool {
		if j.scenario.installed {
			last = append(last, j)
		}
		return j.scenario.installed
	})
	at := slices.IndexFunc(jobs, func(j job) bool { return !j.scenario.waits })
	if at < 0 {
		at = len(jobs)
	}
	var group sync.WaitGroup
	group.Go(func() { r.playAll(ctx, jobs[:at], waitingAtOnce) })
	group.Go(func() { r.playAll(ctx, jobs[at:], r.pass.parallel) })
	group.Wait()
	r.playAll(ctx, last, 1)
	return r.rows
}

// waitingAtOnce is how many scenarios are played at a time that do little but wait.
const waitingAtOnce = 12

// playAll plays so many at a time.
func (r *runner) playAll(ctx context.Context, jobs []job, atOnce int) {
	queue := make(chan job)
	var group sync.WaitGroup
	for range atOnce {
		group.Go(func() {
			for next := range queue {
				r.play(ctx, next)
			}
		})
	}
	for _, next := range jobs {
		queue <- next
	}
	close(queue)
	group.Wait()
}

func weight(j job) int {
	if j.scenario.waits {
		return 0
	}
	return 1
}

func (r *runner) roundsOf(scenario scenario) int {
	if r.pass.quick && !scenario.quick || scenario.onDemand && r.pass.part == "" || !strings.Contains(scenario.name, r.pass.part) {
		return 0
	}
	return r.pass.rounds
}

// usualMost is how long a scenario may take that does not say it.
const usualMost = 8 * time.Minute

// play runs one round and enters what came of it.
func (r *runner) play(ctx context.Context, next job) {
	if ctx.Err() != nil {
		return
	}
	began := time.Now()
	say := func(format string, args ...any) {
		r.say("%-4s %s: %s", next.fault, next.scenario.name, fmt.Sprintf(format, args...))
	}
	most := next.scenario.most
	if most == 0 {
		most = usualMost
	}
	bounded, cancel := context.WithTimeout(ctx, most)
	defer cancel()
	result, err := r.onStage(bounded, next, say)
	if ctx.Err() != nil {
		return // a person ended it: that is no verdict
	}
	if err != nil {
		result.Findings = append(result.Findings, err.Error())
	}
	for i, finding := range result.Findings {
		result.Findings[i] = next.scenario.name + ": " + finding
	}
	say("%s in %.0f s", summary(result), time.Since(began).Seconds())
	r.mu.Lock()
	defer r.mu.Unlock()
	result.Runs = 1
	r.rows[next.row].add(result)
	r.rows[next.row].Seconds += time.Since(began).Seconds()
}

func summary(result tally) string {
	if len(result.Findings) > 0 {
		return "BROKEN: " + strings.Join(result.Findings, "; ")
	}
	return fmt.Sprintf("held (presented %d at most, %d chains lost, %d passwords, %.1f s without)",
		result.Presented, result.Lost, result.Passwords, result.Without)
}

// onStage puts a stage up, plays the scenario on it, and has it judged.
func (r *runner) onStage(ctx context.Context, next job, say func(string, ...any)) (_ tally, err error) {
	ground := r.plant
	if next.scenario.alone {
		if ground, err = newPlant(ctx); err != nil {
			return tally{}, err
		}
		defer func() { err = errors.Join(err, ground.cluster.Stop()) }()
	}
	if next.scenario.installed {
		if err := ground.installWhole(ctx); err != nil {
			return tally{}, err
		}
	}
	s, err := newStage(ctx, ground, r.namespace(next.fault), next.scenario.setting, say)
	if err != nil {
		return tally{}, err
	}
	defer func() { err = errors.Join(err, s.clear()) }()
	if !s.idle {
		if err := s.begin(ctx); err != nil {
			return tally{}, s.lastWords(err)
		}
	}
	err = next.scenario.run(ctx, s)
	return s.judge(ctx), s.lastWords(err)
}

// lastWords tells the end of the operator's log after an error.
func (s *stage) lastWords(err error) error {
	if err != nil && s.replicas[0].current() != nil {
		s.say("the end of the operator's log:\n%s", s.replicas[0].current().LastLines(6))
	}
	return err
}

// namespace is one that nothing else uses.
func (r *runner) namespace(fault string) string {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.stages++
	return fmt.Sprintf("%s-%d", strings.ToLower(fault), r.stages)
}

// say tells what goes on.
func (r *runner) say(format string, args ...any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	fmt.Fprintf(r.out, "[%4.0f s] %s\n", time.Since(r.began).Seconds(), fmt.Sprintf(format, args...))
}
