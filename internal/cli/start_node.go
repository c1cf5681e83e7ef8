package cli

import (
	"context"
	"errors"
	"log/slog"
)

// startNode starts a node of package naru.
func startNode(context.Context, map[string]string, *slog.Logger) (node, error) {
	return nil, errors.New("this build contains no node")
}
