package controllers

import (
	"errors"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/events"

	"github.com/fluent-credential/operator/api/v1alpha1"
	"github.com/fluent-credential/operator/internal/plan"
	"github.com/fluent-credential/operator/internal/printable"
	"github.com/fluent-credential/operator/internal/token"
)

const hostileText = "a\x1b[31mb\nforged: line\r\u202e\u200bc\xff"

func mustBeShown(t *testing.T, what, text string, limit int) {
	t.Helper()
	if !utf8.ValidString(text) || strings.ContainsFunc(text, func(r rune) bool { return !printable.Is(r) }) {
		t.Errorf("%s is not printable: %q", what, text)
	}
	if len(text) > limit {
		t.Errorf("%s has %d bytes, %d at most", what, len(text), limit)
	}
}

// TestUnitConditionsAreOfPrintableText: the names and the state can be older than the rules for them.
func TestUnitConditionsAreOfPrintableText(t *testing.T) {
	long := hostileText + strings.Repeat("密", 40_000)
	for name, change := range map[string]func(*scene){
		"an obstacle":     func(s *scene) { s.obstruct(v1alpha1.ReasonTemplateInvalid, long) },
		"a target":        func(s *scene) { s.cred.Spec.Target.Name = long },
		"a failed write":  func(s *scene) { s.failed = errors.New(long) },
		"a stored reason": func(s *scene) { s.answered(token.RefreshToken, refused(token.RefusedDead, 400, long, long)) },
		"an identity": func(s *scene) {
			s.record.Token.Identity = token.Identity{FirstName: long, LastName: long, Roles: []string{long}, OwnerID: long}
			s.record.Token.Type, s.record.Token.Scope = long, long
		},
	} {
		s := newScene(t)
		change(s)
		s.facts.Deleting = false
		status := statusOf(s.observation, plan.Next(s.facts, s.now))
		for _, condition := range status.Conditions {
			mustBeShown(t, name+": "+condition.Type, condition.Message, maxMessage)
		}
		mustBeShown(t, name+": the summary", status.Summary.Message, maxMessage)
		if who := status.Identity; who != nil {
			for _, text := range append(who.Roles, who.FirstName, who.LastName, who.OwnerID, status.Token.Type, status.Token.Scope) {
				mustBeShown(t, name+": the identity", text, maxText*utf8.UTFMax)
			}
		}
	}
}

func TestUnitEventsAreOfPrintableText(t *testing.T) {
	recorded := events.NewFakeRecorder(1)
	cred := &v1alpha1.FluentCredential{}
	printableRecorder{recorded}.Eventf(cred, nil, corev1.EventTypeWarning, "Reason", "Observe", "%s and %s", hostileText, strings.Repeat("密", 1000))
	note := strings.TrimPrefix(<-recorded.Events, "Warning Reason ")
	mustBeShown(t, "the note", note, maxNote)
	if !strings.HasPrefix(note, "a[31mb forged: line") {
		t.Errorf("the note is %q", note)
	}
}

// TestLongestNoteIsAccepted: Kubernetes rejects a longer note, and counts bytes.
func TestLongestNoteIsAccepted(t *testing.T) {
	t.Parallel()
	namespace := newNamespace(t)
	for name, note := range map[string]string{
		"plain": strings.Repeat("x", 2000), "wide": strings.Repeat("密", 2000), "at the bound": strings.Repeat("x", maxNote),
	} {
		event := &eventsv1.Event{
			ObjectMeta: metav1.ObjectMeta{Namespace: namespace, GenerateName: "e-"}, EventTime: metav1.NewMicroTime(time.Now()),
			Type: corev1.EventTypeWarning, Reason: "Reason", Action: "Observe",
			ReportingController: v1alpha1.OperatorName, ReportingInstance: "test",
			Regarding: corev1.ObjectReference{Namespace: namespace, Kind: "Secret", Name: "x"},
			Note:      printable.CutBytes(note, maxNote),
		}
		if err := live.Create(t.Context(), event); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}
