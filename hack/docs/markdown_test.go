package docs

import (
	"fmt"
	"io/fs"
	"os"
	"path"
	"regexp"
	"strings"
	"testing"
	"unicode"
)

const root = "../.."

// repository is every file, by its path from the root. What is built or fetched is none of it.
func repository(t *testing.T) fs.FS {
	t.Helper()
	tree := os.DirFS(root)
	if _, err := fs.Stat(tree, "go.mod"); err != nil {
		t.Fatalf("this is not the root of the repository: %v", err)
	}
	return tree
}

// walk calls for every file whose name ends as one of these.
func walk(t *testing.T, endings []string, visit func(name, text string)) {
	t.Helper()
	tree := repository(t)
	err := fs.WalkDir(tree, ".", func(name string, entry fs.DirEntry, err error) error {
		switch base := path.Base(name); {
		case err != nil:
			return err
		case entry.IsDir() && (base == "bin" || base == "node_modules" || strings.HasPrefix(base, ".") && base != "." && base != ".github"):
			return fs.SkipDir
		case entry.IsDir() || !endsAs(name, endings):
			return nil
		}
		text, err := fs.ReadFile(tree, name)
		visit(name, string(text))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

func endsAs(name string, endings []string) bool {
	for _, ending := range endings {
		if strings.HasSuffix(name, ending) {
			return true
		}
	}
	return false
}

// block is a part of a page: code between fences, or what is around it.
type block struct {
	text string
	code bool
	lang string // of code
}

var fence = regexp.MustCompile("^ {0,3}(```+|~~~+)\\s*([a-zA-Z]*)\\s*$")

// blocks cuts a page at its fences (CommonMark section 4.5).
func blocks(page string) []block {
	var all []block
	now, open := block{}, ""
	for line := range strings.Lines(page) {
		mark := fence.FindStringSubmatch(strings.TrimRight(line, "\r\n"))
		switch {
		case mark != nil && open == "":
			all = append(all, now)
			now, open = block{code: true, lang: mark[2]}, mark[1]
		case mark != nil && strings.HasPrefix(mark[1], open) && mark[2] == "":
			all = append(all, now)
			now, open = block{}, ""
		default:
			now.text += line
		}
	}
	return append(all, now)
}

var (
	heading  = regexp.MustCompile(`(?m)^ {0,3}#{1,6}\s+(.*?)\s*#*\s*$`)
	linkText = regexp.MustCompile(`\[([^\]]*)\]\([^)]*\)`)
	named    = regexp.MustCompile(`<a (?:id|name)="([^"]+)"`)
	codeSpan = regexp.MustCompile("`[^`\n]*`")
	target   = regexp.MustCompile(`\]\(<?([^)\s>]+)>?(?:\s+"[^"]*")?\)|(?:href|src)="([^"]+)"|(?m)^\[[^\]]+\]:\s+(\S+)`)
)

// anchors are the places in a page that a link can lead to, as GitHub names them.
func anchors(page string) map[string]bool {
	found, times := map[string]bool{}, map[string]int{}
	for _, part := range blocks(page) {
		if part.code {
			continue
		}
		for _, match := range heading.FindAllStringSubmatch(part.text, -1) {
			name := slug(linkText.ReplaceAllString(match[1], "$1"))
			times[name]++
			if again := times[name] - 1; again > 0 {
				name = fmt.Sprintf("%s-%d", name, again)
			}
			found[name] = true
		}
		for _, match := range named.FindAllStringSubmatch(part.text, -1) {
			found[match[1]] = true
		}
	}
	return found
}

// slug is the anchor of a heading: lower case, spaces as hyphens, and without punctuation.
func slug(text string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == ' ':
			return '-'
		case unicode.IsLetter(r), unicode.IsDigit(r), r == '-', r == '_':
			return unicode.ToLower(r)
		}
		return -1
	}, text)
}

// links are the targets of a page's links.
func links(page string) []string {
	var all []string
	for _, part := range blocks(page) {
		if part.code {
			continue
		}
		for _, match := range target.FindAllStringSubmatch(codeSpan.ReplaceAllString(part.text, ""), -1) {
			all = append(all, match[1]+match[2]+match[3])
		}
	}
	return all
}
