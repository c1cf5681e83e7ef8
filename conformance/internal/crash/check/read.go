package check

import (
	"context"
	"fmt"
	"time"

	"github.com/naru-stream/naru/conformance/internal/crash/ledger"
	"github.com/naru-stream/naru/conformance/internal/crash/wire"
)

// readBytes is how much one fetch of Read asks for.
const readBytes = 4 << 20

// maxRefusals is how often Read asks a server again that does not lead the partition yet: for 10 s.
const maxRefusals = 2000

// Read reads a partition from an offset (or its first, if that is higher) up to end, which is exclusive,
// and shows each record to the ledger. It goes on through crashes. An end below 0 stands for where the
// partition ends now. It returns what it covered.
func Read(ctx context.Context, addr string, l *ledger.Ledger, p wire.Partition, from, end int64) (first, last int64, err error) {
	var conn *wire.Conn
	defer func() {
		if conn != nil {
			conn.Close()
		}
	}()
	first = from
	refusals := 0
	for at := from; end < 0 || at < end; {
		if ctx.Err() != nil {
			return first, at, ctx.Err()
		}
		if conn == nil {
			if conn, err = wire.Dial(ctx, addr, 30*time.Second); err != nil {
				conn = nil
				pause(ctx)
				continue
			}
		}
		next, begins, done, err := step(conn, l, p, at, &end)
		switch {
		case wire.Is(err, "NOT_LEADER_FOR_PARTITION", "LEADER_NOT_AVAILABLE") && refusals < maxRefusals:
			refusals++ // a server that has just started
			pause(ctx)
			continue
		case err != nil && wire.Refused(err):
			return first, at, fmt.Errorf("reading %s from %d: %w", p, at, err)
		case err != nil:
			conn.Close()
			conn = nil
			pause(ctx)
			continue
		case begins > at:
			first, at = begins, begins // deleted meanwhile: what is left is judged
			continue
		case done:
			return first, end, nil
		}
		at = next
	}
	return first, end, nil
}

func pause(ctx context.Context) {
	select {
	case <-ctx.Done():
	case <-time.After(5 * time.Millisecond):
	}
}

// step fetches once. begins is above at if the partition begins there now.
func step(conn *wire.Conn, l *ledger.Ledger, p wire.Partition, at int64, end *int64) (next, begins int64, done bool, err error) {
	if *end < 0 {
		ends, err := conn.Offsets(wire.Latest, []wire.Partition{p})
		if err != nil {
			return at, 0, false, err
		}
		if *end = ends[p]; at >= *end {
			return at, 0, true, nil
		}
	}
	got, err := conn.Fetch(map[wire.Partition]int64{p: at}, readBytes)
	if err != nil {
		return at, 0, false, err
	}
	f := got[p]
	if err := wire.Code(f.Code); err != nil {
		if !wire.Is(err, "OFFSET_OUT_OF_RANGE") {
			return at, 0, false, err
		}
		starts, lost := conn.Offsets(wire.Earliest, []wire.Partition{p})
		if lost != nil {
			return at, 0, false, lost
		}
		if starts[p] > at {
			return at, starts[p], false, nil
		}
		return at, 0, false, err
	}
	records, err := f.Records(p, at)
	if err != nil {
		l.Violate("bytes", fmt.Sprintf("%s offset %d", p, at), "%v", err)
		return *end, 0, true, nil
	}
	if len(records) == 0 {
		l.Violate("partitions serve", fmt.Sprintf("%s offset %d", p, at), "a fetch brings nothing, high watermark %d", f.HighWatermark)
		return *end, 0, true, nil
	}
	for _, r := range records {
		l.Observed(p, r.Offset, r.Key, r.Value)
		at = r.Offset + 1
	}
	return at, 0, false, nil
}
