package cli

import (
	"context"

	"github.com/spf13/pflag"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/fluent-credential/operator/api/v1alpha1"
	"github.com/fluent-credential/operator/internal/projection"
)

// metadataPolicy is which domains the labels and annotations of a target may have: what the flag says, or what the
// operator that serves the namespace was told.
type metadataPolicy struct {
	domains []string
	flags   *pflag.FlagSet
}

const metadataFlag = "allowed-target-metadata"

func (o *metadataPolicy) addMetadataFlag(flags *pflag.FlagSet) {
	o.flags = flags
	flags.StringSliceVar(&o.domains, metadataFlag, nil, "Domains that labels and annotations of spec.target may have, as the "+
		"operator's flag of this name; by default what the operator in the cluster has.")
}

// domainsOf returns the domains for a namespace, and where they come from.
func (o *metadataPolicy) domainsOf(
	ctx context.Context, from client.Reader, namespace string,
) (projection.Domains, string) {
	if o.flags.Changed(metadataFlag) {
		return o.domains, "the flags"
	}
	operators, err := findOperators(ctx, from)
	if err != nil {
		return nil, guessed
	}
	for _, each := range trusted(ctx, from, operators) {
		if each.serves(namespace) {
			return each.flags.metadata, "Deployment " + each.name()
		}
	}
	return nil, "the default"
}

// checkMetadata finds labels and annotations that the operator does not put on the target Secret.
func (f *findings) checkMetadata(target v1alpha1.TargetSpec, domains projection.Domains, source string) {
	ignored := domains.Ignored(target)
	switch {
	case ignored == "":
	case source == guessed:
		f.skip("%s (policy of %s)", ignored, source)
	default:
		f.warn(advice[v1alpha1.ReasonMetadataNotAllowed], "%s (policy of %s)", ignored, source)
	}
}
