package controllers

import (
	"context"
	"os"
	"path/filepath"
	"testing"

	corev1 "k8s.io/api/core/v1"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/fluent-credential/operator/api/v1alpha1"
	"github.com/fluent-credential/operator/hack/authsim"
	"github.com/fluent-credential/operator/internal/journal"
)

// snapshot is all that the cluster holds of a credential at one moment: a backup of etcd has nothing in it that is newer.
type snapshot struct {
	state, workload *corev1.Secret
	status          v1alpha1.FluentCredentialStatus
}

func (d *driven) snapshot() snapshot {
	d.t.Helper()
	return snapshot{d.state(), secret(d.t, d.cred.Namespace, d.cred.TargetName()), d.status()}
}

// putBack makes the cluster what it was.
func (d *driven) putBack(old snapshot) {
	d.t.Helper()
	for _, was := range []*corev1.Secret{old.state, old.workload} {
		edit(d.t, secret(d.t, was.Namespace, was.Name), func(now *corev1.Secret) {
			now.Data, now.Annotations = was.Data, was.Annotations
		})
	}
	cred := reread(d.t, d.cred)
	cred.Status = old.status
	if err := live.Status().Update(d.t.Context(), cred); err != nil {
		d.t.Fatal(err)
	}
}

// journalIn gives the operator a journal in a directory that the test knows.
func (d *driven) journalIn(dir string) {
	d.t.Helper()
	opened, err := journal.Open(dir, make([]byte, journal.KeySize))
	if err != nil {
		d.t.Fatal(err)
	}
	d.Journal, d.Holder.Pod = opened, "pod"
}

// markFile is the mark of the credential.
func (d *driven) markFile(dir string) string { return filepath.Join(dir, string(d.cred.UID)+".serial") }

// TestSnapshotIsDoubted puts a whole snapshot back, over two rotations: nothing in the cluster shows that its refresh token is spent.
func TestSnapshotIsDoubted(t *testing.T) {
	t.Parallel()
	cases := map[string]struct {
		before    func(d *driven, dir string) // while the operator is down
		restart   bool
		reuses    int
		passwords int
		why       string
	}{
		"the operator lives on":   {func(*driven, string) {}, false, 0, 2, "it remembers"},
		"a new process":           {func(*driven, string) {}, true, 0, 2, "the mark is beside the journal"},
		"a new process, no mark":  {unmarked, true, 1, 2, "nothing is left that could tell: the server does"},
		"a new process, torn":     {torn, true, 1, 2, "a torn mark is none, and no reason to stop"},
		"a new process, outdated": {outdated, true, 1, 2, "a mark that is too low says nothing"},
	}
	for name, test := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d, dir := newDriven(t, nil), t.TempDir()
			d.journalIn(dir)
			wait := d.settle()
			old := d.snapshot()
			d.sleep(wait)
			d.sleep(d.settle())
			test.before(d, dir)
			d.putBack(old)
			if test.restart {
				d.restart()
			}
			d.settle()
			ledger := d.server.Ledger()
			if got := ledger.Reuses; got != test.reuses {
				t.Errorf("the old refresh token was presented %d times, want %d (%s)", got, test.reuses, test.why)
			}
			if got := ledger.RequestsOf(authsim.GrantPassword); got != test.passwords {
				t.Errorf("the password was used %d times, want %d (%s)", got, test.passwords, test.why)
			}
			if status := d.status(); test.reuses == 0 && status.Token.Serial != 3 {
				t.Errorf("serial %d, want 3: it never goes back", status.Token.Serial)
			}
		})
	}
}

func unmarked(d *driven, dir string) {
	if err := os.Remove(d.markFile(dir)); err != nil {
		d.t.Fatal(err)
	}
}

func torn(d *driven, dir string) {
	if err := os.Truncate(d.markFile(dir), 7); err != nil {
		d.t.Fatal(err)
	}
}

func outdated(d *driven, _ string) {
	if err := d.Journal.Mark(string(d.cred.UID), 1); err != nil {
		d.t.Fatal(err)
	}
}

// TestMarkOutlivesTheState: somebody took the state, the workload Secret and the status away, and only the mark knows how far the
// serial had come.
func TestMarkOutlivesTheState(t *testing.T) {
	t.Parallel()
	d := newDriven(t, nil)
	d.journalIn(t.TempDir())
	d.sleep(d.settle())
	d.settle()
	for _, gone := range []*corev1.Secret{d.state(), secret(t, d.cred.Namespace, d.cred.TargetName())} {
		edit(t, gone, func(s *corev1.Secret) { s.Finalizers = nil })
		if err := live.Delete(t.Context(), gone); err != nil {
			t.Fatal(err)
		}
	}
	cred := reread(t, d.cred)
	cred.Status = v1alpha1.FluentCredentialStatus{}
	if err := live.Status().Update(t.Context(), cred); err != nil {
		t.Fatal(err)
	}
	d.restart()
	d.settle()
	if status := d.status(); status.Token == nil || status.Token.Serial != 3 || status.Summary.Reason != v1alpha1.ReasonTokenPublished {
		t.Errorf("%+v, %s; want serial 3, published", status.Token, status.Summary.Reason)
	}
	if ledger := d.server.Ledger(); ledger.Reuses != 0 || ledger.RequestsOf(authsim.GrantPassword) != 2 {
		t.Errorf("%d reuses, %d logins; want 0 and 2", ledger.Reuses, ledger.RequestsOf(authsim.GrantPassword))
	}
}

// TestMarkGoesWithTheCredential: at once where this process let it go, at the next start where another one did.
func TestMarkGoesWithTheCredential(t *testing.T) {
	t.Parallel()
	d := newDriven(t, nil)
	d.journalIn(t.TempDir())
	d.settle()
	if err := d.Journal.Mark("of-another-object", 5); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the cache has it", func() (bool, any) {
		err := d.Client.Get(t.Context(), client.ObjectKeyFromObject(d.cred), &v1alpha1.FluentCredential{})
		return err == nil, err
	})
	d.RecoverJournal(ctrl.LoggerInto(t.Context(), ctrl.Log))
	if marks, err := d.Journal.Marks(); err != nil || len(marks) != 1 || marks[0] != string(d.cred.UID) {
		t.Errorf("after a start: marks %v, %v; want that of the credential that is there", marks, err)
	}
	if err := live.Delete(t.Context(), d.cred); err != nil {
		t.Fatal(err)
	}
	d.pass()
	if marks, err := d.Journal.Marks(); err != nil || len(marks) != 0 {
		t.Errorf("after the release: marks %v, %v", marks, err)
	}
}

// reads counts what the Kubernetes API is asked.
type reads struct {
	client.Reader
	count int
}

func (r *reads) Get(ctx context.Context, key client.ObjectKey, object client.Object, opts ...client.GetOption) error {
	r.count++
	return r.Reader.Get(ctx, key, object, opts...)
}

// TestMarkCostsNoRequest: a new process that has a mark asks the Kubernetes API no more than one that has none.
func TestMarkCostsNoRequest(t *testing.T) {
	t.Parallel()
	d := newDriven(t, nil)
	d.journalIn(t.TempDir())
	d.settle()
	counted := &reads{Reader: d.Live}
	d.Live, d.Custody.Reader = counted, counted
	asked := func() int {
		d.restart()
		counted.count = 0
		d.pass()
		return counted.count
	}
	with := asked()
	d.Journal = nil
	if without := asked(); with != without {
		t.Errorf("%d reads with a mark, %d without a journal", with, without)
	}
}
