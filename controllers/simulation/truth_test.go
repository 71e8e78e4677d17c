package simulation

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/types"

	"github.com/fluent-credential/operator/api/v1alpha1"
	"github.com/fluent-credential/operator/internal/condition"
	"github.com/fluent-credential/operator/internal/custody"
	classof "github.com/fluent-credential/operator/internal/failure"
	"github.com/fluent-credential/operator/internal/loginguard"
)

// statuses holds what the FluentCredentials say of themselves against what is so. A status may be wrong while nobody
// can correct it, and for a moment: what counts is the time in which a replica could write it.
type statuses struct {
	world *world
	last  time.Duration // of the last look
	able  time.Duration // for how long a replica could work, of all time
	wrong map[string]time.Duration
	was   bool          // a replica could work at the last look
	stale time.Duration // for how long an expired token may be called good
}

// For how long a status may be wrong while a replica can write it.
const (
	// staleFor is for an expired token that is called good, and for a token that the status does not show: a pass that
	// waits for a Kubernetes API which does not answer, and the back-off after it.
	staleFor = 3 * time.Minute
	// causeFor is for a cause that is gone: the longest step of the back-off, and a pass.
	causeFor = 17 * time.Minute
	// inputFor is likewise, for the probes of an input.
	inputFor = time.Hour + 2*time.Minute
)

func newStatuses(w *world) *statuses {
	return &statuses{world: w, wrong: map[string]time.Duration{}, stale: staleFor}
}

// isAble reports whether all who can write a status now can work.
func (s *statuses) isAble() bool {
	w := s.world
	if w.isMute() || w.setup.elects && (w.leader == nil || !w.leader.isUp()) {
		return false
	}
	for _, r := range w.replicas {
		if r.leads() && (!r.isUp() || w.now() < r.watchUntil || r.deposedAt > 0) {
			return false
		}
	}
	return true
}

// look is made between any two effects.
func (s *statuses) look() {
	w := s.world
	passed := w.now() - s.last
	s.last = w.now()
	could := s.was
	if s.was = s.isAble(); !s.was || !could {
		clear(s.wrong)
		return
	}
	s.able += passed
	for _, l := range w.regimes {
		if l.ended {
			l.since += passed
		}
	}
	for _, key := range w.setup.credentials {
		cred, _ := w.cluster.objects[objectKey{credentialKind, key}].(*v1alpha1.FluentCredential)
		if cred == nil || !cred.DeletionTimestamp.IsZero() {
			continue
		}
		s.isTrueOfToken(key, cred, passed)
		s.isTrueOfCauses(key, cred)
	}
}

// during counts for how long something is wrong.
func (s *statuses) during(what string, isWrong bool, passed, most time.Duration, say func() string) {
	if !isWrong {
		delete(s.wrong, what)
		return
	}
	if _, wasWrong := s.wrong[what]; !wasWrong {
		passed = 0 // it has just begun
	}
	if s.wrong[what] += passed; s.wrong[what] > most {
		s.world.oracle.violated("the status is true", "%s: %s for %s", what, say(), s.wrong[what])
	}
}

// isTrueOfToken: an expired token is not called good, and the token of the status is the one that is stored.
func (s *statuses) isTrueOfToken(key types.NamespacedName, cred *v1alpha1.FluentCredential, passed time.Duration) {
	status := cred.Status
	isReady := meta.IsStatusConditionTrue(status.Conditions, v1alpha1.ConditionReady)
	state := s.world.truth(key)
	s.during(key.Name+" is Ready", isReady && s.isExpired(status, state), passed, s.stale, func() string {
		return fmt.Sprintf("with a token that is expired: %v", status.Token)
	})
	if !s.world.setup.elects || s.isUnread() { // two leaders write over each other
		return
	}
	isRestored := s.world.oracle.about[key].isTampered() // people wake no replica by what they do to a state
	isOther := state != nil && state.Token != nil && !state.edited && !isRestored &&
		(status.Token == nil || status.Token.Serial < state.Serial || // after a backup, the status keeps the highest one
			!status.Token.ExpirationTime.Time.Equal(state.Token.Expires.Truncate(time.Second)))
	s.during(key.Name+" shows its token", isOther, passed, staleFor+briefly, func() string {
		return fmt.Sprintf("%v, and serial %d is stored", status.Token, state.Serial)
	})
}

// isUnread reports whether no state can be read now.
func (s *statuses) isUnread() bool {
	_, e := s.world.lastingNow(func(one *regime) *effect {
		if one.requests == nil {
			return nil
		}
		return one.requests(apiRequest{"get", objectKey{kind: secretKind}})
	})
	return e != nil
}

// isExpired reports whether the token of a status is expired by any clock, and at the token host.
func (s *statuses) isExpired(status v1alpha1.FluentCredentialStatus, state *document) bool {
	if status.Token == nil {
		return true
	}
	if state != nil {
		if known := s.world.server.access[state.Access]; known != nil && s.world.now() < known.expires {
			return false
		}
	}
	return status.Token.ExpirationTime.Time.Before(s.slowest())
}

// briefly is how long a wait for a turn is not reported.
const briefly = 5 * time.Minute

// slowest is the earliest time that a clock shows.
func (s *statuses) slowest() time.Time {
	behind := time.Duration(0)
	for _, r := range s.world.replicas {
		behind = min(behind, r.skew)
	}
	return start.Add(s.world.now() + behind)
}

// isTrueOfCauses: the words of a regime are not there before it begins, and are gone soon after its end.
func (s *statuses) isTrueOfCauses(key types.NamespacedName, cred *v1alpha1.FluentCredential) {
	for _, l := range s.world.regimes {
		if l.is(s.world.now()) || s.isAmbiguous(l) {
			continue
		}
		for _, one := range cred.Status.Conditions {
			if !l.isNamed(one.Message) || isForPerson(cred) {
				continue
			}
			if !l.begun || l.since > l.rest(s.world) {
				s.world.oracle.violated("the status is true", "%s names a cause that is not so, %s after its end: %s: %s",
					key.Name, l.since, one.Reason, one.Message)
			}
		}
	}
}

// isAmbiguous reports whether faults of a moment have the same words.
func (s *statuses) isAmbiguous(l *lasting) bool {
	rates := s.world.dice.rates
	for _, other := range s.world.regimes {
		if other != l && slices.ContainsFunc(other.says, func(one cause) bool { return l.isNamed(one.words) }) {
			return true
		}
	}
	if l.isNamed(context.DeadlineExceeded.Error()) && rates["delay"]+rates["freeze"] > 0 {
		return true
	}
	if l.disk != nil {
		return rates["disk"]+rates["delay"]+rates["freeze"] > 0
	}
	return (l.dials != nil || l.replies != nil) && rates["net"]+rates["dial"]+rates["delay"]+rates["freeze"]+rates["crash"] > 0
}

// isNamed reports whether a message has the words of the regime.
func (r *regime) isNamed(message string) bool {
	return slices.ContainsFunc(r.says, func(one cause) bool {
		return len(one.words) > len("reply") && strings.Contains(message, one.words)
	})
}

// rest is for how long the regime may be named after its end.
func (l *lasting) rest(w *world) time.Duration {
	rest := causeFor
	if l.class != classof.Time {
		rest = inputFor
	}
	if l.replies == nil {
		return rest
	}
	rest += w.setup.dialect.life // the refresh token may be presented once more before its expiry
	if w.setup.renews {
		rest = 25 * time.Hour // the login may have been refused, and is probed ever more rarely
	}
	return rest + loginguard.Window
}

// inputs is how long the probes of an input take that a regime had to do with.
func (w *world) inputs() time.Duration {
	for _, l := range w.regimes {
		if l.class != classof.Time {
			return inputFor + w.setup.dialect.life
		}
	}
	return 0
}

// isForPerson reports whether a person has to act: what happened stays in the message until then.
func isForPerson(cred *v1alpha1.FluentCredential) bool {
	return meta.IsStatusConditionTrue(cred.Status.Conditions, v1alpha1.ConditionStalled) || cred.Spec.Suspend
}

// wrote looks at every state and every status.
func (s *statuses) wrote(by writer, before, after clientObject) {
	if by == people {
		for _, l := range s.world.regimes {
			l.since = 0 // a backup can bring its words back
		}
		return
	}
	if cred, ok := after.(*v1alpha1.FluentCredential); ok {
		s.isStalledRightly(by, cred)
		return
	}
	state := s.world.cluster.document(after)
	if state == nil || state.Failure == nil || hasFailure(s.world.cluster.document(before), state.Failure.Last) {
		return
	}
	for _, name := range custody.Names(after.GetAnnotations()[v1alpha1.CredentialAnnotation]) {
		if name != after.GetName() && hasFailure(s.world.document(name), state.Failure.Last) {
			return // it was moved from there
		}
	}
	s.hasClass(by, state)
}

// hasFailure reports whether a state has a failure of that moment.
func hasFailure(state *document, last time.Time) bool {
	return state != nil && state.Failure != nil && state.Failure.Last.Equal(last)
}

// isStalledRightly: a failure that passes by itself is not for a person.
func (s *statuses) isStalledRightly(by writer, cred *v1alpha1.FluentCredential) {
	stalled := meta.FindStatusCondition(cred.Status.Conditions, v1alpha1.ConditionStalled)
	if stalled == nil {
		return
	}
	classes, isKnown := condition.Classes(stalled.Reason)
	isPassing := !slices.Contains(classes, classof.Input) && !slices.Contains(classes, classof.Person)
	if !isKnown || isPassing {
		s.world.oracle.violated("Stalled is for a person", "%s says Stalled %s: %s", by, stalled.Reason, stalled.Message)
	}
	for _, l := range s.world.regimes {
		if l.class == classof.Time && !l.mayLose && l.is(s.world.now()) && l.isNamed(stalled.Message) && !s.isShared(l) {
			s.world.oracle.violated("Stalled is for a person", "%s says Stalled of %s: %s", by, l.name, stalled.Message)
		}
	}
}

// isShared reports whether another regime of the run has the same words.
func (s *statuses) isShared(l *lasting) bool {
	return slices.ContainsFunc(s.world.regimes, func(other *lasting) bool {
		return other != l && other.class != classof.Time
	})
}

// hasClass: every failure has a class, and a time or a person that ends it.
func (s *statuses) hasClass(by writer, state *document) {
	failed := state.Failure
	most := 15*time.Minute + time.Second
	switch {
	case failed.Stalled, failed.Class == classof.Input, failed.Barred:
		most = 24*time.Hour + time.Second
	case s.world.setup.renews, failed.Reason == v1alpha1.ReasonLoginInUse:
		most = loginguard.Window + 2*time.Minute
	}
	isKnown := slices.Contains(classof.Classes(), failed.Class)
	isOver := failed.RetryAt.IsZero() && failed.Class == classof.Time
	if wait := failed.RetryAt.Sub(failed.Last); !isKnown || isOver || wait > most && s.world.apart < time.Minute && !s.world.oracle.isClockWrong(by) {
		s.world.oracle.violated("a failure has an end", "%s stored the class %q, to be tried again after %s, stalled %v: %s",
			by, failed.Class, wait, failed.Stalled, failed.Reason)
	}
}
