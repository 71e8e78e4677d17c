package kubeerror

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/fluent-credential/operator/internal/failure"
)

// A row says what becomes of a request by verb: one outcome for each sighting, in the order of Sightings.
type row struct {
	why                    string
	create, update, delete string
	cause                  failure.Cause
}

var letters = map[byte]Outcome{'S': Stored, 'N': NotStored, 'C': Conflict, 'G': Gone, '?': Unknown}

// rows: the columns are NotRead, Same, Changed, Ours, Absent.
var rows = map[string]row{
	"fine":        {"it is done", "SSSSS", "SSSSS", "SSSSS", failure.Passing()},
	"denied":      {"the answer itself says that nothing was done, and lasts", "NNNSN", "NNNSN", "NNNSS", failure.WaitsFor(failure.Cluster)},
	"later":       {"the answer itself says that nothing was done", "NNNSN", "NNNSN", "NNNSS", failure.Passing()},
	"unsent":      {"nobody saw the request", "NNNSN", "NNNSN", "NNNSS", failure.Passing()},
	"untrusted":   {"nobody saw the request, until a certificate is changed", "NNNSN", "NNNSN", "NNNSS", failure.WaitsFor(failure.Cluster)},
	"conflicting": {"an unchanged version is no lost race; of a create it is the quota's", "NCCSN", "CNCSG", "CNCSS", failure.Passing()},
	"existing":    {"somebody made it first", "CCCSC", "CNCSG", "CNCSS", failure.Passing()},
	"missing":     {"there is nothing to write to; what is missing is deleted", "GGGSG", "GNCSG", "SNCSS", failure.Passing()},
	"terminating": {"there is no room any more", "GGGSG", "GGGSG", "SNCSS", failure.Passing()},
	"unclear":     {"a live read tells", "?CCSN", "?NCSG", "?NCSS", failure.Passing()},
}

// wantedReasons is written down by hand: a new reason of the API has to be judged by a person.
var wantedReasons = map[metav1.StatusReason]string{
	"":                      "unclear",
	"Unauthorized":          "later",
	"Forbidden":             "denied",
	"NotFound":              "missing",
	"AlreadyExists":         "existing",
	"Conflict":              "conflicting",
	"Gone":                  "missing",
	"Invalid":               "denied",
	"ServerTimeout":         "unclear",
	"StorageReadError":      "unclear",
	"Timeout":               "unclear",
	"TooManyRequests":       "later",
	"BadRequest":            "denied",
	"MethodNotAllowed":      "denied",
	"NotAcceptable":         "denied",
	"RequestEntityTooLarge": "denied",
	"UnsupportedMediaType":  "denied",
	"InternalError":         "unclear",
	"Expired":               "later",
	"ServiceUnavailable":    "unclear",
}

func of(reason metav1.StatusReason) error {
	return &apierrors.StatusError{ErrStatus: metav1.Status{Status: metav1.StatusFailure, Reason: reason, Code: 418}}
}

func onWire(op string, err error) error {
	return &url.Error{Op: "Put", URL: "https://10.0.0.1/api/v1/secrets/x", Err: &net.OpError{Op: op, Net: "tcp", Err: err}}
}

// transports are the ways in which there is no answer.
var transports = map[string]struct {
	err  error
	want string
}{
	"connection refused":      {onWire("dial", os.NewSyscallError("connect", syscall.ECONNREFUSED)), "unsent"},
	"no route":                {onWire("dial", os.NewSyscallError("connect", syscall.EHOSTUNREACH)), "unsent"},
	"time-out of the dial":    {onWire("dial", os.ErrDeadlineExceeded), "unsent"},
	"name not found":          {onWire("dial", &net.DNSError{Err: "no such host", Name: "kubernetes"}), "unsent"},
	"no TLS":                  {&url.Error{Op: "Put", Err: tls.RecordHeaderError{Msg: "first record does not look like a TLS handshake"}}, "unsent"},
	"TLS alert":               {onWire("remote error", tls.AlertError(42)), "unsent"},
	"TLS handshake time-out":  {&url.Error{Op: "Put", Err: errors.New("net/http: TLS handshake timeout")}, "unsent"},
	"unknown authority":       {&url.Error{Op: "Put", Err: &tls.CertificateVerificationError{Err: x509.UnknownAuthorityError{}}}, "untrusted"},
	"another host's":          {&url.Error{Op: "Put", Err: x509.HostnameError{Certificate: &x509.Certificate{}, Host: "10.0.0.1"}}, "untrusted"},
	"expired certificate":     {&url.Error{Op: "Put", Err: x509.CertificateInvalidError{Reason: x509.Expired}}, "untrusted"},
	"connection reset":        {onWire("read", os.NewSyscallError("read", syscall.ECONNRESET)), "unclear"},
	"broken pipe":             {onWire("write", os.NewSyscallError("write", syscall.EPIPE)), "unclear"},
	"time-out of the reply":   {onWire("read", os.ErrDeadlineExceeded), "unclear"},
	"deadline":                {fmt.Errorf("client rate limiter: %w", context.DeadlineExceeded), "unclear"},
	"canceled":                {context.Canceled, "unclear"},
	"end of file":             {&url.Error{Op: "Put", Err: io.EOF}, "unclear"},
	"end of file in a reply":  {&url.Error{Op: "Put", Err: io.ErrUnexpectedEOF}, "unclear"},
	"HTTP/2 connection ended": {errors.New("http2: server sent GOAWAY and closed the connection"), "unclear"},
	"anything else":           {errors.New("the moon is in the wrong house"), "unclear"},
}

// others are answers whose details decide.
var others = map[string]struct {
	err  error
	want string
}{
	"none":                      {nil, "fine"},
	"a reason of a later API":   {of("Surprise"), "unclear"},
	"the namespace is deleted":  {terminatingNamespace(), "terminating"},
	"the namespace is gone":     {apierrors.NewNotFound(schema.GroupResource{Resource: "namespaces"}, "shop"), "terminating"},
	"a quota":                   {apierrors.NewForbidden(secrets, "x", errors.New("exceeded quota: q")), "denied"},
	"wrapped":                   {fmt.Errorf("login guard: %w", of("Invalid")), "denied"},
	"a proxy's page":            {apierrors.NewGenericServerResponse(502, "update", secrets, "x", "<html>", 0, true), "unclear"},
	"a webhook that is down":    {apierrors.NewInternalError(errors.New("failed calling webhook")), "unclear"},
	"priority and fairness":     {apierrors.NewTooManyRequests("slow down", 1), "later"},
	"a quota in another's hand": {apierrors.NewConflict(schema.GroupResource{Resource: "resourcequotas"}, "q", errors.New("modified")), "conflicting"},
}

var secrets = schema.GroupResource{Resource: "secrets"}

func terminatingNamespace() error {
	denied := apierrors.NewForbidden(secrets, "x", errors.New("because it is being terminated"))
	denied.ErrStatus.Details.Causes = []metav1.StatusCause{{Type: corev1.NamespaceTerminatingCause}}
	return denied
}

func TestJudge(t *testing.T) {
	for reason, want := range wantedReasons {
		mustJudge(t, "reason "+string(reason), of(reason), want)
	}
	for name, test := range transports {
		mustJudge(t, name, test.err, test.want)
	}
	for name, test := range others {
		mustJudge(t, name, test.err, test.want)
	}
}

// mustJudge looks at an answer under every verb and with every sighting.
func mustJudge(t *testing.T, name string, err error, kind string) {
	t.Helper()
	want, known := rows[kind]
	if !known {
		t.Fatalf("%s: there is no row %s", name, kind)
	}
	for _, verb := range Verbs() {
		for i, seen := range Sightings() {
			outcome := letters[want.of(verb, kind)[i]]
			got := Judge(err, verb, seen)
			if got.Outcome != outcome || got.Cause != want.cause {
				t.Errorf("%s (%s), %s, then %s: %s, %v; want %s, %v: %s",
					name, kind, verb, seen, got.Outcome, got.Cause, outcome, want.cause, want.why)
			}
		}
	}
}

func (r row) of(verb Verb, kind string) string {
	switch verb {
	case Create:
		return r.create
	case Update, Patch:
		return r.update
	case Delete:
		return r.delete
	case Get, List: // a read stores nothing
	}
	if kind == "missing" || kind == "terminating" {
		return "GGGGG"
	}
	return "NNNNN"
}

// TestEveryReasonIsJudged reads the reasons from the source of k8s.io/apimachinery: one that is added there has to be
// added here.
func TestEveryReasonIsJudged(t *testing.T) {
	out, err := exec.Command("go", "list", "-f", "{{.Dir}}", "k8s.io/apimachinery/pkg/apis/meta/v1").Output()
	if err != nil {
		t.Fatal(err)
	}
	known := constants(t, filepath.Join(strings.TrimSpace(string(out)), "types.go"), "StatusReason")
	if len(known) < 20 {
		t.Fatalf("only %d reasons were found: %q", len(known), known)
	}
	for _, reason := range known {
		_, judged := reasons[metav1.StatusReason(reason)]
		if _, wanted := wantedReasons[metav1.StatusReason(reason)]; !judged || !wanted {
			t.Errorf("reason %q: judged %t, in the table %t", reason, judged, wanted)
		}
	}
	if len(known) != len(reasons) || len(known) != len(wantedReasons) {
		t.Errorf("%d reasons are known, %d judged, %d in the table", len(known), len(reasons), len(wantedReasons))
	}
}

// TestEveryValueIsEnumerated: the table above goes over what Verbs and Sightings return.
func TestEveryValueIsEnumerated(t *testing.T) {
	var verbs, sightings []string
	for _, verb := range Verbs() {
		verbs = append(verbs, string(verb))
	}
	for _, seen := range Sightings() {
		sightings = append(sightings, string(seen))
	}
	for kind, got := range map[string][]string{"Verb": verbs, "Sighting": sightings} {
		if want := constants(t, "kubeerror.go", kind); !slices.Equal(got, want) {
			t.Errorf("%s: %q are enumerated, %q are declared", kind, got, want)
		}
	}
	for _, kind := range constants(t, "kubeerror.go", "answer") {
		if _, ok := rows[kind]; !ok {
			t.Errorf("the table has no row for %s", kind)
		}
	}
}

// constants are the values of a type's constants in a file, in the order of their declaration.
func constants(t *testing.T, path, kind string) []string {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), path, nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	var values []string
	ast.Inspect(file, func(node ast.Node) bool {
		spec, ok := node.(*ast.ValueSpec)
		if !ok || len(spec.Values) != 1 {
			return true
		}
		literal, isLiteral := spec.Values[0].(*ast.BasicLit)
		if named, isNamed := spec.Type.(*ast.Ident); isLiteral && isNamed && named.Name == kind {
			value, _ := strconv.Unquote(literal.Value)
			values = append(values, value)
		}
		return true
	})
	return values
}

func TestPredicates(t *testing.T) {
	tests := map[string]struct {
		err                          error
		denied, refused, terminating bool
		why                          string
	}{
		"none":         {nil, false, false, false, "nothing is wrong"},
		"a policy":     {of("Forbidden"), true, true, false, "the next try is refused as well"},
		"immutable":    {of("Invalid"), true, true, false, "likewise"},
		"slow down":    {of("TooManyRequests"), false, true, false, "nothing was written, and it passes"},
		"nobody heard": {transports["connection refused"].err, false, true, false, "nothing was written"},
		"a webhook":    {of("InternalError"), false, false, false, "who answers with 500 may have stored it"},
		"reset":        {transports["connection reset"].err, false, false, false, "it may be stored"},
		"a namespace":  {terminatingNamespace(), false, true, true, "no try will change that"},
	}
	for name, test := range tests {
		if got := IsDenied(test.err); got != test.denied {
			t.Errorf("%s: denied %t: %s", name, got, test.why)
		}
		if got := IsRefused(test.err); got != test.refused {
			t.Errorf("%s: refused %t: %s", name, got, test.why)
		}
		if got := IsTerminating(test.err); got != test.terminating {
			t.Errorf("%s: terminating %t: %s", name, got, test.why)
		}
	}
}

// TestAnObjectThatIsTooLargeForEtcdIsDenied: the API server passes the words on as an error without a reason, and no
// other try helps.
func TestAnObjectThatIsTooLargeForEtcdIsDenied(t *testing.T) {
	err := apierrors.NewGenericServerResponse(500, "put", schema.GroupResource{Resource: "secrets"}, "x", "", 0, false)
	err.ErrStatus.Reason = ""
	err.ErrStatus.Message = "etcdserver: request is too large"
	if !IsDenied(err) || !IsRefused(err) {
		t.Errorf("%v is taken for %s", err, answerOf(err))
	}
}
