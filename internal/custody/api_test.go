package custody

import (
	"context"
	"errors"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/fluent-credential/operator/api/v1alpha1"
	"github.com/fluent-credential/operator/internal/token"
)

var owner = Owner{Namespace: "shop", Name: "orders", UID: "uid-of-orders"}

// first and second are the names of the state Secret.
const first, second = "orders-fluent-state", "orders-fluent-state-2"

// api is a Kubernetes API of which a test says what goes wrong.
type api struct {
	client.Client
	t *testing.T
	// writes are what happens to the next writes, in their order; none: they work.
	writes []fault
	// reads are what the next reads fail with; nil: they work.
	reads []error
	// verbs are the writes that were tried.
	verbs []string
	// frozen are writes that are refused, because the Secret is immutable.
	frozen []string
}

// fault is what happens to one write.
type fault struct {
	err  error
	done bool // the write happens all the same: only its answer is lost
}

// What an API can say.
var (
	secrets    = schema.GroupResource{Resource: "secrets"}
	errReset   = errors.New("connection reset by peer")
	errBroken  = apierrors.NewInternalError(errors.New("etcd is away"))
	errInvalid = apierrors.NewInvalid(schema.GroupKind{Kind: "Secret"}, first, nil)
	errDenied  = apierrors.NewForbidden(secrets, first, errors.New("quota"))
	// errTerminating is how the API server refuses a new object in a namespace that is being deleted.
	errTerminating = func() error {
		denied := apierrors.NewForbidden(secrets, first, errors.New("the namespace is being terminated"))
		denied.ErrStatus.Details.Causes = []metav1.StatusCause{{Type: corev1.NamespaceTerminatingCause}}
		return denied
	}()
	errNoNamespace = apierrors.NewNotFound(schema.GroupResource{Resource: "namespaces"}, owner.Namespace)
)

// newAPI has the FluentCredential in it, and nothing else.
func newAPI(t *testing.T) *api {
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{corev1.AddToScheme, v1alpha1.AddToScheme} {
		if err := add(scheme); err != nil {
			t.Fatal(err)
		}
	}
	cred := &v1alpha1.FluentCredential{ObjectMeta: metav1.ObjectMeta{
		Namespace: owner.Namespace, Name: owner.Name, UID: owner.UID, Finalizers: []string{v1alpha1.ReleaseFinalizer},
	}}
	a := &api{t: t}
	a.Client = fake.NewClientBuilder().WithScheme(scheme).WithObjects(cred).WithInterceptorFuncs(interceptor.Funcs{
		Create: func(ctx context.Context, c client.WithWatch, o client.Object, opts ...client.CreateOption) error {
			return a.write("create "+o.GetName(), func() error { return c.Create(ctx, o, opts...) })
		},
		Update: func(ctx context.Context, c client.WithWatch, o client.Object, opts ...client.UpdateOption) error {
			return a.write("update "+o.GetName(), func() error { return c.Update(ctx, o, opts...) })
		},
		Patch: func(ctx context.Context, c client.WithWatch, o client.Object, patch client.Patch, opts ...client.PatchOption) error {
			return a.write("patch "+o.GetName(), func() error { return c.Patch(ctx, o, patch, opts...) })
		},
		Delete: func(ctx context.Context, c client.WithWatch, o client.Object, opts ...client.DeleteOption) error {
			return a.write("delete "+o.GetName(), func() error { return c.Delete(ctx, o, opts...) })
		},
		Get: func(ctx context.Context, c client.WithWatch, key client.ObjectKey, o client.Object, opts ...client.GetOption) error {
			if len(a.reads) > 0 {
				err := a.reads[0]
				if a.reads = a.reads[1:]; err != nil {
					return err
				}
			}
			return c.Get(ctx, key, o, opts...)
		},
	}).Build()
	return a
}

func (a *api) write(verb string, do func() error) error {
	a.verbs = append(a.verbs, verb)
	if slices.Contains(a.frozen, verb) {
		return errInvalid
	}
	var next fault
	if len(a.writes) > 0 {
		next, a.writes = a.writes[0], a.writes[1:]
	}
	if next.err == nil || next.done {
		if err := do(); err != nil {
			return err
		}
	}
	return next.err
}

func (a *api) store() *Store { return &Store{Reader: a, Writer: a} }

// behind does something to the API that no fault is for, and that is not recorded.
func (a *api) behind(do func(c client.Client) error) {
	a.t.Helper()
	writes, reads, verbs := a.writes, a.reads, a.verbs
	a.writes, a.reads = nil, nil
	if err := do(a.Client); err != nil {
		a.t.Fatal(err)
	}
	a.writes, a.reads, a.verbs = writes, reads, verbs
}

// open reads the state, whatever goes wrong for others.
func (a *api) open() (record *Record) {
	a.t.Helper()
	a.behind(func(client.Client) (err error) {
		record, err = a.store().Open(context.Background(), owner)
		return err
	})
	return record
}

// put stores a state, whatever goes wrong for others.
func (a *api) put(from *Record, next State) (record *Record) {
	a.t.Helper()
	a.behind(func(client.Client) (err error) {
		record, err = a.store().Put(context.Background(), owner, from, next)
		return err
	})
	return record
}

// edit changes a state Secret as a person does.
func (a *api) edit(name string, change func(*corev1.Secret)) {
	a.t.Helper()
	a.behind(func(c client.Client) error {
		var secret corev1.Secret
		if err := c.Get(context.Background(), client.ObjectKey{Namespace: owner.Namespace, Name: name}, &secret); err != nil {
			return err
		}
		change(&secret)
		return c.Update(context.Background(), &secret)
	})
}

// remove deletes a state Secret as a person does: our finalizer holds it.
func (a *api) remove(name string) {
	a.t.Helper()
	a.behind(func(c client.Client) error {
		return c.Delete(context.Background(), &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: owner.Namespace, Name: name}})
	})
}

// force removes a state Secret together with our finalizer.
func (a *api) force(name string) {
	a.t.Helper()
	a.edit(name, func(secret *corev1.Secret) { secret.Finalizers = []string{"example.com/last"} })
	a.remove(name)
	a.edit(name, func(secret *corev1.Secret) { secret.Finalizers = nil })
}

// vacate removes the FluentCredential, with all that holds it.
func (a *api) vacate() {
	a.t.Helper()
	a.behind(func(c client.Client) error {
		cred := &v1alpha1.FluentCredential{}
		if err := c.Get(context.Background(), client.ObjectKey{Namespace: owner.Namespace, Name: owner.Name}, cred); err != nil {
			return err
		}
		cred.Finalizers = nil
		return errors.Join(c.Update(context.Background(), cred), c.Delete(context.Background(), cred))
	})
}

// succeed puts another FluentCredential in its place.
func (a *api) succeed() {
	a.t.Helper()
	a.vacate()
	a.behind(func(c client.Client) error {
		return c.Create(context.Background(), &v1alpha1.FluentCredential{
			ObjectMeta: metav1.ObjectMeta{Namespace: owner.Namespace, Name: owner.Name, UID: "another"},
		})
	})
}

// secret is a state Secret as it is stored.
func (a *api) secret(name string) (found corev1.Secret) {
	a.t.Helper()
	a.behind(func(c client.Client) error {
		return c.Get(context.Background(), client.ObjectKey{Namespace: owner.Namespace, Name: name}, &found)
	})
	return found
}

// names are the state Secrets that exist.
func (a *api) names() []string {
	a.t.Helper()
	var names []string
	a.behind(func(c client.Client) error {
		var all corev1.SecretList
		if err := c.List(context.Background(), &all, client.InNamespace(owner.Namespace)); err != nil {
			return err
		}
		for _, secret := range all.Items {
			names = append(names, secret.Name)
		}
		return nil
	})
	slices.Sort(names)
	return names
}

// born stores the state of a credential with a refresh token, under the first or the second name.
func (a *api) born(name string) *Record {
	a.t.Helper()
	record := a.put(a.open(), chained(nil))
	if name == second {
		a.remove(first)
		a.behind(func(client.Client) error {
			_, err := a.store().Relocate(context.Background(), owner, a.open())
			return err
		})
		record = a.open()
	}
	return record
}

func mustBe(t *testing.T, what string, want, got any) {
	t.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%s (-want +got)\n%s", what, diff)
	}
}

// refreshOf is the stored refresh token.
func refreshOf(record *Record) string {
	if record.Chain == nil {
		return ""
	}
	return record.Chain.Refresh.Reveal()
}

// granting is the result of a claim that was granted: a new pair.
func granting(claim Claim) Result {
	return Result{Claim: claim, Wanted: State.Awaits, Apply: func(state State) State {
		return state.Granted(claim, Obtained{Token: Token{Access: token.NewSecret("access-2")}, Refresh: token.NewSecret("refresh-2")})
	}}
}

// refusing is the result of a claim whose refresh token was refused.
func refusing(claim Claim) Result {
	return Result{Claim: claim, Wanted: State.Holds, Apply: func(state State) State {
		return state.Failed(claim, Failure{Verdict: token.RefusedDead}, token.NewSecret(old))
	}}
}
