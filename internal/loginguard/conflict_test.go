package loginguard

import (
	"context"
	"testing"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/fluent-credential/operator/internal/token"
)

// conflicting answers every write with a conflict, and counts requests. If it moves, another writer changes the guard
// before each of its first writes.
type conflicting struct {
	requests int
	moves    int
}

func (c *conflicting) guard(t *testing.T) *Guard {
	t.Helper()
	refused := apierrors.NewConflict(schema.GroupResource{Resource: "secrets"}, "guard", nil)
	created := false
	api := fake.NewClientBuilder().WithInterceptorFuncs(interceptor.Funcs{
		Get: func(ctx context.Context, to client.WithWatch, key client.ObjectKey, into client.Object, opts ...client.GetOption) error {
			c.requests++
			return to.Get(ctx, key, into, opts...)
		},
		Create: func(ctx context.Context, to client.WithWatch, object client.Object, opts ...client.CreateOption) error {
			c.requests++
			if created {
				return refused
			}
			created = true
			return to.Create(ctx, object, opts...)
		},
		Update: func(ctx context.Context, to client.WithWatch, object client.Object, opts ...client.UpdateOption) error {
			c.requests++
			if c.moves == 0 {
				return refused
			}
			c.moves--
			var secret corev1.Secret
			if err := to.Get(ctx, client.ObjectKeyFromObject(object), &secret); err != nil {
				return err
			}
			secret.Labels["moved"] = string(rune('a' + c.moves))
			if err := to.Update(ctx, &secret); err != nil {
				return err
			}
			return to.Update(ctx, object, opts...)
		},
	}).Build()
	return &Guard{
		Reader: api, Writer: api, Namespace: "operator", Salt: func() string { return "salt" },
		HasLeft: func(context.Context, Use, Login) bool { return false },
	}
}

// TestAConflictOverAnUnchangedGuard: an API that answers every write with a conflict is not asked again and again
// without a pause. A race that is lost to another writer is.
func TestAConflictOverAnUnchangedGuard(t *testing.T) {
	for name, test := range map[string]struct {
		moves, most int
		why         string
	}{
		"no other writer":      {0, 12, "the conflict is an error of the write"},
		"another writes twice": {2, 24, "the third conflict is not one"},
	} {
		c := &conflicting{moves: test.moves}
		guard := c.guard(t)
		login := Login{Endpoint: "https://api.example/token", Username: "user", Password: token.NewSecret("a-password")}
		login.Use.Owner = Owner{Namespace: "shop", Name: "orders", UID: "1"}
		if _, err := guard.Reserve(t.Context(), login, "1", noon); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		c.requests = 0
		if _, err := guard.Reserve(t.Context(), login, "2", noon); !apierrors.IsConflict(err) {
			t.Errorf("%s: %v, want the conflict", name, err)
		}
		if c.requests > test.most {
			t.Errorf("%s: %d requests without a pause, want %d at most: %s", name, c.requests, test.most, test.why)
		}
	}
}
