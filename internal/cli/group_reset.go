package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kadm"

	"github.com/naru-stream/naru/internal/cli/position"
)

type groupResetOptions struct {
	earliest, latest, current bool
	offset                    string
	datetime                  string
	duration                  time.Duration
	shift                     int64
	topics                    []string
	allTopics                 bool
	dryRun                    bool
}

func (a *app) groupReset() *cobra.Command {
	o := &groupResetOptions{}
	cmd := &cobra.Command{
		Use:   "reset GROUP",
		Short: "Move the committed offsets of a group without members",
		Long: "Reset moves the committed offsets of a group whose members have stopped. Targets before the start or after\n" +
			"the end of a partition are taken to the nearest offset that is there.",
		Example: "  naru group reset billing --all-topics --to-earliest --dry-run\n" +
			"  naru group reset billing --topic flights --to-datetime 2026-01-31T09:00:00Z\n" +
			"  naru group reset billing --topic flights:0,2 --shift-by -100\n" +
			"  naru group reset billing --topic flights --by-duration 15m",
		Args: arguments(1, 1, "the name of one group"),
		RunE: func(cmd *cobra.Command, args []string) error {
			targets := 0
			for _, name := range resetTargets {
				if cmd.Flags().Changed(name) {
					targets++
				}
			}
			if targets != 1 {
				return usagef("say where to: exactly one of --%s", strings.Join(resetTargets, ", --"))
			}
			return a.runGroupReset(cmd.Context(), o, args[0])
		},
	}
	f := cmd.Flags()
	f.BoolVar(&o.earliest, "to-earliest", false, "to the first record that is there")
	f.BoolVar(&o.latest, "to-latest", false, "to the end: only new records")
	f.BoolVar(&o.current, "to-current", false, "to where it is (commits anew, which prolongs retention)")
	f.StringVar(&o.offset, "to-offset", "", "to this offset in every partition")
	f.StringVar(&o.datetime, "to-datetime", "", "to the first record at or after this time, such as 2026-01-31T09:00:00Z")
	f.DurationVar(&o.duration, "by-duration", 0, "to the first record of so long ago, such as 15m")
	f.Int64Var(&o.shift, "shift-by", 0, "by so many records from where it is; negative goes back")
	f.StringArrayVarP(&o.topics, "topic", "t", nil, "only this topic, or TOPIC:0,1 only these partitions (repeat it for more)")
	f.BoolVar(&o.allTopics, "all-topics", false, "every topic the group has committed to")
	f.BoolVar(&o.dryRun, "dry-run", false, "show the new offsets, commit nothing")
	return a.clientFlags(cmd)
}

var resetTargets = []string{"to-earliest", "to-latest", "to-current", "to-offset", "to-datetime", "by-duration", "shift-by"}

// target returns the position the flags mean; relative tells that it counts from
// the committed offset.
func (o *groupResetOptions) target(now time.Time) (to position.Position, relative bool, err error) {
	switch {
	case o.earliest:
		return position.Position{Kind: position.FromStart}, false, nil
	case o.latest:
		return position.Position{Kind: position.FromEnd}, false, nil
	case o.offset != "":
		n, err := strconv.ParseInt(o.offset, 10, 64)
		if err != nil || n < 0 {
			return to, false, usagef("--to-offset %q is not allowed: use 0 or more", o.offset)
		}
		return position.Position{Kind: position.Offset, N: n}, false, nil
	case o.datetime != "":
		ms, err := position.ParseTime(o.datetime, now)
		if err != nil {
			return to, false, usagef("--to-datetime: %w", err)
		}
		return position.Position{Kind: position.AtTime, N: ms}, false, nil
	case o.duration < 0:
		return to, false, usagef("--by-duration %s is not allowed: use a positive one, it goes back from now", o.duration)
	case o.duration > 0:
		return position.Position{Kind: position.AtTime, N: now.Add(-o.duration).UnixMilli()}, false, nil
	}
	return position.Position{Kind: position.Offset, N: o.shift}, true, nil
}

// scope returns the topics of --topic with their partitions, none meaning all.
func (o *groupResetOptions) scope() (map[string][]int32, error) {
	if o.allTopics == (len(o.topics) > 0) {
		return nil, usagef("say which topics: --topic or --all-topics")
	}
	out := map[string][]int32{}
	for _, t := range o.topics {
		name, list, some := strings.Cut(t, ":")
		if err := checkTopicName(name); err != nil {
			return nil, err
		}
		out[name] = nil
		if !some {
			continue
		}
		for _, p := range strings.Split(list, ",") {
			n, err := strconv.ParseUint(p, 10, 31)
			if err != nil {
				return nil, usagef("--topic %q: %q is not a partition: write TOPIC:0,1", t, p)
			}
			out[name] = append(out[name], int32(n))
		}
	}
	return out, nil
}

// move is the new offset of one partition.
type move struct {
	Topic     string `json:"topic"`
	Partition int32  `json:"partition"`
	Before    *int64 `json:"committed_offset"` // null: nothing was committed
	After     int64  `json:"new_offset"`
	Clamped   bool   `json:"clamped,omitempty"`
	Error     string `json:"error,omitempty"`
}

func (a *app) runGroupReset(ctx context.Context, o *groupResetOptions, name string) error {
	to, relative, err := o.target(a.now())
	if err != nil {
		return err
	}
	scope, err := o.scope()
	if err != nil {
		return err
	}
	adm, ctx, done, err := a.admin(ctx)
	if err != nil {
		return err
	}
	defer done()
	if err := idleGroup(ctx, adm, name); err != nil {
		return err
	}
	committed, err := adm.FetchOffsets(ctx, name)
	if err != nil {
		return fmt.Errorf("asking for the offsets of group %q: %w", name, err)
	}
	moves, err := planReset(ctx, adm, to, relative, scope, committed)
	if err != nil {
		return fmt.Errorf("group %q: %w", name, err)
	}
	var failed failures
	if !o.dryRun {
		if failed, err = commitMoves(ctx, adm, name, moves); err != nil {
			return fmt.Errorf("committing the offsets of group %q: %w", name, err)
		}
	}
	out := struct {
		Group  string `json:"group"`
		Moves  []move `json:"offsets"`
		DryRun bool   `json:"dry_run,omitempty"`
	}{name, moves, o.dryRun}
	err = a.show(out, func(w io.Writer) { printMoves(w, moves, o.dryRun) })
	return errors.Join(failed.err(), err)
}

// idleGroup fails if a group has members; a group that does not exist yet is
// idle, its first offsets create it.
func idleGroup(ctx context.Context, adm *kadm.Client, name string) error {
	found, err := adm.ListGroups(ctx)
	if err != nil {
		return fmt.Errorf("listing groups: %w", err)
	}
	if g, ok := found[name]; ok && g.State != "Empty" && g.State != "Dead" && g.State != "" {
		return fmt.Errorf("group %q is in state %s: stop its members first, 'naru group describe %s' shows them", name, g.State, name)
	}
	return nil
}

// planReset computes the new offsets of every partition in scope.
func planReset(ctx context.Context, adm *kadm.Client, to position.Position, relative bool, scope map[string][]int32, committed kadm.OffsetResponses) ([]move, error) {
	names := sortedKeys(scope)
	if len(names) == 0 {
		names = sortedKeys(committed)
	}
	if len(names) == 0 {
		return nil, errors.New("it has committed no offsets: name the topics with --topic")
	}
	found, err := topics(ctx, adm, names)
	if err != nil {
		return nil, err
	}
	for _, n := range names {
		if err := havePartitions(kadm.TopicDetails{n: found[n]}, scope[n]); err != nil {
			return nil, err
		}
	}
	all, err := listBounds(ctx, adm, names, &to)
	if err != nil {
		return nil, err
	}
	var out []move
	for _, b := range all {
		if some := scope[b.topic]; len(some) > 0 && !slices.Contains(some, b.partition) {
			continue
		}
		m := move{Topic: b.topic, Partition: b.partition}
		if c, ok := committed.Lookup(b.topic, b.partition); ok && c.At >= 0 {
			m.Before = &c.At
		}
		at := to.Resolve(b.start, b.end, b.atTime)
		if relative {
			if m.Before == nil {
				continue // there is nothing to count from
			}
			at = *m.Before + to.N
		}
		m.After = min(max(at, b.start), b.end)
		m.Clamped = m.After != at
		out = append(out, m)
	}
	slices.SortFunc(out, func(a, b move) int {
		return cmp.Or(strings.Compare(a.Topic, b.Topic), cmp.Compare(a.Partition, b.Partition))
	})
	return out, nil
}

func commitMoves(ctx context.Context, adm *kadm.Client, name string, moves []move) (failures, error) {
	offsets := kadm.Offsets{}
	for _, m := range moves {
		offsets.AddOffset(m.Topic, m.Partition, m.After, -1)
	}
	answers, err := adm.CommitOffsets(ctx, name, offsets)
	if err != nil {
		return nil, err
	}
	var failed failures
	for i, m := range moves {
		if r, ok := answers.Lookup(m.Topic, m.Partition); ok && r.Err != nil {
			moves[i].Error = explain(r.Err, "").Error()
			failed.add(fmt.Sprintf("%s partition %d", m.Topic, m.Partition), r.Err)
		}
	}
	return failed, nil
}

func printMoves(w io.Writer, moves []move, dryRun bool) {
	var rows [][]string
	for _, m := range moves {
		note := ""
		switch {
		case m.Error != "":
			note = m.Error
		case m.Clamped:
			note = "taken to the nearest offset there is"
		}
		rows = append(rows, []string{m.Topic, strconv.Itoa(int(m.Partition)), number(m.Before), strconv.FormatInt(m.After, 10), note})
	}
	table(w, "TOPIC PARTITION COMMITTED NEW", rows)
	if dryRun {
		fmt.Fprintln(w, "nothing was committed (--dry-run)")
	}
}
