package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/fluent-credential/operator/hack/localcluster"
)

// subject is a server at work, with the proxy before it.
type subject struct {
	*suite
	server    server
	namespace string // of its credentials
	process   *localcluster.Server
	proxy     *proxy

	credentials []*credential
	bystander   *credential

	own   counts    // what the judge has done itself, past the operator and the proxy
	heard witnesses // when they were heard last
}

// hear runs every scenario against one server.
func (s *suite) hear(ctx context.Context, wanted server) row {
	began := time.Now()
	s.say("%s", wanted.name)
	result := row{server: wanted, cells: map[string]cell{}}
	subject, err := s.seat(ctx, wanted, wanted.name)
	if err != nil {
		var lacking missing
		result.missing = errors.As(err, &lacking)
		result.err = err
		s.say("%s: %v", wanted.name, err)
		return result
	}
	defer subject.leave()
	result.version = strings.TrimPrefix(subject.process.Version, "v")
	result.err = subject.playAll(ctx, &result)
	result.took = time.Since(began)
	return result
}

// seat starts a server, and the proxy before it.
func (s *suite) seat(ctx context.Context, wanted server, namespace string) (*subject, error) {
	process, err := s.start(ctx, wanted)
	if err != nil {
		return nil, err
	}
	front, err := newProxy(process.URL)
	if err != nil {
		return nil, errors.Join(err, process.Stop())
	}
	return &subject{suite: s, server: wanted, namespace: namespace, process: process, proxy: front}, nil
}

// leave ends both. The server is killed where it does not stop, and nothing of it is needed any more.
func (s *subject) leave() {
	_ = s.proxy.Close()
	_ = s.process.Stop()
}

// open makes the bystander, which every other credential lives beside.
func (s *subject) open(ctx context.Context) error {
	err := s.admin.Create(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: s.namespace}})
	if err != nil {
		return err
	}
	if s.bystander, err = s.logIn(ctx, bystanderName, s.server.right()); err != nil {
		return err
	}
	seen, counted, err := s.hearing(ctx)
	if err == nil {
		err = judged(tally{logins: 1}, seen, counted)
	}
	return err
}

// playAll plays the scenarios one after another, so that what the witnesses say belongs to one.
func (s *subject) playAll(ctx context.Context, into *row) error {
	if err := s.open(ctx); err != nil {
		return fmt.Errorf("the first login of all: %w", err)
	}
	for _, scenario := range s.options.scenarios {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		played := s.play(ctx, scenario)
		into.cells[scenario.name] = played
		s.say("%s: %-17s %s", s.server.name, scenario.name, played.long())
	}
	into.total = s.heard.counted
	return nil
}

// play plays one scenario, and judges it by what both witnesses say happened since the last one.
func (s *subject) play(ctx context.Context, scenario scenario) cell {
	if err := s.recover(ctx); err != nil {
		return cell{err: err}
	}
	permitted, err := scenario.play(s, ctx)
	seen, counted, hearingErr := s.hearing(ctx)
	played := cell{note: permitted.note, counts: counted.plus(permitted.own), notApplicable: permitted.notApplicable, err: errors.Join(err, hearingErr)}
	if played.err == nil {
		played.err = judged(permitted.asked, seen, counted)
	}
	if played.err != nil && ctx.Err() == nil && !s.options.mutants {
		s.say("the end of the operator's log:\n%s", s.operator.LastLines(5))
	}
	return played
}

// recover takes away what a scenario that failed may have left: a fault, or no operator.
func (s *subject) recover(ctx context.Context) error {
	s.proxy.arm(nil)
	select {
	case <-s.operator.Done():
		return s.startOperator(ctx)
	default:
		return nil
	}
}
