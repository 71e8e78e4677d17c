package main

import (
	"context"
	"fmt"
	"time"
)

// twoLeaders are replicas that all lead, started together.
func twoLeaders(quick bool) []scenario {
	rotations := 1000
	if quick {
		rotations = 150
	}
	short := setting{idle: true, replicas: 3, credentials: 30, life: 6 * time.Second}
	return []scenario{{
		name: fmt.Sprintf("%d rotations by 3 replicas without election", rotations), quick: true, most: 15 * time.Minute, setting: short,
		run: func(ctx context.Context, s *stage) error { return manyRotations(ctx, s, rotations) },
	}}
}

// manyRotations lets tokens of a few seconds rotate by themselves.
func manyRotations(ctx context.Context, s *stage, rotations int) error {
	if err := inParallel(ctx, len(s.replicas), func(ctx context.Context, i int) error { return s.replicas[i].start(ctx) }); err != nil {
		return err
	}
	if err := s.createCredentials(ctx); err != nil {
		return err
	}
	told := 0
	err := until(ctx, 14*time.Minute, fmt.Sprintf("%d rotations were made", rotations), func(context.Context) (string, error) {
		made := s.sim.Ledger().RefreshGrants
		if made >= rotations {
			return "", nil
		}
		if made/250 > told {
			told = made / 250
			s.say("%d rotations", made)
		}
		return fmt.Sprintf("%d were", made), nil
	})
	if err != nil {
		return err
	}
	if reuses := s.sim.Ledger().Reuses; reuses > 0 {
		s.find("%d spent refresh tokens were presented", reuses)
	}
	return s.allLed(ctx)
}

// allLed looks whether every replica made rotations: if one had made all of them, there would have been no race.
func (s *stage) allLed(ctx context.Context) error {
	most := 0.0
	for _, each := range s.replicas {
		made, err := each.counter(ctx, `fluent_credential_exchanges_total{api="fluent",grant="refresh_token",verdict="Granted"}`)
		if err != nil {
			return err
		}
		if made == 0 {
			s.find("%s made no rotation", each.name)
		}
		most = max(most, made)
	}
	s.count("rotations of the replica that made the most", int(most))
	return nil
}
