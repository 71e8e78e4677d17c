// Package consumer is a workload as there are many: it reads an access token from a mounted file and calls an API with it, all the
// time. What it saw and what it was told is in its Report, which holds no token.
package consumer

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io/fs"
	"net/http"
	"os"
	"sync"
	"time"
)

// Config says what to read and what to call.
type Config struct {
	// TokenFile is read again for every call, as a workload should.
	TokenFile string
	// URL is called with the token as bearer; empty: the file is watched and nothing is called.
	URL string
	// Every is the time from one call to the next.
	Every time.Duration
	// Client does the calls.
	Client *http.Client
}

// Report is what a Consumer has seen so far.
type Report struct {
	Calls    int `json:"calls"`
	Accepted int `json:"accepted"`
	Refused  int `json:"refused"` // 401
	Other    int `json:"other"`   // no answer, or another one
	// LastOther is the newest of Other.
	LastOther string     `json:"lastOther,omitempty"`
	Tokens    []Sighting `json:"tokens"` // in the order in which they came to the file
}

// Sighting is one content of the token file.
type Sighting struct {
	Fingerprint string    `json:"fingerprint"` // see Fingerprint
	Seen        time.Time `json:"seen"`        // when the file first held it
	Accepted    int       `json:"accepted"`
	Refused     int       `json:"refused"`
	// FirstRefused is zero where it never was.
	FirstRefused time.Time `json:"firstRefused,omitzero"`
}

// Fingerprint tells one token from another and does not give it away.
func Fingerprint(token string) string {
	sum := sha256.Sum256([]byte(token))
	return hex.EncodeToString(sum[:8])
}

// Consumer reads and calls until its context ends.
type Consumer struct {
	config Config

	mu     sync.Mutex
	report Report
}

// New returns a consumer that has seen nothing yet.
func New(config Config) *Consumer { return &Consumer{config: config} }

// Run works until the context ends.
func (c *Consumer) Run(ctx context.Context) {
	ticker := time.NewTicker(c.config.Every)
	defer ticker.Stop()
	for {
		c.once(ctx)
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return
		}
	}
}

// once reads the file and makes one call. There may be no file yet.
func (c *Consumer) once(ctx context.Context) {
	content, err := os.ReadFile(c.config.TokenFile)
	if errors.Is(err, fs.ErrNotExist) {
		return
	}
	if err != nil {
		c.other(err.Error())
		return
	}
	token := string(bytes.TrimSpace(content))
	c.sight(token)
	if c.config.URL != "" {
		c.call(ctx, token)
	}
}

// sight notes a token that was not there a moment ago.
func (c *Consumer) sight(token string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	fingerprint := Fingerprint(token)
	if last := len(c.report.Tokens) - 1; last < 0 || c.report.Tokens[last].Fingerprint != fingerprint {
		c.report.Tokens = append(c.report.Tokens, Sighting{Fingerprint: fingerprint, Seen: time.Now()})
	}
}

func (c *Consumer) call(ctx context.Context, token string) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, c.config.URL, nil)
	if err != nil {
		c.other("the URL cannot be called")
		return
	}
	request.Header.Set("Authorization", "Bearer "+token)
	response, err := c.config.Client.Do(request)
	if err != nil {
		c.other(err.Error())
		return
	}
	response.Body.Close()
	c.answered(response.StatusCode)
}

func (c *Consumer) other(what string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.report.Calls++
	c.report.Other++
	c.report.LastOther = what
}

func (c *Consumer) answered(status int) {
	if status != http.StatusOK && status != http.StatusUnauthorized {
		c.other(http.StatusText(status))
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.report.Calls++
	sighting := &c.report.Tokens[len(c.report.Tokens)-1]
	if status == http.StatusOK {
		c.report.Accepted++
		sighting.Accepted++
		return
	}
	c.report.Refused++
	sighting.Refused++
	if sighting.FirstRefused.IsZero() {
		sighting.FirstRefused = time.Now()
	}
}

// ServeHTTP answers with the Report as JSON.
func (c *Consumer) ServeHTTP(w http.ResponseWriter, _ *http.Request) {
	c.mu.Lock()
	text, err := json.Marshal(c.report)
	c.mu.Unlock()
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(text)
}
