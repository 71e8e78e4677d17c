package simulation

import (
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/types"

	"github.com/fluent-credential/operator/api/v1alpha1"
)

// host is one token host: an address of the token server. What it does to its clients can be switched on and off at any
// time.
type host struct {
	name    string // of the first label of its address
	refuses bool   // connections
	slowFor time.Duration
	// fails is the fault of every request; none: they are answered.
	fails fault
	// answersOnly reports whether a client is answered. Others have the fault awayWith. nil: every client is.
	answersOnly func(client string) bool
	awayWith    fault

	until time.Duration // when the storm lets go of it
}

// The token hosts. Only the second one misbehaves by itself.
const (
	firstHost  = "token"
	secondHost = "login"
)

// tenant is the credential of another namespace, at the second host.
var tenant = types.NamespacedName{Namespace: "bank", Name: "ledger"}

func newHosts() []*host { return []*host{{name: firstHost}, {name: secondHost}} }

// hostAt finds the host of an address.
func (w *world) hostAt(address string) *host {
	for _, each := range w.hosts {
		if name, _, _ := strings.Cut(address, "."); name == each.name {
			return each
		}
	}
	panic("nothing is at " + address)
}

// hostOf is the host of a credential.
func (s setup) hostOf(key types.NamespacedName) string {
	if key == tenant {
		return secondHost
	}
	return firstHost
}

func (s setup) addressOf(key types.NamespacedName) string {
	return "http://" + s.hostOf(key) + ".example"
}

func (s setup) providerOf(key types.NamespacedName) v1alpha1.ProviderSpec {
	at := s.addressOf(key)
	if !s.revocable {
		return v1alpha1.ProviderSpec{Fluent: &v1alpha1.FluentProvider{BaseURL: v1alpha1.BaseURL(at)}}
	}
	return v1alpha1.ProviderSpec{OAuth2: &v1alpha1.OAuth2Provider{
		TokenURL: v1alpha1.TokenURL(at + "/oauth/token"), RevocationURL: v1alpha1.TokenURL(at + revocationPath),
	}}
}

// heal ends what a host does wrong.
func (h *host) heal() { *h = host{name: h.name} }

// treat is what a host makes of a request that arrived.
func (h *host) treat(asked question, f fault) fault {
	switch {
	case f != none || asked.grant == revocation:
		return f
	case h.answersOnly != nil && !h.answersOnly(asked.client):
		return h.awayWith
	case h.fails != none:
		return h.fails
	case h.slowFor > 0:
		return slow
	}
	return none
}

// of gives a user of this host a name of its own in the server's books.
func (h *host) of(asked question) question {
	if h.name != firstHost && asked.username != "" {
		asked.username += "@" + h.name
	}
	return asked
}

// turnedAway is the reply to a client that the host does not know.
func turnedAway() []byte {
	return replyOf(http.StatusUnauthorized, `{"error":"invalid_client"}`)
}

// ailment is something that a host does wrong for some time.
type ailment struct {
	name string
	make func(*host)
}

func noClient(string) bool { return false }

var ailments = []ailment{
	{"refuses connections", func(h *host) { h.refuses = true }},
	{"takes 12 s for a reply", func(h *host) { h.slowFor = 12 * time.Second }},
	{"answers too late", func(h *host) { h.slowFor = 40 * time.Second }},
	{"asks to come later", func(h *host) { h.fails = unavailable }},
	{"fails", func(h *host) { h.fails = refusedEarly }},
	{"limits its clients", func(h *host) { h.answersOnly, h.awayWith = noClient, tooMany }},
	{"does not know its clients", func(h *host) { h.answersOnly, h.awayWith = noClient, away }},
}

// sicken lets the second host do something wrong for some time, and ends it.
func (w *world) sicken() {
	if !w.setup.hasTenant() {
		return
	}
	sick := w.hosts[1]
	if sick.until > 0 && w.now() >= sick.until {
		w.tell("!! host %s works again", sick.name)
		sick.heal()
	}
	if pick := w.dice.choose("host", len(ailments)); pick != 0 {
		span := []time.Duration{10 * time.Second, time.Minute, 10 * time.Minute, time.Hour}[w.dice.among("ailing", 4)]
		w.tell("!! host %s %s for %s", sick.name, ailments[pick-1].name, span)
		sick.heal()
		ailments[pick-1].make(sick)
		sick.until = w.now() + span
		w.counts.ailments++
	}
}

func (s setup) hasTenant() bool { return slices.Contains(s.credentials, tenant) }

// mustSpareOthers lets the second host do something wrong until each token of the first host has been replaced several
// times: those who use the first host must not notice. Of few slots one host can have all.
func (w *world) mustSpareOthers() {
	if w.oracle.violation == nil && w.setup.hasTenant() && w.setup.slots >= 4 && !w.oracle.wereClocksWrong(w.now()) {
		w.trial(ailments[w.dice.among("trial", len(ailments))])
	}
}

func (w *world) trial(ailing ailment) {
	sick := w.hosts[1]
	w.tell("-- host %s %s --", sick.name, ailing.name)
	ailing.make(sick)
	healthy := slices.DeleteFunc(slices.Clone(w.setup.credentials), func(key types.NamespacedName) bool {
		return key == tenant || !w.isWellOf(key)
	})
	end := w.now() + 2*w.setup.dialect.life
	for w.now() < end && w.oracle.violation == nil {
		w.run(min(w.now()+5*time.Second, end), 5000, func() bool { return false })
		for _, key := range healthy {
			w.mustHaveToken(key, ailing)
		}
	}
	sick.heal()
	isWell := func() bool { return w.isWellOf(tenant) }
	if w.oracle.violation != nil || !w.mustRenew() || w.run(w.now()+w.patience(), 20000, isWell) {
		return
	}
	w.oracle.violated("it is well when its host is", "%s after host %s %s: %s", tenant.Name, sick.name, ailing.name, w.state(tenant))
}

// mustHaveToken holds a credential of the first host to a published token that its API takes. An exchange may be at work.
func (w *world) mustHaveToken(key types.NamespacedName, ailing ailment) {
	hasToken := func() bool {
		workload := w.secret(targetOf(key))
		return workload != nil && w.server.accepts(string(workload.Data[v1alpha1.AccessTokenKey]))
	}
	if hasToken() || w.run(w.now()+2*time.Second, 5000, hasToken) || w.oracle.violation != nil {
		return
	}
	w.oracle.violated("a host that works works for its clients", "%s has no token while the other host %s: %s",
		key.Name, ailing.name, w.state(key))
}

// TestHostsAreSeparate: in a world in which nothing else goes wrong, whatever one host does, the other host's clients do
// not notice.
func TestHostsAreSeparate(t *testing.T) {
	for _, ailing := range ailments {
		t.Run(ailing.name, func(t *testing.T) {
			for seed := range uint64(6) {
				inBubble(t, func() { hostsAreSeparate(t, seed, ailing) })
			}
		})
	}
}

func hostsAreSeparate(t *testing.T, seed uint64, ailing ailment) {
	w := buildWith(seed, []choice{}, nil, func(s *setup) {
		s.credentials = []types.NamespacedName{s.credentials[0], tenant}
		s.shared, s.renews, s.elects, s.slots = false, true, true, 4
	})
	defer w.finish()
	if !w.run(w.setup.storm, 3000, w.isWell) {
		t.Fatalf("seed %d: nothing goes wrong, and it is not well: %s", seed, w.state(tenant))
	}
	w.becalm()
	if w.trial(ailing); w.oracle.violation != nil {
		t.Errorf("seed %d: %s", seed, w.oracle.violation)
	}
}
