package exchange

import (
	"bufio"
	"context"
	"crypto/tls"
	"encoding/base64"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"time"

	"golang.org/x/net/http/httpproxy"
)

// ProxyFromEnvironment reads HTTPS_PROXY and NO_PROXY, in capital or small letters, as most programs do. Only https
// endpoints are reached through a proxy, so HTTP_PROXY is ignored. An error means that the proxy cannot be used; it
// does not repeat the URL, which may hold a password.
func ProxyFromEnvironment() (func(*url.URL) (*url.URL, error), error) {
	config := httpproxy.FromEnvironment()
	if config.HTTPSProxy == "" {
		return config.ProxyFunc(), nil
	}
	text := config.HTTPSProxy
	if !strings.Contains(text, "://") {
		text = "http://" + text
	}
	switch proxy, err := url.Parse(text); { // httpproxy would make something of what cannot be parsed
	case err != nil, proxy.Hostname() == "":
		return nil, errProxyURL
	case proxy.Scheme != "http" && proxy.Scheme != "https":
		return nil, fmt.Errorf("HTTPS_PROXY: the scheme %s is not supported, only http and https are", proxy.Scheme)
	}
	return config.ProxyFunc(), nil
}

var errProxyURL = errors.New("HTTPS_PROXY is not the URL of a proxy")

// through has the proxy connect to the endpoint. The proxy is the administrator's, so its own address may be any.
func (d Dialer) through(ctx context.Context, proxy, endpoint *url.URL, guard *guardedConn) (net.Conn, error) {
	targets, err := d.targets(ctx, endpoint)
	if err != nil {
		return nil, err
	}
	for _, target := range targets {
		var conn net.Conn
		if conn, err = tunnel(ctx, proxy, target, guard); err == nil {
			return conn, nil
		}
	}
	return nil, err
}

// targets returns the addresses that the proxy is asked to connect to, one after the other. The proxy looks up a name
// outside the Policy's control, so it only receives a name that --allowed-hosts names. For another name, the addresses
// are looked up and checked here, and the proxy receives those.
func (d Dialer) targets(ctx context.Context, endpoint *url.URL) ([]string, error) {
	host, port := endpoint.Hostname(), portOf(endpoint)
	if _, err := netip.ParseAddr(host); err == nil || d.Policy.named(host) {
		return []string{net.JoinHostPort(host, port)}, nil // an address was checked as a part of the URL
	}
	found, err := net.DefaultResolver.LookupNetIP(ctx, "ip", host)
	if err != nil {
		return nil, &fault{
			phase: atLookup, kind: temporary, host: host, cause: err,
			detail: "cannot be looked up here, and only a name in --allowed-hosts is left to the proxy",
		}
	}
	var targets []string
	for _, address := range found {
		if err := d.Policy.checkAddress(host, address); err != nil {
			return nil, faultOf(atAddress, err)
		}
		targets = append(targets, net.JoinHostPort(address.Unmap().String(), port))
	}
	return targets, nil
}

// tunnel connects to the proxy and has it connect to the target (RFC 9110 section 9.3.6).
func tunnel(ctx context.Context, proxy *url.URL, target string, guard *guardedConn) (net.Conn, error) {
	conn, err := dialProxy(ctx, proxy, guard)
	if err != nil {
		return nil, proxyFault(proxy, err)
	}
	stop := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })
	err = askProxy(conn, proxy, target)
	if !stop() {
		err = ctx.Err()
	}
	if err != nil {
		_ = conn.Close()
		return nil, proxyFault(proxy, err)
	}
	return conn, nil
}

// proxyFault is a failure on the way to the endpoint in which the endpoint has no part.
func proxyFault(proxy *url.URL, err error) *fault {
	f := faultOf(atProxy, err)
	f.phase = atProxy
	f.proxy = proxy.Host
	return f
}

func dialProxy(ctx context.Context, proxy *url.URL, guard *guardedConn) (net.Conn, error) {
	address := net.JoinHostPort(proxy.Hostname(), portOf(proxy))
	conn, err := guard.around((&net.Dialer{}).DialContext(ctx, "tcp", address))
	if err != nil || proxy.Scheme != "https" {
		return conn, err
	}
	secured := tls.Client(conn, &tls.Config{
		ServerName: proxy.Hostname(), MinVersion: tls.VersionTLS12, NextProtos: []string{"http/1.1"},
	})
	if err := secured.HandshakeContext(ctx); err != nil {
		_ = conn.Close()
		return nil, err
	}
	return secured, nil
}

// maxProxyReply bounds what a proxy says before the tunnel stands.
const maxProxyReply = 16 << 10

// askProxy asks for the tunnel, and returns the proxy's objection, if any.
func askProxy(conn net.Conn, proxy *url.URL, target string) error {
	request := &http.Request{
		Method: http.MethodConnect, URL: &url.URL{Opaque: target}, Host: target,
		Header: http.Header{"User-Agent": {userAgent}},
	}
	if user := proxy.User; user != nil {
		password, _ := user.Password()
		encoded := base64.StdEncoding.EncodeToString([]byte(user.Username() + ":" + password))
		request.Header.Set("Proxy-Authorization", "Basic "+encoded)
	}
	if err := request.Write(conn); err != nil {
		return err
	}
	reader := bufio.NewReader(&bounded{conn, maxProxyReply, errTooLarge})
	response, err := http.ReadResponse(reader, request) //nolint:bodyclose // what follows is the tunnel, and the caller closes it
	var network net.Error
	switch {
	case errors.As(err, &network):
		return err
	case err != nil: // the error may repeat what was sent
		return withoutTunnel("its reply is not complete, or not valid HTTP")
	case response.StatusCode/100 != 2:
		return withoutTunnel(fmt.Sprintf("HTTP %d, so there is no connection to the endpoint", response.StatusCode))
	case reader.Buffered() > 0:
		return withoutTunnel("it spoke in the endpoint's place")
	}
	return nil
}

func withoutTunnel(because string) error {
	return &fault{phase: atProxy, kind: declined, detail: because}
}
