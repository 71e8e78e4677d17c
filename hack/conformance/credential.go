package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"strconv"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/fluent-credential/operator/api/v1alpha1"
)

// credential is a FluentCredential, its login and what the proxy has seen since it was made.
type credential struct {
	*subject
	key   types.NamespacedName
	first int // the number of the first request that can be this credential's
}

// seen is a FluentCredential and its workload Secret, looked at at about the same time.
type seen struct {
	cred     v1alpha1.FluentCredential
	workload corev1.Secret
}

// serial of the newest token; 0: none.
func (s seen) serial() int64 {
	if s.cred.Status.Token == nil {
		return 0
	}
	return s.cred.Status.Token.Serial
}

func (s seen) grant() string { return s.cred.Status.Token.Grant }

func (s seen) authorization() string { return string(s.workload.Data[v1alpha1.AuthorizationKey]) }

// published: the newest token is in the workload Secret, and the status says so.
func (s seen) published() bool {
	return s.serial() > 0 && s.workload.Annotations[v1alpha1.SerialAnnotation] == strconv.FormatInt(s.serial(), 10) &&
		s.is(v1alpha1.ConditionReady, metav1.ConditionTrue)
}

func (s seen) is(condition string, status metav1.ConditionStatus) bool {
	return meta.IsStatusConditionPresentAndEqual(s.cred.Status.Conditions, condition, status)
}

// stalled: only a person can help.
func (s seen) stalled() bool { return s.is(v1alpha1.ConditionStalled, metav1.ConditionTrue) }

func (s seen) reason(condition string) string {
	if found := meta.FindStatusCondition(s.cred.Status.Conditions, condition); found != nil {
		return found.Reason
	}
	return ""
}

// tell is what can be said about it in an error.
func (s seen) tell() string {
	text := fmt.Sprintf("serial %d", s.serial())
	for _, condition := range s.cred.Status.Conditions {
		text += fmt.Sprintf(", %s=%s %s (%s)", condition.Type, condition.Status, condition.Reason, condition.Message)
	}
	return text
}

// create makes a login and the FluentCredential that uses it.
func (s *subject) create(ctx context.Context, name string, policy v1alpha1.LostReplyPolicy, login map[string]string) (*credential, error) {
	made := &credential{subject: s, key: types.NamespacedName{Namespace: s.namespace, Name: name}, first: s.proxy.count()}
	s.credentials = append(s.credentials, made)
	if err := made.createLogin(ctx, login); err != nil {
		return nil, err
	}
	// Not by the Go types: a field that the cluster does not know is dropped there, and seen to be by the scenario that needs it.
	object := &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": v1alpha1.GroupVersion.String(), "kind": "FluentCredential",
		"metadata": map[string]any{"namespace": made.key.Namespace, "name": name},
		"spec": map[string]any{
			"provider":             s.server.provider(s.proxy.URL),
			"credentialsSecretRef": map[string]any{"name": made.loginName()},
			"refresh":              map[string]any{"onLostReply": string(policy)},
			"target":               map[string]any{"name": name + "-token"},
		},
	}}
	return made, s.admin.Create(ctx, object)
}

// logIn makes a credential that logs in by password, and waits for its first token.
func (s *subject) logIn(ctx context.Context, user string, policy v1alpha1.LostReplyPolicy) (*credential, error) {
	made, err := s.create(ctx, user, policy, s.passwordLogin(user))
	if err != nil {
		return nil, err
	}
	return made, made.obtained(ctx, 1, passwordGrant)
}

func (s *subject) passwordLogin(user string) map[string]string {
	return s.withClient(map[string]string{v1alpha1.UsernameKey: user, v1alpha1.PasswordKey: s.password})
}

func (s *subject) withClient(login map[string]string) map[string]string {
	login[v1alpha1.ClientIDKey], login[v1alpha1.ClientSecretKey] = clientID, s.clientSecret
	return login
}

func (c *credential) loginName() string { return c.key.Name + "-login" }

func (c *credential) createLogin(ctx context.Context, login map[string]string) error {
	return c.admin.Create(ctx, &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Namespace: c.key.Namespace, Name: c.loginName()}, StringData: login,
	})
}

// changeLogin sets entries of the login.
func (c *credential) changeLogin(ctx context.Context, entries map[string]string) error {
	var login corev1.Secret
	if err := c.admin.Get(ctx, types.NamespacedName{Namespace: c.key.Namespace, Name: c.loginName()}, &login); err != nil {
		return err
	}
	login.StringData = entries
	return c.admin.Update(ctx, &login)
}

// look reads the credential and its workload Secret, which may not be there yet.
func (c *credential) look(ctx context.Context) (seen, error) {
	var now seen
	err := c.admin.Get(ctx, c.key, &now.cred)
	if err != nil {
		return now, err
	}
	err = c.admin.Get(ctx, types.NamespacedName{Namespace: c.key.Namespace, Name: now.cred.TargetName()}, &now.workload)
	return now, client.IgnoreNotFound(err)
}

// await waits until what is seen is as wanted.
func (c *credential) await(ctx context.Context, what string, wanted func(seen) bool) (seen, error) {
	var last seen
	err := c.until(ctx, func() (bool, error) {
		now, err := c.look(ctx)
		last = now
		return err == nil && wanted(now), err
	})
	if err != nil {
		return last, fmt.Errorf("waiting until %s: %w; it is: %s", what, err, last.tell())
	}
	return last, nil
}

// arrived waits until the token of a serial is published, and looks how it was obtained.
func (c *credential) arrived(ctx context.Context, serial int64, grant string) (seen, error) {
	now, err := c.await(ctx, fmt.Sprintf("token %d is published", serial), func(now seen) bool {
		return now.serial() >= serial && now.published()
	})
	if err == nil && (now.serial() != serial || now.grant() != grant) {
		err = fmt.Errorf("token %d by %s, want token %d by %s", now.serial(), now.grant(), serial, grant)
	}
	return now, err
}

// use presents the published token to the server, which has to accept it.
func (c *credential) use(ctx context.Context, now seen) error {
	accepted, err := c.accepts(ctx, now.authorization())
	if err == nil && !accepted {
		err = fmt.Errorf("the server does not accept token %d", now.serial())
	}
	return err
}

// obtained waits until the token of a serial is published, and uses it.
func (c *credential) obtained(ctx context.Context, serial int64, grant string) error {
	now, err := c.arrived(ctx, serial, grant)
	if err != nil {
		return err
	}
	return c.use(ctx, now)
}

// ask sets the rotate annotation.
func (c *credential) ask(ctx context.Context) error {
	object := &v1alpha1.FluentCredential{ObjectMeta: metav1.ObjectMeta{Namespace: c.key.Namespace, Name: c.key.Name}}
	patch := fmt.Appendf(nil, `{"metadata":{"annotations":{%q:%q}}}`, v1alpha1.RotateAnnotation, rand.Text())
	return c.admin.Patch(ctx, object, client.RawPatch(types.MergePatchType, patch))
}

// rotate has a new token obtained by the refresh token, and uses it.
func (c *credential) rotate(ctx context.Context) error {
	now, err := c.renew(ctx)
	if err != nil {
		return err
	}
	return c.use(ctx, now)
}

// renew asks for a new token and waits for it; it has to come by the refresh token.
func (c *credential) renew(ctx context.Context) (seen, error) {
	before, err := c.look(ctx)
	if err != nil {
		return before, err
	}
	if err := c.ask(ctx); err != nil {
		return before, err
	}
	return c.arrived(ctx, before.serial()+1, refreshGrant)
}

// requests are those that the proxy has seen since the credential was made.
func (c *credential) requests() tally { return c.proxy.tally(c.first) }

// asked compares the requests with what they have to be.
func (c *credential) asked(want tally) error {
	if got := c.requests(); got != want {
		return fmt.Errorf("the proxy has seen %+v, want %+v", got, want)
	}
	return nil
}

// remove deletes the FluentCredential and waits until it is gone.
func (c *credential) remove(ctx context.Context) error {
	object := &v1alpha1.FluentCredential{ObjectMeta: metav1.ObjectMeta{Namespace: c.key.Namespace, Name: c.key.Name}}
	if err := c.admin.Delete(ctx, object); err != nil {
		return err
	}
	err := c.until(ctx, func() (bool, error) {
		err := c.admin.Get(ctx, c.key, object)
		return apierrors.IsNotFound(err), client.IgnoreNotFound(err)
	})
	if err != nil {
		return errors.Join(fmt.Errorf("waiting until %s is gone", c.key), err)
	}
	return nil
}
