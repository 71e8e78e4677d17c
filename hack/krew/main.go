// Command krew builds kubectl fluent for every platform, packs each build into an archive, and writes the manifest by which krew,
// kubectl's plugin manager, installs them. "make krew" calls it.
package main

import (
	_ "embed"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"text/template"
)

//go:embed fluent.yaml.tmpl
var manifest string

// platforms are those that the plugin is built for.
const platforms = "linux/amd64,linux/arm64,darwin/amd64,darwin/arm64,windows/amd64"

// release is what the manifest is made of.
type release struct {
	Version  string
	BaseURL  string // of the archives
	Archives []archive
}

func main() {
	version := flag.String("version", "", "Version of the release, for example v0.1.0.")
	base := flag.String("base-url", "", "Where the archives will be; by default the project's release of that version.")
	out := flag.String("out", "dist/krew", "Directory to write to.")
	which := flag.String("platforms", platforms, "Comma list of platforms.")
	license := flag.String("license", "LICENSE", "License that goes into every archive.")
	flag.Parse()
	if *base == "" {
		*base = "https://github.com/fluent-credential/operator/releases/download/" + *version
	}
	if err := run(&release{Version: *version, BaseURL: *base}, *out, *license, strings.Split(*which, ",")); err != nil {
		fmt.Fprintln(os.Stderr, "krew:", err)
		os.Exit(1)
	}
}

// isVersion is what krew takes for a version.
var isVersion = regexp.MustCompile(`^v\d+\.\d+\.\d+(-[0-9A-Za-z.-]+)?$`)

func run(made *release, out, license string, platforms []string) error {
	if !isVersion.MatchString(made.Version) {
		return fmt.Errorf("%q is no version that krew takes: say VERSION=v0.1.0", made.Version)
	}
	if err := os.MkdirAll(out, 0o755); err != nil {
		return err
	}
	for _, platform := range platforms {
		packed, err := pack(platform, made.Version, out, license)
		if err != nil {
			return fmt.Errorf("%s: %w", platform, err)
		}
		made.Archives = append(made.Archives, packed)
		fmt.Println(filepath.Join(out, packed.Name))
	}
	return made.write(filepath.Join(out, "fluent.yaml"))
}

func (r *release) write(path string) error {
	filled, err := template.New("manifest").Parse(manifest)
	if err != nil {
		return err
	}
	file, err := os.Create(path)
	if err != nil {
		return err
	}
	fmt.Println(path)
	if err := filled.Execute(file, r); err != nil {
		_ = file.Close()
		return err
	}
	return file.Close()
}
