package controllers

import (
	"context"
	"testing"
	"time"

	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/fluent-credential/operator/api/v1alpha1"
	"github.com/fluent-credential/operator/hack/authsim"
	"github.com/fluent-credential/operator/internal/custody"
)

// crashing is a client that ends the process, as far as the reconciler can tell, at one write of its custody.
type crashing struct {
	client.Writer
	writes int
	at     int  // which write, 1 for the next; 0: none
	after  bool // after the write was made
}

// crash is what a process that ends looks like from within: nothing runs any more.
type crash struct{}

func (c *crashing) Update(ctx context.Context, object client.Object, options ...client.UpdateOption) error {
	c.writes++
	if c.writes == c.at && !c.after {
		panic(crash{})
	}
	err := c.Writer.Update(ctx, object, options...)
	if c.writes == c.at && c.after {
		panic(crash{})
	}
	return err
}

// crashAt makes one pass that ends in a crash at the given write of the custody.
func (d *driven) crashAt(write int, after bool) {
	d.t.Helper()
	whole := d.Custody.Writer
	d.Custody.Writer = &crashing{Writer: whole, at: write, after: after}
	defer func() {
		if _, crashed := recover().(crash); !crashed {
			d.t.Fatalf("no crash at write %d", write)
		}
		d.Custody.Writer = whole
	}()
	d.pass()
}

// restart is what a new process knows: nothing, but its name.
func (d *driven) restart() {
	d.memory = newMemory()
	d.Holder = custody.Holder{Pod: d.Holder.Pod, Start: custody.NewID()}
	if d.Journal != nil {
		d.recoverEntries(ctrl.LoggerInto(d.t.Context(), ctrl.Log), newRecovery())
	}
}

func newJournaled(t *testing.T) *driven {
	t.Helper()
	d := newDriven(t, nil)
	d.journalIn(t.TempDir())
	return d
}

func TestCrashAtEachStepOfARotation(t *testing.T) {
	t.Parallel()
	const claim, commit = 1, 2 // the custody's writes in one rotation
	cases := map[string]struct {
		write     int
		after     bool
		presented int // of the token that the crash was about
		passwords int
		why       string
	}{
		"before the claim":  {claim, false, 1, 1, "nothing was sent, and nothing says that it was: it starts over"},
		"after the claim":   {claim, true, 1, 1, "nothing was sent, and the journal can tell"},
		"before the commit": {commit, false, 1, 1, "the reply is in the journal"},
		"after the commit":  {commit, true, 1, 1, "the state has it, and so has the journal; it is published"},
	}
	for name, test := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := newJournaled(t)
			d.sleep(d.settle())
			d.crashAt(test.write, test.after)
			d.restart()
			d.runFor(5 * time.Second)
			ledger := d.server.Ledger()
			if got := ledger.Presentations[ledger.RefreshTokens[0].ID]; got != test.presented {
				t.Errorf("presented %d times, want %d (%s)", got, test.presented, test.why)
			}
			if got := ledger.RequestsOf(authsim.GrantPassword); got != test.passwords {
				t.Errorf("the password was used %d times, want %d (%s)", got, test.passwords, test.why)
			}
			d.mustBeWell()
		})
	}
}

// mustBeWell checks what has to be true after any recovery.
func (d *driven) mustBeWell() {
	d.t.Helper()
	status := d.status()
	if status.Token == nil || status.Token.Serial != 2 || status.Summary.Reason != v1alpha1.ReasonTokenPublished {
		d.t.Errorf("serial %+v, %s; want serial 2, published", status.Token, status.Summary.Reason)
	}
	if code := d.server.pings(d.t, d.access()); code != 200 {
		d.t.Errorf("the published token gets HTTP %d", code)
	}
	if entries, defects, err := d.Journal.Scan(); len(entries)+len(defects) != 0 || err != nil {
		d.t.Errorf("the journal holds %d entries and %d defects, %v", len(entries), len(defects), err)
	}
	if reuses := d.server.Ledger().Reuses; reuses != 0 {
		d.t.Errorf("%d reuses", reuses)
	}
}
