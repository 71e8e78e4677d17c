package custody

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/fluent-credential/operator/api/v1alpha1"
	"github.com/fluent-credential/operator/internal/token"
)

// What can happen to a state while the holder of its claim waits for a reply.
var (
	touch         = func(s *corev1.Secret) { metav1.SetMetaDataLabel(&s.ObjectMeta, "touched", s.ResourceVersion) }
	touched       = func(a *api) { a.edit(first, touch) }
	settledAsLost = func(a *api) {
		found := a.open()
		a.put(found, found.Settled(*found.Claim, Failure{Verdict: token.Unknown}, token.NewSecret(old)))
	}
	login = Claim{ID: "login", Grant: token.Password}
	// loggingInAnew is another process that gave the claim up for lost, and is at work.
	loggingInAnew = func(a *api) {
		settledAsLost(a)
		found := a.open()
		a.put(found, found.Claimed(login, ""))
	}
	// loggedIn and failedToLogIn are what may come of it.
	loggedIn = func(a *api) {
		found := a.open()
		a.put(found, found.Granted(login, Obtained{Refresh: token.NewSecret("family-2")}))
	}
	failedToLogIn = func(a *api) {
		found := a.open()
		a.put(found, found.Failed(login, Failure{Verdict: token.TryLater}, token.Secret{}))
	}
	movedOn = func(a *api) { loggingInAnew(a); loggedIn(a) }
	// rolledBack is an older state out of a backup.
	rolledBack = func(a *api) {
		a.put(a.open(), State{Salt: salt, Chain: &Chain{Refresh: token.NewSecret("refresh-0")}})
	}
	// begunAnew is a state that somebody tore away, and another process is at work in a new one.
	begunAnew = func(a *api) {
		found := a.open()
		a.put(found, State{Salt: salt, Claim: &login})
	}
	forced    = func(a *api) { a.force(first) }
	damaged   = func(a *api) { a.edit(first, func(s *corev1.Secret) { s.Data[checksumKey] = nil }) }
	deleted   = func(a *api) { a.remove(first) }
	relocated = func(a *api) {
		a.remove(first)
		a.behind(func(client.Client) error {
			_, err := a.store().Relocate(context.Background(), owner, a.open())
			return err
		})
	}
	// announced is a relocation of which only the first step was made.
	announced = func(a *api) {
		a.remove(first)
		found := a.open()
		next := found.State
		next.MovedTo = second
		a.put(found, next)
	}
	ownerGone = func(a *api) {
		a.force(first)
		a.behind(func(c client.Client) error {
			cred := &v1alpha1.FluentCredential{ObjectMeta: metav1.ObjectMeta{Namespace: owner.Namespace, Name: owner.Name}}
			return c.Delete(context.Background(), cred)
		})
	}
	// going is a FluentCredential that somebody deleted; our finalizer holds it, and its state is there.
	going = func(a *api) {
		a.behind(func(c client.Client) error {
			cred := &v1alpha1.FluentCredential{ObjectMeta: metav1.ObjectMeta{Namespace: owner.Namespace, Name: owner.Name}}
			return c.Delete(context.Background(), cred)
		})
	}
	reborn = func(a *api) {
		a.force(first)
		a.succeed()
	}
)

// granted and refused are results for the table below; during is one in whose third try somebody else does something.
func granted(_ *api, claim Claim) Result { return granting(claim) }

func refused(_ *api, claim Claim) Result { return refusing(claim) }

// patiently is granted for one who waits for another process for a while only.
func patiently(a *api, claim Claim) Result {
	result := granted(a, claim)
	result.Patience = time.Minute
	return result
}

func during(do func(*api), result func(*api, Claim) Result) func(*api, Claim) Result {
	return func(a *api, claim Claim) Result {
		inner := result(a, claim)
		tries, apply := 0, inner.Apply
		inner.Apply = func(state State) State {
			if tries++; tries == 3 {
				do(a)
			}
			return apply(state)
		}
		return inner
	}
}

// times is the same fault so many times.
func times(count int, one fault) []fault {
	var all []fault
	for range count {
		all = append(all, one)
	}
	return all
}

func TestCommit(t *testing.T) {
	lost, down := fault{errReset, true}, fault{err: errReset}
	tests := map[string]struct {
		why       string
		meanwhile func(*api)
		writes    []fault
		reads     []error
		result    func(*api, Claim) Result
		err       error
		want      string   // the refresh token that is stored then
		serial    int64    // and the serial
		names     []string // and where
	}{
		"at once":            {"the ordinary case", nil, nil, nil, granted, nil, "refresh-2", 2, []string{first}},
		"the answer is lost": {"a live read shows that it is stored, and it is not stored twice", nil, []fault{lost}, nil, granted, nil, "refresh-2", 2, []string{first}},
		"the answer is lost, and some reads": {
			"until one of them answers", nil, []fault{lost, lost, lost}, []error{errReset, errBroken}, granted, nil, "refresh-2", 2, []string{first},
		},
		"the API is down for long": {
			"the only copy is in this process", nil, times(200, down), nil, granted, nil, "refresh-2", 2, []string{first},
		},
		"denied for long": {
			"somebody mends a quota, or a rule of admission", nil, times(50, fault{err: errDenied}), nil, granted, nil, "refresh-2", 2, []string{first},
		},
		"touched by somebody": {"a conflict is merged, never dropped", touched, nil, nil, granted, nil, "refresh-2", 2, []string{first}},
		"settled as lost":     {"the late result resolves it", settledAsLost, nil, nil, granted, nil, "refresh-2", 2, []string{first}},
		"moved on": {
			"another family is in use: the result is dropped, and nothing is revoked", movedOn, nil, nil, granted, ErrSuperseded, "family-2", 2, []string{first},
		},
		"another login under way, which fails": {
			"what comes of it decides: the late result is better than none", loggingInAnew, nil, nil,
			during(failedToLogIn, granted), nil, "refresh-2", 2, []string{first},
		},
		"another login under way, which works": {
			"what comes of it decides: its tokens are in use", loggingInAnew, nil, nil,
			during(loggedIn, granted), ErrSuperseded, "family-2", 2, []string{first},
		},
		"another login under way, whose process is gone": {
			"nobody else will settle it while this process waits", loggingInAnew, nil, nil, patiently, nil, "refresh-2", 2, []string{first},
		},
		"begun anew, and another login under way": {
			"what is under way there is written over by nobody", begunAnew, nil, nil, during(loggedIn, patiently), ErrSuperseded, "family-2", 1, []string{first},
		},
		"begun anew, and another login under way, whose process is gone": {
			"what this process holds is all there is", begunAnew, nil, nil, patiently, nil, "refresh-2", 2, []string{first},
		},
		"a refusal, begun anew, and another login under way": {
			"a refusal changes no other's exchange (I6)", begunAnew, nil, nil, during(loggedIn, refused), ErrSuperseded, "family-2", 1, []string{first},
		},
		"rolled back":      {"an older state out of a backup is not what the claim was made in", rolledBack, nil, nil, granted, nil, "refresh-2", 2, []string{first}},
		"removed by force": {"what this process holds is all there is", forced, nil, nil, granted, nil, "refresh-2", 2, []string{first}},
		"edited":           {"what this process holds is all there is", damaged, nil, nil, granted, nil, "refresh-2", 2, []string{first}},
		"moved on, and edited": {
			"what the edit left of it counts: the serial never goes back", func(a *api) { movedOn(a); damaged(a) },
			nil, nil, granted, nil, "refresh-2", 3, []string{first},
		},
		"deleted":          {"the Secret is there until it is relocated", deleted, nil, nil, granted, nil, "refresh-2", 2, []string{second}},
		"relocated":        {"the claim went along", relocated, nil, nil, granted, nil, "refresh-2", 2, []string{second}},
		"relocation begun": {"nobody writes to the old one any more: the copy is made of the result", announced, nil, nil, granted, nil, "refresh-2", 2, []string{second}},
		"the credential is going": {
			"a Secret with our finalizer would stay for ever, and its namespace with it", ownerGone, nil, nil, granted, ErrGone, "", 0, nil,
		},
		"denied for ever, and the credential is going": {
			"a deletion does not hang for a rule of admission", going, times(1000, fault{err: errDenied}), nil, granted, ErrGone, old, 1, []string{first},
		},
		"denied for a while, and the credential is going": {
			"what can be stored is stored first", going, times(2, fault{err: errDenied}), nil, granted, nil, "refresh-2", 2, []string{first},
		},
		"down for long, and the credential is going": {
			"an API that is away comes back", going, times(200, down), nil, granted, nil, "refresh-2", 2, []string{first},
		},
		"the credential is another": {
			"a token of a former object is not the new one's", reborn, nil, nil, granted, ErrGone, "", 0, nil,
		},
		"the namespace is going": {
			"there is nothing left to write to", forced, []fault{{}, {err: errTerminating}}, nil, granted, ErrGone, "", 0, nil,
		},
		"a refusal":                  {"it changes the state that its claim is in", nil, nil, nil, refused, nil, "", 1, []string{first}},
		"a refusal, answer lost":     {"it is stored once", nil, []fault{lost}, nil, refused, nil, "", 1, []string{first}},
		"a refusal, touched":         {"a conflict is merged", touched, nil, nil, refused, nil, "", 1, []string{first}},
		"a refusal, settled as lost": {"a refusal changes the state only if the state's claim is the one that produced it (I6)", settledAsLost, nil, nil, refused, ErrSuperseded, old, 1, []string{first}},
		"a refusal, another login under way": {
			"a refusal waits for nobody: it changes nothing any more", loggingInAnew, nil, nil, refused, ErrSuperseded, old, 1, []string{first},
		},
		"a refusal, moved on": {"it must not end another family (I6)", movedOn, nil, nil, refused, ErrSuperseded, "family-2", 2, []string{first}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { // the pauses between two tries take no time here
				a := newAPI(t)
				claim, from := refreshing(1), a.born(first)
				claimed := a.put(from, from.Claimed(claim, ""))
				if test.meanwhile != nil {
					test.meanwhile(a)
				}
				a.writes, a.reads = test.writes, test.reads
				ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
				defer cancel()
				failures := 0
				got, err := deliver(ctx, a, NewPending(owner, claimed, test.result(a, claim)), func(error) { failures++ })
				if !errors.Is(err, test.err) || test.err == nil && err != nil {
					t.Fatalf("error %v, want %v: %s", err, test.err, test.why)
				}
				found := a.open()
				if err == nil {
					mustBe(t, "the record is what is stored", found.State, got.State)
				}
				mustBe(t, test.why, test.want, refreshOf(found))
				mustBe(t, "the serial", test.serial, found.Serial)
				settle(t, a)
				mustBe(t, "the Secrets", test.names, a.names())
				if interfered := test.meanwhile != nil || test.writes != nil; interfered && failures == 0 {
					t.Error("nobody was told that it did not work at once")
				}
			})
		})
	}
}

// TestALateReplyIsTold: whoever gave its claim up waits for nothing, and has to look again.
func TestALateReplyIsTold(t *testing.T) {
	tests := map[string]struct {
		why       string
		meanwhile func(*api)
		want      bool
	}{
		"at once":             {"the process that stored it knows", func(*api) {}, false},
		"touched by somebody": {"the claim is still waited for", touched, false},
		"settled as lost":     {"another process has said that the reply is lost", settledAsLost, true},
		"another login under way, whose process is gone": {"another process waits for that one", loggingInAnew, true},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				a := newAPI(t)
				claim, from := refreshing(1), a.born(first)
				claimed := a.put(from, from.Claimed(claim, ""))
				test.meanwhile(a)
				got, err := deliver(t.Context(), a, NewPending(owner, claimed, patiently(a, claim)), func(error) {})
				if err != nil {
					t.Fatal(err)
				}
				told := ""
				if test.want {
					told = claim.ID
				}
				mustBe(t, test.why, told, got.secret.Annotations[v1alpha1.LateReplyAnnotation])
			})
		})
	}
}

// TestNothingIsWrittenForAnOwnerThatIsNoMore: a cache that is behind shows a FluentCredential whose name another one has by now, with
// a state of its own.
func TestNothingIsWrittenForAnOwnerThatIsNoMore(t *testing.T) {
	tries := map[string]func(*api, *Record) error{
		"a claim": func(a *api, from *Record) error {
			a.writes = []fault{{err: errReset}}
			_, err := a.store().Claim(t.Context(), owner, from, from.Claimed(refreshing(1), ""))
			return err
		},
		"a result": func(a *api, from *Record) error {
			_, err := a.store().Commit(t.Context(), owner, from, granting(refreshing(1)), func(error) {})
			return err
		},
		"a first state": func(a *api, _ *Record) error {
			_, err := a.store().Put(t.Context(), owner, &Record{}, State{Salt: salt})
			return err
		},
	}
	for name, write := range tries {
		t.Run(name, func(t *testing.T) {
			a := newAPI(t)
			from := a.born(first)
			a.succeed()
			a.edit(first, func(secret *corev1.Secret) { secret.OwnerReferences[0].UID = "another" })
			before := a.secret(first)
			if err := write(a, from); !errors.Is(err, ErrGone) {
				t.Errorf("error %v, want %v", err, ErrGone)
			}
			mustBe(t, "the other's state", before, a.secret(first))
		})
	}
}

// TestAClaimThatIsOutlastedStaysAwaited: its process may only be asleep, or its journal on a volume that is mounted later.
func TestAClaimThatIsOutlastedStaysAwaited(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newAPI(t)
		late, from := refreshing(1), a.born(first)
		claimed := a.put(from, from.Claimed(late, ""))
		loggingInAnew(a)
		asleep := a.open()
		if _, err := deliver(t.Context(), a, NewPending(owner, claimed, patiently(a, late)), func(error) {}); err != nil {
			t.Fatal(err)
		}
		if found := a.open(); found.Claim != nil || !found.Awaits(login) || found.Awaits(late) {
			t.Fatalf("claim %v, lost %v: the result of the login is expected, and no other", found.Claim, found.Lost)
		}
		result := granting(login)
		result.Apply = func(state State) State { return state.Granted(login, Obtained{Refresh: token.NewSecret("family-2")}) }
		got, err := a.store().Commit(t.Context(), owner, asleep, result, func(error) {})
		if err != nil || refreshOf(got) != "family-2" || got.Serial != 3 || got.Lost != nil {
			t.Errorf("%+v, error %v: the newer token was dropped", got, err)
		}
	})
}

// settle makes passes until there is nothing left to relocate, as the controller does.
func settle(t *testing.T, a *api) *Record {
	t.Helper()
	a.writes, a.reads = nil, nil
	for range 10 {
		found, err := a.store().Open(t.Context(), owner)
		if err != nil {
			continue
		}
		if !found.HasToMove() {
			return found
		}
		_, _ = a.store().Relocate(t.Context(), owner, found)
	}
	t.Fatalf("the relocation never ends; last writes %v", a.verbs[max(0, len(a.verbs)-6):])
	return nil
}

// deliver makes rounds until the result is stored, or is not wanted any more, as a controller does: with a pause in which no worker is
// held. No round is longer than some seconds.
func deliver(ctx context.Context, a *api, p *Pending, tried func(error)) (*Record, error) {
	a.t.Helper()
	for tries := CommitTries; ; tries = 1 {
		began := time.Now()
		got, err := a.store().Deliver(ctx, p, tries, tried)
		if held := time.Since(began); held > 10*time.Second {
			a.t.Errorf("a round took %s", held)
		}
		if !errors.Is(err, ErrHeld) || ctx.Err() != nil {
			return got, err
		}
		time.Sleep(15 * time.Second)
		p.Waited(15 * time.Second)
	}
}

// TestCommitHoldsNoWorker: whatever stands in the way, for however long, a round ends within seconds, and says what it was.
func TestCommitHoldsNoWorker(t *testing.T) {
	immutable := func(a *api) { a.edit(first, func(secret *corev1.Secret) { secret.Immutable = ptr.To(true) }) }
	foreign := func(a *api) {
		a.force(first)
		a.behind(func(c client.Client) error {
			return c.Create(context.Background(), &corev1.Secret{
				ObjectMeta: metav1.ObjectMeta{Namespace: owner.Namespace, Name: first}, Type: corev1.SecretTypeOpaque,
			})
		})
	}
	tests := map[string]struct {
		why    string
		before []func(*api)
		writes error
		held   time.Duration // at most
		err    error
		rounds int // until it is given up; zero: never
	}{
		"immutable":                   {"no copy can be made either", []func(*api){immutable}, errInvalid, time.Second, errInvalid, 0},
		"a right is missing":          {"no try can help until it is back", nil, errDenied, time.Second, errDenied, 0},
		"the API is down":             {"it comes back", nil, errReset, 7 * time.Second, errReset, 0},
		"immutable, and going":        {"a deletion does not hang", []func(*api){immutable, going}, errInvalid, time.Second, errInvalid, 4},
		"a foreign Secret":            {"no try can help until it is gone", []func(*api){foreign}, nil, time.Second, ErrForeign, 0},
		"a foreign Secret, and going": {"a deletion does not hang", []func(*api){foreign, going}, nil, time.Second, ErrForeign, 4},
		"immutable, and no place": {
			"likewise, if the other name is taken", []func(*api){func(a *api) { a.freeze(first); a.occupy(second) }}, nil, time.Second, ErrNoPlace, 0,
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				a := newAPI(t)
				claim, from := refreshing(1), a.born(first)
				claimed := a.put(from, from.Claimed(claim, ""))
				for _, do := range test.before {
					do(a)
				}
				a.writes = times(1000, fault{err: test.writes})
				pending := NewPending(owner, claimed, granting(claim))
				for round := 1; round <= 20; round++ {
					began, tries := time.Now(), CommitTries
					if round > 1 {
						tries = 1
					}
					_, err := a.store().Deliver(t.Context(), pending, tries, func(error) {})
					if held := time.Since(began); held > test.held {
						t.Errorf("round %d held its worker for %s: %s", round, held, test.why)
					}
					if errors.Is(err, ErrGone) && test.rounds > 0 && round <= test.rounds {
						return
					}
					if !errors.Is(err, ErrHeld) || !errors.Is(err, test.err) {
						t.Fatalf("round %d: error %v, want it held because of %v: %s", round, err, test.err, test.why)
					}
					pending.Waited(15 * time.Second)
				}
				if test.rounds > 0 {
					t.Errorf("it is never given up: %s", test.why)
				}
			})
		})
	}
}

// occupy puts a Secret of another type under a name.
func (a *api) occupy(name string) {
	a.t.Helper()
	a.behind(func(c client.Client) error {
		return c.Create(context.Background(), &corev1.Secret{
			ObjectMeta: metav1.ObjectMeta{Namespace: owner.Namespace, Name: name}, Type: corev1.SecretTypeOpaque,
		})
	})
}

// TestCommitBesideAnImmutableSecret shows what a tenant can do to the state Secret between the claim and the commit. The
// result is stored in the first round all the same, and the claim of another exchange can be made.
func TestCommitBesideAnImmutableSecret(t *testing.T) {
	damage := func(a *api, name string) { a.edit(name, func(s *corev1.Secret) { s.Data[checksumKey] = nil }) }
	tests := map[string]struct {
		why string
		do  func(*api, string)
	}{
		"immutable":              {"nothing can change it", (*api).freeze},
		"immutable, and deleted": {"our finalizer holds it", func(a *api, name string) { a.freeze(name); a.remove(name) }},
		"edited, and immutable":  {"nothing in it is worth a copy", func(a *api, name string) { damage(a, name); a.freeze(name) }},
	}
	for name, test := range tests {
		for run := range 16 {
			way := ways[run%2]
			done := run/2%2 == 0
			stop := run / 4
			t.Run(fmt.Sprintf("%s, %s, write %d fails, done %t", name, way.from, stop, done), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					a := newAPI(t)
					claim, from := refreshing(1), a.born(way.from)
					claimed := a.put(from, from.Claimed(claim, ""))
					test.do(a, way.from)
					if stop > 0 {
						a.writes = append(make([]fault, stop), fault{err: errReset, done: done})
					}
					pending := NewPending(owner, claimed, granting(claim))
					_, err := a.store().Deliver(t.Context(), pending, CommitTries, func(error) {})
					mustBe(t, test.why, nil, err)
					found := a.open()
					mustBe(t, "the refresh token", "refresh-2", refreshOf(found))
					next := refreshing(2)
					a.put(found, found.Claimed(next, ""))
					mustBe(t, "only the new Secret is left", []string{way.to}, a.names())
				})
			})
		}
	}
}

// TestCommitShedsWhatOthersPutOnTheSecret shows that metadata of others cannot take the room for the result.
func TestCommitShedsWhatOthersPutOnTheSecret(t *testing.T) {
	long := strings.Repeat("x", 200<<10)
	tests := map[string]struct {
		why  string
		edit func(*corev1.Secret)
		kept bool // a label of others
	}{
		"a label": {"others may mark a Secret", func(*corev1.Secret) {}, true},
		"annotations": {
			"Kubernetes permits 256 KiB in all", func(s *corev1.Secret) { s.Annotations["example.com/long"] = long }, false,
		},
		"an annotation of our domain": {
			"it is not the operator's", func(s *corev1.Secret) { s.Annotations["auth.fluent-credential.dev/long"] = long }, false,
		},
		"labels": {"their number has no limit", func(s *corev1.Secret) {
			for i := range 2000 {
				s.Labels[fmt.Sprintf("example.com/%d", i)] = strings.Repeat("x", 63)
			}
		}, false},
		"finalizers": {"likewise", func(s *corev1.Secret) {
			for i := range 2000 {
				s.Finalizers = append(s.Finalizers, fmt.Sprintf("example.com/%d-%s", i, strings.Repeat("x", 63)))
			}
		}, false},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			a := newAPI(t)
			claim, from := refreshing(1), a.born(first)
			claimed := a.put(from, from.Claimed(claim, ""))
			a.edit(first, func(s *corev1.Secret) { s.Labels["example.com/theirs"] = "x" })
			a.edit(first, test.edit)
			pending := NewPending(owner, claimed, granting(claim))
			_, err := a.store().Deliver(t.Context(), pending, CommitTries, func(error) {})
			mustBe(t, "the result is stored", nil, err)
			secret := a.secret(first)
			_, kept := secret.Labels["example.com/theirs"]
			mustBe(t, test.why, test.kept, kept)
			mustBe(t, "our finalizer stays", true, slices.Contains(secret.Finalizers, v1alpha1.StateFinalizer))
			size := 0
			for _, entries := range []map[string]string{secret.Labels, secret.Annotations} {
				for key, value := range entries {
					size += len(key) + len(value)
				}
			}
			if size > maxForeign {
				t.Errorf("%d bytes of metadata are left", size)
			}
		})
	}
}

// TestAForeignSecretThatGoesAwayGivesWay: the result is held meanwhile, and stored then.
func TestAForeignSecretThatGoesAwayGivesWay(t *testing.T) {
	a := newAPI(t)
	claim, from := refreshing(1), a.born(first)
	claimed := a.put(from, from.Claimed(claim, ""))
	a.force(first)
	foreign := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: owner.Namespace, Name: first}, Type: corev1.SecretTypeOpaque}
	a.behind(func(c client.Client) error { return c.Create(context.Background(), foreign) })
	pending := NewPending(owner, claimed, granting(claim))
	if _, err := a.store().Deliver(t.Context(), pending, 1, func(error) {}); !errors.Is(err, ErrForeign) {
		t.Fatalf("error %v, want %v", err, ErrForeign)
	}
	a.behind(func(c client.Client) error { return c.Delete(context.Background(), foreign) })
	if _, err := a.store().Deliver(t.Context(), pending, 1, func(error) {}); err != nil {
		t.Fatal(err)
	}
	mustBe(t, "the refresh token", "refresh-2", refreshOf(a.open()))
}

// TestARoundEndsWithAnAPIThatNeverAnswers: requests are accepted, and no answer comes.
func TestARoundEndsWithAnAPIThatNeverAnswers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newAPI(t)
		claim, from := refreshing(1), a.born(first)
		claimed := a.put(from, from.Claimed(claim, ""))
		silent := &Store{Reader: mute{a}, Writer: mute{a}}
		began := time.Now()
		_, err := silent.Commit(t.Context(), owner, claimed, granting(claim), func(error) {})
		if held := time.Since(began); !errors.Is(err, ErrHeld) || held > 20*time.Second {
			t.Errorf("held its worker for %s, error %v", held, err)
		}
		if _, err := silent.Open(t.Context(), owner); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("a read ends with %v", err)
		}
	})
}

// mute is an API that answers nothing.
type mute struct{ client.Client }

func (mute) Get(ctx context.Context, _ client.ObjectKey, _ client.Object, _ ...client.GetOption) error {
	<-ctx.Done()
	return ctx.Err()
}

func (mute) Update(ctx context.Context, _ client.Object, _ ...client.UpdateOption) error {
	<-ctx.Done()
	return ctx.Err()
}

// TestAnUnchangedVersionIsNoLostRace: where writes fail and reads work, the read after a claim shows what it was to be written over.
func TestAnUnchangedVersionIsNoLostRace(t *testing.T) {
	tests := map[string]struct {
		why      string
		born     bool
		fault    fault
		during   func(*api)
		conflict bool
		stored   bool
	}{
		"a webhook is down":        {"nobody else wrote", true, fault{err: errBroken}, nil, false, false},
		"the first state of all":   {"there is none, as before", false, fault{err: errBroken}, nil, false, false},
		"only the answer was lost": {"the claim is there", true, fault{errReset, true}, nil, false, true},
		"another writer was first": {"that is a race", true, fault{err: errBroken}, touched, true, false},
		"a quota":                  {"the answer itself says that nothing was written", true, fault{err: errDenied}, nil, false, false},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			a := newAPI(t)
			from := a.open()
			if test.born {
				from = a.born(first)
			}
			a.writes = []fault{test.fault}
			s := a.store()
			s.Writer = &interrupted{Client: a, after: func() {
				if test.during != nil {
					test.during(a)
				}
			}}
			_, err := s.Claim(t.Context(), owner, from, from.Claimed(refreshing(1), ""))
			if errors.Is(err, ErrConflict) != test.conflict || (err == nil) != test.stored {
				t.Errorf("error %v; a conflict: %t, stored: %t: %s", err, test.conflict, test.stored, test.why)
			}
		})
	}
}

// interrupted does something after each write.
type interrupted struct {
	client.Client
	after func()
}

func (i *interrupted) Update(ctx context.Context, object client.Object, options ...client.UpdateOption) error {
	defer i.after()
	return i.Client.Update(ctx, object, options...)
}

func TestCommitEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newAPI(t)
		claim, from := refreshing(1), a.born(first)
		claimed := a.put(from, from.Claimed(claim, ""))
		a.writes = times(1000, fault{err: errReset})
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err := a.store().Commit(ctx, owner, claimed, granting(claim), func(error) {})
		if !errors.Is(err, ErrHeld) || !errors.Is(ctx.Err(), context.DeadlineExceeded) {
			t.Errorf("error %v, context %v", err, ctx.Err())
		}
	})
}

// TestCommitHurriesAtFirst: workloads wait for the token, and many an API recovers in a moment.
func TestCommitHurriesAtFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newAPI(t)
		claim, from := refreshing(1), a.born(first)
		claimed := a.put(from, from.Claimed(claim, ""))
		a.writes = times(3, fault{err: errReset})
		begin := time.Now()
		if _, err := a.store().Commit(t.Context(), owner, claimed, granting(claim), func(error) {}); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(begin); took > 250*time.Millisecond {
			t.Errorf("three failures took %s", took)
		}
	})
}

// Commit makes the first round of storing a result.
func (s *Store) Commit(ctx context.Context, owner Owner, from *Record, result Result, tried func(error)) (*Record, error) {
	return s.Deliver(ctx, NewPending(owner, from, result), CommitTries, tried)
}
