package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/fluent-credential/operator/api/v1alpha1"
	"github.com/fluent-credential/operator/hack/localcluster"
)

// fewConsumers is the level at which a namespace begins to refuse.
const fewConsumers = 100

var shared = types.NamespacedName{Namespace: "shared", Name: "shared"}

// measureDistribution has a control plane of its own.
func measureDistribution(ctx context.Context, options options) (_ *distribution, err error) {
	b := &bench{options: options, pace: options.pace(), began: time.Now()}
	cluster, err := localcluster.Start(localcluster.Options{
		Name: "fluent-bench", Files: map[string]string{auditPolicyFile: auditPolicy}, APIServerFlags: auditFlags,
	})
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, cluster.Stop()) }()
	b.cluster = cluster
	found := &distribution{}
	phases := []func(context.Context) error{
		b.setUpDistribution,
		func(ctx context.Context) error { return b.measureLevels(ctx, found) },
		b.tallyAudit,
	}
	for _, phase := range phases {
		if err := phase(ctx); err != nil {
			return nil, errors.Join(err, b.lastWords(ctx))
		}
	}
	for i := range found.Levels {
		found.Levels[i].requests = found.Levels[i].allTurns()
	}
	return found, nil
}

// setUpDistribution installs what the operator needs, and one credential that permits every namespace with a label.
func (b *bench) setUpDistribution(ctx context.Context) error {
	b.say("distribution: one credential, up to %d namespaces", b.options.consumers)
	if err := b.addUsers(); err != nil {
		return err
	}
	for _, command := range []string{
		"apply -f config/crd/bases -f config/rbac/role.yaml",
		"create clusterrolebinding bench --clusterrole=fluent-credential-operator --user=" + operatorName,
		"create namespace " + localcluster.OperatorNamespace,
		"create namespace " + shared.Namespace,
		"wait --for=condition=Established crd/fluentcredentials.auth.fluent-credential.dev crd/fluenttokens.auth.fluent-credential.dev",
	} {
		if err := b.kubectl(ctx, command); err != nil {
			return err
		}
	}
	server, err := b.cluster.StartAuthsim("shared", "--token-lifetime="+restfulLife.String(),
		"--client="+clientID, "--client-secret="+clientSecret, "--user="+userName(0), "--password="+password)
	if err != nil {
		return err
	}
	b.restful = server
	if err := b.createShared(ctx); err != nil {
		return err
	}
	if err := b.startOperator(ctx); err != nil {
		return err
	}
	return b.until(ctx, "the credential is ready", time.Minute, func() (bool, error) {
		now, err := b.scrape(ctx)
		return now.sum("fluent_credential_ready") == 1, err
	})
}

// consumersLabel is on the namespaces that the credential permits.
var consumersLabel = map[string]string{"tokens": "shared"}

func (b *bench) createShared(ctx context.Context) error {
	login := &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Namespace: shared.Namespace, Name: shared.Name + "-login"},
		StringData: map[string]string{
			v1alpha1.UsernameKey: userName(0), v1alpha1.PasswordKey: password,
			v1alpha1.ClientIDKey: clientID, v1alpha1.ClientSecretKey: clientSecret,
		},
	}
	if err := b.admin.Create(ctx, login); err != nil {
		return err
	}
	cred := newCredential(shared, b.restful.URL)
	cred.Spec.AllowedNamespaces = &v1alpha1.AllowedNamespaces{Selector: &metav1.LabelSelector{MatchLabels: consumersLabel}}
	return b.admin.Create(ctx, cred)
}

// measureLevels grows the number of consumers; at the first, one namespace refuses every write now and then.
func (b *bench) measureLevels(ctx context.Context, found *distribution) (err error) {
	few := min(fewConsumers, b.options.consumers)
	if found.Memory.Without, err = b.settledMemory(ctx); err != nil {
		return err
	}
	if err := b.addConsumers(ctx, 0, few); err != nil {
		return err
	}
	if err := b.measureRefusal(ctx, found, few); err != nil {
		return err
	}
	if b.options.consumers == few {
		return nil
	}
	if err := b.addConsumers(ctx, few, b.options.consumers); err != nil {
		return err
	}
	all := level{Consumers: b.options.consumers}
	if err := b.measureTurn(ctx, &all, b.pace.distributions/4); err != nil {
		return err
	}
	found.Levels = append(found.Levels, all)
	found.Memory.With, err = b.settledMemory(ctx)
	return err
}

func consumerNamespace(i int) string { return fmt.Sprintf("consumer-%04d", i) }

// addConsumers makes the namespaces from one number to another, with a FluentToken in each, and waits until all have the token.
func (b *bench) addConsumers(ctx context.Context, from, to int) error {
	b.say("distribution: %d consumers", to)
	err := each(ctx, to-from, func(ctx context.Context, i int) error {
		name := consumerNamespace(from + i)
		if err := b.admin.Create(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: consumersLabel}}); err != nil {
			return err
		}
		return b.admin.Create(ctx, &v1alpha1.FluentToken{
			ObjectMeta: metav1.ObjectMeta{Namespace: name, Name: shared.Name},
			Spec:       v1alpha1.FluentTokenSpec{CredentialRef: v1alpha1.CredentialReference(shared)},
		})
	})
	if err != nil {
		return err
	}
	return b.until(ctx, "every consumer has the token", 5*time.Minute, func() (bool, error) {
		now, err := b.scrape(ctx)
		return int(now.sum("fluent_credential_consumer_ready")) == to, err
	})
}

// measureTurn rotates so many times, one after another, and looks in the end who has the newest token.
func (b *bench) measureTurn(ctx context.Context, at *level, rotations int) error {
	b.say("distribution: %d rotations for %d consumers, %d of which refuse", rotations, at.Consumers, at.Refusing)
	if err := b.untilStill(ctx); err != nil {
		return err
	}
	before, err := b.restful.Ledger(ctx)
	if err != nil {
		return err
	}
	turn := b.open(operatorName)
	for range rotations {
		took, err := b.rotateShared(ctx)
		if err != nil {
			return err
		}
		at.Seconds = append(at.Seconds, took)
	}
	turn.close()
	slices.Sort(at.Seconds)
	after, err := b.restful.Ledger(ctx)
	if err != nil {
		return err
	}
	behind, err := b.behind(ctx)
	at.Rotations, at.Exchanges, at.windows = at.Rotations+rotations, at.Exchanges+after.Requests-before.Requests, append(at.windows, turn)
	at.Behind = max(at.Behind, behind)
	return err
}

const (
	distributedSum   = "fluent_credential_reply_to_distributed_seconds_sum"
	distributedCount = "fluent_credential_reply_to_distributed_seconds_count"
)

// rotateShared asks for a new token, and returns how long the last consumer waited for it, as the operator measured.
func (b *bench) rotateShared(ctx context.Context) (float64, error) {
	before, err := b.scrape(ctx)
	if err != nil {
		return 0, err
	}
	cred := &v1alpha1.FluentCredential{ObjectMeta: metav1.ObjectMeta{Namespace: shared.Namespace, Name: shared.Name}}
	asked := strconv.FormatInt(time.Now().UnixNano(), 10)
	patch := fmt.Appendf(nil, `{"metadata":{"annotations":{%q:%q}}}`, v1alpha1.RotateAnnotation, asked)
	if err := b.admin.Patch(ctx, cred, client.RawPatch(types.MergePatchType, patch)); err != nil {
		return 0, err
	}
	var now metrics
	err = b.until(ctx, "it is distributed", time.Minute, func() (bool, error) {
		now, err = b.scrape(ctx)
		return now.sum(distributedCount) > before.sum(distributedCount), err
	})
	if err != nil {
		return 0, err
	}
	return now.sum(distributedSum) - before.sum(distributedSum), b.untilStill(ctx)
}

// untilStill waits until the statuses are written: in life, the next rotation is minutes away.
func (b *bench) untilStill(ctx context.Context) error {
	last := -1.0
	return b.until(ctx, "the statuses are written", time.Minute, func() (bool, error) {
		now, err := b.scrape(ctx)
		requests := now.sum("rest_client_requests_total")
		still := requests == last
		last = requests
		return still, err
	})
}

// behind counts the consumers' Secrets that do not hold the newest token.
func (b *bench) behind(ctx context.Context) (int, error) {
	own, list := &metav1.PartialObjectMetadata{}, &metav1.PartialObjectMetadataList{}
	own.SetGroupVersionKind(corev1.SchemeGroupVersion.WithKind("Secret"))
	list.SetGroupVersionKind(corev1.SchemeGroupVersion.WithKind("SecretList"))
	key := types.NamespacedName{Namespace: shared.Namespace, Name: shared.Name + "-token"}
	if err := errors.Join(b.admin.Get(ctx, key, own), b.admin.List(ctx, list, client.HasLabels{v1alpha1.TokenLabel})); err != nil {
		return 0, err
	}
	behind := 0
	for i := range list.Items {
		if list.Items[i].Annotations[v1alpha1.SerialAnnotation] != own.Annotations[v1alpha1.SerialAnnotation] {
			behind++
		}
	}
	return behind, nil
}
