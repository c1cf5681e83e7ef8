package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/naru-stream/naru/internal/kafka/config"
)

// node is a running broker, a *naru.Node.
type node interface {
	Addr() string
	DataDirs() []string
	Durability() string
	Failed() <-chan struct{}
	Err() error
	Close() error
}

// starter starts a node with the settings of server.properties. It returns when
// clients are served.
type starter func(ctx context.Context, properties map[string]string, log *slog.Logger) (node, error)

type startOptions struct {
	overrides []string
	logLevel  string
}

func (o *startOptions) flags(f *pflag.FlagSet) {
	f.StringArrayVar(&o.overrides, "override", nil, "a setting as key=value that goes before the file (repeat it for more)")
	f.StringVar(&o.logLevel, "log-level", "info", "debug, info, warn or error")
}

func (a *app) startCommand() *cobra.Command {
	o := &startOptions{}
	cmd := &cobra.Command{
		Use:   "start [server.properties]",
		Short: "Start a node",
		Long: "Start runs a broker with its controller until it is told to stop by SIGTERM or Ctrl-C; a second signal stops it\n" +
			"at once. Without a file it listens on localhost:9092 and keeps its data in ./naru-data, which it creates.\n" +
			"docs/configuration.md lists the settings: they are Apache Kafka's, and a few of its own.",
		Example: "  naru start\n" +
			"  naru start server.properties\n" +
			"  naru start --override listeners=PLAINTEXT://localhost:19092 --override log.dirs=/tmp/naru",
		Args: arguments(0, 1, "one properties file"),
		RunE: func(cmd *cobra.Command, args []string) error { return a.runStart(cmd.Context(), o, args) },
	}
	o.flags(cmd.Flags())
	return cmd
}

func (a *app) runStart(ctx context.Context, o *startOptions, args []string) error {
	began := a.now()
	var level slog.Level
	if err := level.UnmarshalText([]byte(o.logLevel)); err != nil {
		return usagef("--log-level %q is not allowed: %s", o.logLevel,
			suggestion(o.logLevel, []string{"debug", "info", "warn", "error"}, "use debug, info, warn or error"))
	}
	log := slog.New(slog.NewTextHandler(a.err, &slog.HandlerOptions{Level: level}))
	properties, warnings, err := loadProperties(args, o.overrides)
	if err != nil {
		return err
	}
	for _, w := range warnings {
		log.Warn("doubtful setting", "problem", w)
	}
	if _, err := config.NewValues(properties); err != nil {
		return &usageError{errors.New("settings are not valid:\n  " + strings.ReplaceAll(err.Error(), "\n", "\n  "))}
	}
	n, err := a.start(ctx, properties, log)
	if errors.Is(err, syscall.EADDRINUSE) {
		return fmt.Errorf("starting the node: %w: is another broker running? --override listeners=PLAINTEXT://localhost:PORT chooses another", err)
	}
	if err != nil {
		return fmt.Errorf("starting the node: %w", err)
	}
	ready(a.out, n, a.now().Sub(began))
	select {
	case <-ctx.Done():
		log.Info("node stopping")
	case <-n.Failed():
	}
	if err := errors.Join(n.Err(), n.Close()); err != nil {
		return fmt.Errorf("the node stopped: %w", err)
	}
	log.Info("node stopped")
	return nil
}

// loadProperties reads the file, if one is given, and lays the overrides over it.
func loadProperties(args, overrides []string) (properties map[string]string, warnings []string, err error) {
	properties = map[string]string{}
	if len(args) == 1 {
		text, err := readProperties(args[0])
		if err != nil {
			return nil, nil, err
		}
		if properties, warnings, err = config.ParseProperties(text); err != nil {
			return nil, nil, &usageError{fmt.Errorf("%s: %w", args[0], err)}
		}
	}
	over := map[string]string{}
	for _, text := range overrides {
		key, value, err := config.ParseOverride(text)
		if err != nil {
			return nil, nil, &usageError{err}
		}
		over[key] = value
	}
	maps.Copy(properties, over)
	return properties, warnings, nil
}

func readProperties(name string) (string, error) {
	f, err := os.Open(name)
	if errors.Is(err, os.ErrNotExist) {
		return "", usagef("properties file %q does not exist", name)
	}
	if err != nil {
		return "", fmt.Errorf("opening the properties file: %w", err)
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, config.MaxPropertiesBytes+1))
	if err != nil {
		return "", fmt.Errorf("reading the properties file: %w", err)
	}
	return string(text), nil
}

// ready prints the block that tells that clients are served.
func ready(w io.Writer, n node, took time.Duration) {
	var dirs []string
	for _, d := range n.DataDirs() {
		if abs, err := filepath.Abs(d); err == nil {
			d = abs
		}
		dirs = append(dirs, d)
	}
	mode := n.Durability()
	meaning := map[string]string{
		"auto":  "a record is synced before it is acknowledged where one replica may acknowledge it",
		"group": "a record is synced before it is acknowledged",
		"os":    "a record is acknowledged once the operating system has it, and synced in the background",
	}
	fmt.Fprintf(w, "Naru %s is ready after %d ms\n", version().Version, took.Milliseconds())
	fmt.Fprintf(w, "  address     %s\n", n.Addr())
	fmt.Fprintf(w, "  data        %s\n", strings.Join(dirs, ", "))
	fmt.Fprintf(w, "  durability  %s: %s\n", mode, meaning[mode])
	fmt.Fprintf(w, "  stop        Ctrl-C\n")
}
