package main

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"
)

// A Go program reads the wall clock through the vDSO, a library that the kernel maps into every process; no library of the
// machine is asked, so faketime has no hold on it, and a time namespace moves the monotonic clocks only. So the vDSO is changed, in
// one process: its clock_gettime becomes the system call of that name, plus an offset for CLOCK_REALTIME. The monotonic clock runs
// on as it is, as it does where somebody sets a machine's clock.

// wallClock is the wall clock of one process.
type wallClock struct {
	pid    int
	offset int64 // address of the offset, in seconds
}

// shiftedGettime is the code. The offset lies offsetAt bytes from its beginning.
var shiftedGettime = []byte{
	0xb8, 0xe4, 0x00, 0x00, 0x00, // mov  eax, 228 (clock_gettime)
	0x0f, 0x05, //                   syscall
	0x85, 0xff, //                   test edi, edi (CLOCK_REALTIME is 0)
	0x75, 0x0a, //                   jnz  to ret
	0x48, 0x8b, 0x0d, 14, 0, 0, 0, // mov  rcx, [rip+14]
	0x48, 0x01, 0x0e, //             add  [rsi], rcx
	0xc3, //                         ret
}

const (
	offsetAt  = 32
	codeRoom  = 64
	jumpBytes = 5
)

// takeClock changes the vDSO of a process of which nothing has run yet.
func takeClock(pid int, offset time.Duration) (*wallClock, error) {
	start, end, err := findVDSO(pid)
	if err != nil {
		return nil, err
	}
	memory, err := os.OpenFile(fmt.Sprintf("/proc/%d/mem", pid), os.O_RDWR, 0)
	if err != nil {
		return nil, err
	}
	defer memory.Close() //nolint:errcheck // writes to memory are not put off
	image := make([]byte, end-start)
	if _, err := memory.ReadAt(image, start); err != nil {
		return nil, err
	}
	patches, err := patchVDSO(image)
	if err != nil {
		return nil, err
	}
	for at, code := range patches {
		if _, err := memory.WriteAt(code, start+at); err != nil {
			return nil, err
		}
	}
	clock := &wallClock{pid: pid, offset: end - codeRoom + offsetAt}
	return clock, clock.set(offset)
}

// patchVDSO says what is to be written where: the code into the unused end of the last page, and a jump to it.
func patchVDSO(image []byte) (map[int64][]byte, error) {
	library, err := elf.NewFile(bytes.NewReader(image))
	if err != nil {
		return nil, err
	}
	symbols, err := library.DynamicSymbols()
	if err != nil {
		return nil, err
	}
	room := int64(len(image) - codeRoom)
	if len(bytes.Trim(image[room:], "\x00")) > 0 {
		return nil, errors.New("the vDSO of this kernel has no room for more code")
	}
	for _, symbol := range symbols {
		if symbol.Name == "__vdso_clock_gettime" {
			at := int64(symbol.Value)
			jump := binary.LittleEndian.AppendUint32([]byte{0xe9}, uint32(room-at-jumpBytes))
			return map[int64][]byte{room: shiftedGettime, at: jump}, nil
		}
	}
	return nil, errors.New("the vDSO of this kernel has no clock_gettime")
}

func findVDSO(pid int) (start, end int64, err error) {
	maps, err := os.ReadFile(fmt.Sprintf("/proc/%d/maps", pid))
	if err != nil {
		return 0, 0, err
	}
	for line := range strings.Lines(string(maps)) {
		if strings.HasSuffix(strings.TrimSpace(line), "[vdso]") {
			_, err := fmt.Sscanf(line, "%x-%x", &start, &end)
			return start, end, err
		}
	}
	return 0, 0, errors.New("the process has no vDSO")
}

// set moves the clock, in whole seconds.
func (c *wallClock) set(offset time.Duration) error {
	memory, err := os.OpenFile(fmt.Sprintf("/proc/%d/mem", c.pid), os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer memory.Close() //nolint:errcheck // writes to memory are not put off
	_, err = memory.WriteAt(binary.LittleEndian.AppendUint64(nil, uint64(int64(offset/time.Second))), c.offset)
	return err
}
