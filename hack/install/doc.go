// Package install holds the tests of the manifests in config, dist and dist/chart: each is put into a real kube-apiserver, and the
// operator runs there with exactly the rights that they give it.
package install
