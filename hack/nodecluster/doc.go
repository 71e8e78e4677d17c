// Package nodecluster runs a cluster with one real node on this machine: etcd, kube-apiserver, kube-controller-manager,
// kube-scheduler, kube-proxy, containerd and kubelet, with pods that run. It needs Linux and root.
//
// All of it lives in namespaces of its own (mount, network, PID, IPC, UTS). So the node's interfaces, firewall rules,
// mounts and processes are nobody else's, its pods reach nothing but each other, and all of that is gone the moment the
// first process in there ends: when Node.Stop is called, or when the program that started it dies, however it dies. Two
// things outlive that moment: the node's directory in [Root], and its empty cgroups. Stop removes them, and so does
// [RemoveDead] for nodes whose program was killed; Start calls it first.
//
// On the outside there is one loopback port, behind which the API server answers.
//
// A program that starts a Node has to call [Enter] first thing in main.
//
// There is no DNS in this cluster, and nothing enforces a NetworkPolicy.
package nodecluster
