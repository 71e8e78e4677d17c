package custody

import (
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

// FuzzDecode: what is read from a Secret is written back as the same; of what cannot be trusted no token is taken.
//
// The checksum is made to fit where the fuzzer asks for it: by itself it would never find one.
func FuzzDecode(f *testing.F) {
	full, _ := encode(fullState())
	empty, _ := encode(State{})
	f.Add(full[documentKey], "", true)
	f.Add(full[documentKey], string(empty[checksumKey]), false)
	f.Add(empty[documentKey], string(empty[checksumKey]), false)
	f.Fuzz(func(t *testing.T, document []byte, sum string, summed bool) {
		if summed {
			sum = checksum(document)
		}
		state, err := decode(map[string][]byte{documentKey: document, checksumKey: []byte(sum)})
		if err != nil {
			mustKeepNothing(t, state, err)
			return
		}
		if sum != checksum(document) {
			t.Fatal("a document was trusted without its checksum")
		}
		mustReadBack(t, state)
	})
}

// mustKeepNothing lets pass what does no harm: the serial, the salt and the seeds that were spent.
func mustKeepNothing(t *testing.T, state State, err error) {
	t.Helper()
	if !errors.Is(err, errDamaged) && !errors.Is(err, ErrNewer) {
		t.Errorf("an error that nobody knows: %v", err)
	}
	kept := State{Salt: state.Salt, Serial: state.Serial, Seeds: state.Seeds}
	if diff := cmp.Diff(kept, state); diff != "" || state.Serial < 0 || state.Serial > MostSerial {
		t.Errorf("of a state that cannot be trusted this is kept, with serial %d\n%s", state.Serial, diff)
	}
}

// mustReadBack lets an empty list come back as none.
func mustReadBack(t *testing.T, state State) {
	t.Helper()
	first, again := rewritten(t, state)
	if diff := cmp.Diff(state, again, cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("written and read, it is another (-read +again)\n%s", diff)
	}
	second, again := rewritten(t, again)
	third, _ := rewritten(t, again)
	if diff := cmp.Diff(second, third); diff != "" {
		t.Errorf("from %s it is written differently every time\n%s", first[documentKey], diff)
	}
}

// rewritten is a state as it is stored, and as it is read from there.
func rewritten(t *testing.T, state State) (map[string][]byte, State) {
	t.Helper()
	data, err := encode(state)
	if err != nil {
		t.Fatalf("what was read cannot be written: %v", err)
	}
	again, err := decode(data)
	if err != nil {
		t.Fatalf("what was written cannot be read: %v", err)
	}
	return data, again
}
