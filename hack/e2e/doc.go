// Package e2e installs the operator from dist/install.yaml on a real node and tests what people get: pods that mount Secrets and call
// an API with what they read. "make e2e" runs it; it needs root and is built with the tag e2e only.
//
// A scenario is a file with one function, and one line in scenarios_test.go. Each makes a namespace of its own with an authorization
// server of its own (newTenant), so that none sees another's faults. What they share is the node, the operator, and the steady
// workloads, which call their API from the first scenario to the last but one, and may not be refused once.
package e2e
