package cli

import (
	"context"
	"log/slog"

	"github.com/naru-stream/naru"
)

// startNode starts a node of package naru.
func startNode(ctx context.Context, properties map[string]string, log *slog.Logger) (node, error) {
	n, err := naru.Start(ctx, naru.Config{Properties: properties, Logger: log})
	if err != nil {
		return nil, err // not a nil *naru.Node inside of the interface
	}
	return n, nil
}
