//go:build linux

package nodecluster

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"embed"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"text/template"

	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
)

// PauseName is the image that holds the namespaces of every pod.
const PauseName = "localhost/pause:1"

//go:embed config/*
var configFiles embed.FS

// configure writes everything that the node's programs read.
func (n *Node) configure(server, assets string) error {
	for _, dir := range []string{"k8s", "pki", "log", "pid", "var-lib", "var-log", "cni"} {
		if err := os.Mkdir(filepath.Join(n.Dir, dir), 0o755); err != nil {
			return err
		}
	}
	if err := os.Setenv(assetsVariable, assets); err != nil { // the supervisor inherits it
		return err
	}
	return errors.Join(n.writeIdentities(server), n.writeConfigs(), n.writeKernelSettings())
}

// user is somebody who talks to the API server.
type user struct {
	file, name, group string
	server            string
}

// writeIdentities makes a certificate and a kubeconfig for everybody who talks to the API server, and what it needs itself.
func (n *Node) writeIdentities(server string) error {
	pki := filepath.Join(n.Dir, "pki")
	ca, err := newAuthority(pki)
	if err != nil {
		return err
	}
	inside := "https://" + apiServerAddress
	for _, user := range []user{
		{"admin", "admin", "system:masters", server},
		{"kube-controller-manager", "system:kube-controller-manager", "", inside},
		{"kube-scheduler", "system:kube-scheduler", "", inside},
		{"kube-proxy", "system:kube-proxy", "", inside},
		{"kubelet", "system:node:" + nodeName, "system:nodes", inside},
	} {
		if err := errors.Join(ca.issue(user.file, user.name, []string{user.group}), n.writeKubeconfig(user)); err != nil {
			return err
		}
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	return errors.Join(
		writeKey(filepath.Join(pki, "service-account.key"), key),
		ca.issue("kube-apiserver", "kube-apiserver", nil, "127.0.0.1", nodeIP, apiServiceIP, "localhost", "kubernetes.default.svc"),
	)
}

// writeKubeconfig writes <file>.kubeconfig, for the administrator just kubeconfig, that needs no other file.
func (n *Node) writeKubeconfig(user user) error {
	var authority, certificate, key []byte
	for file, content := range map[string]*[]byte{"ca.crt": &authority, user.file + ".crt": &certificate, user.file + ".key": &key} {
		var err error
		if *content, err = os.ReadFile(filepath.Join(n.Dir, "pki", file)); err != nil {
			return err
		}
	}
	config := clientcmdapi.NewConfig()
	config.Clusters[nodeName] = &clientcmdapi.Cluster{Server: user.server, CertificateAuthorityData: authority}
	config.AuthInfos[user.file] = &clientcmdapi.AuthInfo{ClientCertificateData: certificate, ClientKeyData: key}
	config.Contexts[nodeName] = &clientcmdapi.Context{Cluster: nodeName, AuthInfo: user.file}
	config.CurrentContext = nodeName
	path := filepath.Join(n.Dir, user.file+".kubeconfig")
	if user.file == "admin" {
		path = n.Kubeconfig
	}
	return clientcmd.WriteToFile(*config, path)
}

// writeConfigs fills in the files of config.
func (n *Node) writeConfigs() error {
	plugins, err := cniPlugins()
	if err != nil {
		return err
	}
	values := map[string]string{
		"Dir": n.Dir, "ID": n.id, "CNI": plugins, "Pause": PauseName, "PodCIDR": podCIDR, "NodeName": nodeName,
		"Snapshotter": snapshotter(n.Dir),
	}
	templates, err := template.ParseFS(configFiles, "config/*")
	if err != nil {
		return err
	}
	for source, target := range map[string]string{
		"kubelet.yaml": "kubelet.yaml", "kube-proxy.yaml": "kube-proxy.yaml", "containerd.toml": "containerd.toml",
		"ptp.conflist": "cni/ptp.conflist", "resolv.conf": "resolv.conf",
	} {
		file, err := os.Create(filepath.Join(n.Dir, target))
		if err != nil {
			return err
		}
		if err := errors.Join(templates.ExecuteTemplate(file, source, values), file.Close()); err != nil {
			return fmt.Errorf("%s: %w", target, err)
		}
	}
	return nil
}

func (n *Node) writeKernelSettings() error {
	for name, value := range kernelSettings {
		path := filepath.Join(n.Dir, "sysctl", name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(path, []byte(value+"\n"), 0o644); err != nil {
			return err
		}
	}
	return nil
}
