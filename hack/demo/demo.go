package main

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/fluent-credential/operator/hack/localcluster"
)

// Names in the story; the manifests have them too.
const (
	namespace      = "shop"
	credentialName = "orders"
	targetName     = "orders-token"

	operatorName  = "fluent-credential-operator" // of the user that the operator is, and of its role
	tokenLifetime = 30 * time.Second
)

var (
	//go:embed manifests/login.yaml
	loginManifest string
	//go:embed manifests/credential.yaml
	credentialManifest string
)

// demo is the story and who plays in it.
type demo struct {
	screen    *screen
	rotations int64 // to end after; 0: never
	began     time.Time

	cluster  *localcluster.Cluster
	visitor  *localcluster.User // who calls kubectl
	server   *localcluster.Authsim
	operator *localcluster.Operator
	changes  <-chan change
	told     moment // the credential as it was told last
}

// play tells the story from its beginning to its end, and leaves nothing behind.
func (d *demo) play(ctx context.Context) (err error) {
	d.began = time.Now()
	if err := d.raise(); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, d.cluster.Stop()) }()
	ctx, stop := context.WithCancel(ctx)
	defer stop() // the watches, before the API server goes
	chapters := []func(context.Context) error{d.meet, d.install, d.operate, d.look, d.apply, d.live}
	for _, chapter := range chapters {
		if err := chapter(ctx); err != nil {
			d.explain(ctx, err)
			return err
		}
	}
	// Ctrl-C has ended the chapter before; this one is short and is told all the same.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 30*time.Second)
	defer cancel()
	return d.finish(ctx)
}

// explain shows the operator's last words, unless it was a person who ended the story.
func (d *demo) explain(ctx context.Context, err error) {
	if d.operator == nil || ctx.Err() != nil && errors.Is(err, context.Canceled) {
		return
	}
	d.screen.failure("The end of the operator's log:", d.operator.LastLines(20))
}

// raise starts the control plane.
func (d *demo) raise() error {
	d.screen.chapter("A control plane: etcd and kube-apiserver")
	cluster, err := localcluster.Start(localcluster.Options{Name: "fluent-demo"})
	if err != nil {
		return err
	}
	d.cluster = cluster
	d.screen.note("up after %.1f s; its files are in %s", time.Since(d.began).Seconds(), cluster.Dir)
	return nil
}

// meet starts the authorization server.
func (d *demo) meet(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	d.screen.chapter("An authentication API, simulated: a refresh token works once")
	server, err := d.cluster.StartAuthsim("authsim",
		"--token-lifetime="+tokenLifetime.String(), "--kill-on-refresh",
		"--client=fluent-api", "--client-secret=demo-client-secret", "--user=fluent-api", "--password=demo-password")
	if err != nil {
		return err
	}
	d.server = server
	d.screen.note("%s; its tokens live for %s, and the old one dies at the refresh", server.URL, tokenLifetime)
	return nil
}

// install puts the CRD into the cluster, and the role that the operator needs.
func (d *demo) install(ctx context.Context) error {
	visitor, err := d.cluster.AddUser("visitor", namespace, localcluster.Admin)
	if err != nil {
		return err
	}
	d.visitor = visitor
	d.screen.chapter("The operator")
	if err := d.kubectl(ctx, "apply", "-f", "config/crd/bases", "-f", "config/rbac/role.yaml"); err != nil {
		return err
	}
	if err := d.kubectl(ctx, "create", "namespace", localcluster.OperatorNamespace); err != nil {
		return err
	}
	return d.kubectl(ctx, "create", "clusterrolebinding", operatorName, "--clusterrole="+operatorName, "--user="+operatorName)
}

// operate starts the operator, with its role and no more.
func (d *demo) operate(ctx context.Context) error {
	user, err := d.cluster.AddUser(operatorName, "")
	if err != nil {
		return err
	}
	d.operator, err = d.cluster.StartOperator(ctx, user, "--zap-encoder=console", "--zap-time-encoding=iso8601")
	if err != nil {
		return err
	}
	d.screen.note("bin/%s is ready; it logs to %s", operatorName, d.operator.Log)
	return nil
}

// look starts to watch before there is anything to see, so that nothing is missed.
func (d *demo) look(ctx context.Context) error {
	changes, err := watch(ctx, d.visitor.Config)
	d.changes = changes
	return err
}

// apply hands over a login and asks for a credential.
func (d *demo) apply(ctx context.Context) error {
	d.screen.chapter("A login, and a FluentCredential that uses it")
	login, credential := filepath.Join(d.cluster.Dir, "login.yaml"), filepath.Join(d.cluster.Dir, "credential.yaml")
	wanted := strings.ReplaceAll(credentialManifest, "{baseURL}", d.server.URL)
	if err := os.WriteFile(login, []byte(loginManifest), 0o600); err != nil {
		return err
	}
	if err := os.WriteFile(credential, []byte(wanted), 0o600); err != nil {
		return err
	}
	d.screen.command("cat " + credential)
	d.screen.block(wanted)
	if err := d.kubectl(ctx, "create", "namespace", namespace); err != nil {
		return err
	}
	return d.kubectl(ctx, "apply", "-f", login, "-f", credential)
}

// kubectl shows a command, runs it and shows what it prints.
func (d *demo) kubectl(ctx context.Context, args ...string) error {
	command := "kubectl " + strings.Join(args, " ")
	d.screen.command(command)
	environment := []string{
		"KUBECONFIG=" + d.visitor.Kubeconfig,
		"KUBECACHEDIR=" + filepath.Join(d.cluster.Dir, "cache"), "KUBERC=off", // nothing in the home directory is read or written
	}
	out, err := localcluster.Run(ctx, environment, d.cluster.Kubectl, args...)
	d.screen.block(out)
	if err != nil {
		return fmt.Errorf("%s: %w", command, err)
	}
	return nil
}

// invite says how to look at it from a second terminal.
func (d *demo) invite() {
	kubectl := d.cluster.Kubectl
	if here, err := os.Getwd(); err == nil {
		if relative, err := filepath.Rel(here, kubectl); err == nil && filepath.IsLocal(relative) {
			kubectl = relative
		}
	}
	look := "KUBECONFIG=" + d.visitor.Kubeconfig + " " + kubectl
	d.screen.chapter("Look at it from a second terminal")
	d.screen.command(look + " get fcred -w")
	d.screen.command(look + " delete secret " + targetName + d.screen.in(faint, "   # restored, and nothing is spent for it"))
	d.screen.command(look + " annotate fcred orders --overwrite auth.fluent-credential.dev/rotate=$RANDOM" +
		d.screen.in(faint, "   # a new token now"))
}
