package custody

import (
	"context"
	"math/rand/v2"
	"testing"
	"testing/synctest"
)

// TestAReceivedTokenIsNeverLost (I3): whatever people and other processes do to the state Secret while a reply is on its way, and
// whatever becomes of the writes, a result whose Commit returns is in the state afterwards, once.
func TestAReceivedTokenIsNeverLost(t *testing.T) {
	for seed := range uint64(250) {
		synctest.Test(t, func(t *testing.T) {
			story := &disturbed{api: newAPI(t), random: rand.New(rand.NewPCG(seed, 1))}
			story.live(seed)
		})
	}
}

// disturbed is an API on which somebody does something random from time to time.
type disturbed struct {
	*api
	random *rand.Rand
	did    []string
}

func (d *disturbed) live(seed uint64) {
	claim, from := refreshing(1), d.born(ways[d.random.IntN(2)].from)
	claimed := d.put(from, from.Claimed(claim, ""))
	for range d.random.IntN(4) {
		d.disturb()
	}
	d.writes = d.faults()
	// Commit tells of every write that failed: that is the moment for somebody else to do something.
	_, err := deliver(d.t.Context(), d.api, NewPending(owner, claimed, granting(claim)), func(error) {
		if d.random.IntN(2) == 0 {
			d.disturb()
		}
	})
	if err != nil {
		d.t.Fatalf("seed %d, %v: %v", seed, d.did, err)
	}
	for range d.random.IntN(3) {
		d.relocate() // another process, or this one
	}
	found := settle(d.t, d.api)
	if found.Damaged {
		return // somebody edited it afterwards: that is not ours to prevent
	}
	if refreshOf(found) != "refresh-2" || found.Serial != 2 {
		d.t.Fatalf("seed %d, %v: the state has %q with serial %d, want refresh-2 with 2", seed, d.did, refreshOf(found), found.Serial)
	}
	if names := d.names(); len(names) != 1 {
		d.t.Fatalf("seed %d, %v: there are %v, want one state Secret", seed, d.did, names)
	}
}

// faults are what happens to the writes of Commit.
func (d *disturbed) faults() []fault {
	var faults []fault
	for range d.random.IntN(5) {
		faults = append(faults, []fault{{}, {err: errReset}, {errReset, true}, {err: errBroken}}[d.random.IntN(4)])
	}
	return faults
}

func (d *disturbed) disturb() {
	names := d.names()
	if len(names) == 0 {
		return
	}
	name := names[d.random.IntN(len(names))]
	switch d.random.IntN(5) {
	case 0:
		d.did = append(d.did, "touch "+name)
		d.edit(name, touch)
	case 1:
		d.did = append(d.did, "delete "+name)
		d.remove(name)
	case 2:
		d.did = append(d.did, "relocate")
		d.relocate()
	case 3:
		if found := d.open(); found.Claim != nil {
			d.did = append(d.did, "settle as lost")
			settledAsLost(d.api)
		}
	case 4:
		if len(names) == 1 { // of two, one is on its way out, and what is in it is nobody's truth
			d.did = append(d.did, "force "+name)
			d.force(name)
		}
	}
}

// relocate is a pass of some process over a deleted state Secret, which may end after any of its writes.
func (d *disturbed) relocate() {
	writes, reads := d.writes, d.reads
	defer func() { d.writes, d.reads = writes, reads }()
	d.writes, d.reads = append(make([]fault, d.random.IntN(4)), fault{errReset, d.random.IntN(2) == 0}), nil
	if found, err := d.store().Open(context.Background(), owner); err == nil && found.Leaving {
		_, _ = d.store().Relocate(context.Background(), owner, found)
	}
}
