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
		err = execute(ctx, filepath.Join(sources, name), tool, "build", "-buildvcs=false", "-o", out, ".")
		return out, nil, err
	}
}

// nodeProgram is a script for Node.js, whose packages npm takes from its lock file. Where one of them is a Node.js, that is the one.
func nodeProgram(name string) maker {
	return func(ctx context.Context) (string, []string, error) {
		dir, err := filepath.Abs(filepath.Join(sources, name))
		if err != nil {
			return "", nil, err
		}
		if err := installPackages(ctx, dir); err != nil {
			return "", nil, err
		}
		node, err := nodeFor(dir)
		return node, []string{filepath.Join(dir, "server.js")}, err
	}
}

func nodeFor(dir string) (string, error) {
	if own, err := filepath.Glob(filepath.Join(dir, "node_modules", "node-*", "bin", "node")); err == nil && len(own) > 0 {
		return own[0], nil
	}
	node, err := exec.LookPath("node")
	if err != nil {
		return "", missing("needs Node.js: apt-get install npm")
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
		return missing("needs npm: apt-get install npm")
	}
	if err := execute(ctx, dir, "npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund"); err != nil {
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
		if err := execute(ctx, "", interpreter, probe...); err != nil {
			return "", nil, otherwise
		}
		path, err := filepath.Abs(filepath.Join(sources, name, script))
		return interpreter, []string{path}, err
	}
}

// execute runs a program in a directory to its end. An error tells the last line that it printed.
func execute(ctx context.Context, dir, path string, args ...string) error {
	command := exec.CommandContext(ctx, path, args...)
	command.Dir = dir
	out, err := command.CombinedOutput()
	if err != nil {
		lines := strings.Split(strings.TrimSpace(string(out)), "\n")
		return fmt.Errorf("%s %s: %w: %s", filepath.Base(path), strings.Join(args, " "), err, lines[len(lines)-1])
	}
	return nil
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
