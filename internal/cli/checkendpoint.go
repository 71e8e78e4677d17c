package cli

import (
	"context"
	"crypto/tls"
	"time"

	"github.com/fluent-credential/operator/api/v1alpha1"
	"github.com/fluent-credential/operator/internal/exchange"
	"github.com/fluent-credential/operator/internal/provider"
	"github.com/fluent-credential/operator/internal/token"
)

// endpoint is the policy under which an endpoint is tried, and who says so.
type endpoint struct {
	policy exchange.Policy
	source string
}

// nearExpiry is how long before its end a certificate is worth a word.
const nearExpiry = 14 * 24 * time.Hour

// checkEndpoint connects as the operator would, and sends nothing.
func (i *inspection) checkEndpoint(ctx context.Context, api provider.API) {
	request, err := api.Request(token.RefreshToken, token.Login{ClientID: "none", Refresh: token.NewSecret("none")})
	if err != nil {
		i.fail("Correct spec.provider.", "%s", err)
		return
	}
	dialer, err := dialerFor(i.policy)
	if err != nil {
		i.fail("Correct the environment of this machine, or unset it.", "%s", err)
		return
	}
	conn, refused := dialer.Dial(ctx, api, request)
	if refused != nil {
		i.unreachable(refused.Problem)
		return
	}
	defer conn.Close()
	secured, ok := conn.Conn.(*tls.Conn)
	if !ok {
		i.warn("Use https:// for anything but a test.", "%s answers, without TLS; allowed by %s", api.Endpoint().Host, i.source)
		return
	}
	i.checkCertificate(api.Endpoint().Host, secured.ConnectionState())
}

func (i *inspection) unreachable(problem provider.Problem) {
	if problem.Code == exchange.NotAllowed && i.source == guessed {
		i.skip("%s (policy of %s: --allowed-hosts and --insecure-http say what it is)", problem.Description, i.source)
		return
	}
	if problem.Code == exchange.NotAllowed {
		i.fail(advice[v1alpha1.ReasonEndpointNotAllowed], "%s (policy of %s)", problem.Description, i.source)
		return
	}
	i.fail("Look at spec.provider, at DNS and at what is between this machine and the API.", "%s", problem.Description)
}

func (i *inspection) checkCertificate(host string, state tls.ConnectionState) {
	until := state.PeerCertificates[0].NotAfter
	version, day := tls.VersionName(state.Version), until.UTC().Format(time.DateOnly)
	if until.Sub(i.now()) < nearExpiry {
		i.warn("Its owner has to renew it.", "%s answers (%s), but its certificate ends on %s", host, version, day)
		return
	}
	i.ok("%s answers (%s, certificate until %s); nothing was sent", host, version, day)
}
