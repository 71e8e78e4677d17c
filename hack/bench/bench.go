package main

import (
	"context"
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

// bench is one run.
type bench struct {
	options options
	pace    pace
	began   time.Time

	cluster      *localcluster.Cluster
	admin        client.Client
	adminUser    *localcluster.User
	operatorUser *localcluster.User
	bareUser     *localcluster.User
	operator     *localcluster.Operator

	// Three servers, between which the credentials move: tokens that live for a day, for a steady rate, and hardly at all.
	restful, steady, pressing *localcluster.Authsim

	windows []*window
	results results
}

// measure runs all phases, and leaves nothing behind.
func measure(ctx context.Context, options options) (_ *results, err error) {
	b := &bench{options: options, pace: options.pace(), began: time.Now()}
	b.results = newResults(options)
	cluster, err := localcluster.Start(localcluster.Options{
		Name: "fluent-bench", Files: map[string]string{auditPolicyFile: auditPolicy}, APIServerFlags: auditFlags, EtcdFlags: etcdFlags,
	})
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, cluster.Stop()) }()
	b.cluster = cluster
	phases := []func(context.Context) error{
		b.setUp, b.measureEmpty, b.populate, b.measureIdle, b.measureRestart, b.measureSteady, b.measureThroughput, b.tallyAudit, b.judge,
	}
	for _, phase := range phases {
		if err := phase(ctx); err != nil {
			return nil, errors.Join(err, b.lastWords(ctx))
		}
	}
	return &b.results, nil
}

// lastWords is the end of the operator's log, unless it was a person who ended the run.
func (b *bench) lastWords(ctx context.Context) error {
	if b.operator == nil || ctx.Err() != nil {
		return nil
	}
	return fmt.Errorf("the end of the operator's log:\n%s", b.operator.LastLines(5))
}

// say tells what goes on.
func (b *bench) say(format string, args ...any) {
	fmt.Fprintf(os.Stderr, "[%4.0f s] %s\n", time.Since(b.began).Seconds(), fmt.Sprintf(format, args...))
}

// setUp installs what the operator needs, and starts the servers.
func (b *bench) setUp(ctx context.Context) error {
	if err := b.install(ctx); err != nil {
		return err
	}
	return b.startServers()
}

func (b *bench) install(ctx context.Context) error {
	b.say("control plane: up; installing the CRD and the role")
	if err := b.addUsers(); err != nil {
		return err
	}
	for _, command := range []string{
		"apply -f config/crd/bases -f config/rbac/role.yaml",
		"create clusterrolebinding bench --clusterrole=fluent-credential-operator --user=" + operatorName + " --user=" + bareName,
		"create namespace " + localcluster.OperatorNamespace,
		"wait --for=condition=Established crd/fluentcredentials.auth.fluent-credential.dev crd/fluenttokens.auth.fluent-credential.dev",
	} {
		if err := b.kubectl(ctx, command); err != nil {
			return err
		}
	}
	return b.createNamespaces(ctx)
}

func (b *bench) addUsers() (err error) {
	if b.adminUser, err = b.cluster.AddUser("admin", "", localcluster.Admin); err != nil {
		return err
	}
	if b.operatorUser, err = b.cluster.AddUser(operatorName, ""); err != nil {
		return err
	}
	if b.bareUser, err = b.cluster.AddUser(bareName, ""); err != nil {
		return err
	}
	b.admin, err = newClient(b.adminUser)
	return err
}

// newClient is a client without a cache; for Secrets it speaks protobuf, as the operator's does.
func newClient(user *localcluster.User) (client.Client, error) {
	scheme := runtime.NewScheme()
	if err := errors.Join(corev1.AddToScheme(scheme), v1alpha1.AddToScheme(scheme)); err != nil {
		return nil, err
	}
	return client.New(user.Config, client.Options{Scheme: scheme})
}

func (b *bench) kubectl(ctx context.Context, command string) error {
	environment := []string{"KUBECONFIG=" + b.adminUser.Kubeconfig, "KUBECACHEDIR=" + b.cluster.Dir + "/cache", "KUBERC=off"}
	out, err := localcluster.Run(ctx, environment, b.cluster.Kubectl, strings.Fields(command)...)
	if err != nil {
		return fmt.Errorf("kubectl %s: %w\n%s", command, err, out)
	}
	return nil
}

func (b *bench) startServers() (err error) {
	steadyLife, pressingLife := lifeFor(b.options.credentials, b.pace.rate), lifeFor(b.options.credentials, pressingRate)
	if b.restful, err = b.startServer("restful", restfulLife); err != nil {
		return err
	}
	if b.steady, err = b.startServer("steady", steadyLife); err != nil {
		return err
	}
	b.pressing, err = b.startServer("pressing", pressingLife)
	return err
}

func (b *bench) startServer(name string, life time.Duration) (*localcluster.Authsim, error) {
	args := []string{"--token-lifetime=" + life.String(), "--client=" + clientID, "--client-secret=" + clientSecret}
	for i := range b.options.credentials {
		args = append(args, "--user="+userName(i), "--password="+password)
	}
	return b.cluster.StartAuthsim(name, append(args, "--user="+bareName, "--password="+password)...)
}

// startOperator starts the operator anew.
func (b *bench) startOperator(ctx context.Context, args ...string) error {
	operator, err := b.cluster.StartOperator(ctx, b.operatorUser, args...)
	b.operator = operator
	return err
}

// until waits until something holds.
func (b *bench) until(ctx context.Context, what string, most time.Duration, holds func() (bool, error)) error {
	ctx, cancel := context.WithTimeout(ctx, most)
	defer cancel()
	err := b.operator.Until(ctx, pollEvery, holds)
	if err != nil && errors.Is(err, ctx.Err()) {
		return fmt.Errorf("waiting until %s: %w", what, err)
	}
	return err
}

// patience is how long the operator may take for something that concerns every credential.
func (b *bench) patience() time.Duration {
	return 2*time.Minute + time.Duration(b.options.credentials)*200*time.Millisecond
}

// pollEvery is how often is looked whether something holds.
const pollEvery = 250 * time.Millisecond

// pass lets time pass.
func (b *bench) pass(ctx context.Context, duration time.Duration) error {
	timer := time.NewTimer(duration)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	case <-b.operator.Done():
		return b.operator.Ended()
	}
}
