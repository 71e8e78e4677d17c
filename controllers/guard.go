package controllers

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/wait"
	ctrl "sigs.k8s.io/controller-runtime"

	"github.com/fluent-credential/operator/api/v1alpha1"
	"github.com/fluent-credential/operator/internal/custody"
	"github.com/fluent-credential/operator/internal/failure"
	"github.com/fluent-credential/operator/internal/loginguard"
	"github.com/fluent-credential/operator/internal/provider"
	"github.com/fluent-credential/operator/internal/token"
)

// loginInUsePoll is how often to look whether the FluentCredential that has a login is still there.
const loginInUsePoll = 5 * time.Minute

// reserveLogin asks the guard for one login with the password, or for the seed. It returns an answer where there is none to be had.
func (r *Reconciler) reserveLogin(ctx context.Context, seen *observation, try *attempt) (*provider.Answer, error) {
	refusal, err := r.askGuard(ctx, seen, try)
	if err != nil {
		return nil, err
	}
	r.measureGuard(try, refusal)
	if refusal == nil {
		return nil, nil
	}
	if isForgetful(refusal) {
		ctrl.LoggerFrom(ctx).Error(loginguard.ErrDamaged, "The login guard does not know any more what it knew of a login", "grant", try.claim.Grant)
	}
	r.logOther(ctx, seen, refusal)
	problem := provider.Problem{Code: string(refusal.Why), Description: explain(refusal, seen.cred.Namespace)}
	try.retryAt = refusal.Until
	switch refusal.Why {
	case loginguard.Spent:
		return &provider.Answer{Verdict: token.RefusedIntact, Problem: problem, Cause: guardCauses[refusal.Why]}, nil
	case loginguard.InUse:
		try.retryAt = r.Clock.Now().Add(loginInUsePoll)
	case loginguard.Rejected, loginguard.Exhausted, loginguard.Paced, loginguard.Damaged:
	}
	return &provider.Answer{Verdict: token.LoginRefused, Problem: problem, Cause: guardCauses[refusal.Why]}, nil
}

func (r *Reconciler) askGuard(ctx context.Context, seen *observation, try *attempt) (*loginguard.Refusal, error) {
	switch {
	case r.Guard == nil:
		return nil, nil
	case try.claim.Grant == token.Password:
		return r.Guard.Reserve(ctx, seen.guarded(), try.claim.ID, r.Clock.Now())
	case try.claim.Seed:
		return r.takeSeed(ctx, seen, try)
	case try.claim.Attempt > 1: // it may be a seed
		return r.Guard.Retake(ctx, seen.seeded(try))
	}
	return nil, nil
}

// takeSeed looks first whether the object is the one that has the name now: a cache that is behind shows one that is gone, and a
// seed that it took would be spent for its successor.
func (r *Reconciler) takeSeed(ctx context.Context, seen *observation, try *attempt) (*loginguard.Refusal, error) {
	gone, err := r.isGone(ctx, seen)
	switch {
	case err != nil:
		return nil, err
	case gone:
		return nil, custody.ErrGone
	}
	return r.Guard.Take(ctx, seen.seeded(try), r.Clock.Now())
}

// isForgetful tells whether the guard refuses because its Secret could not be read.
func isForgetful(refusal *loginguard.Refusal) bool {
	return refusal.Why == loginguard.Damaged || refusal.Why == loginguard.Spent && refusal.By == loginguard.Owner{}
}

// otherCredential names another FluentCredential to the readers of a namespace. One of another namespace has no name:
// who writes a FluentCredential with a guessed user name does not learn who uses that user.
func otherCredential(other loginguard.Owner, namespace string) string {
	if other.Namespace != namespace {
		return "another FluentCredential"
	}
	return "FluentCredential " + other.Name
}

// isNamedInLog continues a message about a FluentCredential of another namespace.
const isNamedInLog = " (it is in another namespace; the operator's log names it)"

func hintAtLog(other loginguard.Owner, namespace string) string {
	if other.Namespace == namespace {
		return ""
	}
	return isNamedInLog
}

// logOther names to the administrator the FluentCredential of another namespace that a message does not name.
func (r *Reconciler) logOther(ctx context.Context, seen *observation, refusal *loginguard.Refusal) {
	other := refusal.By
	isNamed := other == loginguard.Owner{} || other.Namespace == seen.cred.Namespace
	if isNamed || seen.memory.loggedOther == other {
		return
	}
	seen.memory.loggedOther = other
	ctrl.LoggerFrom(ctx).Info("A FluentCredential of another namespace has this login, or spent this seed",
		"why", refusal.Why, "otherNamespace", other.Namespace, "otherName", other.Name)
}

func explain(refusal *loginguard.Refusal, namespace string) string {
	if isForgetful(refusal) {
		return explainDamage(refusal)
	}
	switch refusal.Why {
	case loginguard.InUse:
		return otherCredential(refusal.By, namespace) + " has this login: the same user name or seed, client and scope" +
			hintAtLog(refusal.By, namespace)
	case loginguard.Exhausted:
		return "too many logins of this user were refused; the next one is tried at " + refusal.Until.UTC().Format(time.RFC3339)
	case loginguard.Paced:
		return fmt.Sprintf("this FluentCredential came with more than %d new logins in %s, or has %d that are remembered: "+
			"give it one login; the next one is tried at %s", loginguard.MaxNew, loginguard.Window, loginguard.MaxKept,
			refusal.Until.UTC().Format(time.RFC3339))
	case loginguard.Spent:
		return otherCredential(refusal.By, namespace) + " spent this seed before, and a seed works once: authorize again" +
			hintAtLog(refusal.By, namespace)
	case loginguard.Rejected, loginguard.Damaged:
	}
	return "these credentials were refused before; they are tried again at " + refusal.Until.UTC().Format(time.RFC3339)
}

func explainDamage(refusal *loginguard.Refusal) string {
	if refusal.Why == loginguard.Spent {
		return "whether this seed was spent before is not known any more, because the login guard's Secret cannot be read: authorize anew"
	}
	return "the login guard's Secret cannot be read, so it counts as two refused logins; the next one is tried at " +
		refusal.Until.UTC().Format(time.RFC3339)
}

// guardCauses are the causes of a login that the guard refused. A used-up budget refills by itself.
var guardCauses = map[loginguard.Why]failure.Cause{
	loginguard.Rejected:  failure.WaitsForUnprobed(failure.CredentialsSecret),
	loginguard.Exhausted: failure.Passing(),
	loginguard.Paced:     failure.Passing(),
	loginguard.InUse:     failure.NeedsPerson(failure.Spec),
	loginguard.Spent:     failure.NeedsPerson(failure.CredentialsSecret),
	loginguard.Damaged:   failure.Passing(),
}

// guardReasons are the condition reasons of a login that the guard refused.
var guardReasons = map[string]string{
	string(loginguard.Rejected):  v1alpha1.ReasonCredentialsRejected,
	string(loginguard.Exhausted): v1alpha1.ReasonLoginLocked,
	string(loginguard.Paced):     v1alpha1.ReasonLoginLocked,
	string(loginguard.InUse):     v1alpha1.ReasonLoginInUse,
	string(loginguard.Spent):     v1alpha1.ReasonReauthorizationRequired,
	string(loginguard.Damaged):   v1alpha1.ReasonLoginLocked,
}

// settleLogin tells the guard what became of a login. A login that cannot be settled counts as refused.
func (r *Reconciler) settleLogin(ctx context.Context, seen *observation, try *attempt) {
	if r.Guard == nil {
		return
	}
	var err error
	switch {
	case try.claim.Grant == token.Password:
		try.retryAt, err = r.Guard.Settle(ctx, seen.guarded(), try.claim.ID, try.answer.Verdict, r.Clock.Now())
	case !try.claim.Seed || try.sent.IsZero(): // or the claim was not ours: somebody else is spending it
	case isIntact(try.answer.Verdict):
		err = r.Guard.Return(ctx, seen.seeded(try))
	default:
		err = r.Guard.Spend(ctx, seen.seeded(try))
	}
	if errors.Is(err, loginguard.ErrDamaged) {
		r.Metrics.Guarded(string(loginguard.Damaged))
	}
	if err != nil {
		ctrl.LoggerFrom(ctx).Error(err, "A login could not be settled; it counts as refused")
	}
}

// isIntact tells whether what was to be spent is as good as before.
func isIntact(verdict token.Verdict) bool {
	return verdict == token.Unsent || verdict == token.RefusedIntact || verdict == token.TryLater
}

// seeded is the seed that is to be spent, as the guard knows it.
func (o *observation) seeded(try *attempt) loginguard.Login {
	login := o.guarded()
	login.Seed, login.Use.Claim = try.spends, try.claim.ID
	return login
}

// guarded is the login as the guard knows it.
func (o *observation) guarded() loginguard.Login {
	return loginguard.Login{
		Endpoint: oneSpelling(o.api.Endpoint()), Username: o.login.Username, Password: o.login.Password,
		Use: loginguard.Use{Client: o.login.ClientID, Scope: o.login.Scope, Owner: loginguard.Owner{
			Namespace: o.cred.Namespace, Name: o.cred.Name, UID: string(o.cred.UID), Created: o.cred.CreationTimestamp.Time,
		}},
	}
}

// oneSpelling names an endpoint alike however its URL is written (RFC 3986 section 6.2): two FluentCredentials that reach one server
// share one budget, and one cannot take what the other has.
func oneSpelling(endpoint *url.URL) string {
	same := *endpoint
	same.Host, same.RawPath = oneHost(endpoint), ""
	return same.String()
}

// oneHost is the host, with its port where that is not the usual one.
func oneHost(endpoint *url.URL) string {
	host := strings.TrimSuffix(strings.ToLower(endpoint.Hostname()), ".")
	if strings.Contains(host, ":") {
		host = "[" + host + "]"
	}
	if port := endpoint.Port(); port != "" && port != map[string]string{"http": "80", "https": "443"}[endpoint.Scheme] {
		host += ":" + port
	}
	return host
}

// hostOf is the token host whose requests are counted, however the URL is written.
func hostOf(api provider.API) string { return oneHost(api.Endpoint()) }

// hasLeft reports whether the owner of a use is gone, or was given another login and holds nothing that the old one brought: what it
// still holds it may refresh. The owner of a trial has left unless it is at work, or works with a token of the login.
func (r *Reconciler) hasLeft(ctx context.Context, use loginguard.Use, login loginguard.Login) bool {
	owner := use.Owner
	var cred v1alpha1.FluentCredential
	err := r.Live.Get(ctx, types.NamespacedName{Namespace: owner.Namespace, Name: owner.Name}, &cred)
	if err != nil || string(cred.UID) != owner.UID {
		return err == nil || apierrors.IsNotFound(err)
	}
	if !login.Seed.IsZero() {
		return false // it lives, so the seed is its own
	}
	seen, err := r.observe(ctx, &cred, &remembered{})
	switch {
	case err != nil:
		return false
	case use.Trial && seen.record.Claim != nil:
		return false
	case use.Trial && seen.record.Token == nil && seen.record.Chain == nil && !seen.unreadable:
		return true
	case seen.api == nil || seen.obstacle.reason != "" || seen.facts.Token == nil:
		return false
	case seen.guarded().IsSame(login):
		return use.Trial && seen.facts.Token.Stale
	}
	return !seen.facts.Token.Stale
}

// guardSweep is how often the leader removes the login guards that hold nothing any more.
const guardSweep = time.Hour

// sweepGuards removes them until the context ends.
func (r *Reconciler) sweepGuards(ctx context.Context) error {
	wait.UntilWithContext(ctx, func(ctx context.Context) {
		if err := r.Guard.Sweep(ctx, r.Clock.Now(), r.hasGone); err != nil && ctx.Err() == nil {
			ctrl.LoggerFrom(ctx).Error(err, "Login guards that hold nothing any more stay: the operator cannot list them")
		}
	}, guardSweep)
	return nil
}

// hasGone reports whether a FluentCredential does not exist any more. Where that is not known it says no.
func (r *Reconciler) hasGone(ctx context.Context, owner loginguard.Owner) bool {
	key := types.NamespacedName{Namespace: owner.Namespace, Name: owner.Name}
	var cred v1alpha1.FluentCredential
	if err := r.Client.Get(ctx, key, &cred); err == nil && string(cred.UID) == owner.UID {
		return false
	}
	cred = v1alpha1.FluentCredential{}
	err := r.Live.Get(ctx, key, &cred)
	return apierrors.IsNotFound(err) || err == nil && string(cred.UID) != owner.UID
}

// forgetGuards removes the login guards that a FluentCredential which is being deleted began. What stays, Sweep removes later.
func (r *Reconciler) forgetGuards(ctx context.Context, seen *observation) {
	if r.Guard == nil {
		return
	}
	owner := loginguard.Owner{Namespace: seen.cred.Namespace, Name: seen.cred.Name, UID: string(seen.cred.UID)}
	if err := r.Guard.Forget(ctx, owner, r.Clock.Now()); err != nil {
		ctrl.LoggerFrom(ctx).V(1).Info("The login guards of a FluentCredential stay until they are swept", "error", err.Error())
	}
}
