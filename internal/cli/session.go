package cli

import (
	"io"
	"time"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	appsv1 "k8s.io/api/apps/v1"
	authorizationv1 "k8s.io/api/authorization/v1"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/cli-runtime/pkg/genericclioptions"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/fluent-credential/operator/api/v1alpha1"
)

// fieldManager names us in the managed fields of what we change.
const fieldManager = "kubectl-fluent"

// session is what every command works with: the user's cluster, streams and clock.
type session struct {
	In      io.Reader
	Out     *screen // results
	ErrOut  *screen // everything else, so that the output can be piped
	cluster *genericclioptions.ConfigFlags
	now     func() time.Time
	version string
}

func newScheme() *runtime.Scheme {
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{
		v1alpha1.AddToScheme, admissionv1.AddToScheme, corev1.AddToScheme, appsv1.AddToScheme, authorizationv1.AddToScheme,
		coordinationv1.AddToScheme,
	} {
		_ = add(scheme) // cannot fail: it only adds types
	}
	metav1.AddMetaToScheme(scheme) //nolint:errcheck // the same
	return scheme
}

// config is the connection that the kubeconfig and the flags name. The API server's own fairness decides how fast we may ask.
func (s *session) config() (*rest.Config, error) {
	config, err := s.cluster.ToRESTConfig()
	if err != nil {
		return nil, &configError{err}
	}
	config.QPS = -1
	config.UserAgent = fieldManager + "/" + s.version
	return config, nil
}

func (s *session) client() (client.Client, error) {
	config, err := s.config()
	if err != nil {
		return nil, err
	}
	made, err := client.New(config, client.Options{Scheme: newScheme()})
	if err != nil {
		return nil, &configError{err} // no request was made yet
	}
	return made, nil
}

// configError is the error of a kubeconfig that names no cluster, or cannot be read.
type configError struct{ err error }

func (e *configError) Error() string { return e.err.Error() }

func (e *configError) Unwrap() error { return e.err }

// namespace is the one of --namespace, or of the kubeconfig's context.
func (s *session) namespace() (string, error) {
	name, _, err := s.cluster.ToRawKubeConfigLoader().Namespace()
	if err != nil {
		return "", &configError{err}
	}
	return name, nil
}
