package custody

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/fluent-credential/operator/api/v1alpha1"
)

// way is from one name of the state Secret to the other.
type way struct{ from, to string }

var ways = []way{{first, second}, {second, first}}

func TestRelocate(t *testing.T) {
	for _, way := range ways {
		t.Run(way.from, func(t *testing.T) {
			a := newAPI(t)
			a.born(way.from)
			a.remove(way.from)
			a.verbs = nil
			moved, err := a.store().Relocate(t.Context(), owner, a.open())
			if err != nil {
				t.Fatal(err)
			}
			mustBe(t, "the order: say where it goes, copy, let go",
				[]string{"update " + way.from, "create " + way.to, "patch " + way.from}, a.verbs)
			mustBe(t, "only the copy is left", []string{way.to}, a.names())
			mustBe(t, "the refresh token", old, refreshOf(moved))
			mustBe(t, "the copy is not leaving", false, moved.Leaving)
			_, err = a.store().Put(t.Context(), owner, moved, moved.State)
			mustBe(t, "the copy can be written over", nil, err)
			mustBe(t, "and forgets where it came from", "", a.open().MovedFrom)
		})
	}
}

// TestRelocateStopsAnywhere stops a relocation before and after each of its writes: whoever comes next finishes it, nothing is
// lost, nothing is left over, and the next deletion is survived as well.
func TestRelocateStopsAnywhere(t *testing.T) {
	for _, way := range ways {
		for write := range 3 {
			for _, done := range []bool{false, true} {
				t.Run(fmt.Sprintf("%s/write %d/done %t", way.from, write+1, done), func(t *testing.T) {
					a := newAPI(t)
					a.born(way.from)
					a.remove(way.from)
					a.writes = append(make([]fault, write), fault{errReset, done})
					if _, err := a.store().Relocate(t.Context(), owner, a.open()); !errors.Is(err, errReset) {
						t.Fatalf("error %v", err)
					}
					found := settle(t, a)
					mustBe(t, "the refresh token", old, refreshOf(found))
					mustBe(t, "only the copy is left", []string{way.to}, a.names())

					a.put(found, found.State)
					a.remove(way.to)
					mustBe(t, "the refresh token after another deletion", old, refreshOf(settle(t, a)))
					mustBe(t, "and back again", []string{way.from}, a.names())
				})
			}
		}
	}
}

// freeze makes a Secret immutable, and from then on the API refuses what would change its content, as a real one does.
func (a *api) freeze(name string) {
	a.t.Helper()
	a.edit(name, func(secret *corev1.Secret) { secret.Immutable = ptr.To(true) })
	a.frozen = append(a.frozen, "update "+name)
}

// TestRelocateOutOfAnImmutableSecret stops before and after each write, with the Secret deleted and not: the truth is never written to two
// Secrets, nothing is lost, and nothing is left over.
func TestRelocateOutOfAnImmutableSecret(t *testing.T) {
	for _, way := range ways {
		for _, leaving := range []bool{false, true} {
			for write := range 4 {
				for _, done := range []bool{false, true} {
					t.Run(fmt.Sprintf("%s/leaving %t/write %d/done %t", way.from, leaving, write+1, done), func(t *testing.T) {
						synctest.Test(t, func(t *testing.T) {
							movesOutOfAnImmutableSecret(t, way, leaving, append(make([]fault, write), fault{errReset, done}))
						})
					})
				}
			}
		}
	}
}

func movesOutOfAnImmutableSecret(t *testing.T, way way, leaving bool, writes []fault) {
	t.Helper()
	a := newAPI(t)
	claim, from := refreshing(1), a.born(way.from)
	claimed := a.put(from, from.Claimed(claim, ""))
	a.freeze(way.from)
	if leaving {
		a.remove(way.from)
	}
	a.writes = writes
	_, _ = a.store().Relocate(t.Context(), owner, a.open())
	_, err := a.store().Commit(t.Context(), owner, claimed, granting(claim), func(error) {})
	found := settle(t, a)
	if err != nil {
		_, err = a.store().Commit(t.Context(), owner, claimed, granting(claim), func(error) {})
		found = a.open()
	}
	mustBe(t, "the reply is stored", nil, err)
	mustBe(t, "the refresh token", "refresh-2", refreshOf(found))
	mustBe(t, "only the copy is left", []string{way.to}, a.names())
}

func TestRelocateInItsCircumstances(t *testing.T) {
	tests := map[string]struct {
		why    string
		given  func(*api) *Record
		writes []fault
		err    error
		left   []string
		want   string // the refresh token
	}{
		"somebody edited it": {
			"nothing in it is worth a copy",
			func(a *api) *Record { a.born(first); damaged(a); a.remove(first); return a.open() }, nil, nil, nil, "",
		},
		"the namespace is going": {
			"there is no room for a copy, and a finalizer would hold the namespace for ever",
			func(a *api) *Record { a.born(first); a.remove(first); return a.open() }, []fault{{}, {err: errTerminating}}, nil, nil, "",
		},
		"the namespace is gone": {
			"there is no room for a copy",
			func(a *api) *Record { a.born(first); a.remove(first); return a.open() }, []fault{{}, {err: errNoNamespace}}, nil, nil, "",
		},
		"another process wrote to it": {
			"its result must not be overwritten by what was read before it",
			func(a *api) *Record {
				claim, from := refreshing(1), a.born(first)
				claimed := a.put(from, from.Claimed(claim, ""))
				a.remove(first)
				stale := a.open()
				a.behind(func(client.Client) error {
					_, err := a.store().Commit(context.Background(), owner, claimed, granting(claim), func(error) {})
					return err
				})
				return stale
			},
			nil, ErrConflict, []string{second}, "refresh-2",
		},
		"another process relocates it": {
			"one of them makes the copy, and the other finds it",
			func(a *api) *Record {
				a.born(first)
				announced(a)
				stale := a.open()
				settle(a.t, a)
				return stale
			},
			nil, ErrConflict, []string{second}, old,
		},
		"a process stores a result between the first two steps": {
			"the result is in the copy, and the copy is what counts",
			func(a *api) *Record {
				claim, from := refreshing(1), a.born(first)
				claimed := a.put(from, from.Claimed(claim, ""))
				announced(a)
				stale := a.open()
				a.behind(func(client.Client) error {
					_, err := a.store().Commit(context.Background(), owner, claimed, granting(claim), func(error) {})
					return err
				})
				return stale
			},
			nil, ErrConflict, []string{second}, "refresh-2",
		},
		"somebody touches the old one at the end": {
			"the copy is there; the old one is let go by the next pass",
			func(a *api) *Record {
				a.born(first)
				a.remove(first)
				return a.open()
			},
			[]fault{{}, {}, {err: errBroken}}, errBroken, []string{second}, old,
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			a := newAPI(t)
			from := test.given(a)
			a.writes = test.writes
			if _, err := a.store().Relocate(t.Context(), owner, from); !errors.Is(err, test.err) || test.err == nil && err != nil {
				t.Fatalf("error %v, want %v: %s", err, test.err, test.why)
			}
			found := settle(t, a)
			mustBe(t, test.why, test.want, refreshOf(found))
			mustBe(t, "the Secrets", test.left, a.names())
		})
	}
}

// TestALeftoverIsLetGoAsSoonAsPossible: until it is, the state is not said to be known.
func TestALeftoverIsLetGoAsSoonAsPossible(t *testing.T) {
	a := newAPI(t)
	a.born(second)
	a.remove(second)
	a.writes = []fault{{}, {}, {err: errReset}, {err: errBroken}}
	if _, err := a.store().Relocate(t.Context(), owner, a.open()); !errors.Is(err, errReset) {
		t.Fatalf("error %v", err)
	}
	if _, err := a.store().Open(t.Context(), owner); !errors.Is(err, errBroken) {
		t.Errorf("the leftover cannot be let go, and the error is %v", err)
	}
	found, err := a.store().Open(t.Context(), owner)
	if err != nil {
		t.Fatal(err)
	}
	mustBe(t, "it is known to be gone", "", found.MovedFrom)
	mustBe(t, "and it is", []string{first}, a.names())
}

// TestAForeignSecretUnderTheFormerName: after a relocation the former name is anybody's.
func TestAForeignSecretUnderTheFormerName(t *testing.T) {
	a := newAPI(t)
	a.born(second)
	a.remove(second)
	settle(t, a)
	a.behind(func(c client.Client) error {
		foreign := &corev1.Secret{}
		foreign.Namespace, foreign.Name = owner.Namespace, second
		return c.Create(context.Background(), foreign)
	})
	mustBe(t, "the state is read all the same", old, refreshOf(settle(t, a)))
	mustBe(t, "and the foreign Secret is left alone", []string{first, second}, a.names())
}

// TestCopyThatCameTooLate: a process that was held up wrote it after the truth had gone on under its first name.
func TestCopyThatCameTooLate(t *testing.T) {
	a := newAPI(t)
	record := a.born(first)
	later := record.State
	later.Serial += 2
	current := a.put(record, later)
	a.behind(func(client.Client) error {
		_, err := a.store().create(t.Context(), owner, second, record.State)
		return err
	})
	if found := a.open(); found.Serial != current.Serial {
		t.Fatalf("serial %d is taken for the truth, want %d", found.Serial, current.Serial)
	}
	a.remove(first)
	if found := settle(t, a); found.Serial != current.Serial {
		t.Errorf("after the first name went, serial %d, want %d", found.Serial, current.Serial)
	}
	mustBe(t, "the Secrets", []string{second}, a.names())
}

// TestAStatePointsToNoOtherCredential: who may write Secrets and not read them could let the operator present another
// credential's refresh token, or remove its state.
func TestAStatePointsToNoOtherCredential(t *testing.T) {
	other := Owner{Namespace: owner.Namespace, Name: "invoices", UID: "uid-of-invoices"}
	theirs := Names(other.Name)[0]
	for name, forged := range map[string]State{
		"to":   {Salt: salt, Serial: 1, MovedTo: theirs},
		"from": {Salt: salt, Serial: 1, MovedFrom: theirs},
	} {
		t.Run(name, func(t *testing.T) {
			a := newAPI(t)
			a.behind(func(c client.Client) error {
				cred := &v1alpha1.FluentCredential{ObjectMeta: metav1.ObjectMeta{
					Namespace: other.Namespace, Name: other.Name, UID: other.UID,
				}}
				if err := c.Create(context.Background(), cred); err != nil {
					return err
				}
				_, err := a.store().Put(context.Background(), other, &Record{}, chained(nil))
				return err
			})
			a.edit(theirs, func(s *corev1.Secret) { s.Immutable = ptr.To(true) })
			a.born(first)
			a.edit(first, func(s *corev1.Secret) { s.Data = encoded(t, forged) })
			found := a.open()
			mustBe(t, "the refresh token of another credential", "", refreshOf(found))
			a.put(found, found.State)
			mustBe(t, "nothing of the other one is removed", []string{theirs, first}, a.names())
		})
	}
}

// TestAnOlderStateThatIsBeingDeletedMakesRoom: a backup was written over a state while it was being deleted, so it does
// not say where the state moved to. Then the Secret that the state moved to is deleted, too.
func TestAnOlderStateThatIsBeingDeletedMakesRoom(t *testing.T) {
	a := newAPI(t)
	a.plant(first, ageing(3))
	a.plant(second, ageing(5))
	a.remove(first)
	newest, err := a.store().Newest(t.Context(), owner, a.open())
	mustBe(t, "error", nil, err)
	mustBe(t, "the newest", "refresh-5", refreshOf(newest))
	mustBe(t, "the Secrets", []string{second}, a.names())
	a.remove(second)
	mustBe(t, "the state", "refresh-5", refreshOf(settle(t, a)))
	mustBe(t, "the Secrets", []string{first}, a.names())
}
