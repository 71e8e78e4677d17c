package simulation

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/recorder"

	"github.com/fluent-credential/operator/api/v1alpha1"
)

// manager offers a replica what it takes from a manager.
type manager struct {
	ctrl.Manager
	replica *replica
	life    int
}

func (m manager) GetClient() client.Client {
	return &apiClient{replica: m.replica, life: m.life, cached: true}
}
func (m manager) GetAPIReader() client.Reader { return &apiClient{replica: m.replica, life: m.life} }
func (m manager) GetEventRecorder(string) recorder.EventRecorder {
	return eventSink{world: m.replica.world}
}

// apiClient is one replica's way to the API server. It reads from the replica's cache or live, and hands over before and after
// every request.
type apiClient struct {
	client.Client
	replica *replica
	life    int
	cached  bool
}

var errUnreachable = errors.New("dial tcp 10.0.0.1:443: i/o timeout")

// request is one round trip. The answer can be lost, whatever happened. A context that is over ends it, too.
func (c *apiClient) request(ctx context.Context, label string, key objectKey, isWrite bool, act func() error) error {
	w := c.replica.world
	asked := apiRequest{label, key}
	label = label + " " + key.kind + " " + key.Name
	process := w.of(ctx, c.replica, c.life)
	w.step(ctx, process, label)
	if ctx.Err() != nil {
		w.tell("%s: %v", label, ctx.Err())
		return ctx.Err()
	}
	if c.replica.isCutOff() {
		w.tell("%s: the API is not reachable", label)
		c.replica.hamper()
		w.sleep(process, "time out", time.Second)
		return errUnreachable
	}
	w.pace.requested(process)
	if err := w.sufferRequest(ctx, process, asked); err != nil {
		return err
	}
	if refusal := c.refusal(key); refusal != nil {
		w.tell("%s !! refused: %v", label, refusal)
		c.replica.hamper()
		return refusal
	}
	if isWrite && w.dice.choose("touch", 1) != 0 {
		w.touch(key)
	}
	err := act()
	w.tell("%s: %s", label, outcome(err))
	if isWrite && w.dice.choose("lost", 1) != 0 {
		w.tell("%s !! the answer is lost", label)
		c.replica.hamper()
		err = errUnreachable
	}
	w.step(ctx, process, label+" done")
	if ctx.Err() != nil {
		w.tell("%s: done, and %v", label, ctx.Err())
		return ctx.Err()
	}
	return err
}

func (c *apiClient) writer() writer { return writer{c.replica.name, c.life} }

func outcome(err error) string {
	if err == nil {
		return "ok"
	}
	return string(apierrors.ReasonForError(err))
}

// refusal is an answer by which the API server says that it did nothing.
func (c *apiClient) refusal(key objectKey) error {
	switch c.replica.world.dice.choose("refuse", 5) {
	case 1:
		return apierrors.NewServiceUnavailable("etcd leader changed")
	case 2:
		return apierrors.NewInternalError(errors.New("etcdserver: request timed out"))
	case 3:
		return apierrors.NewForbidden(key.resource(), key.Name, errors.New("exceeded quota"))
	case 4:
		return apierrors.NewTooManyRequests("slow down", 1)
	case 5:
		return errUnreachable
	}
	return nil
}

// Get reads one object.
func (c *apiClient) Get(ctx context.Context, name client.ObjectKey, object client.Object, _ ...client.GetOption) error {
	key := objectKey{keyOf(object).kind, name}
	if c.cached {
		c.replica.world.handOver()
		found, ok := c.replica.cache[key]
		if !ok {
			return apierrors.NewNotFound(key.resource(), key.Name)
		}
		return copyInto(found, object)
	}
	return c.request(ctx, "get", key, false, func() error {
		found, err := c.replica.world.cluster.find(key)
		if err != nil {
			return err
		}
		return copyInto(found, object)
	})
}

// List lists what the cache has, or whole Secrets.
func (c *apiClient) List(ctx context.Context, list client.ObjectList, opts ...client.ListOption) error {
	options := client.ListOptions{}
	options.ApplyOptions(opts)
	c.replica.world.handOver()
	switch found := list.(type) {
	case *metav1.PartialObjectMetadataList:
		for _, object := range c.replica.matching(strings.TrimSuffix(found.Kind, "List"), options) {
			found.Items = append(found.Items, *handedOut(object.(*metav1.PartialObjectMetadata), options))
		}
		return nil
	case *v1alpha1.FluentCredentialList:
		for _, object := range c.replica.matching(credentialKind, options) {
			found.Items = append(found.Items, *handedOut(object.(*v1alpha1.FluentCredential), options))
		}
		return nil
	case *v1alpha1.FluentTokenList:
		for _, object := range c.replica.matching(tokenKind, options) {
			found.Items = append(found.Items, *handedOut(object.(*v1alpha1.FluentToken), options))
		}
		return nil
	}
	key := objectKey{secretKind, types.NamespacedName{Namespace: options.Namespace, Name: "*"}}
	return c.request(ctx, "list", key, false, func() error {
		found := list.(*corev1.SecretList)
		for _, secret := range c.replica.world.cluster.secrets() {
			if options.LabelSelector.Matches(labelsOf(secret)) && secret.Namespace == options.Namespace {
				found.Items = append(found.Items, *secret.DeepCopy())
			}
		}
		return nil
	})
}

// handedOut is a copy, unless the caller does without.
func handedOut[T client.Object](object T, options client.ListOptions) T {
	if ptr.Deref(options.UnsafeDisableDeepCopy, false) {
		return object
	}
	return copyOf(object)
}

func (c *apiClient) Create(ctx context.Context, object client.Object, _ ...client.CreateOption) error {
	return c.request(ctx, "create", keyOf(object), true, func() error { return c.replica.world.cluster.create(c.writer(), object) })
}

func (c *apiClient) Update(ctx context.Context, object client.Object, _ ...client.UpdateOption) error {
	return c.request(ctx, "update", keyOf(object), true, func() error { return c.replica.world.cluster.update(c.writer(), object) })
}

func (c *apiClient) Delete(ctx context.Context, object client.Object, opts ...client.DeleteOption) error {
	options := client.DeleteOptions{}
	options.ApplyOptions(opts)
	wanted := metav1.Preconditions{}
	if options.Preconditions != nil {
		wanted = *options.Preconditions
	}
	uid, version := ptr.Deref(wanted.UID, ""), ptr.Deref(wanted.ResourceVersion, "")
	key := keyOf(object)
	return c.request(ctx, "delete", key, true, func() error {
		return c.replica.world.cluster.delete(c.writer(), key, uid, version)
	})
}

func (c *apiClient) Patch(ctx context.Context, object client.Object, patch client.Patch, _ ...client.PatchOption) error {
	if patch.Type() != types.MergePatchType && patch.Type() != types.StrategicMergePatchType { // there are no lists in which the two differ
		return fmt.Errorf("the simulation knows no %s", patch.Type())
	}
	data, err := patch.Data(object)
	if err != nil {
		return err
	}
	return c.request(ctx, "patch", keyOf(object), true, func() error {
		return c.replica.world.cluster.patch(c.writer(), object, data)
	})
}

// Status writes the status.
func (c *apiClient) Status() client.SubResourceWriter { return statusClient{client: c} }

type statusClient struct {
	client.SubResourceWriter
	client *apiClient
}

// Patch replaces the status of one object and no other, by a JSON patch (RFC 6902).
func (s statusClient) Patch(ctx context.Context, object client.Object, patch client.Patch, _ ...client.SubResourcePatchOption) error {
	encoded, err := patch.Data(object)
	if err != nil {
		return err
	}
	if patch.Type() == types.MergePatchType {
		return s.client.request(ctx, "status", keyOf(object), true, func() error {
			return s.client.replica.world.cluster.patch(s.client.writer(), object, encoded)
		})
	}
	var operations []struct {
		Op, Path string
		Value    json.RawMessage
	}
	if err := json.Unmarshal(encoded, &operations); err != nil {
		return err
	}
	wanted := &v1alpha1.FluentCredential{}
	wanted.Namespace, wanted.Name = object.GetNamespace(), object.GetName()
	for _, operation := range operations {
		switch operation.Op + " " + operation.Path {
		case "test /metadata/uid":
			err = json.Unmarshal(operation.Value, &wanted.UID)
		case "add /status":
			err = json.Unmarshal(operation.Value, &wanted.Status)
		default:
			err = fmt.Errorf("the simulation cannot %s %s", operation.Op, operation.Path)
		}
		if err != nil {
			return err
		}
	}
	return s.client.request(ctx, "status", keyOf(wanted), true, func() error {
		err := s.client.replica.world.cluster.replaceStatus(s.client.writer(), wanted)
		object.SetResourceVersion(wanted.ResourceVersion)
		return err
	})
}
