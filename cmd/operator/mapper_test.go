package main

import (
	"errors"
	"testing"

	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// countingMapper knows one kind, and how often it was asked.
type countingMapper struct {
	meta.RESTMapper
	asked int
	knows bool
}

func (m *countingMapper) RESTMapping(kind schema.GroupKind, versions ...string) (*meta.RESTMapping, error) {
	m.asked++
	if !m.knows {
		return nil, errors.New("no such kind")
	}
	return &meta.RESTMapping{GroupVersionKind: kind.WithVersion(versions[0])}, nil
}

// TestAMappingIsLookedUpOnce, and again while there is none.
func TestAMappingIsLookedUpOnce(t *testing.T) {
	asks := &countingMapper{}
	mapper := &rememberingMapper{RESTMapper: asks}
	secret := schema.GroupKind{Kind: "Secret"}
	for range 2 {
		if _, err := mapper.RESTMapping(secret, "v1"); err == nil {
			t.Error("a kind that is not there is found")
		}
	}
	asks.knows = true
	for range 3 {
		for _, version := range []string{"v1", "v2"} {
			if found, err := mapper.RESTMapping(secret, version); err != nil || found.GroupVersionKind.Version != version {
				t.Errorf("of %s is found %+v, %v", version, found, err)
			}
		}
	}
	if asks.asked != 4 {
		t.Errorf("asked %d times, want twice in vain, and once for each version", asks.asked)
	}
}
