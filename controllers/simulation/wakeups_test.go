package simulation

import (
	"context"
	"net"
	"slices"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/fluent-credential/operator/api/v1alpha1"
)

// What has to wake the operator, in worlds in which nothing else goes wrong.

// alone is a world with one replica, one credential and one consumer, in which nothing goes wrong.
func alone(t *testing.T, seed uint64) *world {
	t.Helper()
	w := single(seed, nil)
	isWell := func() bool { return w.isWell() && w.wrongConsumer() == "" }
	if !w.run(w.setup.storm, 3000, isWell) {
		defer w.finish()
		t.Fatalf("seed %d: nothing goes wrong, and it is not well: %s; %s", seed, w.state(w.setup.credentials[0]), w.wrongConsumer())
	}
	return w
}

// single is the same at its beginning.
func single(seed uint64, wrap func(*replica)) *world {
	return buildWith(seed, []choice{}, wrap, func(s *setup) {
		s.replicas, s.elects, s.shared, s.renews, s.slots, s.hostRate = 1, true, false, true, 4, 0
		s.policy = v1alpha1.LostReplyAuto
		s.credentials, s.consumers = s.credentials[:1], consumers[:1]
	})
}

// TestASuspendedPassWaitsNoLonger: the machine is suspended for an hour in the middle of a pass. The next pass is made
// soon after its end, and not an hour later.
func TestASuspendedPassWaitsNoLonger(t *testing.T) {
	for seed := range uint64(6) {
		inBubble(t, func() {
			freezes := func(r *replica) {
				connect, dials := r.Dialer.Connect, 0
				r.Dialer.Connect = func(ctx context.Context, network, address string) (net.Conn, error) {
					conn, err := connect(ctx, network, address)
					if dials++; dials == 1 {
						return nil, errReset
					}
					if dials == 2 {
						r.freeze(time.Hour)
					}
					return conn, err
				}
			}
			w := single(seed, freezes)
			defer w.finish()
			key, r := w.setup.credentials[0], w.replicas[0]
			w.run(time.Minute, 3000, func() bool { return r.frozenUntil > 0 })
			end := r.frozenUntil
			if !w.run(end+2*time.Minute, 3000, func() bool { return w.now() > end && w.isWell() }) {
				t.Errorf("seed %d: not well two minutes after the end: %s", seed, w.state(key))
			}
		})
	}
}

// TestAStatusFromABackup: people put back an old status. It is corrected at once.
func TestAStatusFromABackup(t *testing.T) {
	for seed := range uint64(6) {
		inBubble(t, func() {
			w := alone(t, seed)
			defer w.finish()
			key, consumer := w.setup.credentials[0], w.setup.consumers[0]
			w.changeCredential(key, func(cred *v1alpha1.FluentCredential) {
				cred.Status.Token, cred.Status.Conditions = nil, []metav1.Condition{oldCondition}
			})
			w.changeConsumer(consumer, func(token *v1alpha1.FluentToken) {
				token.Status.Token, token.Status.Conditions = nil, []metav1.Condition{oldCondition}
			})
			isRight := func() bool { return w.isWell() && w.wrongConsumer() == "" }
			if !w.run(w.now()+10*time.Second, 3000, isRight) {
				t.Errorf("seed %d: %s; %s", seed, w.state(key), w.wrongConsumer())
			}
		})
	}
}

// oldCondition is a condition from before the world began.
var oldCondition = metav1.Condition{
	Type: v1alpha1.ConditionReady, Status: metav1.ConditionFalse, Reason: v1alpha1.ReasonProgressing,
	LastTransitionTime: metav1.NewTime(start.Add(-time.Hour)),
}

// TestAConsumerOfARestoredState: people restore an old state Secret alone, and the consumer's Secret is lost. The consumer
// does not get the old token, and has a new one when the credential has.
func TestAConsumerOfARestoredState(t *testing.T) {
	for seed := range uint64(6) {
		inBubble(t, func() {
			w := alone(t, seed)
			defer w.finish()
			key, consumer := w.setup.credentials[0], w.setup.consumers[0]
			isLater := func() bool { return w.serial(key) >= 4 && w.isWell() && w.wrongConsumer() == "" }
			if !w.run(w.now()+5*w.setup.dialect.life, 5000, isLater) {
				t.Fatalf("seed %d: no rotations: %s", seed, w.state(key))
			}
			state, last := w.stateOf(key), w.serial(key)
			w.oracle.tampered(key)
			w.restore(state, slices.IndexFunc(w.cluster.history, func(past version) bool {
				stored := w.cluster.document(past.object)
				return past.key == keyOf(state) && stored.Serial == last-1 && stored.Claim == nil
			}))
			w.remove(targetOf(consumer))
			isRight := func() bool { return w.isWell() && w.wrongConsumer() == "" }
			w.run(w.now()+10*time.Second, 3000, func() bool { return false })
			if !w.run(w.now()+w.setup.dialect.life, 3000, isRight) || w.oracle.violation != nil {
				t.Errorf("seed %d: %v; %s; %s", seed, w.oracle.violation, w.state(key), w.wrongConsumer())
			}
		})
	}
}

// TestRecreatedWhileNothingWatched: while the watches bring nothing, an object is deleted and created again under its
// name. A new list shows that as an update, and the new object is served.
func TestRecreatedWhileNothingWatched(t *testing.T) {
	for name, recreate := range map[string]func(*world){
		"a FluentCredential": func(w *world) {
			key := w.setup.credentials[0]
			w.changeCredential(key, func(cred *v1alpha1.FluentCredential) { cred.Finalizers = nil })
			_ = w.cluster.delete(people, objectKey{credentialKind, key}, "", "")
			w.recreate()
		},
		"a FluentToken": func(w *world) {
			key := w.setup.consumers[0]
			w.changeConsumer(key, func(token *v1alpha1.FluentToken) { token.Finalizers = nil })
			w.removeConsumer(key)
			w.foundConsumer(key)
		},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func() {
				w := alone(t, 1)
				defer w.finish()
				r := w.replicas[0]
				r.watchUntil = w.now() + time.Minute
				recreate(w)
				w.run(r.watchUntil, 3000, func() bool { return false })
				r.relist()
				isRight := func() bool { return w.isWell() && w.wrongConsumer() == "" }
				if !w.run(w.now()+time.Minute, 3000, isRight) {
					for _, l := range w.transcript {
						println(l)
					}
					t.Errorf("%s; %s", w.state(w.setup.credentials[0]), w.wrongConsumer())
				}
			})
		})
	}
}
