package controllers

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"

	"github.com/fluent-credential/operator/api/v1alpha1"
	"github.com/fluent-credential/operator/internal/binding"
	"github.com/fluent-credential/operator/internal/custody"
	"github.com/fluent-credential/operator/internal/distribution"
	"github.com/fluent-credential/operator/internal/plan"
	"github.com/fluent-credential/operator/internal/projection"
)

// tokenObservation is all that one pass over a FluentToken knows. It is brought up to date by what the pass does.
type tokenObservation struct {
	now      time.Time
	token    *v1alpha1.FluentToken
	known    *consumer
	cred     *v1alpha1.FluentCredential // nil: there is none, or it does not permit this namespace
	record   *custody.Record            // of cred; as much as is remembered where nothing is new
	held     []string                   // the Secrets of this FluentToken
	obstacle obstacle                   // why the Secret cannot be made
	unlisted bool                       // because it asks for what the owner does not list
	workload workload
	failed   error // what the Kubernetes API said to an action
	domains  projection.Domains

	facts distribution.Observed
}

func (o *tokenObservation) owner() projection.Owner {
	return projection.Owner{Kind: projection.Token, Name: o.token.Name, UID: o.token.UID}
}

func (o *tokenObservation) targetKey() types.NamespacedName {
	return types.NamespacedName{Namespace: o.token.Namespace, Name: o.token.TargetName()}
}

// observe looks for consent first, and without it at nothing that belongs to the credential: so that whether there is one cannot be
// told from what follows, nor from how long it takes. A record that was stored a moment ago spares the read of the state.
func (t *TokenReconciler) observe(
	ctx context.Context, token *v1alpha1.FluentToken, known *consumer, stored *custody.Record,
) (*tokenObservation, error) {
	seen := &tokenObservation{token: token, known: known, domains: t.Domains, now: t.Clock.Now()}
	certain := []string{token.TargetName(), token.Status.TargetName, known.published.name}
	held, copies, err := t.publisher().published(ctx, token.Namespace, seen.owner(), &known.copies, certain)
	if err != nil {
		return nil, err
	}
	for _, name := range copies {
		t.Recorder.Eventf(token, nil, corev1.EventTypeWarning, "SecretCopied", "Observe", copied, name, "FluentToken")
	}
	if name := known.published.name; name != "" && !slices.Contains(held, name) {
		held = append(held, name) // the cache may not show it yet
	}
	seen.held = held
	if seen.cred, err = t.consenting(ctx, token); err != nil {
		return nil, err
	}
	if seen.cred != nil && token.DeletionTimestamp.IsZero() {
		err = t.observeToken(ctx, seen, stored)
	}
	t.refresh(seen)
	return seen, err
}

// consenting is the FluentCredential, where it permits the namespace; else nil.
func (t *TokenReconciler) consenting(ctx context.Context, token *v1alpha1.FluentToken) (*v1alpha1.FluentCredential, error) {
	reference := token.Spec.CredentialRef
	if len(t.Namespaces) > 0 && !slices.Contains(t.Namespaces, reference.Namespace) {
		return nil, nil
	}
	namespace, err := t.namespaceOf(ctx, token.Namespace)
	if err != nil {
		return nil, err
	}
	cred := &v1alpha1.FluentCredential{}
	err = t.Client.Get(ctx, reference.Key(), cred)
	if err != nil || !distribution.Allows(cred, namespace) {
		return nil, client.IgnoreNotFound(err)
	}
	return cred, nil
}

// namespaceOf is a namespace with its labels, where they can be read. One that the cache does not show has none.
func (t *TokenReconciler) namespaceOf(ctx context.Context, name string) (distribution.Namespace, error) {
	namespace := distribution.Namespace{Name: name}
	if !t.Selects {
		return namespace, nil
	}
	found := namespaceMetadata()
	err := t.Client.Get(ctx, types.NamespacedName{Name: name}, found)
	if err == nil {
		namespace.Labels = found.Labels
		if namespace.Labels == nil {
			namespace.Labels = map[string]string{}
		}
	}
	return namespace, client.IgnoreNotFound(err)
}

func namespaceMetadata() *metav1.PartialObjectMetadata {
	return &metav1.PartialObjectMetadata{TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Namespace"}}
}

// observeToken compares the workload Secret with the credential's token, and reads as little as it can for it.
func (t *TokenReconciler) observeToken(ctx context.Context, seen *tokenObservation, stored *custody.Record) error {
	unchanged, err := t.publisher().isUnchanged(ctx, seen.targetKey(), seen.known.published)
	if err != nil {
		return err
	}
	seen.record = stored
	if stored == nil && unchanged && seen.isKnown() {
		seen.recallToken()
		return nil
	}
	if stored == nil {
		seen.record = t.consumers.distributed(seen.cred)
	}
	if seen.record == nil {
		if err := t.observeState(ctx, seen); err != nil {
			return err
		}
	}
	seen.render()
	if unchanged && seen.known.published.fits(seen.workload.wanted) {
		seen.workload.recall(seen.known.published, seen.record.Serial)
		seen.workload.source = seen.known.source
		seen.sortOut()
		return nil
	}
	return t.readWorkload(ctx, seen)
}

// isKnown tells whether this process published the newest token that anybody knows of, as this spec wants it. The status is written
// after the state, so it can lag for a moment; then the write of it wakes this FluentToken.
func (o *tokenObservation) isKnown() bool {
	newest := o.cred.Status.Token
	return o.known.source == o.cred.UID && o.known.generation == o.token.Generation && o.known.account == accountOf(o.cred) &&
		o.known.members == membersOf(o.cred) &&
		newest != nil && o.known.published.serial >= newest.Serial
}

// recallToken takes what is remembered for what there is.
func (o *tokenObservation) recallToken() {
	known := o.known
	o.record = &custody.Record{State: custody.State{Serial: known.published.serial, Token: &custody.Token{Expires: known.expires}}}
	o.workload = workload{
		found: true, ours: true, current: true, serial: known.published.serial, source: known.source, version: known.published.resourceVersion,
	}
}

// listedMembers are the members of a reply that the owner shows to consumers.
func listedMembers(cred *v1alpha1.FluentCredential) []string {
	if cred.Spec.AllowedNamespaces == nil {
		return nil
	}
	return cred.Spec.AllowedNamespaces.ReplyMembers
}

// membersOf names the list: the same name, the same list.
func membersOf(cred *v1alpha1.FluentCredential) string { return strings.Join(listedMembers(cred), " ") }

func accountOf(cred *v1alpha1.FluentCredential) string { return binding.AccountOf(cred.Spec.Provider) }

// observeState reads the state Secret live. One that is not the operator's, or that a newer operator wrote, holds no token for us.
func (t *TokenReconciler) observeState(ctx context.Context, seen *tokenObservation) error {
	cred := seen.cred
	record, err := t.Custody.Open(ctx, stateOwner(cred))
	if errors.Is(err, custody.ErrForeign) || errors.Is(err, custody.ErrNewer) {
		record, err = &custody.Record{}, nil
	}
	seen.record = record
	return err
}

// render makes the workload Secret that the credential's token asks for.
func (o *tokenObservation) render() {
	o.workload.wanted = nil
	stored, target := o.record.Token, o.token.Spec.Target
	templates, err := projection.Parse(target.Data)
	if err == nil && stored != nil {
		var data map[string][]byte
		if data, err = templates.RenderForConsumer(valuesOf(stored, accountOf(o.cred)), listedMembers(o.cred)); err == nil {
			o.workload.wanted = workloadOf(target, o.domains, o.targetKey(), o.record.Serial, data)
			o.workload.wanted.Owner, o.workload.wanted.Source = o.owner(), o.cred.UID
		}
	}
	o.obstacle = obstacle{}
	o.unlisted = projection.IsUnlisted(err)
	problems := targetProblems(o.token.Name, target, o.token.Status.TargetName == o.token.TargetName())
	switch {
	case projection.IsStateName(o.token.TargetName()):
		o.obstacle = obstacle{v1alpha1.ReasonTargetConflict, targetIsState}
	case problems != "":
		o.obstacle = obstacle{v1alpha1.ReasonPublishFailed, problems}
	case err != nil:
		o.obstacle = obstacle{v1alpha1.ReasonTemplateInvalid, err.Error()}
	}
}

func (t *TokenReconciler) readWorkload(ctx context.Context, seen *tokenObservation) error {
	found := &seen.workload
	secret, err := t.publisher().read(ctx, found, seen.targetKey(), seen.owner())
	if err == nil && secret == nil {
		seen.known.lacks(seen.cred.UID)
	}
	if secret == nil || err != nil {
		return err
	}
	if found.source == seen.cred.UID && found.serial > seen.record.Serial {
		if err := t.explainSerial(ctx, seen); err != nil {
			return err
		}
	}
	found.compare(secret, &publication{})
	switch {
	case found.current:
		seen.remember(publicationOf(found.wanted, secret.ResourceVersion, found.content.Shared))
	case found.source == seen.cred.UID && found.serial > seen.record.Serial:
		seen.known.holds.Store(&holding{source: found.source, serial: found.serial}) // by another replica
	default:
		seen.known.lacks(seen.cred.UID) // it is an older one, or was edited: until it is written again
	}
	seen.sortOut()
	return nil
}

// sortOut: a serial counts within one credential only.
func (o *tokenObservation) sortOut() {
	if o.workload.ours && o.workload.source != o.cred.UID {
		o.workload.serial, o.workload.current = 0, false
	}
}

// explainSerial looks why the Secret has a higher serial than the state that was read: another replica was faster, or the state came out
// of a backup; the credential's status, or this process, has seen that serial then. Otherwise somebody edited the annotation, and it
// counts as none: what a consumer writes does not move the credential's count.
func (t *TokenReconciler) explainSerial(ctx context.Context, seen *tokenObservation) error {
	if err := t.observeState(ctx, seen); err != nil {
		return err
	}
	seen.render()
	if seen.workload.serial <= max(seen.record.Serial, seen.witnessed()) {
		return nil
	}
	shown, err := t.shownSerial(ctx, seen.cred)
	if err != nil {
		return err
	}
	if seen.workload.serial > shown {
		seen.workload.serial = 0
	}
	return nil
}

// shownSerial is the serial that the credential's status shows now. The cache can be behind.
func (t *TokenReconciler) shownSerial(ctx context.Context, cred *v1alpha1.FluentCredential) (int64, error) {
	live := &v1alpha1.FluentCredential{}
	err := t.Live.Get(ctx, client.ObjectKeyFromObject(cred), live)
	if err != nil || live.UID != cred.UID {
		return 0, client.IgnoreNotFound(err)
	}
	return countedSerial(live), nil
}

// countedSerial is the serial that a credential's status shows; zero if it is too high to have been counted to.
func countedSerial(cred *v1alpha1.FluentCredential) int64 {
	if shown := cred.Status.Token; shown != nil && custody.CanBeCounted(shown.Serial, shown.Serial) {
		return shown.Serial
	}
	return 0
}

// witnessed is the highest serial of this credential that its status shows or this process has published here.
func (o *tokenObservation) witnessed() int64 {
	highest := countedSerial(o.cred)
	if o.known.source == o.cred.UID {
		highest = max(highest, o.known.published.serial)
	}
	return highest
}

// lookAgain reads the Secret that somebody else changed meanwhile, and tells whether it is still to be written.
func (t *TokenReconciler) lookAgain(ctx context.Context, seen *tokenObservation) (bool, error) {
	seen.workload = workload{wanted: seen.workload.wanted}
	if err := t.readWorkload(ctx, seen); err != nil {
		return false, err
	}
	t.refresh(seen)
	return distribution.Next(seen.facts, seen.now).Do == distribution.Publish, nil
}

// refresh derives the facts that the plan looks at from what is known now.
func (t *TokenReconciler) refresh(seen *tokenObservation) {
	seen.facts = distribution.Observed{
		Deleting:   !seen.token.DeletionTimestamp.IsZero(),
		Registered: seen.isRegistered(),
		Allowed:    seen.cred != nil,
		Holding:    len(seen.held) > 0,
	}
	if seen.cred == nil || seen.record == nil {
		return
	}
	seen.facts.Obstructed = seen.obstacle != obstacle{}
	seen.facts.Unlisted = seen.unlisted
	seen.facts.Same = seen.workload.ours && seen.workload.serial > 0 && seen.workload.serial == seen.record.Serial
	published := seen.workload.against(seen.record.Serial)
	seen.facts.Taken, seen.facts.Outdated, seen.facts.Current = published == plan.Taken, published == plan.Outdated, published == plan.Current
	seen.facts.Former = seen.workload.ours && seen.workload.source != seen.cred.UID
	seen.facts.Shared = seen.workload.content.Shared
	seen.facts.Leftover = len(seen.leftovers()) > 0
	if stored := seen.record.Token; stored != nil && !(seen.facts.Outdated && seen.isRolledBack()) {
		seen.facts.Expires = stored.Expires
	}
}

// isRolledBack reports whether the state came out of a backup, by a serial that was there before. Its token is not
// published: the credential obtains another one, or counts on from the higher serial.
func (o *tokenObservation) isRolledBack() bool { return o.record.Serial < o.witnessed() }

// isRegistered: the cache shows our finalizer, or is older than the write that put it there.
func (o *tokenObservation) isRegistered() bool {
	written := o.known.registered
	return written != "" && isNewer(written, o.token.ResourceVersion) || controllerutil.ContainsFinalizer(o.token, v1alpha1.ReleaseFinalizer)
}

// leftovers are the Secrets under former names.
func (o *tokenObservation) leftovers() []string {
	target := o.token.TargetName()
	return slices.DeleteFunc(slices.Clone(o.held), func(name string) bool { return name == target })
}

// remember keeps what the workload Secret holds, to spare the next pass the reading.
func (o *tokenObservation) remember(held publication) {
	o.known.published, o.known.generation, o.known.account = held, o.token.Generation, accountOf(o.cred)
	o.known.members = membersOf(o.cred)
	o.known.source, o.known.expires = o.cred.UID, o.record.Token.Expires
	o.known.holds.Store(&holding{source: o.cred.UID, serial: cmp.Or(held.serial, o.record.Serial)})
	if !slices.Contains(o.held, held.name) {
		o.held = append(o.held, held.name)
	}
}
