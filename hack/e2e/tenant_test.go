//go:build e2e

package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/fluent-credential/operator/api/v1alpha1"
	"github.com/fluent-credential/operator/hack/authsim"
)

// Names in every tenant's namespace.
const (
	serverName = "authsim"
	serverPort = 8443
	loginName  = "orders-login"
	credential = "orders"
	target     = "orders-token"
)

// The one login of every tenant.
var login = map[string]string{
	v1alpha1.UsernameKey: "orders", v1alpha1.PasswordKey: "correct horse", v1alpha1.ClientIDKey: "fluent-api", v1alpha1.ClientSecretKey: "battery staple",
}

// tenant is a namespace with an authorization server, a login and what a scenario puts there.
type tenant struct {
	*cluster
	namespace string
	url       string // of the server, inside of the cluster
	ca        []byte // PEM: who signed the server's certificate
}

// newTenant makes a namespace and starts an authorization server there, as a pod. The namespace is removed after the test.
func newTenant(t *testing.T, c *cluster, name string, serverFlags ...string) *tenant {
	t.Helper()
	tenant := &tenant{cluster: c, namespace: name}
	namespace := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{
		"pod-security.kubernetes.io/enforce": "restricted",
	}}}
	must(t, c.Create(t.Context(), namespace))
	t.Cleanup(func() {
		if !t.Failed() { // else somebody wants to look at it
			_ = c.Delete(context.WithoutCancel(t.Context()), namespace)
		}
	})
	tenant.startServer(t, serverFlags)
	tenant.create(t, &corev1.Secret{ObjectMeta: tenant.meta(loginName), StringData: login})
	return tenant
}

func (s *tenant) meta(name string) metav1.ObjectMeta {
	return metav1.ObjectMeta{Namespace: s.namespace, Name: name, Labels: map[string]string{"app": name}}
}

func (s *tenant) create(t *testing.T, object client.Object) {
	t.Helper()
	must(t, s.Create(t.Context(), object))
}

// startServer makes the Service first: the certificate has to name its address, for there is no DNS.
func (s *tenant) startServer(t *testing.T, flags []string) {
	t.Helper()
	service := &corev1.Service{ObjectMeta: s.meta(serverName), Spec: corev1.ServiceSpec{
		Selector: map[string]string{"app": serverName},
		Ports:    []corev1.ServicePort{{Port: serverPort, TargetPort: intstr.FromInt32(serverPort)}},
	}}
	s.create(t, service)
	s.url = fmt.Sprintf("https://%s:%d", service.Spec.ClusterIP, serverPort)
	certificate, key := selfSigned(t, service.Spec.ClusterIP)
	s.ca = certificate
	s.create(t, &corev1.Secret{ObjectMeta: s.meta("authsim-tls"), Data: map[string][]byte{"tls.crt": certificate, "tls.key": key}})
	s.create(t, &corev1.ConfigMap{ObjectMeta: s.meta("authsim-ca"), Data: map[string]string{"ca.crt": string(certificate)}})
	pod := s.pod(serverName, "localhost/authsim:1", append([]string{
		"--listen=0.0.0.0:8443", "--tls-cert=/tls/tls.crt", "--tls-key=/tls/tls.key",
		"--client=" + login[v1alpha1.ClientIDKey], "--client-secret=" + login[v1alpha1.ClientSecretKey],
		"--user=" + login[v1alpha1.UsernameKey], "--password=" + login[v1alpha1.PasswordKey],
	}, flags...)...)
	mount(pod, "tls", "/tls", corev1.VolumeSource{Secret: &corev1.SecretVolumeSource{SecretName: "authsim-tls"}})
	s.create(t, pod)
	s.awaitPod(t, serverName)
}

// call asks one of the server's control endpoints, by way of the API server's proxy.
func (s *tenant) call(t *testing.T, method, path, body string) []byte {
	t.Helper()
	var answer []byte
	eventually(t, method+" "+path+" of the authorization server", func() (err error) {
		answer, err = s.typed.CoreV1().RESTClient().Verb(method).Namespace(s.namespace).Resource("pods").
			Name(fmt.Sprintf("https:%s:%d", serverName, serverPort)).SubResource("proxy").Suffix(path).Body([]byte(body)).DoRaw(t.Context())
		return err
	})
	return answer
}

// fault tells the server what to do wrong next; see authsim.ParseFault.
func (s *tenant) fault(t *testing.T, text string) {
	t.Helper()
	s.call(t, "POST", "faults", text)
}

func (s *tenant) ledger(t *testing.T) authsim.Ledger {
	t.Helper()
	var ledger authsim.Ledger
	must(t, json.Unmarshal(s.call(t, "GET", "ledger", ""), &ledger))
	return ledger
}

// newCredential makes a FluentCredential, with changes to its spec, and waits until its first token is published.
func (s *tenant) newCredential(t *testing.T, changes ...func(*v1alpha1.FluentCredentialSpec)) {
	t.Helper()
	s.createCredential(t, credential, changes...)
	s.awaitSerial(t, 1)
}

func (s *tenant) createCredential(t *testing.T, name string, changes ...func(*v1alpha1.FluentCredentialSpec)) {
	t.Helper()
	spec := v1alpha1.FluentCredentialSpec{
		Provider: v1alpha1.ProviderSpec{Fluent: &v1alpha1.FluentProvider{
			BaseURL: v1alpha1.BaseURL(s.url), EndpointOptions: v1alpha1.EndpointOptions{CABundle: string(s.ca)},
		}},
		CredentialsSecretRef: v1alpha1.CredentialsSecretReference{Name: loginName},
		Target:               v1alpha1.TargetSpec{Name: target},
	}
	for _, change := range changes {
		change(&spec)
	}
	s.create(t, &v1alpha1.FluentCredential{ObjectMeta: s.meta(name), Spec: spec})
}

func (s *tenant) credential(t *testing.T) v1alpha1.FluentCredential {
	t.Helper()
	var found v1alpha1.FluentCredential
	must(t, s.Get(t.Context(), client.ObjectKey{Namespace: s.namespace, Name: credential}, &found))
	return found
}

// awaitSerial waits until a token of at least this serial is published, and the status says so.
func (s *tenant) awaitSerial(t *testing.T, serial int64) {
	t.Helper()
	eventually(t, fmt.Sprintf("serial %d in %s", serial, s.namespace), func() error {
		found := s.credential(t)
		if found.Status.Token == nil || found.Status.Token.Serial < serial {
			return fmt.Errorf("token %+v, conditions %+v", found.Status.Token, found.Status.Conditions)
		}
		return nil
	})
}

func (s *tenant) serial(t *testing.T) int64 {
	t.Helper()
	if token := s.credential(t).Status.Token; token != nil {
		return token.Serial
	}
	return 0
}

// rotate asks for a new token now.
func (s *tenant) rotate(t *testing.T) {
	t.Helper()
	s.kubectl(t, "annotate", "fcred", credential, "-n", s.namespace, "--overwrite", v1alpha1.RotateAnnotation+"="+time.Now().Format(time.RFC3339Nano))
}

// spentOnce checks the two promises that hold whatever happens: no refresh token is sent twice, and no login is refused.
func (s *tenant) spentOnce(t *testing.T) authsim.Ledger {
	t.Helper()
	ledger := s.ledger(t)
	for id, count := range ledger.Presentations {
		if count > 1 {
			t.Errorf("refresh token %s was presented %d times", id, count)
		}
	}
	if ledger.Reuses > 0 || ledger.LoginsRefused > 0 {
		t.Errorf("%d reuses and %d refused logins, want none", ledger.Reuses, ledger.LoginsRefused)
	}
	return ledger
}
