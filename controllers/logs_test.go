package controllers

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"net/url"
	"strings"
	"sync"
	"testing"

	"github.com/go-logr/logr"
)

// logs collects every line that is logged in the test run, at the highest verbosity, so that it can be searched for secrets.
var logs = &collector{shared: &collected{}}

type collected struct {
	mu  sync.Mutex
	out bytes.Buffer
}

type collector struct {
	shared *collected
	prefix string
}

// most is the verbosity that the operator's own logger is capped at.
const most = 5

func (c *collector) Init(logr.RuntimeInfo)        {}
func (c *collector) Enabled(level int) bool       { return level <= most }
func (c *collector) WithName(string) logr.LogSink { return c }

func (c *collector) Info(_ int, message string, values ...any) { c.line(message, values) }

func (c *collector) Error(err error, message string, values ...any) {
	c.line(fmt.Sprintf("%s: %v %+v", message, err, err), values)
}

func (c *collector) WithValues(values ...any) logr.LogSink {
	return &collector{shared: c.shared, prefix: c.prefix + fmt.Sprintf(" %+v", values)}
}

func (c *collector) line(message string, values []any) {
	c.shared.mu.Lock()
	defer c.shared.mu.Unlock()
	fmt.Fprintf(&c.shared.out, "%s%s %+v %#v\n", message, c.prefix, values, values)
}

// add puts the log of another process to the lines.
func (c *collector) add(text string) {
	c.shared.mu.Lock()
	defer c.shared.mu.Unlock()
	c.shared.out.WriteString(text)
}

func (c *collector) text() string {
	c.shared.mu.Lock()
	defer c.shared.mu.Unlock()
	return c.shared.out.String()
}

// mustNotHold fails the test when a line holds one of the secrets, in any spelling.
func (c *collector) mustNotHold(t *testing.T, secrets []string) {
	t.Helper()
	searched(t, "the log", c.text(), secrets)
}

// searched fails the test when the text holds one of the secrets, in any spelling. It never prints the secret.
func searched(t *testing.T, what, text string, secrets []string) {
	t.Helper()
	for i, secret := range secrets {
		for _, spelling := range []string{secret, url.QueryEscape(secret), base64.StdEncoding.EncodeToString([]byte(secret))} {
			if at := strings.Index(text, spelling); secret != "" && at >= 0 {
				t.Errorf("%s holds secret %d of %d (%d characters) at byte %d", what, i+1, len(secrets), len(secret), at)
			}
		}
	}
}
