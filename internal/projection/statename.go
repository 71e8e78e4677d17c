package projection

import (
	"strings"

	"github.com/fluent-credential/operator/api/v1alpha1"
)

// IsStateName tells whether the state Secret of some FluentCredential may have that name, be it of one that is still to come.
func IsStateName(name string) bool {
	return strings.HasSuffix(name, v1alpha1.StateSuffix) || strings.HasSuffix(name, v1alpha1.AlternateStateSuffix)
}
