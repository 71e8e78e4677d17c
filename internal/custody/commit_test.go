package custody

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
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
			"what can be stored is stored first", going, times(8, fault{err: errDenied}), nil, granted, nil, "refresh-2", 2, []string{first},
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
				got, err := a.store().Commit(ctx, owner, claimed, test.result(a, claim), func(error) { failures++ })
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
				got, err := a.store().Commit(t.Context(), owner, claimed, patiently(a, claim), func(error) {})
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
		if _, err := a.store().Commit(t.Context(), owner, claimed, patiently(a, late), func(error) {}); err != nil {
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
		if !found.Leaving {
			return found
		}
		_, _ = a.store().Relocate(t.Context(), owner, found)
	}
	t.Fatalf("the relocation never ends; last writes %v", a.verbs[max(0, len(a.verbs)-6):])
	return nil
}

func TestCommitEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newAPI(t)
		claim, from := refreshing(1), a.born(first)
		claimed := a.put(from, from.Claimed(claim, ""))
		a.writes = times(1000, fault{err: errReset})
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		failures := 0
		_, err := a.store().Commit(ctx, owner, claimed, granting(claim), func(error) { failures++ })
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("error %v", err)
		}
		if failures < 10 || failures > 40 {
			t.Errorf("%d tries in a minute: quick at first, then one in 5 s", failures)
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
