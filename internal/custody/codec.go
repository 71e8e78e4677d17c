package custody

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/fluent-credential/operator/internal/token"
)

// Entries of the state Secret.
const (
	documentKey = "state.json"
	checksumKey = "checksum"
)

// version of the document. A reader refuses a newer one: writing it back would drop what it does not know.
const version = 1

// document is a State as it is stored: the only place where its secrets are in the clear.
type document struct {
	Version int `json:"version"`
	State
	AccessToken  string `json:"accessToken,omitempty"`
	RefreshToken string `json:"refreshToken,omitempty"`
}

var errDamaged = errors.New("the state Secret was edited or is damaged")

// ErrNewer is returned by Open when a newer operator wrote the state: writing it back would drop what this one does not know.
var ErrNewer = errors.New("the state Secret was written by a newer operator")

// encode returns the data of the state Secret. The state is bounded.
func encode(state State) (map[string][]byte, error) {
	stored := document{Version: version, State: state}
	if state.Token != nil {
		stored.AccessToken = state.Token.Access.Reveal()
	}
	if state.Chain != nil {
		stored.RefreshToken = state.Chain.Refresh.Reveal()
	}
	encoded, err := stored.encoded()
	if err != nil {
		return nil, fmt.Errorf("state cannot be encoded: %w", err)
	}
	return map[string][]byte{documentKey: encoded, checksumKey: []byte(checksum(encoded))}, nil
}

// encoded returns the document without HTML escapes, which would add five bytes for each angle bracket and ampersand.
func (d document) encoded() ([]byte, error) {
	var out bytes.Buffer
	encoder := json.NewEncoder(&out)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(d); err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(out.Bytes(), []byte("\n")), nil
}

// decode returns errDamaged with whatever could be read: the serial and the spent seeds are worth keeping from a document whose
// tokens cannot be trusted.
func decode(data map[string][]byte) (State, error) {
	var stored document
	if json.Unmarshal(data[documentKey], &stored) != nil {
		return State{}, errDamaged
	}
	if stored.Version > version {
		return State{}, ErrNewer // whatever its checksum: a newer operator may count another way
	}
	if checksum(data[documentKey]) != string(data[checksumKey]) {
		return State{Salt: stored.Salt, Serial: sane(stored.Serial), Seeds: stored.Seeds}.bounded(), errDamaged
	}
	if stored.Token != nil {
		stored.Token.Access = token.NewSecret(stored.AccessToken)
	}
	if stored.Chain != nil {
		stored.Chain.Refresh = token.NewSecret(stored.RefreshToken)
	}
	return stored.bounded(), nil
}

// MostSerial is a rotation each second for 30,000 years; a serial above it was not counted, but edited.
const MostSerial = 1 << 40

// CanBeCounted reports whether counting can have reached a serial that was read from outside the state, given the
// highest known serial. A leap of more than one rotation per second for 136 years comes from an edit. The range left
// below MostSerial is large enough to count on from any accepted serial.
func CanBeCounted(serial, known int64) bool {
	return serial >= 0 && serial <= MostSerial-longestLeap && serial-known <= longestLeap
}

const longestLeap = 1 << 32

// sane returns a serial from an edited document, limited to a value from which counting can continue.
func sane(serial int64) int64 { return max(0, min(serial, MostSerial-longestLeap)) }

// checksum finds an edit and a torn copy. It is no protection against somebody who may write the Secret: they could as well put
// another token there.
func checksum(encoded []byte) string {
	sum := sha256.Sum256(encoded)
	return hex.EncodeToString(sum[:])
}
