package simulation

import (
	"fmt"
	"strings"
)

// dice make every decision that is not the operator's. Each decision is named by its kind and by how many of that kind came before
// it, and follows from the seed and that name alone. So one decision can be taken out of a run while the others of its kind stay
// where they are: that is what shrinking does.
type dice struct {
	seed  uint64
	rates map[string]float64
	calm  bool // nothing goes wrong any more
	rolls map[string]int
	// script, where there is one, replaces chance: only the choices in it are made.
	script map[place]int
	made   []choice
}

// place is where a choice is made.
type place struct {
	kind string
	roll int
}

// choice is something that goes wrong, or another way than it usually goes.
type choice struct {
	place
	pick int
}

func (c choice) String() string { return fmt.Sprintf("%s#%d=%d", c.kind, c.roll, c.pick) }

func newDice(seed uint64, script []choice) *dice {
	d := &dice{seed: seed, rates: map[string]float64{}, rolls: map[string]int{}}
	if script != nil {
		d.script = map[place]int{}
		for _, c := range script {
			d.script[c.place] = c.pick
		}
	}
	return d
}

// choose returns zero for what usually happens, or one of the ways, from 1, in which it can happen differently.
func (d *dice) choose(kind string, ways int) int {
	if d.calm {
		return 0
	}
	at := place{kind, d.rolls[kind]}
	d.rolls[kind]++
	pick := 0
	if d.script != nil {
		if pick = d.script[at]; pick > ways { // of a run that took another way
			pick = 0
		}
	} else if d.fraction(kind, at.roll) < d.rates[kind] {
		pick = 1 + int(d.number(kind+"?", at.roll)%uint64(ways))
	}
	if pick != 0 {
		d.made = append(d.made, choice{at, pick})
	}
	return pick
}

// draw is a number, 0 ≤ n < 1, that belongs to the world and is never shrunk away.
func (d *dice) draw(kind string) float64 {
	roll := d.rolls[kind]
	d.rolls[kind]++
	return d.fraction(kind, roll)
}

// among draws one of so many.
func (d *dice) among(kind string, n int) int { return int(d.draw(kind) * float64(n)) }

func (d *dice) fraction(kind string, roll int) float64 {
	return float64(d.number(kind, roll)>>11) / (1 << 53)
}

// number mixes seed, kind and roll: FNV-1a, then the finalizer of splitmix64.
func (d *dice) number(kind string, roll int) uint64 {
	hash := uint64(14695981039346656037)
	for i := range len(kind) {
		hash = (hash ^ uint64(kind[i])) * 1099511628211
	}
	mixed := hash ^ (d.seed+1)*0x9e3779b97f4a7c15 ^ (uint64(roll)+1)*0xd1b54a32d192ed03
	mixed = (mixed ^ mixed>>30) * 0xbf58476d1ce4e5b9
	mixed = (mixed ^ mixed>>27) * 0x94d049bb133111eb
	return mixed ^ mixed>>31
}

func listed(choices []choice) string {
	words := make([]string, len(choices))
	for i, c := range choices {
		words[i] = c.String()
	}
	return strings.Join(words, " ")
}
