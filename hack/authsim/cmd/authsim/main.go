// Command authsim serves one simulated tenant of an authorization server, for
// tests and demonstrations that need it as a process of its own. It prints the
// URL that it serves on as one line, and stops on SIGTERM or SIGINT. Its control
// endpoints are open to whoever reaches it, so it listens on loopback unless
// told otherwise.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/fluent-credential/operator/hack/authsim"
)

// stopTimeout is how long requests under way may take once the process is told
// to stop.
const stopTimeout = 3 * time.Second

const (
	exitFailure = 1
	exitUsage   = 2
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	code := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

// run serves until the context ends and returns the exit code.
func run(ctx context.Context, arguments []string, stdout, stderr io.Writer) int {
	chosen, err := parseOptions(arguments, stderr)
	if errors.Is(err, flag.ErrHelp) {
		return 0
	}
	if err != nil {
		fmt.Fprintln(stderr, "authsim:", err)
		return exitUsage
	}
	if err := serve(ctx, chosen, stdout); err != nil {
		fmt.Fprintln(stderr, "authsim:", err)
		return exitFailure
	}
	return 0
}

func serve(ctx context.Context, chosen options, stdout io.Writer) error {
	listener, err := net.Listen("tcp", chosen.listen)
	if err != nil {
		return err
	}
	tenant := authsim.New(chosen.tenant)
	server := &http.Server{Handler: tenant, ReadHeaderTimeout: 10 * time.Second}
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		<-ctx.Done()
		stop(tenant, server)
	}()
	fmt.Fprintf(stdout, "%s://%s\n", chosen.scheme(), listener.Addr())
	if err := serveOn(server, listener, chosen); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	<-stopped
	return nil
}

func serveOn(server *http.Server, listener net.Listener, chosen options) error {
	if chosen.tlsCert != "" {
		return server.ServeTLS(listener, chosen.tlsCert, chosen.tlsKey)
	}
	return server.Serve(listener)
}

// stop waits for requests under way, but not for those that a fault holds up
// nor for clients that never go.
func stop(tenant *authsim.Server, server *http.Server) {
	tenant.Close()
	ctx, cancel := context.WithTimeout(context.Background(), stopTimeout)
	defer cancel()
	if server.Shutdown(ctx) != nil {
		_ = server.Close()
	}
}
