package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/fluent-credential/operator/hack/localcluster"
)

// footprint is the memory of the operator, in bytes.
type footprint struct {
	Live     int64 `json:"liveHeapBytes"` // after a collection
	Resident int64 `json:"residentBytes"` // VmRSS
	Peak     int64 `json:"peakResidentBytes"`
}

// pprofAddress is where the operator is asked for its heap.
const pprofAddress = "127.0.0.1:16060"

// footprint collects the garbage, and looks at what is left. A scrape of the metrics would itself leave some.
func (b *bench) footprint(ctx context.Context) (footprint, error) {
	heap, err := localcluster.Get(ctx, "http://"+pprofAddress+"/debug/pprof/heap?gc=1&debug=1")
	if err != nil {
		return footprint{}, err
	}
	if err := b.pass(ctx, 5*time.Second); err != nil {
		return footprint{}, err
	}
	status, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(b.operator.PID()), "status"))
	if err != nil {
		return footprint{}, err
	}
	var found footprint
	if found.Live, err = numberAfter(string(heap), "# HeapAlloc = "); err != nil {
		return found, err
	}
	if found.Resident, err = parseResident(string(status)); err != nil {
		return found, err
	}
	found.Peak, err = numberAfter(string(status), "VmHWM:")
	found.Peak <<= 10
	return found, err
}

// spending is what the operator has allocated.
type spending struct{ Objects, Bytes int64 }

// spending is that since the operator began. Its Go runtime allocates next to nothing for the answer.
func (b *bench) spending(ctx context.Context) (spending, error) {
	heap, err := localcluster.Get(ctx, "http://"+pprofAddress+"/debug/pprof/heap?debug=1")
	if err != nil {
		return spending{}, err
	}
	objects, err := numberAfter(string(heap), "# Mallocs = ")
	if err != nil {
		return spending{}, err
	}
	bytes, err := numberAfter(string(heap), "# TotalAlloc = ")
	return spending{objects, bytes}, err
}

func (s spending) perRotation(rotations int) allocations {
	return allocations{Objects: float64(s.Objects) / float64(rotations), Bytes: float64(s.Bytes) / float64(rotations)}
}

// allocations of one rotation.
type allocations struct {
	Objects float64 `json:"objects"`
	Bytes   float64 `json:"bytes"`
}

// numberAfter is the number that follows a word.
func numberAfter(text, word string) (int64, error) {
	_, rest, found := strings.Cut(text, word)
	fields := strings.Fields(rest)
	if !found || len(fields) == 0 {
		return 0, fmt.Errorf("no %q", word)
	}
	return strconv.ParseInt(fields[0], 10, 64)
}
