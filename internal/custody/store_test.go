package custody

import (
	"context"
	"errors"
	"testing"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/fluent-credential/operator/api/v1alpha1"
	"github.com/fluent-credential/operator/internal/kubeerror"
	"github.com/fluent-credential/operator/internal/token"
)

func TestOpen(t *testing.T) {
	plant := func(secretType corev1.SecretType, data map[string][]byte) func(*api) {
		return func(a *api) {
			a.behind(func(c client.Client) error {
				return c.Create(context.Background(), &corev1.Secret{
					ObjectMeta: metav1.ObjectMeta{Namespace: owner.Namespace, Name: first}, Type: secretType, Data: data,
				})
			})
		}
	}
	born := func(a *api) { a.born(first) }
	tests := map[string]struct {
		why   string
		given func(*api)
		check func(*Record) bool
		err   error
	}{
		"nothing": {
			"the first Put creates it, with a salt of its own", func(*api) {},
			func(r *Record) bool { return !r.Exists() && r.Salt != "" && r.Serial == 0 && r.Chain == nil }, nil,
		},
		"a state": {"as it was stored", born, func(r *Record) bool {
			return r.Exists() && refreshOf(r) == old && r.Serial == 1 && !r.Leaving && !r.Damaged
		}, nil},
		"a state that somebody deleted": {"only our finalizer holds it", func(a *api) { born(a); a.remove(first) }, func(r *Record) bool {
			return refreshOf(r) == old && r.Leaving
		}, nil},
		"a state that somebody edited": {
			"its tokens are not to be trusted; the serial still counts",
			func(a *api) {
				born(a)
				a.edit(first, func(s *corev1.Secret) { s.Data[documentKey] = append(s.Data[documentKey], ' ') })
			},
			func(r *Record) bool {
				return r.Damaged && r.Exists() && r.Chain == nil && r.Token == nil && r.Serial == 1 && r.Salt == salt
			}, nil,
		},
		"a state that somebody emptied": {
			"a new salt, because there is none", func(a *api) { born(a); a.edit(first, func(s *corev1.Secret) { s.Data = nil }) },
			func(r *Record) bool { return r.Damaged && r.Exists() && r.Salt != "" && r.Serial == 0 }, nil,
		},
		"a state out of a backup": {
			"it belongs to a former object of that name, so its refresh token may be old",
			func(a *api) { born(a); a.edit(first, func(s *corev1.Secret) { s.OwnerReferences[0].UID = "former" }) },
			func(r *Record) bool { return r.Chain.Presented == 1 && refreshOf(r) == old }, nil,
		},
		"another's state": {
			"the cache that shows this object is behind: what has its name now has a state of its own",
			func(a *api) {
				born(a)
				a.edit(first, func(s *corev1.Secret) { s.OwnerReferences[0].UID = "another" })
				a.succeed()
			}, nil, ErrGone,
		},
		"a state that outlived its object": {
			"nobody is left to let it go", func(a *api) {
				born(a)
				a.edit(first, func(s *corev1.Secret) { s.OwnerReferences[0].UID = "former" })
				a.vacate()
			}, nil, ErrGone,
		},
		"a foreign Secret": {
			"it is left alone", plant(corev1.SecretTypeOpaque, map[string][]byte{"password": []byte("theirs")}), nil, ErrForeign,
		},
		"a newer version": {
			"a rollback of the operator must not write back what it does not understand",
			plant(v1alpha1.StateSecretType, map[string][]byte{documentKey: []byte(`{"version":2}`)}), nil, ErrNewer,
		},
		"no answer": {"nothing is known, and nothing is assumed", func(a *api) { a.reads = []error{errReset} }, nil, errReset},
		"no second answer": {
			"that the first name is free says nothing about the second", func(a *api) { a.reads = []error{nil, errReset} }, nil, errReset,
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			a := newAPI(t)
			test.given(a)
			record, err := a.store().Open(t.Context(), owner)
			if !errors.Is(err, test.err) || test.err == nil && err != nil {
				t.Fatalf("error %v, want %v: %s", err, test.err, test.why)
			}
			if test.check != nil && !test.check(record) {
				t.Errorf("got %+v: %s", record, test.why)
			}
			mustBe(t, "reading writes nothing", []string(nil), a.verbs)
		})
	}
}

func TestPut(t *testing.T) {
	tests := map[string]struct {
		why   string
		given func(*api) *Record
		fault fault
		err   error
		want  string // the refresh token that is stored then
	}{
		"the first":   {"it is created", func(a *api) *Record { return a.open() }, fault{}, nil, "new"},
		"a later one": {"exactly the version that was read is replaced", func(a *api) *Record { return a.born(first) }, fault{}, nil, "new"},
		"the first, and another was first": {
			"two processes began at once", func(a *api) *Record { r := a.open(); a.born(first); return r }, fault{}, ErrConflict, old,
		},
		"a later one, and another was first": {
			"the compare-and-swap is the fence",
			func(a *api) *Record { r := a.born(first); a.put(a.open(), chained(nil)); return r }, fault{}, ErrConflict, old,
		},
		"somebody removed it": {
			"what was read is not there any more", func(a *api) *Record { r := a.born(first); a.force(first); return r }, fault{}, ErrConflict, "",
		},
		"an edited one": {
			"whatever somebody did to it is replaced",
			func(a *api) *Record {
				a.born(first)
				a.edit(first, func(s *corev1.Secret) { s.Data = map[string][]byte{"x": nil}; s.Labels, s.OwnerReferences = nil, nil })
				return a.open()
			},
			fault{}, nil, "new",
		},
		"a namespace that is going": {
			"no conflict: there is nothing to read again", func(a *api) *Record { return a.open() }, fault{err: errTerminating}, errTerminating, "",
		},
		"a namespace that is gone": {
			"no conflict: there is nothing to read again", func(a *api) *Record { return a.open() }, fault{err: errNoNamespace}, errNoNamespace, "",
		},
		"a lost answer": {"the write may have happened", func(a *api) *Record { return a.born(first) }, fault{errReset, true}, errReset, "new"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			a := newAPI(t)
			from := test.given(a)
			a.writes = []fault{test.fault}
			next := from.State
			next.Chain = &Chain{Refresh: token.NewSecret("new")}
			written, err := a.store().Put(t.Context(), owner, from, next)
			if !errors.Is(err, test.err) || test.err == nil && err != nil {
				t.Fatalf("error %v, want %v: %s", err, test.err, test.why)
			}
			if errors.Is(test.err, errTerminating) && !kubeerror.IsTerminating(err) {
				t.Errorf("it is not seen that the namespace is going: %v", err)
			}
			found := a.open()
			mustBe(t, test.why, test.want, refreshOf(found))
			if err == nil {
				mustBe(t, "the record can be written over", "", errorOf(a.store().Put(t.Context(), owner, written, next)))
				mustBe(t, "it is whole, ours and alone", [2]bool{}, [2]bool{found.Damaged, found.Leaving})
			}
		})
	}
}

func errorOf(_ *Record, err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

func TestAClaimIsThereOrNothingMayBeSent(t *testing.T) {
	mine, other := refreshing(1), Claim{ID: "other", Grant: token.RefreshToken}
	theirs := func(a *api) { found := a.open(); a.put(found, found.Claimed(other, "")) }
	tests := map[string]struct {
		why       string
		meanwhile func(*api)
		write     fault
		reads     []error
		conflict  bool
		err       bool
		stored    string // the claim that is stored then
	}{
		"at once":             {"the ordinary case", nil, fault{}, nil, false, false, mine.ID},
		"another was first":   {"everything is dropped", theirs, fault{}, nil, true, true, other.ID},
		"the answer is lost":  {"a live read shows it", nil, fault{errReset, true}, nil, false, false, mine.ID},
		"a time-out, written": {"a live read shows it", nil, fault{apierrors.NewTimeoutError("etcd", 1), true}, nil, false, false, mine.ID},
		"a failure, written":  {"a live read shows it", nil, fault{errBroken, true}, nil, false, false, mine.ID},
		"nothing was written": {"a live read shows it: nothing may be sent, and nobody was first", nil, fault{err: errReset}, nil, false, true, ""},
		"nothing was written, and another was": {
			"a live read shows it: nothing may be sent", theirs, fault{err: errReset}, nil, true, true, other.ID,
		},
		"denied":                    {"the API server says that nothing was written", nil, fault{err: errDenied}, nil, false, true, ""},
		"too many":                  {"the API server says that nothing was written", nil, fault{err: apierrors.NewTooManyRequests("busy", 1)}, nil, false, true, ""},
		"invalid":                   {"the API server says that nothing was written", nil, fault{err: errInvalid}, nil, false, true, ""},
		"a bad request":             {"the API server says that nothing was written", nil, fault{err: apierrors.NewBadRequest("no JSON")}, nil, false, true, ""},
		"a namespace that is going": {"the API server says that nothing was written", nil, fault{err: errTerminating}, nil, false, true, ""},
		"the answer is lost, and no answer after it": {
			"it is read until it is answered", nil, fault{errReset, true}, []error{errReset, errReset}, false, false, mine.ID,
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			a := newAPI(t)
			from := a.born(first)
			if test.meanwhile != nil {
				test.meanwhile(a)
			}
			a.writes, a.reads = []fault{test.write}, test.reads
			claimed, err := a.store().Claim(t.Context(), owner, from, from.Claimed(mine, ""))
			if (err != nil) != test.err || errors.Is(err, ErrConflict) != test.conflict || (claimed == nil) != test.err {
				t.Fatalf("got %v, %v: %s", claimed, err, test.why)
			}
			stored := ""
			if found := a.open(); found.Claim != nil {
				stored = found.Claim.ID
			}
			mustBe(t, test.why, test.stored, stored)
			if err == nil {
				_, err := a.store().Put(t.Context(), owner, claimed, claimed.State)
				mustBe(t, "the result can be written over the claim", nil, err)
			}
		})
	}
}

func TestRelease(t *testing.T) {
	foreign := func(a *api) {
		a.behind(func(c client.Client) error {
			return c.Create(context.Background(), &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: owner.Namespace, Name: second}})
		})
	}
	tests := map[string]struct {
		why   string
		given func(*api)
		write fault
		err   bool
		left  []string
	}{
		"a state":       {"it goes, finalizer and all", func(a *api) { a.born(first) }, fault{}, false, nil},
		"a moved state": {"it goes", func(a *api) { a.born(second) }, fault{}, false, nil},
		"a deleted one": {"somebody began it", func(a *api) { a.born(first); a.remove(first) }, fault{}, false, nil},
		"none":          {"there is nothing to do", func(*api) {}, fault{}, false, nil},
		"a foreign one": {"it is not ours to delete", foreign, fault{}, false, []string{second}},
		"both": {
			"a relocation was under way",
			func(a *api) {
				a.born(first)
				a.remove(first)
				a.writes = []fault{{}, {}, {err: errReset}}
				_, _ = a.store().Relocate(t.Context(), owner, a.open())
			},
			fault{}, false, nil,
		},
		"the API breaks":         {"it is tried again", func(a *api) { a.born(first) }, fault{err: errBroken}, true, nil},
		"an answer is lost":      {"it is tried again", func(a *api) { a.born(first) }, fault{errReset, true}, true, nil},
		"the finalizer is stuck": {"it is tried again", func(a *api) { a.born(first); a.writes = []fault{{}, {err: errBroken}} }, fault{}, true, nil},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			a := newAPI(t)
			test.given(a)
			a.writes = append(a.writes, test.write)
			seen, _ := a.store().Open(t.Context(), owner)
			err := a.store().Release(t.Context(), owner, seen)
			if (err != nil) != test.err {
				t.Fatalf("error %v: %s", err, test.why)
			}
			a.writes = nil
			seen, _ = a.store().Open(t.Context(), owner)
			if again := a.store().Release(t.Context(), owner, seen); again != nil {
				t.Errorf("made again: %v", again)
			}
			mustBe(t, test.why, test.left, a.names())
		})
	}
}

func TestReleaseOfWhatOthersAreAtWorkOn(t *testing.T) {
	tests := map[string]struct {
		why   string
		after func(a *api, seen *Record) // it was seen
		want  error
	}{
		"a claim": {"its reply needs a place: the deletion looks again", func(a *api, seen *Record) {
			_, err := a.store().Put(t.Context(), owner, seen, seen.Claimed(Claim{ID: "1"}, ""))
			mustBe(t, "claimed", nil, err)
		}, ErrConflict},
		"a new object": {"its state is not the old one's to delete", func(a *api, seen *Record) {
			reborn := owner
			reborn.UID = "reborn"
			_, err := a.store().Put(t.Context(), reborn, seen, seen.State)
			mustBe(t, "written by the new object", nil, err)
			a.behind(func(c client.Client) error {
				cred := &v1alpha1.FluentCredential{}
				if err := c.Get(t.Context(), client.ObjectKey{Namespace: owner.Namespace, Name: owner.Name}, cred); err != nil {
					return err
				}
				if err := c.Delete(t.Context(), cred); err != nil {
					return err
				}
				let := client.RawPatch(types.MergePatchType, []byte(`{"metadata":{"finalizers":null}}`))
				if err := c.Patch(t.Context(), cred, let); err != nil {
					return err
				}
				return c.Create(t.Context(), &v1alpha1.FluentCredential{
					ObjectMeta: metav1.ObjectMeta{Namespace: owner.Namespace, Name: owner.Name, UID: reborn.UID}})
			})
		}, nil},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			a := newAPI(t)
			a.born(first)
			seen := a.open()
			test.after(a, seen)
			if err := a.store().Release(t.Context(), owner, seen); !errors.Is(err, test.want) {
				t.Errorf("error %v, want %v: %s", err, test.want, test.why)
			}
			mustBe(t, test.why, []string{first}, a.names())
		})
	}
}

func TestFirstWriteForAnOwnerThatIsGone(t *testing.T) {
	a := newAPI(t)
	store := a.store()
	record, err := store.Open(t.Context(), owner)
	if err != nil {
		t.Fatal(err)
	}
	a.behind(func(c client.Client) error {
		cred := &v1alpha1.FluentCredential{ObjectMeta: metav1.ObjectMeta{Namespace: owner.Namespace, Name: owner.Name}}
		return c.Delete(t.Context(), cred)
	})
	if _, err := store.Put(t.Context(), owner, record, record.State); !errors.Is(err, ErrGone) {
		t.Errorf("%v, want ErrGone: a cache can show an owner that was released, and nobody would remove its state", err)
	}
}

// TestFirstWriteThatCameTooLate: the state was made and moved to its other name between this process's looks and its write.
func TestFirstWriteThatCameTooLate(t *testing.T) {
	a := newAPI(t)
	claim := seeding(token.RefreshToken)
	late := &lateWriter{api: a, before: func() {
		record := a.born(first)
		a.put(record, record.Claimed(claim, ""))
		a.remove(first)
		settle(t, a)
	}}
	store := &Store{Reader: a, Writer: late}
	record, err := store.Open(t.Context(), owner)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := store.Put(t.Context(), owner, record, State{Salt: salt}.Claimed(loggingIn(token.Password), "")); !errors.Is(err, ErrConflict) {
		t.Errorf("%v, want ErrConflict: nothing may be sent for this claim", err)
	}
	if found := a.open(); found.Claim == nil || found.Claim.Grant != claim.Grant {
		t.Errorf("the truth is %+v, want the state that had moved", found.State)
	}
	mustBe(t, "the Secrets", []string{second}, a.names())
}

// lateWriter lets something happen right before its first write.
type lateWriter struct {
	*api
	before func()
}

func (l *lateWriter) Create(ctx context.Context, object client.Object, options ...client.CreateOption) error {
	if before := l.before; before != nil {
		l.before = nil
		before()
	}
	return l.api.Create(ctx, object, options...)
}
