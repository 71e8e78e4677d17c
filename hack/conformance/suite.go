package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/fluent-credential/operator/api/v1alpha1"
	"github.com/fluent-credential/operator/hack/localcluster"
)

// What every server is told, and every login says.
const (
	operatorName = "fluent-credential-operator"
	clientID     = "conformance"
	redirectURI  = "https://client.example/callback"
	tokenLife    = time.Hour // nothing is due by itself: what happens was asked for
)

// suite is one run.
type suite struct {
	options options
	began   time.Time

	cluster      *localcluster.Cluster
	admin        client.Client
	adminUser    *localcluster.User
	operatorUser *localcluster.User
	operator     *localcluster.Operator

	password, clientSecret string
	infected               int // servers that were started for a mutant
}

// judge runs the scenarios against each server, and leaves nothing behind.
func judge(ctx context.Context, options options) (_ *table, err error) {
	s := &suite{options: options, began: time.Now(), password: rand.Text(), clientSecret: rand.Text()}
	cluster, err := localcluster.Start(localcluster.Options{Name: "fluent-conformance"})
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, cluster.Stop()) }()
	s.cluster = cluster
	if err := s.setUp(ctx); err != nil {
		return nil, err
	}
	if options.mutants {
		return nil, s.infectAll(ctx)
	}
	results := &table{scenarios: options.scenarios, rotations: options.rotations}
	for _, server := range options.servers {
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		results.rows = append(results.rows, s.hear(ctx, server))
	}
	results.took = time.Since(s.began)
	return results, ctx.Err()
}

// setUp installs what the operator needs, and starts it with its own role and no more.
func (s *suite) setUp(ctx context.Context) (err error) {
	if s.adminUser, err = s.cluster.AddUser("admin", "", localcluster.Admin); err != nil {
		return err
	}
	if s.operatorUser, err = s.cluster.AddUser(operatorName, ""); err != nil {
		return err
	}
	if s.admin, err = newClient(s.adminUser); err != nil {
		return err
	}
	for _, command := range []string{
		"apply -f config/crd/bases -f config/rbac/role.yaml",
		"create clusterrolebinding conformance --clusterrole=" + operatorName + " --user=" + operatorName,
		"create namespace " + localcluster.OperatorNamespace,
		"wait --for=condition=Established crd/fluentcredentials.auth.fluent-credential.dev",
	} {
		if _, err := s.kubectl(ctx, command); err != nil {
			return err
		}
	}
	return s.startOperator(ctx)
}

// newClient is a client without a cache.
func newClient(user *localcluster.User) (client.Client, error) {
	scheme := runtime.NewScheme()
	if err := errors.Join(corev1.AddToScheme(scheme), v1alpha1.AddToScheme(scheme)); err != nil {
		return nil, err
	}
	return client.New(user.Config, client.Options{Scheme: scheme})
}

func (s *suite) kubectl(ctx context.Context, command string) (string, error) {
	environment := []string{"KUBECONFIG=" + s.adminUser.Kubeconfig, "KUBECACHEDIR=" + s.cluster.Dir + "/cache", "KUBERC=off"}
	out, err := localcluster.Run(ctx, environment, s.cluster.Kubectl, strings.Fields(command)...)
	if err != nil {
		return "", fmt.Errorf("kubectl %s: %w\n%s", command, err, out)
	}
	return out, nil
}

// startOperator starts the operator, or the next one where one has ended.
func (s *suite) startOperator(ctx context.Context) error {
	// These servers take as many requests as come; the thirty a minute that Commerce Layer documents would be an hour's wait.
	operator, err := s.cluster.StartOperator(ctx, s.operatorUser, "--host-rate=60000")
	s.operator = operator
	return err
}

// awaitEnd waits for the operator to end after it was asked to.
func (s *suite) awaitEnd(ctx context.Context) error {
	return happens(ctx, "the operator ends", s.operator.Done())
}

// happens waits until a channel is closed.
func happens(ctx context.Context, what string, channel <-chan struct{}) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	select {
	case <-channel:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("waiting until %s: %w", what, ctx.Err())
	}
}

// say tells what goes on.
func (s *suite) say(format string, args ...any) {
	fmt.Fprintf(os.Stderr, "[%4.0f s] %s\n", time.Since(s.began).Seconds(), fmt.Sprintf(format, args...))
}

// How long anything may take on a busy machine, and how often is looked.
const (
	patience  = 90 * time.Second
	pollEvery = 25 * time.Millisecond
)

// until waits until something holds.
func (s *suite) until(ctx context.Context, holds func() (bool, error)) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	return s.operator.Until(ctx, pollEvery, holds)
}
