package controllers

import (
	"net"
	"strings"
	"sync/atomic"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/fluent-credential/operator/api/v1alpha1"
)

// newDoor is a token host that counts who connects, and never answers.
func newDoor(t *testing.T) (url string, opened *atomic.Int64) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	opened = &atomic.Int64{}
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			opened.Add(1)
			_ = conn.Close()
		}
	}()
	return "http://" + listener.Addr().String() + "/token", opened
}

// TestNoReferenceReachesTheOperatorsOwnSecrets: the author of a FluentCredential chooses the host, so what a state
// Secret holds would be sent to it. The type of the Secret that was read decides, whatever its name.
func TestNoReferenceReachesTheOperatorsOwnSecrets(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		why    string
		kind   corev1.SecretType
		opened bool
	}{
		"a state Secret":                 {"another credential's tokens", v1alpha1.StateSecretType, false},
		"a login guard":                  {"it has records of logins", v1alpha1.GuardSecretType, false},
		"a type to come":                 {"the group is the operator's", "auth.fluent-credential.dev/anything", false},
		"the token of a service account": {"it opens the cluster", corev1.SecretTypeServiceAccountToken, false},
		"an opaque one":                  {"as in the documentation", corev1.SecretTypeOpaque, true},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			url, opened := newDoor(t)
			d := newDrivenWith(t, nil, func(secret *corev1.Secret) {
				secret.Type = test.kind
				secret.Annotations = map[string]string{corev1.ServiceAccountNameKey: "default"}
				secret.StringData = map[string]string{"state.json": "a-token-family", "client_id": "c"}
			}, func(cred *v1alpha1.FluentCredential) {
				cred.Spec.Provider = v1alpha1.ProviderSpec{OAuth2: &v1alpha1.OAuth2Provider{TokenURL: v1alpha1.TokenURL(url)}}
				cred.Spec.CredentialsSecretRef.Keys = map[string]v1alpha1.SecretKey{"refresh_token": "state.json"}
			})
			for range 10 {
				_ = d.pass()
			}
			if got := opened.Load() > 0; got != test.opened {
				t.Errorf("%d connections (%s)", opened.Load(), test.why)
			}
			ready := meta.FindStatusCondition(d.status().Conditions, v1alpha1.ConditionReady)
			refused := ready.Reason == v1alpha1.ReasonReferenceNotAllowed &&
				strings.Contains(ready.Message, "no credentials are read")
			if refused == test.opened {
				t.Errorf("Ready is %s: %s", ready.Reason, ready.Message)
			}
			if stalled := meta.IsStatusConditionTrue(d.status().Conditions, v1alpha1.ConditionStalled); refused && !stalled {
				t.Error("it is not stalled: only another reference helps")
			}
		})
	}
}

// TestAReferenceThatIsChangedToAStateSendsNothing: neither a rotation nor the revocation at the end takes anything from
// it.
func TestAReferenceThatIsChangedToAStateSendsNothing(t *testing.T) {
	t.Parallel()
	d := newDriven(t, nil)
	d.settle()
	sent := d.server.Ledger().Requests
	stolen := loginSecret(d.cred.Namespace, "stolen")
	stolen.Type = v1alpha1.StateSecretType
	create(t, stolen)
	edit(t, d.cred, func(cred *v1alpha1.FluentCredential) {
		cred.Spec.CredentialsSecretRef.Name = "stolen"
		metav1.SetMetaDataAnnotation(&cred.ObjectMeta, v1alpha1.RotateAnnotation, "now")
	})
	d.settle()
	if now := d.server.Ledger().Requests; now != sent {
		t.Errorf("%d requests with a login out of a state Secret", now-sent)
	}
	ready := meta.FindStatusCondition(d.status().Conditions, v1alpha1.ConditionReady)
	if ready.Status != metav1.ConditionTrue {
		t.Errorf("the token that is published is valid, and Ready says %s", ready.Message)
	}
	edit(t, d.cred, func(cred *v1alpha1.FluentCredential) { cred.Spec.CredentialsSecretRef.Name = "orders-login" })
	d.settle()
	if status := d.status(); status.Token.Serial != 2 {
		t.Errorf("serial %d after the reference was corrected, want 2", status.Token.Serial)
	}
}

// TestTargetNamedLikeAStateOfAnother: it would block the credential that comes later.
func TestTargetNamedLikeAStateOfAnother(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	s.cred.Spec.Target.Name = "stock-fluent-state"
	s.obstructByLogin()
	if s.obstacle.reason != v1alpha1.ReasonTargetConflict {
		t.Errorf("the obstacle is %+v", s.obstacle)
	}
	s.obstacle = obstacle{}
	s.cred.Status.TargetName = "stock-fluent-state"
	s.obstructByLogin()
	if s.obstacle != (obstacle{}) {
		t.Errorf("a former release publishes there: its token would expire, because %s", s.obstacle.message)
	}
	s.cred.Spec.Target.Name, s.cred.Status.TargetName = "orders-fluent-state", "orders-fluent-state"
	s.obstructByLogin()
	if s.obstacle.reason != v1alpha1.ReasonTargetConflict {
		t.Errorf("its own state has the name, and the obstacle is %+v", s.obstacle)
	}
}

// TestNoLoginIsSpentForASecretThatCannotBeWritten: an object can be older than the rules of admission.
func TestNoLoginIsSpentForASecretThatCannotBeWritten(t *testing.T) {
	t.Parallel()
	for name, test := range targetCases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newScene(t)
			s.cred.Spec.Target = test.target
			s.cred.Spec.Target.Name = "orders-token"
			s.obstructByLogin()
			wrong := test.says != "" && !test.alone && test.target.Name == ""
			if (s.obstacle.reason == v1alpha1.ReasonPublishFailed) != wrong {
				t.Errorf("%s: the obstacle is %+v", test.why, s.obstacle)
			}
		})
	}
}
