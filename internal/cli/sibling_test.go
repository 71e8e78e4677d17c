package cli

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
)

// TestSiblingSomethingElseAnswers: a portal or a proxy stands where the API server should be. It judges no manifest.
func TestSiblingSomethingElseAnswers(t *testing.T) {
	t.Parallel()
	sim := newServer(t, nil)
	plain := httptest.NewServer(http.NotFoundHandler())
	t.Cleanup(plain.Close)
	configs := map[string]string{
		"no file":  filepath.Join(t.TempDir(), "none"),
		"no HTTPS": kubeconfigFor(t, "https://"+plain.Listener.Addr().String(), `"token":"x"`),
	}
	for _, code := range []int{200, 302, 400, 403, 404, 407, 429, 502, 503} {
		portal := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/html")
			w.WriteHeader(code)
			_, _ = w.Write([]byte("<html><body>Log in to the network</body></html>"))
		}))
		t.Cleanup(portal.Close)
		configs[fmt.Sprintf("a page with %d", code)] = kubeconfigFor(t, portal.URL, `"token":"x"`)
	}
	for name, config := range configs {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cred := credential("shop", "orders", sim.URL)
			file := manifest(t, written(cred), writtenLogin("shop", "orders-login", fullLogin()))
			got := fluent(t, "", "check", file, "--insecure-http", "--kubeconfig", config)
			if text := got.out + got.err; strings.Contains(text, "refuses it") || strings.Contains(text, "Correct the manifest") {
				t.Errorf("the manifest is blamed:\n%s", text)
			}
		})
	}
}
