package docs

import (
	"fmt"
	"io/fs"
	"maps"
	"path"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestLinks: every link to a file or a heading of this repository leads there.
func TestLinks(t *testing.T) {
	tree, followed := repository(t), 0
	walk(t, []string{".md"}, func(name, page string) {
		for _, link := range links(page) {
			if strings.Contains(link, "://") || strings.HasPrefix(link, "mailto:") {
				continue
			}
			followed++
			if problem := follow(tree, name, link); problem != "" {
				t.Errorf("%s: the link %s leads nowhere: %s", name, link, problem)
			}
		}
	})
	if followed < 50 {
		t.Errorf("only %d links were found", followed)
	}
}

// follow says what is wrong with a link of a page; empty: nothing.
func follow(tree fs.FS, page, link string) string {
	file, anchor, hasAnchor := strings.Cut(link, "#")
	to := page
	if file != "" {
		to = path.Join(path.Dir(page), file)
	}
	info, err := fs.Stat(tree, to)
	switch {
	case err != nil:
		return "there is no " + to
	case !hasAnchor:
		return ""
	case info.IsDir():
		return to + " is a directory, and has no headings"
	}
	text, err := fs.ReadFile(tree, to)
	if err != nil {
		return err.Error()
	}
	if known := anchors(string(text)); !known[anchor] {
		return fmt.Sprintf("%s has no heading #%s, but %v", to, anchor, slices.Sorted(maps.Keys(known)))
	}
	return ""
}

var mention = regexp.MustCompile(`docs/[a-zA-Z0-9_/-]+\.md(?:#[a-z0-9_-]+)?`)

// TestMentions: a page of docs that is named in a comment, a message or a manifest exists.
func TestMentions(t *testing.T) {
	tree, found := repository(t), 0
	walk(t, []string{".go", ".yaml", ".yml", ".md", ".txt", "Makefile", ".tmpl"}, func(name, text string) {
		for _, page := range mention.FindAllString(text, -1) {
			found++
			if problem := follow(tree, "README.md", page); problem != "" {
				t.Errorf("%s names %s: %s", name, page, problem)
			}
		}
	})
	if found < 20 {
		t.Errorf("only %d mentions were found", found)
	}
}

func TestLinksAreFound(t *testing.T) {
	page := "# A `b` (c), d\n\nSee [x](one.md), [`y`](two.md#z \"title\") and ![p](img/p.svg); not `[n](none.md)`.\n" +
		"```sh\n# no heading\n[n](none.md)\n```\n\n## A b c d\n\n### A [link](three.md): é_1\n\n<a id=\"own\"></a>\n\n~~~~\n```\n~~~\n[n](none.md)\n~~~~\n[ref]: four.md\n"
	if diff := cmp.Diff([]string{"one.md", "two.md#z", "img/p.svg", "three.md", "four.md"}, links(page)); diff != "" {
		t.Error(diff)
	}
	want := map[string]bool{"a-b-c-d": true, "a-b-c-d-1": true, "a-link-é_1": true, "own": true}
	if diff := cmp.Diff(want, anchors(page)); diff != "" {
		t.Error(diff)
	}
}
