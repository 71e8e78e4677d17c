package controllers

import (
	"net/http"
	"testing"
	"time"

	"github.com/fluent-credential/operator/api/v1alpha1"
	"github.com/fluent-credential/operator/hack/authsim"
)

// TestGrantedReplyThatIsNotUnderstoodIsKept: another version of the operator may read the token in it. It goes when a newer token is
// stored.
func TestGrantedReplyThatIsNotUnderstoodIsKept(t *testing.T) {
	t.Parallel()
	d := newJournaled(t)
	d.sleep(d.settle())
	d.server.AddFault(authsim.Fault{At: 1, Grant: authsim.GrantRefreshToken, Kind: authsim.FaultHTML, Status: http.StatusOK})
	d.pass()
	d.mustKeep(1)
	d.restart()
	d.mustKeep(1)
	d.runFor(5 * time.Second)
	d.mustKeep(0)
	if got := d.status(); got.Token.Serial != 2 || got.Summary.Reason != v1alpha1.ReasonTokenPublished {
		t.Errorf("serial %d, %s; want 2 and published: the password helps", got.Token.Serial, got.Summary.Reason)
	}
}

func (d *driven) mustKeep(want int) {
	d.t.Helper()
	entries, defects, err := d.Journal.Scan()
	if err != nil || len(entries) != want || len(defects) != 0 {
		d.t.Errorf("the journal holds %d replies and %d defects, %v; want %d and none", len(entries), len(defects), err, want)
	}
}
