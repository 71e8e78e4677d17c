package controllers

import (
	"strings"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	testclock "k8s.io/utils/clock/testing"

	"github.com/fluent-credential/operator/api/v1alpha1"
)

// listing permits the other namespace, and lists members.
func (s *shared) listing(t *testing.T, members ...string) {
	t.Helper()
	s.allow(t, &v1alpha1.AllowedNamespaces{Names: []string{s.web}, ReplyMembers: members})
}

// eventuallyHolds waits until the consumer's Secret has exactly this entry.
func (s *shared) eventuallyHolds(t *testing.T, key, want string) {
	t.Helper()
	eventuallyIn(t, atOnce, key+" is "+want, func() (bool, any) {
		now, err := s.published(t)
		if err != nil {
			return false, err
		}
		return string(now.Data[key]) == want, string(now.Data[key])
	})
}

func (s *shared) eventuallySays(t *testing.T, reason, says string) {
	t.Helper()
	eventually(t, reason, func() (bool, any) {
		status := get(t, &v1alpha1.FluentToken{}, s.web, "orders").Status
		ready := meta.FindStatusCondition(status.Conditions, v1alpha1.ConditionReady)
		return ready != nil && ready.Reason == reason && strings.Contains(ready.Message, says), ready
	})
}

// TestReplyMembersFollowTheList: what the API's reply has beside the token is the owner's to give. The published Secret
// follows the list both ways, and nothing is spent for it.
func TestReplyMembersFollowTheList(t *testing.T) {
	t.Parallel()
	s := newShared(t)
	s.allow(t, names(s.web))
	s.token.Spec.Target.Data = map[string]string{
		"all":   "{{ toJson .Extra }}",
		"token": "{{ .AccessToken }}",
		"name":  "{{ if .Extra.LastName }}{{ .Extra.LastName }}{{ else }}none{{ end }}",
	}
	create(t, s.token)
	s.eventuallyHolds(t, "all", "{}")
	s.eventuallyHolds(t, "name", "none")
	before := s.server.Ledger().Requests
	s.listing(t, "LastName", "device_secret")
	s.eventuallyHolds(t, "all", `{"LastName":"Commerce"}`)
	s.eventuallyHolds(t, "name", "Commerce")
	s.listing(t)
	s.eventuallyHolds(t, "all", "{}")
	s.eventuallyHolds(t, "name", "none")
	s.listing(t, "LastName")
	s.eventuallyHolds(t, "name", "Commerce")
	edit(t, s.cred, func(cred *v1alpha1.FluentCredential) {
		cred.Spec.Target.Data = map[string]string{"access_token": "{{ .AccessToken }}", "name": "{{ .Extra.FirstName }}"}
	})
	eventually(t, "the owner's own Secret has every member", func() (bool, any) {
		own := s.workload(t)
		return string(own.Data["name"]) == "Fluent", len(own.Data)
	})
	if asked := s.server.Ledger().Requests; asked != before {
		t.Errorf("%d requests to the API, want none", asked-before)
	}
}

// TestUnlistedMemberIsWithdrawn: a template that cannot do without a member that the owner takes back. Its message is the
// same for a member that no reply ever had.
func TestUnlistedMemberIsWithdrawn(t *testing.T) {
	t.Parallel()
	for template, member := range map[string]string{
		"{{ .Extra.LastName }}": "LastName", "{{ .RetailerID }}": "RetailerID", "{{ toJson .Roles }}": "Roles", "{{ .Extra.never }}": "never",
	} {
		t.Run(member, func(t *testing.T) {
			t.Parallel()
			s := newShared(t)
			s.listing(t, member)
			s.token.Spec.Target.Data = map[string]string{"k": template}
			create(t, s.token)
			if member != "never" {
				eventually(t, "published", func() (bool, any) { now, err := s.published(t); return err == nil && len(now.Data["k"]) > 0, err })
			}
			s.listing(t, "another")
			eventuallyIn(t, atOnce, "nothing is published", func() (bool, any) { found := s.secretsOf(t); return len(found) == 0, found })
			s.eventuallySays(t, v1alpha1.ReasonTemplateInvalid,
				"it uses "+member+" of the API's reply, which the FluentCredential does not list in spec.allowedNamespaces.replyMembers")
			s.listing(t, member)
			if member != "never" {
				eventually(t, "published again", func() (bool, any) { now, err := s.published(t); return err == nil && len(now.Data["k"]) > 0, err })
			}
		})
	}
}

// TestMembersOfAnExpiredTokenAreWithdrawn: the list counts as long as the Secret is there.
func TestMembersOfAnExpiredTokenAreWithdrawn(t *testing.T) {
	t.Parallel()
	s := newShared(t)
	s.listing(t, "LastName")
	s.token.Spec.Target.Data = map[string]string{"all": "{{ toJson .Extra }}"}
	create(t, s.token)
	s.eventuallyHolds(t, "all", `{"LastName":"Commerce"}`)
	edit(t, s.cred, func(cred *v1alpha1.FluentCredential) { cred.Spec.Suspend = true })
	s.operator.stop()
	s.listing(t)
	idle := newIdleTokens(t, testclock.NewFakePassiveClock(time.Now().Add(48*time.Hour)), s.namespace, s.web)
	token := get(t, &v1alpha1.FluentToken{}, s.web, "orders")
	for range 3 {
		if _, err := idle.Reconcile(t.Context(), token.DeepCopy()); err != nil {
			t.Fatal(err)
		}
	}
	s.eventuallyHolds(t, "all", "{}")
	s.eventuallySays(t, v1alpha1.ReasonTokenExpired, "expired")
}

// TestReplyMembersAtAdmission: names of members, and no more than a person reviews.
func TestReplyMembersAtAdmission(t *testing.T) {
	t.Parallel()
	namespace := newNamespace(t)
	many := make([]string, 65)
	for i := range many {
		many[i] = strings.Repeat("m", i+1)
	}
	for name, test := range map[string]struct {
		members []string
		refused bool
	}{
		"a name":       {[]string{"Retailer_id"}, false},
		"a URI":        {[]string{"https://example.com/claims/tenant"}, false},
		"twice":        {[]string{"a", "a"}, true},
		"nothing":      {[]string{""}, true},
		"a blank":      {[]string{"a b"}, true},
		"a line break": {[]string{"a\nb"}, true},
		"an escape":    {[]string{"a\x1b[0m"}, true},
		"too long":     {[]string{strings.Repeat("m", 129)}, true},
		"too many":     {many, true},
	} {
		cred := &v1alpha1.FluentCredential{
			ObjectMeta: metav1.ObjectMeta{Namespace: namespace, GenerateName: "members-"},
			Spec: v1alpha1.FluentCredentialSpec{
				Provider:             v1alpha1.ProviderSpec{Fluent: &v1alpha1.FluentProvider{Account: "ACME"}},
				CredentialsSecretRef: v1alpha1.CredentialsSecretReference{Name: "login"},
				AllowedNamespaces:    &v1alpha1.AllowedNamespaces{ReplyMembers: test.members},
			},
		}
		if err := live.Create(t.Context(), cred); (err != nil) != test.refused {
			t.Errorf("%s: %v", name, err)
		}
	}
}
