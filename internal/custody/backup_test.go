package custody

import (
	"context"
	"errors"
	"math"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/fluent-credential/operator/internal/kubeerror"
	"github.com/fluent-credential/operator/internal/token"
)

// plant writes a state under a name as a restored backup does: whatever is there already.
func (a *api) plant(name string, state State) {
	a.t.Helper()
	a.behind(func(c client.Client) error {
		secret := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: owner.Namespace, Name: name}, Type: "auth.fluent-credential.dev/state"}
		secret.Data = encoded(a.t, state)
		dress(secret, owner)
		return c.Create(context.Background(), secret)
	})
}

// ageing is a state of that serial, whose refresh token is named after it.
func ageing(serial int64) State {
	return State{Salt: salt, Serial: serial, Chain: &Chain{Refresh: token.NewSecret("refresh-" + string(rune('0'+serial)))}}
}

func TestNewest(t *testing.T) {
	tests := map[string]struct {
		why   string
		given func(*api)
		want  string // the refresh token
		err   error
	}{
		"nothing":       {"there is none", func(*api) {}, "", nil},
		"only one":      {"there is nothing to compare it with", func(a *api) { a.plant(first, ageing(3)) }, "refresh-3", nil},
		"a newer other": {"a backup of the first name lies over a truth that had moved", func(a *api) { a.plant(first, ageing(3)); a.plant(second, ageing(5)) }, "refresh-5", nil},
		"another as old": {
			"the first name is looked at first", func(a *api) {
				a.plant(first, ageing(3))
				a.plant(second, State{Salt: salt, Serial: 3, Chain: &Chain{Refresh: token.NewSecret("refresh-other")}})
			}, "refresh-3", nil,
		},
		"an older other": {
			"it was left over", func(a *api) { a.plant(first, ageing(5)); a.plant(second, ageing(3)) }, "refresh-5", nil,
		},
		"an edited other": {
			"its tokens are not to be trusted",
			func(a *api) {
				a.plant(first, ageing(3))
				a.plant(second, ageing(5))
				a.edit(second, func(s *corev1.Secret) { s.Data[checksumKey] = nil })
			},
			"refresh-3", nil,
		},
		"a foreign other": {
			"it is no state", func(a *api) {
				a.plant(first, ageing(3))
				a.behind(func(c client.Client) error {
					return c.Create(context.Background(), &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: owner.Namespace, Name: second}})
				})
			}, "refresh-3", nil,
		},
		"no answer": {"an old state must not be taken for the truth", func(a *api) { a.plant(first, ageing(3)); a.reads = []error{nil, errReset} }, "", errReset},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			a := newAPI(t)
			test.given(a)
			found, err := a.store().Open(t.Context(), owner)
			if err != nil {
				t.Fatal(err)
			}
			newest, err := a.store().Newest(t.Context(), owner, found)
			if !errors.Is(err, test.err) || test.err == nil && err != nil {
				t.Fatalf("error %v, want %v: %s", err, test.err, test.why)
			}
			if err == nil {
				mustBe(t, test.why, test.want, refreshOf(newest))
				_, err := a.store().Put(t.Context(), owner, newest, newest.State)
				mustBe(t, "it can be written over", nil, err)
			}
		})
	}
}

// TestABackupStaysInDoubt: that a state came out of a backup is known from its owner, which the first write mends. The doubt must
// outlive that.
func TestABackupStaysInDoubt(t *testing.T) {
	a := newAPI(t)
	a.born(first)
	a.edit(first, func(s *corev1.Secret) { s.OwnerReferences[0].UID = "former" })
	found := a.open()
	a.put(found, found.Idle(Failure{Verdict: token.Unsent}))
	again := a.open()
	mustBe(t, "the refresh token may be spent", 1, again.Chain.Presented)
	mustBe(t, "and is not doubted more with every look", 1, a.open().Chain.Presented)
}

// TestStateIsInheritedWithTheLoginOnly: who makes a FluentCredential under the name of a former one, whose state was left
// behind, gets its tokens only if the object refers to the same credentials Secret.
func TestStateIsInheritedWithTheLoginOnly(t *testing.T) {
	tests := map[string]struct {
		why       string
		former    string // what the state says
		reference string // what the new object refers to
		inherits  bool
	}{
		"the same":           {"a backup was restored, or a manifest applied again", "orders-login", "orders-login", true},
		"another":            {"its author may not be one who may get the former login", "orders-login", "mine", false},
		"an older version's": {"it says nothing of the login", "", "mine", true},
		"not known":          {"a reader who does not know gets no tokens", "orders-login", "", false},
	}
	for name, test := range tests {
		a := newAPI(t)
		state := ageing(5)
		state.Token = fullState().Token
		state.Chain.Presented = 2
		state.Claim = &Claim{ID: "claim-1"}
		state.Seeds = []string{"hash-of-seed"}
		state.Reference = test.former
		a.plant(first, state)
		a.edit(first, func(s *corev1.Secret) { s.OwnerReferences[0].UID = "former" })
		heir := owner
		heir.Reference = test.reference
		found, err := a.store().Open(t.Context(), heir)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if has := found.Chain != nil && found.Token != nil && found.Claim != nil; has != test.inherits {
			t.Errorf("%s: the tokens are inherited: %t, want %t: %s", name, has, test.inherits, test.why)
		}
		if found.Serial != 5 || !slices.Contains(found.Seeds, "hash-of-seed") {
			t.Errorf("%s: serial %d and seeds %v", name, found.Serial, found.Seeds)
		}
		if !test.inherits && !found.Spent(state.Chain.Refresh) {
			t.Errorf("%s: as a seed, the refresh token would be presented more than twice", name)
		}
		if test.inherits || test.reference == "" {
			continue
		}
		written, err := a.store().Put(t.Context(), heir, found, found.State)
		if err != nil || written.Reference != test.reference || written.Chain != nil {
			t.Errorf("%s: written with the reference %q: %v", name, written.Reference, err)
		}
	}
}

func TestSerialsOfAnEditedState(t *testing.T) {
	tests := map[string]struct {
		why          string
		serial, want int64
	}{
		"ordinary":    {"it is kept", 17, 17},
		"the largest": {"one more must not be less, and must be believed where it is published", math.MaxInt64, MostSerial - longestLeap},
		"negative":    {"there is none", -5, 0},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			data := encoded(t, State{Salt: salt, Serial: test.serial})
			data[checksumKey] = nil
			state, err := decode(data)
			if !errors.Is(err, errDamaged) || state.Serial != test.want || state.Granted(Claim{}, Obtained{}).Serial <= state.Serial ||
				state.Granted(Claim{}, Obtained{}).Serial > MostSerial {
				t.Errorf("serial %d, %v; want %d: %s", state.Serial, err, test.want, test.why)
			}
		})
	}
}

func TestForgottenSeeds(t *testing.T) {
	a := newAPI(t)
	a.born(first)
	mustBe(t, "a state that is whole remembers its seeds", false, a.open().Forgotten)
	a.edit(first, func(s *corev1.Secret) { s.Data[checksumKey] = nil })
	mustBe(t, "an edited one still does", false, a.open().Forgotten)
	a.edit(first, func(s *corev1.Secret) { s.Data = nil })
	mustBe(t, "one that was emptied does not", true, a.open().Forgotten)
}

// TestSettled: a claim that was given up has no result yet, so that a late one is known from one that was stored.
func TestSettled(t *testing.T) {
	claim := refreshing(1)
	settled := chained(&claim).Settled(claim, Failure{Verdict: token.Unknown}, token.NewSecret(old))
	mustBe(t, "the claim is gone", false, settled.Claim != nil)
	mustBe(t, "the last result is the one before", "before", settled.LastClaim)
	mustBe(t, "the refresh token may be spent", 1, settled.Chain.Presented)
	mustBe(t, "a late result is welcome", true, settled.Awaits(claim))
}

func TestLostClaimsAreBound(t *testing.T) {
	state := chained(nil)
	for i := range 100 {
		claim := Claim{ID: string(rune('a' + i)), Grant: token.Password}
		state = state.Claimed(claim, "").Failed(claim, Failure{Verdict: token.Unknown}, token.Secret{})
	}
	mustBe(t, "the newest are remembered", maxLost, len(state.Lost))
	mustBe(t, "the last one is awaited", true, state.Awaits(Claim{ID: string(rune('a' + 99))}))
	mustBe(t, "the first one is not", false, state.Awaits(Claim{ID: "a"}))
	login := loggingIn(token.Password)
	mustBe(t, "a new token ends all of them", 0, len(state.Granted(login, Obtained{}).Lost))
}

// TestErrorsHoldNoContent: the API server, or a webhook, may repeat in its message what it was sent. The rest of the message stays.
func TestErrorsHoldNoContent(t *testing.T) {
	const secret = "a-refresh-token-that-nobody-may-see"
	kind := schema.GroupKind{Kind: "Secret"}
	invalid := apierrors.NewInvalid(kind, first, field.ErrorList{field.Invalid(field.NewPath("data"), secret, "is not what "+secret+" should be")})
	for name, cause := range map[string]error{
		"invalid":         invalid,
		"denied":          apierrors.NewForbidden(secrets, first, errors.New("admission webhook said: "+secret)),
		"a bad request":   apierrors.NewBadRequest("cannot parse " + secret),
		"an internal one": apierrors.NewInternalError(errors.New(secret)),
		"the network's":   errors.New("write tcp: " + secret),
		"a conflict":      apierrors.NewConflict(secrets, first, errors.New(secret)),
	} {
		t.Run(name, func(t *testing.T) {
			a := newAPI(t)
			from := a.born(first)
			a.writes = []fault{{err: cause}}
			next := from.State
			next.Chain = &Chain{Refresh: token.NewSecret(secret)}
			_, err := a.store().Put(t.Context(), owner, from, next)
			if err == nil || strings.Contains(err.Error(), secret) || strings.Contains(kubeerror.Words(err), secret) {
				t.Errorf("the error holds what was sent")
			}
			if !errors.Is(err, cause) {
				t.Errorf("its cause is not to be found: %v", err)
			}
		})
	}
	a := newAPI(t)
	from := a.born(first)
	a.writes = []fault{{err: invalid}}
	next := from.State
	next.Chain = &Chain{Refresh: token.NewSecret(secret)}
	_, err := a.store().Put(t.Context(), owner, from, next)
	want := "state Secret " + first + " cannot be written: Invalid: data: Invalid value: \"[redacted]\": is not what [redacted] should be"
	mustBe(t, "which object, and why", want, err.Error())
}

// TestClaimEndsWithItsContext: while nobody answers whether the claim is there, nothing may be sent.
func TestClaimEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newAPI(t)
		from := a.born(first)
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		a.writes = []fault{{errReset, true}}
		for range 1000 {
			a.reads = append(a.reads, errBroken)
		}
		claimed, err := a.store().Claim(ctx, owner, from, from.Claimed(refreshing(1), ""))
		if err == nil || claimed != nil || errors.Is(err, ErrConflict) {
			t.Errorf("got %v, %v", claimed, err)
		}
	})
}
