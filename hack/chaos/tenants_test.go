package main

import (
	"encoding/base64"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/fluent-credential/operator/api/v1alpha1"
)

// TestClaimMarks: the policy that denies commits knows a claim at every offset, and takes nothing else for one.
func TestClaimMarks(t *testing.T) {
	hasMark := func(document string) bool {
		encoded := base64.StdEncoding.EncodeToString([]byte(document))
		for _, mark := range claimMarks() {
			if strings.Contains(encoded, mark) {
				return true
			}
		}
		return false
	}
	for offset := range 6 {
		before := `{"serial":` + strings.Repeat("1", offset+1)
		if !hasMark(before + `,"claim":{"id":"x"}}`) {
			t.Errorf("offset %d: a claim is not known", offset)
		}
		if hasMark(before + `,"lastClaim":"claim","accessToken":"a","refreshToken":"b"}`) {
			t.Errorf("offset %d: a commit is taken for a claim", offset)
		}
	}
}

// TestReadinessBites: what a good credential must not say is found, and what it may say is not.
func TestReadinessBites(t *testing.T) {
	type statuses []metav1.ConditionStatus
	const long, short = time.Hour, -time.Hour
	for why, test := range map[string]struct {
		name  string
		says  statuses
		life  time.Duration
		off   bool
		finds string // empty: nothing
	}{
		"Ready with a valid token":        {name: "cred-0001", says: statuses{"True"}, life: long},
		"Ready no more":                   {name: "cred-0001", says: statuses{"True", "False"}, life: long, finds: "not Ready"},
		"Ready no more, for a moment":     {name: "cred-0001", says: statuses{"True", "False", "True"}, life: long, finds: "not Ready"},
		"Ready no more, in a restart":     {name: "cred-0001", says: statuses{"True", "False"}, life: long, off: true},
		"a poisoned object":               {name: "slow-001", says: statuses{"True", "False"}, life: long},
		"Ready after the expiry":          {name: "slow-001", says: statuses{"True"}, life: short, finds: "token that expired"},
		"not Ready, and expired":          {name: "slow-001", says: statuses{"True", "False"}, life: short},
		"Ready after the expiry, at rest": {name: "cred-0001", says: statuses{"True"}, life: short, off: true},
	} {
		s := &stage{counts: map[string]int{}, replicas: []*replica{{journal: t.TempDir()}}}
		watch := newReadiness(s, limits{})
		watch.off, watch.since = test.off, time.Now().Add(-time.Minute)
		for _, status := range test.says {
			cred := &v1alpha1.FluentCredential{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: test.name}}
			cred.Status.Token = &v1alpha1.TokenStatus{ExpirationTime: metav1.NewTime(time.Now().Add(test.life))}
			cred.Status.Conditions = []metav1.Condition{{Type: v1alpha1.ConditionReady, Status: status}}
			watch.note(cred, false)
		}
		watch.sample()
		watch.judge()
		expectFinding(t, s, why, test.finds)
	}
}

// expectFinding expects a part of the findings; empty: none.
func expectFinding(t *testing.T, s *stage, why, want string) {
	t.Helper()
	if found := strings.Join(s.findings, "; "); want == "" && found != "" || !strings.Contains(found, want) {
		t.Errorf("%s: found %q, want %q", why, found, want)
	}
}

// TestLimitsAreThoseOfTheManifest: an experiment without a limit shows nothing.
func TestLimitsAreThoseOfTheManifest(t *testing.T) {
	t.Chdir("../..")
	found, err := readLimits()
	if err != nil || found.memory < 1<<20 || found.journal < 1<<20 || found.grace < time.Minute {
		t.Errorf("the limits are %+v, %v", found, err)
	}
}

func TestHostileJudgeBites(t *testing.T) {
	now := time.Now()
	times := func(count int, apart time.Duration) (list []time.Time) {
		for i := range count {
			list = append(list, now.Add(time.Duration(i)*apart))
		}
		return list
	}
	for why, test := range map[string]struct {
		asked     []time.Time
		presented int
		tenants   map[string]*tenant
		finds     string // empty: nothing
	}{
		"as often as it may":       {asked: times(hostileRate, time.Second), presented: mostPresentations},
		"for hours":                {asked: times(1000, 4*time.Second)},
		"too often":                {asked: times(hostileRate+1, time.Second), finds: "slow/1 caused 21 requests"},
		"presented once too often": {presented: mostPresentations + 1, finds: "presented 3 times"},
		"asked as it has to be":    {asked: times(1, 0), tenants: map[string]*tenant{"slow": {poison: poison{asked: true}}}},
		"never asked": {
			asked: times(1, 0), tenants: map[string]*tenant{"mute": {poison: poison{asked: true}}}, finds: "mute: its host was never",
		},
	} {
		s := &stage{counts: map[string]int{}}
		h := &hostile{
			tenants: test.tenants,
			asked:   map[string][]time.Time{"slow/1": test.asked}, presented: map[string]int{"a": test.presented},
		}
		h.judge(s)
		expectFinding(t, s, why, test.finds)
	}
}
