package main

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/fluent-credential/operator/api/v1alpha1"
	"github.com/fluent-credential/operator/internal/custody"
)

// bareClient makes the writes of a rotation, in their order and of their size, and thinks nothing: no cache, no queue, no plan, no
// recovery. What the operator does beyond these writes is the difference between the two.
type bareClient struct {
	kubernetes client.Client
	http       *http.Client
	tokenURL   string
	idle       chan *bareCredential // those that nobody is working on
}

// bareCredential is a copy of the objects of one of the operator's credentials.
type bareCredential struct {
	key      types.NamespacedName
	state    types.NamespacedName
	workload *corev1.Secret
	status   v1alpha1.FluentCredentialStatus
	refresh  string
}

// newBareClient makes as many credentials for the bare client as the operator has.
func (b *bench) newBareClient(ctx context.Context) (*bareClient, error) {
	kubernetes, err := newClient(b.bareUser)
	if err != nil {
		return nil, err
	}
	made := b.emptyBareClient(kubernetes, b.options.credentials)
	return made, each(ctx, b.options.credentials, func(ctx context.Context, i int) error {
		copied, err := b.copyCredential(ctx, kubernetes, i)
		if err == nil {
			made.idle <- copied
		}
		return err
	})
}

func (b *bench) emptyBareClient(kubernetes client.Client, credentials int) *bareClient {
	return &bareClient{
		kubernetes: kubernetes, tokenURL: b.pressing.URL + "/oauth/token",
		// One connection for one request, like the operator: fewer would be another protocol.
		http: &http.Client{Transport: &http.Transport{DisableKeepAlives: true}},
		idle: make(chan *bareCredential, credentials),
	}
}

// copyCredential copies what the operator has made of a credential into the bare client's namespace.
func (b *bench) copyCredential(ctx context.Context, kubernetes client.Client, i int) (*bareCredential, error) {
	from := keyOf(operated, i)
	var cred v1alpha1.FluentCredential
	var state, workload corev1.Secret
	stateKey := types.NamespacedName{Namespace: from.Namespace, Name: custody.Names(from.Name)[0]}
	err := errors.Join(b.admin.Get(ctx, from, &cred), b.admin.Get(ctx, stateKey, &state),
		b.admin.Get(ctx, types.NamespacedName{Namespace: from.Namespace, Name: cred.TargetName()}, &workload))
	if err != nil {
		return nil, err
	}
	return b.copyObjects(ctx, kubernetes, keyOf(bare, i), &cred, &state, &workload)
}

// copyObjects makes the bare client's own out of a credential's objects.
func (b *bench) copyObjects(ctx context.Context, kubernetes client.Client, to types.NamespacedName,
	cred *v1alpha1.FluentCredential, state, workload *corev1.Secret,
) (copied *bareCredential, err error) {
	copied = &bareCredential{key: to, status: *cred.Status.DeepCopy(), workload: workload}
	copied.state = types.NamespacedName{Namespace: to.Namespace, Name: custody.Names(to.Name)[0]}
	state.ObjectMeta = metav1.ObjectMeta{
		Namespace: copied.state.Namespace, Name: copied.state.Name,
		Labels: state.Labels, Annotations: state.Annotations, Finalizers: state.Finalizers, OwnerReferences: state.OwnerReferences,
	}
	workload.ObjectMeta = metav1.ObjectMeta{
		Namespace: to.Namespace, Name: to.Name + "-token",
		Labels: workload.Labels, Annotations: workload.Annotations, OwnerReferences: workload.OwnerReferences,
	}
	if copied.refresh, err = b.pressing.Seed(ctx, bareName, clientID); err != nil {
		return nil, err
	}
	if err := b.admin.Create(ctx, newCredential(to, b.pressing.URL)); err != nil {
		return nil, err
	}
	if err := kubernetes.Create(ctx, state); err != nil {
		return nil, err
	}
	return copied, publish(ctx, kubernetes, copied.workload)
}

// work rotates one credential after the other until the context ends.
func (c *bareClient) work(ctx context.Context) error {
	return each(ctx, workers, func(ctx context.Context, _ int) error {
		for {
			select {
			case <-ctx.Done():
				return nil
			case next := <-c.idle:
				// What was begun is finished: a refresh token is spent by it.
				if err := c.rotate(context.WithoutCancel(ctx), next, func(string) {}); err != nil {
					return err
				}
				c.idle <- next
			}
		}
	})
}

// rotate is one rotation: read, claim, exchange, commit, publish, tell. Each step is announced when it is done.
func (c *bareClient) rotate(ctx context.Context, cred *bareCredential, done func(step string)) error {
	var state corev1.Secret
	if err := c.kubernetes.Get(ctx, cred.state, &state); err != nil {
		return err
	}
	done(stepRead)
	if err := c.store(ctx, &state); err != nil {
		return err
	}
	done(stepClaim)
	access, err := c.exchange(ctx, cred)
	if err != nil {
		return err
	}
	done(stepExchange)
	if err := c.store(ctx, &state); err != nil {
		return err
	}
	done(stepCommit)
	cred.status.Token.Serial++
	cred.workload.Annotations[v1alpha1.SerialAnnotation] = fmt.Sprint(cred.status.Token.Serial)
	cred.workload.Data[v1alpha1.AccessTokenKey] = []byte(access)
	cred.workload.Data[v1alpha1.AuthorizationKey] = []byte("Bearer " + access)
	if err := publish(ctx, c.kubernetes, cred.workload); err != nil {
		return err
	}
	done(stepPublish)
	err = c.tell(ctx, cred)
	done(stepStatus)
	return err
}

// store updates a state Secret with something of the same size.
func (c *bareClient) store(ctx context.Context, state *corev1.Secret) error {
	for key, value := range state.Data {
		state.Data[key] = noise(len(value))
	}
	state.ManagedFields = nil // the API server keeps them
	return c.kubernetes.Update(ctx, state)
}

// noise is text of a length, never the same.
func noise(length int) []byte {
	var text strings.Builder
	for text.Len() < length {
		text.WriteString(rand.Text())
	}
	return []byte(text.String()[:length])
}

// exchange spends the refresh token.
func (c *bareClient) exchange(ctx context.Context, cred *bareCredential) (access string, err error) {
	form := url.Values{
		"grant_type": {"refresh_token"}, "refresh_token": {cred.refresh}, "scope": {"api"},
		"client_id": {clientID}, "client_secret": {clientSecret},
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, c.tokenURL, strings.NewReader(form.Encode()))
	if err != nil {
		return "", err
	}
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	response, err := c.http.Do(request)
	if err != nil {
		return "", err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return "", fmt.Errorf("the token server answers HTTP %d", response.StatusCode)
	}
	var reply struct {
		AccessToken  string `json:"access_token"`
		RefreshToken string `json:"refresh_token"`
	}
	err = json.NewDecoder(response.Body).Decode(&reply)
	cred.refresh = reply.RefreshToken
	return reply.AccessToken, err
}

// publish replaces exactly the version of the workload Secret that was written last.
func publish(ctx context.Context, kubernetes client.Client, secret *corev1.Secret) error {
	if secret.ResourceVersion == "" {
		return kubernetes.Create(ctx, secret)
	}
	return kubernetes.Update(ctx, secret)
}

// tell replaces the status: another serial, other times, one more exchange in the history, all else as it was.
func (c *bareClient) tell(ctx context.Context, cred *bareCredential) error {
	now := metav1.Now()
	cred.status.Token.ObtainedTime, cred.status.Token.ExpirationTime = now, now
	cred.status.NextRefreshTime = &metav1.Time{Time: now.Add(time.Second)}
	history := append([]v1alpha1.ExchangeStatus{refreshedAt(now.Time)}, cred.status.History...)
	cred.status.History = history[:min(len(history), historyLength)]
	patch, err := json.Marshal([]map[string]any{{"op": "add", "path": "/status", "value": cred.status}})
	if err != nil {
		return err
	}
	told := &v1alpha1.FluentCredential{ObjectMeta: metav1.ObjectMeta{Namespace: cred.key.Namespace, Name: cred.key.Name}}
	return c.kubernetes.Status().Patch(ctx, told, client.RawPatch(types.JSONPatchType, patch))
}
