package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"strings"

	"k8s.io/client-go/rest"

	"github.com/fluent-credential/operator/api/v1alpha1"
)

// apiProxy stands between one replica and the Kubernetes API. It ends the TLS connection of the replica, speaks HTTP/2 with it as
// the API server does, and is the operator's user towards the API server, so that the operator has its own role and no more.
type apiProxy struct {
	traps
	*gate
	server *http.Server
	target *url.URL
	onward http.RoundTripper
}

// connKey is the key of a request's connection in its context.
type connKey struct{}

func newAPIProxy(upstream *rest.Config, identity *identity) (*apiProxy, error) {
	onward, err := rest.TransportFor(upstream)
	if err != nil {
		return nil, err
	}
	target, err := url.Parse(upstream.Host)
	if err != nil {
		return nil, err
	}
	p := &apiProxy{target: target, onward: onward}
	p.server = &http.Server{
		Handler: p, TLSConfig: &tls.Config{Certificates: []tls.Certificate{identity.pair}, NextProtos: []string{"h2", "http/1.1"}},
		ErrorLog: log.New(io.Discard, "", 0), // it would tell of every connection that a fault breaks
		ConnContext: func(ctx context.Context, conn net.Conn) context.Context {
			return context.WithValue(ctx, connKey{}, conn)
		},
	}
	p.gate, err = newGate(func(listener net.Listener) { _ = p.server.ServeTLS(listener, "", "") })
	return p, err
}

// url is what the replica takes for the API server.
func (p *apiProxy) url() string { return "https://" + p.address }

// ServeHTTP forwards one request, if nothing lies in wait for it.
func (p *apiProxy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	travel := &passage{method: r.Method, path: r.URL.Path, body: body}
	if p.meet(arrived, travel).cut {
		p.breakOff(r)
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	forward := &httputil.ReverseProxy{
		Rewrite:   func(out *httputil.ProxyRequest) { out.SetURL(p.target); out.Out.Header.Del("Authorization") },
		Transport: p.onward, FlushInterval: -1, ErrorLog: p.server.ErrorLog,
		ModifyResponse: func(*http.Response) error {
			if p.meet(answered, travel).cut {
				p.breakOff(r)
			}
			return nil
		},
		ErrorHandler: func(http.ResponseWriter, *http.Request, error) { p.breakOff(r) },
	}
	forward.ServeHTTP(w, r)
}

// breakOff ends the connection that a request came on, with all else that is on it, as a network does.
func (p *apiProxy) breakOff(r *http.Request) {
	if conn, ok := r.Context().Value(connKey{}).(net.Conn); ok {
		_ = conn.Close()
	}
	panic(http.ErrAbortHandler)
}

// The writes of one rotation, as the API server sees them. The state Secret is a JSON document, which protobuf carries as it is.

func isStateWrite(p *passage) bool {
	return (p.method == http.MethodPut || p.method == http.MethodPost) && bytes.Contains(p.body, []byte(stateMark))
}

// stateMark is the type of a state Secret; no other object of the operator speaks of it.
const stateMark = v1alpha1.StateSecretType

func hasClaim(p *passage) bool { return bytes.Contains(p.body, []byte(`"claim":{`)) }

func isClaim(p *passage) bool { return isStateWrite(p) && hasClaim(p) }

func isCommit(p *passage) bool { return isStateWrite(p) && !hasClaim(p) }

// isPublication tells a write of a workload Secret: they are called *-token.
func isPublication(p *passage) bool {
	if p.method == http.MethodPost {
		return strings.HasSuffix(p.path, "/secrets") && bytes.Contains(p.body, []byte("access_token")) && !isStateWrite(p)
	}
	return (p.method == http.MethodPatch || p.method == http.MethodPut) && strings.Contains(p.path, "/secrets/") &&
		strings.HasSuffix(p.path, targetSuffix)
}

func isStatus(p *passage) bool {
	return p.method == http.MethodPatch && strings.HasSuffix(p.path, "/status")
}
