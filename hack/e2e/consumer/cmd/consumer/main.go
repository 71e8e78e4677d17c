// Command consumer reads an access token from a file, calls an API with it all the time, and tells on /report what came of it. It is
// the workload of the end-to-end tests.
package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"flag"
	"fmt"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/fluent-credential/operator/hack/e2e/consumer"
)

// callTimeout is how long an answer may take.
const callTimeout = 10 * time.Second

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	err := run(ctx)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "consumer:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context) error {
	var config consumer.Config
	flag.StringVar(&config.TokenFile, "token-file", "/var/run/token/access_token", "the file with the access token")
	flag.StringVar(&config.URL, "url", "", "what to call with the token; empty: the file is only watched")
	flag.DurationVar(&config.Every, "every", 100*time.Millisecond, "the time from one call to the next")
	roots := flag.String("ca", "", "PEM file with the certificates to trust")
	listen := flag.String("listen", ":8080", "address of /report")
	flag.Parse()
	client, err := newClient(*roots)
	if err != nil {
		return err
	}
	config.Client = client
	worker := consumer.New(config)
	mux := http.NewServeMux()
	mux.Handle("GET /report", worker)
	server := &http.Server{Addr: *listen, Handler: mux, ReadHeaderTimeout: callTimeout}
	go worker.Run(ctx)
	context.AfterFunc(ctx, func() { _ = server.Close() })
	if err := server.ListenAndServe(); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

func newClient(roots string) (*http.Client, error) {
	client := &http.Client{Timeout: callTimeout}
	if roots == "" {
		return client, nil
	}
	text, err := os.ReadFile(roots)
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(text) {
		return nil, fmt.Errorf("%s holds no certificate", roots)
	}
	client.Transport = &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool}}
	return client, nil
}
