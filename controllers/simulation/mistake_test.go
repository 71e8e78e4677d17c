package simulation

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"

	corev1 "k8s.io/api/core/v1"
)

// mistake changes a replica at its start: what a test wraps, or does wrong. The mistakes in the source that the
// simulation has to find are those of test/mutants.
type mistake struct {
	name string
	rule string // the beginning of the rule that it breaks; empty: any
	make func(*replica)
}

// rewrite changes the document in a state Secret, checksum and all.
func rewrite(secret *corev1.Secret, change func(map[string]any)) {
	var fields map[string]any
	if err := json.Unmarshal(secret.Data["state.json"], &fields); err != nil {
		panic(err)
	}
	change(fields)
	encoded, err := json.Marshal(fields)
	if err != nil {
		panic(err)
	}
	sum := sha256.Sum256(encoded)
	secret.Data = map[string][]byte{"state.json": encoded, "checksum": []byte(hex.EncodeToString(sum[:]))}
}
