package controllers

import (
	"strings"
	"testing"

	"github.com/fluent-credential/operator/api/v1alpha1"
	"github.com/fluent-credential/operator/internal/custody"
	"github.com/fluent-credential/operator/internal/token"
)

// TestUnitRefreshTokenThatIsKept: at a deletion a refresh token that others may live on is not revoked.
func TestUnitRefreshTokenThatIsKept(t *testing.T) {
	tests := map[string]struct {
		why   string
		given func(*scene)
		want  string // a part of the reason; empty: it is revoked
	}{
		"healthy":   {"it is no other credential's", func(*scene) {}, ""},
		"in doubt":  {"its successor may be another one's", func(s *scene) { s.record.Chain.Presented = 1 }, "may be spent"},
		"claimed":   {"likewise", func(s *scene) { s.record.Claim = &custody.Claim{ID: "claim"} }, "may be spent"},
		"suspended": {"the family moves elsewhere", func(s *scene) { s.cred.Spec.Suspend = true }, "suspend"},
		"retained": {
			"the access token lives on", func(s *scene) { s.cred.Spec.Target.DeletionPolicy = v1alpha1.DeletionRetain }, "Retain",
		},
		"out of a backup": {"others have seen a newer one", func(s *scene) { s.workload.serial = 18 }, "may be spent"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			s := newScene(t)
			test.given(s)
			s.r.refresh(s.observation)
			if got := s.keeps(); !strings.Contains(got, test.want) || (got == "") != (test.want == "") {
				t.Errorf("got %q, want %q: %s", got, test.want, test.why)
			}
		})
	}
}

// TestUnitSharedRefreshTokenIsKept: another FluentCredential of the namespace holds the same refresh token.
func TestUnitSharedRefreshTokenIsKept(t *testing.T) {
	for name, refresh := range map[string]string{"the same": sceneRefresh, "another one": "another-refresh-token"} {
		t.Run(name, func(t *testing.T) {
			s := guardedScene(t)
			other := s.cred.DeepCopy()
			other.Name, other.UID, other.ResourceVersion = "stock", "other", ""
			if err := s.r.Client.Create(t.Context(), other); err != nil {
				t.Fatal(err)
			}
			state := custody.State{Salt: "salt", Serial: 1, Chain: &custody.Chain{Refresh: token.NewSecret(refresh)}}
			record, err := s.r.Custody.Open(t.Context(), stateOwner(other))
			if err == nil {
				_, err = s.r.Custody.Put(t.Context(), stateOwner(other), record, state)
			}
			if err != nil {
				t.Fatal(err)
			}
			s.r.refresh(s.observation)
			if got := s.r.isShared(t.Context(), s.observation); (got != "") != (refresh == sceneRefresh) {
				t.Errorf("the reason to keep it is %q", got)
			}
		})
	}
}
