package main

import (
	"context"
	"fmt"

	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/fluent-credential/operator/api/v1alpha1"
)

// wrongClient logs in with a wrong client secret. The server may learn of a new one a moment later than the operator, so the operator
// tries again by itself for a while; the right secret is tried at once.
func (s *subject) wrongClient(ctx context.Context) (permitted, error) {
	login := s.passwordLogin("wrong-client")
	login[v1alpha1.ClientSecretKey] = "not-" + s.clientSecret
	cred, err := s.create(ctx, "wrong-client", s.server.right(), login)
	if err != nil {
		return permitted{}, err
	}
	if err := cred.clientRefused(ctx); err != nil {
		return permitted{}, err
	}
	if err := cred.changeLogin(ctx, map[string]string{v1alpha1.ClientSecretKey: s.clientSecret}); err != nil {
		return permitted{}, err
	}
	if err := cred.obtained(ctx, 1, passwordGrant); err != nil {
		return permitted{}, err
	}
	refusals, err := cred.refusals()
	return permitted{asked: tally{logins: 1, unknownClients: refusals}}, err
}

func (s *subject) wrongPassword(ctx context.Context) (permitted, error) {
	login := s.passwordLogin("wrong-password")
	login[v1alpha1.PasswordKey] = "not-" + s.password
	wrong := tally{logins: 1, refusedLogins: 1}
	return s.corrected(ctx, "wrong-password", login, wrong, map[string]string{v1alpha1.PasswordKey: s.password})
}

// corrected logs in with one entry of the login wrong, and corrects it.
func (s *subject) corrected(
	ctx context.Context, name string, login map[string]string, wrong tally, right map[string]string,
) (permitted, error) {
	cred, err := s.create(ctx, name, s.server.right(), login)
	if err != nil {
		return permitted{}, err
	}
	if err := cred.refused(ctx, v1alpha1.ConditionReady); err != nil {
		return permitted{}, err
	}
	if err := cred.stands(ctx, wrong); err != nil {
		return permitted{}, err
	}
	if err := cred.changeLogin(ctx, right); err != nil {
		return permitted{}, err
	}
	return permitted{asked: wrong.plus(tally{logins: 1})}, cred.obtained(ctx, 1, passwordGrant)
}

// wrongClientLater has the client refused at a refresh. The token was not spent, and the right client goes on with it.
func (s *subject) wrongClientLater(ctx context.Context) (permitted, error) {
	const name = "wrong-client-later"
	if s.server.trustsTokens {
		return permitted{notApplicable: true}, nil
	}
	cred, err := s.logIn(ctx, name, s.server.right())
	if err != nil {
		return permitted{}, err
	}
	if err := cred.changeLogin(ctx, map[string]string{v1alpha1.ClientSecretKey: "not-" + s.clientSecret}); err != nil {
		return permitted{}, err
	}
	if err := cred.ask(ctx); err != nil {
		return permitted{}, err
	}
	if err := cred.clientRefused(ctx); err != nil {
		return permitted{}, err
	}
	if err := cred.changeLogin(ctx, map[string]string{v1alpha1.ClientSecretKey: s.clientSecret}); err != nil {
		return permitted{}, err
	}
	if err := cred.obtained(ctx, 2, refreshGrant); err != nil {
		return permitted{}, err
	}
	refusals, err := cred.refusals()
	return permitted{asked: tally{logins: 1, refreshes: 1, unknownClients: refusals, most: refusals + 1}}, err
}

// clientRefused waits until the status says that the client was refused and is tried again.
func (c *credential) clientRefused(ctx context.Context) error {
	_, err := c.await(ctx, "the client is refused", func(now seen) bool {
		return now.reason(v1alpha1.ConditionReconciling) == v1alpha1.ReasonCredentialsRejected
	})
	return err
}

// mostRefusals bounds how often a refused client is tried within a minute.
const mostRefusals = 12

// refusals returns how often the client was refused.
func (c *credential) refusals() (int, error) {
	refusals := c.requests().unknownClients
	if refusals < 1 || refusals > mostRefusals {
		return refusals, fmt.Errorf("the client was tried %d times, want 1 to %d", refusals, mostRefusals)
	}
	return refusals, nil
}

// refused waits until a condition says that the login, or the client, was refused.
func (c *credential) refused(ctx context.Context, condition string) error {
	_, err := c.await(ctx, "the login is refused", func(now seen) bool {
		return now.stalled() && now.reason(condition) == v1alpha1.ReasonCredentialsRejected
	})
	return err
}

// stands gives the operator occasions to ask again that are no reason to: an edit of the login that changes nothing, and a restart.
// What was asked until then is all that was asked.
func (c *credential) stands(ctx context.Context, asked tally) error {
	login := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: c.key.Namespace, Name: c.loginName()}}
	touch := client.RawPatch(types.MergePatchType, []byte(`{"metadata":{"labels":{"touched":"by-a-person"}}}`))
	if err := c.admin.Patch(ctx, login, touch); err != nil {
		return err
	}
	if err := c.restartAtRest(ctx); err != nil {
		return err
	}
	if err := c.asked(asked); err != nil {
		return fmt.Errorf("after a restart: %w", err)
	}
	return nil
}
