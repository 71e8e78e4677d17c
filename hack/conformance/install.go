package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/fluent-credential/operator/hack/localcluster"
)

// maker makes a server ready to be started. It returns a missing where this machine lacks something that a person has to install.
type maker func(ctx context.Context) (path string, args []string, err error)

// missing says what has to be installed first.
type missing string

func (m missing) Error() string { return string(m) }

// sources is where the programs are, from the root of the repository.
const sources = "hack/conformance"

// goProgram is built from its own module.
func goProgram(name string) maker {
	return func(ctx context.Context) (string, []string, error) {
		out, err := filepath.Abs(filepath.Join("bin", "conformance-servers", name))
		if err != nil {
			return "", nil, err
		}
		tool := os.Getenv("GO")
		if tool == "" {
			tool = "go"
		}
		_, err = output(ctx, filepath.Join(sources, name), tool, "build", "-buildvcs=false", "-o", out, ".")
		return out, nil, err
	}
}

// nodeProgram is a script for Node.js of a major version at least, whose packages npm takes from its lock file.
func nodeProgram(name string, major int) maker {
	return func(ctx context.Context) (string, []string, error) {
		node, err := nodeOf(ctx, major)
		if err != nil {
			return "", nil, err
		}
		dir, err := filepath.Abs(filepath.Join(sources, name))
		if err != nil {
			return "", nil, err
		}
		return node, []string{filepath.Join(dir, "server.js")}, installPackages(ctx, dir)
	}
}

func nodeOf(ctx context.Context, major int) (string, error) {
	node, err := exec.LookPath("node")
	if err != nil {
		return "", missing("needs Node.js")
	}
	said, err := output(ctx, "", node, "--version") // v20.20.2
	if err != nil {
		return "", err
	}
	number, _, _ := strings.Cut(strings.TrimPrefix(said, "v"), ".")
	if found, err := strconv.Atoi(number); err != nil || found < major {
		return "", missing(fmt.Sprintf("needs Node.js %d or newer, found %s", major, said))
	}
	return node, nil
}

// installPackages runs npm, unless what is there is what the lock file says.
func installPackages(ctx context.Context, dir string) error {
	installed, err := os.Stat(filepath.Join(dir, "node_modules", ".package-lock.json"))
	wanted, wantedErr := os.Stat(filepath.Join(dir, "package-lock.json"))
	if err == nil && wantedErr == nil && installed.ModTime().After(wanted.ModTime()) {
		return nil
	}
	if _, err := exec.LookPath("npm"); err != nil {
		return missing("needs npm")
	}
	if _, err := output(ctx, dir, "npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund"); err != nil {
		return missing(err.Error())
	}
	return nil
}

// rubyProgram is a script for Debian's Ruby and its packages.
func rubyProgram(name string) maker {
	return debianProgram(name, "server.rb", "/usr/bin/ruby", []string{"-e", `%w[doorkeeper rails sqlite3 webrick].each { |name| gem(name) }`},
		"needs Debian's packages: apt-get install ruby-doorkeeper ruby-rails ruby-sqlite3 ruby-webrick")
}

// pythonProgram is a script for Debian's Python and its packages.
func pythonProgram(name string) maker {
	return debianProgram(name, "server.py", "/usr/bin/python3", []string{"-c", "import oauth2_provider"},
		"needs Debian's packages: apt-get install python3-django-oauth-toolkit")
}

// debianProgram is a script for an interpreter that can do what the probe asks.
func debianProgram(name, script, interpreter string, probe []string, otherwise missing) maker {
	return func(ctx context.Context) (string, []string, error) {
		if _, err := output(ctx, "", interpreter, probe...); err != nil {
			return "", nil, otherwise
		}
		path, err := filepath.Abs(filepath.Join(sources, name, script))
		return interpreter, []string{path}, err
	}
}

// output runs a program in a directory and returns what it prints. An error tells its last line.
func output(ctx context.Context, dir, path string, args ...string) (string, error) {
	command := exec.CommandContext(ctx, path, args...)
	command.Dir = dir
	out, err := command.CombinedOutput()
	text := strings.TrimSpace(string(out))
	if err != nil {
		lines := strings.Split(text, "\n")
		return "", fmt.Errorf("%s %s: %w: %s", filepath.Base(path), strings.Join(args, " "), err, lines[len(lines)-1])
	}
	return text, nil
}

// start starts a server with its client and its users.
func (s *suite) start(ctx context.Context, wanted server) (*localcluster.Server, error) {
	path, args, err := wanted.make(ctx)
	if err != nil {
		return nil, err
	}
	environment := []string{
		"CONFORMANCE_CLIENT_ID=" + clientID, "CONFORMANCE_CLIENT_SECRET=" + s.clientSecret,
		"CONFORMANCE_USERS=" + strings.Join(userNames(), ","), "CONFORMANCE_PASSWORD=" + s.password,
		"CONFORMANCE_REDIRECT_URI=" + redirectURI, "CONFORMANCE_LIFETIME=" + strconv.Itoa(int(tokenLife.Seconds())),
		"CONFORMANCE_MODE=" + wanted.mode,
	}
	return s.cluster.StartServer(localcluster.ServerProgram{Name: wanted.name, Path: path, Args: args, Environment: environment})
}
