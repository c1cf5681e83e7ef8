package cli

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/naru-stream/naru/internal/cli/position"
)

// goal says which records of which partitions consume prints.
type goal struct {
	starts map[string]map[int32]kgo.Offset
	// ends holds, for each partition that still has records to come, the offset at
	// which it is done, if bounded.
	ends    map[string]map[int32]int64
	bounded bool
	from    *position.Position
}

// goal asks the cluster for the offsets that the flags mean.
func (a *app) goal(ctx context.Context, o *consumeOptions, where span, names []string) (*goal, error) {
	adm, ctx, done, err := a.admin(ctx)
	if err != nil {
		return nil, err
	}
	defer done()
	found, err := topics(ctx, adm, names)
	if err != nil {
		return nil, err
	}
	if err := havePartitions(found, o.partitions); err != nil {
		return nil, err
	}
	g := &goal{starts: map[string]map[int32]kgo.Offset{}, ends: map[string]map[int32]int64{}, from: where.from}
	if o.group != "" {
		return g, nil
	}
	g.bounded = o.exit || where.until != nil
	all, err := listBounds(ctx, adm, names, where.from)
	if err != nil {
		return nil, err
	}
	if where.until != nil {
		until, err := listBounds(ctx, adm, names, where.until)
		if err != nil {
			return nil, err
		}
		for i, b := range until {
			all[i].end = where.until.Resolve(b.start, b.end, b.atTime)
		}
	}
	for _, b := range all {
		if len(o.partitions) > 0 && !slices.Contains(o.partitions, b.partition) {
			continue
		}
		if err := g.add(where, b); err != nil {
			return nil, err
		}
	}
	return g, nil
}

func havePartitions(found kadm.TopicDetails, partitions []int32) error {
	for _, t := range found.Sorted() {
		for _, p := range partitions {
			if _, ok := t.Partitions[p]; !ok {
				return fmt.Errorf("topic %q has no partition %d: it has 0 to %d", t.Topic, p, len(t.Partitions)-1)
			}
		}
	}
	return nil
}

func (g *goal) add(where span, b bounds) error {
	from := position.Position{Kind: position.FromEnd}
	if where.from != nil {
		from = *where.from
	}
	at := from.Resolve(b.start, b.end, b.atTime)
	if at < b.start || at > b.end && where.until == nil {
		return fmt.Errorf("offset %d is outside of %s partition %d: it holds %d up to %d", at, b.topic, b.partition, b.start, b.end)
	}
	if g.bounded && at >= b.end {
		return nil
	}
	if g.starts[b.topic] == nil {
		g.starts[b.topic], g.ends[b.topic] = map[int32]kgo.Offset{}, map[int32]int64{}
	}
	g.starts[b.topic][b.partition] = kgo.NewOffset().At(at)
	if g.bounded {
		g.ends[b.topic][b.partition] = b.end
	}
	return nil
}

// options returns the client's side of the goal.
func (g *goal) options(o *consumeOptions, names []string) []kgo.Opt {
	opts := []kgo.Opt{kgo.KeepControlRecords(), kgo.FetchMaxBytes(16 << 20)}
	if o.committed {
		opts = append(opts, kgo.FetchIsolationLevel(kgo.ReadCommitted()))
	}
	if o.group == "" {
		return append(opts, kgo.ConsumePartitions(g.starts))
	}
	return append(opts, kgo.ConsumerGroup(o.group), kgo.ConsumeTopics(names...), kgo.AutoCommitMarks(), kgo.ConsumeResetOffset(g.reset()))
}

// reset is where a group starts on a partition it has not committed.
func (g *goal) reset() kgo.Offset {
	if g.from == nil {
		return kgo.NewOffset().AtEnd()
	}
	switch g.from.Kind {
	case position.FromStart:
		return kgo.NewOffset().AtStart().Relative(g.from.N)
	case position.FromEnd:
		return kgo.NewOffset().AtEnd().Relative(-g.from.N)
	case position.AtTime:
		return kgo.NewOffset().AfterMilli(g.from.N)
	}
	return kgo.NewOffset().At(g.from.N)
}

// includes reports whether a record is to be printed.
func (g *goal) includes(r *kgo.Record) bool {
	if r.Attrs.IsControl() {
		return false
	}
	end, open := g.ends[r.Topic][r.Partition]
	return !g.bounded || open && r.Offset < end
}

// passed notes that a record was read and reports whether it was the last one of
// all partitions.
func (g *goal) passed(r *kgo.Record) bool {
	end, open := g.ends[r.Topic][r.Partition]
	if !open || r.Offset+1 < end {
		return false
	}
	delete(g.ends[r.Topic], r.Partition)
	return g.done()
}

// done reports whether a bounded goal has no records to come.
func (g *goal) done() bool {
	if !g.bounded {
		return false
	}
	for _, partitions := range g.ends {
		if len(partitions) > 0 {
			return false
		}
	}
	return true
}

// bounds is what one partition holds.
type bounds struct {
	topic              string
	partition          int32
	start, end, atTime int64
}

// listBounds asks for the offsets of every partition of the topics, and with a
// position in time also for the offset at that time.
func listBounds(ctx context.Context, adm *kadm.Client, names []string, at *position.Position) ([]bounds, error) {
	starts, err := adm.ListStartOffsets(ctx, names...)
	if err != nil {
		return nil, fmt.Errorf("asking for start offsets: %w", err)
	}
	ends, err := adm.ListEndOffsets(ctx, names...)
	if err != nil {
		return nil, fmt.Errorf("asking for end offsets: %w", err)
	}
	var times kadm.ListedOffsets
	if at != nil && at.Kind == position.AtTime {
		if times, err = adm.ListOffsetsAfterMilli(ctx, at.N, names...); err != nil {
			return nil, fmt.Errorf("asking for offsets by time: %w", err)
		}
	}
	var out []bounds
	for _, n := range names {
		for p, end := range ends[n] {
			start, _ := starts.Lookup(n, p)
			b := bounds{topic: n, partition: p, start: start.Offset, end: end.Offset, atTime: -1}
			if t, ok := times.Lookup(n, p); ok && t.Err == nil {
				b.atTime = t.Offset
			}
			if err := cmp.Or(end.Err, start.Err); err != nil {
				return nil, fmt.Errorf("asking for the offsets of %s partition %d: %w", n, p, explain(err, ""))
			}
			out = append(out, b)
		}
	}
	slices.SortFunc(out, func(a, b bounds) int {
		return cmp.Or(strings.Compare(a.topic, b.topic), cmp.Compare(a.partition, b.partition))
	})
	return out, nil
}
