package main

import (
	"encoding/json"
	"errors"
	"go/ast"
	"go/build"
	"go/importer"
	"go/parser"
	"go/token"
	"go/types"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// checker type-checks mutated packages. The packages that they import come from the build cache.
type checker struct {
	root     string
	files    *token.FileSet
	importer types.Importer
}

func newChecker(t *testing.T, root string) *checker {
	t.Helper()
	command := exec.Command("go", "list", "-buildvcs=false", "-export", "-deps", "-json=ImportPath,Export", "./controllers", "./internal/...")
	command.Dir = root
	command.Stderr = os.Stderr
	output, err := command.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	exports := map[string]string{}
	decoder := json.NewDecoder(output)
	for {
		var listed struct{ ImportPath, Export string }
		if err := decoder.Decode(&listed); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		exports[listed.ImportPath] = listed.Export
	}
	if err := command.Wait(); err != nil {
		t.Fatal(err)
	}
	files := token.NewFileSet()
	lookup := func(path string) (io.ReadCloser, error) { return os.Open(exports[path]) }
	return &checker{root: root, files: files, importer: importer.ForCompiler(files, "gc", lookup)}
}

// check type-checks one package with the changed files in place of the real ones.
func (c *checker) check(dir string, changed map[string][]byte) error {
	dir = filepath.Join(c.root, filepath.FromSlash(dir))
	built, err := build.ImportDir(dir, 0)
	if err != nil {
		return err
	}
	var parsed []*ast.File
	for _, name := range built.GoFiles {
		path := filepath.Join(dir, name)
		var content any
		if mutated, isChanged := changed[path]; isChanged {
			content = mutated
		}
		file, err := parser.ParseFile(c.files, path, content, parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		parsed = append(parsed, file)
	}
	config := types.Config{Importer: c.importer}
	_, err = config.Check(dir, c.files, parsed, nil)
	return err
}
