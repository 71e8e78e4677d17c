package controllers

import (
	"fmt"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/tools/events"

	"github.com/fluent-credential/operator/internal/printable"
)

// Conditions and events repeat names and messages of others. Every message passes one of these functions.

const (
	// maxMessage bounds the message of a condition, in bytes. Kubernetes permits 32,768 characters.
	maxMessage = 4 << 10
	// maxNote bounds the note of an event, in bytes, as Kubernetes does: a longer one is rejected, and the event is lost.
	maxNote = 1 << 10
)

// conditionOf returns a condition with a printable message.
func conditionOf(kind string, status metav1.ConditionStatus, because cause) metav1.Condition {
	return metav1.Condition{
		Type: kind, Status: status, Reason: because.reason,
		Message: printable.CutBytes(printable.Line(because.message), maxMessage),
	}
}

// printableRecorder records events with printable notes that are short enough to be accepted.
type printableRecorder struct{ events.EventRecorder }

// Eventf records an event.
func (r printableRecorder) Eventf(about, related runtime.Object, kind, reason, action, note string, args ...any) {
	text := printable.CutBytes(printable.Line(fmt.Sprintf(note, args...)), maxNote)
	r.EventRecorder.Eventf(about, related, kind, reason, action, "%s", text)
}
