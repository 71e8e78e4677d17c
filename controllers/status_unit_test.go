package controllers

import (
	"encoding/json"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	gotoken "go/token"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/fluxcd/cli-utils/pkg/kstatus/status"
	"github.com/google/go-cmp/cmp"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"

	"github.com/fluent-credential/operator/api/v1alpha1"
	"github.com/fluent-credential/operator/internal/custody"
	"github.com/fluent-credential/operator/internal/failure"
	"github.com/fluent-credential/operator/internal/kubeerror"
	"github.com/fluent-credential/operator/internal/loginguard"
	"github.com/fluent-credential/operator/internal/plan"
	"github.com/fluent-credential/operator/internal/token"
)

// A situation is what can be seen of a credential, and what must be said of it.
type situation struct {
	why   string
	given func(*scene)
	// ready and renewable are «status reason» of the two conditions that are there always.
	ready, renewable string
	// besides is the third condition, where there is one: Stalled or Reconciling.
	besides string
	says    string // a part of the summary's message
	kstatus status.Status
}

var (
	unreachable = refused(token.Unsent, 0, "", "connection refused")
	lostReply   = refused(token.Unknown, 0, "", "no reply in time")
	deadToken   = refused(token.RefusedDead, 400, "invalid_grant", "Invalid refresh token")
	wrongLogin  = refused(token.LoginRefused, 400, "invalid_grant", "Bad credentials")
	lockedLogin = refused(token.LoginRefused, 500, "400", "Bad credentials")
	wrongClient = refused(token.RefusedIntact, 401, "invalid_client", "Bad client credentials")
	tooMany     = refused(token.TryLater, 429, "", "")
	unreadable  = refused(token.Unknown, 200, "invalid_reply", "the reply has no access_token")
	surprising  = refused(token.Declined, 400, "surprise", "The moon is in the wrong house.")
	redirecting = passing(refused(token.RefusedIntact, 307, "redirect", "redirects to elsewhere.example, which is not followed"))
	inUse       = refusedByGuard(loginguard.InUse, "FluentCredential first in namespace shop, which is older, logs in with it")
	exhausted   = refusedByGuard(loginguard.Exhausted, "too many logins of this user were refused")
	noDisk      = refused(token.Unsent, 0, journalUnwritable, "no space left on device")
)

const (
	published  = "True TokenPublished"
	expected   = "True RenewalExpected"
	stalled    = v1alpha1.ConditionStalled
	inProgress = v1alpha1.ConditionReconciling
)

// unwritten is a write that the Kubernetes API could not do.
func unwritten(name string) error {
	return &kubeerror.WriteError{
		Object: "state Secret " + name, Subject: failure.StateSecret, Verb: kubeerror.Update, Err: apierrors.NewInternalError(errors.New("etcd is away")),
	}
}

// situations are all that can be said of a credential.
var situations = map[string]situation{
	"healthy": {
		"workloads have a token, and the next one is expected", func(*scene) {}, published, expected, "", "holds a valid access token", status.CurrentStatus,
	},
	"just created": {
		"it is on its way", func(s *scene) { s.fresh() },
		"False Progressing", "Unknown Progressing", inProgress, "a token is being obtained", status.InProgressStatus,
	},
	"due": {
		"a refresh is nothing that anybody waits for", func(s *scene) { s.later(10 * time.Minute) },
		published, expected, inProgress, "holds a valid access token", status.InProgressStatus,
	},
	"unpublished": {
		"the token is there, and no workload has it yet", func(s *scene) { s.workload = workload{wanted: s.workload.wanted} },
		"False Progressing", expected, inProgress, "a token is being obtained", status.InProgressStatus,
	},
	"published by another replica": {
		"a higher serial is a newer token", func(s *scene) { s.workload.serial, s.workload.current, s.record.Chain = 18, false, nil },
		published, expected, "", "holds a valid access token", status.CurrentStatus,
	},
	"another replica at work": {
		"its result is waited for", func(s *scene) { s.record.Claim = &custody.Claim{ID: "claim", Holder: custody.Holder{Pod: "other"}} },
		published, expected, inProgress, "holds a valid access token", status.InProgressStatus,
	},
	"no login Secret": {
		"it may be on its way", func(s *scene) {
			s.fresh()
			s.obstruct(v1alpha1.ReasonCredentialsNotFound, "Secret orders-login does not exist")
		},
		"False CredentialsNotFound", "False CredentialsNotFound", inProgress, "does not exist", status.InProgressStatus,
	},
	"login Secret deleted": {
		"the early warning", func(s *scene) { s.obstruct(v1alpha1.ReasonCredentialsNotFound, "Secret orders-login does not exist") },
		published, "False CredentialsNotFound", inProgress, "does not exist", status.InProgressStatus,
	},
	"login incomplete": {
		"only a person can help", func(s *scene) {
			s.fresh()
			s.obstruct(v1alpha1.ReasonCredentialsIncomplete, "Secret orders-login has no password")
		},
		"False CredentialsIncomplete", "False CredentialsIncomplete", stalled, "has no password", status.FailedStatus,
	},
	"login out of a state Secret": {
		"only a person can help", func(s *scene) {
			s.useLogin(&rememberedRead{refused: "Secret other-fluent-state has the type of a state", login: s.login})
		},
		published, "False ReferenceNotAllowed", stalled, "other-fluent-state", status.FailedStatus,
	},
	"endpoint not allowed": {
		"only a person can help", func(s *scene) {
			s.fresh()
			s.obstruct(v1alpha1.ReasonEndpointNotAllowed, "the host matches no pattern")
		},
		"False EndpointNotAllowed", "False EndpointNotAllowed", stalled, "matches no pattern", status.FailedStatus,
	},
	"endpoint redirects": {
		"an endpoint that redirects today may answer tomorrow", func(s *scene) { s.fresh(); s.answered(token.Password, redirecting) },
		"False EndpointNotAllowed", "Unknown EndpointNotAllowed", inProgress, "redirects to elsewhere.example", status.InProgressStatus,
	},
	"template invalid": {
		"what is published stays", func(s *scene) {
			s.obstruct(v1alpha1.ReasonTemplateInvalid, "target.data[x] cannot be rendered")
			s.workload.wanted = nil
		},
		published, "False TemplateInvalid", stalled, "cannot be rendered", status.FailedStatus,
	},
	"state edited": {
		"nothing is left to start anew with",
		func(s *scene) { s.fresh(); s.obstruct(v1alpha1.ReasonStateInvalid, "the state Secret was edited") },
		"False StateInvalid", "False StateInvalid", stalled, "was edited", status.FailedStatus,
	},
	"state's name taken, token alive": {
		"workloads go on with what they have", func(s *scene) {
			s.cred.Status.Token = &v1alpha1.TokenStatus{Serial: 17, ExpirationTime: *timeOf(s.record.Token.Expires)}
			s.record, s.unreadable = &custody.Record{}, true
			s.obstruct(v1alpha1.ReasonStateInvalid, "a Secret that is not the operator's has the name")
		},
		published, "False StateInvalid", stalled, "is not the operator's", status.FailedStatus,
	},
	"state's name taken, token expired": {
		"workloads have no token", func(s *scene) {
			s.cred.Status.Token = &v1alpha1.TokenStatus{Serial: 17, ExpirationTime: *timeOf(s.record.Token.Expires)}
			s.record, s.unreadable = &custody.Record{}, true
			s.obstruct(v1alpha1.ReasonStateInvalid, "a Secret that is not the operator's has the name")
			s.later(time.Hour)
		},
		"False StateInvalid", "False StateInvalid", stalled, "is not the operator's", status.FailedStatus,
	},
	"target taken": {
		"it is left alone", func(s *scene) { s.workload = workload{found: true} },
		"False TargetConflict", "False TargetConflict", stalled, "Secret orders-token exists and does not belong", status.FailedStatus,
	},
	"wrong password": {
		"only a person can help", func(s *scene) { s.fresh(); s.answered(token.Password, wrongLogin) },
		"False CredentialsRejected", "False CredentialsRejected", stalled,
		"password of acme.sandbox.api.fluentretail.com: HTTP 400: invalid_grant: Bad credentials", status.FailedStatus,
	},
	"wrong password, token alive": {
		"the early warning", func(s *scene) { s.record.Chain = nil; s.answered(token.Password, wrongLogin) },
		published, "False CredentialsRejected", stalled, "Bad credentials", status.FailedStatus,
	},
	"user locked": {
		"some APIs say so", func(s *scene) { s.fresh(); s.answered(token.Password, lockedLogin) },
		"False LoginLocked", "False LoginLocked", stalled, "HTTP 500: 400: Bad credentials", status.FailedStatus,
	},
	"login in use": {
		"two would steal each other's refresh token", func(s *scene) { s.fresh(); s.answered(token.Password, inUse) },
		"False LoginInUse", "False LoginInUse", stalled, "FluentCredential first in namespace shop", status.FailedStatus,
	},
	"login guarded": {
		"one more would lock the user", func(s *scene) { s.fresh(); s.answered(token.Password, exhausted) },
		"False LoginLocked", "False LoginLocked", inProgress, "too many logins", status.InProgressStatus,
	},
	"wrong client, a moment ago": {
		"a refusal of what has just worked may be a blip", func(s *scene) { s.answered(token.RefreshToken, wrongClient) },
		published, expected, inProgress, "holds a valid access token", status.InProgressStatus,
	},
	"wrong client, for two minutes": {
		"the early warning; the client is still probed",
		func(s *scene) { s.refusedSince(2*time.Minute, token.RefreshToken, wrongClient) },
		published, "False CredentialsRejected", inProgress, "invalid_client", status.InProgressStatus,
	},
	"wrong client, three probes failed": {
		"a person can help: the client must be corrected",
		func(s *scene) { s.refusedSince(24*time.Minute, token.RefreshToken, wrongClient) },
		published, "False CredentialsRejected", stalled, "invalid_client", status.FailedStatus,
	},
	"wrong client, stored by a former operator": {
		"it is probed as well", func(s *scene) {
			s.answered(token.RefreshToken, wrongClient)
			failed := s.record.Failure
			failed.Class, failed.First, failed.RetryAt = "", time.Time{}, time.Time{}
		},
		published, "False CredentialsRejected", stalled, "invalid_client", status.FailedStatus,
	},
	"declined": {
		"the password helps, and the refresh token is left alone", func(s *scene) { s.answered(token.RefreshToken, surprising) },
		published, expected, inProgress, "holds a valid access token", status.InProgressStatus,
	},
	"declined, and nothing else": {
		"what a person has to know is what the API said", func(s *scene) { s.seeded(); s.answered(token.RefreshToken, surprising) },
		published, "False CredentialsRejected", stalled, "surprise: The moon is in the wrong house.", status.FailedStatus,
	},
	"declined login": {
		"a password is not sent again as it was", func(s *scene) { s.fresh(); s.answered(token.Password, surprising) },
		"False CredentialsRejected", "False CredentialsRejected", stalled, "surprise", status.FailedStatus,
	},
	"API away, no token": {
		"it is tried again", func(s *scene) { s.fresh(); s.answered(token.Password, unreachable) },
		"False ProviderUnavailable", "Unknown ProviderUnavailable", inProgress, "connection refused", status.InProgressStatus,
	},
	"API away, token alive": {
		"workloads have a token, and the API comes back by itself", func(s *scene) { s.answered(token.RefreshToken, unreachable) },
		published, expected, inProgress, "holds a valid access token", status.InProgressStatus,
	},
	"API away, token expired": {
		"since when, and why", func(s *scene) { s.later(time.Hour); s.answered(token.RefreshToken, unreachable) },
		"False TokenExpired", expected, inProgress, "the access token expired at 2026-01-05T10:20:00Z; refresh_token of acme.sandbox", status.InProgressStatus,
	},
	"rate limited": {
		"it is tried again", func(s *scene) { s.fresh(); s.answered(token.Password, tooMany) },
		"False RateLimited", "Unknown RateLimited", inProgress, "HTTP 429", status.InProgressStatus,
	},
	"host's turn": {
		"other credentials were faster", func(s *scene) {
			s.fresh()
			s.r.Hosts = NewHosts(1)
			s.r.Hosts.Take("acme.sandbox.api.fluentretail.com", waiter{}, s.now)
		},
		"False RateLimited", "Unknown RateLimited", inProgress, "--host-rate", status.InProgressStatus,
	},
	"a host that fails for another credential": {
		"the words of the host's failure say why this one waits", func(s *scene) {
			s.fresh()
			s.hostFailed("HTTP 502", "other")
		},
		"False ProviderUnavailable", "Unknown ProviderUnavailable", inProgress,
		"the token host does not answer this namespace (HTTP 502)", status.InProgressStatus,
	},
	"a host that fails for this credential and another": {
		"the condition is the same whichever of the two sends the next request", func(s *scene) {
			s.fresh()
			s.answered(token.Password, unreachable)
			s.hostFailed("HTTP 502", "other")
			s.later(2 * time.Second)
		},
		"False ProviderUnavailable", "Unknown ProviderUnavailable", inProgress, "connection refused", status.InProgressStatus,
	},
	"unreadable reply": {
		"it may pass", func(s *scene) { s.fresh(); s.answered(token.Password, unreadable) },
		"False InvalidReply", "Unknown InvalidReply", inProgress, "has no access_token", status.InProgressStatus,
	},
	"a claim that cannot be written": {
		"nothing is spent, and the API's words say why", func(s *scene) {
			s.later(10 * time.Minute)
			s.memory.state.fails(s.now, unwritten("orders-fluent-state"), 0.5)
		},
		published, expected, inProgress, "holds a valid access token", status.InProgressStatus,
	},
	"a claim that could not be written for a minute": {
		"the token will expire if nobody acts", func(s *scene) {
			s.later(10 * time.Minute)
			s.memory.state.fails(s.now, unwritten("orders-fluent-state"), 0.5)
			s.later(time.Minute)
			s.memory.state.fails(s.now, unwritten("orders-fluent-state"), 0.5)
		},
		published, "False StateUnwritable", inProgress, "state Secret orders-fluent-state cannot be written: InternalError: etcd is away", status.InProgressStatus,
	},
	"a claim that cannot be written, expired": {
		"the cause is told", func(s *scene) {
			s.later(time.Hour)
			s.memory.state.fails(s.now, unwritten("orders-fluent-state"), 0.5)
		},
		"False TokenExpired", expected, inProgress, "cannot be written: InternalError: etcd is away", status.InProgressStatus,
	},
	"a reply that cannot be stored": {
		"it is held, and nothing else is begun", func(s *scene) {
			s.later(10 * time.Minute)
			s.memory.state.fails(s.now, fmt.Errorf("%w: %w", custody.ErrHeld, custody.ErrForeign), 0.5)
			s.r.memory.hold(&held{seen: s.observation})
		},
		published, "False StateUnwritable", stalled, "a reply of the API is held until it can be stored: a Secret that is not", status.FailedStatus,
	},
	"a target that is denied for minutes": {
		"a person can change the policy", func(s *scene) {
			s.workload = workload{wanted: s.workload.wanted}
			s.memory.target.fails(s.now, apierrors.NewForbidden(schema.GroupResource{Resource: "secrets"}, "orders-token", errors.New("a policy")), 0.5)
			s.later(2 * time.Minute)
			s.memory.target.fails(s.now, apierrors.NewForbidden(schema.GroupResource{Resource: "secrets"}, "orders-token", errors.New("a policy")), 0.5)
			s.memory.target.against = s.targetInput()
		},
		"False PublishFailed", "False PublishFailed", stalled, "secrets orders-token: Forbidden: a policy", status.FailedStatus,
	},
	"a target that was denied, and has changed": {
		"it is tried at once", func(s *scene) {
			s.workload = workload{wanted: s.workload.wanted}
			s.memory.target.fails(s.now, apierrors.NewForbidden(schema.GroupResource{Resource: "secrets"}, "orders-token", errors.New("a policy")), 0.5)
			s.memory.target.against = input{version: "7", generation: s.cred.Generation}
		},
		"False Progressing", expected, inProgress, "a token is being obtained", status.InProgressStatus,
	},
	"a target that cannot be written": {
		"it is tried again, and workloads have no token", func(s *scene) {
			s.workload = workload{wanted: s.workload.wanted}
			s.memory.target.fails(s.now, unwritten("orders-token"), 0.5)
		},
		"False PublishFailed", expected, inProgress, "orders-token cannot be written: InternalError: etcd is away", status.InProgressStatus,
	},
	"no room for the journal": {
		"nothing is spent", func(s *scene) { s.fresh(); s.answered(token.Password, noDisk) },
		"False JournalUnwritable", "Unknown JournalUnwritable", inProgress, "no space left on device", status.InProgressStatus,
	},
	"refresh token refused, a password left": {
		"another way is being tried", func(s *scene) { s.later(10 * time.Minute); s.answered(token.RefreshToken, deadToken) },
		published, expected, inProgress, "holds a valid access token", status.InProgressStatus,
	},
	"refresh token refused, expired": {
		"the cause is told", func(s *scene) { s.later(time.Hour); s.answered(token.RefreshToken, deadToken) },
		"False TokenExpired", expected, inProgress, "invalid_grant: Invalid refresh token", status.InProgressStatus,
	},
	"refresh token refused, nothing left": {
		"a person is asked", func(s *scene) { s.seeded(); s.answered(token.RefreshToken, deadToken) },
		published, "False ReauthorizationRequired", stalled, "put a new refresh_token", status.FailedStatus,
	},
	"refresh token refused, the API's words": {
		"a person learns why", func(s *scene) { s.seeded(); s.answered(token.RefreshToken, deadToken); s.later(time.Hour) },
		"False TokenExpired", "False ReauthorizationRequired", stalled, "invalid_grant: Invalid refresh token", status.FailedStatus,
	},
	"a token without life": {
		"it is not published, and the API is asked again", func(s *scene) { s.answered(token.RefreshToken, reply(0, "new")) },
		"False TokenExpired", expected, "", "the API gave an access token that has no life left (expires_in 0)", status.InProgressStatus,
	},
	"nothing left, not due": {
		"the early warning comes long before the token is due", func(s *scene) { s.seeded(); s.record.Chain = nil },
		published, "False ReauthorizationRequired", "", "put a new refresh_token", status.CurrentStatus,
	},
	"nothing left, expired": {
		"workloads have no token", func(s *scene) { s.seeded(); s.record.Chain = nil; s.later(time.Hour) },
		"False TokenExpired", "False ReauthorizationRequired", stalled, "put a new refresh_token", status.FailedStatus,
	},
	"reply lost, a password left": {
		"it logs in anew", func(s *scene) { s.answered(token.RefreshToken, lostReply) },
		published, expected, inProgress, "holds a valid access token", status.InProgressStatus,
	},
	"reply lost, presented late": {
		"it may be the end of the chain, so it warns", func(s *scene) { s.seeded(); s.answered(token.RefreshToken, lostReply) },
		published, "False ReplyLost", inProgress, "no reply in time); it is presented once more", status.InProgressStatus,
	},
	"reply lost, Stop": {
		"a person decides", func(s *scene) {
			s.cred.Spec.Refresh.OnLostReply = v1alpha1.LostReplyStop
			s.answered(token.RefreshToken, lostReply)
		},
		published, "False ReplyLost", stalled, "set the rotate annotation", status.FailedStatus,
	},
	"reply lost twice": {
		"a token is presented at most twice", func(s *scene) {
			s.seeded()
			s.answered(token.RefreshToken, lostReply)
			s.answered(token.RefreshToken, lostReply)
		},
		published, "False ReauthorizationRequired", stalled, "put a new refresh_token", status.FailedStatus,
	},
	"Secret refused": {
		"the Kubernetes API says no", func(s *scene) {
			s.workload = workload{wanted: s.workload.wanted}
			s.failed = apierrors.NewForbidden(schema.GroupResource{Resource: "secrets"}, "orders-token", errors.New("exceeded quota"))
		},
		"False PublishFailed", expected, inProgress, "secrets orders-token: Forbidden: exceeded quota", status.InProgressStatus,
	},
	"suspended": {
		"a person wants it so", func(s *scene) { s.cred.Spec.Suspend = true },
		published, "False Suspended", "", "spec.suspend is true", status.CurrentStatus,
	},
	"suspended, expired": {
		"the expiry is reported", func(s *scene) { s.cred.Spec.Suspend = true; s.later(time.Hour) },
		"False TokenExpired", "False Suspended", "", "spec.suspend is true", status.InProgressStatus,
	},
	"suspended from the start": {
		"there never was a token", func(s *scene) { s.fresh(); s.cred.Spec.Suspend = true },
		"False Suspended", "False Suspended", "", "spec.suspend is true", status.InProgressStatus,
	},
}

func TestUnitStatusOfEverySituation(t *testing.T) {
	for name, test := range situations {
		t.Run(name, func(t *testing.T) {
			s := newScene(t)
			test.given(s)
			got := s.status()
			for kind, want := range map[string]string{v1alpha1.ConditionReady: test.ready, v1alpha1.ConditionRenewable: test.renewable} {
				if say := sayOf(got, kind); say != want {
					t.Errorf("%s is %q, want %q: %s", kind, say, want, test.why)
				}
			}
			mustBeAlone(t, got, test.besides)
			if !strings.Contains(got.Summary.Message, test.says) {
				t.Errorf("the summary says %s: %q, want %q: %s", got.Summary.Reason, got.Summary.Message, test.says, test.why)
			}
			if computed := computed(t, got); computed.Status != test.kstatus {
				t.Errorf("kstatus: %s (%s), want %s: %s", computed.Status, computed.Message, test.kstatus, test.why)
			}
		})
	}
}

// sayOf is «status reason» of a condition.
func sayOf(got v1alpha1.FluentCredentialStatus, kind string) string {
	found := meta.FindStatusCondition(got.Conditions, kind)
	if found == nil {
		return ""
	}
	return string(found.Status) + " " + found.Reason
}

// mustBeAlone: Stalled and Reconciling are present only while true, and never together.
func mustBeAlone(t *testing.T, got v1alpha1.FluentCredentialStatus, besides string) {
	t.Helper()
	want := 2
	if besides != "" {
		want = 3
		if !meta.IsStatusConditionTrue(got.Conditions, besides) {
			t.Errorf("%s is %q, want True", besides, sayOf(got, besides))
		}
	}
	if len(got.Conditions) != want {
		t.Errorf("%d conditions, want %d: %+v", len(got.Conditions), want, got.Conditions)
	}
}

// computed is what kubectl, Argo CD and Flux make of the status.
func computed(t *testing.T, got v1alpha1.FluentCredentialStatus) *status.Result {
	t.Helper()
	encoded, err := json.Marshal(map[string]any{
		"apiVersion": v1alpha1.GroupVersion.String(), "kind": "FluentCredential", "metadata": map[string]any{"generation": 3}, "status": got,
	})
	if err != nil {
		t.Fatal(err)
	}
	object := &unstructured.Unstructured{}
	if err := object.UnmarshalJSON(encoded); err != nil {
		t.Fatal(err)
	}
	result, err := status.Compute(object)
	if err != nil {
		t.Fatal(err)
	}
	return result
}

// relative matches what changes by itself as time passes: «in 5 s», «3 minutes ago», «2m30s». Absolute times are no such thing.
var relative = regexp.MustCompile(`(?i)\b(ago|remaining|since)\b|\b\d+(\.\d+)?(ms|s|m|h)\b|\b\d+ (seconds?|minutes?|hours?|times?)\b`)

func TestUnitStatusHoldsNoSecretAndNoRelativeTime(t *testing.T) {
	for name, test := range situations {
		t.Run(name, func(t *testing.T) {
			s := newScene(t)
			test.given(s)
			got := s.status()
			encoded := fmt.Sprintf("%+v %+v %+v", got, got.Summary, got.Token)
			for _, secret := range []string{scenePassword, sceneSecret, sceneAccess, sceneRefresh, sceneSeed} {
				if strings.Contains(encoded, secret) {
					t.Errorf("the status holds a secret: %s", strings.ReplaceAll(encoded, secret, "«here»"))
				}
			}
			for _, condition := range got.Conditions {
				if found := relative.FindString(condition.Message); found != "" {
					t.Errorf("%s says %q, which is not true for long: %s", condition.Type, found, condition.Message)
				}
				if condition.Reason == "" || condition.Message == "" || len(condition.Message) > 1024 || strings.ContainsAny(condition.Message, "\n\r\t") {
					t.Errorf("%s needs a reason and one readable line: %+v", condition.Type, condition)
				}
			}
		})
	}
}

// TestUnitStatusStaysWhenTimePasses: until the moment at which the plan looks again, nothing changes, the transition times included.
func TestUnitStatusStaysWhenTimePasses(t *testing.T) {
	for name, test := range situations {
		t.Run(name, func(t *testing.T) {
			s := newScene(t)
			test.given(s)
			first, next, begin := s.status(), s.next(), s.now
			s.cred.Status.Conditions = first.Conditions
			wait := 24 * time.Hour
			switch {
			case !next.At.IsZero():
				wait = next.At.Sub(begin)
			case next.Do != plan.Wait:
				wait = time.Second // it is done at once
			}
			for _, passed := range []time.Duration{time.Millisecond, wait / 10, wait / 2, wait - 1} {
				s.now = begin.Add(passed)
				if diff := cmp.Diff(first, s.status()); diff != "" {
					t.Fatalf("%s later, and the plan looks again after %s (-before +after)\n%s", passed, wait, diff)
				}
			}
		})
	}
}

func TestUnitStatusTransitionTimes(t *testing.T) {
	s := newScene(t)
	s.cred.Status.Conditions = s.status().Conditions
	s.later(5 * time.Minute)
	s.answered(token.Password, wrongLogin)
	got := s.status()
	for kind, want := range map[string]time.Time{
		v1alpha1.ConditionReady: start, v1alpha1.ConditionRenewable: s.now, v1alpha1.ConditionStalled: s.now,
	} {
		if found := meta.FindStatusCondition(got.Conditions, kind); !found.LastTransitionTime.Time.Equal(want) || found.ObservedGeneration != 3 {
			t.Errorf("%s changed at %s, want %s; generation %d", kind, found.LastTransitionTime, want, found.ObservedGeneration)
		}
	}
}

// TestUnitStatusReasonsAreReached: the set of reasons is closed, and each of them is said of some situation.
func TestUnitStatusReasonsAreReached(t *testing.T) {
	said := map[string]bool{}
	for _, test := range situations {
		s := newScene(t)
		test.given(s)
		for _, condition := range s.status().Conditions {
			said[condition.Reason] = true
		}
	}
	for _, test := range tokenSituations {
		for _, condition := range statusOfToken(test.spoil).Conditions {
			said[condition.Reason] = true
		}
	}
	ignored := newScene(t)
	ignored.selectorIgnored = true
	if found := meta.FindStatusCondition(ignored.status().Conditions, v1alpha1.ConditionSelectorIgnored); found != nil {
		said[found.Reason] = true
	}
	labelled := newScene(t)
	labelled.cred.Spec.Target.Labels = map[string]v1alpha1.LabelValue{"argocd.argoproj.io/secret-type": "repository"}
	if found := meta.FindStatusCondition(labelled.status().Conditions, v1alpha1.ConditionMetadataIgnored); found != nil {
		said[found.Reason] = true
	}
	reasons := reasonConstants(t)
	for reason := range reasons {
		if !said[reason] {
			t.Errorf("no situation has the reason %s", reason)
		}
	}
	for reason := range said {
		if !reasons[reason] {
			t.Errorf("%s is said, and is none of the documented reasons", reason)
		}
	}
}

// reasonConstants reads the documented reasons out of their source.
func reasonConstants(t *testing.T) map[string]bool {
	t.Helper()
	parsed, err := parser.ParseFile(gotoken.NewFileSet(), "../api/v1alpha1/conditions.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	reasons := map[string]bool{}
	ast.Inspect(parsed, func(node ast.Node) bool {
		if spec, ok := node.(*ast.ValueSpec); ok && strings.HasPrefix(spec.Names[0].Name, "Reason") {
			value, _ := strconv.Unquote(spec.Values[0].(*ast.BasicLit).Value)
			reasons[value] = true
		}
		return true
	})
	return reasons
}

func TestUnitStatusFields(t *testing.T) {
	at := func(moment time.Time) *metav1.Time { return &metav1.Time{Time: moment} }
	tests := map[string]struct {
		why   string
		given func(*scene)
		check func(v1alpha1.FluentCredentialStatus) any
		want  any
	}{
		"observed generation": {"of the spec that it speaks of", func(*scene) {}, func(s v1alpha1.FluentCredentialStatus) any { return s.ObservedGeneration }, int64(3)},
		"token": {
			"described, never told", func(s *scene) { s.record.Token.Scope = "api" },
			func(s v1alpha1.FluentCredentialStatus) any { return *s.Token },
			v1alpha1.TokenStatus{
				Serial: 17, Grant: "refresh_token", Type: "bearer", Scope: "api",
				ObtainedTime: *at(start.Add(-10 * time.Minute)), ExpirationTime: *at(start.Add(20 * time.Minute)),
			},
		},
		"no token": {"there is none", func(s *scene) { s.fresh() }, func(s v1alpha1.FluentCredentialStatus) any {
			return s.Token == nil && s.Identity == nil && s.NextRefreshTime == nil
		}, true},
		"whole seconds": {
			"so that it compares equal to what is read back", func(s *scene) { s.record.Token.Expires = start.Add(time.Minute + 999*time.Millisecond) },
			func(s v1alpha1.FluentCredentialStatus) any { return s.Token.ExpirationTime }, *at(start.Add(time.Minute)),
		},
		"next refresh":            {"when the token is due", func(*scene) {}, func(s v1alpha1.FluentCredentialStatus) any { return s.NextRefreshTime }, at(start.Add(9 * time.Minute))},
		"next refresh, suspended": {"there is none", func(s *scene) { s.cred.Spec.Suspend = true }, func(s v1alpha1.FluentCredentialStatus) any { return s.NextRefreshTime == nil }, true},
		"target":                  {"where the token is", func(*scene) {}, func(s v1alpha1.FluentCredentialStatus) any { return s.TargetName }, "orders-token"},
		"target, renamed": {
			"where the token is, until it is in the new Secret",
			func(s *scene) { s.cred.Status.TargetName = "former"; s.workload = workload{wanted: s.workload.wanted} },
			func(s v1alpha1.FluentCredentialStatus) any { return s.TargetName }, "former",
		},
		"failures": {
			"counted, with the next try", func(s *scene) { s.answered(token.RefreshToken, unreachable) },
			func(s v1alpha1.FluentCredentialStatus) any { return *s.Failures },
			v1alpha1.FailureStatus{Count: 1, LastTime: *at(start), RetryTime: at(start.Add(time.Second)), Class: "Time"},
		},
		"failures, no next try": {
			"only a person can help", func(s *scene) {
				unusable := refused(token.RefusedIntact, 0, "endpoint_not_allowed", "caBundle holds no PEM certificate")
				unusable.Cause = failure.NeedsPerson(failure.Spec)
				s.answered(token.RefreshToken, unusable)
			},
			func(s v1alpha1.FluentCredentialStatus) any {
				return s.Failures.RetryTime == nil && s.Failures.Class == "Person"
			}, true,
		},
		"failures of another login": {
			"they are forgotten", func(s *scene) {
				s.answered(token.RefreshToken, wrongClient)
				s.login.ClientSecret = token.NewSecret("new")
			},
			func(s v1alpha1.FluentCredentialStatus) any { return s.Failures == nil }, true,
		},
		"rotate annotation": {
			"the one that was acted on", func(s *scene) { s.record.Rotate = "now" },
			func(s v1alpha1.FluentCredentialStatus) any { return s.LastHandledRotateAt }, "now",
		},
		"rotate annotation, state lost": {
			"the status remembers it", func(s *scene) { s.fresh(); s.cred.Status.LastHandledRotateAt = "then" },
			func(s v1alpha1.FluentCredentialStatus) any { return s.LastHandledRotateAt }, "then",
		},
		"identity": {
			"whose token it is", func(s *scene) { s.record.Token.Identity = token.Identity{RetailerID: "5", Roles: []string{"RETAILER"}} },
			func(s v1alpha1.FluentCredentialStatus) any { return *s.Identity },
			v1alpha1.Identity{Account: "ACME", RetailerID: "5", Roles: []string{"RETAILER"}},
		},
		"what an API can send": {
			"it is cut: a status is no place for a megabyte",
			func(s *scene) {
				s.record.Token.Scope = strings.Repeat("ä", 5000)
				s.record.Token.Identity.Roles = make([]string, 5000)
			},
			func(s v1alpha1.FluentCredentialStatus) any {
				return len([]rune(s.Token.Scope)) < 300 && len(s.Identity.Roles) < 100
			}, true,
		},
		"broken text": {
			"the Kubernetes API takes UTF-8 only", func(s *scene) { s.record.Token.Type = "bear\xffer" },
			func(s v1alpha1.FluentCredentialStatus) any { return s.Token.Type }, "bear\ufffder",
		},
		"provider": {"for the column", func(*scene) {}, func(s v1alpha1.FluentCredentialStatus) any { return s.Summary.Provider }, "fluent"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			s := newScene(t)
			test.given(s)
			if diff := cmp.Diff(test.want, test.check(s.status())); diff != "" {
				t.Errorf("%s (-want +got)\n%s", test.why, diff)
			}
		})
	}
}

// hostFailed lets a request of another credential of the namespace fail at the token host.
func (s *scene) hostFailed(words, name string) {
	const host = "acme.sandbox.api.fluentretail.com"
	s.r.Hosts = NewHosts(0).Bound(4)
	other := waiter{key: types.NamespacedName{Namespace: s.cred.Namespace, Name: name}}
	s.r.Hosts.Take(host, other, s.now)
	s.r.Hosts.Land(host, other.key, silent, s.now)
	s.r.Hosts.Describe(host, s.cred.Namespace, words)
	s.r.Hosts.Land(host, other.key, silent, s.now)
}
