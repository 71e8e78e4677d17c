package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/fluent-credential/operator/api/v1alpha1"
	"github.com/fluent-credential/operator/hack/localcluster"
)

// plant is a control plane with the operator's CRD and role in it, on which stages are put up.
type plant struct {
	cluster  *localcluster.Cluster
	admin    client.WithWatch // past all proxies
	config   *rest.Config     // the administrator's
	operator *localcluster.User
	kubectl  []string // its environment
	identity *identity
}

// operatorName is the user that the operator is, and the name of its role.
const operatorName = "fluent-credential-operator"

func newPlant(ctx context.Context) (_ *plant, err error) {
	cluster, err := localcluster.Start(localcluster.Options{Name: "fluent-chaos"})
	if err != nil {
		return nil, err
	}
	p := &plant{cluster: cluster}
	defer func() {
		if err != nil {
			err = errors.Join(err, cluster.Stop())
		}
	}()
	if p.identity, err = newIdentity(); err != nil {
		return nil, err
	}
	if err := p.addUsers(); err != nil {
		return nil, err
	}
	return p, p.install(ctx)
}

func (p *plant) addUsers() error {
	visitor, err := p.cluster.AddUser("admin", "", localcluster.Admin)
	if err != nil {
		return err
	}
	p.kubectl = []string{"KUBECONFIG=" + visitor.Kubeconfig, "KUBECACHEDIR=" + p.cluster.Dir + "/cache", "KUBERC=off"}
	if p.operator, err = p.cluster.AddUser(operatorName, ""); err != nil {
		return err
	}
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{
		authenticationv1.AddToScheme, corev1.AddToScheme, eventsv1.AddToScheme, rbacv1.AddToScheme, v1alpha1.AddToScheme,
	} {
		if err := add(scheme); err != nil {
			return err
		}
	}
	p.config = visitor.Config
	p.admin, err = client.NewWithWatch(visitor.Config, client.Options{Scheme: scheme})
	return err
}

// install gives the operator what its manifests give it: the role, and the right to hold a lease.
func (p *plant) install(ctx context.Context) error {
	for _, command := range []string{
		"apply -f config/crd/bases -f config/rbac/role.yaml",
		"create clusterrolebinding " + operatorName + " --clusterrole=" + operatorName + " --user=" + operatorName,
		"create clusterrole lease --verb=get,list,watch,create,update,patch,delete --resource=leases.coordination.k8s.io",
		"create clusterrolebinding lease --clusterrole=lease --user=" + operatorName,
		"wait --for=condition=Established crd/fluentcredentials.auth.fluent-credential.dev",
	} {
		if err := p.run(ctx, command); err != nil {
			return err
		}
	}
	return nil
}

// run runs kubectl as the administrator.
func (p *plant) run(ctx context.Context, command string) error {
	out, err := localcluster.Run(ctx, p.kubectl, p.cluster.Kubectl, strings.Fields(command)...)
	if err != nil {
		return fmt.Errorf("kubectl %s: %w\n%s", command, err, out)
	}
	return nil
}

// installWhole installs the release: the operator is its ServiceAccount then, and the admission policies hold.
func (p *plant) installWhole(ctx context.Context) error {
	if err := p.run(ctx, "apply --server-side --force-conflicts -f dist/install.yaml"); err != nil {
		return err
	}
	account := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: localcluster.OperatorNamespace, Name: operatorName}}
	request := &authenticationv1.TokenRequest{}
	if err := p.admin.SubResource("token").Create(ctx, account, request); err != nil {
		return err
	}
	p.operator = &localcluster.User{Config: &rest.Config{
		Host: p.operator.Config.Host, BearerToken: request.Status.Token, QPS: -1,
		TLSClientConfig: rest.TLSClientConfig{CAData: p.operator.Config.CAData},
	}}
	probe := &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Namespace: localcluster.OperatorNamespace, Name: "probe"}, Type: v1alpha1.StateSecretType,
	}
	return until(ctx, time.Minute, "the admission policies are enforced", func(ctx context.Context) (string, error) {
		err := p.admin.Create(ctx, probe.DeepCopy(), client.DryRunAll)
		if apierrors.IsForbidden(err) {
			return "", nil
		}
		return "a state Secret by another author is admitted", err
	})
}
