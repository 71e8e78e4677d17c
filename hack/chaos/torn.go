package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/fluent-credential/operator/hack/authsim"
)

// damage is what happens to a journal file between a kill and the restart.
type damage struct {
	name string
	do   func(content []byte, at int) []byte
}

var damages = []damage{
	{"cut off at", func(content []byte, at int) []byte { return content[:at] }},
	{"zeros from", func(content []byte, at int) []byte {
		return append(bytes.Clone(content[:at]), make([]byte, len(content)-at)...)
	}},
	{"a bit flipped in", func(content []byte, at int) []byte {
		changed := bytes.Clone(content)
		changed[at] ^= 1 << (at % 8)
		return changed
	}},
}

// tornJournal damages journal files at one byte after another.
func tornJournal(quick bool) []scenario {
	step := len(damages) // every byte is damaged in one way, and every way is tried all over the file
	if quick {
		step = 47
	}
	var cases []scenario
	for first, damage := range damages {
		cases = append(cases, scenario{
			name: fmt.Sprintf("%s byte %d, %d, …", damage.name, first, first+step), quick: true, most: 20 * time.Minute,
			setting: setting{credentials: 20, args: []string{"--max-concurrent-exchanges=64"}},
			run:     func(ctx context.Context, s *stage) error { return damagedEverywhere(ctx, s, damage, first, step) },
		})
	}
	return append(cases, scenario{name: "strange files beside", quick: true, run: strangeFiles})
}

// damagedEverywhere makes one rotation of every credential after another, each ended by a SIGKILL before its commit.
func damagedEverywhere(ctx context.Context, s *stage, damage damage, first, step int) error {
	for next, used := first, first+1; next < used; {
		if err := s.killedBeforeEveryCommit(ctx); err != nil {
			return err
		}
		files := s.replicas[0].journaled()
		if len(files) != len(s.creds) {
			return fmt.Errorf("the journal holds %d files, want %d", len(files), len(s.creds))
		}
		spoilt := 0
		for _, file := range files {
			content, err := os.ReadFile(file)
			if err != nil {
				return err
			}
			used = len(bytes.TrimRight(content, "\x00"))
			if next < used {
				if err := os.WriteFile(file, damage.do(content, next), 0o600); err != nil {
					return err
				}
				spoilt++
			}
			next += step
		}
		if err := s.recoveredFromDamage(ctx, spoilt); err != nil {
			return err
		}
		s.say("%s byte %d of %d", damage.name, min(next, used), used)
	}
	return nil
}

// killedBeforeEveryCommit rotates all credentials, and kills the operator when every reply is in its journal and no commit made.
func (s *stage) killedBeforeEveryCommit(ctx context.Context) error {
	trap := s.replicas[0].api.hold(arrived, len(s.creds), isCommit)
	for _, each := range s.creds {
		if err := each.rotate(ctx); err != nil {
			return err
		}
	}
	for range s.creds {
		if _, err := trap.wait(ctx); err != nil {
			return err
		}
	}
	s.replicas[0].kill()
	for range s.creds {
		trap.let(fate{cut: true})
	}
	return nil
}

// recoveredFromDamage starts the operator, and checks that exactly the replies that were spoilt count as lost, and that nothing
// was stored that the server never gave.
func (s *stage) recoveredFromDamage(ctx context.Context, spoilt int) error {
	before := s.sim.Ledger().RequestsOf(authsim.GrantPassword)
	if err := s.replicas[0].start(ctx); err != nil {
		return err
	}
	if err := s.settled(ctx); err != nil {
		return err
	}
	ledger := s.sim.Ledger()
	if lost := ledger.RequestsOf(authsim.GrantPassword) - before; lost != spoilt {
		s.find("%d logins after %d journal files were spoilt", lost, spoilt)
	}
	s.mayLose += spoilt
	s.count("files spoilt", spoilt)
	for _, each := range s.creds {
		state, err := each.readState(ctx)
		if err != nil {
			return err
		}
		if _, known := ledger.RefreshTokenByValue(state.refresh); !known {
			s.find("the state of %s holds a refresh token that the server never gave", each.name)
		}
	}
	return nil
}

// strangeFiles are in the journal's directory when the operator starts: each is told, none is a reason not to start.
func strangeFiles(ctx context.Context, s *stage) error {
	if err := s.killedBeforeEveryCommit(ctx); err != nil {
		return err
	}
	dir := s.replicas[0].journal
	for name, content := range map[string]string{
		"empty.reply": "", "notes.txt": "of a person", strings.Repeat("ab", 16) + ".reply": "too short",
		strings.Repeat("cd", 16) + ".reply": strings.Repeat("\x00", 4096),
	} {
		if err := os.WriteFile(dir+"/"+name, []byte(content), 0o600); err != nil {
			return err
		}
	}
	if err := os.Mkdir(dir+"/"+strings.Repeat("ef", 16)+".reply", 0o700); err != nil {
		return err
	}
	if err := s.recoveredFromDamage(ctx, 0); err != nil {
		return err
	}
	told, err := s.replicas[0].counter(ctx, `fluent_credential_journal_errors_total{kind="foreign"}`)
	if err == nil && told < 4 {
		s.find("of 5 strange files %s were told", strconv.FormatFloat(told, 'f', 0, 64))
	}
	return err
}
