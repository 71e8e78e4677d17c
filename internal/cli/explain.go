package cli

import (
	"errors"
	"net"
	"net/url"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/client-go/tools/clientcmd"
)

// explain says what went wrong and what to do about it.
func explain(err error) string {
	hint := hintFor(err)
	if hint == "" {
		return err.Error()
	}
	return err.Error() + "\n" + hint
}

func hintFor(err error) string {
	var network net.Error
	var request *url.Error
	switch {
	case meta.IsNoMatchError(err):
		return "This cluster does not know FluentCredentials: install the CRD, or look at another cluster with --context."
	case apierrors.IsUnauthorized(err):
		return "The API server does not know you: log in to the cluster again, or choose another user with --context."
	case apierrors.IsForbidden(err):
		return "Your user may not do this: \"kubectl auth can-i --list\" shows what it may do."
	case apierrors.IsNotFound(err):
		return "\"kubectl fluent list -A\" shows what there is; -n chooses the namespace."
	case clientcmd.IsEmptyConfig(err):
		return "There is no kubeconfig: set KUBECONFIG or --kubeconfig."
	case errors.As(err, &request), errors.As(err, &network):
		return "The API server cannot be reached: see \"kubectl cluster-info\", or choose another cluster with --context."
	}
	return ""
}
