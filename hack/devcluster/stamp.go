package main

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
)

// fingerprint identifies what a build of the set in the module directory dir would make: its requirements, its sources,
// these here included, and the Go release and platform.
func (s set) fingerprint(dir string) (string, error) {
	files := []string{filepath.Join(dir, s.modfile), filepath.Join(dir, s.sumfile())}
	for _, pattern := range []string{"*.go", "multicall/*.go", s.name + "/*.go"} {
		found, err := filepath.Glob(filepath.Join(dir, pattern))
		if err != nil {
			return "", err
		}
		files = append(files, found...)
	}
	hash := sha256.New()
	fmt.Fprintln(hash, runtime.Version(), runtime.GOOS, runtime.GOARCH)
	for _, file := range files {
		if strings.HasSuffix(file, "_test.go") {
			continue
		}
		text, err := os.ReadFile(file)
		if err != nil {
			return "", err
		}
		fmt.Fprintf(hash, "%s %d\n%s", filepath.Base(file), len(text), text)
	}
	return hex.EncodeToString(hash.Sum(nil)), nil
}

// sumfile is where the go command looks for the checksums of what modfile requires.
func (s set) sumfile() string { return strings.TrimSuffix(s.modfile, ".mod") + ".sum" }

// installed reports whether every program is in dir and was built from want.
func (s set) installed(dir, want string) bool {
	stamp, err := os.ReadFile(filepath.Join(dir, s.stamp))
	return err == nil && string(stamp) == want && len(s.missingPrograms(dir)) == 0
}

// missingPrograms are those that are not executable files in dir.
func (s set) missingPrograms(dir string) []string {
	var missing []string
	for _, name := range s.programs {
		info, err := os.Stat(filepath.Join(dir, name))
		if err != nil || !info.Mode().IsRegular() || info.Mode().Perm()&0o111 == 0 {
			missing = append(missing, name)
		}
	}
	return missing
}
