package main

import (
	"net/http"
	"sync"

	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client/apiutil"
)

// rememberingMapper keeps the answers for single versions of a kind. A cache of several namespaces asks at each read whether the kind has
// a namespace, and the search through all groups would be a twentieth of what a rotation costs this process.
type rememberingMapper struct {
	meta.RESTMapper
	known sync.Map // *meta.RESTMapping by schema.GroupVersionKind
}

func newMapper(config *rest.Config, client *http.Client) (meta.RESTMapper, error) {
	asks, err := apiutil.NewDynamicRESTMapper(config, client)
	return &rememberingMapper{RESTMapper: asks}, err
}

// RESTMapping remembers what was found, and nothing else: a kind that is not there may come.
func (m *rememberingMapper) RESTMapping(kind schema.GroupKind, versions ...string) (*meta.RESTMapping, error) {
	if len(versions) != 1 {
		return m.RESTMapper.RESTMapping(kind, versions...)
	}
	key := kind.WithVersion(versions[0])
	if found, ok := m.known.Load(key); ok {
		return found.(*meta.RESTMapping), nil
	}
	found, err := m.RESTMapper.RESTMapping(kind, versions...)
	if err == nil {
		m.known.Store(key, found)
	}
	return found, err
}
