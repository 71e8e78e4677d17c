package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// foreignFigures are what Secrets cost the operator that are none of its business.
type foreignFigures struct {
	Secrets int       `json:"secrets"`
	Bytes   int       `json:"bytesEach"`
	Before  footprint `json:"before"`
	Watched footprint `json:"afterTheyCame"`   // the operator saw each come
	Listed  footprint `json:"afterTheRestart"` // it found them
	Synced  float64   `json:"cachesFilledAfterSeconds"`
}

// foreignSize is the data of a Secret such as a certificate's or a Helm release's.
const foreignSize = 10 << 10

func (b *bench) measureForeign(ctx context.Context) (any, error) {
	figures := &foreignFigures{Secrets: b.options.foreign, Bytes: foreignSize}
	if err := b.startOperator(ctx, "--pprof-bind-address="+pprofAddress); err != nil {
		return nil, err
	}
	var err error
	if figures.Before, err = b.footprint(ctx); err != nil {
		return nil, err
	}
	b.say("%d Secrets of %d KiB that are none of the operator's business", figures.Secrets, foreignSize>>10)
	if err := each(ctx, figures.Secrets, b.createForeign); err != nil {
		return nil, err
	}
	if figures.Watched, err = b.restingFootprint(ctx); err != nil {
		return nil, err
	}
	if err := b.operator.Stop(); err != nil {
		return nil, err
	}
	began := time.Now()
	if err := b.startOperator(ctx, "--pprof-bind-address="+pprofAddress); err != nil {
		return nil, err
	}
	figures.Synced = time.Since(began).Seconds()
	figures.Listed, err = b.restingFootprint(ctx)
	return figures, errors.Join(err, b.operator.Stop())
}

// restingFootprint is the footprint when what was told a moment ago has been taken in.
func (b *bench) restingFootprint(ctx context.Context) (footprint, error) {
	if err := b.pass(ctx, 5*time.Second); err != nil {
		return footprint{}, err
	}
	return b.footprint(ctx)
}

func (b *bench) createForeign(ctx context.Context, i int) error {
	return b.admin.Create(ctx, &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: namespaceName(bare, i), Name: fmt.Sprintf("foreign-%05d", i),
			Labels:      map[string]string{"app.kubernetes.io/name": "something-else", "app.kubernetes.io/managed-by": "somebody-else"},
			Annotations: map[string]string{"example.com/checksum": string(noise(64))},
		},
		Data: map[string][]byte{"data": noise(foreignSize)},
	})
}
