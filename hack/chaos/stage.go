package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/fluent-credential/operator/hack/authsim"
	"github.com/fluent-credential/operator/hack/localcluster"
)

// setting is what a case asks of its stage. The zero setting is one replica that leads without asking, one credential with a
// password, and tokens that live for an hour.
type setting struct {
	replicas    int
	elects      bool
	credentials int
	seeded      bool                    // the logins hold a refresh token and no password
	password    string                  // that the logins hold, if not the right one
	client      func(number int) string // the client of each login, if not the common one
	policy      string                  // spec.refresh.onLostReply
	life        time.Duration
	tenant      func(*authsim.Config)
	args        []string
	idle        bool // the replicas and the credentials are started by the case itself
	installed   bool // the operator has the rights and the policies of the release, and works in all namespaces (with alone)
	namespaces  int  // over which the credentials are spread, if not the stage's own

	mayPresent int  // how often a refresh token may be presented, if not once
	mayLose    int  // how many chains the fault may cost: what the two-generals bound takes
	restores   bool // the case itself puts old content back, so that serials may go back
}

// stage is the place of one run: a namespace, a token server behind a proxy, replicas of the operator, each with a proxy before
// the Kubernetes API.
type stage struct {
	setting
	plant     *plant
	namespace string
	dir       string
	say       func(format string, args ...any)

	sim    *authsim.Server
	tokens *tokenProxy

	replicas []*replica
	creds    []*credential
	watch    *publications

	mu       sync.Mutex
	findings []string       // what must not have happened
	lost     int            // chains that were given up and that the ledger does not show: a person is asked
	counts   map[string]int // figures of the case's own, for the notes
	faults   []string       // of the token server, as its ledger calls them
	cleanups []func() error
}

// newStage puts a stage up; nothing of the operator runs yet.
func newStage(ctx context.Context, plant *plant, namespace string, wanted setting, say func(string, ...any)) (_ *stage, err error) {
	s := &stage{setting: wanted, plant: plant, namespace: namespace, dir: filepath.Join(plant.cluster.Dir, namespace), say: say}
	s.counts = map[string]int{}
	if err := os.Mkdir(s.dir, 0o700); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.clear())
		}
	}()
	if err := s.createNamespaces(ctx); err != nil {
		return nil, err
	}
	if err := s.openServer(); err != nil {
		return nil, err
	}
	s.watch = newPublications(plant.admin, s.watched())
	s.atEnd(s.watch.start(ctx))
	for number := range max(1, wanted.replicas) {
		added, err := s.newReplica(number)
		if err != nil {
			return nil, err
		}
		added.args = wanted.args
		s.replicas = append(s.replicas, added)
	}
	return s, nil
}

// home is the namespace of a credential.
func (s *stage) home(number int) string {
	if s.namespaces == 0 {
		return s.namespace
	}
	return fmt.Sprintf("%s-shop-%d", s.namespace, number%s.namespaces)
}

func (s *stage) createNamespaces(ctx context.Context) error {
	for number := range max(1, s.namespaces) {
		namespace := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: s.home(number)}}
		if err := s.plant.admin.Create(ctx, namespace); err != nil {
			return err
		}
	}
	return nil
}

// operatorHome is the operator's own namespace.
func (s *stage) operatorHome() string {
	if s.installed {
		return localcluster.OperatorNamespace
	}
	return s.namespace
}

// watched is the namespace that the operator works in; empty: all.
func (s *stage) watched() string {
	if s.installed {
		return ""
	}
	return s.namespace
}

// atEnd does something when the stage is cleared; the last thing first.
func (s *stage) atEnd(do func() error) { s.cleanups = append(s.cleanups, do) }

// The login of every credential; each has a user of its own.
const (
	clientID, clientSecret = "chaos-client", "a-client-secret-to-be-searched-for"
	password               = "a-password-to-be-searched-for"
	targetSuffix           = "-token"
)

func userName(number int) string { return fmt.Sprintf("user-%04d", number) }

func (s *stage) openServer() error {
	config := authsim.Config{
		Clients:             []authsim.Client{{ID: clientID, Secret: clientSecret, Scope: "api"}},
		AccessTokenLifetime: time.Hour, KillOnRefresh: true,
	}
	if s.life > 0 {
		config.AccessTokenLifetime = s.life
	}
	for number := range max(1, s.credentials) {
		config.Users = append(config.Users, authsim.User{
			Username: userName(number), Password: password, RetailerID: 1, FirstName: "Fluent", LastName: "Commerce",
		})
	}
	if s.tenant != nil {
		s.tenant(&config)
	}
	s.sim = authsim.New(config)
	address, err := s.serve(s.sim)
	if err != nil {
		return err
	}
	s.atEnd(func() error { s.sim.Close(); return nil })
	if s.tokens, err = newTokenProxy(address); err != nil {
		return err
	}
	s.atEnd(func() error { s.tokens.shut(); return nil })
	return nil
}

// serve serves HTTP on the loopback until the stage is cleared.
func (s *stage) serve(handler http.Handler) (address string, err error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	server := &http.Server{Handler: handler, ReadHeaderTimeout: time.Minute}
	go func() { _ = server.Serve(listener) }()
	s.atEnd(server.Close)
	return listener.Addr().String(), nil
}

// begin starts the first replica, which leads then, and creates the credentials; when all of these are published, it starts the
// other replicas.
func (s *stage) begin(ctx context.Context) error {
	if err := s.replicas[0].start(ctx); err != nil {
		return err
	}
	if err := s.createCredentials(ctx); err != nil {
		return err
	}
	if err := s.settled(ctx); err != nil {
		return err
	}
	return startAll(ctx, s.replicas[1:])
}

func startAll(ctx context.Context, replicas []*replica) error {
	for _, each := range replicas {
		if err := each.start(ctx); err != nil {
			return err
		}
	}
	return nil
}

func (s *stage) createCredentials(ctx context.Context) error {
	return inParallel(ctx, max(1, s.credentials), func(ctx context.Context, number int) error {
		added, err := s.createCredential(ctx, number)
		s.mu.Lock()
		defer s.mu.Unlock()
		s.creds = append(s.creds, added)
		slices.SortFunc(s.creds, func(a, b *credential) int { return a.number - b.number })
		return err
	})
}

// settled waits until every credential has come to rest.
func (s *stage) settled(ctx context.Context) error {
	for _, each := range s.creds {
		if err := each.settled(ctx); err != nil {
			return err
		}
	}
	return nil
}

// find notes something that must not have happened.
func (s *stage) find(format string, args ...any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.findings = append(s.findings, fmt.Sprintf(format, args...))
}

// count adds to a figure that the notes under the table show.
func (s *stage) count(what string, n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.counts[what] += n
}

// clear ends everything that the stage started.
func (s *stage) clear() error {
	for _, each := range s.replicas {
		each.kill()
		each.api.shut()
	}
	var errs []error
	for _, cleanup := range slices.Backward(s.cleanups) {
		errs = append(errs, cleanup())
	}
	return errors.Join(errs...)
}
