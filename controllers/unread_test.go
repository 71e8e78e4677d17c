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

// TestLoginsThatAreNotUnderstoodFillNoDisk: a page of maintenance with status 200 comes in answer to every login. A login can be made
// again, so nothing is kept; what the refresh before it was answered stays until a newer token is stored.
func TestLoginsThatAreNotUnderstoodFillNoDisk(t *testing.T) {
	t.Parallel()
	d := newJournaled(t)
	d.sleep(d.settle())
	d.server.AddFault(authsim.Fault{Kind: authsim.FaultHTML, Status: http.StatusOK})
	asked := d.server.Ledger().Requests
	d.runFor(3 * time.Hour)
	if made := d.server.Ledger().Requests - asked; made < 10 {
		t.Fatalf("%d requests in three hours: too few to show anything", made)
	}
	entries, _, err := d.Journal.Scan()
	if err != nil || len(entries) > 1 {
		t.Errorf("the journal holds %d replies, %v; want one at most", len(entries), err)
	}
	d.server.ClearFaults()
	d.runFor(20 * time.Minute)
	d.mustKeep(0)
}

func (d *driven) mustKeep(want int) {
	d.t.Helper()
	entries, defects, err := d.Journal.Scan()
	if err != nil || len(entries) != want || len(defects) != 0 {
		d.t.Errorf("the journal holds %d replies and %d defects, %v; want %d and none", len(entries), len(defects), err, want)
	}
}
