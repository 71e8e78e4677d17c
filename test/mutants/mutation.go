package main

import (
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"
)

// tables holds the mutations, one file for each part of the product.
//
//go:embed mutations/*.txt
var tables embed.FS

// mutation is one deliberate mistake.
type mutation struct {
	name   string
	breaks string   // what the mistake breaks, in one sentence
	tests  []string // the packages whose unit tests it affects, as directories of the repository
	quick  bool     // it belongs to the sample of --quick
	edits  []edit
	at     string // the file and line of the table, for errors
}

// edit changes one declaration. It names the declaration and quotes its lines, and no line numbers, so that it still
// applies when the declaration is moved within its package.
type edit struct {
	dir         string // the directory of the package
	declaration string // as "go doc" names it: Func, Type.Method, a variable, a constant or a type
	before      []string
	after       []string
}

// loadMutations reads all tables, in the order of their names.
func loadMutations(tables fs.FS) ([]mutation, error) {
	names, err := fs.Glob(tables, "mutations/*.txt")
	if err != nil {
		return nil, err
	}
	var all []mutation
	for _, name := range names {
		text, err := fs.ReadFile(tables, name)
		if err != nil {
			return nil, err
		}
		found, err := parseTable(path.Base(name), string(text))
		if err != nil {
			return nil, err
		}
		all = append(all, found...)
	}
	return all, unique(all)
}

func unique(all []mutation) error {
	known := map[string]string{}
	for _, m := range all {
		if before, twice := known[m.name]; twice {
			return fmt.Errorf("%s: the mutation %q is at %s already", m.at, m.name, before)
		}
		known[m.name] = m.at
	}
	return nil
}

// parseTable reads the mutations of one file. A mutation is a few "key: value" lines, and edits: a line "in: package
// declaration" and the lines of a patch without line numbers. "#" begins a comment between mutations.
func parseTable(file, text string) ([]mutation, error) {
	var all []mutation
	for number, line := range strings.Split(text, "\n") {
		at := fmt.Sprintf("%s:%d", file, number+1)
		var err error
		switch key, value, isField := strings.Cut(line, ": "); {
		case strings.TrimSpace(line) == "", strings.HasPrefix(line, "#"):
		case isField && key == "mutation":
			all = append(all, mutation{name: value, at: at})
		case len(all) == 0:
			err = errors.New(`a table begins with "mutation: name"`)
		case strings.ContainsRune("+- \t", rune(line[0])):
			err = all[len(all)-1].addLine(line)
		case isField:
			err = all[len(all)-1].setField(key, value)
		default:
			err = fmt.Errorf("%q is neither a field nor a line of a patch", line)
		}
		if err != nil {
			return nil, fmt.Errorf("%s: %w", at, err)
		}
	}
	for i := range all {
		if err := all[i].complete(); err != nil {
			return nil, fmt.Errorf("%s: mutation %q: %w", all[i].at, all[i].name, err)
		}
	}
	return all, nil
}

func (m *mutation) setField(key, value string) error {
	switch key {
	case "breaks":
		m.breaks = value
	case "tests":
		m.tests = strings.Fields(value)
	case "quick":
		m.quick = value == "yes"
	case "in":
		dir, declaration, ok := strings.Cut(value, " ")
		if !ok {
			return fmt.Errorf("%q does not name a package and a declaration", value)
		}
		m.edits = append(m.edits, edit{dir: dir, declaration: declaration})
	default:
		return fmt.Errorf("the field %q is not known", key)
	}
	return nil
}

// addLine adds a line of a patch: "-" is before the mutation, "+" after it, and anything else both.
func (m *mutation) addLine(line string) error {
	if len(m.edits) == 0 {
		return errors.New(`a patch follows a line "in: package declaration"`)
	}
	e := &m.edits[len(m.edits)-1]
	content := line[1:]
	if line[0] != '+' {
		e.before = append(e.before, content)
	}
	if line[0] != '-' {
		e.after = append(e.after, content)
	}
	return nil
}

// complete checks the mutation, and adds the packages that it changes to those whose tests it affects.
func (m *mutation) complete() error {
	switch {
	case m.name == "" || m.breaks == "":
		return errors.New("it has no name, or does not say what it breaks")
	case len(m.edits) == 0:
		return errors.New("it changes nothing")
	}
	for _, e := range m.edits {
		if len(e.before) == 0 || slices.Equal(e.before, e.after) {
			return fmt.Errorf("the patch of %s changes nothing", e.declaration)
		}
		if !slices.Contains(m.tests, e.dir) {
			m.tests = append(m.tests, e.dir)
		}
	}
	return nil
}

// dirs returns the packages that the mutation changes.
func (m mutation) dirs() []string {
	var dirs []string
	for _, e := range m.edits {
		if !slices.Contains(dirs, e.dir) {
			dirs = append(dirs, e.dir)
		}
	}
	return dirs
}
