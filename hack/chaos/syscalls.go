package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/fluent-credential/operator/hack/authsim"
	"github.com/fluent-credential/operator/internal/journal"
)

// dealers are the stages that share the stops.
const dealers = 4

// killedEverywhere kills at one stop after another: every system call stops before and after. The work is dealt out to several
// stages, of which each takes every n-th stop.
func killedEverywhere(quick bool) []scenario {
	step := 1
	if quick {
		step = 23 // 23 stops apart: another one of each kind of call
	}
	var cases []scenario
	for first := range dealers {
		cases = append(cases, scenario{
			name: fmt.Sprintf("stops %d, %d, …", 1+first*step, 1+(first+dealers)*step), quick: true, most: 40 * time.Minute,
			run: func(ctx context.Context, s *stage) error {
				return killedFrom(ctx, s, 1+first*step, dealers*step)
			},
		})
	}
	return cases
}

// Parts of a rotation, as they can be told from without.
const (
	beforeClaim   = "before the claim reached the API server"
	claimed       = "between the claim and the journal's word that the request is being sent"
	marked        = "between that word and the first byte"
	inDoubt       = "between the first byte and the journal's seal"
	sealed        = "between the seal and the commit"
	committedPart = "after the commit"
)

// allParts are the parts of a rotation that a full pass has to strike, each of its stages; marked is too short for that.
var allParts = []string{beforeClaim, claimed, inDoubt, sealed, committedPart}

// through is how many rotations in a row have to be over before their stop comes, to say that there are no more stops. Two
// rotations do not make the same number of system calls.
const through = 3

// killedFrom kills at every stop from first on, so many apart, until rotations are over before.
func killedFrom(ctx context.Context, s *stage, first, apart int) error {
	over, kills := 0, map[string]int{}
	for stop := first; over < through; stop += apart {
		part, struck, err := s.killedAtStop(ctx, stop)
		if err != nil {
			return fmt.Errorf("stop %d: %w", stop, err)
		}
		if struck == nil {
			over++
			continue
		}
		over = 0
		kills[part]++
		lost, err := s.recoverFrom(ctx, part, struck)
		if err != nil {
			return fmt.Errorf("stop %d (%s): %w", stop, part, err)
		}
		outcome := "chain kept"
		if lost {
			outcome = "chain given up"
		}
		s.count("SIGKILL "+part+", "+outcome, 1)
		if (stop-first)/apart%50 == 0 {
			s.say("stop %d, %s of call %d: %s", stop, struck.phase, struck.number, part)
		}
	}
	s.count("journal files left over", len(s.replicas[0].journaled()))
	return s.judgeKills(kills, apart)
}

// judgeKills looks whether the rotations were struck at all, and in a full pass in each of their parts.
func (s *stage) judgeKills(kills map[string]int, apart int) error {
	if len(kills) == 0 {
		return errors.New("no rotation was ever killed")
	}
	for _, part := range allParts {
		if kills[part] == 0 && apart == dealers {
			s.find("no rotation was killed %s", part)
		}
	}
	return nil
}

// killedAtStop makes one rotation with a SIGKILL at a stop of it, and tells which part of the rotation it struck.
func (s *stage) killedAtStop(ctx context.Context, stop int) (part string, struck *blow, err error) {
	progress := s.observe()
	defer progress.end()
	tracing, err := killAtStop(s.replicas[0].pid(), stop)
	if err != nil {
		return "", nil, err
	}
	if err := s.creds[0].rotate(ctx); err != nil {
		return "", nil, firstError(err, tracing.end())
	}
	settled, ctxEnd := context.WithCancel(ctx)
	defer ctxEnd()
	done := make(chan error, 1)
	go func() {
		if err := s.creds[0].settled(settled); settled.Err() == nil {
			done <- err
		}
	}()
	struck, err = tracing.outcome(ctx, done)
	if err != nil || struck == nil {
		return "", nil, err
	}
	<-s.replicas[0].current().Done()
	part, err = progress.part(ctx)
	return part, struck, err
}

// recoverFrom starts the operator again and tells whether the chain was given up, which it may be in some parts only.
func (s *stage) recoverFrom(ctx context.Context, part string, struck *blow) (lost bool, err error) {
	before := s.sim.Ledger().RequestsOf(authsim.GrantPassword)
	if err := s.replicas[0].start(ctx); err != nil {
		return false, err
	}
	if err := s.settled(ctx); err != nil {
		return false, err
	}
	if s.sim.Ledger().RequestsOf(authsim.GrantPassword) == before {
		return false, nil
	}
	if part == inDoubt || part == marked { // what the process did between two system calls nobody can know
		s.mayLose++
	} else {
		s.find("SIGKILL at stop %d (%s of call %d), %s, cost the chain", struck.stop, struck.phase, struck.number, part)
	}
	return true, nil
}

// progress is how far a rotation has come, as the proxies and the disk show it.
type progress struct {
	stage              *stage
	sent               int
	before             []string // files in the journal, of rotations that are over
	claim, commit      *trap
	claimed, committed bool
}

// observe looks at the rotation that comes next.
func (s *stage) observe() *progress {
	p := &progress{stage: s, sent: len(s.tokens.sendings()), before: s.replicas[0].journaled()}
	note := func(seen *bool) func(*passage) fate {
		return func(*passage) fate {
			s.mu.Lock()
			defer s.mu.Unlock()
			*seen = true
			return fate{}
		}
	}
	p.claim = s.replicas[0].api.add(answered, -1, isClaim, note(&p.claimed))
	p.commit = s.replicas[0].api.add(answered, -1, isCommit, note(&p.committed))
	return p
}

func (p *progress) end() {
	p.stage.replicas[0].api.remove(p.claim)
	p.stage.replicas[0].api.remove(p.commit)
}

// part tells where the process was killed. What is on its way through a proxy arrives yet, so it looks at the cluster, too.
func (p *progress) part(ctx context.Context) (string, error) {
	err := until(ctx, 10*time.Second, "all that was sent has arrived", func(context.Context) (string, error) {
		if !p.stage.tokens.isIdle() {
			return "a connection is open", nil
		}
		return "", nil
	})
	if err != nil {
		return "", err
	}
	sealedFiles, markedFiles, err := p.stage.journalShows(ctx, p.before)
	if err != nil {
		return "", err
	}
	state, err := p.stage.creds[0].readState(ctx)
	if err != nil {
		return "", err
	}
	p.stage.mu.Lock()
	defer p.stage.mu.Unlock()
	switch {
	case p.committed:
		return committedPart, nil
	case sealedFiles > 0:
		return sealed, nil
	case len(p.stage.tokens.sendings()) > p.sent:
		return inDoubt, nil
	case !p.claimed && !state.claimed: // also where the file was not begun whole, and cannot say «nothing was sent» yet
		return beforeClaim, nil
	case markedFiles > 0:
		return marked, nil
	}
	return claimed, nil
}

// journalShows counts the whole replies in the journal of the first replica, and the files whose request was about to be sent, but
// for those that were there before; read as the operator reads them.
func (s *stage) journalShows(ctx context.Context, except []string) (whole, sending int, err error) {
	opened, err := s.openJournal(ctx, s.replicas[0].journal)
	if err != nil {
		return 0, 0, err
	}
	entries, defects, err := opened.Scan()
	for _, defect := range defects {
		if !defect.Unsent && defect.Kind == journal.Unsealed && !slices.Contains(except, defect.Path) {
			sending++
		}
	}
	return len(entries), sending, err
}

// journalKeySecret is where the operator keeps the journal's key.
const journalKeySecret = "fluent-credential-operator-journal-key"

func (s *stage) openJournal(ctx context.Context, dir string) (*journal.Journal, error) {
	var secret corev1.Secret
	if err := s.plant.admin.Get(ctx, types.NamespacedName{Namespace: s.namespace, Name: journalKeySecret}, &secret); err != nil {
		return nil, err
	}
	return journal.Open(dir, secret.Data["key"])
}
