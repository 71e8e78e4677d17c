//go:build e2e

package e2e

import (
	"encoding/json"
	"fmt"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/fluent-credential/operator/hack/e2e/consumer"
)

func to[T any](value T) *T { return &value }

// pod is one container that satisfies the Pod Security Standard "restricted".
func (s *tenant) pod(name, image string, args ...string) *corev1.Pod {
	return &corev1.Pod{
		ObjectMeta: s.meta(name),
		Spec: corev1.PodSpec{
			TerminationGracePeriodSeconds: to(int64(1)),
			AutomountServiceAccountToken:  to(false),
			DNSPolicy:                     corev1.DNSDefault, // there is no DNS
			SecurityContext: &corev1.PodSecurityContext{
				RunAsNonRoot:   to(true),
				SeccompProfile: &corev1.SeccompProfile{Type: corev1.SeccompProfileTypeRuntimeDefault},
			},
			Containers: []corev1.Container{{
				Name: name, Image: image, ImagePullPolicy: corev1.PullNever, Args: args,
				SecurityContext: &corev1.SecurityContext{
					AllowPrivilegeEscalation: to(false), ReadOnlyRootFilesystem: to(true),
					Capabilities: &corev1.Capabilities{Drop: []corev1.Capability{"ALL"}},
				},
			}},
		},
	}
}

func mount(pod *corev1.Pod, name, path string, source corev1.VolumeSource) {
	pod.Spec.Volumes = append(pod.Spec.Volumes, corev1.Volume{Name: name, VolumeSource: source})
	container := &pod.Spec.Containers[0]
	container.VolumeMounts = append(container.VolumeMounts, corev1.VolumeMount{Name: name, MountPath: path, ReadOnly: true})
}

// secretVolume is how most pods mount a token.
func secretVolume(name string) corev1.VolumeSource {
	return corev1.VolumeSource{Secret: &corev1.SecretVolumeSource{SecretName: name}}
}

// projectedVolume is how pods mount a token beside something else.
func projectedVolume(name string) corev1.VolumeSource {
	return corev1.VolumeSource{Projected: &corev1.ProjectedVolumeSource{Sources: []corev1.VolumeProjection{
		{Secret: &corev1.SecretProjection{LocalObjectReference: corev1.LocalObjectReference{Name: name}}},
	}}}
}

// startConsumer starts a workload that calls the server with the token it mounts, all the time.
func (s *tenant) startConsumer(t *testing.T, name string, token corev1.VolumeSource) {
	t.Helper()
	s.createConsumer(t, name, token)
	s.awaitPod(t, name)
}

func (s *tenant) createConsumer(t *testing.T, name string, token corev1.VolumeSource) {
	t.Helper()
	pod := s.pod(name, "localhost/consumer:1", "--url="+s.url+"/api/ping", "--ca=/ca/ca.crt")
	mount(pod, "token", "/var/run/token", token)
	mount(pod, "ca", "/ca", corev1.VolumeSource{ConfigMap: &corev1.ConfigMapVolumeSource{
		LocalObjectReference: corev1.LocalObjectReference{Name: "authsim-ca"},
	}})
	s.create(t, pod)
}

// awaitPod waits until the pod is ready and returns it.
func (s *tenant) awaitPod(t *testing.T, name string) corev1.Pod {
	t.Helper()
	var pod corev1.Pod
	eventually(t, "pod "+name+" is ready", func() error {
		if err := s.Get(t.Context(), client.ObjectKey{Namespace: s.namespace, Name: name}, &pod); err != nil {
			return err
		}
		for _, condition := range pod.Status.Conditions {
			if condition.Type == corev1.PodReady && condition.Status == corev1.ConditionTrue {
				return nil
			}
		}
		return fmt.Errorf("its phase is %s", pod.Status.Phase)
	})
	return pod
}

// report asks a consumer what it saw.
func (s *tenant) report(t *testing.T, name string) consumer.Report {
	t.Helper()
	var report consumer.Report
	eventually(t, "the report of "+name, func() error {
		text, err := s.typed.CoreV1().RESTClient().Get().Namespace(s.namespace).Resource("pods").
			Name(name + ":8080").SubResource("proxy").Suffix("report").DoRaw(t.Context())
		if err != nil {
			return err
		}
		report = consumer.Report{}
		return json.Unmarshal(text, &report)
	})
	return report
}
