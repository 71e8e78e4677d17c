package token

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"
)

func TestSecretIsNeverPrinted(t *testing.T) {
	const value = "xlUuQ5e-h9Y2pRw5G4Du4fAdRfk"
	secret := NewSecret(value)
	nested := struct{ Inner *Secret }{&secret}
	prints := map[string]func() string{
		"%v":           func() string { return fmt.Sprintf("%v", secret) },
		"%+v nested":   func() string { return fmt.Sprintf("%+v", Login{Password: secret}) },
		"%#v":          func() string { return fmt.Sprintf("%#v", secret) },
		"%#v nested":   func() string { return fmt.Sprintf("%#v", Set{Access: secret, Refresh: secret}) },
		"%q":           func() string { return fmt.Sprintf("%q", secret) },
		"%x":           func() string { return fmt.Sprintf("%x", secret) },
		"%p":           func() string { return fmt.Sprintf(fmt.Sprint("%", "p"), secret) },
		"%s in error":  func() string { return fmt.Errorf("with %s", secret).Error() },
		"print":        func() string { return fmt.Sprint(secret) },
		"JSON":         func() string { b, _ := json.Marshal(nested); return string(b) },
		"JSON map key": func() string { b, _ := json.Marshal(map[Secret]int{secret: 1}); return string(b) },
		"YAML":         func() string { b, _ := yaml.Marshal(nested); return string(b) },
		"log/slog text": func() string {
			return logged(secret, func(b *bytes.Buffer) slog.Handler { return slog.NewTextHandler(b, nil) })
		},
		"log/slog JSON": func() string {
			return logged(secret, func(b *bytes.Buffer) slog.Handler { return slog.NewJSONHandler(b, nil) })
		},
	}
	for name, print := range prints {
		got := print()
		if strings.Contains(got, value) || strings.Contains(got, fmt.Sprintf("%x", value)) {
			t.Errorf("%s prints the secret: %s", name, got)
		}
		if !strings.Contains(got, redacted) && name != "%p" {
			t.Errorf("%s does not say that something is hidden: %s", name, got)
		}
	}
}

func logged(secret Secret, handler func(*bytes.Buffer) slog.Handler) string {
	var out bytes.Buffer
	slog.New(handler(&out)).Info("message", "secret", secret)
	return out.String()
}

func TestHashDependsOnSaltAndValue(t *testing.T) {
	hashes := map[string]string{}
	for _, salt := range []string{"", "a", "b"} {
		for _, value := range []string{"", "a", "b", "ab"} {
			hash := NewSecret(value).Hash(salt)
			if other, seen := hashes[hash]; seen {
				t.Errorf("salt %q value %q hashes like %s", salt, value, other)
			}
			hashes[hash] = fmt.Sprintf("salt %q value %q", salt, value)
		}
	}
}
