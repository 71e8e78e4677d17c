package main

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/fluent-credential/operator/api/v1alpha1"
)

// The users that are measured: names of client certificates, by which the API server tells them apart.
const (
	operatorName = "fluent-credential-operator"
	bareName     = "bare-client"
)

const (
	clientID, clientSecret, password = "bench", "bench-client-secret", "bench-password"

	namespaces = 5
	workers    = 16 // as the operator's --max-concurrent-exchanges has it
)

// userName is the user of one credential: no two log in alike.
func userName(i int) string { return fmt.Sprintf("user-%04d", i) }

// keyOf is the FluentCredential with a number, in the operator's namespaces or in the bare client's.
func keyOf(prefix string, i int) types.NamespacedName {
	return types.NamespacedName{Namespace: namespaceName(prefix, i), Name: fmt.Sprintf("cred-%04d", i)}
}

func namespaceName(prefix string, i int) string { return fmt.Sprintf("%s-%d", prefix, i%namespaces) }

const (
	operated = "bench" // prefix of the namespaces that the operator works in
	bare     = "bare"  // of those that the bare client works in
)

// operatedNamespaces are the operator's, as a comma list.
func operatedNamespaces() string {
	list := namespaceName(operated, 0)
	for i := 1; i < namespaces; i++ {
		list += "," + namespaceName(operated, i)
	}
	return list
}

func (b *bench) createNamespaces(ctx context.Context) error {
	for i := range namespaces {
		for _, prefix := range []string{operated, bare} {
			namespace := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: namespaceName(prefix, i)}}
			if err := b.admin.Create(ctx, namespace); err != nil {
				return err
			}
		}
	}
	return nil
}

// createCredential creates a login and the FluentCredential that uses it.
func (b *bench) createCredential(ctx context.Context, i int) error {
	key := keyOf(operated, i)
	login := newLogin(key)
	login.StringData[v1alpha1.UsernameKey] = userName(i)
	if err := b.admin.Create(ctx, login); err != nil {
		return err
	}
	return b.admin.Create(ctx, newCredential(key, b.restful.URL))
}

// newLogin is the credentials Secret of the first user.
func newLogin(key types.NamespacedName) *corev1.Secret {
	return &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Namespace: key.Namespace, Name: key.Name + "-login"},
		StringData: map[string]string{
			v1alpha1.UsernameKey: userName(0), v1alpha1.PasswordKey: password,
			v1alpha1.ClientIDKey: clientID, v1alpha1.ClientSecretKey: clientSecret,
		},
	}
}

func newCredential(key types.NamespacedName, baseURL string) *v1alpha1.FluentCredential {
	return &v1alpha1.FluentCredential{
		ObjectMeta: metav1.ObjectMeta{Namespace: key.Namespace, Name: key.Name},
		Spec: v1alpha1.FluentCredentialSpec{
			Provider:             v1alpha1.ProviderSpec{Fluent: &v1alpha1.FluentProvider{BaseURL: v1alpha1.BaseURL(baseURL)}},
			CredentialsSecretRef: v1alpha1.CredentialsSecretReference{Name: key.Name + "-login"},
			Scope:                "api",
			Target:               v1alpha1.TargetSpec{Name: key.Name + "-token"},
		},
	}
}

// move sends a credential to another server, where it logs in anew.
func (b *bench) move(ctx context.Context, i int, baseURL string) error {
	cred := &v1alpha1.FluentCredential{ObjectMeta: metav1.ObjectMeta{Namespace: keyOf(operated, i).Namespace, Name: keyOf(operated, i).Name}}
	patch := fmt.Appendf(nil, `{"spec":{"provider":{"fluent":{"baseURL":%q}}}}`, baseURL)
	return b.admin.Patch(ctx, cred, client.RawPatch(types.MergePatchType, patch))
}

// movePaced moves all credentials one after another, so many a second: spread like that their refreshes will come.
func (b *bench) movePaced(ctx context.Context, baseURL string, rate int) error {
	ticker := time.NewTicker(time.Second / time.Duration(rate))
	defer ticker.Stop()
	for i := range b.options.credentials {
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return ctx.Err()
		case <-b.operator.Done():
			return b.operator.Ended()
		}
		if err := b.move(ctx, i, baseURL); err != nil {
			return err
		}
	}
	return nil
}

// each does something for every number, several at a time, until one fails.
func each(ctx context.Context, count int, do func(ctx context.Context, i int) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var next atomic.Int64
	var group sync.WaitGroup
	for range workers {
		group.Go(func() {
			for i := int(next.Add(1)) - 1; i < count && ctx.Err() == nil; i = int(next.Add(1)) - 1 {
				if err := do(ctx, i); err != nil {
					cancel(err)
				}
			}
		})
	}
	group.Wait()
	return context.Cause(ctx)
}
