package main

import (
	"bytes"
	"context"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// What the compaction scenario writes: versions of each key, the last of which is a
// tombstone for the last keys, and records that fill the active segment.
const (
	compactKeys     = 20
	compactDead     = 5
	compactVersions = 12
	compactFill     = 150
	compactTotal    = compactKeys*compactVersions + compactFill
)

// compactRecord returns the key and value of a record of the compaction scenario.
func compactRecord(i int) (key, value []byte) {
	version, k := i/compactKeys, i%compactKeys
	if version >= compactVersions {
		return []byte("fill"), bytes.Repeat([]byte("fill"), 2500)
	}
	key = fmt.Appendf(nil, "key-%d", k)
	if version == compactVersions-1 && k >= compactKeys-compactDead {
		return key, nil
	}
	return key, append(fmt.Appendf(nil, "%d-%d-", version, k), bytes.Repeat([]byte("x"), 10000)...)
}

// compaction reads a compacted topic from the beginning until the cleaner has been there:
// then the newest record of each key is left, be it a tombstone.
func (s suite) compaction(ctx context.Context) error {
	text := func(v string) *string { return &v }
	topic, err := s.newTopic(ctx, "compaction", 1, map[string]*string{
		"cleanup.policy": text("compact"), "segment.bytes": text("1048576"), "min.cleanable.dirty.ratio": text("0.01"),
	})
	if err != nil {
		return err
	}
	cl := s.client(kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.ProducerBatchCompression(kgo.NoCompression()))
	defer cl.Close()
	for i := range compactTotal {
		r := &kgo.Record{Topic: topic}
		r.Key, r.Value = compactRecord(i)
		cl.Produce(ctx, r, nil)
	}
	if err := cl.Flush(ctx); err != nil {
		return err
	}
	for {
		problem, err := s.compacted(ctx, topic)
		if err != nil || problem == "" {
			return err
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("not compacted: %s", problem)
		case <-time.After(200 * time.Millisecond):
		}
	}
}

// compacted reads the topic; a problem is what the cleaner has still to do.
func (s suite) compacted(ctx context.Context, topic string) (problem string, err error) {
	cl := s.client(kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{topic: {0: kgo.NewOffset().AtStart()}}))
	defer cl.Close()
	found, last := map[string]int{}, int64(-1)
	for last < compactTotal-1 {
		got, err := poll(ctx, cl, 1)
		if err != nil {
			return "", err
		}
		for _, r := range got {
			key, value := compactRecord(int(r.Offset))
			if r.Offset <= last || !bytes.Equal(r.Key, key) || !bytes.Equal(r.Value, value) || (r.Value == nil) != (value == nil) {
				return "", fmt.Errorf("offset %d after %d has key %q and %d bytes", r.Offset, last, r.Key, len(r.Value))
			}
			last = r.Offset
			if r.Offset < compactKeys*compactVersions {
				found[string(key)]++
			}
			if newest := r.Offset >= compactKeys*(compactVersions-1); !newest && r.Offset < compactKeys*compactVersions {
				problem = fmt.Sprintf("%s at offset %d is not the newest", key, r.Offset)
			}
		}
	}
	if len(found) != compactKeys {
		return "", fmt.Errorf("%d keys, want %d", len(found), compactKeys)
	}
	return problem, nil
}
