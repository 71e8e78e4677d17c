package cli

import (
	"context"
	"errors"

	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/fluent-credential/operator/api/v1alpha1"
	"github.com/fluent-credential/operator/internal/binding"
	"github.com/fluent-credential/operator/internal/projection"
)

// Manifests can be checked without a cluster. Checks that need one are then reported as skipped, never as a fault of
// the manifest.

// reach is the cluster, if it can be asked. If it cannot, the error is not nil, and the client returns that error at
// once for every request: otherwise each request would wait for the cluster again.
func (s *session) reach() (client.Client, error) {
	cluster, err := s.client()
	if err != nil {
		return absent{}, err
	}
	kind := v1alpha1.GroupVersion.WithKind("FluentCredential")
	if _, err = cluster.RESTMapper().RESTMapping(kind.GroupKind(), kind.Version); troubleOf(err).isAway() {
		return absent{}, err
	}
	return cluster, nil
}

// absent is the client of a cluster that cannot be asked.
type absent struct{ client.Client }

var errAbsent = errors.New("the cluster cannot be asked")

// Get returns the error.
func (absent) Get(context.Context, client.ObjectKey, client.Object, ...client.GetOption) error {
	return errAbsent
}

// List returns the error.
func (absent) List(context.Context, client.ObjectList, ...client.ListOption) error { return errAbsent }

// Create returns the error.
func (absent) Create(context.Context, client.Object, ...client.CreateOption) error { return errAbsent }

// reportAbsence reports why the cluster could not be asked.
func (f *findings) reportAbsence(err error) {
	what := troubleOf(err)
	f.about("cluster")
	if why, isAbsent := absences[what]; isAbsent {
		f.warn(hints[what], "%s: %s; what needs the cluster was not looked at", why, err)
	}
}

// absences are short texts for the reasons why a cluster cannot be asked.
var absences = map[trouble]string{
	noConfig:      "no cluster is named",
	noCredentials: "there are no credentials for the cluster",
	unknownUser:   "the API server does not know you",
	notTrusted:    "the cluster cannot be asked, since a certificate is not accepted",
	notReachable:  "the cluster is not reachable",
}

// judge reports the API server's answer to the dry run of a manifest, and whether the server judged the manifest at
// all.
func (f *findings) judge(err error) (judged bool) {
	switch what := troubleOf(err); what {
	case noTrouble:
		f.ok("the API server accepts it")
		return true
	case refusedObject:
		f.fail("Correct the manifest.", "the API server refuses it: %s", err)
		return true
	case unknownKind:
		f.fail(installAdvice,
			"this cluster does not know the kind: its CRD is not installed, or is older than this command")
	case noNamespace:
		f.fail("Create the namespace, or choose another with -n.", "the API server did not judge it: %s", err)
	case forbidden:
		f.skip("you may not create it, so the API server did not judge it: %s", err)
	case noConfig, noCredentials, notReachable, notTrusted, unknownUser, notFound, cannotNow, interruptedNow:
		f.skip("the API server did not judge it: %s", err)
	}
	return false
}

// checkSpec finds what admission would refuse, without a request to the cluster.
func (f *findings) checkSpec(name string, target v1alpha1.TargetSpec, others ...string) {
	problems := append(projection.Problems(name, target), others...)
	for _, problem := range problems {
		f.fail("Correct the manifest.", "it would be refused: %s", problem)
	}
	if len(problems) == 0 {
		f.ok("nothing in its names would be refused")
	}
}

// checkReference rejects a Secret that no credentials are read from.
func (i *inspection) checkReference(why string) {
	i.fail(adviceFor(v1alpha1.ReasonReferenceNotAllowed, i.cred), "%s", why)
}

// namesOf returns the problems of a spec's names other than the target's.
func namesOf(spec v1alpha1.FluentCredentialSpec) []string {
	var found []string
	for _, problem := range binding.ReferenceProblems(spec.CredentialsSecretRef) {
		found = append(found, "spec.credentialsSecretRef."+problem)
	}
	found = append(found, projection.SizeProblems(spec.Target)...)
	return append(found, restartProblems(spec.Delivery)...)
}

func restartProblems(spec v1alpha1.DeliverySpec) []string {
	var found []string
	for _, each := range spec.Restart {
		for _, problem := range projection.NameProblems(each.Name) {
			found = append(found, "spec.delivery.restart: "+each.Name+": "+problem)
		}
	}
	return found
}
