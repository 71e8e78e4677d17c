package simulation

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io/fs"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/fluent-credential/operator/internal/custody"
	"github.com/fluent-credential/operator/internal/journal"
)

// mistake is something that the operator could do wrong, done wrong in a test: by a wrapper around what the operator works with.
type mistake struct {
	name string
	rule string // the beginning of the rule that it breaks; empty: any
	why  string
	make func(*replica)
}

// mistakes are the proof that the oracle bites.
var mistakes = []*mistake{
	{"no claim", "I1", "nothing says that a token is about to be spent", func(r *replica) {
		r.Custody.Writer = &writing{Writer: r.Custody.Writer, update: func(inner client.Writer, secret *corev1.Secret, state *document) error {
			if state.Claim != nil {
				return nil
			}
			return inner.Update(context.Background(), secret)
		}}
	}},
	{"publish before commit", "I2", "a crash in between leaves a token that nobody knows", func(r *replica) {
		r.Custody.Writer = &writing{Writer: r.Custody.Writer, update: func(inner client.Writer, secret *corev1.Secret, state *document) error {
			if state.Claim == nil && state.Failure == nil && state.Access != "" {
				publishEarly(r, secret, state)
			}
			return inner.Update(context.Background(), secret)
		}}
	}},
	{"retry on time-out", "I1", "what net/http and x/oauth2 do", func(r *replica) {
		connect := r.Dialer.Connect
		r.Dialer.Connect = func(ctx context.Context, network, address string) (net.Conn, error) {
			conn, err := connect(ctx, network, address)
			return &insistent{Conn: conn, again: func() (net.Conn, error) { return connect(context.WithoutCancel(ctx), network, address) }}, err
		}
	}},
	{"no fence", "the fence", "a process that was frozen sends, long after another one took over", func(r *replica) {
		r.Clock = &stopped{clockOf{r}}
		r.Dialer.Now = func() time.Time { return time.Time{} }
		connect := r.Dialer.Connect
		r.Dialer.Connect = func(ctx context.Context, network, address string) (net.Conn, error) {
			conn, err := connect(ctx, network, address)
			return &unarmed{conn}, err
		}
	}},
	{"no look at the clock", "the fence", "a process that was frozen right before the write sends, long after another one took over", func(r *replica) {
		life := r.life
		r.Dialer.Now = func() time.Time {
			r.world.step(r.world.current(r, life), "look at nothing", nil)
			return time.Time{}
		}
	}},
	{"boot ignored", "", "a mark that was written and not synced is lost with the power, and what was sent counts as unsent", func(r *replica) {
		r.reopen(func(d journal.Disk) journal.Disk { return everlasting{d} })
	}},
	{"marked too late", "", "the request is on its way before the journal says so", func(r *replica) {
		r.reopen(func(d journal.Disk) journal.Disk { return unmarked{d} })
	}},
	{"journal unlinked early", "I3", "between the reply and the commit nothing holds it", func(r *replica) {
		r.reopen(func(d journal.Disk) journal.Disk { return unlinking{d} })
	}},
	{"journal not synced", "I3", "a power failure takes it", func(r *replica) {
		r.reopen(func(d journal.Disk) journal.Disk { return unsynced{d} })
	}},
	{"marks ignored", "F22", "a process that starts anew takes a snapshot for the truth", func(r *replica) {
		r.reopen(func(d journal.Disk) journal.Disk { return markBlind{d} })
	}},
	{"guard not shared", "I4", "each process has a budget of its own", func(r *replica) {
		r.Guard.Namespace = operatorNamespace + r.writer().String()
	}},
	{"no guard", "I4", "a wrong password is tried at the pace of a back-off", func(r *replica) {
		r.Guard.Writer, r.Guard.Reader = nothing{r.Guard.Writer}, empty{r.Guard.Reader}
	}},
	{"claim not checked after a lost answer", "I1", "a write that failed is taken for done", func(r *replica) {
		r.Custody.Writer = &writing{Writer: r.Custody.Writer, update: func(inner client.Writer, secret *corev1.Secret, state *document) error {
			err := inner.Update(context.Background(), secret)
			if state.Claim != nil && errors.Is(err, errUnreachable) {
				return nil
			}
			return err
		}}
	}},
	{"conflict taken for success", "I2", "the result of an exchange is dropped when somebody touches the state", func(r *replica) {
		r.Custody.Writer = &writing{Writer: r.Custody.Writer, update: func(inner client.Writer, secret *corev1.Secret, state *document) error {
			if err := inner.Update(context.Background(), secret); !apierrors.IsConflict(err) || state.Claim != nil {
				return err
			}
			return nil
		}}
	}},
	{"conflict overwritten", "", "a write without its version: who comes last wins", func(r *replica) {
		r.Custody.Writer = &writing{Writer: r.Custody.Writer, update: func(inner client.Writer, secret *corev1.Secret, _ *document) error {
			secret.ResourceVersion = ""
			return inner.Update(context.Background(), secret)
		}}
	}},
	{"serial reset", "I5", "a state that was brought to safety counts from one again", func(r *replica) {
		r.Custody.Writer = &writing{Writer: r.Custody.Writer, create: func(inner client.Writer, secret *corev1.Secret, state *document) error {
			rewrite(secret, func(fields map[string]any) { fields["serial"] = min(1, state.Serial) })
			return inner.Create(context.Background(), secret)
		}}
	}},
	{"stale workload overwritten", "I5", "a process that was frozen publishes an old token over a new one", func(r *replica) {
		r.Client = &careless{r.Client}
	}},
	{"doubt forgotten", "presentations", "a token whose reply was lost is presented as if nothing had happened", func(r *replica) {
		r.Custody.Writer = &writing{Writer: r.Custody.Writer, update: func(inner client.Writer, secret *corev1.Secret, state *document) error {
			if state.Chain != nil && state.Chain.Presented > 0 {
				rewrite(secret, func(fields map[string]any) { delete(fields["chain"].(map[string]any), "presented") })
			}
			return inner.Update(context.Background(), secret)
		}}
	}},
	{"claims taken over at once", "a claim is left", "every replica says that it is the pod of every claim", func(r *replica) {
		r.Holder.Pod = "the same"
	}},
	{"life in minutes", "no expired", "an expired token goes on as a good one", func(r *replica) {
		r.Custody.Writer = &writing{Writer: r.Custody.Writer, update: func(inner client.Writer, secret *corev1.Secret, state *document) error {
			if state.Token != nil && state.Claim == nil {
				rewrite(secret, func(fields map[string]any) { prolong(fields["token"].(map[string]any), state.Token) })
			}
			return inner.Update(context.Background(), secret)
		}}
	}},
	{"revoked at a rotation", "a revocation spares", "the old token is revoked when a new one is fetched, and servers end the family", func(r *replica) {
		connect := r.Dialer.Connect
		r.Dialer.Connect = func(ctx context.Context, network, address string) (net.Conn, error) {
			r.world.server.revokeCurrent(r.world.setup.credentials[0])
			return connect(ctx, network, address)
		}
	}},
	{"secrets in events", "I7", "an error is told as it is", func(r *replica) {
		connect := r.Dialer.Connect
		r.Dialer.Connect = func(ctx context.Context, network, address string) (net.Conn, error) {
			r.world.oracle.said("log", "dialing for "+r.world.server.password)
			return connect(ctx, network, address)
		}
	}},
}

// TestOracleBites shows that each mistake is found.
func TestOracleBites(t *testing.T) {
	for _, m := range mistakes {
		t.Run(m.name, func(t *testing.T) {
			found, ran := sweep(t, 1, 10000, m, func(counts) {}, func(int) {})
			if found == nil {
				t.Fatalf("not found within %d seeds (%s)", ran, m.why)
			}
			t.Logf("seed %d: %s", found.seed, found.violation.String())
		})
	}
}

// writing is a client.Writer that does something else with state Secrets.
type writing struct {
	client.Writer
	update, create func(client.Writer, *corev1.Secret, *document) error
}

func (w *writing) Update(ctx context.Context, object client.Object, _ ...client.UpdateOption) error {
	if state := documentOf(object); state != nil && w.update != nil {
		return w.update(w.Writer, object.(*corev1.Secret), state)
	}
	return w.Writer.Update(ctx, object)
}

func (w *writing) Create(ctx context.Context, object client.Object, _ ...client.CreateOption) error {
	if state := documentOf(object); state != nil && w.create != nil {
		return w.create(w.Writer, object.(*corev1.Secret), state)
	}
	return w.Writer.Create(ctx, object)
}

// rewrite changes the document in a state Secret, checksum and all.
func rewrite(secret *corev1.Secret, change func(map[string]any)) {
	var fields map[string]any
	if err := json.Unmarshal(secret.Data["state.json"], &fields); err != nil {
		panic(err)
	}
	change(fields)
	encoded, err := json.Marshal(fields)
	if err != nil {
		panic(err)
	}
	sum := sha256.Sum256(encoded)
	secret.Data = map[string][]byte{"state.json": encoded, "checksum": []byte(hex.EncodeToString(sum[:]))}
}

func prolong(fields map[string]any, token *custody.Token) {
	life := token.Expires.Sub(token.Obtained)
	fields["expires"] = token.Obtained.Add(60 * life)
	fields["refresh"] = token.Obtained.Add(50 * life)
}

func publishEarly(r *replica, state *corev1.Secret, stored *document) {
	key := types.NamespacedName{Namespace: state.Namespace, Name: strings.TrimSuffix(strings.TrimSuffix(state.Name, "-2"), "-fluent-state")}
	if secret := r.world.secret(targetOf(key)); secret != nil && string(secret.Data["access_token"]) != stored.Access {
		secret.Data["access_token"] = []byte(stored.Access)
		_ = r.Client.Update(context.Background(), secret)
	}
}

// insistent sends a request again when its reply does not come.
type insistent struct {
	net.Conn
	request []byte
	again   func() (net.Conn, error)
}

func (c *insistent) Write(request []byte) (int, error) {
	c.request = request
	return c.Conn.Write(request)
}

func (c *insistent) Read(into []byte) (int, error) {
	n, err := c.Conn.Read(into)
	if !errors.Is(err, os.ErrDeadlineExceeded) {
		return n, err
	}
	conn, dialErr := c.again()
	if dialErr != nil {
		return n, err
	}
	_ = conn.SetDeadline(time.Time{})
	if _, err := conn.Write(c.request); err != nil {
		return 0, err
	}
	return conn.Read(into)
}

// unarmed forgets when the whole exchange has to be over: each step has all the time.
type unarmed struct{ net.Conn }

func (c *unarmed) SetDeadline(at time.Time) error {
	if err := c.Conn.SetDeadline(time.Time{}); err != nil {
		return err
	}
	return c.Conn.SetDeadline(at)
}

// stopped is a clock that stands still while its replica is frozen: the fence sees no time pass.
type stopped struct{ clockOf }

func (c *stopped) Now() time.Time {
	if p := c.replica.world.running; p != nil {
		return instant(p.begun+c.replica.skew, p.begun)
	}
	return c.clockOf.Now()
}

// reopen puts the journal on another disk.
func (r *replica) reopen(wrap func(journal.Disk) journal.Disk) {
	if r.Journal == nil {
		return
	}
	r.Journal = r.open(wrap(r.disk))
}

// unlinking removes each file as soon as it was sealed.
type unlinking struct{ journal.Disk }

func (d unlinking) Create(path string) (journal.File, error) {
	file, err := d.Disk.Create(path)
	return &unlinked{File: file, remove: func() { _ = d.Remove(path) }}, err
}

type unlinked struct {
	journal.File
	syncs  int
	remove func()
}

func (f *unlinked) Sync() error {
	err := f.File.Sync()
	if f.syncs++; f.syncs == 2 {
		f.remove()
	}
	return err
}

// unsynced never syncs a reply.
type unsynced struct{ journal.Disk }

func (d unsynced) Create(path string) (journal.File, error) {
	file, err := d.Disk.Create(path)
	return lazy{file}, err
}

type lazy struct{ journal.File }

func (lazy) Sync() error { return nil }

// everlasting says that the machine was never down.
type everlasting struct{ journal.Disk }

func (everlasting) BootID() string { return "the first and only" }

// unmarked drops the mark that a request is about to be sent.
type unmarked struct{ journal.Disk }

func (d unmarked) Create(path string) (journal.File, error) {
	file, err := d.Disk.Create(path)
	return &markless{File: file}, err
}

type markless struct {
	journal.File
	writes int
}

func (f *markless) WriteAt(part []byte, offset int64) (int, error) {
	if f.writes++; f.writes == 4 { // after the preamble, the head and what the mark takes the place of
		return len(part), nil
	}
	return f.File.WriteAt(part, offset)
}

// markBlind reads no marks.
type markBlind struct{ journal.Disk }

func (d markBlind) Lstat(path string) (fs.FileInfo, error) {
	if strings.HasSuffix(path, markExtension) {
		return nil, fs.ErrNotExist
	}
	return d.Disk.Lstat(path)
}

// careless forgets which version it writes over.
type careless struct{ client.Client }

func (c *careless) Update(ctx context.Context, object client.Object, opts ...client.UpdateOption) error {
	version := object.GetResourceVersion()
	object.SetResourceVersion("")
	err := c.Client.Update(ctx, object, opts...)
	if err != nil {
		object.SetResourceVersion(version)
	}
	return err
}

// nothing writes nothing; empty finds nothing.
type nothing struct{ client.Writer }

func (nothing) Create(context.Context, client.Object, ...client.CreateOption) error { return nil }
func (nothing) Update(context.Context, client.Object, ...client.UpdateOption) error { return nil }

type empty struct{ client.Reader }

func (empty) Get(context.Context, client.ObjectKey, client.Object, ...client.GetOption) error {
	return apierrors.NewNotFound(objectKey{kind: secretKind}.resource(), "")
}
