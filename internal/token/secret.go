// Package token is the vocabulary that every other package shares: the token set, the grants, the verdicts, and Secret, a string
// that cannot be printed by accident.
package token

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"log/slog"
)

const redacted = "[redacted]"

// Secret is a string that every formatter, encoder and logger prints as [redacted]. Only Reveal gives it away, and the linter
// holds Reveal to the places that send or store a secret.
type Secret struct {
	// value is behind a pointer because %p goes past Format and prints the fields.
	value *string
}

// NewSecret takes a string into custody.
func NewSecret(value string) Secret {
	if value == "" {
		return Secret{}
	}
	return Secret{value: &value}
}

// Reveal gives the string away.
func (s Secret) Reveal() string {
	if s.value == nil {
		return ""
	}
	return *s.value
}

// IsZero tells whether there is nothing to hide.
func (s Secret) IsZero() bool { return s.value == nil }

// Equal tells whether both are the same string.
func (s Secret) Equal(other Secret) bool { return s.Reveal() == other.Reveal() }

// Hash is a short, one-way name of the secret: 16 bytes of SHA-256 over salt and value, in hexadecimal. It names tokens, which
// have entropy of their own; a password needs a salt that is random and kept secret.
func (s Secret) Hash(salt string) string {
	sum := sha256.Sum256([]byte(salt + "\x00" + s.Reveal()))
	return hex.EncodeToString(sum[:16])
}

// String prints [redacted].
func (s Secret) String() string { return redacted }

// Format prints [redacted] for every verb and flag.
func (s Secret) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(redacted)) }

// MarshalText prints [redacted]: JSON, YAML and zap go through it.
func (s Secret) MarshalText() ([]byte, error) { return []byte(redacted), nil }

// LogValue prints [redacted] to log/slog.
func (s Secret) LogValue() slog.Value { return slog.StringValue(redacted) }

// MarshalLog prints [redacted] to logr.
func (s Secret) MarshalLog() any { return redacted }
