package exchange

import (
	"cmp"
	"context"
	"net/url"
	"time"

	"github.com/fluent-credential/operator/internal/provider"
)

// RevokeTimeout bounds the connection, and then the reply, of one revocation: somebody waits for a deletion.
const RevokeTimeout = 3 * time.Second

// DialRevocation connects to the endpoint of a revocation request, by the rules of any exchange. If it cannot connect,
// it returns a reason that is fit to be shown.
func (d Dialer) DialRevocation(ctx context.Context, request provider.Request) (*Conn, *provider.Problem) {
	d.ReplyTimeout = min(RevokeTimeout, cmp.Or(d.ReplyTimeout, RevokeTimeout))
	ctx, cancel := context.WithTimeout(ctx, min(RevokeTimeout, cmp.Or(d.DialTimeout, RevokeTimeout)))
	defer cancel()
	endpoint, err := url.Parse(request.URL.Reveal())
	if err != nil {
		return nil, &provider.Problem{Description: "the URL cannot be parsed"} // the error would repeat it
	}
	conn, fault := d.dial(ctx, endpoint, request.CABundle)
	if fault != nil {
		problem := fault.presentable(request.Secrets).Problem
		return nil, &problem
	}
	return conn, nil
}

// Revoke asks once to revoke a refresh token, and closes the connection. It returns nil if the API confirms the
// revocation, and otherwise a reason that is fit to be shown.
func (c *Conn) Revoke(ctx context.Context, request provider.Request) *provider.Problem {
	defer c.Close()
	reply, fault := c.fetch(ctx, request)
	if fault != nil {
		problem := fault.presentable(request.Secrets).Problem
		return &problem
	}
	problem, revoked := provider.ReadRevocation(reply)
	if revoked {
		return nil
	}
	problem = presentable(problem, request.Secrets)
	return &problem
}
