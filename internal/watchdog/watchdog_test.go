package watchdog

import (
	"context"
	"strings"
	"testing"
	"time"
)

func TestErr(t *testing.T) {
	begin := time.Unix(1_800_000_000, 0)
	cases := map[string]struct {
		work  func(*Watchdog)
		after time.Duration
		holds bool
		stuck string // what the error names; empty: none
		why   string
	}{
		"nothing":            {func(*Watchdog) {}, time.Hour, false, "", "a process without work is well"},
		"a slow disk":        {func(w *Watchdog) { w.Disk("seal") }, DiskLimit, false, "", "a disk may be slow"},
		"a disk that hangs":  {func(w *Watchdog) { w.Disk("seal") }, DiskLimit + 1, false, "operation seal", "another replica has another disk"},
		"an ended operation": {func(w *Watchdog) { w.Disk("seal")() }, time.Hour, false, "", "it ended"},
		"ended twice": {func(w *Watchdog) {
			ended := w.Disk("seal")
			w.Disk("read")
			ended()
			ended()
		}, time.Hour, false, "operation read", "one end ends one operation"},
		"a long pass":       {pass, PassLimit, false, "", "its context ended it long ago, or will"},
		"a pass that hangs": {pass, PassLimit + 1, false, "pass of shop/orders", "nothing outside holds it up"},
		"a pass with a claim": {func(w *Watchdog) {
			ctx, _ := w.Pass(context.Background(), "shop/orders")
			Detach(ctx)
		}, 24 * time.Hour, false, "", "it waits for the Kubernetes API to store its result"},
		"a reply that is held": {func(w *Watchdog) { w.Disk("seal") }, time.Hour, true, "", "it would be lost with the process"},
		"the one that hangs for longest": {func(w *Watchdog) {
			w.Disk("read")
			w.Disk("seal")
		}, time.Hour, false, "operation read", "it began first"},
	}
	for name, test := range cases {
		t.Run(name, func(t *testing.T) {
			now := begin
			w := New(func() time.Time { now = now.Add(1); return now.Add(-1) })
			w.Holds = func() bool { return test.holds }
			test.work(w)
			now = begin.Add(test.after)
			err := w.Check(nil)
			if (err != nil) != (test.stuck != "") || err != nil && !strings.Contains(err.Error(), test.stuck) {
				t.Errorf("%v, want %q: %s", err, test.stuck, test.why)
			}
		})
	}
}

func pass(w *Watchdog) { w.Pass(context.Background(), "shop/orders") }

func TestDetachWithoutAPass(*testing.T) { Detach(context.Background()) }
