package failure

import "testing"

func TestCauses(t *testing.T) {
	tests := map[string]struct {
		cause   Cause
		class   Class
		subject Subject
		probed  bool
		why     string
	}{
		"zero":     {Cause{}, Time, NoSubject, true, "a failure that nobody classified is retried"},
		"passing":  {Passing(), Time, NoSubject, true, "it passes by itself"},
		"input":    {WaitsFor(Spec), Input, Spec, true, "the change can be out of sight"},
		"unprobed": {WaitsForUnprobed(CredentialsSecret), Input, CredentialsSecret, false, "a probe could lock the user"},
		"person":   {NeedsPerson(StateSecret), Person, StateSecret, false, "nothing helps that the operator could try"},
	}
	for name, test := range tests {
		got := test.cause
		if got.Class() != test.class || got.Subject() != test.subject || got.IsProbed() != test.probed {
			t.Errorf("%s: %s, %q, probed %t: %s", name, got.Class(), got.Subject(), got.IsProbed(), test.why)
		}
	}
}
