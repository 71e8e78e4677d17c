package main

import (
	"bytes"
	"fmt"
	"runtime"
	"strings"
	"testing"

	"github.com/go-logr/logr"
	"github.com/go-logr/logr/funcr"
)

// loggerAt is the operator's logger with those flags, and what it writes.
func loggerAt(t *testing.T, args ...string) (logr.Logger, *bytes.Buffer) {
	t.Helper()
	flags, err := parse(args)
	if err != nil {
		t.Fatal(err)
	}
	out := &bytes.Buffer{}
	flags.zap.DestWriter = out
	return flags.logger(), out
}

// derived are the loggers that libraries make of the one they are given.
func derived(logger logr.Logger) map[string]logr.Logger {
	return map[string]logr.Logger{
		"as it is":        logger,
		"named":           logger.WithName("client-go"),
		"with values":     logger.WithValues("secret", "shop/orders"),
		"deeper":          logger.WithCallDepth(2),
		"all of it":       logger.WithName("a").WithValues("b", "c").WithCallDepth(1).WithName("d"),
		"through a sink":  logr.New(logger.GetSink()),
		"with a level":    logger.V(3),
		"with two levels": logger.V(2).WithName("a").V(2),
	}
}

// TestBodiesAreNeverLogged: whatever the command line says, nothing more verbose than level 5 is logged, by no logger that is made
// of the operator's own.
func TestBodiesAreNeverLogged(t *testing.T) {
	for _, level := range []string{"10", "8", "6", "127"} {
		logger, out := loggerAt(t, "--zap-log-level="+level)
		for name, logger := range derived(logger) {
			for verbosity := logger.GetV(); verbosity <= 130; verbosity++ {
				out.Reset()
				at := logger.V(verbosity - logger.GetV())
				at.Info("a line")
				logged, allowed := out.Len() > 0, verbosity <= mostVerbose
				if logged != allowed || at.Enabled() != allowed {
					t.Errorf("--zap-log-level=%s, %s: level %d is logged: %t, enabled: %t", level, name, verbosity, logged, at.Enabled())
				}
			}
		}
	}
}

func TestVerbosityBelowTheCap(t *testing.T) {
	tests := map[string]struct {
		why  string
		args []string
		most int
	}{
		"default":     {"what happens, and no more", nil, 0},
		"info":        {"by name", []string{"--zap-log-level=info"}, 0},
		"debug":       {"by name", []string{"--zap-log-level=debug"}, 1},
		"three":       {"by number", []string{"--zap-log-level=3"}, 3},
		"five":        {"the most", []string{"--zap-log-level=5"}, 5},
		"development": {"as for debug", []string{"--zap-devel"}, 1},
		"error":       {"nothing but errors", []string{"--zap-log-level=error"}, -1},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			logger, out := loggerAt(t, test.args...)
			for verbosity := range 10 {
				out.Reset()
				logger.V(verbosity).Info("a line")
				if logged := out.Len() > 0; logged != (verbosity <= test.most) {
					t.Errorf("level %d is logged: %t: %s", verbosity, logged, test.why)
				}
			}
			out.Reset()
			logger.V(9).Error(fmt.Errorf("a failure"), "a line")
			if !strings.Contains(out.String(), "a failure") {
				t.Error("an error is always logged")
			}
		})
	}
}

func TestNamesAndValuesPassTheCap(t *testing.T) {
	logger, out := loggerAt(t)
	logger.WithName("outer").WithValues("key", "value").WithName("inner").Info("a line", "more", 3)
	for _, part := range []string{"outer.inner", `"key":"value"`, `"more":3`, "a line"} {
		if !strings.Contains(out.String(), part) {
			t.Errorf("no %s in %s", part, out)
		}
	}
}

// TestPlaceOfALinePassesTheCap: a line names the place that it is logged from, and not the cap's or a caller's.
func TestPlaceOfALinePassesTheCap(t *testing.T) {
	var said string
	inner := funcr.New(func(_, line string) { said = line }, funcr.Options{LogCaller: funcr.All})
	logger := logr.New(capped{inner.GetSink()})
	helper := func() { logger.WithCallDepth(1).Info("a line") }
	for name, log := range map[string]func() int{
		"at once":     func() int { logger.Info("a line"); return line() },
		"named":       func() int { logger.WithName("x").Info("a line"); return line() },
		"by a helper": func() int { helper(); return line() },
	} {
		if want := fmt.Sprintf(`"caller"={"file"="capped_test.go" "line"=%d}`, log()); !strings.Contains(said, want) {
			t.Errorf("%s: %s, want %s", name, said, want)
		}
	}
}

// line is the line that calls it.
func line() int {
	_, _, line, _ := runtime.Caller(1)
	return line
}

// plain is a sink that knows nothing of call depths.
type plain struct{ logr.LogSink }

func TestSinkWithoutCallDepth(t *testing.T) {
	var lines []string
	sink := plain{funcr.New(func(_, args string) { lines = append(lines, args) }, funcr.Options{Verbosity: 10}).GetSink()}
	logger := logr.New(capped{sink}).WithCallDepth(3)
	logger.V(5).Info("a line")
	logger.V(6).Info("too much")
	if len(lines) != 1 {
		t.Errorf("logged %q", lines)
	}
}
