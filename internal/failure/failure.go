// Package failure classifies failures by what has to change before the operation can work.
//
// The class determines when to act again. It does not cover the refresh token that was presented: the verdict
// (token.Verdict) says whether that may be spent. A time-out to a refresh token, for example, has the class Time and
// the verdict Unknown.
package failure

// Class is what a failure waits for.
type Class string

// The classes. Every failure has exactly one.
const (
	// Time failures pass by themselves. The operation is retried with exponential back-off.
	Time Class = "Time"
	// Input failures last until an object or a flag changes. The change is watched and acted on at once. Because the
	// change can be out of sight, for example in the API's own database, the operation is also probed slowly, unless a
	// probe could do harm.
	Input Class = "Input"
	// Person failures last until a person acts. Nothing that the operator could try would help, or would be safe.
	Person Class = "Person"
)

// Classes returns all classes in the order of their declaration.
func Classes() []Class { return []Class{Time, Input, Person} }

// Subject names what a failure of class Input or Person is about: the object or the flag to change.
type Subject string

// The subjects.
const (
	NoSubject         Subject = ""
	CredentialsSecret Subject = "CredentialsSecret" // spec.credentialsSecretRef, or the account that it names
	Spec              Subject = "Spec"              // the FluentCredential's own fields
	EndpointPolicy    Subject = "EndpointPolicy"    // --allowed-hosts, --insecure-http, and the host's addresses
	Endpoint          Subject = "Endpoint"          // the server behind the endpoint: its certificate, its redirect
	TargetSecret      Subject = "TargetSecret"      // spec.target.name
	StateSecret       Subject = "StateSecret"
	Cluster           Subject = "Cluster"      // RBAC, admission policies and quotas
	LogDirectory      Subject = "LogDirectory" // --journal-dir
)

// Subjects returns all subjects in the order of their declaration.
func Subjects() []Subject {
	return []Subject{
		NoSubject, CredentialsSecret, Spec, EndpointPolicy, Endpoint, TargetSecret, StateSecret, Cluster, LogDirectory,
	}
}

// Cause is the class of a failure with its subject. Only Passing, WaitsFor, WaitsForUnprobed and NeedsPerson create
// one. The zero value is Passing: an unclassified failure is retried.
type Cause struct {
	class    Class
	subject  Subject
	unprobed bool
}

// Passing is the cause of a failure that passes by itself.
func Passing() Cause { return Cause{class: Time} }

// WaitsFor is the cause of a failure that lasts until the subject changes. It is probed slowly.
func WaitsFor(subject Subject) Cause { return Cause{class: Input, subject: subject} }

// WaitsForUnprobed is WaitsFor without probes, because a probe could do harm: lock a user, or spend a refresh token in
// doubt.
func WaitsForUnprobed(subject Subject) Cause {
	return Cause{class: Input, subject: subject, unprobed: true}
}

// NeedsPerson is the cause of a failure that lasts until a person changes the subject.
func NeedsPerson(subject Subject) Cause { return Cause{class: Person, subject: subject} }

// Class returns the class.
func (c Cause) Class() Class {
	if c.class == "" {
		return Time
	}
	return c.class
}

// Subject returns the object or flag to change; NoSubject for a failure of class Time.
func (c Cause) Subject() Subject { return c.subject }

// IsProbed reports whether the operation is tried again without a change of the subject.
func (c Cause) IsProbed() bool { return c.Class() == Time || c.Class() == Input && !c.unprobed }
