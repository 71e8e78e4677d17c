package simulation

import (
	"testing"
	"time"
	"unsafe"
)

// start is when every run begins.
var start = time.Date(2026, 1, 5, 10, 0, 0, 0, time.UTC)

// instant is a time as time.Now returns it, with a monotonic reading that need not go with the wall clock. Package time offers no
// way to make one, and a fake clock without it would judge the fence by a wall clock that jumps, which no real process does.
func instant(wall, monotonic time.Duration) time.Time {
	const hasMonotonic = 1 << 63
	at := start.Add(wall)
	made := at.Local()
	raw := (*struct {
		wall uint64
		ext  int64
		loc  *time.Location
	})(unsafe.Pointer(&made))
	raw.wall = hasMonotonic | uint64(at.Unix()+wallOffset())<<30 | uint64(at.Nanosecond())
	raw.ext = int64(monotonic + time.Hour)
	return made
}

// wallOffset is the seconds from 1885, where the wall clock of a time with a monotonic reading begins, to 1970.
func wallOffset() int64 { return -time.Date(1885, 1, 1, 0, 0, 0, 0, time.UTC).Unix() }

func TestInstantHasTwoClocks(t *testing.T) {
	before, after := instant(0, 0), instant(-time.Hour, time.Minute)
	if got := after.Sub(before); got != time.Minute {
		t.Errorf("the monotonic clock counts %s, want a minute", got)
	}
	if got := after.Round(0).Sub(before.Round(0)); got != -time.Hour {
		t.Errorf("the wall clock counts %s, want an hour back", got)
	}
	if !before.Round(0).Equal(start) {
		t.Errorf("the wall clock shows %s, want %s", before.Round(0), start)
	}
}
