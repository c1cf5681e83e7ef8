package broker

import (
	"context"
	"fmt"
	"path/filepath"
	"time"

	"github.com/naru-stream/naru/conformance/internal/proc"
)

// NaruCommand returns the command line that serves workDir on port with the given naru binary; each
// override is key=value.
func NaruCommand(binary, workDir string, port int, overrides ...string) []string {
	argv := []string{binary, "start"}
	for _, override := range append([]string{
		fmt.Sprintf("listeners=PLAINTEXT://localhost:%d", port),
		"log.dirs=" + filepath.Join(workDir, "data"),
		"group.initial.rebalance.delay.ms=0",
	}, overrides...) {
		argv = append(argv, "--override", override)
	}
	return argv
}

// StartNaru starts the given naru binary on an empty directory under workDir.
func StartNaru(ctx context.Context, binary, workDir string) (*Broker, error) {
	port, err := freePorts(1)
	if err != nil {
		return nil, err
	}
	serve := proc.Command{Argv: NaruCommand(binary, workDir, port, cleanerBackoff), Dir: workDir}
	return start(ctx, "naru", workDir, port, serve, 20*time.Second)
}
