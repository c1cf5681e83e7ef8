// Package check asks a server that came back after a crash for everything it had promised before.
package check

import (
	"context"
	"fmt"
	"time"

	"github.com/naru-stream/naru/conformance/internal/crash/wire"
)

// Ready is when a server served again, counted from the start of its process.
type Ready struct {
	Listening time.Duration // the first connection was accepted
	Metadata  time.Duration // every expected topic has leaders
	Fetch     time.Duration // every partition has served a fetch
	Topics    map[string]wire.Topic
	Count     int // partitions

	maybeLost bool
}

// fetchBytes is how much each partition may answer to the fetch that counts; it always answers its last
// batch.
const fetchBytes = 1 << 20

// fetchTogether is how many partitions share a fetch request.
const fetchTogether = 2500

// WaitReady asks without pause until Metadata names the expected topics and every partition of every
// topic has answered a fetch of its last record, which must bring it unless maybeLost. exited tells that
// waiting is in vain.
func WaitReady(ctx context.Context, addr string, began time.Time, expected []string, maybeLost bool, exited func() error) (Ready, error) {
	r := Ready{maybeLost: maybeLost}
	var last error
	for {
		conn, err := wire.Dial(ctx, addr, 60*time.Second)
		if err == nil {
			if r.Listening == 0 {
				r.Listening = time.Since(began)
			}
			err = r.ask(conn, began, expected)
			conn.Close()
		}
		if err == nil {
			return r, nil
		}
		last = err
		if err := exited(); err != nil {
			return r, err
		}
		select {
		case <-ctx.Done():
			return r, fmt.Errorf("not ready after %s: %w", time.Since(began).Round(time.Millisecond), last)
		case <-time.After(500 * time.Microsecond):
		}
	}
}

func (r *Ready) ask(conn *wire.Conn, began time.Time, expected []string) error {
	topics, err := conn.Topics()
	if err != nil {
		return err
	}
	var all []wire.Partition
	for name, t := range topics {
		for i := range t.Partitions {
			all = append(all, wire.Partition{Topic: name, Index: i})
		}
	}
	for _, name := range expected {
		if _, ok := topics[name]; !ok {
			return fmt.Errorf("topic %s is not there", name)
		}
	}
	if r.Metadata == 0 {
		r.Metadata = time.Since(began)
	}
	ends, err := conn.Offsets(wire.Latest, all)
	if err != nil {
		return err
	}
	for from := 0; from < len(all); from += fetchTogether {
		if err := fetchLast(conn, all[from:min(len(all), from+fetchTogether)], ends, r.maybeLost); err != nil {
			return err
		}
	}
	r.Fetch, r.Topics, r.Count = time.Since(began), topics, len(all)
	return nil
}

// fetchLast fetches the last record of each partition; a partition whose answer had no room is asked
// again.
func fetchLast(conn *wire.Conn, partitions []wire.Partition, ends map[wire.Partition]int64, maybeLost bool) error {
	from := map[wire.Partition]int64{}
	for _, p := range partitions {
		from[p] = max(0, ends[p]-1)
	}
	for len(from) > 0 {
		left := len(from)
		got, err := conn.Fetch(from, fetchBytes)
		if err != nil {
			return err
		}
		for p, f := range got {
			const outOfRange = 1 // all was deleted: that is an answer
			if f.Code != 0 && f.Code != outOfRange {
				return fmt.Errorf("fetch of %s: %w", p, wire.Code(f.Code))
			}
			if maybeLost || ends[p] == 0 || f.Code == outOfRange || !f.Empty() {
				delete(from, p)
			}
		}
		if len(from) == left {
			for p := range from {
				return fmt.Errorf("fetch of %s from %d, which ends at %d, brings nothing", p, from[p], ends[p])
			}
		}
	}
	return nil
}
