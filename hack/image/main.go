// Command image builds a container image of one Go program without a container engine: an OCI archive that holds an
// index of one image per platform. The same sources, version and Go release give the same bytes, on any machine.
// "make image" calls it; "ctr images import", "podman load", "docker load" and "skopeo copy oci-archive:" take the result.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"

	v1 "github.com/google/go-containerregistry/pkg/v1"
)

// order is what to build.
type order struct {
	source    string // directory of the module that holds the package
	pkg       string // relative to source
	program   string // the name of the binary in the image
	name      string // of the image
	version   string
	platforms []v1.Platform
	out       string
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "image:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context) error {
	order, err := parse()
	if err != nil {
		return err
	}
	index, err := order.build(ctx)
	if err != nil {
		return err
	}
	digest, err := index.Digest()
	if err != nil {
		return err
	}
	if err := writeArchive(order.out, index, order.name); err != nil {
		return err
	}
	fmt.Printf("image: %s as %s\nimage: %s\n", order.out, order.name, digest)
	return nil
}

func parse() (order, error) {
	var o order
	var platforms string
	flag.StringVar(&o.source, "source", filepath.Join("..", ".."), "the directory of the module that holds the package")
	flag.StringVar(&o.pkg, "package", "", "the package of the program, relative to -source")
	flag.StringVar(&o.program, "program", "", "the name of the binary in the image; the package's last element by default")
	flag.StringVar(&o.name, "name", "", "the image's name and tag")
	flag.StringVar(&o.version, "version", "devel", "the version that the program reports")
	flag.StringVar(&platforms, "platforms", "linux/amd64,linux/arm64", "comma list of platforms")
	flag.StringVar(&o.out, "o", "", "the archive to write")
	flag.Parse()
	if o.pkg == "" || o.name == "" || o.out == "" {
		return o, fmt.Errorf("-package, -name and -o are required")
	}
	if o.program == "" {
		o.program = filepath.Base(o.pkg)
	}
	for text := range strings.SplitSeq(platforms, ",") {
		platform, err := v1.ParsePlatform(text)
		if err != nil {
			return o, fmt.Errorf("-platforms: %w", err)
		}
		o.platforms = append(o.platforms, *platform)
	}
	return o, nil
}
