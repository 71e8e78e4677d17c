package cli

import (
	"cmp"
	"context"
	"slices"
	"strconv"
	"strings"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/duration"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/fluent-credential/operator/api/v1alpha1"
)

// FluentTokens are shown below the FluentCredentials, and are named with their kind: ftok/NAME.

// tokenName takes the kind off the name of a FluentToken; false: it is none.
func tokenName(text string) (string, bool) {
	kind, name, qualified := strings.Cut(text, "/")
	kind, _, _ = strings.Cut(strings.ToLower(kind), ".")
	return name, qualified && slices.Contains([]string{"ftok", "fluenttoken", "fluenttokens"}, kind)
}

// isUnknown tells what an older operator, or a narrower permission, says to the question for FluentTokens.
func isUnknown(err error) bool {
	return meta.IsNoMatchError(err) || apierrors.IsNotFound(err) || apierrors.IsForbidden(err)
}

// findTokens reads the FluentTokens that a selection is about; none where there is no such kind, or no permission to look.
func (s *session) findTokens(ctx context.Context, from client.Reader, chosen selection) ([]v1alpha1.FluentToken, error) {
	namespace, err := s.namespace()
	if err != nil {
		return nil, err
	}
	matching, err := labels.Parse(chosen.selector)
	if err != nil {
		return nil, usage("-l %s: %w", chosen.selector, err)
	}
	if chosen.allNamespaces {
		namespace = ""
	}
	var list v1alpha1.FluentTokenList
	err = from.List(ctx, &list, client.InNamespace(namespace), client.MatchingLabelsSelector{Selector: matching})
	if isUnknown(err) {
		return nil, nil
	}
	return list.Items, err
}

func (s *session) findToken(ctx context.Context, from client.Reader, name string) (*v1alpha1.FluentToken, error) {
	namespace, err := s.namespace()
	if err != nil {
		return nil, err
	}
	token := &v1alpha1.FluentToken{}
	return token, from.Get(ctx, types.NamespacedName{Namespace: namespace, Name: name}, token)
}

// tokenCause is why a FluentToken is as it is.
func tokenCause(token *v1alpha1.FluentToken) cause {
	if ready := meta.FindStatusCondition(token.Status.Conditions, v1alpha1.ConditionReady); ready != nil {
		return cause{Reason: ready.Reason, Message: ready.Message}
	}
	return cause{Reason: reasonUnobserved, Message: "the operator has not looked at it yet"}
}

// personal are the reasons for which a person has to act, here or on the other side.
var personal = []string{v1alpha1.ReasonNotAllowed, v1alpha1.ReasonTargetConflict, v1alpha1.ReasonTemplateInvalid, v1alpha1.ReasonTokenExpired}

func tokenNeedsPerson(token *v1alpha1.FluentToken) bool {
	return slices.Contains(personal, tokenCause(token).Reason)
}

func isTokenStalled(token *v1alpha1.FluentToken) bool {
	return meta.IsStatusConditionTrue(token.Status.Conditions, v1alpha1.ConditionStalled)
}

func isTokenReady(token *v1alpha1.FluentToken, now time.Time) bool {
	return meta.IsStatusConditionTrue(token.Status.Conditions, v1alpha1.ConditionReady) &&
		token.Status.Token != nil && now.Before(token.Status.Token.ExpirationTime.Time)
}

// byTrouble puts those first that lack a token; of equals the one that expires first.
func byTrouble(tokens []v1alpha1.FluentToken, now time.Time) {
	rank := func(token *v1alpha1.FluentToken) (int, int64) {
		if !isTokenReady(token, now) {
			return 0, 0
		}
		return 1, token.Status.Token.ExpirationTime.Unix()
	}
	slices.SortStableFunc(tokens, func(a, b v1alpha1.FluentToken) int {
		first, sooner := rank(&a)
		second, later := rank(&b)
		return cmp.Or(cmp.Compare(first, second), cmp.Compare(sooner, later))
	})
}

func (o *listOptions) tokenTable(tokens []v1alpha1.FluentToken, now time.Time) []row {
	byTrouble(tokens, now)
	var rows []row
	if !o.noHeaders {
		rows = append(rows, row{cells: o.columns("NAMESPACE",
			[]string{"FLUENTTOKEN", "READY", "STATUS", "TIME LEFT", "CREDENTIAL", "SECRET"}, []string{"SERIAL", "AGE", "MESSAGE"})})
	}
	for i := range tokens {
		rows = append(rows, o.tokenLine(&tokens[i], now))
	}
	return rows
}

func (o *listOptions) tokenLine(token *v1alpha1.FluentToken, now time.Time) row {
	why, left, serial, in := tokenCause(token), "-", "-", plain
	if known := token.Status.Token; known != nil {
		left, serial = fromNow(known.ExpirationTime.Time, now, "", "expired "), strconv.FormatInt(known.Serial, 10)
	}
	if !isTokenReady(token, now) {
		in = red
	}
	return row{o.columns(token.Namespace,
		[]string{token.Name, yesOrNo(isTokenReady(token, now)), why.Reason, left, referenceOf(token), token.TargetName()},
		[]string{serial, duration.HumanDuration(now.Sub(token.CreationTimestamp.Time)), why.Message}), in}
}

func referenceOf(token *v1alpha1.FluentToken) string {
	return token.Spec.CredentialRef.Namespace + "/" + token.Spec.CredentialRef.Name
}

// tokenStory is what is told of one FluentToken.
type tokenStory struct {
	Namespace   string                         `json:"namespace"`
	Name        string                         `json:"name"`
	Credential  string                         `json:"credential"`
	Target      string                         `json:"target"`
	Valid       bool                           `json:"valid"`
	NeedsPerson bool                           `json:"needsPerson"`
	Token       *v1alpha1.PublishedTokenStatus `json:"token,omitempty"`
	Conditions  []metav1.Condition             `json:"conditions,omitempty"`
	Cause       cause                          `json:"cause"`
	outlook     `json:",inline"`
	Advice      string `json:"advice"`
}

func tokenStoryOf(token *v1alpha1.FluentToken, now time.Time) tokenStory {
	why := tokenCause(token)
	return tokenStory{
		Namespace: token.Namespace, Name: token.Name, Credential: referenceOf(token), Target: token.TargetName(),
		Valid: isTokenReady(token, now), NeedsPerson: tokenNeedsPerson(token), Token: token.Status.Token,
		Conditions: token.Status.Conditions, Cause: why, outlook: tokenOutlook(token, why),
		Advice: tokenAdvice(why.Reason, token),
	}
}

// tokenAdvice returns the advice for one FluentToken. If its credential fails, the advice is to examine the credential.
func tokenAdvice(reason string, token *v1alpha1.FluentToken) string {
	if reason == v1alpha1.ReasonTokenExpired {
		reason = v1alpha1.ReasonCredentialNotReady
	}
	reference := token.Spec.CredentialRef
	return advise(reason, strings.NewReplacer(
		"{name}", token.Name, "{namespace}", token.Namespace, "{target}", token.TargetName(),
		"{credential}", reference.Name, "{owner}", reference.Namespace))
}

func (o *statusOptions) tellToken(told *tokenStory) {
	now := o.now()
	o.printHeading(told.Namespace + "/" + told.Name)
	line := func(name, value string) row { return row{cells: []string{"  " + name, value}} }
	rows := []row{line("Credential", told.Credential), line("Target", "Secret "+told.Target)}
	if known := told.Token; known != nil {
		rows = append(rows, line("Token", "serial "+strconv.FormatInt(known.Serial, 10)),
			line("Expires", stamp(known.ExpirationTime)+" ("+fromNow(known.ExpirationTime.Time, now, "in ", "")+")"))
	}
	for _, condition := range told.Conditions {
		rows = append(rows, line(condition.Type, string(condition.Status)+", "+condition.Reason))
	}
	o.printTable(rows)
	in := plain
	if !told.Valid {
		in = red
	}
	o.printEnd(painted{in, told.Cause.Reason + ": " + told.Cause.Message}, told.outlook, told.Advice)
}
