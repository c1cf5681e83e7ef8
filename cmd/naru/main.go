// Command naru runs a Kafka-compatible node and works with any Kafka cluster; see
// naru --help.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"github.com/naru-stream/naru/internal/cli"
)

func main() {
	// The first signal cancels what runs; stop then restores the default, so that a
	// second one ends the process at once.
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop)
	status := cli.Main(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr)
	stop()
	os.Exit(status)
}
