package cli

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"go/ast"
	gobuild "go/build"
	"go/parser"
	"go/token"
	"net"
	"net/url"
	"path/filepath"
	"strings"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/tools/clientcmd"
	"sigs.k8s.io/controller-runtime/pkg/client/apiutil"

	"github.com/fluent-credential/operator/api/v1alpha1"
)

func statusError(reason metav1.StatusReason, code int32, message string) error {
	return &apierrors.StatusError{ErrStatus: metav1.Status{
		Status: metav1.StatusFailure, Reason: reason, Code: code, Message: message,
	}}
}

func asking(cause error) error {
	return &url.Error{Op: "Get", URL: "https://10.0.0.1:6443/apis", Err: cause}
}

func TestTroubleOf(t *testing.T) {
	t.Parallel()
	creds := schema.GroupResource{Group: v1alpha1.GroupVersion.Group, Resource: "fluentcredentials"}
	group := v1alpha1.GroupVersion
	refused := &net.OpError{Op: "dial", Err: errors.New("connection refused")}
	tests := map[string]struct {
		why  string
		err  error
		want trouble
	}{
		"nothing":             {"it worked", nil, noTrouble},
		"Ctrl-C":              {"the user's", asking(context.Canceled), interruptedNow},
		"no kubeconfig":       {"no cluster is named", clientcmd.ErrEmptyConfig, noConfig},
		"a broken kubeconfig": {"it names no cluster", &configError{errors.New("yaml: line 1")}, noConfig},
		"refused":             {"no server there", asking(refused), notReachable},
		"no such host": {
			"no server there",
			asking(&net.DNSError{Err: "no such host", Name: "k8s.example.com"}), notReachable,
		},
		"time-out": {"no answer", asking(context.DeadlineExceeded), notReachable},
		"cut":      {"no whole answer", asking(errors.New("EOF")), notReachable},
		"expired server": {
			"reachable, and not trusted",
			asking(x509.CertificateInvalidError{Reason: x509.Expired}), notTrusted,
		},
		"another's server": {"reachable, and not trusted", asking(x509.UnknownAuthorityError{}), notTrusted},
		"another name": {
			"reachable, and not trusted",
			asking(x509.HostnameError{Certificate: &x509.Certificate{}}), notTrusted,
		},
		"expired user": {"the server refuses the certificate of the kubeconfig", asking(&net.OpError{
			Op: "remote error", Err: tls.AlertError(45)}), notTrusted},
		"credential plugin": {
			"nothing was asked",
			asking(errors.New("getting credentials: exec: executable aws not found")), noCredentials,
		},
		"discovery, refused": {"controller-runtime joins the errors of groups", &apiutil.ErrResourceDiscoveryFailed{
			group: asking(refused)}, notReachable},
		"discovery, unknown user": {"client-go joins them likewise", &discovery.ErrGroupDiscoveryFailed{
			Groups: map[schema.GroupVersion]error{group: apierrors.NewUnauthorized("Unauthorized")}}, unknownUser},
		"no CRD": {
			"as before the installation",
			&meta.NoKindMatchError{GroupKind: schema.GroupKind{Kind: "FluentCredential"}}, unknownKind,
		},
		"the CRD went": {
			"as in the middle of a removal",
			statusError(metav1.StatusReasonNotFound, 404, "the server could not find the requested resource"), unknownKind,
		},
		"no namespace": {
			"the API names it",
			apierrors.NewNotFound(schema.GroupResource{Resource: "namespaces"}, "shop"), noNamespace,
		},
		"no object": {"it may come", apierrors.NewNotFound(creds, "orders"), notFound},
		"no right": {
			"it is about the user",
			apierrors.NewForbidden(creds, "", errors.New(`User "me" cannot create resource "fluentcredentials"`)), forbidden,
		},
		"a quota": {
			"it is about the object",
			apierrors.NewForbidden(creds, "orders", errors.New("exceeded quota: few")), refusedObject,
		},
		"a policy": {
			"it is about the object",
			apierrors.NewForbidden(creds, "orders", errors.New("ValidatingAdmissionPolicy 'x' denied request: no owner")),
			refusedObject,
		},
		"a webhook's no": {
			"it is about the object",
			statusError(metav1.StatusReasonForbidden, 403, `admission webhook "x" denied the request: no`), refusedObject,
		},
		"a webhook away": {
			"the object was not judged",
			apierrors.NewInternalError(errors.New("failed calling webhook")), cannotNow,
		},
		"another 4xx":       {"a webhook may choose it", statusError("", 418, "no"), refusedObject},
		"another 5xx":       {"a proxy's", statusError("", 502, "bad gateway"), cannotNow},
		"wrapped":           {"commands say what they did", fmt.Errorf("rotate: %w", asking(refused)), notReachable},
		"something unheard": {"it judged nothing", errors.New("x"), cannotNow},
	}
	for name, test := range tests {
		if got := troubleOf(test.err); got != test.want {
			t.Errorf("%s: %q, want %q (%s)", name, got, test.want, test.why)
		}
	}
}

// TestEveryReasonHasItsTrouble fails when Kubernetes gets a reason that is not sorted in.
func TestEveryReasonHasItsTrouble(t *testing.T) {
	t.Parallel()
	at, err := gobuild.Import("k8s.io/apimachinery/pkg/apis/meta/v1", ".", gobuild.FindOnly)
	if err != nil {
		t.Fatal(err)
	}
	file, err := parser.ParseFile(token.NewFileSet(), filepath.Join(at.Dir, "types.go"), nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	count := 0
	ast.Inspect(file, func(node ast.Node) bool {
		spec, ok := node.(*ast.ValueSpec)
		if !ok || len(spec.Values) != 1 || !strings.HasPrefix(spec.Names[0].Name, "StatusReason") {
			return true
		}
		count++
		value := strings.Trim(spec.Values[0].(*ast.BasicLit).Value, `"`)
		if _, known := statusTroubles[metav1.StatusReason(value)]; !known {
			t.Errorf("%s has no trouble", spec.Names[0].Name)
		}
		return true
	})
	if count != len(statusTroubles) {
		t.Errorf("%d reasons in Kubernetes, %d here", count, len(statusTroubles))
	}
}

func TestEveryTroubleIsExplained(t *testing.T) {
	t.Parallel()
	for what := range absences {
		if !what.isAway() || hints[what] == "" {
			t.Errorf("%s: away %t, hint %q", what, what.isAway(), hints[what])
		}
	}
	for _, what := range statusTroubles {
		if what.isAway() != (absences[what] != "") {
			t.Errorf("%s: nothing says why the cluster cannot be asked", what)
		}
	}
}
