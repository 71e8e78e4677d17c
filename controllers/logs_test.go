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
	for _, leak := range inText(what, text, secrets) {
		t.Error(leak)
	}
}

// keyLength is how much of a spelling is looked up at every place of a text; a shorter spelling is not searched for.
const keyLength = 12

// inText tells which secrets are in a text, in any spelling, by their number. One walk finds all: a run has thousands of secrets and
// megabytes of log.
func inText(what, text string, secrets []string) (found []string) {
	keys := map[string][]string{}
	number := map[string]int{}
	for i, secret := range secrets {
		for _, spelling := range spellings(secret) {
			if len(spelling) >= keyLength {
				keys[spelling[:keyLength]] = append(keys[spelling[:keyLength]], spelling)
				number[spelling] = i + 1
			}
		}
	}
	for at := 0; at+keyLength <= len(text); at++ {
		for _, spelling := range keys[text[at:at+keyLength]] {
			if strings.HasPrefix(text[at:], spelling) {
				found = append(found, fmt.Sprintf("%s holds secret %d of %d (%d characters) at byte %d", what, number[spelling], len(secrets), len(spelling), at))
			}
		}
	}
	return found[:min(len(found), 20)]
}

// spellings are the ways in which a secret can stand in a text. In base64 of something longer it has one of three forms; what is
// sure of each is without its first and last characters.
func spellings(secret string) []string {
	if secret == "" {
		return nil
	}
	all := []string{secret, url.QueryEscape(secret)}
	for shift := range 3 {
		encoded := base64.StdEncoding.EncodeToString([]byte(strings.Repeat("x", shift) + secret))
		if len(encoded) > 12 {
			all = append(all, encoded[4:len(encoded)-4])
		}
	}
	return all
}
