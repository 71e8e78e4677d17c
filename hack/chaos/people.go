package main

import (
	"context"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/fluent-credential/operator/api/v1alpha1"
	"github.com/fluent-credential/operator/hack/authsim"
)

// meddling is what a person does to a Secret.
type meddling struct {
	name string
	do   func(ctx context.Context, s *stage, secret *corev1.Secret) error
	rest int    // chains that it costs at rest
	told string // the event that tells it at rest, where one can
}

var meddlings = []meddling{
	{"deleted", func(ctx context.Context, s *stage, secret *corev1.Secret) error {
		return s.plant.admin.Delete(ctx, secret)
	}, 0, "StateSecretDeleted"},
	{"deleted by force", func(ctx context.Context, s *stage, secret *corev1.Secret) error {
		patch := client.RawPatch(types.MergePatchType, []byte(`{"metadata":{"finalizers":null}}`))
		if err := s.plant.admin.Patch(ctx, secret, patch); err != nil {
			return err
		}
		return client.IgnoreNotFound(s.plant.admin.Delete(ctx, secret))
	}, 1, ""},
	{"edited", func(ctx context.Context, s *stage, secret *corev1.Secret) error {
		changed := secret.DeepCopy()
		changed.Data[stateEntry] = append(changed.Data[stateEntry], ' ')
		return s.plant.admin.Patch(ctx, changed, client.MergeFrom(secret))
	}, 1, "StateSecretEdited"},
	{"emptied", func(ctx context.Context, s *stage, secret *corev1.Secret) error {
		changed := secret.DeepCopy()
		changed.Data = nil
		return s.plant.admin.Patch(ctx, changed, client.MergeFrom(secret))
	}, 1, "StateSecretEdited"},
}

// meddledState are state Secrets that a person deletes or edits, at rest and with a reply on its way.
func meddledState() []scenario {
	var cases []scenario
	for _, each := range meddlings {
		cases = append(cases,
			scenario{name: each.name + " at rest", quick: true, setting: setting{mayLose: each.rest},
				run: func(ctx context.Context, s *stage) error { return meddledAtRest(ctx, s, each) }},
			scenario{name: each.name + " with a reply on its way", quick: true,
				run: func(ctx context.Context, s *stage) error { return meddledInFlight(ctx, s, each) }})
	}
	return cases
}

func meddledAtRest(ctx context.Context, s *stage, what meddling) error {
	state, err := s.creds[0].readState(ctx)
	if err != nil {
		return err
	}
	logins := s.sim.Ledger().RequestsOf(authsim.GrantPassword)
	err = s.silently(what.rest, func() error {
		if err := what.do(ctx, s, state.secret); err != nil {
			return err
		}
		pause(ctx, 3*time.Second)
		if what.rest > 0 {
			return nil // there is nothing to restore it from; the next rotation finds out
		}
		return s.settled(ctx)
	})
	if err != nil {
		return err
	}
	if err := rotated(ctx, s); err != nil {
		return err
	}
	// Fewer logins would mean that what somebody wrote there was taken for the truth.
	if made := s.sim.Ledger().RequestsOf(authsim.GrantPassword) - logins; made != what.rest {
		s.find("%d logins after the state was %s, want %d", made, what.name, what.rest)
	}
	if what.told == "" {
		return nil
	}
	return s.told(ctx, what.told)
}

func meddledInFlight(ctx context.Context, s *stage, what meddling) error {
	trap := s.tokens.hold(answered, 1, isRefresh)
	if err := s.creds[0].rotate(ctx); err != nil {
		return err
	}
	if _, err := trap.wait(ctx); err != nil {
		return err
	}
	state, err := s.creds[0].readState(ctx)
	if err != nil {
		return err
	}
	if err := what.do(ctx, s, state.secret); err != nil {
		return err
	}
	pause(ctx, time.Second)
	trap.let(fate{})
	if err := s.settled(ctx); err != nil {
		return err
	}
	return rotated(ctx, s)
}

// meddledObjects are workload Secrets that are deleted or edited, and FluentCredentials that are deleted in mid-exchange.
func meddledObjects() []scenario {
	return []scenario{
		{name: "workload Secret deleted", quick: true, run: func(ctx context.Context, s *stage) error {
			return workloadRepaired(ctx, s, func(secret *corev1.Secret) error { return s.plant.admin.Delete(ctx, secret) })
		}},
		{name: "workload Secret edited", quick: true, run: func(ctx context.Context, s *stage) error {
			return workloadRepaired(ctx, s, func(secret *corev1.Secret) error {
				changed := secret.DeepCopy()
				changed.Data[v1alpha1.AccessTokenKey] = []byte(forgery)
				return s.plant.admin.Patch(ctx, changed, client.MergeFrom(secret))
			})
		}},
		{name: "FluentCredential deleted with a reply on its way", quick: true, run: func(ctx context.Context, s *stage) error {
			return deletedInFlight(ctx, s, fate{})
		}},
		{name: "FluentCredential deleted, and the reply never comes", quick: true, run: func(ctx context.Context, s *stage) error {
			return deletedInFlight(ctx, s, fate{cut: true})
		}},
		{name: "FluentCredential deleted, and the operator killed", quick: true, run: deletedAndKilled},
	}
}

func workloadRepaired(ctx context.Context, s *stage, meddle func(*corev1.Secret) error) error {
	return s.silently(0, func() error {
		secret, err := s.creds[0].secret(ctx, s.creds[0].name+targetSuffix)
		if err != nil {
			return err
		}
		if err := meddle(secret); err != nil {
			return err
		}
		return s.settled(ctx)
	})
}

// deletedInFlight deletes a FluentCredential while a reply is on its way: that is settled first, and then all goes.
func deletedInFlight(ctx context.Context, s *stage, then fate) error {
	trap, err := s.deleteInFlight(ctx)
	if err != nil {
		return err
	}
	pause(ctx, 2*time.Second)
	if _, err := s.creds[0].get(ctx); err != nil {
		s.find("the FluentCredential went before its exchange was settled: %v", err)
	}
	trap.let(then)
	return s.allGone(ctx)
}

func deletedAndKilled(ctx context.Context, s *stage) error {
	trap, err := s.deleteInFlight(ctx)
	if err != nil {
		return err
	}
	s.replicas[0].kill()
	trap.let(fate{cut: true})
	if err := s.replicas[0].start(ctx); err != nil {
		return err
	}
	return s.allGone(ctx)
}

func (s *stage) deleteInFlight(ctx context.Context) (*held, error) {
	trap := s.tokens.hold(answered, 1, isRefresh)
	if err := s.creds[0].rotate(ctx); err != nil {
		return nil, err
	}
	if _, err := trap.wait(ctx); err != nil {
		return nil, err
	}
	cred, err := s.creds[0].get(ctx)
	if err != nil {
		return nil, err
	}
	return trap, s.plant.admin.Delete(ctx, cred)
}

// allGone waits until the FluentCredential and the Secrets that the operator made for it are gone.
func (s *stage) allGone(ctx context.Context) error {
	return until(ctx, time.Minute, "all is gone", func(ctx context.Context) (string, error) {
		if _, err := s.creds[0].get(ctx); client.IgnoreNotFound(err) != nil {
			return "", err
		} else if err == nil {
			return "the FluentCredential is there", nil
		}
		var secrets corev1.SecretList
		if err := s.plant.admin.List(ctx, &secrets, client.InNamespace(s.namespace)); err != nil {
			return "", err
		}
		for _, secret := range secrets.Items {
			if secret.Annotations[v1alpha1.CredentialAnnotation] != "" {
				return fmt.Sprintf("Secret %s is there", secret.Name), nil
			}
		}
		return "", nil
	})
}
