package main

import (
	"context"
	"time"
)

// oddReplies are replies that no documentation shows and that come all the same: to one refresh, and to many in a row.
func oddReplies() []scenario {
	var cases []scenario
	for name, reply := range map[string]struct {
		fault string
		lost  int
	}{
		"without a refresh token":       {"omit-refresh-token", 0},
		"with the same refresh token":   {"same-refresh-token", 0},
		"without expires_in":            {"expires-in", 0},
		"expires_in null":               {"expires-in null", 0},
		"expires_in as a string":        {`expires-in "3600"`, 0},
		"expires_in 0":                  {"expires-in 0", 0},
		"expires_in 1":                  {"expires-in 1", 0},
		"expires_in below zero":         {"expires-in -5", 0},
		"expires_in with a fraction":    {"expires-in 3600.5", 0},
		"expires_in of a million years": {"expires-in 31536000000000", 0},
		"expires_in beyond any number":  {"expires-in 1e400", 0},
		"expires_in a word":             {`expires-in "soon"`, 0},
		"expires_in an object":          {`expires-in {"seconds":3600}`, 0},
		"larger than 256 KiB":           {"oversized", 1},
		"a page of HTML with 200":       {"html 200", 1},
	} {
		cases = append(cases, scenario{name: name, quick: true, waits: true, setting: setting{mayLose: reply.lost}, run: func(ctx context.Context, s *stage) error {
			return oddReply(ctx, s, reply.fault)
		}})
	}
	return cases
}

// Bounds of what an odd reply may cause.
const (
	oddCalls = 6 // requests in the time below: a loop would make hundreds
	oddTime  = 10 * time.Second
)

// oddReply gives one odd reply; after it all has to become well by itself, without a loop.
func oddReply(ctx context.Context, s *stage, fault string) error {
	if err := s.addFault("1st refresh_token: " + fault); err != nil {
		return err
	}
	return s.silently(oddCalls, func() error {
		began := time.Now()
		if err := rotated(ctx, s); err != nil {
			return err
		}
		pause(ctx, oddTime-time.Since(began))
		return s.settled(ctx)
	})
}
