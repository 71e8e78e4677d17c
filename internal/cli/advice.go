package cli

import (
	"strings"

	"github.com/fluent-credential/operator/api/v1alpha1"
)

// advice is what to do, one for each reason of a condition. The words in braces are replaced: see adviceFor.
var advice = map[string]string{
	v1alpha1.ReasonTokenPublished:  "Nothing: the token is renewed by itself.",
	v1alpha1.ReasonRenewalExpected: "Nothing: the token is renewed by itself.",
	v1alpha1.ReasonProgressing: "Wait a moment. If it stays, see whether the operator is at work: kubectl " +
		"fluent doctor",
	v1alpha1.ReasonTokenExpired: "Remove the cause that the message names. To try again at once: kubectl fluent " +
		"rotate {name} -n {namespace} --wait",
	v1alpha1.ReasonCredentialsNotFound: "Create the Secret {login} in namespace {namespace}: kubectl fluent " +
		"login {name} -n {namespace} does it without storing a password.",
	v1alpha1.ReasonCredentialsIncomplete: "Add the entry that the message names to the Secret {login}, or let " +
		"kubectl fluent login {name} -n {namespace} do it.",
	v1alpha1.ReasonReferenceNotAllowed: "Name a Secret that holds the login alone in spec.credentialsSecretRef.name: " +
		"Secret {login} " +
		"belongs to the operator or to a service account.",
	v1alpha1.ReasonCredentialsRejected: "Correct the Secret {login}, or the client at the API. A refused " +
		"password is tried again after 20 minutes at the earliest, so that the user is not locked. After a " +
		"correction at the API: kubectl fluent rotate {name} -n {namespace} --wait",
	v1alpha1.ReasonLoginLocked: "Wait until the lock has passed, and look for another client that uses a wrong " +
		"password for this user. Every try meanwhile makes the lock last longer.",
	v1alpha1.ReasonLoginInUse: "Give each FluentCredential a user of its own, or let the workloads share one " +
		"Secret and delete this one.",
	v1alpha1.ReasonProviderUnavailable: "Nothing at first. If it stays, look at DNS, network policies and the " +
		"API's status page: kubectl fluent check {name} -n {namespace} looks from here.",
	v1alpha1.ReasonRateLimited: "Nothing at first. If it stays, use fewer credentials for this host, or a " +
		"higher --host-rate.",
	v1alpha1.ReasonRefreshTokenRejected: "Nothing: another way to a token is being tried. If it happens again, " +
		"another client uses the same login.",
	v1alpha1.ReasonReplyLost: "Log in again: kubectl fluent login {name} -n {namespace}. Or, if the token may " +
		"be presented once more: kubectl fluent rotate {name} -n {namespace} --wait",
	v1alpha1.ReasonReauthorizationRequired: "Log in again: kubectl fluent login {name} -n {namespace}",
	v1alpha1.ReasonTargetConflict: "Choose another spec.target.name, or remove the Secret {target}, which has " +
		"another owner: kubectl get secret {target} -n {namespace} --show-labels",
	v1alpha1.ReasonTemplateInvalid: "Correct the entry of spec.target.data that the message names; kubectl " +
		"fluent check FILE tries it before.",
	v1alpha1.ReasonEndpointNotAllowed: "Correct the endpoint in spec.provider, or allow its host with the " +
		"operator's flag --allowed-hosts.",
	v1alpha1.ReasonInvalidReply: "See whether the endpoint is right: kubectl fluent check {name} -n " +
		"{namespace}. If it is, the API has changed: report it.",
	v1alpha1.ReasonPublishFailed: "Read the message: a missing right, a quota, an admission policy or a changed " +
		"spec.target stands in the way of the Secret {target}.",
	v1alpha1.ReasonStateUnwritable: "Read the message: a quota, an admission policy, a webhook that is down, " +
		"a missing right or " +
		"another Secret stands in the way of the state Secret or the login guard. Nothing is spent meanwhile. " +
		"A reply that is held is " +
		"stored when that is gone: leave the operator's pod and its volume alone until then.",
	v1alpha1.ReasonJournalUnwritable: "Look at the volume behind the operator's flag --journal-dir: it is full, " +
		"read-only, or does not answer. Nothing is spent meanwhile.",
	v1alpha1.ReasonStateInvalid: "Undo the edit of the state Secret and run kubectl fluent rotate {name} -n " +
		"{namespace}, or log in again: kubectl fluent login {name} -n {namespace}",
	v1alpha1.ReasonNotAllowed: "Ask the owner of FluentCredential {credential} in namespace {owner} to add " +
		"{namespace} to its spec.allowedNamespaces.names; or correct spec.credentialRef.",
	v1alpha1.ReasonCredentialNotReady: "Look at the credential: kubectl fluent status {credential} -n {owner}",
	v1alpha1.ReasonNamespacesUnreadable: "List the namespaces in spec.allowedNamespaces.names: this operator " +
		"sees no labels of namespaces.",
	v1alpha1.ReasonMetadataNotAllowed: "Remove the key that the message names from spec.target, or let the operator's " +
		"administrator add its domain to the operator's flag --allowed-target-metadata and to the variable domains of the " +
		"admission policy fluent-credential-operator-secrets.",
	v1alpha1.ReasonSuspended: "Nothing while it is meant to be suspended; otherwise: kubectl fluent resume " +
		"{name} -n {namespace}",

	reasonUnobserved: "See whether the operator is at work: kubectl fluent doctor",
	reasonDeleting:   "If it hangs, the operator is not there to remove the finalizer: kubectl fluent doctor",
}

// adviceFor is the advice for one FluentCredential. A reason that a newer operator made up has none.
func adviceFor(reason string, cred *v1alpha1.FluentCredential) string {
	return advise(reason, placeholders(cred))
}

// placeholders fills in the names of a FluentCredential.
func placeholders(cred *v1alpha1.FluentCredential) *strings.Replacer {
	return strings.NewReplacer(
		"{name}", cred.Name, "{namespace}", cred.Namespace, "{target}", cred.TargetName(),
		"{login}", cred.Spec.CredentialsSecretRef.Name, "{credential}", cred.Name, "{owner}", cred.Namespace)
}

func advise(reason string, names *strings.Replacer) string {
	text, ok := advice[reason]
	if !ok {
		return "This kubectl fluent does not know the reason " + reason + ": it is older than the operator. Read the message."
	}
	return names.Replace(text)
}
