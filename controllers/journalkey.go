package controllers

import (
	"context"
	"crypto/rand"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/fluent-credential/operator/api/v1alpha1"
	"github.com/fluent-credential/operator/internal/journal"
)

// journalKeyEntry is the entry of v1alpha1.JournalKeySecret that holds the key.
const journalKeyEntry = "key"

// openJournal opens the journal under the key that all replicas share, and takes the lock of this process in it.
func (r *Reconciler) openJournal(ctx context.Context, mgr ctrl.Manager, options Options) (*journal.Journal, error) {
	if options.JournalDir == "" {
		return nil, nil
	}
	key, err := journalKey(ctx, mgr.GetAPIReader(), mgr.GetClient(), options.Namespace)
	if err != nil {
		return nil, fmt.Errorf("the journal's key: %w", err)
	}
	watch := func(operation journal.Operation) func() { return r.Watchdog.Disk(string(operation)) }
	opened, err := journal.OpenWatched(options.JournalDir, key, watch)
	if err != nil {
		return nil, fmt.Errorf("--journal-dir: %w", err)
	}
	if options.JournalSize > 0 {
		opened.Limit(journal.LimitsOf(options.JournalSize, options.MaxConcurrentExchanges))
	}
	if err := opened.Hold(r.Holder.Start); err != nil {
		ctrl.LoggerFrom(ctx).Info("No lock proves the end of this process to the next one; "+
			"that one waits until what this one began must have ended",
			"because", journal.Classify(journal.Writing, err).Words)
	}
	return opened, nil
}

// journalKey reads the key, and makes it when there is none. Of two replicas that make one, the first wins.
func journalKey(ctx context.Context, reader client.Reader, writer client.Writer, namespace string) ([]byte, error) {
	var secret corev1.Secret
	name := types.NamespacedName{Namespace: namespace, Name: v1alpha1.JournalKeySecret}
	err := reader.Get(ctx, name, &secret)
	if apierrors.IsNotFound(err) {
		err = writer.Create(ctx, newJournalKey(namespace))
		if err == nil || apierrors.IsAlreadyExists(err) {
			err = reader.Get(ctx, name, &secret)
		}
	}
	return secret.Data[journalKeyEntry], err
}

func newJournalKey(namespace string) *corev1.Secret {
	key := make([]byte, journal.KeySize)
	_, _ = rand.Read(key) // never fails: crypto/rand ends the process instead
	return &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: namespace, Name: v1alpha1.JournalKeySecret,
			Labels: map[string]string{v1alpha1.ManagedByLabel: v1alpha1.OperatorName},
		},
		Data: map[string][]byte{journalKeyEntry: key},
	}
}

// everyReplica is something that every replica does once when it starts, whoever leads.
type everyReplica func(context.Context)

// Start does it.
func (f everyReplica) Start(ctx context.Context) error {
	f(ctx)
	return nil
}

// NeedLeaderElection says that it does not wait to lead.
func (f everyReplica) NeedLeaderElection() bool { return false }
