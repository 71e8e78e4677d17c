package controllers

import (
	"strconv"
	"testing"

	corev1 "k8s.io/api/core/v1"

	"github.com/fluent-credential/operator/api/v1alpha1"
	"github.com/fluent-credential/operator/internal/custody"
	"github.com/fluent-credential/operator/internal/plan"
)

// TestNoAnnotationTurnsTheGuardOff: whatever a person writes, the serial that is published afterwards is believed, and a replica with an old
// state does not publish over it.
func TestNoAnnotationTurnsTheGuardOff(t *testing.T) {
	t.Parallel()
	const leap = 1 << 32
	cases := map[string]struct {
		annotated []int64
		want      int64
		why       string
	}{
		"some more":                   {[]int64{99}, 100, "it can have been counted by somebody, and what follows must not be less"},
		"the longest leap":            {[]int64{leap + 1}, leap + 2, "likewise"},
		"more than can be counted":    {[]int64{leap + 2}, 1, "it is an edit, and is written over"},
		"the bound":                   {[]int64{custody.MostSerial}, 1, "raised above it, the state's own serial would count as none"},
		"just below the bound":        {[]int64{custody.MostSerial - 1}, 1, "likewise"},
		"above the bound":             {[]int64{custody.MostSerial + 1}, 1, "nobody counted that"},
		"again and again, each a bit": {[]int64{leap, 2 * leap, 3 * leap}, 3*leap + 1, "it stays far below the bound"},
	}
	for name, test := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := newDriven(t, nil)
			d.settle()
			for _, serial := range test.annotated {
				edit(t, secret(t, d.cred.Namespace, d.cred.TargetName()), func(s *corev1.Secret) {
					s.Annotations[v1alpha1.SerialAnnotation] = strconv.FormatInt(serial, 10)
				})
				d.memory = newMemory() // as another replica, which knows nothing of what was published
				d.settle()
			}
			published := secret(t, d.cred.Namespace, d.cred.TargetName())
			if got := published.Annotations[v1alpha1.SerialAnnotation]; got != strconv.FormatInt(test.want, 10) {
				t.Errorf("published %s, want %d: %s", got, test.want, test.why)
			}
			if test.want == 1 {
				return
			}
			behind := workload{wanted: nil, found: true, ours: true, serial: serialOf(published)}
			if got := behind.against(1); got != plan.Newer {
				t.Errorf("a replica with the state of serial 1 sees %q", got)
			}
		})
	}
}

func TestUnitEditedStatusDoesNotEndTheCounting(t *testing.T) {
	s := newScene(t)
	s.cred.Status.Token = &v1alpha1.TokenStatus{Serial: custody.MostSerial}
	if got := s.witnessed(); got != 0 {
		t.Errorf("a serial of %d out of an edited status is believed", got)
	}
}
