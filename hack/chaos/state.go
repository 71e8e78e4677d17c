package main

import (
	"context"
	"encoding/json"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/fluent-credential/operator/internal/custody"
)

// state is what a person can read in a state Secret.
type state struct {
	secret  *corev1.Secret
	serial  int64
	claimed bool
	access  string
	refresh string
	failure string // reason of the last failed exchange
}

// stateEntry is the entry of a state Secret that holds its document.
const stateEntry = "state.json"

// readState finds the credential's state Secret, under whichever of its names; of two, the one with the higher serial.
func (c *credential) readState(ctx context.Context) (*state, error) {
	var newest *state
	for _, name := range custody.Names(c.name) {
		secret, err := c.secret(ctx, name)
		if apierrors.IsNotFound(err) {
			continue
		}
		if err != nil {
			return nil, err
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
		Failure      struct {
			Reason string `json:"reason"`
		} `json:"failure"`
	}
	if err := json.Unmarshal(secret.Data[stateEntry], &document); err != nil {
		return nil, fmt.Errorf("state Secret %s: %w", secret.Name, err)
	}
	return &state{
		secret: secret, serial: document.Serial, claimed: len(document.Claim) > 0,
		access: document.AccessToken, refresh: document.RefreshToken, failure: document.Failure.Reason,
	}, nil
}
