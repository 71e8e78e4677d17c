package main

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path"
	"slices"
	"strings"
)

// code is what was measured; the longest function comes first.
type code struct {
	functions []function
	files     []file
}

type function struct {
	name     string
	position token.Position
	lines    int
}

func (f function) String() string {
	return fmt.Sprintf("%s:%d %s", f.position.Filename, f.position.Line, f.name)
}

type file struct {
	name  string
	lines int
}

// percentile returns the length that percent of the functions do not exceed.
func (c code) percentile(percent int) int {
	count := len(c.functions)
	if count == 0 {
		return 0
	}
	rank := (count*percent + 99) / 100
	return c.functions[count-rank].lines
}

// measure reads the Go code below the trees of a module's root. A tree that does not exist is empty.
func measure(root fs.FS, trees []string) (code, error) {
	var code code
	for _, tree := range trees {
		err := fs.WalkDir(root, tree, func(name string, entry fs.DirEntry, err error) error {
			switch {
			case err != nil:
				return err
			case entry.IsDir():
				return enter(root, name)
			case strings.HasSuffix(name, ".go") && !strings.HasSuffix(name, "_test.go"):
				return code.add(root, name)
			}
			return nil
		})
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return code, err
		}
	}
	slices.SortStableFunc(code.functions, func(a, b function) int { return cmp.Compare(b.lines, a.lines) })
	return code, nil
}

// enter passes by what the go command does not build with the module: other modules, and test data.
func enter(root fs.FS, dir string) error {
	if path.Base(dir) == "testdata" {
		return fs.SkipDir
	}
	if _, err := fs.Stat(root, path.Join(dir, "go.mod")); err == nil {
		return fs.SkipDir
	}
	return nil
}

// add measures one file, unless it is generated.
func (c *code) add(root fs.FS, name string) error {
	text, err := fs.ReadFile(root, name)
	if err != nil {
		return err
	}
	positions := token.NewFileSet()
	parsed, err := parser.ParseFile(positions, name, text, parser.ParseComments|parser.SkipObjectResolution)
	if err != nil {
		return err
	}
	if ast.IsGenerated(parsed) {
		return nil
	}
	c.files = append(c.files, file{name: name, lines: bytes.Count(text, []byte("\n"))})
	for _, declaration := range parsed.Decls {
		if declared, ok := declaration.(*ast.FuncDecl); ok {
			start, end := positions.Position(declared.Type.Pos()), positions.Position(declared.End())
			c.functions = append(c.functions, function{name: declared.Name.Name, position: start, lines: end.Line - start.Line + 1})
		}
	}
	return nil
}
