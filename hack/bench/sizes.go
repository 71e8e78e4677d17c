package main

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/fluent-credential/operator/api/v1alpha1"
	"github.com/fluent-credential/operator/hack/localcluster"
)

// size is what was measured with so many credentials.
type size struct {
	Credentials int       `json:"credentials"`
	Adopted     float64   `json:"adoptedAfterSeconds"` // the first start, which publishes all workload Secrets
	Memory      footprint `json:"memory"`
	IdleSeconds float64   `json:"idleSeconds"`
	Idle        *requests `json:"idleRequests"`
	Synced      float64   `json:"restartCachesFilledAfterSeconds"`
	Ready       float64   `json:"restartAllLookedAtAfterSeconds"`
	Restart     *requests `json:"restartRequests"`
	TokenCalls  int       `json:"restartTokenCalls"`
	Calm        *calmRate `json:"tenth,omitempty"`
}

// calmRate is what a rotation is like at a rate that leaves the machine room.
type calmRate struct {
	Rate      float64   `json:"rotationsPerSecond"`
	Rotations int       `json:"rotations"`
	P50       float64   `json:"replyToPublishedP50Milliseconds"`
	P99       float64   `json:"replyToPublishedP99Milliseconds"`
	Requests  *requests `json:"requests"`
}

// sizesFigures is the growth with size.
type sizesFigures struct {
	Empty footprint `json:"empty"`
	Sizes []*size   `json:"sizes"`
}

// calmAt is the size at which a calm rate is measured as well.
const calmAt = 10000

func (b *bench) measureSizes(ctx context.Context) (any, error) {
	server, err := b.startServerFor("restful", restfulLife, 1)
	if err != nil {
		return nil, err
	}
	m, err := b.makeMold(ctx, server, 1)
	if err != nil {
		return nil, err
	}
	var figures sizesFigures
	if figures.Empty, err = b.measureAlone(ctx); err != nil {
		return nil, err
	}
	cast := 0
	for _, count := range b.options.sizes {
		measured, err := b.growTo(ctx, m, cast, count)
		if err != nil && len(figures.Sizes) == 0 {
			return nil, err
		}
		if err != nil {
			b.say("%d credentials could not be measured: %v", count, err)
			break // what was measured counts
		}
		cast, figures.Sizes = count, append(figures.Sizes, measured)
	}
	err = b.tallyAudit(ctx)
	return &figures, err
}

func (b *bench) growTo(ctx context.Context, m *mold, from, to int) (*size, error) {
	b.say("%d credentials", to)
	if err := b.castAll(ctx, m, from, to, resting); err != nil {
		return nil, err
	}
	return b.measureSize(ctx, m.server, to)
}

// measureAlone measures an operator that has one credential: the mold.
func (b *bench) measureAlone(ctx context.Context) (footprint, error) {
	if err := b.startOperator(ctx, "--pprof-bind-address="+pprofAddress); err != nil {
		return footprint{}, err
	}
	if _, err := b.untilSilent(ctx, 1); err != nil {
		return footprint{}, err
	}
	empty, err := b.footprint(ctx)
	return empty, errors.Join(err, b.operator.Stop())
}

func (b *bench) measureSize(ctx context.Context, server *localcluster.Authsim, count int) (*size, error) {
	measured := &size{Credentials: count}
	began := time.Now()
	if err := b.startOperator(ctx); err != nil {
		return nil, err
	}
	last, err := b.untilSilent(ctx, count+1)
	if err != nil {
		return nil, err
	}
	measured.Adopted = last.Sub(began).Seconds()
	b.say("  adopted after %.1f s; idle for %s", measured.Adopted, b.pace.idle)
	idle := b.open(operatorName)
	if err := b.pass(ctx, b.pace.idle); err != nil {
		return nil, err
	}
	idle.close()
	measured.IdleSeconds, measured.Idle = idle.seconds(), &idle.requests
	if err := errors.Join(b.mustBeReady(ctx, count+1), b.operator.Stop()); err != nil {
		return nil, err
	}
	return measured, b.measureSizeAgain(ctx, server, measured)
}

// measureSizeAgain restarts the operator with nothing due, and measures its memory.
func (b *bench) measureSizeAgain(ctx context.Context, server *localcluster.Authsim, measured *size) error {
	before, err := server.Ledger(ctx)
	if err != nil {
		return err
	}
	restart := b.open(operatorName)
	if err := b.startOperator(ctx, "--pprof-bind-address="+pprofAddress); err != nil {
		return err
	}
	measured.Synced = time.Since(restart.from).Seconds()
	last, err := b.untilSilent(ctx, measured.Credentials+1)
	if err != nil {
		return err
	}
	restart.close()
	after, err := server.Ledger(ctx)
	if err != nil {
		return err
	}
	measured.Ready, measured.TokenCalls, measured.Restart = last.Sub(restart.from).Seconds(), after.Requests-before.Requests, &restart.requests
	if measured.Memory, err = b.footprint(ctx); err != nil {
		return err
	}
	b.say("  restart: caches after %.1f s, all after %.1f s, %d token calls; live heap %.1f MiB", measured.Synced, measured.Ready,
		measured.TokenCalls, float64(measured.Memory.Live)/(1<<20))
	if measured.Credentials == calmAt {
		if measured.Calm, err = b.measureCalm(ctx, measured.Credentials); err != nil {
			return err
		}
	}
	return b.operator.Stop()
}

// measureCalm asks for one rotation after the other, so many a second.
func (b *bench) measureCalm(ctx context.Context, count int) (*calmRate, error) {
	b.say("  %d rotations a second for %s", b.pace.calmRate, b.pace.calm)
	before, err := b.scrape(ctx)
	if err != nil {
		return nil, err
	}
	window := b.open(operatorName)
	ticker := time.NewTicker(time.Second / time.Duration(b.pace.calmRate))
	defer ticker.Stop()
	for i := 0; time.Since(window.from) < b.pace.calm; i++ {
		<-ticker.C
		if err := b.askForRotation(ctx, i%count); err != nil {
			return nil, err
		}
	}
	if err := b.pass(ctx, time.Second); err != nil {
		return nil, err
	}
	window.close()
	after, err := b.scrape(ctx)
	if err != nil {
		return nil, err
	}
	published := histogram(before, after, "fluent_credential_reply_to_published_seconds")
	done := after.refreshed() - before.refreshed()
	return &calmRate{
		Rate: float64(done) / window.seconds(), Rotations: done, Requests: &window.requests,
		P50: 1000 * quantile(published, 0.5), P99: 1000 * quantile(published, 0.99),
	}, nil
}

func (b *bench) askForRotation(ctx context.Context, i int) error {
	cred := &v1alpha1.FluentCredential{}
	cred.Namespace, cred.Name = keyOf(operated, i).Namespace, keyOf(operated, i).Name
	patch := fmt.Appendf(nil, `{"metadata":{"annotations":{%q:%q}}}`, v1alpha1.RotateAnnotation, time.Now().Format(time.RFC3339Nano))
	return b.admin.Patch(ctx, cred, client.RawPatch(types.MergePatchType, patch))
}

// parseSizes reads a comma list of numbers that grow.
func parseSizes(text string) ([]int, error) {
	var sizes []int
	for word := range strings.SplitSeq(text, ",") {
		count, err := strconv.Atoi(word)
		if err != nil || count < 10 || len(sizes) > 0 && count <= sizes[len(sizes)-1] {
			return nil, fmt.Errorf("--sizes is to be a list of numbers that grow, from 10 on: %q", text)
		}
		sizes = append(sizes, count)
	}
	return sizes, nil
}
