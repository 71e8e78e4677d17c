package controllers

import (
	"encoding/json"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	testclock "k8s.io/utils/clock/testing"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/fluent-credential/operator/api/v1alpha1"
	"github.com/fluent-credential/operator/internal/custody"
)

// shared is a credential in one namespace, and another namespace that wants its token.
type shared struct {
	*running
	web   string
	token *v1alpha1.FluentToken
}

// fluentToken is a FluentToken for a credential.
func fluentToken(namespace string, cred *v1alpha1.FluentCredential) *v1alpha1.FluentToken {
	return &v1alpha1.FluentToken{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "orders"},
		Spec: v1alpha1.FluentTokenSpec{
			CredentialRef: v1alpha1.CredentialReference{Namespace: cred.Namespace, Name: cred.Name},
			Target:        v1alpha1.TargetSpec{Name: "orders-token"},
		},
	}
}

// newShared makes everything but the consent and the FluentToken.
func newShared(t *testing.T) *shared {
	t.Helper()
	sim, shop, web := newServer(t, longLived), newNamespace(t), newNamespace(t)
	cred := credential(shop, "orders", sim)
	r := &running{server: sim, operator: startOperatorAs(t, cluster, shop, web), namespace: shop, cred: cred}
	create(t, loginSecret(shop, "orders-login"))
	create(t, cred)
	eventually(t, "Ready", ready(t, cred))
	return &shared{running: r, web: web, token: fluentToken(web, cred)}
}

// newPublished goes on until the token is in the other namespace.
func newPublished(t *testing.T) *shared {
	t.Helper()
	s := newShared(t)
	s.allow(t, names(s.web))
	create(t, s.token)
	s.mustPublish(t)
	return s
}

func names(namespaces ...string) *v1alpha1.AllowedNamespaces {
	return &v1alpha1.AllowedNamespaces{Names: namespaces}
}

func selecting(labels map[string]string) *v1alpha1.AllowedNamespaces {
	return &v1alpha1.AllowedNamespaces{Selector: &metav1.LabelSelector{MatchLabels: labels}}
}

func (s *shared) allow(t *testing.T, whom *v1alpha1.AllowedNamespaces) {
	t.Helper()
	edit(t, s.cred, func(cred *v1alpha1.FluentCredential) { cred.Spec.AllowedNamespaces = whom })
}

func (s *shared) label(t *testing.T, labels map[string]string) {
	t.Helper()
	edit(t, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: s.web}}, func(namespace *corev1.Namespace) { namespace.Labels = labels })
}

// mustPublish waits until the FluentToken is Ready, and its Secret holds the token that the credential's own one holds.
func (s *shared) mustPublish(t *testing.T) *corev1.Secret {
	t.Helper()
	eventually(t, "published", func() (bool, any) {
		now := get(t, &v1alpha1.FluentToken{}, s.token.Namespace, s.token.Name)
		return isTokenReady(now) && now.Status.ObservedGeneration == now.Generation, now.Status
	})
	if left := time.Until(get(t, &v1alpha1.FluentToken{}, s.web, "orders").Status.Token.ExpirationTime.Time); left < 2*atOnce {
		t.Errorf("the token ends in %s: its timer could do what is to be done at once", left)
	}
	own, published := s.workload(t), secret(t, s.web, "orders-token")
	if string(own.Data["access_token"]) != string(published.Data["access_token"]) || serialOf(own) != serialOf(published) {
		t.Errorf("serial %d there and %d here: they do not hold the same token", serialOf(own), serialOf(published))
	}
	return published
}

// atOnce is how soon a Secret has to be gone that nobody permits any more. The first timer that could make it go is its token's end.
const atOnce = 10 * time.Second

// mustWithhold waits until nothing is published, which has to be soon, and the FluentToken says NotAllowed.
func (s *shared) mustWithhold(t *testing.T) {
	t.Helper()
	eventuallyIn(t, atOnce, "nothing is published", func() (bool, any) { found := s.secretsOf(t); return len(found) == 0, found })
	eventually(t, "not allowed", func() (bool, any) {
		status := get(t, &v1alpha1.FluentToken{}, s.token.Namespace, s.token.Name).Status
		condition := meta.FindStatusCondition(status.Conditions, v1alpha1.ConditionReady)
		return condition != nil && condition.Reason == v1alpha1.ReasonNotAllowed && condition.Status == metav1.ConditionFalse, status
	})
	if status := get(t, &v1alpha1.FluentToken{}, s.token.Namespace, s.token.Name).Status; status.Token != nil || status.TargetName != "" {
		t.Errorf("the status tells of a token that is not permitted: %+v", status)
	}
}

// secretsOf are the names of the Secrets in the other namespace that are ours.
func (s *shared) secretsOf(t *testing.T) []string {
	t.Helper()
	var list corev1.SecretList
	if err := live.List(t.Context(), &list, client.InNamespace(s.web)); err != nil {
		t.Fatal(err)
	}
	var found []string
	for i := range list.Items {
		if metav1.GetControllerOf(&list.Items[i]) != nil {
			found = append(found, list.Items[i].Name)
		}
	}
	return found
}

// recreate replaces the credential by another one of the same name.
func (s *shared) recreate(t *testing.T, allowed *v1alpha1.AllowedNamespaces) {
	t.Helper()
	gone(t, s.cred)
	s.cred = credential(s.namespace, "orders", s.server)
	s.cred.Spec.AllowedNamespaces = allowed
	create(t, s.cred)
	eventually(t, "Ready again", ready(t, s.cred))
}

// gone deletes an object and waits until it is not there any more.
func gone(t *testing.T, object client.Object) {
	t.Helper()
	if err := live.Delete(t.Context(), object); err != nil {
		t.Fatal(err)
	}
	eventually(t, "gone", func() (bool, any) {
		err := live.Get(t.Context(), client.ObjectKeyFromObject(object), object)
		return apierrors.IsNotFound(err), err
	})
}

// TestConsent is the table of who agrees to what. Every row ends with a token published or withheld.
func TestConsent(t *testing.T) {
	t.Parallel()
	label := map[string]string{"tokens": "orders"}
	made := func(t *testing.T, s *shared) { create(t, s.token) }
	tests := map[string]struct {
		why       string
		play      func(*testing.T, *shared)
		published bool
	}{
		"the consumer only": {"the owner has the say over the token", made, false},
		"both":              {"that is consent", func(t *testing.T, s *shared) { s.allow(t, names(s.web)); made(t, s) }, true},
		"both, the consumer first": {"the order does not matter", func(t *testing.T, s *shared) {
			made(t, s)
			s.mustWithhold(t)
			s.allow(t, names("other", s.web))
		}, true},
		"another namespace is named": {"it is not this one", func(t *testing.T, s *shared) { s.allow(t, names(s.namespace)); made(t, s) }, false},
		"selected": {"by a label", func(t *testing.T, s *shared) {
			s.label(t, label)
			s.allow(t, selecting(label))
			made(t, s)
		}, true},
		"not selected": {"it has no such label", func(t *testing.T, s *shared) { s.allow(t, selecting(label)); made(t, s) }, false},
		"selected later": {"a label acts at once", func(t *testing.T, s *shared) {
			s.allow(t, selecting(label))
			made(t, s)
			s.mustWithhold(t)
			s.label(t, label)
		}, true},
		"withdrawn": {"the Secret goes at once", func(t *testing.T, s *shared) {
			s.allow(t, names(s.web))
			made(t, s)
			s.mustPublish(t)
			s.allow(t, nil)
		}, false},
		"withdrawn and given again": {"it comes back", func(t *testing.T, s *shared) {
			s.allow(t, names(s.web))
			made(t, s)
			s.mustPublish(t)
			s.allow(t, nil)
			s.mustWithhold(t)
			s.allow(t, names(s.web))
		}, true},
		"the label is removed": {"the Secret goes at once", func(t *testing.T, s *shared) {
			s.label(t, label)
			s.allow(t, selecting(label))
			made(t, s)
			s.mustPublish(t)
			s.label(t, map[string]string{"tokens": "stock"})
		}, false},
		"the credential is deleted": {"there is nobody who permits it", func(t *testing.T, s *shared) {
			s.allow(t, names(s.web))
			made(t, s)
			s.mustPublish(t)
			gone(t, s.cred)
		}, false},
		"re-created with consent": {"its consent is its own, and so is its token", func(t *testing.T, s *shared) {
			s.allow(t, names(s.web))
			made(t, s)
			s.mustPublish(t)
			s.renew(t)
			before := s.mustPublish(t)
			s.recreate(t, names(s.web))
			eventually(t, "the token of the new one", func() (bool, any) {
				now, err := s.published(t)
				return err == nil && now.UID != before.UID && serialOf(now) == 1, err
			})
		}, true},
		"re-created without": {"the one that permitted it is gone", func(t *testing.T, s *shared) {
			s.allow(t, names(s.web))
			made(t, s)
			s.mustPublish(t)
			s.recreate(t, nil)
		}, false},
		"there is none":      {"nothing can be permitted", func(t *testing.T, s *shared) { gone(t, s.cred); made(t, s) }, false},
		"of a strange place": {"the operator does not work there", func(t *testing.T, s *shared) { s.token.Spec.CredentialRef.Namespace = "elsewhere"; made(t, s) }, false},
		"another is meant": {"the FluentToken turns to one that permits nothing", func(t *testing.T, s *shared) {
			s.allow(t, names(s.web))
			made(t, s)
			s.mustPublish(t)
			edit(t, s.token, func(token *v1alpha1.FluentToken) { token.Spec.CredentialRef.Name = "stock" })
		}, false},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newShared(t)
			test.play(t, s)
			t.Log(test.why)
			if test.published {
				s.mustPublish(t)
			} else {
				s.mustWithhold(t)
			}
			if reuses := s.server.Ledger().Reuses; reuses != 0 {
				t.Errorf("%d refresh tokens were presented again", reuses)
			}
		})
	}
}

func (s *shared) published(t *testing.T) (*corev1.Secret, error) {
	t.Helper()
	found := &corev1.Secret{}
	return found, live.Get(t.Context(), types.NamespacedName{Namespace: s.web, Name: "orders-token"}, found)
}

// TestTheOwnerAlonePublishesNothing: a namespace that is allowed and did not ask gets nothing.
func TestTheOwnerAlonePublishesNothing(t *testing.T) {
	t.Parallel()
	s := newShared(t)
	s.allow(t, names(s.web))
	s.renew(t)
	if found := s.secretsOf(t); len(found) > 0 {
		t.Errorf("%v: nobody there asked for it", found)
	}
}

// TestNothingIsToldWithoutConsent: of two namespaces, one asks for a credential that exists and does not allow it, the other for one
// that does not exist. Whatever happens to the credential, the two are told the same, and neither is told anything new.
func TestNothingIsToldWithoutConsent(t *testing.T) {
	t.Parallel()
	sim, shop, web, api := newServer(t, longLived), newNamespace(t), newNamespace(t), newNamespace(t)
	cred, asked := credential(shop, "orders", sim), &recorder{}
	r := &running{server: sim, operator: startOperatorAs(t, asked.of(cluster), shop, web, api), namespace: shop, cred: cred}
	create(t, loginSecret(shop, "orders-login"))
	create(t, cred)
	eventually(t, "Ready", ready(t, cred))
	there, nowhere := fluentToken(web, cred), fluentToken(api, cred)
	nowhere.Spec.CredentialRef.Name = "absent"
	create(t, there)
	create(t, nowhere)
	told := func(token *v1alpha1.FluentToken) *v1alpha1.FluentToken {
		eventually(t, "it is told something", func() (bool, any) {
			now := get(t, &v1alpha1.FluentToken{}, token.Namespace, token.Name)
			return len(now.Status.Conditions) > 0, now.Status
		})
		return get(t, &v1alpha1.FluentToken{}, token.Namespace, token.Name)
	}
	before := told(there)
	if diff := cmp.Diff(bare(told(nowhere), "absent"), bare(before, "orders")); diff != "" {
		t.Errorf("whether it exists can be told (-absent +there)\n%s", diff)
	}

	// A pass over the FluentToken would take this for its own, and let it go.
	probe := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: web, Name: "probe", OwnerReferences: []metav1.OwnerReference{
		*metav1.NewControllerRef(before, v1alpha1.GroupVersion.WithKind("FluentToken")),
	}}}
	create(t, probe)

	r.renew(t)
	edit(t, cred, func(cred *v1alpha1.FluentCredential) { cred.Spec.Suspend = true })
	edit(t, cred, func(cred *v1alpha1.FluentCredential) { cred.Spec.AllowedNamespaces = names("other") })
	gone(t, cred)
	create(t, credential(shop, "absent", sim))
	eventually(t, "the absent one is Ready", ready(t, credential(shop, "absent", sim)))
	for _, token := range []*v1alpha1.FluentToken{there, nowhere} {
		if now := told(token); now.ResourceVersion != told(token).ResourceVersion || token == there && now.ResourceVersion != before.ResourceVersion {
			t.Errorf("a change of the credential shows: version %s, then %s", before.ResourceVersion, now.ResourceVersion)
		}
	}
	if now := secret(t, web, "probe"); now.UID != probe.UID {
		t.Error("when the FluentToken was looked at tells that the credential has changed")
	}
	if diff := cmp.Diff(eventsOf(t, api, "absent"), eventsOf(t, web, "orders")); diff != "" {
		t.Errorf("the events tell (-absent +there)\n%s", diff)
	}
	if diff := cmp.Diff(r.operator.seriesOf(t, api), r.operator.seriesOf(t, web)); diff != "" {
		t.Errorf("the metrics tell (-absent +there)\n%s", diff)
	}
	absent, exists := slices.Sorted(slices.Values(asked.in(api))), slices.Sorted(slices.Values(asked.in(web)))
	if diff := cmp.Diff(absent, exists); diff != "" || len(exists) == 0 {
		t.Errorf("what the operator asks the API server for tells (-absent +there)\n%s", diff)
	}
}

// bare is a FluentToken without what differs between any two of them.
func bare(token *v1alpha1.FluentToken, name string) v1alpha1.FluentToken {
	shown := v1alpha1.FluentToken{Spec: token.Spec, Status: *token.Status.DeepCopy()}
	shown.Finalizers, shown.Labels, shown.Annotations, shown.Generation = token.Finalizers, token.Labels, token.Annotations, token.Generation
	shown.Spec.CredentialRef.Name = "-"
	for i := range shown.Status.Conditions {
		condition := &shown.Status.Conditions[i]
		condition.Message = strings.ReplaceAll(condition.Message, "/"+name+" ", "/- ")
		condition.LastTransitionTime = metav1.Time{}
	}
	return shown
}

// seriesOf are the series with that namespace, without it.
func (o *operator) seriesOf(t *testing.T, namespace string) (series []string) {
	t.Helper()
	families, err := o.registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, family := range families {
		for _, metric := range family.GetMetric() {
			if text := metric.String(); strings.Contains(text, `"`+namespace+`"`) {
				series = append(series, family.GetName()+" "+strings.ReplaceAll(text, namespace, "-"))
			}
		}
	}
	if len(series) == 0 {
		t.Errorf("there is no series for %s", namespace)
	}
	return series
}

func eventsOf(t *testing.T, namespace, name string) (told []string) {
	t.Helper()
	var list eventsv1.EventList
	if err := live.List(t.Context(), &list, client.InNamespace(namespace)); err != nil {
		t.Fatal(err)
	}
	for _, event := range list.Items {
		told = append(told, event.Type+" "+event.Reason+" "+strings.ReplaceAll(event.Note, "/"+name+" ", "/- "))
	}
	return told
}

func TestRetainedTokensStayAndChangeNoMore(t *testing.T) {
	t.Parallel()
	s := newShared(t)
	s.allow(t, names(s.web))
	s.token.Spec.Target.DeletionPolicy = v1alpha1.DeletionRetain
	create(t, s.token)
	published := s.mustPublish(t)
	s.allow(t, nil)
	s.mustWithhold(t)
	s.renew(t)
	left := secret(t, s.web, "orders-token")
	if left.UID != published.UID || serialOf(left) != serialOf(published) || len(left.OwnerReferences) > 0 {
		t.Errorf("serial %d, owners %v: want the Secret as it was, and nobody's", serialOf(left), left.OwnerReferences)
	}
	s.allow(t, names(s.web))
	if again := s.mustPublish(t); again.UID != published.UID || metav1.GetControllerOf(again) == nil {
		t.Errorf("the Secret was not taken back: UID %s was %s", again.UID, published.UID)
	}
	s.recreate(t, names(s.web))
	eventually(t, "the new one's token has its place", func() (bool, any) {
		now, err := s.published(t)
		return err == nil && now.UID != published.UID && serialOf(now) == 1, err
	})
}

func TestConsumersSecretIsRestoredWithoutACall(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		why   string
		spoil func(*testing.T, *corev1.Secret)
	}{
		"deleted":           {"pods need it", func(t *testing.T, s *corev1.Secret) { remove(t, s) }},
		"an edited entry":   {"it is not what the API gave", edited(func(s *corev1.Secret) { s.Data["access_token"] = []byte("x") })},
		"a removed entry":   {"pods read it", edited(func(s *corev1.Secret) { delete(s.Data, "expires_at") })},
		"a lower serial":    {"it is not the serial of that token", edited(func(s *corev1.Secret) { s.Annotations[v1alpha1.SerialAnnotation] = "0" })},
		"a foreign source":  {"it is not of that credential", edited(func(s *corev1.Secret) { s.Annotations[v1alpha1.SourceAnnotation] = "x" })},
		"our label removed": {"it is ours by its owner", edited(func(s *corev1.Secret) { s.Labels = nil })},
		"a serial out of nowhere, seen at the next token": {
			"nobody moves the credential's count", edited(func(s *corev1.Secret) {
				s.Annotations[v1alpha1.SerialAnnotation], s.Data["access_token"] = strconv.Itoa(1<<40), []byte("x")
				delete(s.Labels, v1alpha1.ManagedByLabel) // else it looks like a publication of ours
			}),
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newPublished(t)
			good, calls := s.mustPublish(t), s.server.Ledger().Requests
			test.spoil(t, good.DeepCopy())
			eventually(t, "restored: "+test.why, func() (bool, any) {
				now, err := s.published(t)
				return err == nil && equalBytes(now.Data["access_token"], good.Data["access_token"]) && len(now.Data) == len(good.Data) &&
					serialOf(now) == serialOf(good) && now.Annotations[v1alpha1.SourceAnnotation] == string(s.cred.UID) &&
					now.Labels[v1alpha1.ManagedByLabel] == v1alpha1.OperatorName, err
			})
			if now := s.server.Ledger().Requests; now != calls {
				t.Errorf("%d calls for a repair", now-calls)
			}
		})
	}
}

func TestFluentTokenIsReleased(t *testing.T) {
	t.Parallel()
	s := newPublished(t)
	renamed := edit(t, s.token, func(token *v1alpha1.FluentToken) { token.Spec.Target.Name = "renamed" })
	eventually(t, "renamed", func() (bool, any) { found := s.secretsOf(t); return len(found) == 1 && found[0] == "renamed", found })
	gone(t, renamed)
	if found := s.secretsOf(t); len(found) > 0 {
		t.Errorf("%v is left of a FluentToken that is gone", found)
	}
}

func TestConsumersTargetThatIsTaken(t *testing.T) {
	t.Parallel()
	s := newShared(t)
	theirs := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: s.web, Name: "orders-token"}, StringData: map[string]string{"a": "b"}}
	create(t, theirs)
	s.allow(t, names(s.web))
	create(t, s.token)
	eventually(t, "it says so", func() (bool, any) {
		status := get(t, &v1alpha1.FluentToken{}, s.web, "orders").Status
		return meta.IsStatusConditionTrue(status.Conditions, v1alpha1.ConditionStalled) &&
			meta.FindStatusCondition(status.Conditions, v1alpha1.ConditionReady).Reason == v1alpha1.ReasonTargetConflict, status
	})
	if now := secret(t, s.web, "orders-token"); now.ResourceVersion != theirs.ResourceVersion {
		t.Error("somebody else's Secret was written")
	}
	remove(t, theirs)
	s.mustPublish(t)
}

// TestConsumersTemplateAndDelivery: the target and the delivery are the consumer's own.
func TestConsumersTemplateAndDelivery(t *testing.T) {
	t.Parallel()
	s := newShared(t)
	s.allow(t, names(s.web))
	s.token.Spec.Target.Data = map[string]string{"header": "{{ .Authorization }}"}
	s.token.Spec.Target.Labels = map[string]v1alpha1.LabelValue{"team": "web"}
	create(t, s.token)
	eventually(t, "published", func() (bool, any) {
		now, err := s.published(t)
		return err == nil && strings.HasPrefix(string(now.Data["header"]), "Bearer ") && len(now.Data) == 1 && now.Labels["team"] == "web", err
	})
	pod := podOn(s.web, "web", mountOf("orders-token"))
	create(t, pod)
	serial := s.renew(t)
	mark := "orders-token/" + strconv.FormatInt(serial, 10) + "/2"
	eventually(t, "the pod was touched", func() (bool, any) { now := nudged(t, pod); return now == mark, now })
	edit(t, s.token, func(token *v1alpha1.FluentToken) { token.Spec.Target.Data["header"] = "{{ .Nothing }}" })
	eventually(t, "it is told", func() (bool, any) {
		status := get(t, &v1alpha1.FluentToken{}, s.web, "orders").Status
		return meta.FindStatusCondition(status.Conditions, v1alpha1.ConditionReady).Reason == v1alpha1.ReasonTemplateInvalid, status
	})
}

// TestConsumersAreCounted: the numbers, and no name.
func TestConsumersAreCounted(t *testing.T) {
	t.Parallel()
	s := newPublished(t)
	counted := func(what string, total, current int32) {
		t.Helper()
		eventuallyIn(t, 4*countPause, what, func() (bool, any) {
			status := reread(t, s.cred).Status
			return status.Consumers != nil && *status.Consumers == v1alpha1.ConsumersStatus{Total: total, Current: current}, status.Consumers
		})
	}
	counted("one that has it", 1, 1)
	s.renew(t)
	if now := reread(t, s.cred).Status; now.Consumers.Current != 1 {
		t.Errorf("%+v after a rotation, want the new count with the new serial", now.Consumers)
	}
	gone(t, s.token)
	counted("none", 0, 0)
	if text, err := json.Marshal(reread(t, s.cred).Status); err != nil || strings.Contains(string(text), s.web) {
		t.Errorf("the status names a namespace: %s, %v", text, err)
	}
}

// TestFluentTokenThatIsGoneIsSuppliedNoMore: others were supplied before it, and it was released meanwhile.
func TestFluentTokenThatIsGoneIsSuppliedNoMore(t *testing.T) {
	t.Parallel()
	s := newPublished(t)
	token, cred := get(t, &v1alpha1.FluentToken{}, s.web, "orders"), reread(t, s.cred)
	gone(t, token.DeepCopy())
	idle := newIdleTokens(t, testclock.NewFakePassiveClock(time.Now()), s.namespace, s.web)
	record, err := idle.Custody.Open(t.Context(), custody.Owner{Namespace: cred.Namespace, Name: cred.Name, UID: cred.UID})
	if err != nil {
		t.Fatal(err)
	}
	if idle.supply(t.Context(), token, cred.UID, record) {
		t.Error("it counts as one that has the token")
	}
	if found := s.secretsOf(t); len(found) > 0 {
		t.Errorf("%v belongs to nobody", found)
	}
}

// TestExpiredTokenIsNotPublishedAsGood: the credential cannot renew, and its consumers say so when the token ends.
func TestExpiredTokenIsNotPublishedAsGood(t *testing.T) {
	t.Parallel()
	s := newPublished(t)
	edit(t, s.cred, func(cred *v1alpha1.FluentCredential) { cred.Spec.Suspend = true })
	token := get(t, &v1alpha1.FluentToken{}, s.web, "orders")
	idle := newIdleTokens(t, testclock.NewFakePassiveClock(time.Now().Add(48*time.Hour)), s.namespace, s.web)
	if _, err := idle.Reconcile(t.Context(), token); err != nil {
		t.Fatal(err)
	}
	status := get(t, &v1alpha1.FluentToken{}, s.web, "orders").Status
	condition := meta.FindStatusCondition(status.Conditions, v1alpha1.ConditionReady)
	if condition.Status != metav1.ConditionFalse || condition.Reason != v1alpha1.ReasonTokenExpired {
		t.Errorf("two days later: %+v", condition)
	}
}
