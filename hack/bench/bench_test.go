package main

import (
	"context"
	"errors"
	"math"
	"reflect"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/fluent-credential/operator/hack/authsim"
)

func TestOptions(t *testing.T) {
	got, err := parse([]string{"--credentials=100", "--quick", "--json=x.json"})
	want := options{
		credentials: 100, consumers: 1000, quick: true, json: "x.json", out: "docs/benchmark",
		sizes: []int{100, 1000, 10000, 50000}, saturated: 10000, limited: 600, foreign: 30000,
	}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("parse says %+v, %v; want %+v", got, err, want)
	}
	for _, arg := range []string{"--credentials=9", "--credentials=10000", "--sizes=100,100", "--sizes=9", "--sizes=many", "extra"} {
		if _, err := parse([]string{arg}); err == nil {
			t.Errorf("%s is accepted", arg)
		}
	}
}

func TestLevels(t *testing.T) {
	of := func(writes, refused int) *window {
		return &window{requests: requests{ByKind: map[string]int{"update secrets": writes}, Watches: 1, Refused: refused}}
	}
	without := level{Consumers: 4, Seconds: []float64{1, 2, 3, 10}, windows: []*window{of(3, 0), of(4, 1)}}
	with := level{Consumers: 4, Refusing: 1, Seconds: []float64{1, 3, 3, 5}}
	want := &requests{ByKind: map[string]int{"update secrets": 7}, Watches: 2, Refused: 1}
	if diff := cmp.Diff(want, without.allTurns()); diff != "" {
		t.Errorf("the turns add up wrongly (-want +got)\n%s", diff)
	}
	found := &distribution{Levels: []level{without, with, {Consumers: 9, Seconds: []float64{90}}}}
	if p50, p99 := found.refusal(0.50), found.refusal(0.99); p50 != 1.5 || p99 != 0.5 {
		t.Errorf("with one that refuses p50 x %.2f and p99 x %.2f, want 1.5 and 0.5", p50, p99)
	}
	if ratio := (&distribution{Levels: []level{without}}).refusal(0.50); ratio != 0 {
		t.Errorf("%.2f was never measured", ratio)
	}
}

func TestLifeFor(t *testing.T) {
	for why, test := range map[string]struct {
		credentials, rate int
		want              time.Duration
	}{
		"a token is refreshed after half of its life": {1000, 20, 105 * time.Second},
		"always due": {1000, 400, 5 * time.Second},
		"expires_in counts whole seconds, so one is the least": {100, 400, time.Second},
	} {
		if got := lifeFor(test.credentials, test.rate); got != test.want {
			t.Errorf("%s: %s, want %s", why, got, test.want)
		}
	}
}

const scraped = `# HELP x what it is
# TYPE x histogram
x_bucket{le="0.002"} 0
x_bucket{le="0.004"} 50
x_bucket{le="0.008"} 90
x_bucket{le="+Inf"} 100
x_sum 1.5
x_count 100
fluent_credential_exchanges_total{api="fluent",grant="refresh_token",verdict="Granted"} 7
fluent_credential_exchanges_total{api="fluent",grant="refresh_token",verdict="Unknown"} 2
fluent_credential_exchanges_total{api="fluent",grant="password",verdict="Granted"} 3
big 1.795342679434154e+09
`

func TestMetrics(t *testing.T) {
	found, err := parseMetrics([]byte(scraped))
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]float64{"big": 1795342679.434154, "fluent_credential_exchanges_total": 12, "missing": 0} {
		if got := found.sum(name); got != want {
			t.Errorf("%s is %v, want %v", name, got, want)
		}
	}
	if got := found.refreshed(); got != 7 {
		t.Errorf("%d refresh grants, want 7", got)
	}
	if _, err := parseMetrics([]byte("x one\n")); err == nil {
		t.Error("a value that is no number is accepted")
	}
}

func TestQuantile(t *testing.T) {
	found, err := parseMetrics([]byte(scraped))
	if err != nil {
		t.Fatal(err)
	}
	all := histogram(nil, found, "x")
	for why, test := range map[string]struct {
		buckets []bucket
		q, want float64
	}{
		"the middle of a bucket":                 {all, 0.25, 0.003},
		"the bound of a bucket":                  {all, 0.50, 0.004},
		"beyond the last bound nothing is known": {all, 0.99, 0.008},
		"nothing was observed between scrapes":   {histogram(found, found, "x"), 0.5, math.NaN()},
		"there is no such histogram":             {nil, 0.5, math.NaN()},
	} {
		got := quantile(test.buckets, test.q)
		if math.Abs(got-test.want) > 1e-9 || math.IsNaN(got) != math.IsNaN(test.want) {
			t.Errorf("%s: %v, want %v", why, got, test.want)
		}
	}
}

const audited = `{"stage":"ResponseComplete","verb":"get","user":{"username":"fluent-credential-operator"},"objectRef":{"resource":"secrets","name":"a"},"responseStatus":{"code":200},"stageTimestamp":"2026-01-05T10:00:01.000000Z"}
{"stage":"ResponseComplete","verb":"update","user":{"username":"fluent-credential-operator"},"objectRef":{"resource":"secrets","name":"a"},"responseStatus":{"code":409},"stageTimestamp":"2026-01-05T10:00:02.000000Z"}
{"stage":"ResponseComplete","verb":"patch","user":{"username":"fluent-credential-operator"},"objectRef":{"resource":"fluentcredentials","subresource":"status"},"responseStatus":{"code":200},"stageTimestamp":"2026-01-05T10:00:03.000000Z"}
{"stage":"ResponseComplete","verb":"patch","user":{"username":"bare-client"},"objectRef":{"resource":"secrets"},"responseStatus":{"code":200},"stageTimestamp":"2026-01-05T10:00:03.000000Z"}
{"stage":"ResponseStarted","verb":"watch","user":{"username":"fluent-credential-operator"},"objectRef":{"resource":"secrets"},"responseStatus":{"code":200},"stageTimestamp":"2026-01-05T10:00:04.000000Z"}
{"stage":"ResponseComplete","verb":"get","user":{"username":"fluent-credential-operator"},"requestURI":"/api","responseStatus":{"code":200},"stageTimestamp":"2026-01-05T10:00:05.000000Z"}
{"stage":"ResponseComplete","verb":"get","user":{"username":"fluent-credential-operator"},"objectRef":{"resource":"secrets"},"responseStatus":{"code":200},"stageTimestamp":"2026-01-05T10:00:10.000000Z"}
`

func TestTally(t *testing.T) {
	start := time.Date(2026, 1, 5, 10, 0, 0, 0, time.UTC)
	opened := func(user string) *window {
		return &window{user: user, from: start, to: start.Add(10 * time.Second), requests: requests{ByKind: map[string]int{}}}
	}
	windows := []*window{opened(operatorName), opened(bareName)}
	if err := tally(strings.NewReader(audited), windows); err != nil {
		t.Fatal(err)
	}
	want := []requests{
		{ByKind: map[string]int{"get secrets": 1, "update secrets": 1, "patch fluentcredentials/status": 1, "get (discovery)": 1}, Watches: 1, Refused: 1},
		{ByKind: map[string]int{"patch secrets": 1}},
	}
	if diff := cmp.Diff(want, []requests{windows[0].requests, windows[1].requests}); diff != "" {
		t.Errorf("requests (-want +got):\n%s", diff)
	}
	if all := windows[0].requests.all(); all != 4 {
		t.Errorf("all but watches are %d, want 4", all)
	}
	if err := tally(strings.NewReader("{torn"), windows); err == nil {
		t.Error("a torn line is passed over in silence")
	}
}

func TestParseResident(t *testing.T) {
	got, err := parseResident("Name:\toperator\nVmHWM:\t   90000 kB\nVmRSS:\t   51200 kB\nThreads:\t9\n")
	if err != nil || got != 50<<20 {
		t.Errorf("%d, %v; want %d", got, err, 50<<20)
	}
	for _, text := range []string{"", "VmRSS:", "VmRSS:\t12 MB\n", "VmRSS:\tmany kB\n"} {
		if _, err := parseResident(text); err == nil {
			t.Errorf("%q is understood", text)
		}
	}
}

func TestRestingValue(t *testing.T) {
	start := time.Now()
	var resting restingValue
	for i, step := range []struct {
		value float64
		rests time.Duration
	}{{100, 0}, {100.9, time.Second}, {99.1, 2 * time.Second}, {101.1, 0}, {101.1, time.Second}} {
		if got := resting.since(step.value, start.Add(time.Duration(i)*time.Second)); got != step.rests {
			t.Errorf("step %d: at rest for %s, want %s", i, got, step.rests)
		}
	}
}

func TestMemoryIsMeasuredInBoundedTime(t *testing.T) {
	const pause = time.Second
	for name, test := range map[string]struct {
		resident func(look int) int64
		cycles   func(look int) float64
		took     time.Duration
		want     memory
		why      string
	}{
		"at rest": {
			resident: func(int) int64 { return 50 << 20 },
			cycles:   func(look int) float64 { return float64(look) },
			took:     restFor, want: memory{Resident: 50 << 20, Live: 7},
			why: "nothing moves",
		},
		"it never rests": {
			resident: func(look int) int64 { return int64(50+2*(look%2)) << 20 },
			cycles:   func(look int) float64 { return float64(look) },
			took:     settleLimit, want: memory{Resident: 50 << 20, Live: 7, Unsettled: true},
			why: "the last value is reported, with a remark",
		},
		"nothing is collected": {
			resident: func(int) int64 { return 50 << 20 },
			cycles:   func(int) float64 { return 4 },
			took:     settleLimit, want: memory{Resident: 50 << 20, Live: 7, Unsettled: true},
			why: "garbage may still be in it",
		},
	} {
		t.Run(name, func(t *testing.T) {
			var settling settling
			start, look := time.Now(), 0
			for !settling.add(memory{Resident: test.resident(look), Live: 7}, test.cycles(look), start.Add(time.Duration(look)*pause)) {
				if look++; look > 1000 {
					t.Fatal("the measurement never ends")
				}
			}
			if took := time.Duration(look) * pause; took != test.took || settling.last != test.want {
				t.Errorf("%+v after %s, want %+v after %s: %s", settling.last, took, test.want, test.took, test.why)
			}
		})
	}
}

func TestUnsettledMemoryIsRemarked(t *testing.T) {
	const remark = "did not settle within 3m0s (with none: settled; with all: not settled)"
	r := measured()
	r.Memory.Full.Unsettled = true
	var out strings.Builder
	r.print(&out)
	if !strings.Contains(out.String(), remark) {
		t.Errorf("the table says\n%s\nwithout %q", out.String(), remark)
	}
}

func TestEach(t *testing.T) {
	var sum atomic.Int64
	if err := each(t.Context(), 1000, func(_ context.Context, i int) error { sum.Add(int64(i)); return nil }); err != nil || sum.Load() != 499500 {
		t.Errorf("the numbers add up to %d (%v), want 499500", sum.Load(), err)
	}
	broken := errors.New("broken")
	err := each(t.Context(), 1000, func(_ context.Context, i int) error {
		if i == 10 {
			return broken
		}
		return nil
	})
	if !errors.Is(err, broken) {
		t.Errorf("each says %v, want the first error", err)
	}
}

// measured are results of which every figure is known.
func measured() *results {
	count := func(get, update int) *requests {
		return &requests{ByKind: map[string]int{"get secrets": get, "update secrets": update}}
	}
	r := &results{Credentials: 1000, Machine: machine{CPUs: 2, System: "linux/amd64", Go: "go1.26", LoadBefore: "0.10"}}
	r.Memory.Empty, r.Memory.Full = memory{Resident: 50 << 20, Live: 6 << 20}, memory{Resident: 60 << 20, Live: 11 << 20}
	r.Idle = idle{Seconds: 60, requests: &requests{Watches: 1}}
	r.Restart = restart{ReadyAfter: 2, requests: &requests{ByKind: map[string]int{"get secrets": 3000}}}
	r.Steady = steady{work: work{Rotations: 100, Seconds: 10, requests: count(100, 200)}, published: []bucket{{0.004, 50}, {0.008, 100}, {math.Inf(1), 100}}}
	r.Steady.allocations = spending{Objects: 500_000, Bytes: 40 << 20}.perRotation(r.Steady.Rotations)
	r.Rounds = []round{
		{work{Rotations: 80, Seconds: 1, Users: 990, Waiting: 5, requests: count(80, 160)}, work{Rotations: 100, Seconds: 1, requests: count(100, 200)}},
		{work{Rotations: 60, Seconds: 1, Users: 1000, requests: count(60, 123)}, work{Rotations: 100, Seconds: 1, requests: count(100, 200)}},
	}
	r.Cost = cost{Rotations: 500, Steps: map[string]float64{
		stepRead: 2, stepReserve: 1, stepClaim: 3, stepExchange: 2, stepSeal: 0.5, stepCommit: 3, stepPublish: 4, stepRemove: 0.5, stepStatus: 4,
	}}
	return r
}

const table = `
1000 credentials in 5 namespaces; 2 CPUs shared with the control plane and the token servers, linux/amd64, go1.26, load 0.10 before

Requests to the Kubernetes API per rotation
                                      steady saturated      bare
  get secrets                           1.00      1.00      1.00
  update secrets                        2.00      2.02      2.00
  all                                   3.00      3.02      3.00
  of these, refused                     0.00      0.00      0.00

From reply to published, at 10.0 rotations/s
  p50 4.0 ms   p99 7.9 ms   (100 observations, interpolated in the histogram)

Allocations of the operator per rotation, at the same rate
  5000 objects, 410 KiB

Rotations per second, 16 at a time
             operator      bare     ratio
  round 1        80.0     100.0      0.80
  round 2        60.0     100.0      0.60
  all            70.0     100.0      0.70
  in round 1 the operator came round to 990 of the 1000 credentials
  in round 2 the operator had no work left in the end, so its limit is higher than this

What each step of a rotation takes, one at a time (median of 500)
  live read                           2.00 ms   10.0 %
  journal: room for the reply         1.00 ms    5.0 %
  claim                               3.00 ms   15.0 %
  exchange                            2.00 ms   10.0 %
  journal: the reply, synced          0.50 ms    2.5 %
  commit                              3.00 ms   15.0 %
  publish                             4.00 ms   20.0 %
  journal: removed                    0.50 ms    2.5 %
  status                              4.00 ms   20.0 %
  so the journal is 10.0 % of a rotation, and the claim 15.0 %

Memory of the operator
  resident      50.0 MiB with none,   60.0 MiB with all:  10.2 KiB per credential
  live heap      6.0 MiB with none,   11.0 MiB with all:   5.1 KiB per credential

Idle for 60 s with nothing due
  requests 0, besides watches begun anew 1 (leader election is off, so there is no lease)

Restart with nothing due: every credential ready after 2.0 s
  calls to the token server 0
  requests to the Kubernetes API 3000 (3.00 per credential), besides watches begun 0
    get secrets                        3000

Refresh tokens used twice: 0; given up, for a login instead: 0; calls to the token servers refused: 0
`

func TestTable(t *testing.T) {
	var out strings.Builder
	measured().print(&out)
	if diff := cmp.Diff(table, out.String()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestVerdict(t *testing.T) {
	for why, test := range map[string]struct {
		spoil func(*results)
		want  string
	}{
		"all is well":                   {func(*results) {}, ""},
		"a restart called for tokens":   {func(r *results) { r.Restart.TokenCalls = 2 }, "a restart with nothing due made 2 calls to the token server"},
		"a refresh token was reused":    {func(r *results) { r.Reuses = 1 }, "1 refresh tokens were presented again"},
		"a refresh token was given up":  {func(r *results) { r.LoginsAgain = 4 }, "4 refresh tokens were given up and a login was made instead"},
		"a token server said no":        {func(r *results) { r.TokenCallsRefused = 3 }, "3 calls to the token servers were refused"},
		"slow is no error, only a pity": {func(r *results) { r.Rounds[0].Operator.Rotations = 1 }, ""},
	} {
		r := measured()
		test.spoil(r)
		got := ""
		if err := r.verdict(); err != nil {
			got = err.Error()
		}
		if got != test.want {
			t.Errorf("%s: %q, want %q", why, got, test.want)
		}
	}
}

func TestSavedFiguresAreValidJSON(t *testing.T) {
	r := measured()
	if err := r.save(t.TempDir() + "/figures.json"); err != nil {
		t.Error(err)
	}
	r.Steady.published = nil // NaN is no JSON
	if err := r.save(t.TempDir() + "/figures.json"); err != nil {
		t.Error(err)
	}
}

func TestLoginsAgain(t *testing.T) {
	made := func(grant, user string) authsim.TokenRequest {
		return authsim.TokenRequest{Grant: grant, Username: user}
	}
	ledger := authsim.Ledger{TokenRequests: []authsim.TokenRequest{
		made("password", "a"), made("password", "b"), made("refresh_token", "a"), made("password", "a"), made("password", "a"),
	}}
	if got := loginsAgain(ledger); got != 2 {
		t.Errorf("%d logins were made again, want the 2 later ones of a", got)
	}
}
