package main

import (
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"

	"github.com/fluent-credential/operator/api/v1alpha1"
)

func TestRotationsWanted(t *testing.T) {
	for text, want := range map[string]int64{"": 0, "1": 1, "12": 12} {
		if got, err := rotationsWanted(text); err != nil || got != want {
			t.Errorf("rotationsWanted(%q) is %d, %v; want %d", text, got, err, want)
		}
	}
	for _, text := range []string{"0", "-1", "two", "1.5", "99999999999"} {
		if _, err := rotationsWanted(text); err == nil || !strings.Contains(err.Error(), rotationsVariable) {
			t.Errorf("rotationsWanted(%q) says %v", text, err)
		}
	}
}

// status is a FluentCredential of which one condition is known.
func status(serial int64, ready metav1.ConditionStatus, reason string) *v1alpha1.FluentCredential {
	cred := &v1alpha1.FluentCredential{}
	if ready != "" {
		cred.Status.Conditions = []metav1.Condition{{Type: v1alpha1.ConditionReady, Status: ready, Reason: reason, Message: "why"}}
	}
	if serial > 0 {
		expires := metav1.NewTime(time.Date(2026, 1, 5, 10, 0, 30, 0, time.Local))
		cred.Status.Token = &v1alpha1.TokenStatus{Serial: serial, ExpirationTime: expires}
	}
	return cred
}

func published(serial, token string) *corev1.Secret {
	return &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Annotations: map[string]string{v1alpha1.SerialAnnotation: serial}},
		Data:       map[string][]byte{v1alpha1.AccessTokenKey: []byte(token)},
	}
}

func TestAMomentIsToldWhenTheWatchesAgree(t *testing.T) {
	for why, test := range map[string]struct {
		now     moment
		settled bool
	}{
		"nothing is known yet":                     {moment{}, false},
		"the operator has not looked yet":          {moment{cred: status(0, "", "")}, false},
		"no token yet, and it says why":            {moment{cred: status(0, "False", "Progressing")}, true},
		"the Secret was seen first":                {moment{status(0, "False", "Progressing"), published("1", "a")}, false},
		"both are there":                           {moment{status(1, "True", "TokenPublished"), published("1", "a")}, true},
		"the next Secret was seen first":           {moment{status(1, "True", "TokenPublished"), published("2", "b")}, false},
		"the next status was seen first":           {moment{status(2, "True", "TokenPublished"), published("1", "a")}, false},
		"the next one cannot be published":         {moment{status(2, "False", "PublishFailed"), published("1", "a")}, true},
		"somebody deleted the Secret":              {moment{cred: status(2, "True", "TokenPublished")}, true},
		"somebody wrote nonsense where the serial": {moment{status(2, "True", "TokenPublished"), published("x", "a")}, false},
	} {
		if got := test.now.settled(); got != test.settled {
			t.Errorf("%s: settled is %v, want %v", why, got, test.settled)
		}
	}
}

func TestAMomentIsToldOnce(t *testing.T) {
	then := moment{status(1, "True", "TokenPublished"), published("1", "a")}
	for why, test := range map[string]struct {
		now  moment
		news bool
	}{
		"the same again":        {moment{status(1, "True", "TokenPublished"), published("1", "a")}, false},
		"a new token":           {moment{status(2, "True", "TokenPublished"), published("2", "b")}, true},
		"a deleted Secret":      {moment{cred: status(1, "True", "TokenPublished")}, true},
		"a token has expired":   {moment{status(1, "False", "TokenExpired"), published("1", "a")}, true},
		"another reason for it": {moment{status(1, "True", "Other"), published("1", "a")}, true},
	} {
		if got := test.now.differs(then); got != test.news {
			t.Errorf("%s: news is %v, want %v", why, got, test.news)
		}
	}
}

func TestSentence(t *testing.T) {
	const ledger = "server: 3 issued, 0 reused"
	for why, test := range map[string]struct {
		now  moment
		want string
	}{
		"a token, of which little is shown": {
			moment{status(3, "True", "TokenPublished"), published("3", "7f3aQx9Zk2")},
			"serial 3  Ready=True TokenPublished  expires 10:00:30  orders-token: 7f3aQx…  accepted  " + ledger,
		},
		"no token, and why": {
			moment{cred: status(0, "False", "Progressing")},
			"Ready=False Progressing  (why)  no Secret orders-token  accepted  " + ledger,
		},
	} {
		d := &demo{screen: &screen{}}
		_, got, _ := strings.Cut(strings.TrimSpace(d.sentence(test.now, "accepted", ledger)), "  ") // the time of day
		if got != test.want {
			t.Errorf("%s:\n got %s\nwant %s", why, got, test.want)
		}
	}
}

func TestEnough(t *testing.T) {
	for why, test := range map[string]struct {
		rotations, serial int64
		enough            bool
	}{
		"until Ctrl-C there is never enough": {0, 99, false},
		"the first token is no rotation":     {1, 1, false},
		"the second one is the first":        {1, 2, true},
		"one is missing":                     {3, 3, false},
	} {
		d := &demo{rotations: test.rotations, told: moment{cred: status(test.serial, "True", "TokenPublished")}}
		if got := d.enough(); got != test.enough {
			t.Errorf("%s: enough is %v", why, got)
		}
	}
}

func TestOnlyATerminalGetsColours(t *testing.T) {
	if got := (&screen{}).in(red, "text"); got != "text" {
		t.Errorf("without colours: %q", got)
	}
	if got := (&screen{colours: true}).in(red, "text"); got != "\x1b[31mtext\x1b[0m" {
		t.Errorf("with colours: %q", got)
	}
}

func TestManifestsBelongTogether(t *testing.T) {
	var login corev1.Secret
	var cred v1alpha1.FluentCredential
	if err := yaml.UnmarshalStrict([]byte(loginManifest), &login); err != nil {
		t.Fatal(err)
	}
	if err := yaml.UnmarshalStrict([]byte(strings.ReplaceAll(credentialManifest, "{baseURL}", "http://127.0.0.1:1")), &cred); err != nil {
		t.Fatal(err)
	}
	if cred.Name != credentialName || cred.TargetName() != targetName || cred.Spec.CredentialsSecretRef.Name != login.Name {
		t.Errorf("%s publishes %s from the login %s", cred.Name, cred.TargetName(), cred.Spec.CredentialsSecretRef.Name)
	}
}
