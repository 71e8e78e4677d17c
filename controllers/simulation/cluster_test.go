package simulation

import (
	"cmp"
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/fluent-credential/operator/api/v1alpha1"
)

// cluster is a Kubernetes API server for Secrets and FluentCredentials: resource versions, optimistic concurrency, finalizers,
// deletion and garbage collection, in one process and in one order. Objects in it are never changed, only replaced.
type cluster struct {
	world   *world
	objects map[objectKey]client.Object
	history []version
	created int

	documents map[client.Object]*document     // what was read of the objects, which never change
	views     map[client.Object]client.Object // the same objects as caches keep them
}

type objectKey struct {
	kind string
	types.NamespacedName
}

// version is one write: what a watch shows.
type version struct {
	at     time.Duration
	key    objectKey
	object client.Object // nil: it is gone
	by     writer
}

// writer is who wrote: a replica in one of its lives, or people.
type writer struct {
	replica string
	life    int
}

var people = writer{replica: "people"}

func (w writer) String() string {
	if w == people {
		return w.replica
	}
	return fmt.Sprintf("%s%d", w.replica, w.life)
}

const (
	secretKind     = "Secret"
	credentialKind = "FluentCredential"
	tokenKind      = "FluentToken"
	namespaceKind  = "Namespace"
)

func keyOf(object client.Object) objectKey {
	kind := secretKind
	switch object := object.(type) {
	case *v1alpha1.FluentCredential:
		kind = credentialKind
	case *v1alpha1.FluentToken:
		kind = tokenKind
	case *corev1.Namespace:
		kind = namespaceKind
	case *metav1.PartialObjectMetadata:
		kind = cmp.Or(object.Kind, secretKind)
	}
	return objectKey{kind, client.ObjectKeyFromObject(object)}
}

func (k objectKey) resource() schema.GroupResource {
	resource := schema.GroupResource{Resource: strings.ToLower(k.kind) + "s"}
	if k.kind == credentialKind || k.kind == tokenKind {
		resource.Group = v1alpha1.GroupVersion.Group
	}
	return resource
}

// document reads a state Secret that is or was stored, once.
func (c *cluster) document(stored client.Object) *document {
	read, known := c.documents[stored]
	if !known && stored != nil {
		read = documentOf(stored)
		c.documents[stored] = read
	}
	return read
}

func copyOf[T client.Object](object T) T { return object.DeepCopyObject().(T) }

// store puts a new version in place and lets go what nothing holds any more.
func (c *cluster) store(by writer, object client.Object) {
	key := keyOf(object)
	object.SetResourceVersion(strconv.Itoa(len(c.history) + 1))
	before := c.objects[key]
	c.countGeneration(before, object)
	if secret, ok := object.(*corev1.Secret); ok && isTarget(secret) {
		was, _ := before.(*corev1.Secret)
		c.countFields(by, was, secret)
	}
	c.objects[key] = object
	if !object.GetDeletionTimestamp().IsZero() && len(object.GetFinalizers()) == 0 {
		c.world.oracle.wrote(by, before, object)
		c.drop(key, by) // a watch shows the deletion only
		return
	}
	c.history = append(c.history, version{c.world.now(), key, object, by})
	c.world.oracle.wrote(by, before, object)
}

// countGeneration raises the generation of an object of ours where its spec changes, and where its deletion begins.
func (c *cluster) countGeneration(before, after client.Object) {
	if before == nil {
		return
	}
	isLeaving := before.GetDeletionTimestamp().IsZero() && !after.GetDeletionTimestamp().IsZero()
	generation := before.GetGeneration()
	switch after := after.(type) {
	case *v1alpha1.FluentCredential:
		if isLeaving || !equality.Semantic.DeepEqual(before.(*v1alpha1.FluentCredential).Spec, after.Spec) {
			generation++
		}
	case *v1alpha1.FluentToken:
		if isLeaving || !equality.Semantic.DeepEqual(before.(*v1alpha1.FluentToken).Spec, after.Spec) {
			generation++
		}
	}
	after.SetGeneration(generation)
}

// isTarget reports whether a Secret is a target. Who wrote what of other Secrets is of no interest.
func isTarget(secret *corev1.Secret) bool {
	return secret.Labels[v1alpha1.ManagedByLabel] == v1alpha1.OperatorName && secret.Annotations[v1alpha1.SerialAnnotation] != "" &&
		secret.Type != v1alpha1.StateSecretType && secret.Type != v1alpha1.GuardSecretType
}

// isSame reports whether a write changes nothing: then there is no new version, and no event.
func isSame(before, after client.Object) bool {
	after.SetResourceVersion(before.GetResourceVersion())
	after.SetManagedFields(before.GetManagedFields())
	return equality.Semantic.DeepEqual(before, after)
}

func (c *cluster) drop(key objectKey, by writer) {
	gone := c.objects[key]
	delete(c.objects, key)
	c.history = append(c.history, version{c.world.now(), key, nil, by})
	c.world.oracle.dropped(by, gone)
	if key.kind != credentialKind && key.kind != tokenKind {
		return
	}
	for _, owned := range c.secrets() {
		if owner := metav1.GetControllerOf(owned); owner != nil && owner.UID == gone.GetUID() {
			_ = c.delete(people, keyOf(owned), "", "")
		}
	}
}

// secrets are all Secrets, in the order of their names.
func (c *cluster) secrets() []*corev1.Secret {
	var found []*corev1.Secret
	for _, object := range c.objects {
		if secret, ok := object.(*corev1.Secret); ok {
			found = append(found, secret)
		}
	}
	slices.SortFunc(found, func(a, b *corev1.Secret) int {
		return cmp.Or(cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Name, b.Name))
	})
	return found
}

func (c *cluster) find(key objectKey) (client.Object, error) {
	if found, ok := c.objects[key]; ok {
		return found, nil
	}
	return nil, apierrors.NewNotFound(key.resource(), key.Name)
}

func (c *cluster) create(by writer, object client.Object) error {
	key := keyOf(object)
	if _, ok := c.objects[key]; ok {
		return apierrors.NewAlreadyExists(key.resource(), key.Name)
	}
	c.created++
	object.SetUID(types.UID(fmt.Sprintf("uid-%d", c.created)))
	object.SetCreationTimestamp(metav1.NewTime(start.Add(c.world.now()).Truncate(time.Second)))
	object.SetGeneration(1)
	c.store(by, copyOf(object))
	object.SetResourceVersion(strconv.Itoa(len(c.history)))
	return nil
}

// update replaces an object; an empty resource version goes over any.
func (c *cluster) update(by writer, object client.Object) error {
	key := keyOf(object)
	found, err := c.find(key)
	if err != nil {
		return err
	}
	if err := mustMatch(key, found, object.GetResourceVersion(), object.GetUID()); err != nil {
		return err
	}
	next := copyOf(object)
	next.SetDeletionTimestamp(found.GetDeletionTimestamp())
	next.SetUID(found.GetUID())
	next.SetCreationTimestamp(found.GetCreationTimestamp())
	next.SetGeneration(found.GetGeneration())
	if !isSame(found, next) {
		c.store(by, next)
	}
	object.SetResourceVersion(next.GetResourceVersion())
	return nil
}

func mustMatch(key objectKey, found client.Object, version string, uid types.UID) error {
	if version != "" && version != found.GetResourceVersion() {
		return apierrors.NewConflict(key.resource(), key.Name, fmt.Errorf("the object has been modified"))
	}
	if uid != "" && uid != found.GetUID() {
		return apierrors.NewConflict(key.resource(), key.Name, fmt.Errorf("the UID is another"))
	}
	return nil
}

func (c *cluster) delete(by writer, key objectKey, uid types.UID, version string) error {
	found, err := c.find(key)
	if err != nil {
		return err
	}
	if err := mustMatch(key, found, version, uid); err != nil {
		return err
	}
	if len(found.GetFinalizers()) == 0 {
		c.drop(key, by)
		return nil
	}
	if found.GetDeletionTimestamp().IsZero() {
		leaving := copyOf(found)
		now := metav1.NewTime(start.Add(c.world.now()).Truncate(time.Second))
		leaving.SetDeletionTimestamp(&now)
		c.store(by, leaving)
	}
	return nil
}

// patch applies a JSON merge patch (RFC 7386); a resource version in it has to match.
func (c *cluster) patch(by writer, object client.Object, patch []byte) error {
	key := keyOf(object)
	found, err := c.find(key)
	if err != nil {
		return err
	}
	var changes map[string]any
	if err := json.Unmarshal(patch, &changes); err != nil {
		return err
	}
	if metadata, ok := changes["metadata"].(map[string]any); ok {
		version, _ := metadata["resourceVersion"].(string)
		uid, _ := metadata["uid"].(string)
		if err := mustMatch(key, found, version, types.UID(uid)); err != nil {
			return err
		}
	}
	next, err := merged(found, changes)
	if err != nil {
		return err
	}
	if !isSame(found, next) {
		c.store(by, next)
	}
	return copyInto(next, object)
}

func merged(found client.Object, changes map[string]any) (client.Object, error) {
	encoded, err := json.Marshal(found)
	if err != nil {
		return nil, err
	}
	var fields map[string]any
	if err := json.Unmarshal(encoded, &fields); err != nil {
		return nil, err
	}
	encoded, err = json.Marshal(mergeFields(fields, changes))
	if err != nil {
		return nil, err
	}
	next := emptyLike(found)
	return next, json.Unmarshal(encoded, next)
}

func mergeFields(fields, changes map[string]any) map[string]any {
	for name, change := range changes {
		inner, isObject := change.(map[string]any)
		if change == nil {
			delete(fields, name)
		} else if isObject {
			before, _ := fields[name].(map[string]any)
			if before == nil {
				before = map[string]any{}
			}
			fields[name] = mergeFields(before, inner)
		} else {
			fields[name] = change
		}
	}
	return fields
}

func emptyLike(object client.Object) client.Object {
	return reflect.New(reflect.TypeOf(object).Elem()).Interface().(client.Object)
}

// copyInto hands an object out.
func copyInto(from, to client.Object) error {
	switch to := to.(type) {
	case *corev1.Secret:
		from.(*corev1.Secret).DeepCopyInto(to)
	case *v1alpha1.FluentCredential:
		from.(*v1alpha1.FluentCredential).DeepCopyInto(to)
		to.SetGroupVersionKind(v1alpha1.GroupVersion.WithKind(credentialKind))
	case *v1alpha1.FluentToken:
		from.(*v1alpha1.FluentToken).DeepCopyInto(to)
		to.SetGroupVersionKind(v1alpha1.GroupVersion.WithKind(tokenKind))
	case *metav1.PartialObjectMetadata:
		kind := to.TypeMeta
		switch from := from.(type) {
		case *metav1.PartialObjectMetadata:
			from.DeepCopyInto(to)
		case *corev1.Secret:
			from.ObjectMeta.DeepCopyInto(&to.ObjectMeta)
		}
		to.TypeMeta = kind
	default:
		return fmt.Errorf("the simulation knows no %T", to)
	}
	return nil
}

func (c *cluster) replaceStatus(by writer, wanted *v1alpha1.FluentCredential) error {
	key := keyOf(wanted)
	found, err := c.find(key)
	if err != nil {
		return err
	}
	if err := mustMatch(key, found, "", wanted.UID); err != nil {
		return err
	}
	next := copyOf(found.(*v1alpha1.FluentCredential))
	wanted.Status.DeepCopyInto(&next.Status)
	if !isSame(found, next) {
		c.store(by, next)
	}
	wanted.SetResourceVersion(next.GetResourceVersion())
	return nil
}
