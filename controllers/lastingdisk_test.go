package controllers

import (
	"context"
	"net/http"
	"strings"
	"syscall"
	"time"
)

// lastingDisk are failures of the disk that holds the log of replies.
func lastingDisk() map[string]lastingFailure {
	const intact = "nothing is spent whose reply cannot be written down"
	failing := func(operation string, err error) func(*ordeal) func() {
		return func(o *ordeal) func() {
			o.disk.fail(operation, err)
			return o.disk.heal
		}
	}
	hanging := func(operation string) func(*ordeal) func() {
		return func(o *ordeal) func() {
			o.disk.hang(operation)
			return func() {
				o.disk.heal()
				eventually(o.t, "the disk answers", func() (bool, any) {
					_, _, err := o.Journal.Scan()
					return err == nil, err
				})
			}
		}
	}
	return map[string]lastingFailure{
		"it is full":      lasting(failing("allocate", syscall.ENOSPC), "no space left on device", intact).once(),
		"it is read-only": lasting(failing("create", syscall.EROFS), "read-only file system", intact).once(),
		"it may not be written": lasting(failing("create", syscall.EACCES), "permission denied",
			intact).once().only(expiring),
		"its device fails": lasting(failing("sync", syscall.EIO), "input/output error", intact).once().only(expiring),
		"it hangs":         lasting(hanging("sync"), "the disk does not answer", intact).once(),
		"it fails with a reply": lasting(failing("seal", syscall.EIO), "",
			"the reply goes on in memory").once().only(expiring, staying),
		"it hangs with a reply": lasting(hanging("seal"), "",
			"the reply goes on in memory").once().only(expiring, staying),
		"it hangs after a spending": lasting(hanging("seal"), "", "the reply goes on in memory").afterSpent(),
	}
}

// fail lets an operation fail.
func (d *badDisk) fail(operation string, err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.fails[operation] = err
}

// apiSilent accepts requests for Secrets and answers none. The pass ends with the deadlines of the requests, here a moment.
func apiSilent(o *ordeal) func() {
	return failingTransport(func(request *http.Request) (*http.Response, error) {
		if !strings.Contains(request.URL.Path, "/secrets") || request.URL.Query().Get("watch") != "" {
			return nil, nil
		}
		ctx, cancel := context.WithTimeout(request.Context(), 50*time.Millisecond)
		defer cancel()
		<-ctx.Done()
		return nil, ctx.Err()
	})(o)
}
