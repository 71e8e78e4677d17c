package v1alpha1

// DeliverySpec says how a new token reaches its consumers sooner than they would find it by themselves. All of it is best effort: it
// never delays or fails a rotation.
type DeliverySpec struct {
	// nudgePods touches the pods that mount the workload Secret, by an annotation, so that the kubelet refreshes their volume at once
	// and not within a minute or so. Where it is not set, it is done if the operator has the permission.
	// +optional
	NudgePods *bool `json:"nudgePods,omitempty"`
	// restart names workloads, in the same namespace, to roll when the token changes: for consumers that read it from an environment
	// variable. Never at the first publication; changes that come close together make one restart.
	// +listType=map
	// +listMapKey=kind
	// +listMapKey=name
	// +kubebuilder:validation:MaxItems=16
	// +optional
	Restart []RestartReference `json:"restart,omitempty"`
}

// RestartReference names a workload in the namespace of the object that names it.
type RestartReference struct {
	// kind of the workload, of the group apps.
	Kind RestartKind `json:"kind"`
	// name of the workload.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:Pattern=`^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$`
	Name string `json:"name"`
}

// RestartKind is a kind of workload that can be rolled.
//
// +kubebuilder:validation:Enum=Deployment;StatefulSet;DaemonSet
type RestartKind string

// The kinds of workloads that can be rolled.
const (
	RestartDeployment  RestartKind = "Deployment"
	RestartStatefulSet RestartKind = "StatefulSet"
	RestartDaemonSet   RestartKind = "DaemonSet"
)

// WantsNudge tells whether pods are to be touched: unless somebody says no.
func (d DeliverySpec) WantsNudge() bool { return d.NudgePods == nil || *d.NudgePods }

// InsistsOnNudge tells whether somebody asked for it in so many words, and wants to know where it cannot be done.
func (d DeliverySpec) InsistsOnNudge() bool { return d.NudgePods != nil && *d.NudgePods }
