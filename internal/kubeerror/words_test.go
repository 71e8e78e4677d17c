package kubeerror

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/fluent-credential/operator/internal/failure"
	"github.com/fluent-credential/operator/internal/token"
)

const secretValue = "s3cr3t-value-of-a-token"

func writing(err error) error {
	return &WriteError{Object: "Secret orders-token", Subject: failure.TargetSecret, Verb: Update, Err: err}
}

func invalid(errs ...*field.Error) error {
	return apierrors.NewInvalid(schema.GroupKind{Kind: "Secret"}, "orders-token", errs)
}

func forbidden(message string) error {
	return apierrors.NewForbidden(secrets, "orders-token", errors.New(message))
}

func TestWords(t *testing.T) {
	policy := &apierrors.StatusError{ErrStatus: metav1.Status{
		Reason: metav1.StatusReasonInvalid, Code: http.StatusUnprocessableEntity,
		Message: `secrets "orders-token" is forbidden: ValidatingAdmissionPolicy 'labels.example.com' with binding 'labels-everywhere' ` +
			`denied request: every Secret needs the label team`,
		Details: &metav1.StatusDetails{Name: "orders-token", Kind: "secrets", Causes: []metav1.StatusCause{
			{Message: `ValidatingAdmissionPolicy 'labels.example.com' with binding 'labels-everywhere' denied request: every Secret needs the label team`},
		}},
	}}
	tests := map[string]struct {
		err  error
		want string
		why  string
	}{
		"a policy": {writing(policy),
			"Secret orders-token cannot be written: Invalid: ValidatingAdmissionPolicy 'labels.example.com': every Secret needs the label team",
			"its message is what a person needs"},
		"a quota": {writing(forbidden("exceeded quota: q, requested: secrets=1, used: secrets=10, limited: secrets=10")),
			"Secret orders-token cannot be written: Forbidden: exceeded quota: q, requested: secrets=1, used: secrets=10, limited: secrets=10",
			"which quota, and how full it is"},
		"a webhook that refuses": {writing(&apierrors.StatusError{ErrStatus: metav1.Status{
			Reason: metav1.StatusReasonForbidden, Message: `admission webhook "v.example.com" denied the request: no Secrets on a Friday`,
		}}), `Secret orders-token cannot be written: Forbidden: admission webhook "v.example.com" denied the request: no Secrets on a Friday`,
			"without details the object is the caller's to name"},
		"a webhook that is down": {writing(apierrors.NewInternalError(errors.New(
			`failed calling webhook "v.example.com": failed to call webhook: Post "https://v.kyverno.svc:443/?timeout=10s": read tcp 10.1.2.3:40312->10.4.5.6:443: connection reset`))),
			`Secret orders-token cannot be written: InternalError: failed calling webhook "v.example.com": read tcp 10.4.5.6:443: connection reset`,
			"a local port is another one at each try, and the condition would never be the same"},
		"an immutable field": {writing(invalid(field.Invalid(field.NewPath("type"), "example.com/token", "field is immutable"))),
			`Secret orders-token cannot be written: Invalid: type: Invalid value: "example.com/token": field is immutable`, "the field and why"},
		"an immutable Secret": {writing(invalid(field.Forbidden(field.NewPath("data"), "field is immutable when `immutable` is set"))),
			"Secret orders-token cannot be written: Invalid: data: Forbidden: field is immutable when `immutable` is set", "likewise"},
		"RBAC": {writing(forbidden(`User "system:serviceaccount:fluent:operator" cannot update resource "secrets" in API group "" in the namespace "shop"`)),
			`Secret orders-token cannot be written: Forbidden: User "system:serviceaccount:fluent:operator" cannot update resource "secrets" in the namespace "shop"`,
			"user, verb and resource"},
		"RBAC of a read": {forbidden(`User "op" cannot get resource "secrets" in API group "" in the namespace "shop"`),
			`secrets orders-token: Forbidden: User "op" cannot get resource "secrets" in the namespace "shop"`, "nothing was to be written"},
		"causes beside the message": {writing(&apierrors.StatusError{ErrStatus: metav1.Status{
			Reason: metav1.StatusReasonInvalid, Details: &metav1.StatusDetails{Causes: []metav1.StatusCause{
				{Field: "metadata.labels", Message: "Invalid value"}, {Field: "type"}},
			}}}), "Secret orders-token cannot be written: Invalid: metadata.labels: Invalid value: type", "what the message leaves out"},
		"nothing but a reason": {writing(invalid()), "Secret orders-token cannot be written: Invalid", "nothing is behind the colon, so there is none"},
		"a strange status":     {writing(&apierrors.StatusError{ErrStatus: metav1.Status{Code: 418}}), "Secret orders-token cannot be written: HTTP 418", "what there is"},
		"a delete": {&WriteError{Object: "state Secret x", Verb: Delete, Err: forbidden("no")},
			"state Secret x cannot be deleted: Forbidden: no", "the verb is told"},
		"no answer": {writing(transports["connection refused"].err),
			"Secret orders-token cannot be written: the Kubernetes API did not answer: dial tcp: connect: connection refused", "the network's own word"},
		"reset": {writing(transports["connection reset"].err),
			"Secret orders-token cannot be written: the Kubernetes API did not answer: read: connection reset by peer", "without the port"},
		"not an API's": {errors.New("a Secret that is not the operator's"), "a Secret that is not the operator's", "our own words stay"},
		"an object's content": {writing(forbidden("the value " + secretValue + " is not allowed")),
			"Secret orders-token cannot be written: Forbidden: the value [redacted] is not allowed", "a policy may repeat it"},
		"none": {nil, "", "nothing failed"},
	}
	for name, test := range tests {
		if got := Words(test.err, token.NewSecret(secretValue)); got != test.want {
			t.Errorf("%s: %s\n got %s\nwant %s", name, test.why, got, test.want)
		}
	}
}

// TestNoColonWithoutWords: whatever an API leaves out, the text does not end in a colon.
func TestNoColonWithoutWords(t *testing.T) {
	for reason := range wantedReasons {
		for _, message := range []string{"", `Secret "x" is invalid: `, `secrets "x" is forbidden: `, "Internal error occurred: "} {
			err := &apierrors.StatusError{ErrStatus: metav1.Status{Reason: reason, Message: message, Code: 400}}
			if got := Words(writing(err)); strings.HasSuffix(strings.TrimSpace(got), ":") || got == "" {
				t.Errorf("reason %q, message %q: %q", reason, message, got)
			}
		}
	}
}

// TestAWriteErrorHidesItsObject: its text reaches logs without a caller that knows what to hide.
func TestAWriteErrorHidesItsObject(t *testing.T) {
	write := &WriteError{Object: "state Secret x", Verb: Update, Err: forbidden("denied: " + secretValue), Secrets: []token.Secret{token.NewSecret(secretValue)}}
	wrapped := fmt.Errorf("the claim was not stored: %w", write)
	for _, got := range []string{write.Error(), wrapped.Error(), Words(wrapped), fmt.Sprintf("%+v", write.Secrets)} {
		if strings.Contains(got, secretValue) {
			t.Errorf("%q holds the token", got)
		}
	}
	if SubjectOf(fmt.Errorf("x: %w", writing(errors.New("y")))) != failure.TargetSecret || SubjectOf(errors.New("x")) != failure.NoSubject {
		t.Error("the subject of a write is not known")
	}
}
