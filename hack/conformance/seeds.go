package main

import (
	"context"
	"fmt"
	"os"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/fluent-credential/operator/api/v1alpha1"
	"github.com/fluent-credential/operator/hack/localcluster"
)

// seed gives a refresh token that a person has obtained.
func (s *subject) seed(ctx context.Context) (permitted, error) {
	give := func() (map[string]string, error) {
		token, err := s.authorize(ctx, "seed")
		return s.withClient(map[string]string{v1alpha1.RefreshTokenKey: token}), err
	}
	return permitted{asked: refreshed(2 + planted)}, s.plant(ctx, "seed", refreshGrant, give)
}

// codeSeed gives a code that a person has obtained.
func (s *subject) codeSeed(ctx context.Context) (permitted, error) {
	give := func() (map[string]string, error) {
		code, err := s.code(ctx, "code")
		login := s.withClient(map[string]string{v1alpha1.CodeKey: code, v1alpha1.RedirectURIKey: redirectURI})
		login[v1alpha1.ClientIDKey] += s.server.codeClient
		return login, err
	}
	return permitted{asked: tally{codes: 2}.plus(refreshed(planted))}, s.plant(ctx, "code", codeGrant, give)
}

// planted is how many refreshes plant asks for, beside two seeds.
const planted = 2

// plant lets a seed be spent, applies it again, replaces it by another, and brings the first one back.
func (s *subject) plant(ctx context.Context, name, grant string, give func() (map[string]string, error)) error {
	login, err := give()
	if err != nil {
		return err
	}
	cred, err := s.create(ctx, name, s.server.right(), login)
	if err != nil {
		return err
	}
	if err := cred.obtained(ctx, 1, grant); err != nil {
		return err
	}
	if err := s.refuseTwin(ctx, name, login); err != nil {
		return err
	}
	if err := cred.applyAgain(ctx, login); err != nil {
		return err
	}
	if err := cred.rotate(ctx); err != nil {
		return err
	}
	return cred.replant(ctx, grant, login, give)
}

// replant gives another seed, and when that was spent the first one again: the manifest was taken back to what it was.
func (c *credential) replant(ctx context.Context, grant string, first map[string]string, give func() (map[string]string, error)) error {
	another, err := give()
	if err != nil {
		return err
	}
	if err := c.changeLogin(ctx, another); err != nil {
		return err
	}
	if err := c.obtained(ctx, 3, grant); err != nil {
		return err
	}
	if err := c.changeLogin(ctx, first); err != nil {
		return err
	}
	if err := c.restartAtRest(ctx); err != nil {
		return err
	}
	return c.rotate(ctx)
}

// refuseTwin gives the same seed to another FluentCredential, which has to leave it alone.
func (s *subject) refuseTwin(ctx context.Context, name string, login map[string]string) error {
	twin, err := s.create(ctx, name+"-twin", s.server.right(), login)
	if err != nil {
		return err
	}
	_, err = twin.await(ctx, "the seed is known to be another's", func(now seen) bool {
		return now.reason(v1alpha1.ConditionReady) == v1alpha1.ReasonLoginInUse
	})
	if err != nil {
		return err
	}
	return twin.remove(ctx)
}

// applyAgain deletes the login and creates it anew, as a person does who applies a manifest twice.
func (c *credential) applyAgain(ctx context.Context, login map[string]string) error {
	old := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: c.key.Namespace, Name: c.loginName()}}
	if err := c.admin.Delete(ctx, old); err != nil {
		return err
	}
	_, err := c.await(ctx, "the login is missed", func(now seen) bool {
		return now.reason(v1alpha1.ConditionRenewable) == v1alpha1.ReasonCredentialsNotFound
	})
	if err != nil {
		return err
	}
	if err := c.createLogin(ctx, login); err != nil {
		return err
	}
	_, err = c.await(ctx, "the login is found again", func(now seen) bool {
		return now.is(v1alpha1.ConditionRenewable, metav1.ConditionTrue)
	})
	return err
}

// afterwards looks at what is left when everything has been done.
func (s *subject) afterwards(ctx context.Context) (permitted, error) {
	left := s.remaining(ctx)
	result := permitted{asked: refreshed(len(left))}
	if s.server.revocationPath != "" {
		result.asked.revocations = len(left)
	}
	for _, cred := range left {
		if err := cred.rotate(ctx); err != nil {
			return result, fmt.Errorf("the family of %s: %w", cred.key.Name, err)
		}
	}
	before := s.proxy.count()
	if err := s.restartAtRest(ctx); err != nil {
		return result, err
	}
	if more := s.proxy.since(before); len(more) > 0 {
		return result, fmt.Errorf("a restart with nothing due has asked the server: %+v", tallyOf(more, 0))
	}
	if err := s.keptSecret(ctx); err != nil {
		return result, err
	}
	for _, cred := range left {
		if err := cred.remove(ctx); err != nil {
			return result, err
		}
	}
	return result, nil
}

// remaining are the credentials that were not deleted yet.
func (s *subject) remaining(ctx context.Context) []*credential {
	var left []*credential
	for _, cred := range s.credentials {
		if _, err := cred.look(ctx); client.IgnoreNotFound(err) == nil && err == nil {
			left = append(left, cred)
		}
	}
	return left
}

// restartAtRest restarts the operator and waits until it has looked at every credential again.
func (s *subject) restartAtRest(ctx context.Context) error {
	want := len(s.remaining(ctx))
	s.operator.Terminate()
	if err := s.awaitEnd(ctx); err != nil {
		return err
	}
	if err := s.startOperator(ctx); err != nil {
		return err
	}
	series := fmt.Sprintf("fluent_credential_ready{name=%%q,namespace=%q}", s.namespace)
	return s.until(ctx, func() (bool, error) {
		text, err := localcluster.Get(ctx, s.operator.MetricsURL)
		known := 0
		for _, cred := range s.credentials {
			if strings.Contains(string(text), fmt.Sprintf(series, cred.key.Name)) {
				known++
			}
		}
		return known >= want, err
	})
}

// keptSecret looks for what went through the proxy in what people read: the log, the metrics, the events, the objects.
func (s *subject) keptSecret(ctx context.Context) error {
	log, err := os.ReadFile(s.operator.Log)
	if err != nil {
		return err
	}
	if err := s.proxy.seenIn("the operator's log", log); err != nil {
		return err
	}
	metrics, err := localcluster.Get(ctx, s.operator.MetricsURL)
	if err != nil {
		return err
	}
	if err := s.proxy.seenIn("the operator's metrics", metrics); err != nil {
		return err
	}
	for _, path := range []string{
		"/apis/events.k8s.io/v1/namespaces/" + s.namespace + "/events",
		"/apis/" + v1alpha1.GroupVersion.String() + "/namespaces/" + s.namespace + "/fluentcredentials",
	} {
		text, err := s.kubectl(ctx, "get --raw "+path)
		if err != nil {
			return err
		}
		if err := s.proxy.seenIn(path, []byte(text)); err != nil {
			return err
		}
	}
	return nil
}
