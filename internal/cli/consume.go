package cli

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/naru-stream/naru/internal/cli/format"
	"github.com/naru-stream/naru/internal/cli/position"
)

// idleEnd is how long --exit-at-end waits without a record, where the end cannot
// be recognised by its offset: in groups, and where the last record of a log was
// compacted away.
const idleEnd = 3 * time.Second

type consumeOptions struct {
	offsets    []string
	beginning  bool
	partitions []int32
	group      string
	pattern    string
	count      int64
	exit       bool
	committed  bool
}

func (a *app) consumeCommand() *cobra.Command {
	o := &consumeOptions{}
	cmd := &cobra.Command{
		Use:   "consume TOPIC...",
		Short: "Read records and print them",
		Long: "Consume reads records and prints them, one a line unless --format says otherwise, until it is interrupted,\n" +
			"--count is reached, or with --exit-at-end the present end of the topics.\n\n" +
			"An offset is " + position.Forms + ".\n" +
			"-o e@TIME, given beside another, stops before the first record of that time.\n\nFormat tokens:\n" + format.Tokens,
		Example: "  naru consume flights\n" +
			"  naru consume flights -o beginning -e > flights.txt\n" +
			"  naru consume flights -o -10 -e -f '%T %p@%o %k=%s\\n'\n" +
			"  naru consume flights -o s@2026-01-31T00:00:00Z -o e@2026-02-01T00:00:00Z\n" +
			"  naru consume flights --group billing -n 100 --json",
		Args: arguments(1, -1, "the name of a topic"),
		RunE: func(cmd *cobra.Command, args []string) error { return a.runConsume(cmd.Context(), o, args) },
	}
	f := cmd.Flags()
	f.StringArrayVarP(&o.offsets, "offset", "o", nil, "where to start (default end; with --group where it committed)")
	f.BoolVar(&o.beginning, "from-beginning", false, "the same as -o beginning")
	f.Int32SliceVarP(&o.partitions, "partition", "p", nil, "only these partitions")
	f.StringVarP(&o.group, "group", "g", "", "read as a member of this group and commit what was printed")
	f.StringVarP(&o.pattern, "format", "f", format.Default, "how to print a record")
	f.Int64VarP(&o.count, "count", "n", 0, "stop after so many records; 0 does not")
	f.BoolVarP(&o.exit, "exit-at-end", "e", false, "stop at the end that the topics have now")
	f.BoolVar(&o.committed, "read-committed", false, "leave out records of open and aborted transactions")
	return a.clientFlags(cmd)
}

// span is where to start and, if until is set, at which time to stop.
type span struct {
	from  *position.Position
	until *position.Position
}

func (o *consumeOptions) span(now time.Time) (span, error) {
	var s span
	offsets := o.offsets
	if o.beginning {
		offsets = append(slices.Clone(offsets), "beginning")
	}
	for _, text := range offsets {
		target := &s.from
		if rest, ok := strings.CutPrefix(text, "e@"); ok {
			text, target = "@"+rest, &s.until
		}
		if rest, ok := strings.CutPrefix(text, "s@"); ok {
			text = "@" + rest
		}
		p, err := position.Parse(text, now)
		if err != nil {
			return span{}, &usageError{err}
		}
		if *target != nil {
			return span{}, usagef("--offset %q is given beside another one", text)
		}
		*target = &p
	}
	return s, nil
}

func (o *consumeOptions) check() error {
	switch {
	case o.count < 0:
		return usagef("--count %d is not allowed: use 1 or more, or 0 for no limit", o.count)
	case o.group != "" && len(o.partitions) > 0:
		return usagef("--group and --partition exclude each other: the group shares out the partitions")
	}
	for _, p := range o.partitions {
		if p < 0 {
			return usagef("--partition %d is not allowed: use 0 or more", p)
		}
	}
	return nil
}

func (a *app) runConsume(ctx context.Context, o *consumeOptions, names []string) error {
	if err := checkTopicNames(names); err != nil {
		return err
	}
	if err := o.check(); err != nil {
		return err
	}
	pattern, err := format.Parse(o.pattern)
	if err != nil {
		return &usageError{err}
	}
	where, err := o.span(a.now())
	if err != nil {
		return err
	}
	if where.until != nil && o.group != "" {
		return usagef("--group and an end such as e@TIME exclude each other")
	}
	goal, err := a.goal(ctx, o, where, names)
	if err != nil {
		return err
	}
	if goal.done() {
		return nil // there is nothing between start and end
	}
	cl, err := a.connect(ctx, goal.options(o, names)...)
	if err != nil {
		return err
	}
	defer func() {
		if o.group != "" { // leave at once, so that others take over
			left, cancel := context.WithTimeout(context.WithoutCancel(ctx), a.timeout)
			defer cancel()
			_ = cl.CommitMarkedOffsets(left) // an error here only repeats records
			_ = cl.LeaveGroupContext(left)
		}
		cl.Close()
	}()
	c := &consumer{app: a, options: o, pattern: pattern, goal: goal, client: cl, out: bufio.NewWriterSize(a.out, 1<<16)}
	return c.run(ctx)
}

// consumer prints what arrives until its goal is reached.
type consumer struct {
	app     *app
	options *consumeOptions
	pattern format.Format
	goal    *goal
	client  *kgo.Client
	out     *bufio.Writer
	buf     []byte
	printed int64
	bytes   int64
}

func (c *consumer) run(ctx context.Context) error {
	bar := c.app.progress("consumed")
	defer bar.clear()
	for {
		poll, cancel := ctx, context.CancelFunc(func() {})
		if c.options.exit {
			poll, cancel = context.WithTimeout(ctx, idleEnd)
		}
		fetches := c.client.PollFetches(poll)
		idle := poll.Err() != nil
		cancel()
		if ctx.Err() != nil {
			return c.out.Flush()
		}
		if err := fetchProblem(fetches); err != nil {
			return errors.Join(c.out.Flush(), err)
		}
		done, err := c.print(fetches)
		if err = errors.Join(err, c.out.Flush()); err != nil {
			return fmt.Errorf("writing records: %w", err)
		}
		if done || idle && c.options.exit && fetches.Empty() {
			return nil
		}
		bar.update(c.app.now(), c.printed, c.bytes)
	}
}

// print writes the records and reports whether the goal is reached.
func (c *consumer) print(fetches kgo.Fetches) (done bool, err error) {
	for iter := fetches.RecordIter(); !iter.Done(); {
		r := iter.Next()
		if c.goal.includes(r) {
			c.buf = c.buf[:0]
			if c.app.json {
				c.buf = format.AppendJSON(c.buf, r)
			} else {
				c.buf = c.pattern.Append(c.buf, r)
			}
			if _, err := c.out.Write(c.buf); err != nil {
				return true, err
			}
			c.printed++
			c.bytes += int64(len(r.Key) + len(r.Value))
		}
		if c.options.group != "" {
			c.client.MarkCommitRecords(r)
		}
		if c.goal.passed(r) || c.options.count > 0 && c.printed >= c.options.count {
			return true, nil
		}
	}
	return false, nil
}

// fetchProblem returns the first error of the fetches that waiting does not heal.
func fetchProblem(fetches kgo.Fetches) error {
	for _, e := range fetches.Errors() {
		if errors.Is(e.Err, context.DeadlineExceeded) || errors.Is(e.Err, context.Canceled) {
			continue
		}
		var lost *kgo.ErrDataLoss
		if errors.As(e.Err, &lost) {
			continue // the client goes on from what is there
		}
		if e.Topic == "" {
			return explain(e.Err, "")
		}
		return fmt.Errorf("reading %s partition %d: %w", e.Topic, e.Partition, explain(e.Err, ""))
	}
	return nil
}
