package simulation

import (
	"bytes"
	"encoding/json"
	"maps"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/fluent-credential/operator/api/v1alpha1"
)

// fieldTree is a FieldsV1 before it is encoded.
type fieldTree map[string]any

// countFields notes who wrote what of a target Secret: who changes a key owns it from then on.
func (c *cluster) countFields(by writer, before, after *corev1.Secret) {
	if before == nil {
		before = &corev1.Secret{}
	}
	manager := v1alpha1.OperatorName
	if by == people {
		manager = "kubectl"
	}
	owners, was, is := ownersOf(before), valuesOf(before), valuesOf(after)
	for path, value := range is {
		if old, known := was[path]; !known || !bytes.Equal(old, value) {
			owners[path] = manager
		}
	}
	maps.DeleteFunc(owners, func(path, _ string) bool { _, isThere := is[path]; return !isThere })
	now := metav1.NewTime(start.Add(c.world.now()).Truncate(time.Second))
	var entries []metav1.ManagedFieldsEntry
	for _, who := range []string{"kubectl", v1alpha1.OperatorName} {
		at := &now
		if who != manager {
			at = timeOf(before, who)
		}
		if entry := entryOf(who, at, owners); entry != nil {
			entries = append(entries, *entry)
		}
	}
	after.ManagedFields = entries
}

func timeOf(secret *corev1.Secret, manager string) *metav1.Time {
	for _, entry := range secret.ManagedFields {
		if entry.Manager == manager {
			return entry.Time
		}
	}
	return nil
}

// The parts of a Secret whose keys have owners.
var parts = []string{"data", "labels", "annotations"}

// valuesOf are the values of a Secret by part and key.
func valuesOf(secret *corev1.Secret) map[string][]byte {
	values := map[string][]byte{}
	for key, value := range secret.Data {
		values["data/"+key] = value
	}
	for key, value := range secret.Labels {
		values["labels/"+key] = []byte(value)
	}
	for key, value := range secret.Annotations {
		values["annotations/"+key] = []byte(value)
	}
	return values
}

// ownersOf reads who owns what.
func ownersOf(secret *corev1.Secret) map[string]string {
	owners := map[string]string{}
	for _, entry := range secret.ManagedFields {
		var read struct {
			Data     map[string]any            `json:"f:data"`
			Metadata map[string]map[string]any `json:"f:metadata"`
		}
		if entry.FieldsV1 == nil || json.Unmarshal(entry.FieldsV1.GetRawBytes(), &read) != nil {
			continue
		}
		for _, part := range parts {
			keys := read.Metadata["f:"+part]
			if part == "data" {
				keys = read.Data
			}
			for key := range keys {
				owners[part+"/"+key[len("f:"):]] = entry.Manager
			}
		}
	}
	return owners
}

// entryOf is what one manager owns; nil: nothing.
func entryOf(manager string, at *metav1.Time, owners map[string]string) *metav1.ManagedFieldsEntry {
	tree := map[string]fieldTree{}
	for _, path := range slices.Sorted(maps.Keys(owners)) {
		if owners[path] != manager {
			continue
		}
		for _, part := range parts {
			if len(path) > len(part) && path[:len(part)+1] == part+"/" {
				if tree[part] == nil {
					tree[part] = fieldTree{}
				}
				tree[part]["f:"+path[len(part)+1:]] = fieldTree{}
			}
		}
	}
	if len(tree) == 0 {
		return nil
	}
	metadata := fieldTree{}
	for _, part := range parts[1:] {
		if tree[part] != nil {
			metadata["f:"+part] = tree[part]
		}
	}
	encoded, err := json.Marshal(fieldTree{"f:data": tree["data"], "f:metadata": metadata})
	if err != nil {
		panic(err)
	}
	fields := &metav1.FieldsV1{}
	fields.SetRawBytes(encoded)
	return &metav1.ManagedFieldsEntry{Manager: manager, Operation: metav1.ManagedFieldsOperationUpdate, Time: at, FieldsV1: fields}
}
