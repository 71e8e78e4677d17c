package simulation

import (
	"fmt"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/recorder"
)

func labelsOf(secret *corev1.Secret) labels.Set { return labels.Set(secret.Labels) }

// logSink searches what is logged for secrets, and puts it into the transcript.
type logSink struct{ world *world }

func (s logSink) Init(logr.RuntimeInfo)  {}
func (s logSink) Enabled(level int) bool { return level == 0 || s.world.verbose }

func (s logSink) Info(_ int, message string, values ...any) {
	text := message
	for i, value := range values {
		text += [...]string{" ", "="}[i%2] + fmt.Sprint(value)
	}
	s.world.oracle.said("log", text)
	if s.world.verbose {
		s.world.tell("  log: %s", s.world.stable(text))
	}
}

func (s logSink) Error(err error, message string, values ...any) {
	s.Info(0, message, append([]any{"error", err}, values...)...)
}

func (s logSink) WithValues(...any) logr.LogSink { return s }
func (s logSink) WithName(string) logr.LogSink   { return s }

// eventSink searches events.
type eventSink struct {
	recorder.EventRecorder
	world *world
}

func (s eventSink) Eventf(_, _ runtime.Object, _, reason, _, note string, args ...any) {
	text := reason + ": " + fmt.Sprintf(note, args...)
	s.world.oracle.said("event", text)
	s.world.tell("  event: %s", text)
}
