// Package condition maps the reasons of conditions to classes of failures.
package condition

import (
	"slices"

	"github.com/fluent-credential/operator/api/v1alpha1"
	"github.com/fluent-credential/operator/internal/failure"
)

// classes are the classes of the failures that a reason can mean. A reason that is no failure has none. The reason of a
// consequence, such as an expired token, has every class, because it has the class of its cause.
var classes = map[string][]failure.Class{
	v1alpha1.ReasonTokenPublished:  {},
	v1alpha1.ReasonRenewalExpected: {},
	v1alpha1.ReasonProgressing:     {},
	v1alpha1.ReasonSuspended:       {},

	v1alpha1.ReasonTokenExpired:       failure.Classes(),
	v1alpha1.ReasonCredentialNotReady: failure.Classes(),

	v1alpha1.ReasonProviderUnavailable:  {failure.Time},
	v1alpha1.ReasonRateLimited:          {failure.Time},
	v1alpha1.ReasonInvalidReply:         {failure.Time},
	v1alpha1.ReasonRefreshTokenRejected: {failure.Time},
	v1alpha1.ReasonReplyLost:            {failure.Time, failure.Person},
	v1alpha1.ReasonEndpointNotAllowed:   {failure.Time, failure.Person},
	v1alpha1.ReasonLoginLocked:          {failure.Time, failure.Input},
	v1alpha1.ReasonJournalUnwritable:    {failure.Time, failure.Input},
	v1alpha1.ReasonStateUnwritable:      failure.Classes(),
	v1alpha1.ReasonPublishFailed:        failure.Classes(),

	v1alpha1.ReasonCredentialsNotFound: {failure.Input},
	v1alpha1.ReasonCredentialsRejected: {failure.Input},
	v1alpha1.ReasonNotAllowed:          {failure.Input},
	v1alpha1.ReasonMetadataNotAllowed:  {failure.Input},

	v1alpha1.ReasonCredentialsIncomplete:   {failure.Person},
	v1alpha1.ReasonLoginInUse:              {failure.Person},
	v1alpha1.ReasonReauthorizationRequired: {failure.Person},
	v1alpha1.ReasonTargetConflict:          {failure.Person},
	v1alpha1.ReasonTemplateInvalid:         {failure.Person},
	v1alpha1.ReasonStateInvalid:            {failure.Person},
	v1alpha1.ReasonNamespacesUnreadable:    {failure.Person},
	v1alpha1.ReasonReferenceNotAllowed:     {failure.Person},
}

// Reasons returns every reason that has an entry, in alphabetical order.
func Reasons() []string {
	var all []string
	for reason := range classes {
		all = append(all, reason)
	}
	slices.Sort(all)
	return all
}

// Classes returns the classes of the failures that a reason can mean, none if it is no failure, and false for an
// unknown reason.
func Classes(reason string) ([]failure.Class, bool) {
	found, known := classes[reason]
	return slices.Clone(found), known
}
