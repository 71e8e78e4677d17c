package delivery

import (
	"fmt"
	"slices"
	"sync"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/cache"
)

// index knows which pods mount which Secret, and nothing else: a pod that mounts no Secret costs not a byte. A reflector fills it.
type index struct {
	mu     sync.RWMutex
	filled bool
	mounts map[types.NamespacedName][]string            // by pod: the Secrets it mounts
	pods   map[types.NamespacedName]map[string]struct{} // by Secret: the pods that mount it
}

var _ cache.TransformingStore = &index{}

func newIndex() *index {
	i := &index{}
	i.clear()
	return i
}

// mounting are the names of the pods that mount a Secret, in order; false: it is not known yet.
func (i *index) mounting(secret types.NamespacedName) ([]string, bool) {
	i.mu.RLock()
	defer i.mu.RUnlock()
	names := make([]string, 0, len(i.pods[secret]))
	for name := range i.pods[secret] {
		names = append(names, name)
	}
	slices.Sort(names)
	return names, i.filled
}

func (i *index) clear() {
	i.filled = false
	i.mounts, i.pods = map[types.NamespacedName][]string{}, map[types.NamespacedName]map[string]struct{}{}
}

// Reset forgets everything.
func (i *index) Reset() {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.clear()
}

// Add takes a pod in.
func (i *index) Add(object any) error {
	pod, err := slim(object)
	if err != nil {
		return err
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	i.put(pod)
	return nil
}

// Update does the same: the volumes of a pod never change, but a pod may be another one of the same name.
func (i *index) Update(object any) error { return i.Add(object) }

// Delete forgets a pod.
func (i *index) Delete(object any) error {
	pod, err := slim(object)
	if err != nil {
		return err
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	i.drop(pod.key())
	return nil
}

// Replace takes the pods in that there are, and forgets all others.
func (i *index) Replace(objects []any, _ string) error {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.clear()
	for _, object := range objects {
		pod, err := slim(object)
		if err != nil {
			return err
		}
		i.put(pod)
	}
	i.filled = true
	return nil
}

// Resync does nothing: nobody waits for it.
func (i *index) Resync() error { return nil }

// Transformer slims the pods that the reflector collects before it hands them over.
func (i *index) Transformer() cache.TransformFunc {
	return func(object any) (any, error) { return slim(object) }
}

func (i *index) put(pod *mounter) {
	key := pod.key()
	i.drop(key)
	if len(pod.secrets) == 0 {
		return
	}
	i.mounts[key] = pod.secrets
	for _, name := range pod.secrets {
		secret := types.NamespacedName{Namespace: key.Namespace, Name: name}
		if i.pods[secret] == nil {
			i.pods[secret] = map[string]struct{}{}
		}
		i.pods[secret][key.Name] = struct{}{}
	}
}

func (i *index) drop(pod types.NamespacedName) {
	for _, name := range i.mounts[pod] {
		secret := types.NamespacedName{Namespace: pod.Namespace, Name: name}
		delete(i.pods[secret], pod.Name)
		if len(i.pods[secret]) == 0 {
			delete(i.pods, secret)
		}
	}
	delete(i.mounts, pod)
}

// mounter is what is wanted of a pod. The metadata holds its name and namespace only; the reflector asks for them.
type mounter struct {
	metav1.ObjectMeta
	secrets []string
}

func (m *mounter) key() types.NamespacedName {
	return types.NamespacedName{Namespace: m.Namespace, Name: m.Name}
}

func slim(object any) (*mounter, error) {
	switch found := object.(type) {
	case *mounter:
		return found, nil
	case cache.DeletedFinalStateUnknown:
		return slim(found.Obj)
	case *corev1.Pod:
		return &mounter{
			ObjectMeta: metav1.ObjectMeta{Namespace: found.Namespace, Name: found.Name},
			secrets:    mounted(found.Spec.Volumes),
		}, nil
	}
	return nil, fmt.Errorf("a %T is no pod", object)
}

// mounted are the Secrets that volumes are made of, each once. An environment variable is no volume: nothing refreshes it.
func mounted(volumes []corev1.Volume) []string {
	var names []string
	for _, volume := range volumes {
		if volume.Secret != nil {
			names = append(names, volume.Secret.SecretName)
		}
		if volume.Projected == nil {
			continue
		}
		for _, source := range volume.Projected.Sources {
			if source.Secret != nil {
				names = append(names, source.Secret.Name)
			}
		}
	}
	slices.Sort(names)
	return slices.Clip(slices.Compact(names))
}
