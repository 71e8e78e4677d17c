package controllers

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/fluent-credential/operator/api/v1alpha1"
	"github.com/fluent-credential/operator/hack/authsim"
	"github.com/fluent-credential/operator/internal/custody"
	"github.com/fluent-credential/operator/internal/failure"
	"github.com/fluent-credential/operator/internal/plan"
	"github.com/fluent-credential/operator/internal/token"
)

// asks sets the rotate annotation.
func (d *driven) asks(value string) {
	d.t.Helper()
	edit(d.t, d.cred, func(cred *v1alpha1.FluentCredential) {
		metav1.SetMetaDataAnnotation(&cred.ObjectMeta, v1alpha1.RotateAnnotation, value)
	})
}

// mustBeSmall looks at what is stored for a credential.
func (d *driven) mustBeSmall() {
	d.t.Helper()
	size := 0
	for _, entry := range d.state().Data {
		size += len(entry)
	}
	if size > 128<<10 {
		d.t.Errorf("the state Secret has %d bytes", size)
	}
	encoded, err := json.Marshal(d.status())
	if err != nil || len(encoded) > 64<<10 {
		d.t.Errorf("the status has %d bytes, %v", len(encoded), err)
	}
}

// inserted adds a member as it is written to the good reply.
func inserted(name, value string) manners {
	return rewritten(func(good string) string {
		return strings.TrimSuffix(strings.TrimSpace(good), "}") + `,"` + name + `":` + value + "}"
	})
}

// TestHostileSizesNeitherStopAnExchangeNorFillTheState lets the annotation and the replies be as large as the APIs
// permit.
func TestHostileSizesNeitherStopAnExchangeNorFillTheState(t *testing.T) {
	t.Parallel()
	long := func(unit string) string { return strings.Repeat(unit, 64_000/len(unit)) }
	for name, bad := range map[string]manners{
		"a member":      inserted("other", `"`+long("<")+`"`),
		"control":       inserted("other", `"`+long(`\u0001`)+`"`),
		"roles":         inserted("Roles", `["`+long("<")+`","`+long(`\u2028`)+`"]`),
		"many roles":    inserted("Roles", `["R"`+long(`,"R"`)+`]`),
		"a name":        inserted("FirstName", `"`+long("\xff")+`"`),
		"a scope":       inserted("scope", `"`+long("a ")+`"`),
		"deep":          inserted("deep", strings.Repeat("[", 5_000)+strings.Repeat("]", 5_000)),
		"a token type":  inserted("token_type", `"`+long("<")+`"`),
		"a retailer id": inserted("Retailer_id", `"`+long("1")+`"`),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBeset(t)
			b.rogue.manners.Store(&bad)
			for serial, value := range []string{
				strings.Repeat("<", 150_000), strings.Repeat("\x01", 200_000), "a\nb\x1b[31m", "2026-01-05T10:00:00Z",
			} {
				b.asks(value)
				b.settle()
				b.settle()
				status := b.status()
				if status.Token == nil || status.Token.Serial != int64(serial)+1 {
					t.Fatalf("after %.20q the token is %+v: %s", value, status.Token, b.says(v1alpha1.ConditionReady))
				}
				if handled := status.LastHandledRotateAt; len(handled) > 256 || strings.ContainsAny(handled, "\n\x1b\x01<") {
					t.Errorf("%.20q is echoed as %.300q", value, handled)
				}
				b.mustBeSmall()
				b.sleep(time.Second)
			}
			if handled := b.status().LastHandledRotateAt; handled != "2026-01-05T10:00:00Z" {
				t.Errorf("a time is echoed as %q", handled)
			}
		})
	}
}

// TestALongAnnotationOfAFormerVersionIsNotActedOnAgain: it kept the value itself.
func TestALongAnnotationOfAFormerVersionIsNotActedOnAgain(t *testing.T) {
	s := newScene(t)
	long := strings.Repeat("<", 150_000)
	s.cred.Annotations = map[string]string{v1alpha1.RotateAnnotation: long}
	for name, given := range map[string]func(){
		"in the state":  func() { s.record.Rotate = long },
		"in the status": func() { s.record.Rotate, s.cred.Status.LastHandledRotateAt = "", long },
	} {
		given()
		if s.isRotateAsked() {
			t.Errorf("%s: it is acted on again", name)
		}
		if handled := handled(s.observation); handled != custody.RotateMark(long) {
			t.Errorf("%s: it is echoed as %.300q", name, handled)
		}
	}
	s.cred.Annotations[v1alpha1.RotateAnnotation] += "<"
	if !s.isRotateAsked() {
		t.Error("another value is not acted on")
	}
}

// TestAChainThatLeavesNoRoomIsNotSpent: a reply without a refresh token leaves the present one beside the largest access
// token. Every byte of it needs an escape in the state.
func TestAChainThatLeavesNoRoomIsNotSpent(t *testing.T) {
	t.Parallel()
	b := newBesetWith(t, withoutUser)
	b.setSeed("refresh_token", b.server.Seed(user, clientID))
	large := raw(said("200 OK", "application/x-www-form-urlencoded",
		"access_token=a-short-access-token&expires_in=60&refresh_token="+strings.Repeat(`"`, 250<<10)))
	b.rogue.manners.Store(&large)
	b.sleep(b.settle())
	if says := b.says(v1alpha1.ConditionReady); !strings.HasPrefix(says, "True") {
		t.Fatalf("the large refresh token is not stored: %s", says)
	}
	b.rogue.manners.Store(nil)
	for range 5 {
		b.settle()
		b.sleep(time.Hour)
	}
	says := b.says(v1alpha1.ConditionStalled)
	if !strings.HasPrefix(says, "True StateUnwritable") || !strings.Contains(says, "put a shorter refresh_token into the credentials Secret") {
		t.Errorf("Stalled says %q", says)
	}
	if class := b.status().Failures.Class; class != string(failure.Person) {
		t.Errorf("the class is %s", class)
	}
	if requests, _ := b.rogue.seen(); requests != 1 {
		t.Errorf("%d requests, want the first", requests)
	}
	b.mustHaveEvent(v1alpha1.ReasonStateUnwritable, "there is no room for another token")
	b.setSeed("refresh_token", b.server.Seed(user, clientID))
	b.settle()
	if says := b.says(v1alpha1.ConditionReady); !strings.HasPrefix(says, "True") {
		t.Errorf("with another seed: %s", says)
	}
}

// TestMetadataOfOthersTakesNoRoomFromAReply: a tenant fills the state Secret between the claim and the commit, so that
// the reply is too much for etcd.
func TestMetadataOfOthersTakesNoRoomFromAReply(t *testing.T) {
	t.Parallel()
	b := newBeset(t)
	g := newGated(t, b.driven)
	g.sleep(g.settle())
	large := rewritten(func(good string) string {
		return strings.Replace(good, `"access_token":"`, `"access_token":"`+strings.Repeat("x", 200<<10), 1)
	})
	b.rogue.manners.Store(&large)
	g.afterTheClaim(func() {
		edit(t, g.state(), func(s *corev1.Secret) {
			for i := range 11_000 {
				s.Labels[fmt.Sprintf("example.com/%d", i)] = strings.Repeat("x", 63)
			}
			for i := range 40_000 - 11_000*3/2 {
				s.Finalizers = append(s.Finalizers, fmt.Sprintf("example.com/last-%d", i))
			}
		})
	})
	g.pass()
	g.live(time.Minute)
	if status := g.status(); status.Token.Serial < 2 || status.Summary.Reason != v1alpha1.ReasonTokenPublished {
		t.Errorf("serial %d: %+v", status.Token.Serial, status.Summary)
	}
	if ledger := g.server.Ledger(); ledger.RequestsOf(authsim.GrantPassword) != 1 || mostPresented(ledger) != 1 {
		t.Errorf("%d passwords, a refresh token was presented %d times", ledger.RequestsOf(authsim.GrantPassword), mostPresented(ledger))
	}
}

// TestResultsThatAreHeldStopTheirOwnNamespace shows how many there can be in the memory of the operator.
func TestResultsThatAreHeldStopTheirOwnNamespace(t *testing.T) {
	tests := map[string]struct {
		why         string
		own, others int
		admitted    bool
	}{
		"none":                           {"this is how it is", 0, 0, true},
		"some":                           {"a policy was changed at the wrong moment", heldPerNamespace - 1, 0, true},
		"as many as a namespace may":     {"memory is bounded", heldPerNamespace, 0, false},
		"all that there can be":          {"a tenant who holds none is not stopped", 0, heldInAll, true},
		"one, and all that there can be": {"a tenant who holds one is", 1, heldInAll, false},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			s := newScene(t)
			s.r.memory = newMemory()
			for i := range test.own + test.others {
				cred := s.cred.DeepCopy()
				cred.UID = types.UID(fmt.Sprint("held-", i))
				if i >= test.own {
					cred.Namespace = fmt.Sprint("other-", i)
				}
				s.r.memory.hold(&held{seen: &observation{cred: cred}})
			}
			try, err := s.r.prepare(s.observation, plan.ByRefresh)
			if err != nil {
				t.Fatal(err)
			}
			refused := s.r.admit(s.observation, try)
			if (refused == nil) != test.admitted {
				t.Fatalf("%+v: %s", refused, test.why)
			}
			if refused == nil {
				return
			}
			try.answer = *refused
			failed := s.r.failure(s.observation, try)
			if failed.Reason != v1alpha1.ReasonStateUnwritable || failed.Class != failure.Time || failed.Verdict != token.Unsent || failed.RetryAt.IsZero() {
				t.Errorf("it is reported as %+v", failed)
			}
		})
	}
}

// TestAShutdownEndsInItsTime shows for which results it waits, and for how long.
func TestAShutdownEndsInItsTime(t *testing.T) {
	t.Parallel()
	secrets := schema.GroupResource{Resource: "secrets"}
	denied := apierrors.NewForbidden(secrets, "x", errors.New("a rule of admission"))
	conflict := apierrors.NewConflict(secrets, "x", errors.New("the object has been modified"))
	for name, test := range map[string]struct {
		why       string
		journaled bool
		err       error
		most      time.Duration // of the waits; zero: it waits for as long as it may
	}{
		"denied, in the journal":     {"the next process can store it", true, denied, time.Second},
		"conflicts, in the journal":  {"a tenant can write all the time", true, conflict, drainPatience + drainPaceMost},
		"no answer, in the journal":  {"the journal may end with the pod, and the API comes back", true, errors.New("connection reset"), 0},
		"denied, the only copy":      {"a tenant can deny it for ever", false, denied, drainPatience + drainPaceMost},
		"conflicts, the only copy":   {"likewise", false, conflict, drainPatience + drainPaceMost},
		"no answer, the only copy":   {"the API comes back", false, errors.New("connection reset"), 0},
		"an outage of the only copy": {"likewise", false, apierrors.NewInternalError(errors.New("etcd is away")), 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := newDriven(t, longLived)
			if test.journaled {
				d.journalIn(t.TempDir())
			}
			g := newGated(t, d)
			g.sleep(g.settle())
			g.afterTheClaim(func() {
				g.gate.refuses = func(_ string, o client.Object) error {
					if isStateSecret(o) {
						return test.err
					}
					return nil
				}
			})
			g.tryPass()
			if !g.memory.holds(g.cred.UID) {
				t.Fatal("nothing is held")
			}
			var waited time.Duration
			const long = 10 * time.Minute
			g.Custody.Pause = func(_ context.Context, pause time.Duration) bool {
				waited += pause
				return waited < long
			}
			g.Drain()
			if test.most == 0 && waited < long || test.most > 0 && waited > test.most {
				t.Errorf("waited %s, want %s at most: %s", waited, test.most, test.why)
			}
			again := waited
			if g.Drain(); test.most > 0 && waited-again > drainPaceMost {
				t.Errorf("the second time it waited another %s", waited-again)
			}
			if requests := g.server.Ledger().Requests; requests != 2 {
				t.Errorf("%d requests", requests)
			}
		})
	}
}
