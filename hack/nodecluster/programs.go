//go:build linux

package nodecluster

import (
	"path/filepath"
)

// programs are what a node runs. Each waits for those that it needs, or is started again.
func programs(dir string) []program {
	in := func(elements ...string) string { return filepath.Join(append([]string{dir}, elements...)...) }
	kubernetes := func(name string, args ...string) program { return program{name, in("k8s", name), args} }
	return []program{
		kubernetes("etcd", "--data-dir="+in("etcd"), "--unsafe-no-fsync", "--log-level=warn"),
		kubernetes("kube-apiserver", apiServerFlags(in)...),
		kubernetes("kube-controller-manager", "--kubeconfig="+in("kube-controller-manager.kubeconfig"),
			"--root-ca-file="+in("pki", "ca.crt"), "--service-account-private-key-file="+in("pki", "service-account.key"),
			"--use-service-account-credentials", "--leader-elect=false", "--bind-address=127.0.0.1",
			"--flex-volume-plugin-dir="+in("volume-plugins")), // it makes the directory
		kubernetes("kube-scheduler", "--kubeconfig="+in("kube-scheduler.kubeconfig"), "--leader-elect=false", "--bind-address=127.0.0.1"),
		kubernetes("kube-proxy", "--config="+in("kube-proxy.yaml")),
		{"containerd", "containerd", []string{"--config", in("containerd.toml")}},
		kubernetes("kubelet", "--config="+in("kubelet.yaml"), "--kubeconfig="+in("kubelet.kubeconfig"),
			"--hostname-override="+nodeName, "--node-ip="+nodeIP),
	}
}

func apiServerFlags(in func(...string) string) []string {
	pki := func(name string) string { return in("pki", name) }
	return []string{
		"--etcd-servers=http://127.0.0.1:2379", "--secure-port=6443", "--advertise-address=" + nodeIP,
		"--service-cluster-ip-range=" + serviceCIDR, "--allow-privileged",
		"--authorization-mode=Node,RBAC", "--enable-admission-plugins=NodeRestriction",
		"--client-ca-file=" + pki("ca.crt"),
		"--tls-cert-file=" + pki("kube-apiserver.crt"), "--tls-private-key-file=" + pki("kube-apiserver.key"),
		"--kubelet-preferred-address-types=InternalIP", // there is no DNS that knows the node's name
		"--kubelet-client-certificate=" + pki("admin.crt"), "--kubelet-client-key=" + pki("admin.key"),
		"--service-account-issuer=https://kubernetes.default.svc",
		"--service-account-key-file=" + pki("service-account.key"),
		"--service-account-signing-key-file=" + pki("service-account.key"),
	}
}
