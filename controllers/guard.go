package controllers

import (
	"context"
	"fmt"
	"time"

	ctrl "sigs.k8s.io/controller-runtime"

	"github.com/fluent-credential/operator/api/v1alpha1"
	"github.com/fluent-credential/operator/internal/loginguard"
	"github.com/fluent-credential/operator/internal/provider"
	"github.com/fluent-credential/operator/internal/token"
)

// loginInUsePoll is how often to look whether the FluentCredential that has a login is still there.
const loginInUsePoll = 5 * time.Minute

// reserveLogin asks the guard for one login with the password. It returns an answer where there is none to be had.
func (r *Reconciler) reserveLogin(ctx context.Context, seen *observation, try *attempt) (*provider.Answer, error) {
	if r.Guard == nil || try.claim.Grant != token.Password {
		return nil, nil
	}
	refusal, err := r.Guard.Reserve(ctx, seen.guarded(), try.claim.ID, r.Clock.Now())
	if err != nil || refusal == nil {
		return nil, err
	}
	try.retryAt = refusal.Until
	if refusal.Why == loginguard.InUse {
		try.retryAt = r.Clock.Now().Add(loginInUsePoll)
	}
	problem := provider.Problem{Code: string(refusal.Why), Description: explain(refusal)}
	return &provider.Answer{Verdict: token.LoginRefused, Problem: problem}, nil
}

func explain(refusal *loginguard.Refusal) string {
	switch refusal.Why {
	case loginguard.InUse:
		return fmt.Sprintf("FluentCredential %s in namespace %s, which is older, logs in with the same user name, client and scope",
			refusal.By.Name, refusal.By.Namespace)
	case loginguard.Exhausted:
		return "too many logins of this user were refused; the next one is tried at " + refusal.Until.UTC().Format(time.RFC3339)
	case loginguard.Rejected:
	}
	return "these credentials were refused before; they are tried again at " + refusal.Until.UTC().Format(time.RFC3339)
}

// guardReasons are the condition reasons of a login that the guard refused.
var guardReasons = map[string]string{
	string(loginguard.Rejected):  v1alpha1.ReasonCredentialsRejected,
	string(loginguard.Exhausted): v1alpha1.ReasonLoginLocked,
	string(loginguard.InUse):     v1alpha1.ReasonLoginInUse,
}

// settleLogin tells the guard what became of a login. A login that cannot be settled counts as refused.
func (r *Reconciler) settleLogin(ctx context.Context, seen *observation, try *attempt) {
	if r.Guard == nil || try.claim.Grant != token.Password {
		return
	}
	retryAt, err := r.Guard.Settle(ctx, seen.guarded(), try.claim.ID, try.answer.Verdict, r.Clock.Now())
	if err != nil {
		ctrl.LoggerFrom(ctx).Error(err, "A login could not be settled; it counts as refused")
	}
	try.retryAt = retryAt
}

// guarded is the login as the guard knows it.
func (o *observation) guarded() loginguard.Login {
	return loginguard.Login{
		Endpoint: o.api.Endpoint().String(), Username: o.login.Username, Password: o.login.Password,
		Use: loginguard.Use{Client: o.login.ClientID, Scope: o.login.Scope, Owner: loginguard.Owner{
			Namespace: o.cred.Namespace, Name: o.cred.Name, UID: string(o.cred.UID), Created: o.cred.CreationTimestamp.Time,
		}},
	}
}
