// Command go-oauth2 serves the authorization server of github.com/go-oauth2/oauth2 on the loopback, with the client and the users
// that the CONFORMANCE_ variables of its environment name. It prints its URL and the library's version, then serves until it is
// killed.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/go-oauth2/oauth2/v4"
	"github.com/go-oauth2/oauth2/v4/errors"
	"github.com/go-oauth2/oauth2/v4/manage"
	"github.com/go-oauth2/oauth2/v4/models"
	"github.com/go-oauth2/oauth2/v4/server"
	"github.com/go-oauth2/oauth2/v4/store"
)

const library = "github.com/go-oauth2/oauth2/v4"

// setting is one of what the environment says.
func setting(name string) string { return os.Getenv("CONFORMANCE_" + name) }

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "go-oauth2:", err)
		os.Exit(1)
	}
}

func run() error {
	tokens, err := store.NewMemoryTokenStore()
	if err != nil {
		return err
	}
	counts := &ledger{TokenStore: tokens, state: map[string]tokenState{}}
	manager, err := newManager(counts)
	if err != nil {
		return err
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	fmt.Printf("http://%s %s\n", listener.Addr(), version())
	return http.Serve(listener, routes(manager, newServer(manager, counts), counts))
}

// newManager rotates: a refresh removes the old access token and the old refresh token.
func newManager(tokens *ledger) (*manage.Manager, error) {
	seconds, err := strconv.Atoi(setting("LIFETIME"))
	if err != nil {
		return nil, err
	}
	life := &manage.Config{AccessTokenExp: time.Duration(seconds) * time.Second, RefreshTokenExp: 24 * time.Hour, IsGenerateRefresh: true}
	clients := store.NewClientStore()
	known := &client{ledger: tokens, Client: models.Client{
		ID: setting("CLIENT_ID"), Secret: setting("CLIENT_SECRET"), Domain: setting("REDIRECT_URI"),
	}}
	manager := manage.NewDefaultManager()
	manager.SetPasswordTokenCfg(life)
	manager.SetAuthorizeCodeTokenCfg(life)
	manager.SetRefreshTokenCfg(manage.DefaultRefreshTokenCfg)
	manager.MapTokenStorage(tokens)
	manager.MapClientStorage(clients)
	return manager, clients.Set(known.ID, known)
}

// newServer reads the parameters from the query as well as from the body, as the library does by itself.
func newServer(manager *manage.Manager, counts *ledger) *server.Server {
	config := server.NewConfig()
	config.AllowedGrantTypes = []oauth2.GrantType{oauth2.PasswordCredentials, oauth2.AuthorizationCode, oauth2.Refreshing}
	made := server.NewServer(config, manager)
	made.ClientInfoHandler = server.ClientFormHandler
	made.PasswordAuthorizationHandler = func(_ context.Context, _, user, password string) (string, error) {
		if password != setting("PASSWORD") || !slices.Contains(strings.Split(setting("USERS"), ","), user) {
			counts.refuseLogin()
			return "", errors.ErrInvalidGrant
		}
		return user, nil
	}
	return made
}

func routes(manager *manage.Manager, srv *server.Server, counts *ledger) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /token", func(w http.ResponseWriter, r *http.Request) {
		if err := srv.HandleTokenRequest(w, r.WithContext(asking(r.Context()))); err != nil {
			fmt.Fprintln(os.Stderr, "token:", err)
		}
	})
	mux.HandleFunc("GET /resource", func(w http.ResponseWriter, r *http.Request) {
		if _, err := srv.ValidationBearerToken(r); err != nil {
			http.Error(w, err.Error(), http.StatusUnauthorized)
		}
	})
	mux.HandleFunc("GET /judge/counts", func(w http.ResponseWriter, _ *http.Request) {
		_ = json.NewEncoder(w).Encode(counts.told())
	})
	mux.HandleFunc("POST /judge/code", func(w http.ResponseWriter, r *http.Request) {
		info, err := manager.GenerateAuthToken(r.Context(), oauth2.Code, &oauth2.TokenGenerateRequest{
			ClientID: setting("CLIENT_ID"), UserID: r.FormValue("user"), RedirectURI: setting("REDIRECT_URI"), Request: r,
		})
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		fmt.Fprint(w, info.GetCode())
	})
	return mux
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
