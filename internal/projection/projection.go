// Package projection makes the workload Secret out of the stored token: keys, templates, metadata.
package projection

import (
	"cmp"
	"crypto/sha256"
	"encoding/json"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/fluent-credential/operator/api/v1alpha1"
	"github.com/fluent-credential/operator/internal/token"
)

// Values are what a template can use.
type Values struct {
	AccessToken   string
	TokenType     string
	Authorization string
	ExpiresAt     string // RFC 3339, UTC
	Scope         string
	Account       string
	RetailerID    string
	Roles         []string
	Extra         map[string]string
}

// NewValues returns the values of a token. It cleans the type too: a stored one may be older than the cleaning of
// replies.
func NewValues(access token.Secret, tokenType string, expires time.Time) Values {
	scheme := token.Scheme(tokenType)
	return Values{
		AccessToken: access.Reveal(), TokenType: scheme, Authorization: scheme + " " + access.Reveal(),
		ExpiresAt: expires.UTC().Format(time.RFC3339),
	}
}

// Workload is the workload Secret as it should be.
type Workload struct {
	Namespace, Name string
	Type            string
	Labels          map[string]string
	Annotations     map[string]string
	Serial          int64
	Data            map[string][]byte
	Owner           Owner
	// Source is the UID of the FluentCredential whose token it is, where that is not the owner; a serial is of one source only.
	Source types.UID
}

// Owner is the object that the Secret is written for, and goes with.
type Owner struct {
	Kind Kind
	Name string
	UID  types.UID
}

// Kind is a kind of object that Secrets are written for.
type Kind string

// The kinds.
const (
	Credential Kind = "FluentCredential"
	Token      Kind = "FluentToken"
)

// marks are, for each kind, the label whose value is the owner's UID, and the annotation whose value is its name.
var marks = map[Kind]struct{ label, annotation string }{
	Credential: {v1alpha1.CredentialLabel, v1alpha1.CredentialAnnotation},
	Token:      {v1alpha1.TokenLabel, v1alpha1.TokenAnnotation},
}

// Label is the label of the owner's Secrets; its value is the owner's UID.
func (o Owner) Label() string { return marks[o.Kind].label }

// Annotation is the annotation of the owner's Secrets; its value is the owner's name.
func (o Owner) Annotation() string { return marks[o.Kind].annotation }

// IsFormer reports whether a reference is to the owner or to a former object of the owner's kind and name. Other
// references belong to others, even if they are to an object of the same kind.
func (o Owner) IsFormer(reference metav1.OwnerReference) bool {
	group, _, _ := strings.Cut(reference.APIVersion, "/")
	return group == v1alpha1.GroupVersion.Group && reference.Kind == string(o.Kind) && reference.Name == o.Name
}

// metadata adds what every workload Secret carries to what the user wants. Ours wins, and what is called like ours is ours alone: by
// those keys the operator knows its Secrets.
func (w Workload) metadata() (labels, annotations map[string]string) {
	labels, annotations = map[string]string{}, map[string]string{}
	maps.Copy(labels, w.Labels)
	maps.DeleteFunc(labels, isKept)
	labels[v1alpha1.ManagedByLabel] = v1alpha1.OperatorName
	labels[w.Owner.Label()] = string(w.Owner.UID)
	maps.Copy(annotations, w.Annotations)
	maps.DeleteFunc(annotations, isKept)
	annotations[w.Owner.Annotation()] = w.Owner.Name
	if w.Source != "" {
		annotations[v1alpha1.SourceAnnotation] = string(w.Source)
	}
	annotations[v1alpha1.SerialAnnotation] = strconv.FormatInt(w.Serial, 10)
	return labels, annotations
}

func isKept(key, _ string) bool { return strings.HasPrefix(key, v1alpha1.GroupVersion.Group+"/") }

// Secret is the whole object; with a resourceVersion it replaces exactly that version.
func (w Workload) Secret(resourceVersion string) *corev1.Secret {
	labels, annotations := w.metadata()
	yes := true
	return &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: w.Namespace, Name: w.Name, ResourceVersion: resourceVersion, Labels: labels, Annotations: annotations,
			OwnerReferences: []metav1.OwnerReference{{
				APIVersion: v1alpha1.GroupVersion.String(), Kind: string(w.Owner.Kind), Name: w.Owner.Name, UID: w.Owner.UID,
				Controller: &yes, BlockOwnerDeletion: &yes,
			}},
		},
		Type: corev1.SecretType(w.Type),
		Data: maps.Clone(w.Data),
	}
}

// Matches tells whether a Secret that was read holds all that is wanted.
func (w Workload) Matches(secret *corev1.Secret) bool {
	labels, annotations := w.metadata()
	if !contains(secret.Labels, labels) || !contains(secret.Annotations, annotations) || !ownedBy(secret, w.Owner.UID) {
		return false
	}
	if cmp.Or(string(secret.Type), opaque) != cmp.Or(w.Type, opaque) {
		return false
	}
	for key, value := range w.Data {
		if have, ok := secret.Data[key]; !ok || string(have) != string(value) {
			return false
		}
	}
	return true
}

// Digest is a name of all that is wanted: the same digest, the same Secret.
func (w Workload) Digest() string {
	labels, annotations := w.metadata()
	encoded, _ := json.Marshal([]any{w.Namespace, w.Name, w.Type, labels, annotations, w.Data, w.Owner}) // plain data always encodes
	sum := sha256.Sum256(encoded)
	return string(sum[:])
}

// opaque is what an empty type means to Kubernetes.
const opaque = string(corev1.SecretTypeOpaque)

func contains(have, want map[string]string) bool {
	for key, value := range want {
		if found, ok := have[key]; !ok || found != value {
			return false
		}
	}
	return true
}

func ownedBy(secret *corev1.Secret, uid types.UID) bool {
	return slices.ContainsFunc(secret.OwnerReferences, func(reference metav1.OwnerReference) bool { return reference.UID == uid })
}
