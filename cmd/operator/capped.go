package main

import "github.com/go-logr/logr"

// mostVerbose is the highest level that is logged.
const mostVerbose = 5

// capped drops what is more verbose than mostVerbose, whatever --zap-log-level says: the bodies of requests and replies are
// Secrets, and client-go would log them.
type capped struct{ logr.LogSink }

// Init does nothing: the sink was made ready when its own logger was made, and a second time would count the callers twice.
func (c capped) Init(logr.RuntimeInfo) {}

// Enabled tells whether a level is logged.
func (c capped) Enabled(level int) bool { return level <= mostVerbose && c.LogSink.Enabled(level) }

// WithValues keeps the cap.
func (c capped) WithValues(values ...any) logr.LogSink {
	return capped{c.LogSink.WithValues(values...)}
}

// WithName keeps the cap.
func (c capped) WithName(name string) logr.LogSink { return capped{c.LogSink.WithName(name)} }

// WithCallDepth keeps the cap, and the place that a line is logged from.
func (c capped) WithCallDepth(depth int) logr.LogSink {
	if deeper, ok := c.LogSink.(logr.CallDepthLogSink); ok {
		return capped{deeper.WithCallDepth(depth)}
	}
	return c
}
