// Command dashboards writes the Grafana dashboards of config/grafana. "make dashboards" calls it, in its own directory. It is a module
// of its own, so that what it needs of Grafana stays out of the operator's.
package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"

	"github.com/grafana/grafana-foundation-sdk/go/dashboard"
)

func main() {
	into := flag.String("into", "../../config/grafana", "directory to write to")
	flag.Parse()
	if err := write(*into); err != nil {
		fmt.Fprintln(os.Stderr, "dashboards:", err)
		os.Exit(1)
	}
}

// write writes every dashboard, each to a file named by its uid.
func write(into string) error {
	for _, make := range []func() *dashboard.DashboardBuilder{fleet, credential} {
		built, err := make().Build()
		if err != nil {
			return err
		}
		text, err := json.MarshalIndent(built, "", "  ")
		if err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(into, *built.Uid+".json"), append(text, '\n'), 0o644); err != nil {
			return err
		}
	}
	return nil
}
