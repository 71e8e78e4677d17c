package main

import (
	"context"
	"encoding/base64"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/fluent-credential/operator/api/v1alpha1"
	"github.com/fluent-credential/operator/internal/custody"
)

// poison is one kind of poisoned object. Its objects are in a namespace of their own, whose editor creates them.
type poison struct {
	kind string
	what string // for the record

	ownHosts bool                                       // each object has a token host of its own
	writer   bool                                       // the author may write our kinds and read no Secret
	many     func(usual int) int                        // how many objects; nil: the usual number
	secrets  func(t *tenant, n int) []client.Object     // created first
	between  func(ctx context.Context, t *tenant) error // done next, by the administrator
	objects  func(t *tenant, n int) []client.Object     // created last

	reply  func(ctx context.Context, w http.ResponseWriter)         // nil: a token
	strike func(ctx context.Context, t *tenant, n int)              // done while a token request is being answered
	edit   func(ctx context.Context, t *tenant, n, round int) error // done again and again

	asked   bool    // its host has to be asked, or nothing is proven
	refused bool    // admission refuses what objects creates
	says    reasons // one of them is the end; nil: any
}

// reasons are those of the conditions Ready and Renewable. RateLimited is that of one whose turn has not come: hosts that are
// not known to answer share a part of the requests that may be on their way.
type reasons []string

// poisons are all kinds.
func poisons(quick bool) []poison {
	hundreds := func(int) int { return 300 }
	if quick {
		hundreds = nil
	}
	return []poison{
		{kind: "huge", what: "a state that passes 1 MiB at the commit",
			secrets: passwordLogin, objects: huge, reply: answersHuge, edit: rotateHuge, asked: true},
		{kind: "immutable", what: "a state Secret that becomes immutable between claim and commit",
			secrets: passwordLogin, objects: plain, strike: makeImmutable, asked: true},
		{kind: "denied", what: "commits that a policy of the cluster denies",
			secrets: passwordLogin, between: denyCommits, objects: plain, asked: true,
			says: reasons{v1alpha1.ReasonStateUnwritable, v1alpha1.ReasonRateLimited}},
		{kind: "junk", what: "seeds that get large replies of junk", many: func(usual int) int { return 4 * usual },
			secrets: seed, objects: plain, reply: answersJunk, edit: reseed, asked: true},
		{kind: "borrowed", what: "a Secret that the author may not read", writer: true,
			between: createDatabase, objects: borrowed, refused: true},
		{kind: "state", what: "a state Secret as credentials", objects: stateAsLogin, refused: true},
		{kind: "template", what: "a template that takes minutes",
			secrets: clientLogin, objects: expensive, says: reasons{v1alpha1.ReasonTemplateInvalid}},
		{kind: "large", what: "1 MB of target.data", many: hundreds, objects: consumer(1_000_000), refused: true},
		{kind: "wide", what: "as much target.data as is permitted", many: hundreds,
			objects: consumer(16_000, 16_000, 16_000, 15_000), says: reasons{v1alpha1.ReasonNotAllowed}},
		{kind: "slow", what: "hosts that answer late", ownHosts: true,
			secrets: clientLogin, objects: plain, reply: answersSlowly, asked: true},
		{kind: "mute", what: "hosts that never answer", ownHosts: true,
			secrets: clientLogin, objects: plain, reply: answersNever, asked: true,
			says: reasons{v1alpha1.ReasonProviderUnavailable, v1alpha1.ReasonProgressing, v1alpha1.ReasonRateLimited}},
		{kind: "password", what: "wrong passwords at the host of the good ones",
			secrets: passwordLogin, objects: atOurHost(), says: reasons{v1alpha1.ReasonCredentialsRejected}},
		{kind: "foreign", what: "Secrets of the author under both names of the state Secret",
			objects: foreignStates, refused: true},
		{kind: "broken", what: "connections that break at the host of the good ones",
			secrets: passwordLogin, objects: atOurHost(connectionBreakers...)},
		{kind: "taken", what: "a target that is a Secret of the author",
			secrets: takenTarget, objects: plain, says: reasons{v1alpha1.ReasonTargetConflict}},
		{kind: "quota", what: "a quota that is full",
			secrets: passwordLogin, between: fillQuota, objects: plain,
			says: reasons{v1alpha1.ReasonStateUnwritable, v1alpha1.ReasonRateLimited}},
		{kind: "churn", what: "unknown hosts, created, edited and deleted all the time",
			secrets: passwordLogin, objects: unknownHost, edit: churn},
	}
}

// passwordLogin is one that gets refresh tokens.
func passwordLogin(t *tenant, n int) []client.Object {
	return t.login(n, map[string]string{
		v1alpha1.ClientIDKey: clientID, v1alpha1.ClientSecretKey: clientSecret,
		v1alpha1.UsernameKey: "intruder-" + t.name(n), v1alpha1.PasswordKey: wrongPassword,
	})
}

// clientLogin may be tried at any pace: there is no login guard for it.
func clientLogin(t *tenant, n int) []client.Object {
	return t.login(n, map[string]string{v1alpha1.ClientIDKey: t.name(n), v1alpha1.ClientSecretKey: clientSecret})
}

func seed(t *tenant, n int) []client.Object {
	first := "hostile-seed-" + t.name(n)
	return t.login(n, map[string]string{v1alpha1.ClientIDKey: t.name(n), v1alpha1.RefreshTokenKey: first})
}

// reseed brings another seed, three times.
func reseed(ctx context.Context, t *tenant, n, round int) error {
	if round > 3 {
		return nil
	}
	patch := fmt.Sprintf(`{"stringData":{%q:"hostile-seed-%s-%d"}}`, v1alpha1.RefreshTokenKey, t.name(n), round)
	return t.patch(ctx, &corev1.Secret{ObjectMeta: t.meta(t.name(n) + "-login")}, patch)
}

func plain(t *tenant, n int) []client.Object { return []client.Object{t.credential(n)} }

// huge makes the state as large as it can be: characters that JSON may escape to six.
func huge(t *tenant, n int) []client.Object {
	cred := t.credential(n)
	cred.Annotations = map[string]string{v1alpha1.RotateAnnotation: strings.Repeat("<", 150_000)}
	return []client.Object{cred}
}

func rotateHuge(ctx context.Context, t *tenant, n, round int) error {
	value := strings.Repeat("<", 150_000) + fmt.Sprint(round)
	patch := fmt.Sprintf(`{"metadata":{"annotations":{%q:%q}}}`, v1alpha1.RotateAnnotation, value)
	return t.patch(ctx, &v1alpha1.FluentCredential{ObjectMeta: t.meta(t.name(n))}, patch)
}

// makeImmutable makes the state Secret immutable between the claim and the commit.
func makeImmutable(ctx context.Context, t *tenant, n int) {
	for _, name := range custody.Names(t.name(n)) {
		if t.patch(ctx, &corev1.Secret{ObjectMeta: t.meta(name)}, `{"immutable":true}`) == nil {
			t.admitted.Add(1)
		}
	}
}

// commitDenial denies the commits of state Secrets in namespaces with a label; claims are admitted.
const commitDenial = `
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicy
metadata: {name: commits}
spec:
  matchConstraints:
    namespaceSelector: {matchLabels: {denies: commits}}
    resourceRules: [{apiGroups: [""], apiVersions: [v1], resources: [secrets], operations: [CREATE, UPDATE]}]
  validations:
    - expression: >-
        object.metadata.name != "probe" &&
        (object.type != "%s" || %s.exists(c, object.data["%s"].contains(c)))
---
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicyBinding
metadata: {name: commits}
spec: {policyName: commits, validationActions: [Deny]}
`

// claimMarks are what a claim is encoded to at each of the three offsets: CEL decodes no base64.
func claimMarks() (marks []string) {
	const claim = `"claim":{`
	for offset := range 3 {
		encoded := base64.RawStdEncoding.EncodeToString([]byte(strings.Repeat("-", offset) + claim))
		// Six bits a character: those that hold bits of the bytes around are left out.
		marks = append(marks, encoded[(8*offset+5)/6:8*(offset+len(claim))/6])
	}
	return marks
}

// denyCommits installs the policy and waits until it is enforced.
func denyCommits(ctx context.Context, t *tenant) error {
	marks := "['" + strings.Join(claimMarks(), "','") + "']"
	denial := fmt.Sprintf(commitDenial, v1alpha1.StateSecretType, marks, stateEntry)
	path := filepath.Join(t.stage.dir, "denial.yaml")
	if err := os.WriteFile(path, []byte(denial), 0o600); err != nil {
		return err
	}
	if err := t.stage.plant.run(ctx, "apply -f "+path); err != nil {
		return err
	}
	if err := t.stage.plant.run(ctx, "label namespace "+t.namespace+" denies=commits"); err != nil {
		return err
	}
	probe := &corev1.Secret{ObjectMeta: t.meta("probe")}
	return until(ctx, time.Minute, "commits are denied", func(ctx context.Context) (string, error) {
		if t.as.Create(ctx, probe.DeepCopy(), client.DryRunAll) != nil {
			return "", nil
		}
		return "the probe is admitted", nil
	})
}

// fillQuota leaves no room for another Secret. Without a controller manager the status is ours to write.
func fillQuota(ctx context.Context, t *tenant) error {
	full := corev1.ResourceList{corev1.ResourceSecrets: *resource.NewQuantity(int64(t.count), resource.DecimalSI)}
	quota := &corev1.ResourceQuota{ObjectMeta: t.meta("full"), Spec: corev1.ResourceQuotaSpec{Hard: full}}
	if err := t.stage.plant.admin.Create(ctx, quota); err != nil {
		return err
	}
	quota.Status = corev1.ResourceQuotaStatus{Hard: full, Used: full}
	return t.stage.plant.admin.Status().Update(ctx, quota)
}

func createDatabase(ctx context.Context, t *tenant) error {
	secret := &corev1.Secret{ObjectMeta: t.meta("database"), StringData: map[string]string{"password": password}}
	return t.stage.plant.admin.Create(ctx, secret)
}

// borrowed names a Secret that the tenant may not read.
func borrowed(t *tenant, n int) []client.Object {
	cred := t.credential(n)
	cred.Spec.CredentialsSecretRef = v1alpha1.CredentialsSecretReference{
		Name: "database", Keys: map[string]v1alpha1.SecretKey{v1alpha1.ClientIDKey: "password"},
	}
	return []client.Object{cred}
}

func stateAsLogin(t *tenant, n int) []client.Object {
	cred := t.credential(n)
	cred.Spec.CredentialsSecretRef.Name = "orders" + v1alpha1.StateSuffix
	return []client.Object{cred}
}

// expensive compares large texts in a loop.
func expensive(t *tenant, n int) []client.Object {
	cred := t.credential(n)
	cred.Spec.Target.Data = map[string]string{"value": `{{$x := "aaaaaaaa"}}{{$y := "aaaaaaaa"}}` +
		`{{range 15}}{{$x = printf "%s%s" $x $x}}{{$y = printf "%s%s" $y $y}}{{end}}` +
		`{{range 9000}}` + strings.Repeat(`{{$z := eq $x $y}}`, 200) + `{{end}}`}
	return []client.Object{cred}
}

// consumer is a FluentToken with so much in its target, and without consent.
func consumer(sizes ...int) func(t *tenant, n int) []client.Object {
	return func(t *tenant, n int) []client.Object {
		token := &v1alpha1.FluentToken{ObjectMeta: t.meta(t.name(n)), Spec: v1alpha1.FluentTokenSpec{
			CredentialRef: v1alpha1.CredentialReference{Namespace: t.stage.home(0), Name: "cred-0000"},
			Target:        v1alpha1.TargetSpec{Name: t.name(n) + "-out", Data: map[string]string{}},
		}}
		for i, size := range sizes {
			token.Spec.Target.Data[fmt.Sprint("value-", i)] = strings.Repeat("x", size)
		}
		return []client.Object{token}
	}
}

func foreignStates(t *tenant, n int) (objects []client.Object) {
	for _, name := range custody.Names(t.name(n)) {
		objects = append(objects, &corev1.Secret{ObjectMeta: t.meta(name)})
	}
	return objects
}

func takenTarget(t *tenant, n int) []client.Object {
	return append(clientLogin(t, n), &corev1.Secret{ObjectMeta: t.meta(t.name(n) + "-out")})
}

// atOurHost asks the token host of the good credentials, in one of several ways.
func atOurHost(ways ...func(*v1alpha1.FluentProvider)) func(t *tenant, n int) []client.Object {
	return func(t *tenant, n int) []client.Object {
		cred := t.credential(n)
		fluent := &v1alpha1.FluentProvider{BaseURL: v1alpha1.BaseURL(t.stage.tokens.url())}
		if len(ways) > 0 {
			ways[n%len(ways)](fluent)
		}
		cred.Spec.Provider = v1alpha1.ProviderSpec{Fluent: fluent}
		return []client.Object{cred}
	}
}

// connectionBreakers make requests fail at a host that is well.
var connectionBreakers = []func(*v1alpha1.FluentProvider){
	func(f *v1alpha1.FluentProvider) { f.BaseURL = "https" + f.BaseURL[len("http"):] },
	func(f *v1alpha1.FluentProvider) { f.BaseURL += "/no/such/path" },
	func(f *v1alpha1.FluentProvider) {
		f.CABundle = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"
	},
	withHeader("Content-Length", "5"),
	withHeader("Transfer-Encoding", "chunked"),
	withHeader("Content-Type", "text/plain; charset="+v1alpha1.HeaderValue(strings.Repeat("x", 4000))),
	withHeader("Connection", "Upgrade"),
	withHeader("Expect", "100-continue"),
	withHeader("Host", "other.example"),
}

func withHeader(name string, value v1alpha1.HeaderValue) func(*v1alpha1.FluentProvider) {
	return func(f *v1alpha1.FluentProvider) { f.Headers = map[string]v1alpha1.HeaderValue{name: value} }
}

func unknownHost(t *tenant, n int) []client.Object {
	cred := t.credential(n)
	cred.Spec.Provider.OAuth2.TokenURL = v1alpha1.TokenURL(fmt.Sprintf("https://n%d.attacker.example/token", n))
	return []client.Object{cred}
}

// churn edits an object, deletes it and creates it, each round one step.
func churn(ctx context.Context, t *tenant, n, round int) error {
	switch round % 3 {
	case 0:
		return client.IgnoreAlreadyExists(t.as.Create(ctx, unknownHost(t, n)[0]))
	case 1:
		return t.patch(ctx, unknownHost(t, n)[0], fmt.Sprintf(`{"spec":{"scope":"round-%d"}}`, round))
	}
	return client.IgnoreNotFound(t.as.Delete(ctx, unknownHost(t, n)[0]))
}

// The parts of which poisoned objects are made.

func (t *tenant) name(n int) string { return fmt.Sprintf("%s-%03d", t.kind, n) }

func (t *tenant) meta(name string) metav1.ObjectMeta {
	return metav1.ObjectMeta{Namespace: t.namespace, Name: name}
}

func (t *tenant) login(n int, entries map[string]string) []client.Object {
	return []client.Object{&corev1.Secret{ObjectMeta: t.meta(t.name(n) + "-login"), StringData: entries}}
}

func (t *tenant) credential(n int) *v1alpha1.FluentCredential {
	host := &v1alpha1.OAuth2Provider{TokenURL: v1alpha1.TokenURL(t.urls[n])}
	return &v1alpha1.FluentCredential{ObjectMeta: t.meta(t.name(n)), Spec: v1alpha1.FluentCredentialSpec{
		Provider:             v1alpha1.ProviderSpec{OAuth2: host},
		CredentialsSecretRef: v1alpha1.CredentialsSecretReference{Name: t.name(n) + "-login"},
		Target:               v1alpha1.TargetSpec{Name: t.name(n) + "-out"},
	}}
}

func (t *tenant) patch(ctx context.Context, object client.Object, patch string) error {
	return t.as.Patch(ctx, object, client.RawPatch(types.MergePatchType, []byte(patch)))
}

// editEvery is how often a tenant edits all objects.
const editEvery = 5 * time.Second
