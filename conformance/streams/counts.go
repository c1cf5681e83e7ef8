package main

import (
	"context"
	"encoding/binary"
	"sync"

	"github.com/twmb/franz-go/pkg/kgo"
)

// counts is what the application has written.
type counts struct {
	mu      sync.Mutex
	last    map[string]int64
	outputs int64
	// disorder is how many counts did not follow the one before.
	disorder int
}

func newCounts() *counts { return &counts{last: map[string]int64{}} }

// read takes in the topic until the context ends.
func (c *counts) read(ctx context.Context, cl *kgo.Client) {
	for ctx.Err() == nil {
		cl.PollFetches(ctx).EachRecord(c.take)
	}
}

func (c *counts) take(r *kgo.Record) {
	if len(r.Value) != 8 {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	n := int64(binary.BigEndian.Uint64(r.Value))
	if n != c.last[string(r.Key)]+1 {
		c.disorder++
	}
	c.last[string(r.Key)] = n
	c.outputs++
}

func (c *counts) total() int64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.outputs
}

// reached tells whether no word is counted too low.
func (c *counts) reached(truth map[string]int64) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	for word, n := range truth {
		if c.last[word] < n {
			return false
		}
	}
	return true
}

// judge holds the counts against the truth.
func (c *counts) judge(truth map[string]int64, r *result) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for word, n := range truth {
		switch {
		case c.last[word] < n:
			r.TooFew++
		case c.last[word] > n:
			r.TooMany++
		}
	}
	for word := range c.last {
		if truth[word] == 0 {
			r.TooMany++
		}
	}
	r.Outputs, r.OutOfOrder = c.outputs, c.disorder
}
