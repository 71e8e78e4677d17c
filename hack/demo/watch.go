package main

import (
	"context"
	"errors"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/rest"
	toolscache "k8s.io/client-go/tools/cache"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/fluent-credential/operator/api/v1alpha1"
)

// change brings a moment up to date.
type change func(*moment)

// watch watches the FluentCredential and its workload Secret until the context ends.
func watch(ctx context.Context, config *rest.Config) (<-chan change, error) {
	scheme := runtime.NewScheme()
	if err := errors.Join(corev1.AddToScheme(scheme), v1alpha1.AddToScheme(scheme)); err != nil {
		return nil, err
	}
	named := func(name string) cache.ByObject {
		return cache.ByObject{Field: fields.OneTermEqualSelector("metadata.name", name)}
	}
	watched := map[client.Object]cache.ByObject{
		&v1alpha1.FluentCredential{}: named(credentialName),
		&corev1.Secret{}:             named(targetName),
	}
	watches, err := cache.New(config, cache.Options{
		Scheme: scheme, DefaultNamespaces: map[string]cache.Config{namespace: {}}, ByObject: watched,
	})
	if err != nil {
		return nil, err
	}
	changes := make(chan change)
	for object := range watched {
		if err := listen(ctx, watches, object, changes); err != nil {
			return nil, err
		}
	}
	go func() { _ = watches.Start(ctx) }() // it ends with the context, and knows no other error
	return changes, nil
}

// listen sends what becomes of objects of one kind.
func listen(ctx context.Context, watches cache.Cache, kind client.Object, changes chan<- change) error {
	informer, err := watches.GetInformer(ctx, kind, cache.BlockUntilSynced(false))
	if err != nil {
		return err
	}
	send := func(object any, gone bool) {
		select {
		case changes <- changeOf(object, gone):
		case <-ctx.Done():
		}
	}
	_, err = informer.AddEventHandler(toolscache.ResourceEventHandlerFuncs{
		AddFunc:    func(object any) { send(object, false) },
		UpdateFunc: func(_, object any) { send(object, false) },
		DeleteFunc: func(object any) { send(object, true) },
	})
	return err
}

func changeOf(object any, gone bool) change {
	if last, ok := object.(toolscache.DeletedFinalStateUnknown); ok {
		object = last.Obj
	}
	return func(now *moment) {
		switch object := object.(type) {
		case *v1alpha1.FluentCredential:
			now.cred = unless(gone, object)
		case *corev1.Secret:
			now.secret = unless(gone, object)
		}
	}
}

func unless[T any](gone bool, object *T) *T {
	if gone {
		return nil
	}
	return object
}
