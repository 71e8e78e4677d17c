package cli

import (
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/fluent-credential/operator/api/v1alpha1"
	conditions "github.com/fluent-credential/operator/internal/condition"
	failures "github.com/fluent-credential/operator/internal/failure"
)

// outlook describes what a failure waits for, and what the operator does by itself.
type outlook struct {
	// Class is empty if nothing fails, or if the status does not say which of several classes it is.
	Class   failures.Class `json:"class,omitempty"`
	NextTry *metav1.Time   `json:"nextTryTime,omitempty"`
	Text    string         `json:"outlook,omitempty"`
}

// noExchange are the reasons that do not result from an exchange with the API: status.failures does not cover them.
var noExchange = []string{v1alpha1.ReasonPublishFailed, v1alpha1.ReasonStateUnwritable}

// outlookOf returns the outlook of the cause. It is total: a reason unknown to this version has the class in the
// status.
func outlookOf(cred *v1alpha1.FluentCredential, why cause) outlook {
	classes, known := conditions.Classes(why.Reason)
	failed := cred.Status.Failures
	if failed == nil || slices.Contains(noExchange, why.Reason) {
		failed = &v1alpha1.FailureStatus{}
	}
	if !known && failed.Class != "" {
		classes = []failures.Class{failures.Class(failed.Class)}
	}
	classes = narrow(classes, failures.Class(failed.Class), isTrue(cred, v1alpha1.ConditionStalled))
	if len(classes) == 0 {
		return outlook{}
	}
	seen := outlook{NextTry: failed.RetryTime}
	if why.Reason == v1alpha1.ReasonCredentialsNotFound {
		seen.NextTry = nil // there is no login to try with
	}
	if len(classes) > 1 {
		seen.Text = undecided(classes)
		return seen
	}
	seen.Class = classes[0]
	if seen.Class == failures.Person {
		seen.NextTry = nil // this is the time of the next check for the obstacle, not of an exchange
	}
	seen.Text = placeholders(cred).Replace(seen.words(why.Reason))
	return seen
}

// narrow removes the classes that the status rules out: a stalled failure does not pass by itself, and a failure that
// needs a person is stalled.
func narrow(classes []failures.Class, stated failures.Class, stalled bool) []failures.Class {
	if len(classes) < 2 {
		return classes
	}
	never := failures.Person
	if stalled {
		never = failures.Time
	}
	classes = slices.DeleteFunc(classes, func(class failures.Class) bool { return class == never })
	if slices.Contains(classes, stated) {
		return []failures.Class{stated}
	}
	return classes
}

// words describes the meaning of the class for a reason.
func (o outlook) words(reason string) string {
	begin := "Class " + string(o.Class) + ": "
	switch o.Class {
	case failures.Time:
		return begin + "it passes by itself, and is retried with back-off." + o.next(" The next try is at ")
	case failures.Input:
		text := begin + "it lasts until " + inputOf(reason) + " changes. A changed Secret or spec is acted on at once."
		if o.NextTry == nil {
			return text + " Nothing is tried until then."
		}
		return text + o.next(" Otherwise the next try is at ")
	case failures.Person:
		return begin + "nothing is tried until a person acts. A changed Secret or spec is noticed at once."
	}
	return begin + "this kubectl fluent does not know it: it is older than the operator."
}

// next describes when the next try is. A time that has just passed is printed as well: the operator is on its way.
func (o outlook) next(begin string) string {
	if o.NextTry == nil {
		return ""
	}
	return begin + stamp(*o.NextTry) + "."
}

// undecided lists the possible classes.
func undecided(classes []failures.Class) string {
	var names []string
	for _, class := range classes {
		names = append(names, string(class))
	}
	begin := "Class " + strings.Join(names, " or ") + ": the message says "
	if slices.Contains(classes, failures.Time) {
		return begin + "whether it passes by itself, or what has to change. It is retried with back-off."
	}
	return begin + "what has to change. A changed spec is acted on at once, " +
		"and a refused write is repeated about once a minute."
}

// inputs describes what a failure of class Input waits for. The words in braces are replaced: see placeholders.
var inputs = map[string]string{
	v1alpha1.ReasonTokenExpired:       "what the message names",
	v1alpha1.ReasonMetadataNotAllowed: "the operator's flag --allowed-target-metadata, or the spec,",
	v1alpha1.ReasonCredentialNotReady: "FluentCredential {credential} in namespace {owner}",

	v1alpha1.ReasonCredentialsNotFound: "the Secret {login}",
	v1alpha1.ReasonCredentialsRejected: "the Secret {login}, the spec, or what the API knows of the client",
	v1alpha1.ReasonLoginLocked:         "the Secret {login} or the lock at the API",
	v1alpha1.ReasonJournalUnwritable:   "the volume behind the operator's flag --journal-dir",
	v1alpha1.ReasonPublishFailed:       "the right, the quota or the policy that the message names",
	v1alpha1.ReasonStateUnwritable:     "the right, the quota, the policy or the Secret that the message names",
	v1alpha1.ReasonNotAllowed: "spec.allowedNamespaces of FluentCredential {credential} in namespace {owner} or " +
		"spec.credentialRef",
}

func inputOf(reason string) string {
	if what, ok := inputs[reason]; ok {
		return what
	}
	return "what the message names"
}

// tokenOutlook returns the outlook of a FluentToken: what it waits for is in another object, and its status has no
// class.
func tokenOutlook(token *v1alpha1.FluentToken, why cause) outlook {
	reference := token.Spec.CredentialRef
	names := strings.NewReplacer("{credential}", reference.Name, "{owner}", reference.Namespace)
	if why.Reason == v1alpha1.ReasonTokenExpired || why.Reason == v1alpha1.ReasonCredentialNotReady {
		return outlook{
			Text: names.Replace("The token is published as soon as FluentCredential {credential} " +
				"in namespace {owner} has one."),
		}
	}
	classes, _ := conditions.Classes(why.Reason)
	classes = narrow(classes, "", isTokenStalled(token))
	switch len(classes) {
	case 0:
		return outlook{}
	case 1:
		seen := outlook{Class: classes[0]}
		seen.Text = names.Replace(seen.words(why.Reason))
		return seen
	}
	return outlook{Text: undecided(classes)}
}
