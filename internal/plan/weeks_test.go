package plan

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/fluent-credential/operator/internal/token"
)

var update = flag.Bool("update", false, "write the golden files anew")

// golden compares a text with the file of that name under testdata.
func golden(t *testing.T, name, got string) {
	t.Helper()
	file := filepath.Join("testdata", name+".golden")
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s (-want +got); -update writes it anew:\n%s", file, diff)
	}
}

const (
	day  = 24 * time.Hour
	week = 7 * day
)

// A story is a world, and what happens in it.
type story struct {
	title  string
	begin  func(*world)
	span   time.Duration
	script []happening
	// twice permits that a refresh token is presented a second time; always, that it is presented again and again.
	twice, always bool
}

// tell lives the stories of one golden file and holds them to what must be true in every story.
func tell(t *testing.T, name string, stories ...story) {
	t.Helper()
	var told strings.Builder
	for i, story := range stories {
		if i > 0 {
			told.WriteString("\n")
		}
		w := newWorld(t)
		if story.begin != nil {
			story.begin(w)
		}
		w.live(story.span, story.script...)
		told.WriteString("# " + story.title + "\n" + w.tale.String())
		if most := w.server.most(); !story.always && (most > 2 || most > 1 && !story.twice) {
			t.Errorf("%s: a refresh token was presented %d times", story.title, most)
		}
		if densest := w.server.densest(); densest > 2 {
			t.Errorf("%s: %d refused logins in 20 minutes", story.title, densest)
		}
	}
	golden(t, name, told.String())
}

func TestWeekOfLongTokens(t *testing.T) {
	tell(t, "long-tokens", story{
		title: "A week of tokens that live for 24 hours, with rotation: refreshed when a third of the life is left",
		begin: func(w *world) { w.server.life = day }, span: week,
	})
}

func TestDayOfShortTokens(t *testing.T) {
	tell(t, "short-tokens",
		story{title: "A day of tokens that live for 30 minutes, with rotation", span: day},
		story{
			title: "An hour of tokens that live for one minute: refreshed at half of their life",
			begin: func(w *world) { w.server.life = time.Minute }, span: time.Hour,
		},
	)
}

func TestTheSameTokenRepeated(t *testing.T) {
	repeating := func(w *world) { w.server.life, w.server.chains, w.server.repeats = day, false, true }
	tell(t, "repeated-token",
		story{
			title: "No refresh tokens, and a password buys the token that is out until it expires: asked for early once, then after expiry",
			begin: repeating, span: 4 * day,
		},
		story{
			title: "The same, begun when somebody else's token has two minutes left: too short for an early refresh",
			begin: func(w *world) {
				repeating(w)
				w.server.issue(now.Add(2*time.Minute-day), token.Password)
			}, span: 2 * day,
		},
		story{
			title: "A server that keeps giving the token that has expired: asked at a growing pace, never in a loop",
			begin: func(w *world) { w.server.life, w.server.chains = 0, false }, span: 10 * time.Minute,
		},
	)
}

func TestOutage(t *testing.T) {
	down := func(w *world) { w.server.down = true }
	up := func(w *world) { w.server.down = false }
	tell(t, "outage",
		story{
			title: "Connections are refused for two hours: backing off, in a hurry while the token comes to its end",
			span:  5 * time.Hour,
			script: []happening{
				{90 * time.Minute, "connections are refused", down},
				{210 * time.Minute, "the server is back", up},
			},
		},
		story{
			title: "The same with tokens of 24 hours: nobody notices",
			begin: func(w *world) { w.server.life = day }, span: 2 * day,
			script: []happening{
				{14 * time.Hour, "connections are refused", down},
				{16 * time.Hour, "the server is back", up},
			},
		},
	)
}

func TestLostReplies(t *testing.T) {
	lose := []happening{{10 * time.Minute, "the next reply will be lost", func(w *world) { w.server.lose = 1 }}}
	var stories []story
	for _, policy := range []Policy{Auto, Retry, Reauthenticate, Stop} {
		for _, login := range []struct{ title, password, seed string }{
			{"a password", "right", ""}, {"no password", "", "seed"},
		} {
			stories = append(stories, story{
				title: string(policy) + ", " + login.title + ", a server that answers a spent token with invalid_grant",
				begin: func(w *world) {
					w.policy, w.login.password, w.login.seed = policy, login.password, login.seed
					w.server.alive["seed"] = true
				},
				span: 2 * time.Hour, script: lose, twice: policy == Retry || policy == Auto && login.password == "",
			})
		}
	}
	graced := func(policy Policy) story {
		return story{
			title: string(policy) + ", no password, a server with a grace window",
			begin: func(w *world) {
				w.policy, w.login.password, w.login.seed = policy, "", "seed"
				w.server.alive["seed"], w.server.grace = true, true
			},
			span: 2 * time.Hour, script: lose, twice: true,
		}
	}
	twice := graced(Retry)
	twice.title += ", and the second reply is lost too"
	twice.script = []happening{{10 * time.Minute, "the next two replies will be lost", func(w *world) { w.server.lose = 2 }}}
	tell(t, "lost-replies", append(stories, graced(Retry), graced(Auto), twice)...)
}

func TestWrongPassword(t *testing.T) {
	wrong := func(w *world) { w.login.password = "wrong" }
	tell(t, "wrong-password",
		story{
			title: "A wrong password, changed after an hour: tried again every 20 minutes, and at once when it changes",
			begin: wrong, span: 2 * time.Hour,
			script: []happening{{time.Hour, "the password is corrected", func(w *world) { w.login.password = "right" }}},
		},
		story{
			title: "A wrong password, asked for again and again: the rotate annotation does not go past a refused login",
			begin: wrong, span: 30 * time.Minute,
			script: []happening{
				{time.Minute, "the rotate annotation is set", func(w *world) { w.asked = "1" }},
				{2 * time.Minute, "and set again", func(w *world) { w.asked = "2" }},
			},
		},
		story{
			title: "A password that is changed at the server: noticed when the chain breaks, mended when the Secret follows",
			span:  4 * time.Hour,
			script: []happening{
				{time.Hour, "the password is changed at the server, which ends the chain", func(w *world) {
					w.server.password = "new"
					clear(w.server.alive)
				}},
				{3 * time.Hour, "the credentials Secret follows", func(w *world) { w.login.password = "new" }},
			},
		},
	)
}

func TestWrongClient(t *testing.T) {
	wrong := func(w *world) { w.login.client = "wrong" }
	right := []happening{{time.Hour, "the client secret is corrected", func(w *world) { w.login.client = "right" }}}
	seeded := func(w *world) {
		w.login.password, w.login.seed, w.server.alive["seed"] = "", "seed", true
	}
	tell(t, "wrong-client",
		story{
			title: "A wrong client secret with a password: asked once, then not before it changes",
			begin: wrong, span: 2 * time.Hour, script: right,
		},
		story{
			title: "A wrong client secret with a refresh token from a person: asked once, and the token is not used up",
			begin: func(w *world) { wrong(w); seeded(w) }, span: 2 * time.Hour, script: right,
		},
	)
}

func TestSuspended(t *testing.T) {
	suspend := func(suspended bool) func(*world) { return func(w *world) { w.suspended = suspended } }
	tell(t, "suspended", story{
		title: "Suspended over a weekend: nothing is spent, the expiry is noticed, and the chain goes on afterwards",
		begin: func(w *world) { w.server.life = day }, span: 8 * day,
		script: []happening{
			{4*day + 8*time.Hour, "spec.suspend: true", suspend(true)},
			{7*day - 2*time.Hour, "spec.suspend: false", suspend(false)},
		},
	})
}

func TestRotateAnnotation(t *testing.T) {
	tell(t, "rotate-annotation", story{
		title: "The rotate annotation: a new token at once, past a back-off",
		span:  3 * time.Hour,
		script: []happening{
			{5 * time.Minute, "the rotate annotation is set", func(w *world) { w.asked = "1" }},
			{6 * time.Minute, "connections are refused", func(w *world) { w.server.down = true }},
			{70 * time.Minute, "the server is back, and the rotate annotation is set", func(w *world) {
				w.server.down, w.asked = false, "2"
			}},
		},
	})
}

func TestRefreshTokenThatStays(t *testing.T) {
	tell(t, "kept-refresh-token", story{
		title: "A refresh token of a person, and a server that never gives another: it goes on for ever",
		begin: func(w *world) {
			w.login.password, w.login.seed = "", "seed"
			w.server.keeps, w.server.alive["seed"] = true, true
		},
		span: day, always: true,
	})
}

func TestClockThatIsSet(t *testing.T) {
	at := func(what string, by time.Duration) []happening {
		return []happening{{10 * time.Minute, what, func(w *world) { w.set(by) }}}
	}
	tell(t, "clock",
		story{
			title: "The operator's clock is set forward by a day: the token looks expired, and is replaced",
			span:  time.Hour, script: at("the clock is set forward by a day", day),
		},
		story{
			title: "The operator's clock is set back by a day: a token of tomorrow is not trusted to live that long",
			span:  time.Hour, script: at("the clock is set back by a day", -day),
		},
		story{
			title: "The operator's clock is set back by an hour, with the API down",
			begin: func(w *world) { w.server.down = true },
			span:  2 * time.Hour,
			script: []happening{
				{30 * time.Minute, "the clock is set back by an hour", func(w *world) { w.set(-time.Hour) }},
				{40 * time.Minute, "the server is back", func(w *world) { w.server.down = false }},
			},
		},
	)
}
