package main

import (
	"context"
	"fmt"
	"sync"
	"time"
)

// pollEvery is how often is looked whether something holds.
const pollEvery = 100 * time.Millisecond

// until waits until nothing speaks against it any more; look says what does. An error of look speaks against it too: the API
// server may be away for a while.
func until(ctx context.Context, most time.Duration, what string, look func(context.Context) (string, error)) error {
	ctx, cancel := context.WithTimeout(ctx, most)
	defer cancel()
	against := "it was never looked at"
	for {
		found, err := look(ctx)
		switch {
		case err == nil && found == "":
			return nil
		case err != nil && ctx.Err() == nil:
			against = err.Error()
		case err == nil:
			against = found
		}
		pause(ctx, pollEvery)
		if ctx.Err() != nil {
			return fmt.Errorf("waiting %s until %s: %s", most, what, against)
		}
	}
}

// pause lets time pass, or the context end.
func pause(ctx context.Context, length time.Duration) {
	timer := time.NewTimer(length)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}

// atOnce is how many things inParallel does at a time.
const atOnce = 16

// inParallel does something for every number, until one fails.
func inParallel(ctx context.Context, count int, do func(ctx context.Context, number int) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	tickets := make(chan struct{}, atOnce)
	var group sync.WaitGroup
	for number := range count {
		tickets <- struct{}{}
		group.Go(func() {
			defer func() { <-tickets }()
			if ctx.Err() != nil {
				return
			}
			if err := do(ctx, number); err != nil {
				cancel(err)
			}
		})
	}
	group.Wait()
	return context.Cause(ctx)
}
