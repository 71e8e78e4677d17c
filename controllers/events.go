package controllers

import (
	"context"
	"strings"

	corev1 "k8s.io/api/core/v1"
	ctrl "sigs.k8s.io/controller-runtime"

	"github.com/fluent-credential/operator/internal/custody"
	"github.com/fluent-credential/operator/internal/token"
)

// Events are told when something happens that a person wants to know of, after the write that made it true. A refresh that works
// is not told: it happens by itself, for years.

// tell says what an exchange did: to the history always, as an event where it is news.
func (r *Reconciler) tell(seen *observation, before *custody.Record, try *attempt) {
	r.recallAttempt(seen, try)
	if before.Token != nil {
		try.expires = before.Token.Expires
	}
	if try.answer.Verdict != token.Granted {
		r.sayFailed(seen, before)
		return
	}
	longer := seen.longLife()
	if longer != "" &&
		(before.Token == nil || before.Token.Expires.Sub(before.Token.Obtained) <= token.LongLife) {
		r.Recorder.Eventf(seen.cred, nil, corev1.EventTypeWarning, "LongLifetime", "Exchange",
			"%s", strings.TrimPrefix(longer, "; "))
	}
	if try.claim.Grant != token.RefreshToken || try.claim.Seed || before.Failure != nil {
		r.sayObtained(seen, try.claim.Grant)
	}
}

func (r *Reconciler) sayObtained(seen *observation, grant token.Grant) {
	r.Recorder.Eventf(seen.cred, nil, corev1.EventTypeNormal, "TokenObtained", "Exchange",
		"Obtained token %d by %s", seen.record.Serial, grant)
}

// sayFailed tells a failure when its cause is another than before.
func (r *Reconciler) sayFailed(seen *observation, before *custody.Record) {
	now := seen.record.Failure
	if now == nil || before.Failure != nil && before.Failure.Message == now.Message && before.Failure.Login == now.Login {
		return
	}
	r.Recorder.Eventf(seen.cred, nil, corev1.EventTypeWarning, now.Reason, "Exchange", "%s", now.Message)
}

func (r *Reconciler) sayRestored(seen *observation) {
	r.Recorder.Eventf(seen.cred, nil, corev1.EventTypeNormal, "SecretRestored", "Publish",
		"Restored Secret %s, which was deleted or edited; nothing was spent", seen.workload.wanted.Name)
}

func (r *Reconciler) sayCopied(seen *observation, name string) {
	r.Recorder.Eventf(seen.cred, nil, corev1.EventTypeWarning, "SecretCopied", "Observe",
		copied, name, "FluentCredential")
}

func (r *Reconciler) sayStateSaved(seen *observation) {
	reason, what := "StateSecretDeleted", "deleted"
	if seen.record.IsFrozen() {
		reason, what = "StateSecretImmutable", "made immutable"
	}
	r.Recorder.Eventf(seen.cred, nil, corev1.EventTypeWarning, reason, "Relocate",
		"The state Secret was %s by somebody; its content was brought to safety under another name", what)
}

// noticeEdit tells once that the state Secret was edited: what follows is a new login, or a person who is asked, and this is why.
func (r *Reconciler) noticeEdit(ctx context.Context, seen *observation) {
	before := seen.memory.edited
	seen.memory.edited = seen.record.Damaged
	if before || !seen.record.Damaged {
		return
	}
	ctrl.LoggerFrom(ctx).Info("The state Secret was edited by somebody, or is damaged: the tokens in it are not used any more")
	r.Recorder.Eventf(seen.cred, nil, corev1.EventTypeWarning, "StateSecretEdited", "Observe",
		"The state Secret was edited by somebody, or is damaged: the tokens in it are not used any more")
}

func (r *Reconciler) sayRevoked(seen *observation) {
	r.Recorder.Eventf(seen.cred, nil, corev1.EventTypeNormal, "RefreshTokenRevoked", "Revoke",
		"The refresh token was revoked at %s", seen.api.Endpoint().Host)
}

func (r *Reconciler) sayNotRevoked(seen *observation, because string) {
	r.Recorder.Eventf(seen.cred, nil, corev1.EventTypeWarning, "RevocationFailed", "Revoke",
		"The refresh token could not be revoked at %s, and lives on until the API ends it: %s", seen.api.Endpoint().Host, because)
}

func (r *Reconciler) sayKept(seen *observation, because string) {
	r.Recorder.Eventf(seen.cred, nil, corev1.EventTypeNormal, "RefreshTokenKept", "Revoke", "The refresh token was not revoked: %s", because)
}

// sayBlocked tells an obstacle when it appears.
func (r *Reconciler) sayBlocked(seen *observation, reason, message string) {
	r.Recorder.Eventf(seen.cred, nil, corev1.EventTypeWarning, reason, "Observe", "%s", message)
}
