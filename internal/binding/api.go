// Package binding reads a FluentCredential and its credentials Secret as package provider knows them: the API and the login. The
// operator and kubectl fluent share it, so that both mean the same by the same manifest.
package binding

import (
	"errors"
	"time"

	"github.com/fluent-credential/operator/api/v1alpha1"
	"github.com/fluent-credential/operator/internal/provider"
)

// APIOf is the authentication API that the spec names.
func APIOf(spec v1alpha1.ProviderSpec) (provider.API, error) {
	switch {
	case spec.Fluent != nil:
		return fluentAPI(*spec.Fluent)
	case spec.CommerceLayer != nil:
		return commerceLayerAPI(*spec.CommerceLayer)
	case spec.Nordea != nil:
		return nordeaAPI(*spec.Nordea)
	case spec.OAuth2 != nil:
		return oauth2API(*spec.OAuth2)
	}
	return nil, errors.New("spec.provider names no API")
}

func fluentAPI(spec v1alpha1.FluentProvider) (provider.API, error) {
	return provider.NewFluent(provider.Fluent{
		Account:    spec.Account,
		Production: spec.Environment == v1alpha1.FluentProduction,
		BaseURL:    string(spec.BaseURL),
		InQuery:    spec.ParameterStyle == "Query",
		Options:    optionsOf(spec.EndpointOptions),
	})
}

func commerceLayerAPI(spec v1alpha1.CommerceLayerProvider) (provider.API, error) {
	return provider.NewCommerceLayer(provider.CommerceLayer{
		BaseURL: string(spec.BaseURL),
		Options: optionsOf(spec.EndpointOptions),
	})
}

func nordeaAPI(spec v1alpha1.NordeaProvider) (provider.API, error) {
	return provider.NewNordea(provider.Nordea{
		BaseURL:   string(spec.BaseURL),
		Decoupled: spec.Flow == v1alpha1.NordeaDecoupled,
		Path:      spec.Path,
		Options:   optionsOf(spec.EndpointOptions),
	})
}

func oauth2API(spec v1alpha1.OAuth2Provider) (provider.API, error) {
	var refreshLife time.Duration
	if spec.RefreshTokenLifetime != nil {
		refreshLife = spec.RefreshTokenLifetime.Duration
	}
	return provider.NewOAuth2(provider.OAuth2{
		RefreshTokenLifetime: refreshLife,
		TokenURL:             string(spec.TokenURL),
		RevocationURL:        string(spec.RevocationURL),
		ParameterStyle:       provider.ParameterStyle(spec.ParameterStyle),
		ClientAuthentication: provider.ClientAuthentication(spec.ClientAuthentication),
		Options:              optionsOf(spec.EndpointOptions),
	})
}

func optionsOf(spec v1alpha1.EndpointOptions) provider.Options {
	headers := make(map[string]string, len(spec.Headers))
	for name, value := range spec.Headers {
		headers[name] = string(value)
	}
	return provider.Options{Headers: headers, CABundle: spec.CABundle}
}

// AccountOf is the account that the spec names, where the API has accounts.
func AccountOf(spec v1alpha1.ProviderSpec) string {
	if spec.Fluent == nil {
		return ""
	}
	return spec.Fluent.Account
}

// HeadersOf returns the extra headers that the spec sends with each request. Their values may be secret.
func HeadersOf(spec v1alpha1.ProviderSpec) map[string]string {
	switch {
	case spec.Fluent != nil:
		return optionsOf(spec.Fluent.EndpointOptions).Headers
	case spec.CommerceLayer != nil:
		return optionsOf(spec.CommerceLayer.EndpointOptions).Headers
	case spec.Nordea != nil:
		return optionsOf(spec.Nordea.EndpointOptions).Headers
	case spec.OAuth2 != nil:
		return optionsOf(spec.OAuth2.EndpointOptions).Headers
	}
	return nil
}
