package controllers

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"sync"

	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/fluent-credential/operator/api/v1alpha1"
)

// known are the secrets of every server and login of the run.
var known struct {
	mu     sync.Mutex
	values []string
	hidden []string // those that no workload Secret may hold: refresh tokens, passwords, client secrets
}

func remember(values, hidden []string) {
	known.mu.Lock()
	defer known.mu.Unlock()
	known.values = append(known.values, values...)
	known.hidden = append(known.hidden, hidden...)
}

// leaks searches all that the run left behind, in the whole cluster: the log at the highest verbosity, the metrics, every
// FluentCredential and event for any secret, and every workload Secret for those that do not belong there.
func leaks() []string {
	found := inText("the log or the metrics", logs.text(), known.values)
	for _, list := range []client.ObjectList{&v1alpha1.FluentCredentialList{}, &eventsv1.EventList{}} {
		found = append(found, inText(fmt.Sprintf("%T", list), listed(list), known.values)...)
	}
	var secrets corev1.SecretList
	_ = listed(&secrets)
	for _, secret := range secrets.Items {
		if secret.Labels[v1alpha1.ManagedByLabel] == v1alpha1.OperatorName && secret.Type != v1alpha1.StateSecretType {
			text := fmt.Sprintf("%s %v %v", secret.Data, secret.Annotations, secret.Labels)
			found = append(found, inText("Secret "+secret.Name, text, known.hidden)...)
		}
	}
	return found
}

// listed is a whole list as the API server shows it.
func listed(list client.ObjectList) string {
	if err := live.List(context.Background(), list); err != nil {
		return ""
	}
	encoded, _ := json.Marshal(list)
	return string(encoded)
}

// judged is the exit code of the run: it fails when a secret got out.
func judged(code int) int {
	found := leaks()
	for _, leak := range found {
		fmt.Fprintln(os.Stderr, "LEAK:", leak)
	}
	if len(found) > 0 || code != 0 {
		return max(code, 1)
	}
	fmt.Printf("searched the log (%d bytes), metrics, conditions, events and workload Secrets of the run for %d secrets: none found\n",
		len(logs.text()), len(known.values))
	return 0
}
