package main

import (
	"fmt"
	"go/ast"
	"go/build"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// applied returns the mutated files of the product by their paths. It changes no file.
func (m mutation) applied(root string) (map[string][]byte, error) {
	changed := map[string][]byte{}
	for _, e := range m.edits {
		file, content, err := e.apply(root, changed)
		if err != nil {
			return nil, fmt.Errorf("mutation %q: %w", m.name, err)
		}
		changed[file] = content
	}
	return changed, nil
}

// apply finds the declaration and replaces the quoted lines, which have to be there exactly once.
func (e edit) apply(root string, changed map[string][]byte) (file string, mutated []byte, err error) {
	found, err := e.find(root, changed)
	if err != nil {
		return "", nil, err
	}
	lines := strings.Split(string(found.content), "\n")
	at := -1
	for i := found.first; i+len(e.before) <= found.last+1; i++ {
		if !slices.EqualFunc(lines[i:i+len(e.before)], e.before, isSameLine) {
			continue
		}
		if at >= 0 {
			return "", nil, fmt.Errorf("%s %s: the quoted lines are there more than once: quote more of them", e.dir, e.declaration)
		}
		at = i
	}
	if at < 0 {
		return "", nil, fmt.Errorf("%s %s: the quoted lines are not there: the source was changed, so adapt the mutation", e.dir, e.declaration)
	}
	result := slices.Concat(lines[:at], e.after, lines[at+len(e.before):])
	text := []byte(strings.Join(result, "\n"))
	if _, err := parser.ParseFile(token.NewFileSet(), found.path, text, parser.SkipObjectResolution); err != nil {
		return "", nil, fmt.Errorf("%s %s: the mutated source is no Go: %w", e.dir, e.declaration, err)
	}
	return found.path, text, nil
}

// isSameLine ignores indentation, so that a block that moves into another one is still found.
func isSameLine(a, b string) bool { return strings.TrimSpace(a) == strings.TrimSpace(b) }

// place is a declaration in the source.
type place struct {
	path        string
	content     []byte
	first, last int // its lines, from zero
}

// find looks for the declaration in the files of the package that this machine builds.
func (e edit) find(root string, changed map[string][]byte) (*place, error) {
	dir := filepath.Join(root, filepath.FromSlash(e.dir))
	built, err := build.ImportDir(dir, 0)
	if err != nil {
		return nil, err
	}
	var places []*place
	for _, name := range built.GoFiles {
		path := filepath.Join(dir, name)
		content, isChanged := changed[path]
		if !isChanged {
			if content, err = os.ReadFile(path); err != nil {
				return nil, err
			}
		}
		files := token.NewFileSet()
		parsed, err := parser.ParseFile(files, path, content, parser.SkipObjectResolution)
		if err != nil {
			return nil, err
		}
		for _, node := range declared(parsed, e.declaration) {
			places = append(places, &place{
				path: path, content: content,
				first: files.Position(node.Pos()).Line - 1, last: files.Position(node.End()).Line - 1,
			})
		}
	}
	if len(places) != 1 {
		return nil, fmt.Errorf("%s has %d declarations of %s: the source was changed, so adapt the mutation",
			e.dir, len(places), e.declaration)
	}
	return places[0], nil
}

// declared returns the declarations of a file that have the name.
func declared(file *ast.File, name string) []ast.Node {
	var found []ast.Node
	for _, declaration := range file.Decls {
		switch d := declaration.(type) {
		case *ast.FuncDecl:
			if nameOf(d) == name {
				found = append(found, d)
			}
		case *ast.GenDecl:
			for _, spec := range d.Specs {
				if declares(spec, name) {
					found = append(found, spec)
				}
			}
		}
	}
	return found
}

// nameOf returns Func or Type.Method.
func nameOf(function *ast.FuncDecl) string {
	if function.Recv == nil {
		return function.Name.Name
	}
	receiver := function.Recv.List[0].Type
	if pointer, ok := receiver.(*ast.StarExpr); ok {
		receiver = pointer.X
	}
	if kind, ok := receiver.(*ast.Ident); ok {
		return kind.Name + "." + function.Name.Name
	}
	return function.Name.Name
}

func declares(spec ast.Spec, name string) bool {
	switch s := spec.(type) {
	case *ast.TypeSpec:
		return s.Name.Name == name
	case *ast.ValueSpec:
		return slices.ContainsFunc(s.Names, func(ident *ast.Ident) bool { return ident.Name == name })
	}
	return false
}
