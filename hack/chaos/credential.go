package main

import (
	"cmp"
	"context"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/fluent-credential/operator/api/v1alpha1"
)

// credential is a FluentCredential with a login of its own.
type credential struct {
	stage     *stage
	number    int
	namespace string // empty: the stage's own
	name      string
	user      string
	asked     string // the rotate annotation as it was set last
}

// goodPrefix begins the names of the credentials that a stage creates.
const goodPrefix = "cred-"

func (s *stage) createCredential(ctx context.Context, number int) (*credential, error) {
	c := &credential{stage: s, number: number, namespace: s.home(number), name: goodPrefix + fmt.Sprintf("%04d", number), user: userName(number)}
	login := &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Namespace: c.namespace, Name: c.name + "-login"},
		StringData: map[string]string{v1alpha1.ClientIDKey: s.clientOf(number), v1alpha1.ClientSecretKey: clientSecret},
	}
	if s.seeded {
		login.StringData[v1alpha1.RefreshTokenKey] = s.sim.Seed(c.user, clientID)
	} else {
		login.StringData[v1alpha1.UsernameKey], login.StringData[v1alpha1.PasswordKey] = c.user, cmp.Or(s.password, password)
	}
	if err := s.plant.admin.Create(ctx, login); err != nil {
		return c, err
	}
	return c, s.plant.admin.Create(ctx, &v1alpha1.FluentCredential{
		ObjectMeta: metav1.ObjectMeta{Namespace: c.namespace, Name: c.name},
		Spec: v1alpha1.FluentCredentialSpec{
			Provider:             v1alpha1.ProviderSpec{Fluent: &v1alpha1.FluentProvider{BaseURL: v1alpha1.BaseURL(s.tokens.url())}},
			CredentialsSecretRef: v1alpha1.CredentialsSecretReference{Name: login.Name},
			Scope:                "api",
			Refresh:              v1alpha1.RefreshSpec{OnLostReply: v1alpha1.LostReplyPolicy(s.policy)},
			Target:               v1alpha1.TargetSpec{Name: c.name + targetSuffix},
		},
	})
}

func (c *credential) key() types.NamespacedName {
	return types.NamespacedName{Namespace: cmp.Or(c.namespace, c.stage.namespace), Name: c.name}
}

func (c *credential) get(ctx context.Context) (*v1alpha1.FluentCredential, error) {
	var cred v1alpha1.FluentCredential
	return &cred, c.stage.plant.admin.Get(ctx, c.key(), &cred)
}

// secret reads a Secret in the credential's namespace.
func (c *credential) secret(ctx context.Context, name string) (*corev1.Secret, error) {
	var secret corev1.Secret
	return &secret, c.stage.plant.admin.Get(ctx, types.NamespacedName{Namespace: c.key().Namespace, Name: name}, &secret)
}

// rotate asks for a new token by the annotation.
func (c *credential) rotate(ctx context.Context) error {
	c.asked = time.Now().Format(time.RFC3339Nano)
	patch := fmt.Appendf(nil, `{"metadata":{"annotations":{%q:%q}}}`, v1alpha1.RotateAnnotation, c.asked)
	cred := &v1alpha1.FluentCredential{ObjectMeta: metav1.ObjectMeta{Namespace: c.key().Namespace, Name: c.name}}
	return c.stage.plant.admin.Patch(ctx, cred, client.RawPatch(types.MergePatchType, patch))
}

// serial of the newest token that the status tells of.
func serialOf(cred *v1alpha1.FluentCredential) int64 {
	if cred.Status.Token == nil {
		return 0
	}
	return cred.Status.Token.Serial
}

func conditionOf(cred *v1alpha1.FluentCredential, kind string) metav1.Condition {
	if found := meta.FindStatusCondition(cred.Status.Conditions, kind); found != nil {
		return *found
	}
	return metav1.Condition{}
}

// unrest says why a credential has not come to rest; empty: it has. At rest the newest token that was received is published, is
// valid, and no exchange is under way.
func (c *credential) unrest(ctx context.Context) (string, error) {
	cred, err := c.get(ctx)
	if err != nil {
		return "", err
	}
	if ready := conditionOf(cred, v1alpha1.ConditionReady); ready.Status != metav1.ConditionTrue {
		return fmt.Sprintf("Ready is %s: %s: %s", ready.Status, ready.Reason, ready.Message), nil
	}
	if renewable := conditionOf(cred, v1alpha1.ConditionRenewable); renewable.Status != metav1.ConditionTrue {
		return fmt.Sprintf("Renewable is %s: %s: %s", renewable.Status, renewable.Reason, renewable.Message), nil
	}
	if failures := cred.Status.Failures; failures != nil {
		return fmt.Sprintf("%d exchanges failed: %s", failures.Count, cred.Status.Summary.Message), nil
	}
	if c.asked != "" && cred.Status.LastHandledRotateAt != c.asked {
		return "the rotate annotation was not acted on", nil
	}
	state, err := c.readState(ctx)
	if err != nil {
		return "there is no state Secret", client.IgnoreNotFound(err)
	}
	if state.claimed || state.serial != serialOf(cred) {
		return fmt.Sprintf("claimed: %t, serial %d, in the status %d", state.claimed, state.serial, serialOf(cred)), nil
	}
	workload, err := c.secret(ctx, c.name+targetSuffix)
	if err != nil {
		return "there is no workload Secret", client.IgnoreNotFound(err)
	}
	return c.stage.whyInvalid(string(workload.Data[v1alpha1.AccessTokenKey])), nil
}

// whyInvalid asks the ledger about an access token.
func (s *stage) whyInvalid(value string) string {
	issued, known := s.sim.Ledger().AccessTokenByValue(value)
	switch {
	case !known:
		return "the published token was never issued"
	case !issued.Killed.IsZero():
		return "the published token " + issued.ID + " was killed by a later refresh"
	case !time.Now().Before(issued.Expires):
		return "the published token " + issued.ID + " has expired"
	}
	return ""
}

// settled waits until the credential has come to rest.
func (c *credential) settled(ctx context.Context) error {
	return c.settledIn(ctx, 4*time.Minute)
}

func (c *credential) settledIn(ctx context.Context, most time.Duration) error {
	return until(ctx, most, c.name+" has come to rest", func(ctx context.Context) (string, error) { return c.unrest(ctx) })
}

// says waits until a condition, or the line that kubectl prints, has a reason.
func (c *credential) says(ctx context.Context, reason string) error {
	return until(ctx, time.Minute, c.name+" says "+reason, func(ctx context.Context) (string, error) {
		cred, err := c.get(ctx)
		if err != nil {
			return "", err
		}
		if cred.Status.Summary == nil {
			return "it says nothing", nil
		}
		for _, condition := range cred.Status.Conditions {
			if condition.Reason == reason {
				return "", nil
			}
		}
		if cred.Status.Summary.Reason == reason {
			return "", nil
		}
		return "it says " + cred.Status.Summary.Reason + ": " + cred.Status.Summary.Message, nil
	})
}

func (s *stage) clientOf(number int) string {
	if s.client == nil {
		return clientID
	}
	return s.client(number)
}
