package metrics

import (
	"fmt"
	"strings"
)

// Table is all metrics as a table in Markdown, for docs/metrics.md.
func Table() string {
	var text strings.Builder
	text.WriteString("| name | type | labels | meaning | the question it answers |\n|---|---|---|---|---|\n")
	for _, d := range Definitions() {
		fmt.Fprintf(&text, "| `%s` | %s | %s | %s | %s |\n", d.Name, d.Kind, strings.Join(d.Labels, ", "), d.Meaning, d.Question)
	}
	return text.String()
}
