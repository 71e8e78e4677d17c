package controllers

import (
	"errors"

	"github.com/fluent-credential/operator/api/v1alpha1"
	"github.com/fluent-credential/operator/internal/provider"
)

// apiOf is the authentication API that the spec names.
func apiOf(spec v1alpha1.ProviderSpec) (provider.API, error) {
	switch {
	case spec.Fluent != nil:
		return fluentAPI(*spec.Fluent)
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

func optionsOf(spec v1alpha1.EndpointOptions) provider.Options {
	headers := make(map[string]string, len(spec.Headers))
	for name, value := range spec.Headers {
		headers[name] = string(value)
	}
	return provider.Options{Headers: headers, CABundle: spec.CABundle}
}

// accountOf is the account that the spec names, where the API has accounts.
func accountOf(spec v1alpha1.ProviderSpec) string {
	if spec.Fluent == nil {
		return ""
	}
	return spec.Fluent.Account
}
