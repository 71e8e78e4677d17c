package main

// set is one binary that is installed under the name of every program it holds.
type set struct {
	name     string // of its package here
	title    string // in messages
	programs []string
	stamp    string // the file beside the programs that holds the fingerprint they were built from
	modfile  string // what they are built from: go.mod, or another one beside it
}

// The sets. Tests and the demo need the first only, so they do not wait for the second.
var sets = map[string]set{
	"controlplane": {
		name: "controlplane", title: "the control plane", stamp: ".stamp",
		programs: []string{"etcd", "kube-apiserver", "kubectl"}, // what envtest looks for
	},
	"node": {
		name: "node", title: "the node", stamp: ".stamp-node",
		programs: []string{"kube-controller-manager", "kube-scheduler", "kube-proxy", "kubelet"},
	},
}

func (s set) pkg() string { return "./" + s.name }
