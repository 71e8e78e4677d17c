package simulation

import (
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/fluent-credential/operator/api/v1alpha1"
)

const (
	operatorNamespace = "operator"
	namespace         = "shop"
)

// setup is what a run is about. All of it follows from the seed.
type setup struct {
	replicas    int
	elects      bool // one leads; else all work at once
	journal     bool
	renews      bool // the login has a password; else only a refresh token
	shared      bool // two credentials log in with everything the same
	echoes      bool // the API repeats secrets in its errors
	revocable   bool // the API ends the life of a refresh token when it is asked to
	policy      v1alpha1.LostReplyPolicy
	dialect     dialect
	credentials []types.NamespacedName
	storm       time.Duration // how long things go wrong
	consumers   []types.NamespacedName
	slots       int  // --max-concurrent-exchanges
	hostRate    int  // --host-rate
	selects     bool // the operator may read namespaces
}

func setupOf(d *dice) setup {
	policies := []v1alpha1.LostReplyPolicy{
		v1alpha1.LostReplyAuto, v1alpha1.LostReplyAuto, v1alpha1.LostReplyAuto,
		v1alpha1.LostReplyRetry, v1alpha1.LostReplyReauthenticate, v1alpha1.LostReplyStop,
	}
	lives := []time.Duration{30 * time.Second, 2 * time.Minute, 10 * time.Minute, 30 * time.Minute}
	s := setup{
		replicas: 2 + d.among("setup", 2), elects: d.among("setup", 2) == 0, journal: d.among("setup", 6) != 0,
		renews: d.among("setup", 2) == 0, policy: policies[d.among("setup", len(policies))],
		credentials: []types.NamespacedName{{Namespace: namespace, Name: "orders"}},
		dialect: dialect{
			life: lives[d.among("setup", len(lives))], grace: []time.Duration{0, 0, 30 * time.Second}[d.among("setup", 3)],
			revokes: d.among("setup", 2) == 0, killsOld: d.among("setup", 2) == 0, repeats: d.among("setup", 4) == 0,
			keepsTokens: d.among("setup", 8) == 0,
		},
	}
	if s.dialect.keepsTokens {
		s.dialect.repeats = false
	}
	if s.revocable = d.among("revocable", 3) == 0; s.revocable {
		s.dialect.repeats = false // a pair that is given to two objects in turn can be revoked by a request that the network held back
	}
	switch d.among("setup", 8) {
	case 0:
		s.shared = true
		fallthrough
	case 1:
		s.credentials = append(s.credentials, types.NamespacedName{Namespace: namespace, Name: "stock"})
	}
	s.echoes = d.among("echoes", 2) == 0
	s.storm = 5 * s.dialect.life
	s.slots = []int{2, 2, 1, 4, 16}[d.among("slots", 5)]
	s.hostRate = []int{0, 0, 0, 60, 20}[d.among("host rate", 5)]
	if d.among("tenant", 6) == 0 {
		s.credentials = append(s.credentials, tenant)
	}
	s.addConsumers(d)
	d.setRates()
	return s
}

// setRates says how often what goes wrong, for each effect: some runs are rough all over, others in one place.
func (d *dice) setRates() {
	base := map[string]float64{
		"delay": 0.1, "crash": 0.004, "freeze": 0.003, "touch": 0.01, "lost": 0.02, "refuse": 0.02, "disk": 0.01,
		"dial": 0.1, "net": 0.25, "people": 0.004, "cutoff": 0.001, "watch": 0.002, "clock": 0.0005,
		"relist": 0.5, "consumers": 0.01, "host": 0.002,
	}
	rough := []float64{0, 0.3, 1, 1, 3}
	for _, kind := range []string{
		"delay", "crash", "freeze", "touch", "lost", "refuse", "disk", "dial", "net", "people", "cutoff", "watch", "clock",
		"relist", "consumers", "host",
	} {
		d.rates[kind] = base[kind] * rough[d.among("rates", len(rough))]
	}
	d.rates["change"] = 0.002 * rough[d.among("rates of changes", len(rough))]
	d.rates["flags"] = 0.1 * rough[d.among("rates of flags", len(rough))]
	d.rates["term"] = 0.002 * rough[d.among("rates of stops", len(rough))]
}

// build makes the world of a seed.
func build(seed uint64, script []choice) *world {
	return buildWith(seed, script, nil, func(*setup) {})
}

// buildWith makes the world of a seed with another setup. Wrap, if there is one, changes each replica when it starts.
func buildWith(seed uint64, script []choice, wrap func(*replica), change func(*setup)) *world {
	w := &world{
		dice: newDice(seed, script), wrap: wrap, names: map[string]string{}, began: time.Now(), arrivals: make(chan struct{}, 1),
	}
	w.counts.losses = map[string]int{}
	w.deciding.Store(true)
	w.setup = setupOf(w.dice)
	change(&w.setup)
	w.hosts = newHosts()
	w.cluster = &cluster{world: w, objects: map[objectKey]clientObject{}, documents: map[clientObject]*document{}}
	w.cluster.views = map[clientObject]clientObject{}
	w.oracle = newOracle(w)
	w.server = newTokenServer(w)
	for i := range w.setup.replicas {
		r := &replica{world: w, name: string(rune('A' + i)), dead: true, restartAt: time.Duration(i) * time.Second}
		r.disk = &disk{platter: &platter{}, replica: r}
		r.skew = time.Duration(w.dice.draw("skew")*20-10) * time.Second
		w.oracle.clocks[r] = &clock{}
		w.replicas = append(w.replicas, r)
	}
	w.apart = w.clocksApart()
	w.pace, w.statuses = newPace(w), newStatuses(w)
	w.foundNamespaces()
	for _, key := range w.setup.credentials {
		w.found(key)
	}
	for _, key := range w.setup.consumers {
		w.foundConsumer(key)
	}
	return w
}

// clocksApart is how much two wall clocks of the world differ at most.
func (w *world) clocksApart() time.Duration {
	least, most := time.Duration(0), time.Duration(0)
	for _, r := range w.replicas {
		least, most = min(least, r.skew), max(most, r.skew)
	}
	return most - least
}

// found creates a credential and its login.
func (w *world) found(key types.NamespacedName) {
	data := map[string][]byte{"client_id": []byte(key.Name), "client_secret": []byte(secretOf("client"))}
	if w.setup.renews {
		data["username"], data["password"] = []byte("user"), []byte(w.server.password)
	} else {
		data["refresh_token"] = []byte(w.server.seed())
	}
	if w.setup.shared && key != tenant {
		data["client_id"] = []byte("shared")
		if !w.setup.renews {
			data["refresh_token"] = []byte(w.sharedSeed())
		}
	}
	w.put(&corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: key.Namespace, Name: loginOf(key)}, Data: data})
	w.put(&v1alpha1.FluentCredential{
		ObjectMeta: metav1.ObjectMeta{Namespace: key.Namespace, Name: key.Name},
		Spec: v1alpha1.FluentCredentialSpec{
			Provider:             w.setup.providerOf(key),
			CredentialsSecretRef: v1alpha1.CredentialsSecretReference{Name: loginOf(key)},
			Refresh:              v1alpha1.RefreshSpec{OnLostReply: w.setup.policy},
			Target:               v1alpha1.TargetSpec{Name: targetOf(key)},
			AllowedNamespaces:    w.setup.allowed(),
		},
	})
}

// sharedSeed is the seed that a person gave to both credentials, by mistake.
func (w *world) sharedSeed() string {
	if w.seed == "" {
		w.seed = w.server.seed()
	}
	return w.seed
}

func loginOf(key types.NamespacedName) string { return key.Name + "-login" }

func targetOf(key types.NamespacedName) string { return key.Name + "-token" }

// put writes an object as people do: over whatever is there.
func (w *world) put(object clientObject) {
	object.SetResourceVersion("")
	if w.cluster.objects[keyOf(object)] == nil {
		_ = w.cluster.create(people, object)
		return
	}
	object.SetUID("")
	_ = w.cluster.update(people, object)
}
