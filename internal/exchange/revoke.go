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

// DialRevocation connects to the endpoint of a revocation request, by the rules of any exchange. Without a connection it says what
// is wrong, fit to be shown.
func (d Dialer) DialRevocation(ctx context.Context, request provider.Request) (*Conn, *provider.Problem) {
	d.ReplyTimeout = min(RevokeTimeout, cmp.Or(d.ReplyTimeout, RevokeTimeout))
	ctx, cancel := context.WithTimeout(ctx, min(RevokeTimeout, cmp.Or(d.DialTimeout, RevokeTimeout)))
	defer cancel()
	endpoint, err := url.Parse(request.URL.Reveal())
	if err != nil {
		return nil, &provider.Problem{Description: "the URL cannot be parsed"} // the error would repeat it
	}
	conn, err := d.dial(ctx, endpoint, request.CABundle)
	if err != nil {
		problem := undialed(err).Problem
		return nil, &problem
	}
	return conn, nil
}

// Revoke asks once to end the life of a refresh token, and closes the connection. It returns nil where the API says that it did,
// and else what is wrong, fit to be shown.
func (c *Conn) Revoke(ctx context.Context, request provider.Request) *provider.Problem {
	defer c.Close()
	var problem provider.Problem
	reply, none := c.fetch(ctx, request)
	if none != nil {
		problem = none.Problem
	} else if said, revoked := provider.ReadRevocation(reply); revoked {
		return nil
	} else {
		problem = said
	}
	problem = presentable(problem, request.Secrets)
	return &problem
}
