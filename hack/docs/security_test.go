package docs

import (
	"io/fs"
	"strings"
	"testing"
)

const securityPage = "docs/security.md"

// TestEveryClaimOnSecurityHasAProof: every row of the security model that says what a person can or cannot do names a test that
// exists. TestProofsExist holds the names.
func TestEveryClaimOnSecurityHasAProof(t *testing.T) {
	page, err := fs.ReadFile(repository(t), securityPage)
	if err != nil {
		t.Fatal(err)
	}
	tables, claims := 0, 0
	proven := false // the table that the line belongs to has the column «shown by»
	for line := range strings.Lines(string(page)) {
		line = strings.TrimSpace(line)
		switch {
		case !strings.HasPrefix(line, "|"):
			proven = false
		case strings.HasSuffix(line, "| shown by |"):
			proven = true
			tables++
		case proven && !strings.HasPrefix(line, "|-"):
			claims++
			cells := strings.Split(strings.Trim(line, "|"), "|")
			if !proof.MatchString(cells[len(cells)-1]) {
				t.Errorf("no test shows: %s", line)
			}
		}
	}
	if tables == 0 || claims < tables {
		t.Errorf("%d claims in %d tables: the page lost its column «shown by»", claims, tables)
	}
}
