package controllers

import (
	"context"
	"errors"
	"net"
	"path/filepath"
	"strings"
	"testing"
	"time"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/utils/ptr"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/fluent-credential/operator/api/v1alpha1"
	"github.com/fluent-credential/operator/hack/authsim"
	"github.com/fluent-credential/operator/internal/custody"
)

// gate is a client that refuses some writes, and does something after others.
type gate struct {
	client.Client
	refuses func(verb string, object client.Object) error // nil: nothing
	after   func(verb string, object client.Object)       // nil: nothing
	writes  []string                                      // that were refused
	tries   int                                           // of all writes
}

func (g *gate) pass(verb string, object client.Object, do func() error) error {
	g.tries++
	if g.refuses != nil {
		if err := g.refuses(verb, object); err != nil {
			g.writes = append(g.writes, verb+" "+object.GetName())
			return err
		}
	}
	err := do()
	if err == nil && g.after != nil {
		g.after(verb, object)
	}
	return err
}

func (g *gate) Create(ctx context.Context, o client.Object, options ...client.CreateOption) error {
	return g.pass("create", o, func() error { return g.Client.Create(ctx, o, options...) })
}

func (g *gate) Update(ctx context.Context, o client.Object, options ...client.UpdateOption) error {
	return g.pass("update", o, func() error { return g.Client.Update(ctx, o, options...) })
}

func (g *gate) Patch(ctx context.Context, o client.Object, patch client.Patch, options ...client.PatchOption) error {
	return g.pass("patch", o, func() error { return g.Client.Patch(ctx, o, patch, options...) })
}

func (g *gate) Delete(ctx context.Context, o client.Object, options ...client.DeleteOption) error {
	return g.pass("delete", o, func() error { return g.Client.Delete(ctx, o, options...) })
}

// Status is the way to a gate of its own.
func (g *gate) Status() client.SubResourceWriter { return gatedStatus{g.Client.Status(), g} }

type gatedStatus struct {
	client.SubResourceWriter
	gate *gate
}

func (s gatedStatus) Patch(ctx context.Context, o client.Object, patch client.Patch, options ...client.SubResourcePatchOption) error {
	return s.gate.pass("status", o, func() error { return s.SubResourceWriter.Patch(ctx, o, patch, options...) })
}

// gated is a driven operator with a gate before the Kubernetes API, and a count of its connections to the token host.
type gated struct {
	*driven
	gate  *gate
	dials []time.Time
}

func newGated(t *testing.T, d *driven) *gated {
	g := &gated{driven: d, gate: &gate{Client: d.Client}}
	d.Client, d.Custody.Writer, d.Guard.Writer = g.gate, g.gate, g.gate
	d.Custody.Pause = func(ctx context.Context, _ time.Duration) bool { return ctx.Err() == nil }
	d.Dialer.Connect = func(ctx context.Context, network, address string) (net.Conn, error) {
		g.dials = append(g.dials, d.clock.Now())
		return (&net.Dialer{}).DialContext(ctx, network, address)
	}
	return g
}

// tryPass makes a pass that may fail, and returns when the next one comes.
func (g *gated) tryPass() time.Duration {
	g.t.Helper()
	cred := reread(g.t, g.cred)
	if cred.Name == "" {
		return 0
	}
	cred.SetGroupVersionKind(v1alpha1.GroupVersion.WithKind("FluentCredential"))
	result, err := g.Reconcile(ctrl.LoggerInto(g.t.Context(), ctrl.Log), cred)
	if err != nil {
		return 5 * time.Second // about what the work queue does
	}
	return result.RequeueAfter
}

// live makes passes for so long.
func (g *gated) live(span time.Duration) {
	g.t.Helper()
	for end := g.clock.Now().Add(span); g.clock.Now().Before(end); {
		wait := g.tryPass()
		if wait == 0 {
			g.clock.SetTime(end)
			return
		}
		g.sleep(min(wait, end.Sub(g.clock.Now())))
	}
}

// mustDialSeldom looks at the connections after the first minute of a failure.
func (g *gated) mustDialSeldom(since time.Time) {
	g.t.Helper()
	for i, first := range g.dials {
		count := 0
		for _, at := range g.dials[i:] {
			if first.Sub(since) >= time.Minute && at.Sub(first) < time.Minute {
				count++
			}
		}
		if count > 4 {
			g.t.Errorf("%d connections to the token host in the minute from %s on", count, first.Sub(since))
		}
	}
	if len(g.dials) > 200 {
		g.t.Errorf("%d connections in all", len(g.dials))
	}
}

// mustSay looks for the beginning and a part of what a condition says.
func (g *gated) mustSay(condition, begins, contains string) {
	g.t.Helper()
	if says := g.says(condition); !strings.HasPrefix(says, begins) || !strings.Contains(says, contains) {
		g.t.Errorf("%s says %q, want %q with %q", condition, says, begins, contains)
	}
}

var errQuota = errors.New("exceeded quota: secrets, requested: count/secrets=1, used: count/secrets=10, limited: count/secrets=10")

func denies(because error, which func(verb string, object client.Object) bool) func(string, client.Object) error {
	return func(verb string, object client.Object) error {
		if !which(verb, object) {
			return nil
		}
		return apierrors.NewForbidden(schema.GroupResource{Resource: "secrets"}, object.GetName(), because)
	}
}

func isStateSecret(object client.Object) bool {
	secret, ok := object.(*corev1.Secret)
	return ok && secret.Type == v1alpha1.StateSecretType
}

// afterTheClaim does something once, after the next write of the state Secret.
func (g *gated) afterTheClaim(do func()) {
	g.gate.after = func(_ string, object client.Object) {
		if isStateSecret(object) {
			g.gate.after = nil
			do()
		}
	}
}

// obstacles are what stands in the way of a commit, from the claim on, until it is taken away.
var obstacles = map[string]struct {
	why   string
	put   func(*gated)
	clear func(*gated)
	says  string
}{
	"a policy": {
		"somebody changes it", func(g *gated) {
			g.gate.refuses = denies(errors.New("a rule of admission"), func(verb string, o client.Object) bool { return verb == "update" && isStateSecret(o) })
		},
		func(g *gated) { g.gate.refuses = nil }, "Forbidden: a rule of admission",
	},
	"a foreign Secret": {
		"nothing is written over it", func(g *gated) {
			g.forceState()
			create(g.t, &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: g.cred.Namespace, Name: custody.Names(g.cred.Name)[0]}})
		},
		func(g *gated) {
			if err := live.Delete(g.t.Context(), g.state()); err != nil {
				g.t.Fatal(err)
			}
		}, "a Secret that is not the operator's has the name",
	},
	"an immutable state, and its other name taken": {
		"there is no place for it", func(g *gated) {
			create(g.t, &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: g.cred.Namespace, Name: custody.Names(g.cred.Name)[1]}})
			edit(g.t, g.state(), func(s *corev1.Secret) { s.Immutable = ptr.To(true) })
		},
		func(g *gated) { remove(g.t, secret(g.t, g.cred.Namespace, custody.Names(g.cred.Name)[1])) },
		`orders-fluent-state-2" already exists`,
	},
	"a quota, and the state torn away": {
		"it cannot be created", func(g *gated) { forbidMore(g.t, g.cred.Namespace); g.forceState() },
		func(g *gated) {
			quota := &corev1.ResourceQuota{ObjectMeta: metav1.ObjectMeta{Namespace: g.cred.Namespace, Name: "few-secrets"}}
			if err := live.Delete(g.t.Context(), quota); err != nil {
				g.t.Fatal(err)
			}
		}, "exceeded quota: few-secrets",
	},
}

// forceState takes the state Secret away with our finalizer.
func (g *gated) forceState() {
	state := g.state()
	edit(g.t, state, func(s *corev1.Secret) { s.Finalizers = nil })
	if err := live.Delete(g.t.Context(), state); err != nil {
		g.t.Fatal(err)
	}
}

// TestAReplyThatCannotBeStoredIsHeld: no worker waits for it, nothing else is sent, the status tells why, and it is
// stored when it can be.
func TestAReplyThatCannotBeStoredIsHeld(t *testing.T) {
	t.Parallel()
	for name, obstacle := range obstacles {
		for _, journaled := range []bool{true, false} {
			t.Run(name+map[bool]string{true: ", journal", false: ""}[journaled], func(t *testing.T) {
				t.Parallel()
				d, dir := newDriven(t, longLived), t.TempDir()
				if journaled {
					d.journalIn(dir)
				}
				g := newGated(t, d)
				g.sleep(g.settle())
				g.afterTheClaim(func() { obstacle.put(g) })
				requests, since := g.server.Ledger().Requests, g.clock.Now()
				if wait := g.pass(); wait == 0 || wait > time.Minute {
					t.Errorf("looks again after %s", wait)
				}
				says := g.says(v1alpha1.ConditionReconciling) + g.says(v1alpha1.ConditionStalled)
				if !strings.HasPrefix(says, "True StateUnwritable") || !strings.Contains(says, obstacle.says) {
					t.Errorf("at once it says %q, want %q", says, obstacle.says)
				}
				tries := g.gate.tries
				g.live(10 * time.Minute)
				if tries = g.gate.tries - tries; tries > 100 {
					t.Errorf("%d writes in ten minutes", tries)
				}
				g.mustSay(v1alpha1.ConditionStalled, "True StateUnwritable", obstacle.says)
				g.mustSay(v1alpha1.ConditionRenewable, "False StateUnwritable a reply of the API is held until it can be stored", obstacle.says)
				if sent := g.server.Ledger().Requests - requests; sent != 1 {
					t.Errorf("%d requests, want the one whose reply is held", sent)
				}
				g.mustDialSeldom(since)
				obstacle.clear(g)
				g.live(90 * time.Second)
				if status := g.status(); status.Token.Serial != 2 || status.Summary.Reason != v1alpha1.ReasonTokenPublished {
					t.Errorf("serial %d, %s: %s", status.Token.Serial, status.Summary.Reason, obstacle.why)
				}
				mustRotateCleanly(t, g.server.Ledger(), 1)
				if left, _ := filepath.Glob(filepath.Join(dir, "*.reply")); len(left) > 0 {
					t.Errorf("the journal still has %q", left)
				}
				if g.memory.holds(g.cred.UID) {
					t.Error("it is still held")
				}
			})
		}
	}
}

// TestADeletionDoesNotWaitForAReplyThatCannotBeStored: it ends within a minute or two, and nothing of the object is
// left.
func TestADeletionDoesNotWaitForAReplyThatCannotBeStored(t *testing.T) {
	t.Parallel()
	for name, obstacle := range obstacles {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g := newGated(t, newDriven(t, longLived))
			g.sleep(g.settle())
			g.afterTheClaim(func() { obstacle.put(g) })
			g.pass()
			if err := live.Delete(t.Context(), g.cred.DeepCopy()); err != nil {
				t.Fatal(err)
			}
			g.live(2 * time.Minute)
			if left := reread(t, g.cred); left.Name != "" {
				t.Errorf("the deletion hangs: %v", left.Finalizers)
			}
			if g.memory.holds(g.cred.UID) {
				t.Error("the reply is held for nobody")
			}
		})
	}
}

// TestDrainStoresTheOnlyCopy: the operator is told to stop, and there is no journal. It ends when the reply is stored.
func TestDrainStoresTheOnlyCopy(t *testing.T) {
	t.Parallel()
	g := newGated(t, newDriven(t, longLived))
	g.sleep(g.settle())
	g.afterTheClaim(func() { obstacles["a policy"].put(g) })
	g.pass()
	tries := len(g.gate.writes)
	g.Custody.Pause = func(context.Context, time.Duration) bool {
		if len(g.gate.writes) > tries+5 {
			obstacles["a policy"].clear(g)
		}
		return true
	}
	g.Drain()
	if workload := secret(t, g.cred.Namespace, "orders-token"); workload.Annotations[v1alpha1.SerialAnnotation] != "2" {
		t.Errorf("serial %s is published", workload.Annotations[v1alpha1.SerialAnnotation])
	}
	mustRotateCleanly(t, g.server.Ledger(), 1)
}

// TestDrainLeavesToTheJournalWhatIsDenied: the shutdown is not held up for what the next process can store.
func TestDrainLeavesToTheJournalWhatIsDenied(t *testing.T) {
	t.Parallel()
	d := newDriven(t, longLived)
	d.journalIn(t.TempDir())
	g := newGated(t, d)
	g.sleep(g.settle())
	g.afterTheClaim(func() { obstacles["a policy"].put(g) })
	g.pass()
	done := make(chan struct{})
	go func() { g.Drain(); close(done) }()
	select {
	case <-done:
	case <-time.After(time.Minute):
		t.Fatal("the shutdown hangs")
	}
	before := len(g.gate.writes)
	g.restart() // which makes one round over the journal
	if tried := len(g.gate.writes) - before; tried != 1 {
		t.Errorf("the recovery tried %d times in a round, want once: others wait behind it", tried)
	}
	g.live(5 * time.Minute)
	g.mustSay(v1alpha1.ConditionRenewable, "False StateUnwritable", "a rule of admission")
	obstacles["a policy"].clear(g)
	g.live(90 * time.Second)
	g.mustBeWell()
	if presented := mostPresented(g.server.Ledger()); presented != 1 {
		t.Errorf("a refresh token was presented %d times", presented)
	}
}

// refusals are writes that are denied while a token comes due, and the condition that says so.
var refusals = map[string]struct {
	why       string
	refuses   func(verb string, object client.Object) bool
	life      func(*authsim.Config) // nil: half a minute
	fresh     bool                  // from the beginning, not from the second token on
	condition string
	says      string
	sends     bool // requests to the token host are right, because only the publication is refused
}{
	"the state Secret": {
		"nothing is spent", func(_ string, o client.Object) bool { return isStateSecret(o) }, nil,
		false, v1alpha1.ConditionRenewable, "False StateUnwritable state Secret orders-fluent-state cannot be written: Forbidden: exceeded quota", false,
	},
	"the first state Secret": {
		"creates alone are refused, as by a quota", func(verb string, o client.Object) bool { return verb == "create" && isStateSecret(o) }, nil,
		true, v1alpha1.ConditionReady, "False StateUnwritable state Secret orders-fluent-state cannot be written: Forbidden: exceeded quota", false,
	},
	"the first state Secret, once it is made": {
		"updates alone are refused, as without that right", func(verb string, o client.Object) bool { return verb == "update" && isStateSecret(o) }, nil,
		true, v1alpha1.ConditionReady, "False StateUnwritable state Secret orders-fluent-state cannot be written: Forbidden: exceeded quota", false,
	},
	"the login guard": {
		"a login that is not counted is not tried", func(_ string, o client.Object) bool {
			return strings.HasPrefix(o.GetName(), "fluent-credential-login-")
		}, nil,
		true, v1alpha1.ConditionReady, "False StateUnwritable the login guard in namespace ", false,
	},
	"the target Secret": {
		"the token is safe in the state", func(_ string, o client.Object) bool { return o.GetName() == "orders-token" }, longLived,
		true, v1alpha1.ConditionReady, "False PublishFailed Secret orders-token cannot be written: Forbidden: exceeded quota", true,
	},
	"the finalizer": {
		"nothing is begun for an object that can vanish", func(verb string, o client.Object) bool {
			_, ours := o.(*v1alpha1.FluentCredential)
			return ours && verb == "patch"
		}, nil,
		true, v1alpha1.ConditionReady, "False PublishFailed secrets orders: Forbidden: exceeded quota", false,
	},
}

// TestWritesThatAreDenied lives through ten minutes of each, and its end.
func TestWritesThatAreDenied(t *testing.T) {
	t.Parallel()
	for name, test := range refusals {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g := newGated(t, newGuarded(t, test.life, true))
			if !test.fresh {
				g.sleep(g.settle())
			}
			requests, since := g.server.Ledger().Requests, g.clock.Now()
			g.gate.refuses = denies(errQuota, test.refuses)
			g.live(10 * time.Minute)
			g.mustSay(test.condition, test.says, "exceeded quota: secrets")
			if sent := g.server.Ledger().Requests - requests; sent > 0 != test.sends || sent > 2 {
				t.Errorf("%d requests to the token host: %s", sent, test.why)
			}
			g.mustDialSeldom(since)
			if tried := len(g.gate.writes); tried > 140 {
				t.Errorf("%d writes in ten minutes", tried)
			}
			if stored := g.status().Token; stored != nil && g.clock.Now().After(stored.ExpirationTime.Time) &&
				strings.HasPrefix(g.says(v1alpha1.ConditionReady), "True") {
				t.Error("Ready stays True after the expiry")
			}
			g.gate.refuses = nil
			g.live(90 * time.Second)
			if says := g.says(v1alpha1.ConditionReady); !strings.HasPrefix(says, "True") {
				t.Errorf("a minute and a half after its end: %s", says)
			}
			if reuses := g.server.Ledger().Reuses; reuses != 0 {
				t.Errorf("%d reuses", reuses)
			}
		})
	}
}

// blind is a live reader that may not read some Secrets.
type blind struct {
	client.Reader
	cannot func(name string) bool
}

func (b *blind) Get(ctx context.Context, key client.ObjectKey, o client.Object, options ...client.GetOption) error {
	if _, isSecret := o.(*corev1.Secret); isSecret && b.cannot != nil && b.cannot(key.Name) {
		because := errors.New(`User "operator" cannot get resource "secrets" in API group "" in the namespace "shop"`)
		return apierrors.NewForbidden(schema.GroupResource{Resource: "secrets"}, key.Name, because)
	}
	return b.Reader.Get(ctx, key, o, options...)
}

// TestSecretsThatCannotBeReadAreTold: a right to read is taken away for ten minutes. An expired token is not called
// good.
func TestSecretsThatCannotBeReadAreTold(t *testing.T) {
	t.Parallel()
	for _, name := range []string{custody.Names("orders")[0], "orders-login"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g := newGated(t, newDriven(t, nil))
			g.sleep(g.settle())
			eyes := &blind{Reader: g.Live, cannot: func(read string) bool { return read == name }}
			g.Live, g.Custody.Reader = eyes, eyes
			g.memory = newMemory() // what was read before is forgotten at a restart
			requests := g.server.Ledger().Requests
			g.live(10 * time.Minute)
			g.mustSay(v1alpha1.ConditionRenewable, "False StateUnwritable", `User "operator" cannot get resource "secrets"`)
			g.mustSay(v1alpha1.ConditionReady, "False TokenExpired the access token expired at ", name+": Forbidden")
			if sent := g.server.Ledger().Requests - requests; sent > 0 {
				t.Errorf("%d requests to the token host", sent)
			}
			eyes.cannot = nil
			g.live(90 * time.Second)
			g.mustSay(v1alpha1.ConditionReady, "True TokenPublished", "")
			mustRotateCleanly(t, g.server.Ledger(), 1)
		})
	}
}

// TestWritesThatFailInOtherWays: ten minutes of each, for all Secrets, and its end.
func TestWritesThatFailInOtherWays(t *testing.T) {
	t.Parallel()
	secrets := schema.GroupResource{Resource: "secrets"}
	terminating := apierrors.NewForbidden(secrets, "x", errors.New("unable to create new content in namespace shop because it is being terminated"))
	terminating.ErrStatus.Details.Causes = []metav1.StatusCause{{Type: corev1.NamespaceTerminatingCause}}
	for name, test := range map[string]struct {
		why  string
		err  error
		says string
	}{
		"priority and fairness":         {"the API asks for patience", apierrors.NewTooManyRequests("too many requests", 1), "TooManyRequests: too many requests"},
		"etcd is full":                  {"reads work", apierrors.NewInternalError(errors.New("etcdserver: mvcc: database space exceeded")), "database space exceeded"},
		"no answer":                     {"each request ends with its deadline", context.DeadlineExceeded, "the Kubernetes API did not answer: context deadline exceeded"},
		"not authorized":                {"the token of the service account is stale", apierrors.NewUnauthorized("Unauthorized"), "Unauthorized"},
		"too large":                     {"the object passed the limit", apierrors.NewRequestEntityTooLargeError("limit is 3145728"), "RequestEntityTooLarge"},
		"a namespace that is going":     {"nothing can be made in it any more", terminating, "being terminated"},
		"the API is of another version": {"it knows no such method", apierrors.NewMethodNotSupported(secrets, "update"), "MethodNotAllowed"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g := newGated(t, newDriven(t, nil))
			g.sleep(g.settle())
			g.gate.refuses = func(verb string, object client.Object) error {
				if _, isSecret := object.(*corev1.Secret); isSecret {
					return test.err
				}
				return nil
			}
			requests, since := g.server.Ledger().Requests, g.clock.Now()
			g.live(10 * time.Minute)
			g.mustSay(v1alpha1.ConditionRenewable, "False StateUnwritable state Secret orders-fluent-state cannot be written: ", test.says)
			g.mustSay(v1alpha1.ConditionReady, "False TokenExpired the access token expired at ", test.says)
			if sent := g.server.Ledger().Requests - requests; sent > 0 {
				t.Errorf("%d requests to the token host: %s", sent, test.why)
			}
			g.mustDialSeldom(since)
			g.gate.refuses = nil
			g.live(90 * time.Second)
			g.mustSay(v1alpha1.ConditionReady, "True TokenPublished", "")
			mustRotateCleanly(t, g.server.Ledger(), 1)
		})
	}
}

// TestATargetThatOthersChangeAllTheTime: each write of it loses a race.
func TestATargetThatOthersChangeAllTheTime(t *testing.T) {
	t.Parallel()
	g := newGated(t, newDriven(t, longLived))
	g.settle()
	storm, labels := true, 0
	g.gate.refuses = func(verb string, object client.Object) error {
		if storm && verb != "create" && object.GetName() == "orders-token" {
			labels++
			edit(t, secret(t, g.cred.Namespace, "orders-token"), func(s *corev1.Secret) {
				metav1.SetMetaDataLabel(&s.ObjectMeta, "theirs", time.Duration(labels).String())
			})
		}
		return nil
	}
	edit(t, g.cred, func(cred *v1alpha1.FluentCredential) { cred.Spec.Target.Data = map[string]string{"other": "x"} })
	g.live(5 * time.Minute)
	g.mustSay(v1alpha1.ConditionReconciling, "True PublishFailed Secret orders-token cannot be written: Conflict", "has been modified")
	if labels > 150 {
		t.Errorf("%d writes in five minutes", labels)
	}
	storm = false
	g.live(90 * time.Second)
	g.mustSay(v1alpha1.ConditionReady, "True TokenPublished", "")
	if sent := g.server.Ledger().Requests; sent != 1 {
		t.Errorf("%d requests to the token host", sent)
	}
}

// TestAResultIsHeldAlthoughItsObjectChanges: what people do meanwhile neither loses it nor spends anything.
func TestAResultIsHeldAlthoughItsObjectChanges(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*gated){
		"suspended": func(g *gated) {
			edit(g.t, g.cred, func(cred *v1alpha1.FluentCredential) { cred.Spec.Suspend = true })
		},
		"another target": func(g *gated) {
			edit(g.t, g.cred, func(cred *v1alpha1.FluentCredential) { cred.Spec.Target.Name = "orders-other" })
		},
		"asked to rotate": func(g *gated) {
			edit(g.t, g.cred, func(cred *v1alpha1.FluentCredential) {
				cred.Annotations = map[string]string{v1alpha1.RotateAnnotation: "now"}
			})
		},
		"the credentials Secret is gone": func(g *gated) {
			if err := live.Delete(g.t.Context(), secret(g.t, g.cred.Namespace, "orders-login")); err != nil {
				g.t.Fatal(err)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g := newGated(t, newDriven(t, longLived))
			g.sleep(g.settle())
			g.afterTheClaim(func() { obstacles["a policy"].put(g) })
			g.pass()
			change(g)
			requests := g.server.Ledger().Requests
			g.live(5 * time.Minute)
			if !g.memory.holds(g.cred.UID) || g.server.Ledger().Requests != requests {
				t.Errorf("held %t, %d more requests", g.memory.holds(g.cred.UID), g.server.Ledger().Requests-requests)
			}
			obstacles["a policy"].clear(g)
			g.live(90 * time.Second)
			if state := string(g.state().Data["state.json"]); g.memory.holds(g.cred.UID) || !strings.Contains(state, `"serial":2`) && !strings.Contains(state, `"serial":3`) {
				t.Errorf("held %t; the state is that of before", g.memory.holds(g.cred.UID))
			}
			if ledger := g.server.Ledger(); ledger.Reuses != 0 || ledger.RequestsOf(authsim.GrantPassword) != 1 {
				t.Errorf("%d reuses, %d logins", ledger.Reuses, ledger.RequestsOf(authsim.GrantPassword))
			}
		})
	}
}

// TestAStatusThatCannotBeWrittenCostsNoToken: exchanges go on at their pace.
func TestAStatusThatCannotBeWrittenCostsNoToken(t *testing.T) {
	t.Parallel()
	g := newGated(t, newDriven(t, longLived))
	g.settle()
	g.gate.refuses = denies(errors.New("a rule of admission"), func(verb string, _ client.Object) bool { return verb == "status" })
	g.live(10 * time.Minute)
	g.gate.refuses = nil
	g.live(time.Minute)
	if says := g.says(v1alpha1.ConditionReady); !strings.HasPrefix(says, "True") {
		t.Errorf("Ready says %s", says)
	}
	mustRotateCleanly(t, g.server.Ledger(), 0)
	if len(g.dials) > 2 {
		t.Errorf("%d connections to the token host for one token", len(g.dials))
	}
}

// TestARaceThatIsLostAgainAndAgainIsTold: another controller writes its label to the state Secret whenever it sees a
// change.
func TestARaceThatIsLostAgainAndAgainIsTold(t *testing.T) {
	t.Parallel()
	g := newGated(t, newDriven(t, longLived))
	g.sleep(g.settle())
	storm, labels := true, 0
	g.gate.refuses = func(_ string, object client.Object) error {
		if storm && isStateSecret(object) {
			labels++
			g.editState(func(state *corev1.Secret) {
				metav1.SetMetaDataLabel(&state.ObjectMeta, "theirs", time.Duration(labels).String())
			})
		}
		return nil
	}
	since := g.clock.Now()
	g.live(5 * time.Minute)
	g.mustSay(v1alpha1.ConditionRenewable, "False StateUnwritable state Secret orders-fluent-state cannot be written: Conflict", "has been modified")
	g.mustDialSeldom(since)
	storm = false
	g.live(90 * time.Second)
	if status := g.status(); status.Token.Serial < 2 || status.Summary.Reason != v1alpha1.ReasonTokenPublished {
		t.Errorf("serial %d, %s", status.Token.Serial, status.Summary.Reason)
	}
	mustRotateCleanly(t, g.server.Ledger(), 1)
}

// TestStepsThatAreDenied: what is no exchange is tried again at the pace of the work queue, and told.
func TestStepsThatAreDenied(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		why     string
		before  func(*gated)
		refuses func(verb string, object client.Object) bool
		says    string
	}{
		"a state Secret that is going": {
			"its copy cannot be made", func(g *gated) {
				if err := live.Delete(g.t.Context(), g.state()); err != nil {
					g.t.Fatal(err)
				}
			}, func(_ string, o client.Object) bool { return isStateSecret(o) }, "True StateUnwritable state Secret orders-fluent-state",
		},
		"a claim of a process that is gone": {
			"it cannot be settled", func(g *gated) {
				g.Holder.Pod = "pod"
				g.sleep(g.settle())
				g.crashAt(2, false)
				g.restart()
			}, func(_ string, o client.Object) bool { return isStateSecret(o) }, "True StateUnwritable state Secret orders-fluent-state",
		},
		"a target that was renamed": {
			"the old one does not go", func(g *gated) {
				edit(g.t, g.cred, func(cred *v1alpha1.FluentCredential) { cred.Spec.Target.Name = "orders-other" })
			}, func(verb string, o client.Object) bool { return verb == "delete" && o.GetName() == "orders-token" }, "True PublishFailed",
		},
		"an immutable target": {
			"only somebody who deletes it helps", func(g *gated) {
				edit(g.t, secret(g.t, g.cred.Namespace, "orders-token"), func(s *corev1.Secret) { s.Immutable = ptr.To(true) })
				edit(g.t, g.cred, func(cred *v1alpha1.FluentCredential) {
					cred.Spec.Target.Data = map[string]string{"other": "x"}
				})
			}, func(string, client.Object) bool { return false }, "True PublishFailed Secret orders-token: Invalid: ",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g := newGated(t, newDriven(t, longLived))
			g.settle()
			test.before(g)
			g.gate.refuses = denies(errQuota, test.refuses)
			requests, since := g.server.Ledger().Requests, g.clock.Now()
			g.live(10 * time.Minute)
			if says := g.says(v1alpha1.ConditionReconciling) + g.says(v1alpha1.ConditionStalled); !strings.HasPrefix(says, test.says) {
				t.Errorf("says %q, want %q: %s", says, test.says, test.why)
			}
			if sent := g.server.Ledger().Requests - requests; sent > 0 {
				t.Errorf("%d requests to the token host", sent)
			}
			if tried := len(g.gate.writes); tried > 140 {
				t.Errorf("%d writes in ten minutes", tried)
			}
			g.mustDialSeldom(since)
		})
	}
}

// TestTheWordsOfAPolicyAndAQuotaReachThePerson, on a real API server.
func TestTheWordsOfAPolicyAndAQuotaReachThePerson(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		forbid func(*testing.T, string)
		says   string
	}{
		"policy": {forbidUnlabeled, "every Secret of the shop needs the label team"},
		"quota":  {forbidMore, "exceeded quota: few-secrets"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g := newGated(t, newDriven(t, longLived))
			g.gate.after = func(_ string, object client.Object) {
				if isStateSecret(object) && g.server.Ledger().RequestsOf(authsim.GrantPassword) > 0 {
					g.gate.after = nil
					test.forbid(t, g.cred.Namespace)
				}
			}
			g.live(10 * time.Second)
			g.mustSay(v1alpha1.ConditionReady, "False PublishFailed Secret orders-token cannot be written: ", test.says)
			g.mustHaveEvent(v1alpha1.ReasonPublishFailed, test.says)
		})
	}
}

// forbidUnlabeled is a policy for target Secrets of one namespace; it returns when it is in force.
func forbidUnlabeled(t *testing.T, namespace string) {
	t.Helper()
	forbid(t, namespace, "object.type != 'Opaque' || has(object.metadata.labels) && 'team' in object.metadata.labels",
		"every Secret of the shop needs the label team")
	mustForbid(t, namespace)
}

// forbid creates a policy for the Secrets of one namespace.
func forbid(t *testing.T, namespace, expression, message string) {
	t.Helper()
	name, deny := "labels-"+namespace, []admissionv1.ValidationAction{admissionv1.Deny}
	create(t, &admissionv1.ValidatingAdmissionPolicy{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec: admissionv1.ValidatingAdmissionPolicySpec{
			MatchConstraints: &admissionv1.MatchResources{ResourceRules: []admissionv1.NamedRuleWithOperations{{RuleWithOperations: admissionv1.RuleWithOperations{
				Operations: []admissionv1.OperationType{admissionv1.Create, admissionv1.Update},
				Rule:       admissionv1.Rule{APIGroups: []string{""}, APIVersions: []string{"v1"}, Resources: []string{"secrets"}},
			}}}},
			Validations: []admissionv1.Validation{{
				Expression: expression,
				Message:    message,
			}},
		},
	})
	create(t, &admissionv1.ValidatingAdmissionPolicyBinding{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec: admissionv1.ValidatingAdmissionPolicyBindingSpec{
			PolicyName: name, ValidationActions: deny,
			MatchResources: &admissionv1.MatchResources{NamespaceSelector: &metav1.LabelSelector{
				MatchLabels: map[string]string{"kubernetes.io/metadata.name": namespace},
			}},
		},
	})
	t.Cleanup(func() {
		for _, object := range []client.Object{&admissionv1.ValidatingAdmissionPolicyBinding{}, &admissionv1.ValidatingAdmissionPolicy{}} {
			object.SetName(name)
			if err := live.Delete(context.Background(), object); err != nil {
				t.Error(err)
			}
		}
	})
}

// forbidMore is a quota that is used up. Nobody counts in a control plane without controllers, so the test says what is
// used.
func forbidMore(t *testing.T, namespace string) {
	t.Helper()
	hard := corev1.ResourceList{"count/secrets": resource.MustParse("1")}
	quota := &corev1.ResourceQuota{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "few-secrets"}, Spec: corev1.ResourceQuotaSpec{Hard: hard}}
	create(t, quota)
	quota.Status = corev1.ResourceQuotaStatus{Hard: hard, Used: hard}
	if err := live.Status().Update(t.Context(), quota); err != nil {
		t.Fatal(err)
	}
	mustForbid(t, namespace)
}

func mustForbid(t *testing.T, namespace string) {
	t.Helper()
	probe := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "probe"}}
	eventually(t, "the rule is in force", func() (bool, any) {
		err := live.Create(t.Context(), probe.DeepCopy(), client.DryRunAll)
		return err != nil, err
	})
}

// TestAPassThatFailedReplacesNoNewerStatus: a process that was frozen between the claim and the commit wakes when another one leads, and
// finds that its result cannot be stored yet. The status is the other one's.
func TestAPassThatFailedReplacesNoNewerStatus(t *testing.T) {
	t.Parallel()
	g := newGated(t, newDriven(t, longLived))
	g.sleep(g.settle())
	const others = "handled by another replica"
	g.afterTheClaim(func() {
		g.gate.refuses = denies(errors.New("not now"), func(_ string, o client.Object) bool { return isStateSecret(o) })
		cred := reread(t, g.cred)
		cred.Status.LastHandledRotateAt = others
		if err := live.Status().Update(t.Context(), cred); err != nil {
			t.Fatal(err)
		}
	})
	g.pass()
	if got := g.status(); got.LastHandledRotateAt != others {
		t.Errorf("the status of the other replica was replaced: %+v", got)
	}
	g.gate.refuses = nil
	g.live(2 * time.Minute)
	if got := g.status(); got.Token.Serial != 2 || got.Summary.Reason != v1alpha1.ReasonTokenPublished {
		t.Errorf("serial %d, %s: the result is stored all the same", got.Token.Serial, got.Summary.Reason)
	}
}
