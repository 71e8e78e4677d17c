package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// tolerance is how long after the expiry of a token the next one has to be there at the latest, and the first one after the start.
const tolerance = 15 * time.Second

// errDeleted is returned when somebody deletes the FluentCredential: that is the end of the story too.
var errDeleted = errors.New("the FluentCredential was deleted from another terminal")

// live tells what happens until there were enough rotations, or until Ctrl-C, which is no error here.
func (d *demo) live(ctx context.Context) error {
	d.invite()
	d.screen.chapter("The life of the credential" + d.untilWhen())
	now := moment{}
	overdue := time.NewTimer(tolerance)
	defer overdue.Stop()
	for !d.enough() {
		select {
		case <-ctx.Done():
			return nil
		case change := <-d.changes:
			change(&now)
			if err := d.tell(ctx, now, overdue); errors.Is(err, errDeleted) && d.rotations == 0 {
				return nil
			} else if err != nil {
				return err
			}
		case <-overdue.C:
			return fmt.Errorf("no new token in time: %s", d.situation(now))
		case <-d.operator.Done():
			return d.operator.Ended()
		case <-d.server.Done():
			return d.server.Ended()
		}
	}
	return nil
}

func (d *demo) untilWhen() string {
	if d.rotations == 0 {
		return ", until Ctrl-C"
	}
	return fmt.Sprintf(", for %d rotations", d.rotations)
}

// enough: the first token is no rotation.
func (d *demo) enough() bool { return d.rotations > 0 && d.told.serial() > d.rotations }

// tell tells a moment, if it is news.
func (d *demo) tell(ctx context.Context, now moment, overdue *time.Timer) error {
	if now.cred == nil && d.told.cred != nil {
		d.told = now
		d.screen.note("%s", errDeleted)
		return errDeleted
	}
	if !now.settled() || !now.differs(d.told) {
		return nil
	}
	switch {
	case now.cred.Spec.Suspend:
		overdue.Stop()
	case now.serial() > d.told.serial(), d.told.cred != nil && d.told.cred.Spec.Suspend:
		overdue.Reset(time.Until(expiry(now)) + tolerance)
	}
	ledger, err := d.server.Ledger(ctx)
	if err != nil {
		return err
	}
	d.told = now
	server := fmt.Sprintf("server: %d issued, %d reused", len(ledger.AccessTokens), ledger.Reuses)
	d.screen.line(d.sentence(now, d.verdict(ctx, now), server))
	if ledger.Reuses > 0 {
		return fmt.Errorf("a refresh token was presented twice: the server counts %d reuses", ledger.Reuses)
	}
	return nil
}

func expiry(now moment) time.Time {
	if now.serial() == 0 {
		return time.Now()
	}
	return now.cred.Status.Token.ExpirationTime.Time
}

// verdict is what the API says to the token in the Secret: the demo is a workload, too.
func (d *demo) verdict(ctx context.Context, now moment) string {
	if now.secret == nil {
		return ""
	}
	status, err := d.server.Ping(ctx, now.accessToken())
	if err != nil {
		return d.screen.in(red, "no answer")
	}
	if status != http.StatusOK {
		return d.screen.in(red, fmt.Sprintf("HTTP %d", status))
	}
	return d.screen.in(green, "accepted")
}

// sentence is the line of one moment.
func (d *demo) sentence(now moment, verdict, server string) string {
	parts := []string{d.screen.in(faint, time.Now().Format(time.TimeOnly))}
	if now.serial() > 0 {
		parts = append(parts, d.screen.in(bold, fmt.Sprintf("serial %d", now.serial())))
	}
	ready := now.ready()
	parts = append(parts, d.screen.in(styleOf(ready), fmt.Sprintf("Ready=%s %s", ready.Status, ready.Reason)))
	if ready.Status == metav1.ConditionTrue {
		parts = append(parts, "expires "+expiry(now).Local().Format(time.TimeOnly))
	} else {
		parts = append(parts, "("+ready.Message+")")
	}
	parts = append(parts, glimpse(now.secret, now.accessToken()), verdict, d.screen.in(faint, server))
	return "  " + strings.Join(nonEmpty(parts), "  ")
}

func styleOf(ready metav1.Condition) style {
	if ready.Status == metav1.ConditionTrue {
		return green
	}
	return yellow
}

// glimpse is as much of a token as may be seen.
func glimpse(secret *corev1.Secret, token string) string {
	if secret == nil {
		return "no Secret " + targetName
	}
	return fmt.Sprintf("%s: %s…", targetName, token[:min(6, len(token))])
}

func nonEmpty(parts []string) []string {
	var kept []string
	for _, part := range parts {
		if part != "" {
			kept = append(kept, part)
		}
	}
	return kept
}

// situation is what there is to see while nothing happens.
func (d *demo) situation(now moment) string {
	if now.cred == nil {
		return "the FluentCredential was not seen at all"
	}
	return strings.TrimSpace(d.sentence(now, "", ""))
}
