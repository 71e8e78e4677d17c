package controllers

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"math/big"
	"reflect"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/fluent-credential/operator/api/v1alpha1"
	"github.com/fluent-credential/operator/internal/custody"
)

// TestEveryFieldOfAProviderIsJudged: a field that is added to a provider must be judged: does it decide who receives a
// refresh token, in which form, or who is believed to be the recipient?
func TestEveryFieldOfAProviderIsJudged(t *testing.T) {
	free := map[string]string{
		"FluentProvider.Account":              "with baseURL it is not sent; without, it is part of the host, see below",
		"FluentProvider.Environment":          "likewise",
		"OAuth2Provider.RevocationURL":        "it is compared on its own, before a revocation",
		"OAuth2Provider.RefreshTokenLifetime": "it is about times only",
	}
	values := map[string]any{
		"BaseURL": v1alpha1.BaseURL("https://other.example"), "TokenURL": v1alpha1.TokenURL("https://other.example/token"),
		"RevocationURL":        v1alpha1.TokenURL("https://login.example/other"),
		"ParameterStyle":       v1alpha1.ParametersQuery,
		"ClientAuthentication": v1alpha1.ClientAuthBasic,
		"Headers":              map[string]v1alpha1.HeaderValue{"X-Tenant": "other"},
		"CABundle":             certificate(t),
		"Account":              "OTHER", "Environment": v1alpha1.FluentProduction,
		"Flow": v1alpha1.NordeaDecoupled, "Path": "/other",
		"RefreshTokenLifetime": &metav1.Duration{Duration: time.Hour},
	}
	providers := map[string]func(*v1alpha1.ProviderSpec) reflect.Value{
		"fluent": func(spec *v1alpha1.ProviderSpec) reflect.Value {
			spec.Fluent = &v1alpha1.FluentProvider{BaseURL: "https://login.example"}
			return reflect.ValueOf(spec.Fluent).Elem()
		},
		"commerceLayer": func(spec *v1alpha1.ProviderSpec) reflect.Value {
			spec.CommerceLayer = &v1alpha1.CommerceLayerProvider{}
			return reflect.ValueOf(spec.CommerceLayer).Elem()
		},
		"nordea": func(spec *v1alpha1.ProviderSpec) reflect.Value {
			spec.Nordea = &v1alpha1.NordeaProvider{}
			return reflect.ValueOf(spec.Nordea).Elem()
		},
		"oauth2": func(spec *v1alpha1.ProviderSpec) reflect.Value {
			spec.OAuth2 = &v1alpha1.OAuth2Provider{TokenURL: "https://login.example/token"}
			return reflect.ValueOf(spec.OAuth2).Elem()
		},
	}
	if fields := reflect.TypeFor[v1alpha1.ProviderSpec]().NumField(); fields != len(providers) {
		t.Errorf("%d providers are judged, and there are %d", len(providers), fields)
	}
	for name, provider := range providers {
		for _, field := range reflect.VisibleFields(provider(&v1alpha1.ProviderSpec{}).Type()) {
			if field.Anonymous {
				continue
			}
			s := newScene(t)
			s.cred.Spec.Provider = v1alpha1.ProviderSpec{}
			spec := provider(&s.cred.Spec.Provider)
			s.useSpec()
			before := s.originNow("salt")
			value, known := values[field.Name]
			if !known {
				t.Errorf("%s.%s is new: judge it", name, field.Name)
				continue
			}
			into := spec.FieldByIndex(field.Index)
			into.Set(reflect.ValueOf(value).Convert(into.Type()))
			s.useSpec()
			_, isFree := free[spec.Type().Name()+"."+field.Name]
			if bound := len(before.Changes(s.originNow("salt"))) > 0; bound == isFree {
				t.Errorf("%s.%s changes the origin: %t, want %t", name, field.Name, bound, !isFree)
			}
		}
	}
}

// TestAccountIsPartOfTheEndpoint: where the host follows from account and environment, both decide who receives the token.
func TestAccountIsPartOfTheEndpoint(t *testing.T) {
	for name, change := range map[string]func(*v1alpha1.FluentProvider){
		"account":     func(f *v1alpha1.FluentProvider) { f.Account = "OTHER" },
		"environment": func(f *v1alpha1.FluentProvider) { f.Environment = v1alpha1.FluentProduction },
	} {
		s := newScene(t)
		before := s.originNow("salt")
		change(s.cred.Spec.Provider.Fluent)
		s.useSpec()
		if len(before.Changes(s.originNow("salt"))) == 0 {
			t.Errorf("another %s has the same origin", name)
		}
	}
}

// TestOriginHoldsNoSecret: the values of headers and the names in a login can be guessed, so their hashes are salted.
func TestOriginHoldsNoSecret(t *testing.T) {
	s := newScene(t)
	if one, other := s.originNow("a"), s.originNow("b"); one.Client == other.Client || one.Headers == other.Headers ||
		one.User == other.User || one.Endpoint == other.Endpoint {
		t.Error("a hash is not salted")
	}
}

// TestOriginOfManyCertificates: a certificate of a large bundle can be removed, and none can be added.
func TestOriginOfManyCertificates(t *testing.T) {
	var bundle []string
	for range 40 {
		key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: start.Add(time.Hour)}
		der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
		if err != nil {
			t.Fatal(err)
		}
		bundle = append(bundle, string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})))
	}
	of := func(certificates []string) custody.Origin {
		return custody.Origin{Trust: trustOf("salt", strings.Join(certificates, ""))}
	}
	all, fewer := of(bundle), of(bundle[1:])
	if changed := all.Changes(fewer); len(changed) > 0 {
		t.Errorf("one certificate less changes %v", changed)
	}
	if changed := fewer.Changes(all); len(changed) == 0 {
		t.Error("one certificate more is no change")
	}
}
