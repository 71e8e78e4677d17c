package main

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
)

// TestCommittedAsWritten: what is installed is what this program writes.
func TestCommittedAsWritten(t *testing.T) {
	dir := t.TempDir()
	if err := write(dir); err != nil {
		t.Fatal(err)
	}
	written, err := filepath.Glob(filepath.Join(dir, "*.json"))
	if err != nil || len(written) != 2 {
		t.Fatalf("%d dashboards were written, %v, want 2", len(written), err)
	}
	for _, path := range written {
		want, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		got, err := os.ReadFile(filepath.Join("../../config/grafana", filepath.Base(path)))
		if err != nil || !bytes.Equal(got, want) {
			t.Errorf("config/grafana/%s is not what is written now (%v): run \"make dashboards\" and commit the result", filepath.Base(path), err)
		}
	}
}
