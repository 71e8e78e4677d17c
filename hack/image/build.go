package main

import (
	"cmp"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// user is nobody in particular, and not root; the same number as in distroless images, on which the Dockerfile builds.
const user = 65532

// build makes the index of one image per platform.
func (o order) build(ctx context.Context) (v1.ImageIndex, error) {
	base, err := o.baseLayer()
	if err != nil {
		return nil, err
	}
	index := mutate.IndexMediaType(empty.Index, types.OCIImageIndex)
	for _, platform := range o.platforms {
		image, err := o.buildImage(ctx, platform, base)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", platform, err)
		}
		index = mutate.AppendManifests(index, mutate.IndexAddendum{Add: image, Descriptor: v1.Descriptor{Platform: &platform}})
	}
	return index, nil
}

// baseLayer is the same for every platform.
func (o order) baseLayer() (v1.Layer, error) {
	roots, err := rootCertificates()
	if err != nil {
		return nil, err
	}
	return layer([]file{
		{name: "etc/group", mode: 0o644, content: fmt.Appendf(nil, "root:x:0:\nnonroot:x:%d:\n", user)},
		{name: "etc/passwd", mode: 0o644, content: fmt.Appendf(nil,
			"root:x:0:0:root:/:/nologin\nnonroot:x:%[1]d:%[1]d:nonroot:/:/nologin\n", user)},
		{name: "etc/ssl/certs/ca-certificates.crt", mode: 0o644, content: roots},
	})
}

func (o order) buildImage(ctx context.Context, platform v1.Platform, base v1.Layer) (v1.Image, error) {
	binary, err := o.compile(ctx, platform)
	if err != nil {
		return nil, err
	}
	program, err := layer([]file{{name: o.program, mode: 0o755, content: binary}})
	if err != nil {
		return nil, err
	}
	image := mutate.ConfigMediaType(mutate.MediaType(empty.Image, types.OCIManifestSchema1), types.OCIConfigJSON)
	image, err = mutate.AppendLayers(image, base, program)
	if err != nil {
		return nil, err
	}
	return mutate.ConfigFile(image, o.config(platform, image))
}

// config is the image's configuration, its layers taken from the image. No time is in it, so that it depends on nothing
// but what was built.
func (o order) config(platform v1.Platform, image v1.Image) *v1.ConfigFile {
	layers, err := image.ConfigFile()
	if err != nil {
		panic(err) // it was made in memory the line before
	}
	return &v1.ConfigFile{
		OS: platform.OS, Architecture: platform.Architecture, Variant: platform.Variant,
		Created: v1.Time{Time: time.Unix(0, 0).UTC()},
		RootFS:  layers.RootFS,
		Config: v1.Config{
			User:       fmt.Sprintf("%[1]d:%[1]d", user),
			Entrypoint: []string{"/" + o.program},
			WorkingDir: "/",
			Labels: map[string]string{
				"org.opencontainers.image.title":    o.program,
				"org.opencontainers.image.version":  o.version,
				"org.opencontainers.image.licenses": "Apache-2.0",
			},
		},
	}
}

// compile builds the program for a platform, with the flags of the Dockerfile.
func (o order) compile(ctx context.Context, platform v1.Platform) ([]byte, error) {
	work, err := os.MkdirTemp("", "image-")
	if err != nil {
		return nil, err
	}
	defer func() { _ = os.RemoveAll(work) }()
	binary := filepath.Join(work, o.program)
	build := exec.CommandContext(ctx, cmp.Or(os.Getenv("GO"), "go"), "build", "-trimpath", "-buildvcs=false",
		"-ldflags", "-s -w -X main.version="+o.version, "-o", binary, o.pkg)
	build.Dir, build.Stdout, build.Stderr = o.source, os.Stderr, os.Stderr
	build.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS="+platform.OS, "GOARCH="+platform.Architecture,
		"GOFLAGS=", "GOAMD64=v1", "GOARM64=v8.0")
	if err := build.Run(); err != nil {
		return nil, fmt.Errorf("go build: %w", err)
	}
	return os.ReadFile(binary)
}
