package simulation

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/fluent-credential/operator/api/v1alpha1"
	"github.com/fluent-credential/operator/internal/distribution"
)

// Consumers in other namespaces: FluentTokens, what people do with them, and the rules about them.

// environment is the label by which selectors select a namespace.
const environment = "env"

var (
	production = &metav1.LabelSelector{MatchLabels: map[string]string{environment: "production"}}
	// consumers are the FluentTokens that a run may have. Names are not repeated in other namespaces, so a name is enough.
	consumers = []types.NamespacedName{
		{Namespace: "web", Name: "page"}, {Namespace: "api", Name: "cart"}, {Namespace: "web", Name: "mail"},
	}
)

// addConsumers lets some runs have consumers.
func (s *setup) addConsumers(d *dice) {
	s.selects = d.among("selects", 5) != 0
	if d.among("consumed", 4) == 0 {
		s.consumers = consumers[:1+d.among("consumed", len(consumers))]
	}
}

// allowed is the consent that a credential begins with.
func (s setup) allowed() *v1alpha1.AllowedNamespaces {
	if len(s.consumers) == 0 {
		return nil
	}
	return &v1alpha1.AllowedNamespaces{Names: []string{"web"}, Selector: production}
}

// namespaceOf finds the namespace of a Secret by the object that it belongs to, whose name its name begins with.
func (w *world) namespaceOf(secret string) string {
	name, _, _ := strings.Cut(secret, "-")
	for _, key := range slices.Concat(w.setup.credentials, w.setup.consumers) {
		if key.Name == name {
			return key.Namespace
		}
	}
	return namespace
}

func (w *world) foundNamespaces() {
	if len(w.setup.consumers) == 0 {
		return
	}
	for _, name := range []string{"api", "web"} {
		w.put(&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{environment: "production"}}})
	}
}

// foundConsumer creates a FluentToken unless there is one.
func (w *world) foundConsumer(key types.NamespacedName) {
	if w.consumer(key) != nil {
		return
	}
	w.put(&v1alpha1.FluentToken{
		ObjectMeta: metav1.ObjectMeta{Namespace: key.Namespace, Name: key.Name},
		Spec: v1alpha1.FluentTokenSpec{
			CredentialRef: w.anyReference(), Target: v1alpha1.TargetSpec{Name: targetOf(key)},
		},
	})
}

// anyReference is a credential that a consumer can be pointed at.
func (w *world) anyReference() v1alpha1.CredentialReference {
	key := w.setup.credentials[w.dice.among("points at", len(w.setup.credentials))]
	return v1alpha1.CredentialReference{Namespace: key.Namespace, Name: key.Name}
}

// consumer is a FluentToken; nil: there is none.
func (w *world) consumer(key types.NamespacedName) *v1alpha1.FluentToken {
	found, ok := w.cluster.objects[objectKey{tokenKind, key}]
	if !ok {
		return nil
	}
	return copyOf(found.(*v1alpha1.FluentToken))
}

func (w *world) changeConsumer(key types.NamespacedName, change func(*v1alpha1.FluentToken)) {
	if found := w.consumer(key); found != nil {
		change(found)
		w.put(found)
	}
}

// consumerActs are what people do about consumers.
var consumerActs = []act{
	{"delete the FluentToken", (*world).removeConsumer},
	{"create the FluentToken", (*world).foundConsumer},
	{"tear the FluentToken away and create it", func(w *world, key types.NamespacedName) {
		w.changeConsumer(key, func(token *v1alpha1.FluentToken) { token.Finalizers = nil })
		w.removeConsumer(key)
		w.foundConsumer(key)
	}},
	{"point the FluentToken at a credential", func(w *world, key types.NamespacedName) {
		w.changeConsumer(key, func(token *v1alpha1.FluentToken) { token.Spec.CredentialRef = w.anyReference() })
	}},
	{"point the FluentToken at nothing", func(w *world, key types.NamespacedName) {
		w.changeConsumer(key, func(token *v1alpha1.FluentToken) { token.Spec.CredentialRef.Name = "nothing" })
	}},
	{"rename the target", func(w *world, key types.NamespacedName) {
		w.changeConsumer(key, func(token *v1alpha1.FluentToken) {
			token.Spec.Target.Name = targetOf(key) + strconv.Itoa(w.dice.among("renamed", 3))
		})
	}},
	{"change what becomes of the Secret", func(w *world, key types.NamespacedName) {
		w.changeConsumer(key, func(token *v1alpha1.FluentToken) {
			token.Spec.Target.DeletionPolicy = []v1alpha1.DeletionPolicy{v1alpha1.DeletionDelete, v1alpha1.DeletionRetain}[w.dice.among("retained", 2)]
		})
	}},
	{"withdraw the consent", func(w *world, key types.NamespacedName) { w.permit(key, nil) }},
	{"consent by name", func(w *world, key types.NamespacedName) {
		w.permit(key, &v1alpha1.AllowedNamespaces{Names: []string{key.Namespace}})
	}},
	{"consent by labels", func(w *world, key types.NamespacedName) {
		w.permit(key, &v1alpha1.AllowedNamespaces{Selector: production})
	}},
	{"label the namespace", func(w *world, key types.NamespacedName) {
		label := []string{"production", "test"}[w.dice.among("labeled", 2)]
		w.put(&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: key.Namespace, Labels: map[string]string{environment: label}}})
	}},
	{"delete the consumer's Secret", func(w *world, key types.NamespacedName) { w.remove(w.targetOfConsumer(key)) }},
	{"edit the consumer's Secret", func(w *world, key types.NamespacedName) {
		if secret := w.secret(w.targetOfConsumer(key)); secret != nil {
			secret.Data = map[string][]byte{v1alpha1.AccessTokenKey: []byte("edited")}
			w.put(secret)
		}
	}},
	{"restore the consumer's Secret", func(w *world, key types.NamespacedName) {
		if secret := w.secret(w.targetOfConsumer(key)); secret != nil {
			w.restore(secret, w.momentOf(secret))
		}
	}},
}

func (w *world) removeConsumer(key types.NamespacedName) {
	_ = w.cluster.delete(people, objectKey{tokenKind, key}, "", "")
}

func (w *world) targetOfConsumer(key types.NamespacedName) string {
	if found := w.consumer(key); found != nil {
		return found.TargetName()
	}
	return targetOf(key)
}

// permit changes the consent of the credential that a consumer refers to.
func (w *world) permit(key types.NamespacedName, allowed *v1alpha1.AllowedNamespaces) {
	if found := w.consumer(key); found != nil {
		w.changeCredential(found.Spec.CredentialRef.Key(), func(cred *v1alpha1.FluentCredential) {
			cred.Spec.AllowedNamespaces = allowed
		})
	}
}

// actOnConsumers lets people do something about a consumer.
func (w *world) actOnConsumers() {
	if len(w.setup.consumers) == 0 {
		return
	}
	if pick := w.dice.choose("consumers", len(consumerActs)); pick != 0 {
		key := w.setup.consumers[w.dice.among("which consumer", len(w.setup.consumers))]
		w.counts.acts++
		w.tell("!! people: %s (%s)", consumerActs[pick-1].name, key.Name)
		consumerActs[pick-1].do(w, key)
	}
}

// consumption is what the oracle knows of consumers.
type consumption struct {
	world  *world
	owners map[string]map[types.NamespacedName]bool // the credentials that stored an access token
	names  map[types.UID]types.NamespacedName       // of credentials; a new object takes over what its predecessor stored
	newest map[held]int64                           // the highest serial that a Secret had
	gone   map[types.NamespacedName]time.Duration   // when a Secret was deleted last
}

// held is the token of one credential in one Secret: a serial is of one credential only.
type held struct {
	secret types.NamespacedName
	source types.UID
}

func newConsumption(w *world) *consumption {
	return &consumption{
		world: w, owners: map[string]map[types.NamespacedName]bool{}, names: map[types.UID]types.NamespacedName{},
		newest: map[held]int64{}, gone: map[types.NamespacedName]time.Duration{},
	}
}

// wrote looks at every write that the API server took.
func (c *consumption) wrote(by writer, before, after clientObject) {
	switch written := after.(type) {
	case *v1alpha1.FluentCredential:
		c.names[written.UID] = keyOf(written).NamespacedName
	case *v1alpha1.FluentToken:
		was, _ := before.(*v1alpha1.FluentToken)
		if by != people && was != nil && !equality.Semantic.DeepEqual(was.Status, written.Status) {
			c.wroteStatus(by, written)
		}
	case *corev1.Secret:
		if written.Type == v1alpha1.StateSecretType {
			c.stored(written)
		} else if written.Annotations[v1alpha1.TokenAnnotation] != "" {
			c.published(by, before, written)
		}
	}
}

// dropped remembers when a Secret was deleted.
func (c *consumption) dropped(object clientObject) {
	if secret, ok := object.(*corev1.Secret); ok {
		c.gone[keyOf(secret).NamespacedName] = c.world.now()
	}
}

// stored remembers whose an access token is.
func (c *consumption) stored(state *corev1.Secret) {
	read := c.world.cluster.document(state)
	if read == nil || read.Access == "" {
		return
	}
	if c.owners[read.Access] == nil {
		c.owners[read.Access] = map[types.NamespacedName]bool{}
	}
	owner := types.NamespacedName{Namespace: state.Namespace, Name: state.Annotations[v1alpha1.CredentialAnnotation]}
	c.owners[read.Access][owner] = true
}

// published checks what a replica writes into a consumer's Secret. What people put there counts from then on.
func (c *consumption) published(by writer, replaced clientObject, secret *corev1.Secret) {
	source := types.UID(secret.Annotations[v1alpha1.SourceAnnotation])
	at := held{types.NamespacedName{Namespace: secret.Namespace, Name: secret.Name}, source}
	serial := serialOf(secret)
	if by == people {
		c.newest[at] = serial
		return
	}
	access := string(secret.Data[v1alpha1.AccessTokenKey])
	if metav1.GetControllerOf(secret) == nil {
		return // it was orphaned, and has no owner any more
	}
	oracle := c.world.oracle
	for key, value := range secret.Data {
		for _, kind := range []string{"-R", "-password", "-client", "-wrong"} {
			if strings.Contains(string(value), mark+kind) {
				oracle.violated("a consumer has an access token only", "%s wrote %s into %s of %s", by, value, key, secret.Name)
			}
		}
	}
	if access != "edited" && !c.owners[access][c.names[source]] {
		oracle.violated("a consumer has a stored token of its credential", "%s published %s for %s", by, access, secret.Name)
	}
	if before := c.newest[at]; serial < before && c.isKnown(source, before) && !(replaced == nil && c.isLate(at.secret)) {
		oracle.violated("a consumer never goes back to an older token", "%s wrote serial %d to %s after %d", by, serial, secret.Name, before)
	}
	if serial > c.newest[at] {
		c.world.counts.distributions++
	}
	c.newest[at] = serial
}

// isLate reports whether the Secret was deleted since the pass began: no version stands in the way of what it creates.
func (c *consumption) isLate(secret types.NamespacedName) bool {
	gone, wasThere := c.gone[secret]
	return wasThere && c.world.running != nil && gone >= c.world.running.begun
}

// isKnown reports whether anything in the cluster but consumers' Secrets shows that a credential had that serial: what
// a snapshot took from everywhere else is not known any more.
func (c *consumption) isKnown(source types.UID, serial int64) bool {
	for _, key := range c.world.setup.credentials {
		cred := c.world.credential(key)
		if cred == nil || cred.UID != source {
			continue
		}
		if !c.world.oracle.about[key].isTampered() || cred.Status.Token != nil && cred.Status.Token.Serial >= serial {
			return true
		}
	}
	return false
}

// wroteStatus: no expired token is called good.
func (c *consumption) wroteStatus(by writer, token *v1alpha1.FluentToken) {
	running := c.world.running
	source := c.world.oracle.about[token.Spec.CredentialRef.Key()]
	if source != nil && source.mistimed {
		return
	}
	if c.world.oracle.isClockWrong(by) || token.Status.Token == nil || running == nil ||
		!meta.IsStatusConditionTrue(token.Status.Conditions, v1alpha1.ConditionReady) {
		return
	}
	if expired := start.Add(running.begun).Sub(token.Status.Token.ExpirationTime.Time); expired > 30*time.Second {
		c.world.oracle.violated("no expired token is published as good", "%s says %s Ready %s after the expiry", by, token.Name, expired)
	}
}

// mustSupply looks whether consumers have what they may have, and nothing else, when everything has come to rest.
func (w *world) mustSupply() {
	if w.oracle.violation != nil || len(w.setup.consumers) == 0 {
		return
	}
	isRight := func() bool { return w.wrongConsumer() == "" }
	if isRight() || w.run(w.now()+2*time.Minute, 5000, isRight) || w.oracle.violation != nil {
		return
	}
	w.oracle.violated("consumers have what they may have", "%s", w.wrongConsumer())
}

// wrongConsumer is what is wrong with the first consumer that is not as it should be; empty: none is wrong.
func (w *world) wrongConsumer() string {
	for _, key := range w.setup.consumers {
		if wrong := w.wrongWith(key); wrong != "" {
			return key.Name + ": " + wrong
		}
	}
	return ""
}

func (w *world) wrongWith(key types.NamespacedName) string {
	token := w.consumer(key)
	if token == nil || !token.DeletionTimestamp.IsZero() {
		return "there is no FluentToken"
	}
	has := w.held(token)
	said := "nothing"
	if ready := meta.FindStatusCondition(token.Status.Conditions, v1alpha1.ConditionReady); ready != nil {
		said = string(ready.Status) + " " + ready.Reason
	}
	source := token.Spec.CredentialRef.Key()
	if !w.permits(token) {
		if len(has) > 0 || said != "False "+v1alpha1.ReasonNotAllowed {
			return fmt.Sprintf("without consent it has %v and says %s", names(has), said)
		}
		return ""
	}
	if len(has) > 1 || len(has) == 1 && has[0].Name != token.TargetName() {
		return fmt.Sprintf("it has %v, and wants %s", names(has), token.TargetName())
	}
	if !w.isWellOf(source) {
		return ""
	}
	state := w.truth(source)
	switch {
	case len(has) == 0:
		return fmt.Sprintf("it has nothing, and %s has serial %d; it says %s", source.Name, state.Serial, said)
	case serialOf(has[0]) != state.Serial, string(has[0].Data[v1alpha1.AccessTokenKey]) != state.Access:
		return fmt.Sprintf("it has serial %d, and %s has %d; it says %s", serialOf(has[0]), source.Name, state.Serial, said)
	case said != "True "+v1alpha1.ReasonTokenPublished, token.Status.Token == nil, token.Status.Token.Serial != state.Serial:
		return fmt.Sprintf("it has serial %d, and says %s of %+v", state.Serial, said, token.Status.Token)
	}
	return ""
}

// held are the Secrets of a FluentToken.
func (w *world) held(token *v1alpha1.FluentToken) []*corev1.Secret {
	return slices.DeleteFunc(w.cluster.secrets(), func(secret *corev1.Secret) bool {
		owner := metav1.GetControllerOf(secret)
		return owner == nil || owner.UID != token.UID
	})
}

func names(secrets []*corev1.Secret) []string {
	var found []string
	for _, secret := range secrets {
		found = append(found, secret.Name)
	}
	return found
}

// permits reports whether the credential of a FluentToken permits it.
func (w *world) permits(token *v1alpha1.FluentToken) bool {
	cred := w.credential(token.Spec.CredentialRef.Key())
	in := distribution.Namespace{Name: token.Namespace}
	if found, ok := w.cluster.objects[objectKey{namespaceKind, types.NamespacedName{Name: token.Namespace}}]; ok && w.setup.selects {
		in.Labels = found.GetLabels()
	}
	return cred != nil && distribution.Allows(cred, in)
}

// recreateConsumers lets people want every consumer in the end. Consent stays as it is.
func (w *world) recreateConsumers() {
	if !w.dice.calm {
		return
	}
	for _, key := range w.setup.consumers {
		w.foundConsumer(key)
	}
}
