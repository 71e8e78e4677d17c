package main

import (
	"context"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"
	"sigs.k8s.io/yaml"

	"github.com/fluent-credential/operator/api/v1alpha1"
	"github.com/fluent-credential/operator/hack/authsim"
)

// limits are what the manifests give the operator.
type limits struct {
	memory  int64 // bytes
	journal int64 // bytes
	grace   time.Duration
}

func readLimits() (limits, error) {
	text, err := os.ReadFile("config/manager/deployment.yaml")
	if err != nil {
		return limits{}, err
	}
	var deployment appsv1.Deployment
	if err := yaml.Unmarshal(text, &deployment); err != nil {
		return limits{}, err
	}
	pod := deployment.Spec.Template.Spec
	return limits{
		memory: pod.Containers[0].Resources.Limits.Memory().Value(), journal: pod.Volumes[0].EmptyDir.SizeLimit.Value(),
		grace: time.Duration(*pod.TerminationGracePeriodSeconds) * time.Second,
	}, nil
}

// readiness watches what all FluentCredentials say: a good one has to be Ready all the time, and none may be Ready with a
// token that has expired.
type readiness struct {
	stage  *stage
	limits limits

	mu      sync.Mutex
	off     bool
	since   time.Time                          // it is on
	ready   map[types.NamespacedName]time.Time // those that are Ready, and when their tokens expire
	lapsed  map[types.NamespacedName]string    // good ones that were not Ready
	untrue  map[types.NamespacedName]string    // those that were Ready with a token that had expired
	fullest int64
}

func newReadiness(s *stage, limits limits) *readiness {
	return &readiness{
		stage: s, limits: limits, since: time.Now(), ready: map[types.NamespacedName]time.Time{},
		lapsed: map[types.NamespacedName]string{}, untrue: map[types.NamespacedName]string{},
	}
}

// start watches until the returned function is called.
func (r *readiness) start(ctx context.Context) (stop func() error) {
	ctx, cancel := context.WithCancel(ctx)
	var group sync.WaitGroup
	group.Go(func() {
		for ctx.Err() == nil {
			r.watch(ctx)
			pause(ctx, pollEvery)
		}
	})
	group.Go(func() {
		for ctx.Err() == nil {
			r.sample()
			pause(ctx, time.Second)
		}
	})
	return func() error { cancel(); group.Wait(); return nil }
}

func (r *readiness) watch(ctx context.Context) {
	watching, err := r.stage.plant.admin.Watch(ctx, &v1alpha1.FluentCredentialList{})
	if err != nil {
		return
	}
	defer watching.Stop()
	for event := range watching.ResultChan() {
		if cred, ok := event.Object.(*v1alpha1.FluentCredential); ok {
			r.note(cred, event.Type == watch.Deleted)
		}
	}
}

func (r *readiness) note(cred *v1alpha1.FluentCredential, gone bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	name := types.NamespacedName{Namespace: cred.Namespace, Name: cred.Name}
	delete(r.ready, name)
	ready := conditionOf(cred, v1alpha1.ConditionReady)
	switch isGood := strings.HasPrefix(cred.Name, goodPrefix); {
	case ready.Status == metav1.ConditionTrue && cred.Status.Token != nil && !gone:
		r.ready[name] = cred.Status.Token.ExpirationTime.Time
	case isGood && !r.off:
		r.lapsed[name] = fmt.Sprintf("%s: %s: %s", name, ready.Reason, ready.Message)
	}
}

// statusLag is how long a status may be late.
const statusLag = 10 * time.Second

// sample looks for tokens that have expired and are said to be valid, and measures the log of replies.
func (r *readiness) sample() {
	size := sizeOf(r.stage.replicas[0].journal)
	r.mu.Lock()
	defer r.mu.Unlock()
	if size > r.limits.journal && r.fullest <= r.limits.journal {
		r.stage.find("the log of replies takes %d MiB, its volume holds %d MiB", size>>20, r.limits.journal>>20)
	}
	r.fullest = max(r.fullest, size)
	if r.off || time.Since(r.since) < statusLag {
		return
	}
	for name, expires := range r.ready {
		if late := time.Since(expires); late > statusLag {
			r.untrue[name] = fmt.Sprintf("%s, %s after the expiry", name, late.Round(time.Second))
		}
	}
}

// suspended does something in which the operator may be away.
func (r *readiness) suspended(do func()) {
	r.set(true)
	defer r.set(false)
	do()
}

func (r *readiness) set(off bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.off, r.since = off, time.Now()
}

// judge reports what was seen, of each kind one example.
func (r *readiness) judge() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.stage.count("MiB of the log of replies, at most", int(r.fullest>>20))
	for what, seen := range map[string]map[types.NamespacedName]string{
		"good credentials were not Ready":                         r.lapsed,
		"objects were said to be Ready with a token that expired": r.untrue,
	} {
		for _, example := range seen {
			r.stage.find("%d %s, such as %s", len(seen), what, example)
			break
		}
	}
}

func sizeOf(dir string) (total int64) {
	_ = filepath.WalkDir(dir, func(_ string, entry fs.DirEntry, err error) error {
		if err == nil && !entry.IsDir() {
			if info, err := entry.Info(); err == nil {
				total += info.Size()
			}
		}
		return nil
	})
	return total
}

// judgeServed looks whether a good credential was ever without a valid token, and counts rotations.
func (s *stage) judgeServed() {
	ledger := s.sim.Ledger()
	tokens := map[string]authsim.AccessToken{}
	for _, token := range ledger.AccessTokens {
		tokens[token.Value] = token
	}
	now, late, longest, fewest := time.Now(), 0, time.Duration(0), len(tokens)
	for _, list := range s.watch.all() {
		fewest = min(fewest, len(list)-1)
		if lost := without(list, tokens, now); lost > 0 {
			late, longest = late+1, max(longest, lost)
		}
	}
	s.count("rotations of the good credential that made the fewest, before the restart", fewest)
	if late > 0 {
		s.find("%d good credentials were without a valid token, up to %s", late, longest.Round(time.Millisecond))
	}
	if fewest < 1 {
		s.find("a good credential never rotated: nothing is proven")
	}
}

// judgePace looks whether every refresh was due: at half of a token's life, less a tenth.
func (s *stage) judgePace() {
	early := 0
	for _, token := range s.sim.Ledger().RefreshTokens {
		if !token.FirstPresented.IsZero() && token.FirstPresented.Sub(token.Issued) < s.life*45/100-paceSlack {
			early++
		}
	}
	if early > 0 {
		s.find("%d refreshes of good credentials were not due", early)
	}
}

// paceSlack is what the whole seconds of expires_in cost.
const paceSlack = 2 * time.Second

// judgeMemory compares the most memory that the process had with what its container may have.
func (s *stage) judgeMemory(when string, limits limits) {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", s.replicas[0].pid()))
	if err != nil {
		s.find("the memory %s cannot be read: %v", when, err)
		return
	}
	peak, _ := strconv.ParseInt(readField(string(status), "VmHWM:"), 10, 64)
	s.count("MiB of resident memory "+when+", at most", int(peak>>10))
	if peak<<10 > limits.memory {
		s.find("the operator had %d MiB of resident memory %s, its limit is %d MiB", peak>>10, when, limits.memory>>20)
	}
}

// restartMost is how long it may take after a restart until all good credentials are Ready.
const restartMost = time.Minute

// restartInTime ends the operator as a kubelet does, starts it again, and waits until all good credentials are served.
func (s *stage) restartInTime(ctx context.Context, limits limits) {
	process, began := s.replicas[0].current(), time.Now()
	process.Terminate()
	select {
	case <-process.Done():
	case <-time.After(limits.grace):
		s.find("SIGTERM is not obeyed within %s", limits.grace)
		process.Kill()
	}
	s.count("seconds from SIGTERM to the end of the process", int(time.Since(began).Seconds()))
	began = time.Now()
	soon, cancel := context.WithTimeout(ctx, restartMost)
	defer cancel()
	err := s.replicas[0].start(soon)
	if err == nil {
		err = s.settled(soon)
	}
	s.count("seconds from the restart until all good credentials are Ready", int(time.Since(began).Seconds()))
	if err != nil {
		s.find("%s after the restart: %v", restartMost, err)
	}
}
