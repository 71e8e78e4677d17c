//go:build unix

package exchange

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/fluent-credential/operator/internal/provider"
	"github.com/fluent-credential/operator/internal/token"
)

// held is a socket that does something right before the runtime hands it over for a system call.
type held struct {
	*net.TCPConn
	before func()
}

func (h *held) SyscallConn() (syscall.RawConn, error) {
	raw, err := h.TCPConn.SyscallConn()
	return &heldRaw{raw, h.before}, err
}

type heldRaw struct {
	syscall.RawConn
	before func()
}

func (h *heldRaw) Write(call func(uintptr) bool) error {
	return h.RawConn.Write(func(descriptor uintptr) bool {
		h.before()
		return call(descriptor)
	})
}

// TestFrozenInsideOfTheRuntime: the last thing before the look at the clock is the runtime's call.
func TestFrozenInsideOfTheRuntime(t *testing.T) {
	server := listen(t, answering(reply("200 OK", granting)))
	clock := &frozenClock{now: time.Now()}
	dialer := Dialer{Policy: developing, Now: clock.Now, Connect: func(ctx context.Context, network, address string) (net.Conn, error) {
		conn, err := (&net.Dialer{}).DialContext(ctx, network, address)
		return &held{conn.(*net.TCPConn), func() { clock.pass(time.Hour) }}, err
	}}
	api := oauth2(t, server.url(), provider.Form)
	conn, refused := dialer.Dial(t.Context(), api, request(t, api))
	if refused != nil {
		t.Fatal(refused)
	}
	conn.Arm(time.Second)
	if got := conn.Send(t.Context(), api, token.RefreshToken, request(t, api)); got.Verdict != token.Unsent {
		t.Errorf("got %+v", outcomeOf(got))
	}
	server.stop()
	if n := server.requests.Load(); n != 0 {
		t.Errorf("%d requests", n)
	}
}

const frozenURL = "EXCHANGE_TEST_FROZEN_URL"

// shortFence is the fence of the process that is stopped.
const shortFence = 50 * time.Millisecond

// TestStoppedBeforeTheWrite: a process that was really stopped right before its first system call, and goes on after
// its deadline, sends nothing. The deadline of a connection is a timer of the runtime, which fires some time after
// the process goes on.
func TestStoppedBeforeTheWrite(t *testing.T) {
	if url := os.Getenv(frozenURL); url != "" {
		beStopped(t, url)
		return
	}
	server := listen(t, answering(reply("200 OK", granting)))
	for range 3 {
		child := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestStoppedBeforeTheWrite$")
		child.Env = append(os.Environ(), frozenURL+"="+server.url(), "GOMAXPROCS=1")
		in, _ := child.StdinPipe()
		out, _ := child.StdoutPipe()
		child.Stderr = os.Stderr
		if err := child.Start(); err != nil {
			t.Fatal(err)
		}
		said := bufio.NewScanner(out)
		awaitLine(t, said, "about to write")
		stopPast(t, child.Process.Pid, shortFence)
		_, _ = io.WriteString(in, "go on\n")
		awaitLine(t, said, "verdict: "+string(token.Unsent))
		_ = in.Close()
		_ = child.Wait()
	}
	server.stop()
	if n := server.requests.Load(); n != 0 {
		t.Errorf("%d of 3 requests were sent after their deadline", n)
	}
}

func awaitLine(t *testing.T, said *bufio.Scanner, want string) {
	t.Helper()
	for said.Scan() {
		if strings.Contains(said.Text(), want) {
			return
		}
	}
	t.Fatalf("the process ended without %q", want)
}

// stopPast stops a process until its deadline has passed.
func stopPast(t *testing.T, pid int, fence time.Duration) {
	t.Helper()
	if err := syscall.Kill(pid, syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	var status syscall.WaitStatus
	for !status.Stopped() {
		if _, err := syscall.Wait4(pid, &status, syscall.WUNTRACED, nil); err != nil {
			t.Fatal(err)
		}
	}
	time.Sleep(2 * fence) // it is the deadline that has to pass
	if err := syscall.Kill(pid, syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
}

// beStopped is the process that is stopped.
func beStopped(t *testing.T, url string) {
	dialer := Dialer{Policy: developing, Connect: func(ctx context.Context, network, address string) (net.Conn, error) {
		conn, err := (&net.Dialer{}).DialContext(ctx, network, address)
		return &held{conn.(*net.TCPConn), func() {
			fmt.Println("about to write")
			_, _ = bufio.NewReader(os.Stdin).ReadString('\n')
		}}, err
	}}
	api := oauth2(t, url, provider.Form)
	conn, refused := dialer.Dial(t.Context(), api, request(t, api))
	if refused != nil {
		t.Fatal(refused)
	}
	conn.Arm(shortFence)
	fmt.Println("verdict:", conn.Send(t.Context(), api, token.RefreshToken, request(t, api)).Verdict)
}
