package main

import (
	"context"
	"fmt"
	"time"

	"github.com/fluent-credential/operator/hack/authsim"
)

// finish deletes the credential, shows that its Secrets went, and sums up.
func (d *demo) finish(ctx context.Context) error {
	d.screen.chapter("The end: with the FluentCredential its Secrets go, and the login stays")
	if d.told.cred != nil {
		if err := d.kubectl(ctx, "get", "fcred,secrets"); err != nil {
			return err
		}
		if err := d.kubectl(ctx, "delete", "fcred", credentialName); err != nil {
			return err
		}
	}
	if err := d.kubectl(ctx, "get", "fcred,secrets"); err != nil {
		return err
	}
	ledger, err := d.server.Ledger(ctx)
	if err != nil {
		return err
	}
	d.sumUp(ledger)
	return nil
}

func (d *demo) sumUp(ledger authsim.Ledger) {
	d.screen.chapter("What the server has to say")
	d.screen.note("%d tokens issued in %s: %d by password, %d by refresh token",
		len(ledger.AccessTokens), time.Since(d.began).Round(time.Second), ledger.PasswordGrants, ledger.RefreshGrants)
	refused := ledger.Requests - ledger.PasswordGrants - ledger.RefreshGrants
	d.screen.note("%s, %d requests refused", d.screen.in(bold, fmt.Sprintf("%d refresh tokens used twice", ledger.Reuses)), refused)
}
