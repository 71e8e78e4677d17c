package alerting

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/fluent-credential/operator/api/v1alpha1"
	"github.com/fluent-credential/operator/hack/localcluster"
)

const (
	namespace    = "shop"
	consumer     = "web"                        // the namespace of the FluentTokens
	operatorName = "fluent-credential-operator" // of the user that the operator is, and of its role
	password     = "the-right-password"
	clientSecret = "a-client-secret"
)

// stage is a control plane, the operator, authorization servers, and a Prometheus that watches.
type stage struct {
	t          *testing.T
	began      time.Time
	cluster    *localcluster.Cluster
	admin      client.Client
	kubeconfig string
	operator   *localcluster.Operator
	asOperator *localcluster.User
	stopped    bool   // the operator was told to end
	metrics    string // the operator's address, which outlives a restart
	prometheus *localcluster.Prometheus
	turns      []mark
}

func must[T any](t *testing.T) func(T, error) T {
	return func(value T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return value
	}
}

// newStage starts everything.
func newStage(t *testing.T) *stage {
	t.Helper()
	cluster := must[*localcluster.Cluster](t)(localcluster.Start(localcluster.Options{Name: "fluent-alerting"}))
	t.Cleanup(func() {
		if err := cluster.Stop(); err != nil {
			t.Error(err)
		}
	})
	admin := must[*localcluster.User](t)(cluster.AddUser("admin", namespace, localcluster.Admin))
	s := &stage{t: t, cluster: cluster, kubeconfig: admin.Kubeconfig, metrics: freeAddress(t), began: time.Now()}
	scheme := runtime.NewScheme()
	if err := errors.Join(corev1.AddToScheme(scheme), v1alpha1.AddToScheme(scheme)); err != nil {
		t.Fatal(err)
	}
	s.admin = must[client.Client](t)(client.New(admin.Config, client.Options{Scheme: scheme}))
	s.asOperator = must[*localcluster.User](t)(cluster.AddUser(operatorName, ""))
	for _, command := range []string{
		"apply -f " + root + "/config/crd/bases -f " + root + "/config/rbac/role.yaml",
		"create clusterrolebinding " + operatorName + " --clusterrole=" + operatorName + " --user=" + operatorName,
		"create namespace " + localcluster.OperatorNamespace,
		"create namespace " + namespace,
		"create namespace " + consumer,
		"wait --for=condition=Established crd/fluentcredentials.auth.fluent-credential.dev crd/fluenttokens.auth.fluent-credential.dev",
	} {
		s.kubectl(strings.Fields(command)...)
	}
	s.startOperator()
	s.startPrometheus()
	return s
}

func freeAddress(t *testing.T) string {
	t.Helper()
	listener := must[net.Listener](t)(net.Listen("tcp", "127.0.0.1:0"))
	defer listener.Close() //nolint:errcheck // it was never used
	return listener.Addr().String()
}

// turn tells a turn of the story; the plots show when it came.
func (s *stage) turn(text string) {
	s.say("%s", text)
	s.turns = append(s.turns, mark{At: time.Now(), Text: text})
}

// say tells what goes on.
func (s *stage) say(format string, args ...any) {
	fmt.Fprintf(os.Stderr, "[%4.0f s] %s\n", time.Since(s.began).Seconds(), fmt.Sprintf(format, args...))
}

// environment is that of kubectl: our cluster, and nothing of the person who runs the test.
func (s *stage) environment() []string {
	return []string{"KUBECONFIG=" + s.kubeconfig, "KUBECACHEDIR=" + s.cluster.Dir + "/cache", "KUBERC=off"}
}

func (s *stage) kubectl(args ...string) string {
	s.t.Helper()
	out, err := localcluster.Run(s.t.Context(), s.environment(), s.cluster.Kubectl, args...)
	if err != nil {
		s.t.Fatalf("kubectl %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return out
}

func (s *stage) startOperator() {
	s.t.Helper()
	s.operator = must[*localcluster.Operator](s.t)(s.cluster.StartOperator(s.t.Context(), s.asOperator, "--metrics-bind-address="+s.metrics))
	s.stopped = false
}

// startPrometheus scrapes the operator each second, as the ServiceMonitor has it: with the labels of the pod, and with those of the
// operator before them.
func (s *stage) startPrometheus() {
	s.t.Helper()
	hastened(s.t, readRules(s.t)).write(s.t, filepath.Join(s.cluster.Dir, "rules.yaml"))
	path := filepath.Join(s.cluster.Dir, "prometheus.yaml")
	config := fmt.Sprintf(`
global: {scrape_interval: 1s, scrape_timeout: 1s, evaluation_interval: 1s}
rule_files: [rules.yaml]
scrape_configs:
  - job_name: fluent-credential-operator-metrics
    honor_labels: true
    static_configs:
      - targets: [%q]
        labels: {namespace: %s, pod: fluent-credential-operator-0, service: fluent-credential-operator-metrics}
`, s.metrics, localcluster.OperatorNamespace)
	if err := os.WriteFile(path, []byte(config), 0o600); err != nil {
		s.t.Fatal(err)
	}
	s.prometheus = must[*localcluster.Prometheus](s.t)(s.cluster.StartPrometheus(s.t.Context(), *prometheus, path))
}

var ranges = regexp.MustCompile(`\[\d+[mh]\]`)

// hastened are the same rules for people in a hurry: none waits for more than a second, and none looks back for more than a minute.
func hastened(t *testing.T, rules ruleFile) ruleFile {
	t.Helper()
	const hour = "< 3600"
	found := false
	for i := range rules.Groups {
		for j := range rules.Groups[i].Rules {
			alert := &rules.Groups[i].Rules[j]
			if alert.For != "" {
				alert.For = "1s"
			}
			found = found || strings.Contains(alert.Expr, hour)
			alert.Expr = strings.ReplaceAll(ranges.ReplaceAllString(alert.Expr, "[40s]"), hour, "< 60")
		}
	}
	if !found {
		t.Fatalf("no rule says %q any more: a lost reply would be told for longer than this test lasts", hour)
	}
	return rules
}

// startServer starts an authorization server. Each user is of one credential.
func (s *stage) startServer(name, life string, args ...string) *localcluster.Authsim {
	s.t.Helper()
	args = append([]string{"--token-lifetime=" + life, "--client=fluent", "--client-secret=" + clientSecret}, args...)
	for _, user := range []string{"one", "two", "three", "four", "five"} {
		args = append(args, "--user="+user, "--password="+password)
	}
	return must[*localcluster.Authsim](s.t)(s.cluster.StartAuthsim(name, args...))
}

// apply creates a credential and its login.
func (s *stage) apply(name, user, secret string, provider v1alpha1.ProviderSpec) {
	s.t.Helper()
	login := &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name + "-login"},
		StringData: map[string]string{
			v1alpha1.UsernameKey: user, v1alpha1.PasswordKey: secret, v1alpha1.ClientIDKey: "fluent", v1alpha1.ClientSecretKey: clientSecret,
		},
	}
	cred := &v1alpha1.FluentCredential{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name},
		Spec: v1alpha1.FluentCredentialSpec{
			Provider: provider, CredentialsSecretRef: v1alpha1.CredentialsSecretReference{Name: login.Name},
			Target: v1alpha1.TargetSpec{Name: name + "-token"},
		},
	}
	for _, object := range []client.Object{login, cred} {
		if err := s.admin.Create(s.t.Context(), object); err != nil {
			s.t.Fatal(err)
		}
	}
}

// consume creates a FluentToken for a credential, of the same name.
func (s *stage) consume(name string) {
	s.t.Helper()
	err := s.admin.Create(s.t.Context(), &v1alpha1.FluentToken{
		ObjectMeta: metav1.ObjectMeta{Namespace: consumer, Name: name},
		Spec:       v1alpha1.FluentTokenSpec{CredentialRef: v1alpha1.CredentialReference{Namespace: namespace, Name: name}},
	})
	if err != nil {
		s.t.Fatal(err)
	}
}

// login changes an entry of a login.
func (s *stage) login(name, key, value string) {
	s.t.Helper()
	s.kubectl("patch", "secret", name+"-login", "--type=merge", "-p", fmt.Sprintf(`{"stringData":{%q:%q}}`, key, value))
}

func fluent(at *localcluster.Authsim) v1alpha1.ProviderSpec {
	return v1alpha1.ProviderSpec{Fluent: &v1alpha1.FluentProvider{BaseURL: v1alpha1.BaseURL(at.URL)}}
}

// ended is closed when the operator has ended without being told to.
func (s *stage) ended() <-chan struct{} {
	if s.stopped {
		return nil
	}
	return s.operator.Done()
}

func (s *stage) stopOperator() {
	s.t.Helper()
	s.stopped = true
	if err := s.operator.Stop(); err != nil {
		s.t.Fatal(err)
	}
}

// await looks once a second until it is so. The deadline is there for a machine that will never get there.
func (s *stage) await(what string, so func() (bool, any)) {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.t.Context(), 4*time.Minute)
	defer cancel()
	ticker := time.NewTicker(time.Second)
	defer ticker.Stop()
	for {
		is, seen := so()
		if is {
			s.say("%s: %v", what, seen)
			return
		}
		select {
		case <-ticker.C:
		case <-s.ended():
			s.t.Fatalf("%s: %v\n%s", what, s.operator.Ended(), s.operator.LastLines(20))
		case <-ctx.Done():
			s.t.Fatalf("%s: not after 4 minutes; %v\n%s", what, seen, s.kubectl("get", "fcred", "-A", "-o", "wide"))
		}
	}
}

// awaitFiring waits until an alert fires about somebody.
func (s *stage) awaitFiring(alert, about string) {
	s.t.Helper()
	s.await(alert+" fires about "+about, func() (bool, any) {
		fires := firing(s.t, s.prometheus)
		for _, whom := range fires[alert] {
			if whom == about {
				return true, fires[alert]
			}
		}
		return false, fires
	})
	s.mustBeWellTold()
}

// mustBeWellTold holds that what people are told by the alerts is whole.
func (s *stage) mustBeWellTold() {
	s.t.Helper()
	for _, alert := range alerts(s.t, s.prometheus) {
		for name, text := range alert.Annotations {
			if text == "" || strings.Contains(text, "<error") || strings.Contains(text, "<no value>") {
				s.t.Errorf("the %s of %s is %q", name, alert.Labels["alertname"], text)
			}
		}
	}
}

// awaitRest waits until nothing is about to be sent for these credentials: a server that stops then leaves no reply in doubt.
func (s *stage) awaitRest(names ...string) {
	s.t.Helper()
	const margin = 3 * time.Second
	s.await("no refresh is near", func() (bool, any) {
		cred := &v1alpha1.FluentCredential{}
		for _, name := range names {
			if err := s.admin.Get(s.t.Context(), client.ObjectKey{Namespace: namespace, Name: name}, cred); err != nil {
				return false, err
			}
			if next := cred.Status.NextRefreshTime; next == nil || time.Until(next.Time) < margin {
				return false, name
			}
		}
		return true, names
	})
}

// awaitSilence waits until no alert fires.
func (s *stage) awaitSilence() {
	s.t.Helper()
	s.await("all is silent", func() (bool, any) {
		fires := firing(s.t, s.prometheus)
		return len(fires) == 0, fires
	})
}
