package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/fluent-credential/operator/api/v1alpha1"
	"github.com/fluent-credential/operator/hack/localcluster"
	"github.com/fluent-credential/operator/internal/custody"
	"github.com/fluent-credential/operator/internal/token"
)

// mold is a credential that the operator has made ready, of which many more are cast: ten thousand logins, one after the other,
// would take longer than all that is measured.
type mold struct {
	server          *localcluster.Authsim
	users           int // that the server knows
	cred            v1alpha1.FluentCredential
	state, login    corev1.Secret
	guard, workload corev1.Secret
	http            http.Client
}

// makeMold lets the operator make one credential ready, and stops it.
func (b *bench) makeMold(ctx context.Context, server *localcluster.Authsim, users int) (*mold, error) {
	m := &mold{server: server, users: users, http: http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: workers}}}
	key := types.NamespacedName{Namespace: namespaceName(bare, 0), Name: "mold"}
	m.login = *newLogin(key)
	if err := b.admin.Create(ctx, m.login.DeepCopy()); err != nil {
		return nil, err
	}
	if err := b.admin.Create(ctx, newCredential(key, server.URL)); err != nil {
		return nil, err
	}
	if err := b.startOperator(ctx); err != nil {
		return nil, err
	}
	if err := b.untilReadyAre(ctx, 1); err != nil {
		return nil, err
	}
	if err := b.untilQuiet(ctx); err != nil {
		return nil, err
	}
	if err := b.operator.Stop(); err != nil {
		return nil, err
	}
	return m, m.read(ctx, b, key)
}

// read takes the impression.
func (m *mold) read(ctx context.Context, b *bench, key types.NamespacedName) error {
	if err := b.admin.Get(ctx, key, &m.cred); err != nil {
		return err
	}
	m.cred.Status.History = oldHistory()
	for name, into := range map[string]*corev1.Secret{custody.Names(key.Name)[0]: &m.state, m.cred.TargetName(): &m.workload} {
		if err := b.admin.Get(ctx, types.NamespacedName{Namespace: key.Namespace, Name: name}, into); err != nil {
			return err
		}
	}
	var guards corev1.SecretList
	if err := b.admin.List(ctx, &guards, client.InNamespace(localcluster.OperatorNamespace)); err != nil {
		return err
	}
	for i := range guards.Items {
		if strings.HasPrefix(guards.Items[i].Name, "fluent-credential-login-") {
			m.guard = guards.Items[i]
		}
	}
	return nil
}

// span is the life of a token that is cast.
type span struct{ obtained, refresh, expires time.Time }

// cast makes one more credential, as if the operator had made it ready: it owns a refresh token that the server knows.
func (m *mold) cast(ctx context.Context, b *bench, i int, life span) error {
	cred, err := m.castBody(ctx, b, i)
	if err != nil {
		return err
	}
	return m.castState(ctx, b, cred, i, life)
}

// castBody makes everything but the state.
func (m *mold) castBody(ctx context.Context, b *bench, i int) (*v1alpha1.FluentCredential, error) {
	key := keyOf(operated, i)
	cred := newCredential(key, m.server.URL)
	cred.Finalizers = m.cred.Finalizers
	guard := &corev1.Secret{Type: m.guard.Type, Data: m.guard.Data, ObjectMeta: metav1.ObjectMeta{
		Namespace: localcluster.OperatorNamespace, Name: fmt.Sprintf("%s-%05d", m.guard.Name, i), Labels: m.guard.Labels,
	}}
	for _, object := range []client.Object{newLogin(key), cred, guard} {
		if err := b.admin.Create(ctx, object); err != nil {
			return nil, err
		}
	}
	cred.Status.History = slices.Clone(m.cred.Status.History)
	return cred, b.admin.Status().Update(ctx, cred)
}

// historyLength is how many exchanges a status tells of after as many rotations.
const historyLength = 10

// oldHistory is that of a credential which has been at work for long: its status is as large as it gets on good days.
func oldHistory() []v1alpha1.ExchangeStatus {
	history := make([]v1alpha1.ExchangeStatus, historyLength)
	for i := range history {
		history[i] = refreshedAt(time.Now().Add(-time.Duration(i+2) * time.Hour))
	}
	return history
}

// refreshedAt tells of a refresh.
func refreshedAt(when time.Time) v1alpha1.ExchangeStatus {
	return v1alpha1.ExchangeStatus{
		Time: metav1.NewTime(when), Grant: string(token.RefreshToken), Verdict: string(token.Granted), Serial: 1,
		Duration: &metav1.Duration{Duration: 2 * time.Millisecond},
	}
}

// castState makes the state, whose times run from then on.
func (m *mold) castState(ctx context.Context, b *bench, cred *v1alpha1.FluentCredential, i int, life span) error {
	state, err := m.stateOf(ctx, cred, i, life)
	if err != nil {
		return err
	}
	return b.admin.Create(ctx, state)
}

// stateOf is the mold's state with another owner, another refresh token and other times.
func (m *mold) stateOf(ctx context.Context, cred *v1alpha1.FluentCredential, i int, life span) (*corev1.Secret, error) {
	refresh, err := m.seed(ctx, userName(i%m.users))
	if err != nil {
		return nil, err
	}
	state := &corev1.Secret{Type: m.state.Type}
	state.Data, err = recast(m.state.Data, refresh, life)
	state.ObjectMeta = metav1.ObjectMeta{
		Namespace: cred.Namespace, Name: custody.Names(cred.Name)[0], Finalizers: m.state.Finalizers,
		Labels:          map[string]string{v1alpha1.ManagedByLabel: v1alpha1.OperatorName, v1alpha1.CredentialLabel: string(cred.UID)},
		Annotations:     map[string]string{v1alpha1.CredentialAnnotation: cred.Name},
		OwnerReferences: []metav1.OwnerReference{*metav1.NewControllerRef(cred, v1alpha1.GroupVersion.WithKind("FluentCredential"))},
	}
	return state, err
}

// seed is a refresh token of a user. One connection serves many: tens of thousands would use up the ports.
func (m *mold) seed(ctx context.Context, user string) (string, error) {
	target := m.server.URL + "/users/" + url.PathEscape(user) + "/refresh-token?client=" + url.QueryEscape(clientID)
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, target, nil)
	if err != nil {
		return "", err
	}
	response, err := m.http.Do(request)
	if err != nil {
		return "", err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err == nil && response.StatusCode != http.StatusOK {
		err = fmt.Errorf("no refresh token: HTTP %d", response.StatusCode)
	}
	return string(body), err
}

// recast changes a stored state, whose two entries are a document and its checksum.
func recast(data map[string][]byte, refresh string, life span) (map[string][]byte, error) {
	var document map[string]any
	if err := json.Unmarshal(data["state.json"], &document); err != nil {
		return nil, err
	}
	document["refreshToken"] = refresh
	token, ok := document["token"].(map[string]any)
	if !ok {
		return nil, fmt.Errorf("the state holds no token")
	}
	token["obtained"], token["refresh"], token["expires"] = life.obtained, life.refresh, life.expires
	encoded, err := json.Marshal(document)
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256(encoded)
	return map[string][]byte{"state.json": encoded, "checksum": []byte(hex.EncodeToString(sum[:]))}, nil
}
