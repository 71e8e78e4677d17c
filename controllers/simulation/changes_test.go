package simulation

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/fluent-credential/operator/api/v1alpha1"
)

// change changes what a replica cannot change: the spec, the login, or what another version of the operator wrote.
func (w *world) change() {
	pick := w.dice.choose("change", len(changes))
	if pick == 0 {
		return
	}
	key := w.setup.credentials[w.dice.among("what changes", len(w.setup.credentials))]
	w.counts.acts++
	w.tell("!! people: %s (%s)", changes[pick-1].name, key.Name)
	changes[pick-1].do(w, key)
}

var changes = []act{
	{"change the lead", func(w *world, key types.NamespacedName) {
		w.changeCredential(key, func(cred *v1alpha1.FluentCredential) {
			if cred.Spec.Refresh.Before = nil; w.dice.among("lead", 2) == 0 {
				cred.Spec.Refresh.Before = &metav1.Duration{Duration: w.setup.dialect.life / 4}
			}
		})
		w.oracle.disturb(key)
	}},
	{"change what is done about lost replies", func(w *world, _ types.NamespacedName) {
		policies := []v1alpha1.LostReplyPolicy{
			v1alpha1.LostReplyAuto, v1alpha1.LostReplyRetry, v1alpha1.LostReplyReauthenticate, v1alpha1.LostReplyStop,
		}
		w.setPolicy(policies[w.dice.among("policy", len(policies))])
	}},
	{"change the scope", func(w *world, key types.NamespacedName) {
		w.changeCredential(key, func(cred *v1alpha1.FluentCredential) {
			cred.Spec.Scope = map[string]string{"": "read", "read": ""}[cred.Spec.Scope]
		})
		w.oracle.moved(key)
	}},
	{"change the path of the endpoint", func(w *world, key types.NamespacedName) {
		if w.setup.shared && !w.setup.renews {
			return // no guard knows that two endpoints take one seed
		}
		at := w.setup.addressOf(key)
		w.changeCredential(key, func(cred *v1alpha1.FluentCredential) {
			if other := cred.Spec.Provider.OAuth2; other != nil {
				other.TokenURL = toggled(other.TokenURL, v1alpha1.TokenURL(at+"/oauth/token"), v1alpha1.TokenURL(at+"/v2/token"))
			} else {
				base := &cred.Spec.Provider.Fluent.BaseURL
				*base = toggled(*base, v1alpha1.BaseURL(at), v1alpha1.BaseURL(at+"/eu"))
			}
		})
		w.oracle.moved(key)
	}},
	{"log in as another user", func(w *world, key types.NamespacedName) {
		secret := w.secret(loginOf(key))
		if secret == nil || !w.setup.renews {
			return
		}
		secret.Data["username"] = []byte(toggled(string(secret.Data["username"]), "user", "other"))
		w.put(secret)
		w.oracle.moved(key)
	}},
	{"change the client's secret", func(w *world, key types.NamespacedName) {
		if secret := w.secret(loginOf(key)); secret != nil {
			secret.Data["client_secret"] = []byte(toggled(string(secret.Data["client_secret"]), secretOf("client"), secretOf("client-2")))
			w.put(secret)
		}
	}},
	{"give another refresh token", func(w *world, key types.NamespacedName) {
		if !w.setup.renews && !w.setup.shared {
			w.reseed(key)
		}
	}},
	{"restart with a newer version that writes more", func(w *world, key types.NamespacedName) {
		w.rewriteState(key, func(fields map[string]any) { fields["future"] = map[string]any{"of": "another version"} })
	}},
	{"restart with an older version that writes less", func(w *world, key types.NamespacedName) {
		w.rewriteState(key, func(fields map[string]any) {
			for _, part := range []string{"token", "chain", "claim", "failure"} {
				known, ok := fields[part].(map[string]any)
				if !ok {
					continue
				}
				for _, name := range []string{"schedule", "latest", "doneBefore", "login", "class", "subject", "first", "tries", "stalled"} {
					if part != "failure" || name != "login" {
						delete(known, name)
					}
				}
			}
			delete(fields, "reference")
		})
	}},
}

func toggled[T ~string](now, one, other T) T {
	if now == one {
		return other
	}
	return one
}

// rewriteState lets another version of the operator write the state: the same tokens and the same serial.
func (w *world) rewriteState(key types.NamespacedName, change func(map[string]any)) {
	if secret := w.stateOf(key); secret != nil && string(secret.Data["checksum"]) != "edited" {
		rewrite(secret, change)
		w.put(secret)
	}
}

// setPolicy changes onLostReply of all credentials.
func (w *world) setPolicy(policy v1alpha1.LostReplyPolicy) {
	w.oracle.formerly = append(w.oracle.formerly, formerPolicy{w.setup.policy, w.now()})
	w.setup.policy = policy
	for _, key := range w.setup.credentials {
		w.changeCredential(key, func(cred *v1alpha1.FluentCredential) { cred.Spec.Refresh.OnLostReply = policy })
	}
}

// formerPolicy was in effect until a moment. A replica whose watch brings nothing goes on with it for some time.
type formerPolicy struct {
	policy v1alpha1.LostReplyPolicy
	until  time.Duration
}

// policies are those that a replica may act on.
func (o *oracle) policies() []v1alpha1.LostReplyPolicy {
	found := []v1alpha1.LostReplyPolicy{o.world.setup.policy}
	for _, former := range o.formerly {
		if o.world.now()-former.until < 10*time.Minute || o.isFrozenSince(former.until) {
			found = append(found, former.policy)
		}
	}
	return found
}

// isFrozenSince reports whether the pass that runs began before a moment.
func (o *oracle) isFrozenSince(at time.Duration) bool {
	running := o.world.running
	return running != nil && running.begun <= at
}

// moved begins an epoch: what is stored belongs to another spec or login. A token whose claim was made since ends it.
func (o *oracle) moved(key types.NamespacedName) {
	o.about[key].changed = len(o.world.cluster.history)
	o.about[key].changedLast = o.about[key].changed
	o.about[key].loses(byPeople)
	o.disturb(key)
}

// reflag gives a replica other flags at its restart, or another version's log.
func (r *replica) reflag() {
	w := r.world
	switch w.dice.choose("flags", 4) {
	case 1:
		w.tell("!! %s restarts without a log, or with one again", r.name)
		r.withoutLog = !r.withoutLog
		for _, c := range w.oracle.order {
			if c.by.replica == r.name && !c.moved {
				c.lose("people turned the log off")
			}
		}
	case 2:
		w.tell("!! %s restarts with another key of the log", r.name)
		r.key = bytes.Clone(r.journalKey())
		r.key[0]++
	case 3:
		w.tell("!! the log of %s is of another version", r.name)
		for _, f := range slices.Concat(r.disk.now, r.disk.durable) {
			if f.isReply() && bytes.HasPrefix(f.content, []byte("fcj1")) {
				f.content = append([]byte("fcj2"), f.content[4:]...)
				f.synced = append([]byte("fcj2"), f.synced[min(4, len(f.synced)):]...)
			}
		}
	case 4:
		w.tell("!! %s restarts with more exchanges at a time, or less", r.name)
		r.exchanges = 3 - r.exchanges
	default:
		return
	}
	w.oracle.crashed(r)
}

func (r *replica) journalKey() []byte {
	if r.key == nil {
		return journalKey
	}
	return r.key
}

// logs reports whether a replica has a log.
func (r *replica) logs() bool { return r.world.setup.journal && !r.withoutLog }

// flags are those of a replica, which a restart can change.
type flags struct {
	withoutLog bool
	key        []byte // of the log; nil: the usual one
	exchanges  int    // more than usual, at a time
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
