// Command fosite serves an authorization server made of github.com/ory/fosite on the loopback, with the client and the users that
// the CONFORMANCE_ variables of its environment name. It prints its URL and the library's version, then serves until it is killed.
package main

import (
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"runtime/debug"
	"strconv"
	"strings"
	"time"

	"github.com/ory/fosite"
	"github.com/ory/fosite/compose"
	"github.com/ory/fosite/storage"
	"golang.org/x/crypto/bcrypt"
)

const library = "github.com/ory/fosite"

// setting is one of what the environment says.
func setting(name string) string { return os.Getenv("CONFORMANCE_" + name) }

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "fosite:", err)
		os.Exit(1)
	}
}

func run() error {
	counts, err := newLedger()
	if err != nil {
		return err
	}
	provider, err := newProvider(counts)
	if err != nil {
		return err
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	fmt.Printf("http://%s %s\n", listener.Addr(), version())
	// One request at a time: between a look at the library's memory store and the next write there is no transaction.
	return http.Serve(listener, &oneAtATime{handler: routes(provider, counts)})
}

// newLedger is a store with the client and the users in it.
func newLedger() (*ledger, error) {
	hash, err := bcrypt.GenerateFromPassword([]byte(setting("CLIENT_SECRET")), bcrypt.MinCost)
	if err != nil {
		return nil, err
	}
	memory := storage.NewMemoryStore()
	memory.Clients[setting("CLIENT_ID")] = &fosite.DefaultClient{
		ID: setting("CLIENT_ID"), Secret: hash, RedirectURIs: []string{setting("REDIRECT_URI")},
		GrantTypes: []string{"password", "authorization_code", "refresh_token"}, ResponseTypes: []string{"code"},
	}
	for user := range strings.SplitSeq(setting("USERS"), ",") {
		memory.Users[user] = storage.MemoryUserRelation{Username: user, Password: setting("PASSWORD")}
	}
	return &ledger{MemoryStore: memory, state: map[string]tokenState{}}, nil
}

// newProvider gives a refresh token with every grant.
func newProvider(store *ledger) (fosite.OAuth2Provider, error) {
	seconds, err := strconv.Atoi(setting("LIFETIME"))
	if err != nil {
		return nil, err
	}
	config := &fosite.Config{
		AccessTokenLifespan: time.Duration(seconds) * time.Second, RefreshTokenScopes: []string{},
		GlobalSecret: []byte(rand.Text() + rand.Text())[:32],
	}
	return compose.Compose(config, store, &compose.CommonStrategy{CoreStrategy: compose.NewOAuth2HMACStrategy(config)},
		compose.OAuth2AuthorizeExplicitFactory, compose.OAuth2RefreshTokenGrantFactory,
		compose.OAuth2ResourceOwnerPasswordCredentialsFactory, //nolint:staticcheck // discouraged, and what the operator logs in by
		compose.OAuth2TokenIntrospectionFactory, compose.OAuth2TokenRevocationFactory,
	), nil
}

func routes(provider fosite.OAuth2Provider, counts *ledger) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /token", func(w http.ResponseWriter, r *http.Request) { answerToken(provider, counts, w, r) })
	mux.HandleFunc("POST /revoke", func(w http.ResponseWriter, r *http.Request) {
		ctx := during(r.Context(), errand{revocation: true})
		provider.WriteRevocationResponse(ctx, w, provider.NewRevocationRequest(ctx, r))
	})
	mux.HandleFunc("GET /resource", func(w http.ResponseWriter, r *http.Request) {
		_, _, err := provider.IntrospectToken(r.Context(), fosite.AccessTokenFromRequest(r), fosite.AccessToken, new(fosite.DefaultSession))
		if err != nil {
			http.Error(w, err.Error(), http.StatusUnauthorized)
		}
	})
	mux.HandleFunc("GET /judge/counts", func(w http.ResponseWriter, _ *http.Request) {
		_ = json.NewEncoder(w).Encode(counts.counts)
	})
	mux.HandleFunc("POST /judge/code", func(w http.ResponseWriter, r *http.Request) { giveCode(provider, w, r) })
	return mux
}

// answerToken is the token endpoint, as the library's documentation writes it.
func answerToken(provider fosite.OAuth2Provider, counts *ledger, w http.ResponseWriter, r *http.Request) {
	ctx := during(r.Context(), errand{})
	request, err := provider.NewAccessRequest(ctx, r, new(fosite.DefaultSession))
	if errors.Is(err, fosite.ErrInvalidClient) {
		counts.counts.RefusedClients++
	}
	if err != nil {
		provider.WriteAccessError(ctx, w, request, err)
		return
	}
	response, err := provider.NewAccessResponse(ctx, request)
	if err != nil {
		provider.WriteAccessError(ctx, w, request, err)
		return
	}
	provider.WriteAccessResponse(ctx, w, request, response)
}

// giveCode is the authorization endpoint, where the user has said yes.
func giveCode(provider fosite.OAuth2Provider, w http.ResponseWriter, r *http.Request) {
	query := url.Values{
		"response_type": {"code"}, "client_id": {setting("CLIENT_ID")}, "redirect_uri": {setting("REDIRECT_URI")}, "state": {rand.Text()},
	}
	asked, err := http.NewRequestWithContext(r.Context(), http.MethodGet, "/authorize?"+query.Encode(), nil)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	request, err := provider.NewAuthorizeRequest(r.Context(), asked)
	if err != nil {
		http.Error(w, fmt.Sprintf("%+v", err), http.StatusInternalServerError)
		return
	}
	response, err := provider.NewAuthorizeResponse(r.Context(), request, &fosite.DefaultSession{Subject: r.FormValue("user")})
	if err != nil {
		http.Error(w, fmt.Sprintf("%+v", err), http.StatusInternalServerError)
		return
	}
	fmt.Fprint(w, response.GetParameters().Get("code"))
}

// version is the library's, as this program was built with it.
func version() string {
	info, _ := debug.ReadBuildInfo()
	for _, module := range info.Deps {
		if module.Path == library {
			return module.Version
		}
	}
	return "unknown"
}
