package main

import (
	"fmt"
	"os"
	"regexp"
	"strings"
)

// release is the version of Kubernetes that go.mod requires; it is written nowhere else.
type release struct {
	version, major, minor string
}

var requirement = regexp.MustCompile(`(?m)^\s*(?:require\s+)?k8s\.io/kubernetes\s+(v(\d+)\.(\d+)\.\S+)`)

func readRelease(goMod string) (release, error) {
	text, err := os.ReadFile(goMod)
	if err != nil {
		return release{}, err
	}
	found := requirement.FindStringSubmatch(string(text))
	if found == nil {
		return release{}, fmt.Errorf("%s does not require k8s.io/kubernetes", goMod)
	}
	return release{version: found[1], major: found[2], minor: found[3]}, nil
}

func (r release) String() string { return r.version }

// linkerFlags make the binary say its release: kube-apiserver refuses to start without one, and clients ask for it.
func (r release) linkerFlags() string {
	const pkg = "k8s.io/component-base/version."
	return strings.Join([]string{
		"-s", "-w",
		"-X", pkg + "gitVersion=" + r.version,
		"-X", pkg + "gitMajor=" + r.major,
		"-X", pkg + "gitMinor=" + r.minor,
		"-X", pkg + "gitTreeState=clean",
	}, " ")
}
