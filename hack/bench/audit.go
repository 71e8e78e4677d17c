package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"time"
)

// The API server's own audit log says who asked for what, without a doubt. Both users are logged alike, so that neither has an
// advantage; everybody else is not. A watch counts when it begins, everything else when it is answered.
const (
	auditPolicyFile = "audit-policy.yaml"
	auditLogFile    = "audit.log"

	auditPolicy = `apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
rules:
  - {level: Metadata, users: [` + operatorName + `, ` + bareName + `], verbs: [watch], omitStages: [ResponseComplete]}
  - {level: Metadata, users: [` + operatorName + `, ` + bareName + `], omitStages: [ResponseStarted]}
  - {level: None}
`
)

var auditFlags = map[string]string{
	"audit-policy-file":  "{dir}/" + auditPolicyFile,
	"audit-log-path":     "{dir}/" + auditLogFile,
	"audit-log-maxsize":  "100000", // megabytes: one file, never rotated
	"audit-log-compress": "false",
}

// auditEvent is what is of interest of an event of audit.k8s.io/v1.
type auditEvent struct {
	Verb string `json:"verb"`
	User struct {
		Username string `json:"username"`
	} `json:"user"`
	ObjectRef *struct {
		Resource    string `json:"resource"`
		Subresource string `json:"subresource"`
	} `json:"objectRef"`
	ResponseStatus struct {
		Code int `json:"code"`
	} `json:"responseStatus"`
	StageTimestamp time.Time `json:"stageTimestamp"`
}

// kind names a request by verb and resource.
func (e auditEvent) kind() string {
	switch {
	case e.ObjectRef == nil:
		return e.Verb + " (discovery)"
	case e.ObjectRef.Subresource != "":
		return e.Verb + " " + e.ObjectRef.Resource + "/" + e.ObjectRef.Subresource
	}
	return e.Verb + " " + e.ObjectRef.Resource
}

// window is a time during which the requests of one user are counted.
type window struct {
	user     string
	from, to time.Time
	requests requests
}

// requests counts requests to the Kubernetes API.
type requests struct {
	ByKind  map[string]int `json:"byKind"`
	Watches int            `json:"watchesBegun"`
	Refused int            `json:"refused"` // of all these, answered with 400 or more
}

// all counts everything but watches.
func (r requests) all() int {
	total := 0
	for _, count := range r.ByKind {
		total += count
	}
	return total
}

// open begins a window; its requests are known after tallyAudit.
func (b *bench) open(user string) *window {
	opened := &window{user: user, from: time.Now(), requests: requests{ByKind: map[string]int{}}}
	b.windows = append(b.windows, opened)
	return opened
}

func (w *window) close() { w.to = time.Now() }

func (w *window) holds(at time.Time) bool { return !at.Before(w.from) && at.Before(w.to) }

func (w *window) seconds() float64 { return w.to.Sub(w.from).Seconds() }

func (w *window) count(event auditEvent) {
	if event.User.Username != w.user || !w.holds(event.StageTimestamp) {
		return
	}
	if event.ResponseStatus.Code >= 400 {
		w.requests.Refused++
	}
	if event.Verb == "watch" {
		w.requests.Watches++
		return
	}
	w.requests.ByKind[event.kind()]++
}

// tallyAudit reads the audit log into the windows.
func (b *bench) tallyAudit(context.Context) error {
	b.say("reading the audit log")
	file, err := os.Open(filepath.Join(b.cluster.Dir, auditLogFile))
	if err != nil {
		return err
	}
	defer file.Close() //nolint:errcheck // it was only read
	return tally(file, b.windows)
}

func tally(log io.Reader, windows []*window) error {
	lines := bufio.NewScanner(log)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var event auditEvent
		if err := json.Unmarshal(lines.Bytes(), &event); err != nil {
			return fmt.Errorf("audit log: %w", err)
		}
		for _, window := range windows {
			window.count(event)
		}
	}
	return lines.Err()
}

// auditFollower reads what is added to the audit log.
type auditFollower struct {
	*os.File
	found int
	rest  []byte // of what was read, in which a word may have begun
}

// statusWord is in each request about a status.
var statusWord = []byte(`"subresource":"status"`)

// followAudit follows it from its end.
func (b *bench) followAudit() (*auditFollower, error) {
	file, err := os.Open(filepath.Join(b.cluster.Dir, auditLogFile))
	if err != nil {
		return nil, err
	}
	_, err = file.Seek(0, io.SeekEnd)
	return &auditFollower{File: file}, err
}

// statuses is how many statuses the operator has written meanwhile.
func (f *auditFollower) statuses() (int, error) {
	added, err := io.ReadAll(f.File)
	text := slices.Concat(f.rest, added)
	f.found += bytes.Count(text, statusWord)
	f.rest = bytes.Clone(text[max(0, len(text)-len(statusWord)+1):])
	return f.found, err
}
