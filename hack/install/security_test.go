package install

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// deployed is the operator's Deployment as it was installed.
func (c *cluster) deployed(t *testing.T) *appsv1.Deployment {
	t.Helper()
	deployment := &appsv1.Deployment{}
	if !c.get(t, deployment, system, operatorName) {
		t.Fatal("there is no Deployment")
	}
	return deployment
}

// TestPodSecurity puts the operator's pod, and less careful ones, before the API server's own admission of Pod Security Standards.
func TestPodSecurity(t *testing.T) {
	c := shared(t, byDefault)
	namespace := &corev1.Namespace{}
	if c.get(t, namespace, "", system); namespace.Labels["pod-security.kubernetes.io/enforce"] != "restricted" {
		t.Fatalf("the namespace is labelled %v", namespace.Labels)
	}
	yes := true
	tests := map[string]struct {
		why     string
		change  func(*corev1.PodSpec)
		refused bool
	}{
		"as it is":     {"the strictest standard is what it is made for", func(*corev1.PodSpec) {}, false},
		"as root":      {"so the standard is enforced", func(s *corev1.PodSpec) { s.SecurityContext.RunAsNonRoot = nil }, true},
		"escalating":   {"so the standard is enforced", func(s *corev1.PodSpec) { s.Containers[0].SecurityContext.AllowPrivilegeEscalation = &yes }, true},
		"capabilities": {"so the standard is enforced", func(s *corev1.PodSpec) { s.Containers[0].SecurityContext.Capabilities = nil }, true},
		"host's files": {"so the standard is enforced", func(s *corev1.PodSpec) {
			s.Volumes[0].VolumeSource = corev1.VolumeSource{HostPath: &corev1.HostPathVolumeSource{Path: "/"}}
		}, true},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			template := c.deployed(t).Spec.Template.DeepCopy()
			test.change(&template.Spec)
			pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: system, Name: "operator", Labels: template.Labels}, Spec: template.Spec}
			err := c.admin.Create(t.Context(), pod, client.DryRunAll)
			if refused := err != nil && strings.Contains(err.Error(), "PodSecurity"); refused != test.refused {
				t.Errorf("refused: %t, want %t (%s): %v", refused, test.refused, test.why, err)
			}
		})
	}
}

func TestContainerIsLocked(t *testing.T) {
	container := shared(t, byDefault).deployed(t).Spec.Template.Spec.Containers[0]
	if only := container.SecurityContext.ReadOnlyRootFilesystem; only == nil || !*only {
		t.Error("the root file system can be written")
	}
	if container.Resources.Requests.Memory().IsZero() || container.Resources.Requests.Cpu().IsZero() || container.Resources.Limits.Memory().IsZero() {
		t.Errorf("requests and limits: %+v", container.Resources)
	}
	for _, mount := range container.VolumeMounts {
		if mount.MountPath != "/var/lib/fluent-credential-operator/journal" {
			t.Errorf("writes to %s", mount.MountPath)
		}
	}
}

// TestSamplesApply puts every sample before the API server, in a namespace that enforces the strictest Pod Security Standard.
func TestSamplesApply(t *testing.T) {
	c := shared(t, byDefault)
	files, err := filepath.Glob(root("config", "samples", "*.yaml"))
	if err != nil || len(files) < 4 {
		t.Fatalf("%d samples: %v", len(files), err)
	}
	if out, err := c.kubectl(c.config, "", "apply", "-f", root("config", "samples", "namespace.yaml")); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	for _, file := range files {
		name := filepath.Base(file)
		if name == "kustomization.yaml" {
			continue
		}
		t.Run(name, func(t *testing.T) {
			if out, err := c.kubectl(c.config, "", "apply", "--server-side", "--dry-run=server", "--validate=strict", "-f", file); err != nil {
				t.Errorf("%v: %s", err, out)
			}
		})
	}
	all, err := kustomize("config", "samples")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		if name := filepath.Base(file); name != "kustomization.yaml" && !listed(t, name) {
			t.Errorf("%s is not in the kustomization", name)
		}
	}
	if out, err := c.kubectl(c.config, all, "apply", "--server-side", "--dry-run=server", "-f", "-"); err != nil {
		t.Errorf("%v: %s", err, out)
	}
}

func listed(t *testing.T, name string) bool {
	t.Helper()
	text, err := os.ReadFile(root("config", "samples", "kustomization.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	return strings.Contains(string(text), "- "+name+"\n")
}
