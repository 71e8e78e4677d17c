package projection

import (
	"cmp"
	"encoding/json"
	"hash/fnv"
	"maps"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// A workload Secret may be shared: others put labels, annotations, keys, owners or finalizers of theirs into it, and they stay. Of
// what this operator put there and does not want any more, the managed fields tell.

// Found compares a workload Secret that was read with what is wanted.
type Found struct {
	// Shared is true where the Secret holds something of others, which a replacement of the whole would remove.
	Shared bool
	// Dropped are the keys of ours that are not wanted any more.
	Dropped Keys
}

// Keys are names of labels, annotations and data, and the UIDs of owners.
type Keys struct{ Labels, Annotations, Data, Owners []string }

func (k Keys) isEmpty() bool { return len(k.Labels)+len(k.Annotations)+len(k.Data)+len(k.Owners) == 0 }

// IsTidy tells whether nothing of ours is left in the Secret that is not wanted any more.
func (f Found) IsTidy() bool { return f.Dropped.isEmpty() }

// Shape is a number of the keys that are wanted: the same keys, the same number.
func (w Workload) Shape() uint64 {
	labels, annotations := w.metadata()
	sum := fnv.New64a()
	for _, keys := range [][]string{sorted(labels), sorted(annotations), sorted(w.Data)} {
		for _, key := range keys {
			_, _ = sum.Write(append([]byte(key), 0)) // never fails
		}
		_, _ = sum.Write([]byte{1})
	}
	return sum.Sum64()
}

func sorted[V any](of map[string]V) []string { return slices.Sorted(maps.Keys(of)) }

// Find compares a Secret with what is wanted. What the manager wrote is ours.
func (w Workload) Find(secret *corev1.Secret, manager string) Found {
	owned := ownedKeys(secret.ManagedFields, manager)
	labels, annotations := w.metadata()
	found := Found{Shared: len(secret.Finalizers) > 0}
	add := func(dropped []string, shared bool) []string {
		found.Shared = found.Shared || shared
		return dropped
	}
	found.Dropped.Labels = add(sortKeys(secret.Labels, labels, owned.Labels))
	found.Dropped.Annotations = add(sortKeys(secret.Annotations, annotations, owned.Annotations))
	found.Dropped.Data = add(sortKeys(secret.Data, w.Data, owned.Data))
	for _, owner := range secret.OwnerReferences {
		switch {
		case owner.UID == w.Owner.UID:
		case w.Owner.IsFormer(owner):
			found.Dropped.Owners = append(found.Dropped.Owners, string(owner.UID))
		default:
			found.Shared = true
		}
	}
	return found
}

// sortKeys takes what is there apart into what is wanted, ours that is not, and others'.
func sortKeys[V any](have, want map[string]V, ours []string) (dropped []string, shared bool) {
	for _, key := range sorted(have) {
		_, wanted := want[key]
		switch {
		case wanted:
		case slices.Contains(ours, key):
			dropped = append(dropped, key)
		default:
			shared = true
		}
	}
	return dropped, shared
}

// fields is a part of a FieldsV1: a tree of field names, each "f:" and the name.
type fields map[string]json.RawMessage

func (f fields) child(name string) fields {
	var below fields
	_ = json.Unmarshal(f["f:"+name], &below) // what is not there owns nothing
	return below
}

func (f fields) names() []string {
	var names []string
	for field := range f {
		if name, ok := strings.CutPrefix(field, "f:"); ok {
			names = append(names, name)
		}
	}
	return names
}

// ownedKeys are the keys that a manager wrote, by whatever verb.
func ownedKeys(managed []metav1.ManagedFieldsEntry, manager string) Keys {
	var owned Keys
	for _, entry := range managed {
		var root fields
		if entry.Manager != manager || json.Unmarshal(entry.FieldsV1.GetRawBytes(), &root) != nil {
			continue
		}
		metadata := root.child("metadata")
		owned.Labels = append(owned.Labels, metadata.child("labels").names()...)
		owned.Annotations = append(owned.Annotations, metadata.child("annotations").names()...)
		owned.Data = append(owned.Data, root.child("data").names()...)
	}
	return owned
}

// IsPublishedBy reports whether the manager wrote this very Secret. A copy has other managers, or the fields of the
// original with times from before it was made.
func IsPublishedBy(secret *corev1.Secret, manager string) bool {
	return slices.ContainsFunc(secret.ManagedFields, func(entry metav1.ManagedFieldsEntry) bool {
		return entry.Manager == manager && entry.Time != nil && !entry.Time.Time.Before(secret.CreationTimestamp.Time)
	})
}

// Patch is a strategic merge patch that makes a shared Secret what is wanted, and leaves alone what others put there. It applies to
// exactly one version.
func (w Workload) Patch(resourceVersion string, dropped Keys) ([]byte, error) {
	secret := w.Secret(resourceVersion)
	owners := []any{secret.OwnerReferences[0]}
	for _, uid := range dropped.Owners {
		owners = append(owners, map[string]string{"$patch": "delete", "uid": uid})
	}
	return json.Marshal(map[string]any{
		"metadata": map[string]any{
			"resourceVersion": resourceVersion, "ownerReferences": owners,
			"labels": without(secret.Labels, dropped.Labels), "annotations": without(secret.Annotations, dropped.Annotations),
		},
		"type": cmp.Or(w.Type, opaque), // it cannot be changed: the API server says so
		"data": without(secret.Data, dropped.Data),
	})
}

// without sets the dropped keys to null, which removes them.
func without[V any](wanted map[string]V, dropped []string) map[string]any {
	merged := make(map[string]any, len(wanted)+len(dropped))
	for _, key := range dropped {
		merged[key] = nil
	}
	for key, value := range wanted {
		merged[key] = value
	}
	return merged
}
