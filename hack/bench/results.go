package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"os"
	"runtime"
	"strings"
	"time"
)

// results are all figures of one run.
type results struct {
	Machine     machine `json:"machine"`
	Credentials int     `json:"credentials"`
	Quick       bool    `json:"quick"`

	ReadyAfter float64 `json:"allReadyAfterSeconds"` // from the first one's creation
	Memory     struct {
		Empty memory `json:"noCredential"`
		Full  memory `json:"allCredentials"`
	} `json:"memory"`
	Idle    idle    `json:"idle"`
	Restart restart `json:"restartWithNothingDue"`
	Steady  steady  `json:"steady"`
	Rounds  []round `json:"saturatedRounds"`
	Cost    cost    `json:"cost"`

	Distribution *distribution `json:"distribution,omitempty"`

	// What must never happen. A credential logs in once at each server; a login again means that a refresh token was given up.
	Reuses            int `json:"refreshTokensReused"`
	LoginsAgain       int `json:"loginsAgain"`
	TokenCallsRefused int `json:"tokenCallsRefused"`
}

// machine is what the figures depend on.
type machine struct {
	CPUs       int       `json:"cpus"`
	Memory     float64   `json:"memoryGiB"`
	System     string    `json:"system"`
	Go         string    `json:"go"`
	Time       time.Time `json:"time"`
	LoadBefore string    `json:"loadAverageBefore"`
}

type idle struct {
	Seconds   float64 `json:"seconds"`
	*requests `json:"requests"`
}

type restart struct {
	TokenCalls int     `json:"tokenCalls"`
	ReadyAfter float64 `json:"readyAfterSeconds"` // the API's requests are counted until the operator was quiet
	*requests  `json:"requests"`
}

// work is what was done in a window.
type work struct {
	Rotations int     `json:"rotations"`
	Seconds   float64 `json:"seconds"`
	Users     int     `json:"users"`                     // of these rotations: the operator's credentials have one each
	Waiting   int     `json:"waitingAtTheEnd,omitempty"` // in the operator's queue; none: it was not saturated
	*requests `json:"requests"`
}

func (w work) rate() float64 { return float64(w.Rotations) / w.Seconds }

type steady struct {
	work
	published   []bucket
	allocations allocations
}

// milliseconds from a reply to the published Secret; NaN where none was observed.
func (s steady) milliseconds(q float64) float64 { return 1000 * quantile(s.published, q) }

// MarshalJSON adds the quantiles.
func (s steady) MarshalJSON() ([]byte, error) {
	return json.Marshal(struct {
		Work        work        `json:"work"`
		P50         *float64    `json:"replyToPublishedP50Milliseconds"`
		P99         *float64    `json:"replyToPublishedP99Milliseconds"`
		Allocations allocations `json:"allocationsPerRotation"`
	}{s.work, orNull(s.milliseconds(0.50)), orNull(s.milliseconds(0.99)), s.allocations})
}

// orNull: JSON knows no NaN.
func orNull(value float64) *float64 {
	if math.IsNaN(value) {
		return nil
	}
	return &value
}

// round is one turn of each.
type round struct {
	Operator work `json:"operator"`
	Bare     work `json:"bareClient"`
}

func newResults(options options) results {
	load, _ := os.ReadFile("/proc/loadavg") // where there is none, none is told
	fields := append(strings.Fields(string(load)), "unknown")
	return results{
		Credentials: options.credentials, Quick: options.quick,
		Machine: machine{
			CPUs: runtime.NumCPU(), Memory: memoryOfMachine(), System: runtime.GOOS + "/" + runtime.GOARCH, Go: runtime.Version(),
			Time: time.Now().UTC().Truncate(time.Second), LoadBefore: fields[0],
		},
	}
}

// memoryOfMachine is in GiB; zero where nobody tells.
func memoryOfMachine() float64 {
	text, _ := os.ReadFile("/proc/meminfo")
	kilobytes, _ := numberAfter(string(text), "MemTotal:")
	return float64(kilobytes) / (1 << 20)
}

// saturated adds up the rounds.
func (r *results) saturated() round {
	sum := round{Operator: newWork(), Bare: newWork()}
	for _, round := range r.Rounds {
		sum.Operator.add(round.Operator)
		sum.Bare.add(round.Bare)
	}
	return sum
}

func newWork() work { return work{requests: &requests{ByKind: map[string]int{}}} }

func (w *work) add(more work) {
	w.Rotations += more.Rotations
	w.Seconds += more.Seconds
	w.Watches += more.Watches
	w.Refused += more.Refused
	for kind, count := range more.ByKind {
		w.ByKind[kind] += count
	}
}

// perCredential is how much each credential adds.
func (r *results) perCredential(of func(memory) int64) float64 {
	return float64(of(r.Memory.Full)-of(r.Memory.Empty)) / float64(r.Credentials)
}

func (r *results) save(path string) error {
	encoded, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(path, append(encoded, '\n'), 0o644)
}

// verdict is an error where something happened that must never happen.
func (r *results) verdict() error {
	var errs []error
	if r.Restart.TokenCalls != 0 {
		errs = append(errs, fmt.Errorf("a restart with nothing due made %d calls to the token server", r.Restart.TokenCalls))
	}
	if r.Reuses != 0 {
		errs = append(errs, fmt.Errorf("%d refresh tokens were presented again", r.Reuses))
	}
	if r.LoginsAgain != 0 {
		errs = append(errs, fmt.Errorf("%d refresh tokens were given up and a login was made instead", r.LoginsAgain))
	}
	if r.TokenCallsRefused != 0 {
		errs = append(errs, fmt.Errorf("%d calls to the token servers were refused", r.TokenCallsRefused))
	}
	if r.Distribution != nil {
		errs = append(errs, r.Distribution.verdict())
	}
	return errors.Join(errs...)
}
