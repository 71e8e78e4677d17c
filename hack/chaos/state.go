package main

import (
	"context"
	"encoding/json"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/fluent-credential/operator/api/v1alpha1"
)

// state is what a person can read in a state Secret.
type state struct {
	secret  *corev1.Secret
	serial  int64
	claimed bool
	access  string
	refresh string
}

// stateEntry is the entry of a state Secret that holds its document.
const stateEntry = "state.json"

// readState finds the credential's state Secret, under whichever of its names; of two, the one with the higher serial.
func (c *credential) readState(ctx context.Context) (*state, error) {
	var secrets corev1.SecretList
	if err := c.stage.plant.admin.List(ctx, &secrets, client.InNamespace(c.stage.namespace)); err != nil {
		return nil, err
	}
	var newest *state
	for i := range secrets.Items {
		secret := &secrets.Items[i]
		if secret.Type != v1alpha1.StateSecretType || secret.Annotations[v1alpha1.CredentialAnnotation] != c.name {
			continue
		}
		read, err := parseState(secret)
		if err != nil {
			return nil, err
		}
		if newest == nil || read.serial > newest.serial {
			newest = read
		}
	}
	if newest == nil {
		return nil, apierrors.NewNotFound(schema.GroupResource{Resource: "secrets"}, c.name+" (state)")
	}
	return newest, nil
}

func parseState(secret *corev1.Secret) (*state, error) {
	var document struct {
		Serial       int64           `json:"serial"`
		Claim        json.RawMessage `json:"claim"`
		AccessToken  string          `json:"accessToken"`
		RefreshToken string          `json:"refreshToken"`
	}
	if err := json.Unmarshal(secret.Data[stateEntry], &document); err != nil {
		return nil, fmt.Errorf("state Secret %s: %w", secret.Name, err)
	}
	return &state{
		secret: secret, serial: document.Serial, claimed: len(document.Claim) > 0,
		access: document.AccessToken, refresh: document.RefreshToken,
	}, nil
}
