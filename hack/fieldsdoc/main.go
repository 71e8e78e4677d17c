// Command fieldsdoc writes docs/reference.md: every field of every kind, as the CRDs in config/crd/bases have them, which controller-gen
// makes from the types. "make manifests" calls it, in the root of the repository.
package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"sigs.k8s.io/yaml"
)

const (
	bases = "config/crd/bases"
	page  = "docs/reference.md"
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "fieldsdoc:", err)
		os.Exit(1)
	}
}

func run() error {
	files, err := filepath.Glob(filepath.Join(bases, "*.yaml"))
	if err != nil || len(files) == 0 {
		return fmt.Errorf("no CRD in %s: %w", bases, err)
	}
	out := &strings.Builder{}
	out.WriteString("# Every field\n\nMade from the types in `api/`. `kubectl explain` shows the same: `kubectl explain fcred.spec --recursive`.\n")
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		var crd apiextensionsv1.CustomResourceDefinition
		if err := yaml.UnmarshalStrict(text, &crd); err != nil {
			return fmt.Errorf("%s: %w", file, err)
		}
		for _, version := range crd.Spec.Versions {
			describe(out, crd.Spec, version)
		}
	}
	return os.WriteFile(page, []byte(out.String()), 0o644)
}

// describe writes the chapter of one version of a kind.
func describe(out *strings.Builder, kind apiextensionsv1.CustomResourceDefinitionSpec, version apiextensionsv1.CustomResourceDefinitionVersion) {
	schema := version.Schema.OpenAPIV3Schema
	fmt.Fprintf(out, "\n## %s\n\n`apiVersion: %s/%s`, `kind: %s`", kind.Names.Kind, kind.Group, version.Name, kind.Names.Kind)
	if short := kind.Names.ShortNames; len(short) > 0 {
		fmt.Fprintf(out, "; for kubectl also `%s`", strings.Join(short, "`, `"))
	}
	fmt.Fprintf(out, ". %s\n", oneLine(schema.Description))
	for _, part := range []string{"spec", "status"} {
		fmt.Fprintf(out, "\n### %s of %s\n\n| field | type | default | meaning |\n|---|---|---|---|\n", part, kind.Names.Kind)
		if of, ok := schema.Properties[part]; ok {
			rows(out, part, of)
		}
	}
}
