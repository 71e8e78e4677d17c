package localcluster

import (
	"context"
	"os"
	"os/signal"
	"syscall"
	"time"
)

// impatience is how long after one signal another one counts as a second wish: make(1) and timeout(1) send the first one twice.
const impatience = 2 * time.Second

// UntilInterrupted returns a context that ends with SIGINT, SIGTERM, SIGHUP, or when nobody reads the output any more. Who asks a second time does not want to wait for the
// clean-up: then the signal ends the process at once, and the kernel its children.
func UntilInterrupted() (context.Context, context.CancelFunc) {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGPIPE)
	context.AfterFunc(ctx, func() { time.AfterFunc(impatience, stop) })
	return ctx, stop
}
