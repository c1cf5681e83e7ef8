package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/naru-stream/naru/internal/kafka/config"
)

// app is one run of the command.
type app struct {
	in       io.Reader
	out, err io.Writer
	now      func() time.Time
	start    starter

	// flags of every client verb
	brokers []string
	timeout time.Duration
	json    bool
}

// Main runs the command with the arguments after its name and returns the exit
// status. Cancelling ctx stops what runs.
func Main(ctx context.Context, args []string, in io.Reader, out, errOut io.Writer) int {
	a := &app{in: in, out: out, err: errOut, now: time.Now, start: startNode}
	return a.run(ctx, args)
}

func (a *app) run(ctx context.Context, args []string) int {
	root := a.root()
	root.SetArgs(append([]string{}, args...)) // nil would mean those of the process
	root.SetIn(a.in)
	root.SetOut(a.out)
	root.SetErr(a.err)
	cmd, err := root.ExecuteContextC(ctx)
	if err == nil {
		return 0
	}
	fmt.Fprintf(a.err, "%s: %v\n", cmd.CommandPath(), err)
	var usage *usageError
	if !errors.As(err, &usage) {
		return 1
	}
	fmt.Fprintf(a.err, "Run '%s --help' for what it takes.\n", cmd.CommandPath())
	return 2
}

// usageError is a mistake in the arguments; nothing was done.
type usageError struct{ err error }

func (e *usageError) Error() string { return e.err.Error() }
func (e *usageError) Unwrap() error { return e.err }

func usagef(format string, args ...any) error { return &usageError{fmt.Errorf(format, args...)} }

// root builds the tree of commands.
func (a *app) root() *cobra.Command {
	start := &startOptions{}
	root := &cobra.Command{
		Use:   "naru [server.properties]",
		Short: "A Kafka-compatible event streaming platform in one binary",
		Long: "Naru is a Kafka-compatible event streaming platform in one binary. Without a verb it starts a node,\n" +
			"as naru start does. The other verbs work with any Kafka-compatible cluster.",
		Example: "  naru                                   # a node on localhost:9092, data in ./naru-data\n" +
			"  naru topic create flights -p 4\n" +
			"  echo hello | naru produce flights\n" +
			"  naru consume flights -o beginning -e",
		Args:          a.rootArgs,
		SilenceErrors: true,
		SilenceUsage:  true,
		RunE:          func(cmd *cobra.Command, args []string) error { return a.runStart(cmd.Context(), start, args) },
	}
	start.flags(root.Flags())
	root.CompletionOptions.HiddenDefaultCmd = true
	root.SetFlagErrorFunc(flagError)
	root.SetHelpCommand(&cobra.Command{Hidden: true, Use: "no-help"})
	root.AddCommand(a.startCommand(), a.topicCommand(), a.produceCommand(), a.consumeCommand(), a.groupCommand(),
		a.configCommand(), a.logCommand(), a.versionCommand())
	return root
}

// rootArgs takes what looks like a file for server.properties and anything else
// for a verb that does not exist.
func (a *app) rootArgs(cmd *cobra.Command, args []string) error {
	if len(args) > 1 && !strings.Contains(args[0], ".") || len(args) == 1 && !strings.ContainsAny(args[0], "./") {
		return unknownVerb(cmd, args[0])
	}
	if len(args) > 1 {
		return usagef("takes one properties file, got %d arguments", len(args))
	}
	return nil
}

func unknownVerb(cmd *cobra.Command, word string) error {
	var names []string
	for _, c := range cmd.Commands() {
		if !c.Hidden {
			names = append(names, c.Name())
		}
	}
	if near := config.Nearest(word, names); near != "" {
		return usagef("unknown verb %q: did you mean %q?", word, cmd.CommandPath()+" "+near)
	}
	return usagef("unknown verb %q: there are %s", word, strings.Join(names, ", "))
}

// group makes a command that only holds verbs.
func group(use, short string, verbs ...*cobra.Command) *cobra.Command {
	c := &cobra.Command{
		Use: use, Short: short,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return nil
			}
			return unknownVerb(cmd, args[0])
		},
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := cmd.Help(); err != nil {
				return err
			}
			return usagef("a verb is missing")
		},
	}
	c.AddCommand(verbs...)
	var examples []string
	for _, v := range verbs {
		first, _, _ := strings.Cut(v.Example, "\n")
		examples = append(examples, first)
	}
	c.Example = strings.Join(examples, "\n")
	return c
}

// flagError adds the nearest flag to the message about an unknown one.
func flagError(cmd *cobra.Command, err error) error {
	var unknown *pflag.NotExistError
	if !errors.As(err, &unknown) {
		return &usageError{err}
	}
	var names []string
	cmd.Flags().VisitAll(func(f *pflag.Flag) { names = append(names, f.Name) })
	name := unknown.GetSpecifiedName()
	if near := config.Nearest(name, names); near != "" && len(name) > 1 {
		return usagef("unknown flag --%s: did you mean --%s?", name, near)
	}
	return &usageError{err}
}

// arguments checks how many there are; what names one of them for the message.
func arguments(low, high int, what string) cobra.PositionalArgs {
	return func(_ *cobra.Command, args []string) error {
		switch {
		case len(args) < low:
			return usagef("%s is missing", what)
		case high >= 0 && len(args) > high:
			return usagef("too many arguments from %q on: it takes %s", args[high], what)
		}
		return nil
	}
}

// clientFlags adds the flags that every verb with a connection has.
func (a *app) clientFlags(cmd *cobra.Command) *cobra.Command {
	cmd.Flags().StringSliceVarP(&a.brokers, "bootstrap-server", "b", []string{"localhost:9092"}, "brokers to ask first, as host:port")
	cmd.Flags().DurationVar(&a.timeout, "timeout", 10*time.Second, "how long to wait for the cluster")
	a.jsonFlag(cmd)
	return cmd
}

func (a *app) jsonFlag(cmd *cobra.Command) {
	cmd.Flags().BoolVar(&a.json, "json", false, "print JSON (see docs/cli/json.md)")
}

// terminal reports the file behind a reader or writer if it is one; it may be a
// terminal.
func terminal(w any) (*os.File, bool) {
	f, ok := w.(*os.File)
	return f, ok
}
