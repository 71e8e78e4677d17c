package simulation

import (
	"strconv"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/fluent-credential/operator/api/v1alpha1"
	"github.com/fluent-credential/operator/internal/custody"
)

type clientObject = client.Object

// interfere is what happens to the operator from outside.
func (w *world) interfere() {
	if pick := w.dice.choose("people", len(acts)); pick != 0 {
		key := w.setup.credentials[w.dice.among("whose", len(w.setup.credentials))]
		w.counts.acts++
		w.tell("!! people: %s (%s)", acts[pick-1].name, key.Name)
		acts[pick-1].do(w, key)
	}
	w.actOnConsumers()
	w.sicken()
	w.change()
	if pick := w.dice.choose("cutoff", 4); pick != 0 {
		span := []time.Duration{2 * time.Second, 20 * time.Second, 3 * time.Minute, 10 * time.Minute}[pick-1]
		all := w.dice.among("who", 2) == 0
		chosen := w.anybody()
		for _, r := range w.replicas {
			if all || r == chosen {
				w.tell("!! %s cannot reach the API for %s", r.writer(), span)
				r.cutOffUntil = w.now() + span
				w.pace.froze(r) // a run of writes that fail is forgotten meanwhile
			}
		}
	}
	if pick := w.dice.choose("watch", 3); pick != 0 {
		r, span := w.anybody(), []time.Duration{time.Second, 20 * time.Second, 5 * time.Minute}[pick-1]
		w.tell("!! the watches of %s bring nothing for %s", r.writer(), span)
		r.watchUntil = w.now() + span
	}
	if pick := w.dice.choose("clock", len(jumps)); pick != 0 {
		r := w.anybody()
		span := wrongFor[w.dice.among("wrong clock", len(wrongFor))]
		w.tell("!! the clock of %s jumps by %s, for %s", r.writer(), jumps[pick-1], span)
		w.jump(r, jumps[pick-1], span)
	}
	w.setClocks()
}

var jumps = []time.Duration{time.Hour, -time.Hour, 24 * time.Hour, -24 * time.Hour, 2 * time.Minute, -2 * time.Minute}

// wrongFor is how long a clock stays wrong: until it is set again, or for the rest of the run.
var wrongFor = []time.Duration{20 * time.Second, 5 * time.Minute, time.Hour, 100 * time.Hour}

func (w *world) anybody() *replica { return w.replicas[w.dice.among("who", len(w.replicas))] }

// act is something that people do.
type act struct {
	name string
	do   func(*world, types.NamespacedName)
}

var acts = []act{
	{"delete the workload Secret", func(w *world, key types.NamespacedName) { w.remove(targetOf(key)) }},
	{"edit the workload Secret", (*world).editWorkload},
	{"delete the state Secret", func(w *world, key types.NamespacedName) {
		for _, name := range custody.Names(key.Name) {
			w.remove(name)
		}
	}},
	{"edit the state Secret", (*world).editState},
	{"restore an old state Secret", (*world).restoreState},
	{"restore all of it from a snapshot", (*world).restoreAll},
	{"tear the state Secret away", (*world).tearState},
	{"delete the FluentCredential", func(w *world, key types.NamespacedName) {
		_ = w.cluster.delete(people, objectKey{credentialKind, key}, "", "")
	}},
	{"ask for a rotation", func(w *world, key types.NamespacedName) {
		w.changeCredential(key, func(cred *v1alpha1.FluentCredential) {
			cred.Annotations = map[string]string{v1alpha1.RotateAnnotation: strconv.Itoa(len(w.cluster.history))}
		})
		w.oracle.disturb(key)
	}},
	{"suspend or resume", func(w *world, key types.NamespacedName) {
		w.changeCredential(key, func(cred *v1alpha1.FluentCredential) { cred.Spec.Suspend = !cred.Spec.Suspend })
	}},
	{"change the password at the API", func(w *world, key types.NamespacedName) {
		w.server.password = secretOf("password-" + strconv.Itoa(len(w.cluster.history)))
	}},
	{"put the right password into the Secret", func(w *world, key types.NamespacedName) { w.setPassword(key, w.server.password) }},
	{"put a wrong password into the Secret", func(w *world, key types.NamespacedName) {
		w.setPassword(key, secretOf("wrong-"+strconv.Itoa(len(w.cluster.history))))
	}},
	{"touch the FluentCredential", func(w *world, key types.NamespacedName) {
		w.changeCredential(key, func(cred *v1alpha1.FluentCredential) { cred.Labels = map[string]string{"touched": "yes"} })
	}},
}

func (w *world) remove(name string) {
	_ = w.cluster.delete(people, objectKey{secretKind, types.NamespacedName{Namespace: w.namespaceOf(name), Name: name}}, "", "")
}

func (w *world) secret(name string) *corev1.Secret {
	found, ok := w.cluster.objects[objectKey{secretKind, types.NamespacedName{Namespace: w.namespaceOf(name), Name: name}}]
	if !ok {
		return nil
	}
	return copyOf(found.(*corev1.Secret))
}

func (w *world) credential(key types.NamespacedName) *v1alpha1.FluentCredential {
	found, ok := w.cluster.objects[objectKey{credentialKind, key}]
	if !ok {
		return nil
	}
	return copyOf(found.(*v1alpha1.FluentCredential))
}

// touch changes an object in a way that means nothing, so that its version is another.
func (w *world) touch(key objectKey) {
	if found, ok := w.cluster.objects[key]; ok {
		w.tell("!! somebody touches %s", key.Name)
		touched := copyOf(found)
		w.cluster.store(people, touched)
	}
}

func (w *world) changeCredential(key types.NamespacedName, change func(*v1alpha1.FluentCredential)) {
	if cred := w.credential(key); cred != nil {
		change(cred)
		w.put(cred)
	}
}

func (w *world) editWorkload(key types.NamespacedName) {
	if secret := w.secret(targetOf(key)); secret != nil {
		secret.Data = map[string][]byte{v1alpha1.AccessTokenKey: []byte("edited")}
		w.put(secret)
	}
}

// stateOf is the state Secret, under either name; of two, which a backup can lead to, the one that is further on.
func (w *world) stateOf(key types.NamespacedName) *corev1.Secret {
	name, _ := w.newest(key)
	return w.secret(name)
}

// truth is what it holds; nil: there is none.
func (w *world) truth(key types.NamespacedName) *document {
	_, state := w.newest(key)
	return state
}

func (w *world) newest(key types.NamespacedName) (at string, newest *document) {
	for _, name := range custody.Names(key.Name) {
		if state := w.document(name); state != nil && (newest == nil || state.Serial > newest.Serial) {
			at, newest = name, state
		}
	}
	return at, newest
}

// document is what a state Secret holds.
func (w *world) document(name string) *document {
	return w.cluster.document(w.cluster.objects[objectKey{secretKind, types.NamespacedName{Namespace: w.namespaceOf(name), Name: name}}])
}

func (w *world) editState(key types.NamespacedName) {
	if secret := w.stateOf(key); secret != nil {
		w.oracle.tampered(key)
		secret.Data["checksum"] = []byte("edited")
		w.put(secret)
	}
}

// restoreState puts back what a backup holds.
func (w *world) restoreState(key types.NamespacedName) {
	secret := w.stateOf(key)
	if secret == nil {
		return
	}
	w.oracle.tampered(key)
	w.restore(secret, w.momentOf(secret))
}

// momentOf is some version of an object that is there.
func (w *world) momentOf(object clientObject) int {
	var moments []int
	for at, past := range w.cluster.history {
		if past.object != nil && past.key == keyOf(object) && past.object.GetUID() == object.GetUID() {
			moments = append(moments, at)
		}
	}
	return moments[w.dice.among("backup", len(moments))]
}

// restore puts a Secret back as it was at a moment.
func (w *world) restore(secret *corev1.Secret, at int) {
	if old, ok := w.asOf(keyOf(secret), at).(*corev1.Secret); ok {
		secret.Data, secret.Annotations = old.Data, old.Annotations
		w.put(secret)
	}
}

// asOf is an object at a moment; nil where there was none.
func (w *world) asOf(key objectKey, at int) clientObject {
	for ; at >= 0; at-- {
		if past := w.cluster.history[at]; past.key == key {
			return past.object
		}
	}
	return nil
}

// restoreAll puts the state, the workload Secret and the status back together: nothing in the cluster shows that they are old.
func (w *world) restoreAll(key types.NamespacedName) {
	secret, cred := w.stateOf(key), w.credential(key)
	if secret == nil || cred == nil {
		return
	}
	at := w.momentOf(secret)
	w.oracle.tampered(key)
	w.restore(secret, at)
	if workload := w.secret(targetOf(key)); workload != nil {
		w.oracle.about[key].putBack = len(w.cluster.history)
		w.restore(workload, at)
	}
	if old, ok := w.asOf(keyOf(cred), at).(*v1alpha1.FluentCredential); ok && old.UID == cred.UID {
		cred.Status = old.Status
		w.put(cred)
	}
	for _, r := range w.replicas { // a restore of all of etcd takes the leases along, and many an operator with them
		if !r.dead && w.dice.among("who", 2) == 0 {
			r.deposedAt = w.now()
		}
	}
}

// tearState removes the Secret and the finalizer that would have saved it.
func (w *world) tearState(key types.NamespacedName) {
	secret := w.stateOf(key)
	if secret == nil {
		return
	}
	w.oracle.tampered(key)
	secret.Finalizers = nil
	w.put(secret)
	w.remove(secret.Name)
}

func (w *world) setPassword(key types.NamespacedName, password string) {
	if secret := w.secret(loginOf(key)); secret != nil && w.setup.renews {
		secret.Data["password"] = []byte(password)
		w.put(secret)
		w.oracle.disturb(key)
	}
}

// recreate makes a credential anew that is gone.
func (w *world) recreate() {
	for _, key := range w.setup.credentials {
		if w.cluster.objects[objectKey{credentialKind, key}] == nil {
			w.tell("!! people: create %s anew", key.Name)
			w.oracle.renewed(key)
			w.found(key)
		}
	}
}

// calmWait is the longest that a queue waits once it is calm.
const calmWait = 5 * time.Minute

// becalm ends everything that goes wrong.
func (w *world) becalm() {
	w.dice.calm = true
	w.endRegimes()
	w.tell("-- calm --")
	wereWrong := w.oracle.wereClocksWrong(w.now())
	w.setClocks()
	for _, r := range w.replicas {
		r.skew, r.frozenUntil, r.cutOffUntil, r.watchUntil = 0, min(r.frozenUntil, w.now()), 0, 0
		for _, it := range r.queue {
			if wereWrong {
				it.due = min(it.due, w.now()+calmWait)
			}
		}
	}
	for i := range w.server.late {
		w.server.late[i].at = w.now()
	}
	for _, each := range w.hosts {
		each.heal()
	}
	w.server.deliver()
}

// putRight lets people put right what they put wrong.
func (w *world) putRight() {
	w.recreate()
	for _, key := range w.setup.credentials {
		w.setPassword(key, w.server.password)
		w.changeCredential(key, func(cred *v1alpha1.FluentCredential) { cred.Spec.Suspend = false })
	}
}

// reseed is what a person does who is asked to.
func (w *world) reseed(key types.NamespacedName) {
	if secret := w.secret(loginOf(key)); secret != nil {
		w.tell("-- people: give %s a new refresh token", key.Name)
		secret.Data["refresh_token"] = []byte(w.server.seed())
		w.put(secret)
		w.oracle.disturb(key)
	}
}
