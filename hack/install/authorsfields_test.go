package install

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"

	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/fluent-credential/operator/api/v1alpha1"
)

// specField is a field of a spec: a value that differs from what is stored, and what the policy says to an author who
// has no right on Secrets and workloads.
type specField struct {
	value string // JSON
	says  string // empty: the change needs no right
	why   string
}

const (
	decidesToken = "it decides which token it is, and what is done with the login"
	decidesHolds = "it decides what the target Secret holds, or who reads it"
	// Pods that mount the target get an annotation that means nothing, which is the default too.
	harmlessNudge = "the default touches the same pods"
	decidesWhen   = "it decides when a token is refreshed: what is read, sent and written stays the same"
)

// credentialFields is every field of a FluentCredential's spec. A field that is new has its row here, and where it
// needs a right, its place in config/admission/authors.yaml.
var credentialFields = map[string]specField{
	"provider.fluent.account":              {`"OTHER"`, needsGet, decidesToken},
	"provider.fluent.environment":          {`"Production"`, needsGet, decidesToken},
	"provider.fluent.baseURL":              {`"https://mine.example.com"`, needsGet, decidesToken},
	"provider.fluent.parameterStyle":       {`"Query"`, needsGet, decidesToken},
	"provider.fluent.headers":              {`{"X-A":"b"}`, needsGet, decidesToken},
	"provider.fluent.caBundle":             {`"x"`, needsGet, decidesToken},
	"provider.commerceLayer.baseURL":       {`"https://mine.example.com"`, needsGet, decidesToken},
	"provider.commerceLayer.headers":       {`{"X-A":"b"}`, needsGet, decidesToken},
	"provider.commerceLayer.caBundle":      {`"x"`, needsGet, decidesToken},
	"provider.nordea.baseURL":              {`"https://mine.example.com"`, needsGet, decidesToken},
	"provider.nordea.flow":                 {`"Decoupled"`, needsGet, decidesToken},
	"provider.nordea.path":                 {`"/v4"`, needsGet, decidesToken},
	"provider.nordea.headers":              {`{"X-A":"b"}`, needsGet, decidesToken},
	"provider.nordea.caBundle":             {`"x"`, needsGet, decidesToken},
	"provider.oauth2.tokenURL":             {`"https://mine.example.com/token"`, needsGet, decidesToken},
	"provider.oauth2.revocationURL":        {`"https://example.com/revoke"`, needsGet, decidesToken},
	"provider.oauth2.refreshTokenLifetime": {`"1h"`, needsGet, "it is a part of the endpoint, which is judged as a whole"},
	"provider.oauth2.parameterStyle":       {`"JSON"`, needsGet, decidesToken},
	"provider.oauth2.clientAuthentication": {`"Basic"`, needsGet, decidesToken},
	"provider.oauth2.headers":              {`{"X-A":"b"}`, needsGet, decidesToken},
	"provider.oauth2.caBundle":             {`"x"`, needsGet, decidesToken},
	"credentialsSecretRef.name":            {`"database"`, needsGet + "database", decidesToken},
	"credentialsSecretRef.keys":            {`{"client_id":"password"}`, needsGet + "orders-login", decidesToken},
	"scope":                                {`"admin"`, needsGet, decidesToken},
	"refresh.before":                       {`"10m"`, needsNoRight, decidesWhen},
	"refresh.beforePercentage":             {`50`, needsNoRight, decidesWhen},
	"refresh.assumedLifetime":              {`"10m"`, needsNoRight, decidesWhen},
	"refresh.maximumLifetime":              {`"10m"`, needsNoRight, decidesWhen},
	"refresh.lifetimeFrom":                 {`"JWT"`, needsNoRight, decidesWhen},
	"refresh.onLostReply":                  {`"Stop"`, needsNoRight, "a refresh token is presented at most twice, whatever it says"},
	"target.name":                          {`"mine"`, needsCreate, decidesHolds},
	"target.type":                          {`"kubernetes.io/basic-auth"`, needsCreate, decidesHolds},
	"target.labels":                        {`{"a":"b"}`, needsCreate, decidesHolds},
	"target.annotations":                   {`{"a":"b"}`, needsCreate, decidesHolds},
	"target.data":                          {`{"a":"b"}`, needsCreate, decidesHolds},
	"target.deletionPolicy":                {`"Retain"`, needsCreate, "the target is judged as a whole"},
	"delivery.nudgePods":                   {`true`, needsNoRight, harmlessNudge},
	"delivery.restart":                     {`[{"kind":"Deployment","name":"stock"}]`, needsToPatch + "Deployment/stock", "it rolls workloads"},
	"allowedNamespaces.names":              {`["mine"]`, needsToShare + "orders-token", "the token can be read there"},
	"allowedNamespaces.selector":           {`{"matchLabels":{"a":"b"}}`, needsToShare + "orders-token", "the token can be read there"},
	"allowedNamespaces.replyMembers":       {`["tenant"]`, needsNoRight, "without a namespace there is no consumer; with one it is judged"},
	"suspend":                              {`true`, needsNoRight, "what would be read, sent and written stays the same"},
}

// tokenFields is every field of a FluentToken's spec.
var tokenFields = map[string]specField{
	"credentialRef.namespace": {`"other"`, needsCreate, decidesHolds},
	"credentialRef.name":      {`"other"`, needsCreate, decidesHolds},
	"target.name":             {`"mine"`, needsCreate, decidesHolds},
	"target.type":             {`"kubernetes.io/basic-auth"`, needsCreate, decidesHolds},
	"target.labels":           {`{"a":"b"}`, needsCreate, decidesHolds},
	"target.annotations":      {`{"a":"b"}`, needsCreate, decidesHolds},
	"target.data":             {`{"a":"b"}`, needsCreate, decidesHolds},
	"target.deletionPolicy":   {`"Retain"`, needsCreate, "the target is judged as a whole"},
	"delivery.nudgePods":      {`true`, needsNoRight, harmlessNudge},
	"delivery.restart":        {`[{"kind":"Deployment","name":"stock"}]`, needsToPatch + "Deployment/stock", "it rolls workloads"},
}

// leavesOf are the paths of the fields of a type of this API, down to those of other types.
func leavesOf(kind reflect.Type, path string) []string {
	for kind.Kind() == reflect.Pointer {
		kind = kind.Elem()
	}
	if kind.Kind() != reflect.Struct || kind.PkgPath() != reflect.TypeFor[v1alpha1.FluentCredential]().PkgPath() {
		return []string{path}
	}
	var leaves []string
	for i := range kind.NumField() {
		name, _, _ := strings.Cut(kind.Field(i).Tag.Get("json"), ",")
		leaves = append(leaves, leavesOf(kind.Field(i).Type, strings.Trim(path+"."+name, "."))...)
	}
	return leaves
}

// changing is a merge patch that sets one field of the spec.
func changing(path, value string) string {
	var set any = json.RawMessage(value)
	names := strings.Split("spec."+path, ".")
	for i := len(names) - 1; i >= 0; i-- {
		set = map[string]any{names[i]: set}
	}
	text, _ := json.Marshal(set)
	return string(text)
}

// TestEveryFieldIsJudged: a field that is added to a spec is judged, or is known to need no right.
func TestEveryFieldIsJudged(t *testing.T) {
	c := policed(t)
	namespace := c.namespace(t, "authors-fields")
	c.hire(t, namespace)
	basic := map[string]string{"username": "orders"} // for another type
	stored := map[string]*v1alpha1.FluentCredential{}
	for name, provider := range map[string]v1alpha1.ProviderSpec{
		"fluent":        {Fluent: &v1alpha1.FluentProvider{Account: "ACME"}},
		"commerceLayer": {CommerceLayer: &v1alpha1.CommerceLayerProvider{}},
		"nordea":        {Nordea: &v1alpha1.NordeaProvider{}},
		"oauth2":        {OAuth2: &v1alpha1.OAuth2Provider{TokenURL: "https://example.com/token"}},
	} {
		stored[name] = order(namespace, strings.ToLower(name), func(cred *v1alpha1.FluentCredential) {
			cred.Spec.Provider, cred.Spec.Target.Data = provider, basic
		})
		c.create(t, stored[name])
	}
	token := wish(namespace, "orders", func(token *v1alpha1.FluentToken) { token.Spec.Target.Data = basic })
	c.create(t, token)
	credentialOf := func(path string) client.Object {
		if names := strings.Split(path, "."); names[0] == "provider" {
			return stored[names[1]]
		}
		return stored["fluent"]
	}
	c.tryFields(t, reflect.TypeFor[v1alpha1.FluentCredentialSpec](), credentialFields, credentialOf)
	c.tryFields(t, reflect.TypeFor[v1alpha1.FluentTokenSpec](), tokenFields, func(string) client.Object { return token })
}

func (c *cluster) tryFields(t *testing.T, kind reflect.Type, fields map[string]specField, objectOf func(string) client.Object) {
	t.Helper()
	attempts, known := map[string]attempt{}, map[string]bool{}
	for _, path := range leavesOf(kind, "") {
		known[path] = true
		field, listed := fields[path]
		if !listed {
			t.Errorf("%s.%s is not judged: which right does its author need?", kind.Name(), path)
			continue
		}
		change := patches(objectOf(path), changing(path, field.value))
		attempts[kind.Name()+"."+path] = attempt{field.why, editor, change, field.says}
	}
	for path := range fields {
		if !known[path] {
			t.Errorf("%s has no field %s", kind.Name(), path)
		}
	}
	c.try(t, attempts)
}
