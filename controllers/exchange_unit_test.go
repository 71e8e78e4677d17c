package controllers

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/tools/events"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"

	"github.com/fluent-credential/operator/api/v1alpha1"
	"github.com/fluent-credential/operator/internal/custody"
	"github.com/fluent-credential/operator/internal/exchange"
	"github.com/fluent-credential/operator/internal/metrics"
	"github.com/fluent-credential/operator/internal/plan"
	"github.com/fluent-credential/operator/internal/token"
)

// exchangeScene is a credential whose state is stored, and whose token host is served by a function.
func exchangeScene(t *testing.T, serve http.HandlerFunc) *scene {
	t.Helper()
	s := newScene(t)
	s.cred.Spec.Provider = v1alpha1.ProviderSpec{OAuth2: &v1alpha1.OAuth2Provider{TokenURL: "http://token.example/token"}}
	s.useSpec()
	s.record.Token.Inputs, s.record.Token.Origin, s.record.Chain.Origin = s.inputs(), nil, nil
	s.record.State = s.record.Adopted(s.originNow(s.record.Salt))
	server := httptest.NewServer(serve)
	t.Cleanup(server.Close)
	s.r.Dialer = exchange.Dialer{
		Policy: exchange.Policy{InsecureHTTP: true},
		Connect: func(ctx context.Context, network, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, network, server.Listener.Addr().String())
		},
	}
	s.r.Metrics, s.r.Recorder = metrics.New(prometheus.NewRegistry()), events.NewFakeRecorder(10)
	s.store()
	return s
}

// store puts the state of the scene into a Kubernetes API.
func (s *scene) store() {
	s.t.Helper()
	scheme := runtime.NewScheme()
	if err := AddToScheme(scheme); err != nil {
		s.t.Fatal(err)
	}
	api := fake.NewClientBuilder().WithScheme(scheme).WithObjects(s.cred.DeepCopy()).Build()
	s.r.Client, s.r.Live, s.r.Custody = api, api, &custody.Store{Reader: api, Writer: api}
	state := s.record.State
	for range 2 { // the first write makes the Secret
		record, err := s.r.Custody.Open(s.t.Context(), s.owner())
		if err == nil {
			record, err = s.r.Custody.Put(s.t.Context(), s.owner(), record, state)
		}
		if err != nil {
			s.t.Fatal(err)
		}
		s.record = record
	}
}

// grants is a token host that gives a pair of tokens.
func grants(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write([]byte(`{"access_token":"a-new-access-token","refresh_token":"a-new-refresh-token","expires_in":1800}`))
}

// stored is the state as the Kubernetes API has it.
func (s *scene) stored() *custody.Record {
	s.t.Helper()
	record, err := s.r.Custody.Open(s.t.Context(), s.owner())
	if err != nil {
		s.t.Fatal(err)
	}
	return record
}

func TestUnitExchange(t *testing.T) {
	s := exchangeScene(t, grants)
	s.workload = workload{}
	if err := s.r.exchange(t.Context(), s.observation, plan.ByRefresh); err != nil {
		t.Fatal(err)
	}
	stored := s.stored()
	if stored.Claim != nil || stored.Serial != 18 || stored.Chain.Refresh.Reveal() != "a-new-refresh-token" {
		t.Errorf("stored serial %d, claim %v, and not the new refresh token", stored.Serial, stored.Claim)
	}
	secret, err := s.r.publisher().read(t.Context(), &workload{}, s.targetKey(), s.beneficiary())
	if err != nil || secret == nil || string(secret.Data[v1alpha1.AccessTokenKey]) != "a-new-access-token" {
		t.Errorf("the new token is not published: %v", err)
	}
}

// TestUnitStopDoesNotInterruptTheCommit: SIGTERM comes while the reply is on its way. The reply is stored all the same.
func TestUnitStopDoesNotInterruptTheCommit(t *testing.T) {
	ctx, stop := context.WithCancel(t.Context())
	s := exchangeScene(t, func(w http.ResponseWriter, r *http.Request) {
		stop()
		grants(w, r)
	})
	s.r.Custody = &custody.Store{Reader: obedientClient{s.r.Client}, Writer: obedientClient{s.r.Client}}
	if err := s.r.exchange(ctx, s.observation, plan.ByRefresh); err != nil {
		t.Errorf("the pass ends with %v", err)
	}
	if stored := s.stored(); stored.Serial != 18 || stored.Claim != nil {
		t.Errorf("serial %d, claim %v: the reply is not stored", stored.Serial, stored.Claim)
	}
}

// obedientClient ends a request with its context, as a real one does.
type obedientClient struct{ client.Client }

func (c obedientClient) Get(
	ctx context.Context, key client.ObjectKey, object client.Object, options ...client.GetOption,
) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	return c.Client.Get(ctx, key, object, options...)
}

func (c obedientClient) Update(ctx context.Context, object client.Object, options ...client.UpdateOption) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	return c.Client.Update(ctx, object, options...)
}

// TestUnitFailedConnectionGivesTheSlotBack: a host that cannot be reached takes no slot from others.
func TestUnitFailedConnectionGivesTheSlotBack(t *testing.T) {
	s := exchangeScene(t, grants)
	s.r.Hosts = NewHosts(0).Bound(2)
	s.r.Dialer.Connect = func(context.Context, string, string) (net.Conn, error) { return nil, errors.New("no route") }
	if err := s.r.exchange(t.Context(), s.observation, plan.ByRefresh); err != nil {
		t.Fatal(err)
	}
	if s.r.Hosts.flying != 0 {
		t.Errorf("%d slots are taken after the pass, want none", s.r.Hosts.flying)
	}
}

// TestUnitFenceIsArmedBeforeTheClaim: the claim takes longer than the fence allows, so nothing is sent.
func TestUnitFenceIsArmedBeforeTheClaim(t *testing.T) {
	sent := 0
	s := exchangeScene(t, func(w http.ResponseWriter, r *http.Request) {
		sent++
		grants(w, r)
	})
	s.r.Custody.Writer = &slowWriter{Client: s.r.Client, write: func() { s.later(SpendBefore + 1) }}
	if err := s.r.exchange(t.Context(), s.observation, plan.ByRefresh); err != nil {
		t.Fatal(err)
	}
	if sent != 0 {
		t.Errorf("%d requests were sent after the fence", sent)
	}
	if failure := s.stored().Failure; failure == nil || failure.Verdict != token.Unsent {
		t.Errorf("the failure is %+v, want one that proves that nothing was sent", failure)
	}
}

// slowWriter does something before each update.
type slowWriter struct {
	client.Client
	write func()
}

func (w *slowWriter) Update(ctx context.Context, object client.Object, options ...client.UpdateOption) error {
	w.write()
	return w.Client.Update(ctx, object, options...)
}

// TestUnitRestoredTokenIsPresentedOnceMore: the state came out of a backup, which the target Secret shows. The stored
// record has no doubt yet, and the attempt counts the one presentation that the backup does not know of.
func TestUnitRestoredTokenIsPresentedOnceMore(t *testing.T) {
	s := newScene(t)
	s.workload.serial = s.record.Serial + 1
	s.r.refresh(s.observation)
	try, err := s.r.prepare(s.observation, plan.ByRefresh)
	if err != nil {
		t.Fatal(err)
	}
	if try.claim.Attempt != 2 {
		t.Errorf("attempt %d, want 2: a third one would be made after a lost reply", try.claim.Attempt)
	}
}

// TestUnitClaimOfAnotherProcess: how long it is waited for.
func TestUnitClaimOfAnotherProcess(t *testing.T) {
	former := custody.Holder{Pod: "pod", Start: "before"} // a process of this pod that has ended
	other := custody.Holder{Pod: "other", Start: "other"}
	tests := map[string]struct {
		why    string
		holder custody.Holder
		given  func(*scene)
		want   plan.Claim
	}{
		"of a process that is gone": {
			"nothing comes any more", former, func(*scene) {}, plan.Claim{Until: start.Add(claimLife), Gone: true},
		},
		"of a process that is gone, and the log does not answer": {
			"its reply may be in there", former, func(s *scene) { s.unheard = true }, plan.Claim{Until: start.Add(claimLife)},
		},
		"of another pod": {
			"it may be at work", other, func(*scene) {}, plan.Claim{Until: start.Add(claimLife)},
		},
		"of another pod, whose clock is behind": {
			"its age counts from when it was seen first", other,
			func(s *scene) { s.record.Claim.Started = start.Add(-time.Hour) }, plan.Claim{Until: start.Add(claimLife)},
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			s := newScene(t)
			s.record.Claim = &custody.Claim{ID: "claim", Holder: test.holder, Started: start}
			test.given(s)
			if diff := cmp.Diff(&test.want, s.r.claimFact(s.observation)); diff != "" {
				t.Errorf("%s (-want +got)\n%s", test.why, diff)
			}
		})
	}
}
