package controllers

import (
	"maps"
	"slices"
	"unique"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/fluent-credential/operator/api/v1alpha1"
)

// What the caches keep. A cluster has many Secrets, and most are not ours; and of ten thousand FluentCredentials every word counts.

// same is the same text, kept once: the words of a closed set are in every object.
func same(text string) string { return unique.Make(text).Value() }

var yes = true

func controllerOnly(secret *metav1.PartialObjectMetadata) []metav1.OwnerReference {
	owner := metav1.GetControllerOfNoCopy(secret)
	if owner == nil || !isOwnerKind(owner.Kind) || len(owner.APIVersion)+len(owner.Name)+len(owner.UID) > longestOwner {
		return nil
	}
	return []metav1.OwnerReference{{
		APIVersion: same(owner.APIVersion), Kind: same(owner.Kind), Name: owner.Name, UID: owner.UID, Controller: &yes,
	}}
}

// Kubernetes bounds neither an owner's words nor an annotation's value. These are longer than any that the operator writes.
const (
	longestOwner = 512
	longestMark  = 256
)

// ourLabels are those of every Secret of ours.
var ourLabels = map[string]string{v1alpha1.ManagedByLabel: v1alpha1.OperatorName}

// strip takes from the cache's Secrets what nothing looks at.
func strip(object any) (any, error) {
	secret, ok := object.(*metav1.PartialObjectMetadata)
	if !ok {
		return object, nil
	}
	kept := metav1.ObjectMeta{
		Namespace: same(secret.Namespace), Name: secret.Name, UID: secret.UID, ResourceVersion: secret.ResourceVersion,
		DeletionTimestamp: secret.DeletionTimestamp, OwnerReferences: controllerOnly(secret),
	}
	if secret.Labels[v1alpha1.ManagedByLabel] == v1alpha1.OperatorName {
		kept.Labels = ourLabels
		kept.Annotations = pick(secret.Annotations, v1alpha1.CredentialAnnotation, v1alpha1.TokenAnnotation, v1alpha1.SerialAnnotation,
			v1alpha1.LateReplyAnnotation)
		maps.DeleteFunc(kept.Annotations, func(_, value string) bool { return len(value) > longestMark })
	}
	secret.TypeMeta, secret.ObjectMeta = metav1.TypeMeta{}, kept // the cache's reader knows the kind
	return secret, nil
}

// pick is nil where there is nothing to pick: an empty map is larger than all else that is kept.
func pick(from map[string]string, keys ...string) map[string]string {
	var picked map[string]string
	for _, key := range keys {
		value, ok := from[key]
		if !ok {
			continue
		}
		if picked == nil {
			picked = make(map[string]string, len(keys))
		}
		picked[key] = value
	}
	return picked
}

// stripCredential takes from the cache's FluentCredentials what nothing looks at, and keeps the words that all have once. What is
// written is never made of what is cached, but for the finalizers, which stay.
func stripCredential(object any) (any, error) {
	cred, ok := object.(*v1alpha1.FluentCredential)
	if !ok {
		return object, nil
	}
	cred.TypeMeta = metav1.TypeMeta{}
	wasAbridged := isAbridged(cred)
	annotations := pick(cred.Annotations, v1alpha1.RotateAnnotation)
	stripMeta(&cred.ObjectMeta)
	isLong := len(annotations[v1alpha1.RotateAnnotation]) > longestMark
	if isLong { // that it changes has to show
		annotations = map[string]string{v1alpha1.RotateAnnotation: hashOf("", annotations[v1alpha1.RotateAnnotation])}
	}
	cred.Annotations = annotations
	if abridge(&cred.ObjectMeta, &cred.Spec.Target, &cred.Spec.Delivery) || isLong || wasAbridged {
		cred.Annotations = maps.Clone(abridged)
		maps.Copy(cred.Annotations, annotations)
	}
	if statusSize(&cred.Status) > mostStatus {
		cred.Status = v1alpha1.FluentCredentialStatus{}
	}
	status := &cred.Status
	status.TargetName = alike(status.TargetName, cred.TargetName())
	stripConditions(status.Conditions)
	status.History = slices.Clone(status.History) // the decoder leaves room for more
	for i := range status.History {
		told := &status.History[i]
		told.Grant, told.Verdict, told.Reason = same(told.Grant), same(told.Verdict), same(told.Reason)
	}
	if token := status.Token; token != nil {
		token.Grant, token.Type, token.Scope = same(token.Grant), same(token.Type), same(token.Scope)
	}
	if summary := status.Summary; summary != nil {
		summary.Reason, summary.Provider = same(summary.Reason), same(summary.Provider)
		for i := range status.Conditions {
			summary.Message = alike(summary.Message, status.Conditions[i].Message)
		}
	}
	stripSpec(&cred.Spec)
	return cred, nil
}

// stripSpec keeps the words once that all credentials of one API have.
func stripSpec(spec *v1alpha1.FluentCredentialSpec) {
	spec.Scope = same(spec.Scope)
	stripTarget(&spec.Target)
	spec.Refresh.OnLostReply = v1alpha1.LostReplyPolicy(same(string(spec.Refresh.OnLostReply)))
	if api := spec.Provider.Fluent; api != nil {
		api.BaseURL = v1alpha1.BaseURL(same(string(api.BaseURL)))
	}
	for _, options := range optionsOf(&spec.Provider) {
		options.CABundle = same(options.CABundle)
		headers := make(map[string]v1alpha1.HeaderValue, len(options.Headers)) // a reader may have the former map
		for name, value := range options.Headers {
			headers[same(name)] = v1alpha1.HeaderValue(same(string(value)))
		}
		if len(headers) > 0 {
			options.Headers = headers
		}
	}
	if allowed := spec.AllowedNamespaces; allowed != nil {
		for i := range allowed.Names {
			allowed.Names[i] = same(allowed.Names[i])
		}
		stripSelector(allowed.Selector)
	}
}

// stripSelector replaces words that no label can have: they select nothing, and can be of any length.
func stripSelector(selector *metav1.LabelSelector) {
	if selector == nil {
		return
	}
	for i := range selector.MatchExpressions {
		expression := &selector.MatchExpressions[i]
		if len(expression.Key) > longestKey {
			expression.Key = noLabel
		}
		for j, value := range expression.Values {
			if len(value) > validation.LabelValueMaxLength {
				expression.Values[j] = noLabel
			}
		}
	}
}

const (
	longestKey = 253 + 1 + 63 // prefix, slash and name
	noLabel    = "-"
)

// optionsOf returns the options of the provider.
func optionsOf(provider *v1alpha1.ProviderSpec) []*v1alpha1.EndpointOptions {
	var options []*v1alpha1.EndpointOptions
	if provider.Fluent != nil {
		options = append(options, &provider.Fluent.EndpointOptions)
	}
	if provider.CommerceLayer != nil {
		options = append(options, &provider.CommerceLayer.EndpointOptions)
	}
	if provider.Nordea != nil {
		options = append(options, &provider.Nordea.EndpointOptions)
	}
	if provider.OAuth2 != nil {
		options = append(options, &provider.OAuth2.EndpointOptions)
	}
	return options
}

// alike is the other text where both say the same: one of them is kept.
func alike(text, other string) string {
	if text == other {
		return other
	}
	return text
}
