package main

import (
	"errors"
	"strings"
	"testing"

	"github.com/fluent-credential/operator/internal/printable"
)

// TestLogLinesAreOfPrintableText: names and messages of others reach a terminal through kubectl logs.
func TestLogLinesAreOfPrintableText(t *testing.T) {
	for _, encoder := range []string{"json", "console"} {
		logger, out := loggerAt(t, "--zap-encoder="+encoder)
		const hostile = "a\x1b[31mb\u202e\u009b\u200b\xff"
		logger.Info("a line", "name", hostile)
		logger.Error(errors.New(hostile), "a failure "+hostile)
		for line := range strings.Lines(out.String()) {
			if strings.ContainsFunc(strings.TrimSuffix(line, "\n"), func(r rune) bool { return r != '\t' && !printable.Is(r) }) {
				t.Errorf("%s: %q", encoder, line)
			}
		}
		if encoder == "json" && !strings.Contains(out.String(), `\u001b[31mb\u202e\u009b\u200b`) {
			t.Errorf("the characters are lost: %q", out.String())
		}
	}
}
