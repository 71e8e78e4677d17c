package main

import (
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/fluent-credential/operator/api/v1alpha1"
	"github.com/fluent-credential/operator/hack/authsim"
)

// TestJudgeBites: what an operator must not do is found, and what it may do is not.
func TestJudgeBites(t *testing.T) {
	for why, test := range map[string]struct {
		wanted setting
		play   func(t *testing.T, s *stage)
		finds  string // empty: nothing
		lost   int
	}{
		"each token once": {play: func(t *testing.T, s *stage) { must(t, s, refresh(newest(s)), 200); must(t, s, refresh(newest(s)), 200) }},
		"one token twice": {finds: "presented 2 times", play: func(t *testing.T, s *stage) {
			spent := newest(s)
			must(t, s, refresh(spent), 200)
			must(t, s, refresh(spent), 400)
		}},
		"one token twice, as the policy has it": {wanted: setting{mayPresent: 2}, play: func(t *testing.T, s *stage) {
			spent := newest(s)
			must(t, s, refresh(spent), 200)
			must(t, s, refresh(spent), 400)
		}},
		"again after a 429": {play: func(t *testing.T, s *stage) {
			if err := s.addFault("1st refresh_token: rate-limited 1"); err != nil {
				t.Fatal(err)
			}
			unspent := newest(s)
			must(t, s, refresh(unspent), 429)
			must(t, s, refresh(unspent), 200)
		}},
		"twice where nothing arrived": {finds: "presented 2 times", play: func(t *testing.T, s *stage) {
			s.tokens.add(arrived, 2, anything, func(*passage) fate { return fate{cut: true} })
			for range 2 {
				if _, _, err := ask(t, s, refresh(newest(s))); err == nil {
					t.Fatal("a request that was cut has a reply")
				}
			}
		}},
		"a fault that nothing fell into": {finds: "the fault did not happen", play: func(_ *testing.T, s *stage) {
			s.tokens.add(answered, 1, isRefresh, func(*passage) fate { return fate{cut: true} })
		}},
		"a fault of the server that never struck": {finds: "the fault did not happen: 1st refresh_token", play: func(t *testing.T, s *stage) {
			if err := s.addFault("1st refresh_token: rate-limited 1"); err != nil {
				t.Fatal(err)
			}
		}},
		"somebody who only looks on": {play: func(_ *testing.T, s *stage) {
			s.tokens.add(answered, -1, isRefresh, func(*passage) fate { return fate{} })
		}},
		"past the proxy": {finds: "1 requests reached the token endpoint past the proxy", play: func(t *testing.T, s *stage) {
			form := refresh(newest(s))
			form.Set("client_id", clientID)
			form.Set("client_secret", clientSecret)
			response, err := http.PostForm("http://"+s.tokens.server+"/oauth/token", form)
			if err != nil || response.Body.Close() != nil {
				t.Fatal(err)
			}
		}},
		"another client, past the proxy": {play: func(t *testing.T, s *stage) {
			if _, err := s.stranger(t.Context(), refresh(newest(s))); err != nil {
				t.Fatal(err)
			}
		}},
		"a token that was never read, twice": {finds: "presented 2 times", play: func(t *testing.T, s *stage) {
			s.tokens.add(accepted, 2, anything, func(*passage) fate { return fate{cut: true, reset: true} })
			for range 2 {
				if _, _, err := ask(t, s, refresh(newest(s))); err == nil {
					t.Fatal("a request that was cut has a reply")
				}
			}
		}},
		"a chain given up": {finds: "1 chains were given up", lost: 1, play: func(t *testing.T, s *stage) { must(t, s, login(), 200) }},
		"a chain given up for a reason": {wanted: setting{mayLose: 1}, lost: 1,
			play: func(t *testing.T, s *stage) { must(t, s, login(), 200) }},
		"three refused logins": {finds: "3 logins of user-0000 were refused", play: func(t *testing.T, s *stage) {
			for range 3 {
				wrong := login()
				wrong.Set("password", wrongPassword)
				must(t, s, wrong, 400)
			}
		}},
		"a token from nowhere": {finds: "never issued", play: func(_ *testing.T, s *stage) {
			s.watch.seen["a-token"] = []publication{{at: time.Now(), access: "from nowhere", serial: 1}}
		}},
		"a serial that goes back": {finds: "went back from serial 2 to 1", play: func(_ *testing.T, s *stage) {
			value := s.sim.Ledger().AccessTokens[0].Value
			s.watch.seen["a-token"] = []publication{{time.Now(), value, 2}, {time.Now(), value, 1}}
		}},
		"a serial that goes back under one token": {finds: "went back from serial 2 to 1", play: func(_ *testing.T, s *stage) {
			value := s.sim.Ledger().AccessTokens[0].Value
			for _, serial := range []string{"2", "1"} {
				s.watch.note(&corev1.Secret{
					ObjectMeta: metav1.ObjectMeta{Name: "a-token", Annotations: map[string]string{v1alpha1.SerialAnnotation: serial}},
					Data:       map[string][]byte{v1alpha1.AccessTokenKey: []byte(value)},
				}, false)
			}
		}},
		"an expired token": {finds: "had expired", play: func(_ *testing.T, s *stage) {
			first := s.sim.Ledger().AccessTokens[0]
			s.watch.seen["a-token"] = []publication{{first.Expires.Add(time.Minute), first.Value, 1}}
		}},
	} {
		t.Run(why, func(t *testing.T) {
			s := newServer(t)
			s.setting = test.wanted
			must(t, s, login(), 200)
			test.play(t, s)
			result := s.judge(t.Context())
			said := strings.Join(result.Findings, "; ")
			if test.finds == "" && said != "" || !strings.Contains(said, test.finds) {
				t.Errorf("the judge says %q, want %q", said, test.finds)
			}
			if result.Lost != test.lost {
				t.Errorf("%d chains lost, want %d", result.Lost, test.lost)
			}
		})
	}
}

func must(t *testing.T, s *stage, form map[string][]string, status int) {
	t.Helper()
	if got, body, err := ask(t, s, form); err != nil || got != status {
		t.Fatalf("HTTP %d, %v, want %d: %s", got, err, status, body)
	}
}

func TestWithout(t *testing.T) {
	start := time.Date(2026, 1, 5, 10, 0, 0, 0, time.UTC)
	at := func(seconds int) time.Time { return start.Add(time.Duration(seconds) * time.Second) }
	tokens := map[string]authsim.AccessToken{
		"a": {Expires: at(60)}, "b": {Expires: at(120)}, "killed": {Expires: at(60), Killed: at(20)},
	}
	for why, test := range map[string]struct {
		list []publication
		want int
	}{
		"nothing was ever published":           {nil, 0},
		"one token that lives":                 {[]publication{{at: at(40), access: "a"}}, 0},
		"one that expired":                     {[]publication{{at: at(0), access: "a"}}, 40},
		"the next one in time":                 {[]publication{{at: at(0), access: "a"}, {at: at(50), access: "b"}}, 0},
		"the next one late":                    {[]publication{{at: at(0), access: "a"}, {at: at(70), access: "b"}}, 10},
		"killed before the next one was there": {[]publication{{at: at(0), access: "killed"}, {at: at(25), access: "b"}}, 5},
		"deleted for a while":                  {[]publication{{at: at(0), access: "a"}, {at: at(10)}, {at: at(13), access: "a"}, {at: at(50), access: "b"}}, 3},
		"something that was never issued":      {[]publication{{at: at(0), access: "x"}, {at: at(7), access: "b"}}, 7},
		"published when it was dead already":   {[]publication{{at: at(70), access: "a"}, {at: at(75), access: "b"}}, 5},
	} {
		end := at(100)
		if why == "one token that lives" {
			end = at(60)
		}
		if got := without(test.list, tokens, end); got != time.Duration(test.want)*time.Second {
			t.Errorf("%s: %s without, want %d s", why, got, test.want)
		}
	}
}

func TestOrderAndRate(t *testing.T) {
	now := time.Now()
	in := func(seconds ...int) (order []turn) {
		for _, second := range seconds {
			order = append(order, turn{expires: now.Add(time.Duration(second) * time.Second)})
		}
		return order
	}
	for want, order := range map[int][]turn{0: in(1, 2, 2, 3), 1: in(1, 3, 2), 3: in(3, 2, 1)} {
		if _, inverted := inversions(order); inverted != want {
			t.Errorf("%d inversions, want %d", inverted, want)
		}
	}
	for apart, broken := range map[time.Duration]bool{2 * time.Second: false, 1900 * time.Millisecond: true} {
		s := newServer(t)
		var sent []sending
		for i := range 40 {
			sent = append(sent, sending{at: now.Add(time.Duration(i) * apart)})
		}
		s.judgeRate(sent, 30)
		if (len(s.findings) > 0) != broken {
			t.Errorf("one request every %s against 30 a minute: %q", apart, s.findings)
		}
	}
}

func TestTurnsInTime(t *testing.T) {
	began := time.Now()
	late := func(after, life time.Duration) turn {
		return turn{user: "late", at: began.Add(after), expires: began.Add(life)}
	}
	prompt := turn{user: "prompt", at: began, expires: began.Add(10 * time.Second)}
	for why, test := range map[string]struct {
		second turn
		broken bool
	}{
		"in time":                        {late(2*time.Second, 11*time.Second), false},
		"a token that had time enough":   {late(20*time.Second, 11*time.Second), true},
		"a token that nobody could save": {late(2*time.Second, time.Second), false},
	} {
		s := newServer(t)
		s.judgeOrder([]turn{prompt, test.second}, 2*time.Second)
		expired := slices.ContainsFunc(s.findings, func(finding string) bool { return strings.Contains(finding, "before its turn") })
		if expired != test.broken {
			t.Errorf("%s: %q", why, s.findings)
		}
	}
}

func TestRowsAddUp(t *testing.T) {
	var sum row
	sum.Fault, sum.Title = "F1", "title"
	if sum.verdict() != "not run" {
		t.Errorf("nothing was run: %s", sum.verdict())
	}
	sum.add(tally{Runs: 1, Presented: 1, Lost: 1, Permitted: 1, Without: 0.5, Counts: map[string]int{"kills": 2}})
	sum.add(tally{Runs: 1, Presented: 2, Passwords: 3, Without: 0.2, Counts: map[string]int{"kills": 3}})
	want := []string{"F1", "title", "2", "0", "2", "0", "1 (1)", "3", "0.5", "held"}
	if got := sum.cells(); strings.Join(got, ",") != strings.Join(want, ",") {
		t.Errorf("the row is %q, want %q", got, want)
	}
	sum.add(tally{Findings: []string{"something"}})
	result := newOutcome(true, []row{sum}, time.Minute)
	var plain, page strings.Builder
	result.print(&plain)
	result.markdown(&page)
	for _, text := range []string{plain.String(), page.String()} {
		for _, part := range []string{"BROKEN", "something", "kills: 5", "1 (1)"} {
			if !strings.Contains(text, part) {
				t.Errorf("there is no %q in\n%s", part, text)
			}
		}
	}
	if result.broken() != 1 {
		t.Errorf("%d rows are broken, want 1", result.broken())
	}
}

func TestReadMetricsAndFields(t *testing.T) {
	text := "# HELP x\nx_total{kind=\"a\"} 3\nx_total{kind=\"b\"} 1e+06\n"
	for series, want := range map[string]float64{`x_total{kind="a"}`: 3, `x_total{kind="b"}`: 1e6, `x_total`: 0} {
		if got := readCounter(text, series); got != want {
			t.Errorf("%s is %v, want %v", series, got, want)
		}
	}
	if got := readField("Name:\tx\nTracerPid:\t42\n", "TracerPid:"); got != "42" {
		t.Errorf("TracerPid is %q", got)
	}
}

func TestDamages(t *testing.T) {
	content := []byte{1, 2, 3, 0}
	for i, want := range []string{"\x01", "\x01\x00\x00\x00", "\x01\x00\x03\x00"} {
		if got := string(damages[i].do(content, 1)); got != want {
			t.Errorf("%s 1: %q, want %q", damages[i].name, got, want)
		}
	}
	if string(content) != "\x01\x02\x03\x00" {
		t.Error("the original was changed")
	}
}
