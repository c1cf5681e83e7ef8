package main

import (
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// verify counts every input in the committed output.
func (w *world) verify() error {
	cl, err := kgo.NewClient(kgo.SeedBrokers(w.Addr), kgo.FetchIsolationLevel(kgo.ReadCommitted()), kgo.KeepControlRecords(),
		kgo.ConsumeTopics("out"), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	if err != nil {
		return err
	}
	defer cl.Close()
	ends, err := w.decided(kadm.NewClient(cl))
	if err != nil {
		return err
	}
	seen, next := map[string]int{}, map[int32]int64{}
	for {
		left := false
		ends.Each(func(o kadm.ListedOffset) { left = left || next[o.Partition] < o.Offset })
		if !left {
			break
		}
		fetches := cl.PollFetches(w.ctx)
		if w.ctx.Err() != nil {
			return fmt.Errorf("reading the output: %w", w.ctx.Err())
		}
		fetches.EachRecord(func(r *kgo.Record) {
			next[r.Partition] = r.Offset + 1
			if !r.Attrs.IsControl() {
				seen[string(r.Value)]++
			}
		})
	}
	for i := range w.r.Inputs {
		value := string(input(i))
		switch n := seen[value]; {
		case n == 0:
			w.r.Lost++
		case n > 1:
			w.r.Duplicated++
		}
		delete(seen, value)
	}
	w.r.Foreign = len(seen)
	return nil
}

// decided waits until the last stable offset is the end of every partition of the
// output: the clients' last transactions have timed out. It returns the ends.
func (w *world) decided(adm *kadm.Client) (ends kadm.ListedOffsets, err error) {
	for {
		stable, err := adm.ListCommittedOffsets(w.ctx, "out")
		if err != nil {
			return nil, err
		}
		if ends, err = adm.ListEndOffsets(w.ctx, "out"); err != nil {
			return nil, err
		}
		all := true
		ends.Each(func(o kadm.ListedOffset) {
			s, _ := stable.Lookup(o.Topic, o.Partition)
			all = all && s.Offset == o.Offset
		})
		if all {
			return ends, nil
		}
		time.Sleep(200 * time.Millisecond)
	}
}
