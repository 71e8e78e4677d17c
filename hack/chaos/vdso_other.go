//go:build !(linux && amd64)

package main

import (
	"errors"
	"time"
)

// wallClock is the wall clock of one process.
type wallClock struct{}

func takeClock(int, time.Duration) (*wallClock, error) {
	return nil, errors.New("the clock of one process can be moved on linux/amd64 only")
}

func (c *wallClock) set(time.Duration) error { return nil }
