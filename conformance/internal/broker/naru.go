package broker

import (
	"context"
	"fmt"
	"path/filepath"
	"time"

	"github.com/naru-stream/naru/conformance/internal/proc"
)

// StartNaru starts the given naru binary on an empty directory under workDir.
func StartNaru(ctx context.Context, binary, workDir string) (*Broker, error) {
	port, err := freePorts(1)
	if err != nil {
		return nil, err
	}
	serve := proc.Command{
		Argv: []string{binary, "start",
			"--override", fmt.Sprintf("listeners=PLAINTEXT://localhost:%d", port),
			"--override", "log.dirs=" + filepath.Join(workDir, "data"),
			"--override", "group.initial.rebalance.delay.ms=0"},
		Dir: workDir,
	}
	return start(ctx, "naru", workDir, port, serve, 20*time.Second)
}
