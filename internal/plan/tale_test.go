package plan

import (
	"fmt"
	"strings"
	"time"
)

// A tale is what a world went through, one line for what was done and what is waited for then. What repeats itself is told once.
type tale struct {
	told  strings.Builder
	lines []line // not told yet: all of the same shape
}

type line struct {
	at         time.Time
	breathless bool
	did, wait  string
	shape      string
}

// does adds a line for what is done.
func (t *tale) does(at time.Time, breathless bool, perform func() (text, shape string)) {
	text, shape := perform()
	t.lines = append(t.lines, line{at: at, breathless: breathless, did: text, shape: shape})
}

// waits adds what is waited for to the line of what was done before.
func (t *tale) waits(at time.Time, step Step, breathless bool) {
	wait := string(step.Why)
	if !step.At.IsZero() {
		wait += " until " + clock(step.At)
	}
	if last := len(t.lines) - 1; last >= 0 && t.lines[last].wait == "" {
		t.lines[last].wait = wait
		t.lines[last].shape += string(step.Why)
		t.foldLast()
		return
	}
	t.lines = append(t.lines, line{at: at, breathless: breathless, did: "-", wait: wait, shape: string(step.Why)})
	t.foldLast()
}

func (t *tale) happened(at time.Time, what string) {
	t.flush()
	fmt.Fprintf(&t.told, "%s  * %s\n", clock(at), what)
}

// foldLast tells what came before the last line, unless the last line is more of the same.
func (t *tale) foldLast() {
	last := t.lines[len(t.lines)-1]
	if first := t.lines[0]; first.shape != last.shape || first.breathless != last.breathless {
		t.lines = t.lines[:len(t.lines)-1]
		t.flush()
		t.lines = []line{last}
	}
}

// few lines of the same shape are told one by one.
const few = 4

func (t *tale) flush() {
	for i, next := range t.lines {
		if len(t.lines) > few && i > 0 && i < len(t.lines)-1 {
			if i == 1 {
				t.fold(t.lines)
			}
			continue
		}
		fmt.Fprintln(&t.told, next)
	}
	t.lines = nil
}

func (t *tale) fold(same []line) {
	least, most := same[1].at.Sub(same[0].at), time.Duration(0)
	for i := range same[1:] {
		step := same[i+1].at.Sub(same[i].at)
		least, most = min(least, step), max(most, step)
	}
	fmt.Fprintf(&t.told, "              … %d times the same, every %s to %s\n",
		len(same)-2, short(least), short(most))
}

func (l line) String() string {
	mark := " "
	if l.breathless {
		mark = "!"
	}
	return strings.TrimRight(fmt.Sprintf("%s %s %-55s %s", clock(l.at), mark, l.did, l.wait), " ")
}

func (t *tale) end(w *world, span time.Duration) {
	t.flush()
	fmt.Fprintf(&t.told, "after %s: %d exchanges, %d tokens", short(span), w.counters.exchanges, w.state.Serial)
	if most := w.server.most(); most > 1 {
		fmt.Fprintf(&t.told, "; a refresh token was presented %d times", most)
	}
	if refused := len(w.server.refusals); refused > 0 {
		fmt.Fprintf(&t.told, "; %d logins refused, %d at most in 20 minutes", refused, w.server.densest())
	}
	fmt.Fprintf(&t.told, "; without a token for %s\n", short(w.counters.without))
}

func (t *tale) String() string { t.flush(); return t.told.String() }

func clock(at time.Time) string { return at.Format("Mon 15:04:05") }

// short writes a time without zeros that say nothing: 24h, 1h30m, 20s.
func short(span time.Duration) string {
	text := span.Round(time.Second).String()
	if span >= time.Minute {
		text = strings.TrimSuffix(text, "0s")
		if strings.HasSuffix(text, "h0m") {
			text = strings.TrimSuffix(text, "0m")
		}
		if text != "" && text[len(text)-1] >= '0' && text[len(text)-1] <= '9' {
			text += "0s" // the zero belonged to 10s, 20s …
		}
	}
	return text
}
