package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	eventsv1 "k8s.io/api/events/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/fluent-credential/operator/api/v1alpha1"
	"github.com/fluent-credential/operator/hack/authsim"
)

// strangerAccount marks the requests that a case makes itself, past the operator and its proxy.
const strangerAccount = "somebody-else"

// stranger asks the token endpoint as another client does.
func (s *stage) stranger(ctx context.Context, asked url.Values) (status int, err error) {
	asked.Set("client_id", clientID)
	asked.Set("client_secret", clientSecret)
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+s.tokens.server+"/oauth/token", strings.NewReader(asked.Encode()))
	if err != nil {
		return 0, err
	}
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	request.Header.Set("Fluent.account", strangerAccount)
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return 0, err
	}
	defer response.Body.Close()
	_, err = io.Copy(io.Discard, response.Body)
	return response.StatusCode, err
}

// strangers are other clients that use the operator's login.
func strangers() []scenario {
	return []scenario{
		{name: "takes the refresh token, again and again", quick: true, setting: setting{mayLose: thefts}, run: stolen},
		{name: "a second FluentCredential with the same login", quick: true, run: sharedLogin},
	}
}

const thefts = 3

// stolen: another client spends the refresh token; the operator logs in anew, once, and does not fight over it.
func stolen(ctx context.Context, s *stage) error {
	for range thefts {
		state, err := s.creds[0].readState(ctx)
		if err != nil {
			return err
		}
		form := url.Values{"grant_type": {authsim.GrantRefreshToken}, "refresh_token": {state.refresh}}
		if status, err := s.stranger(ctx, form); err != nil || status != http.StatusOK {
			return fmt.Errorf("the stranger gets HTTP %d: %w", status, err)
		}
		err = s.silently(2, func() error { return rotated(ctx, s) }) // the refusal, and one login
		if err != nil {
			return err
		}
	}
	return s.told(ctx, "RefreshTokenRejected")
}

// told looks for an event with a reason.
func (s *stage) told(ctx context.Context, reason string) error {
	return until(ctx, 30*time.Second, "an event says "+reason, func(ctx context.Context) (string, error) {
		var events eventsv1.EventList
		if err := s.plant.admin.List(ctx, &events, client.InNamespace(s.namespace)); err != nil {
			return "", err
		}
		var said []string
		for _, event := range events.Items {
			said = append(said, event.Reason)
			if event.Reason == reason {
				return "", nil
			}
		}
		return fmt.Sprintf("the events say %q", said), nil
	})
}

// sharedLogin: the older FluentCredential works, the other one says so and sends nothing.
func sharedLogin(ctx context.Context, s *stage) error {
	first, err := s.creds[0].get(ctx)
	if err != nil {
		return err
	}
	second := &v1alpha1.FluentCredential{
		ObjectMeta: metav1.ObjectMeta{Namespace: s.namespace, Name: "second"}, Spec: *first.Spec.DeepCopy(),
	}
	second.Spec.Target.Name = "second" + targetSuffix
	before := len(s.tokens.sendings())
	if err := s.plant.admin.Create(ctx, second); err != nil {
		return err
	}
	other := &credential{stage: s, name: second.Name}
	if err := other.says(ctx, v1alpha1.ReasonLoginInUse); err != nil {
		return err
	}
	pause(ctx, silence)
	if sent := len(s.tokens.sendings()) - before; sent > 0 {
		s.find("%d requests were sent for a login that is in use", sent)
	}
	return rotated(ctx, s)
}

// setLogin changes an entry of the first credential's login.
func (c *credential) setLogin(ctx context.Context, entry, value string) error {
	secret, err := c.secret(ctx, c.name+"-login")
	if err != nil {
		return err
	}
	secret.StringData = map[string]string{entry: value}
	return c.stage.plant.admin.Update(ctx, secret)
}
