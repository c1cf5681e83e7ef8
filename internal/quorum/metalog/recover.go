package metalog

import (
	"errors"
	"fmt"

	"github.com/naru-stream/naru/internal/quorum/metadata"
)

// replayBytes is how much of the log is read at once.
const replayBytes = 4 << 20

// Recovered is what a start finds.
type Recovered struct {
	// Image is the state after the last durable record; its Offset is that record's.
	Image *metadata.Image
	// TimestampMs is the time of the last batch, 0 for an empty log.
	TimestampMs int64
	// Snapshot is the snapshot the replay began with; its EndOffset is 0 if there
	// was none.
	Snapshot SnapshotID
	// LogBytes is how much of the log was replayed behind the snapshot.
	LogBytes int
	// Skipped are the complaints about newer snapshots that could not be read.
	Skipped []error
}

// Recover makes the image of the newest readable snapshot and the log behind it.
// It fails if a record is missing or cannot be understood.
func Recover(log Log, snapshots *Snapshots) (*Recovered, error) {
	out := &Recovered{Image: metadata.NewImage()}
	ids, err := snapshots.List()
	if err != nil {
		return nil, err
	}
	for _, id := range ids {
		img, timestampMs, err := snapshots.Load(id)
		if err == nil {
			out.Image, out.TimestampMs, out.Snapshot = img, timestampMs, id
			break
		}
		if !errors.Is(err, ErrSnapshotCorrupt) {
			return nil, err
		}
		out.Skipped = append(out.Skipped, err)
	}
	start, end := log.Bounds()
	next := out.Image.Offset + 1
	if start > next {
		return nil, fmt.Errorf("recovering the cluster metadata: the log begins at offset %d, but the newest readable snapshot "+
			"ends at offset %d; restore a snapshot that ends at %d or later into %s: %w",
			start, next, start, snapshots.Dir, errors.Join(out.Skipped...))
	}
	if end < next {
		return nil, fmt.Errorf("recovering the cluster metadata: the log ends at offset %d, before the snapshot %s: "+
			"the log has lost its end; restore it, or remove the snapshot if it belongs to another log", end, out.Snapshot.Name())
	}
	p := &Replayer{Delta: metadata.NewDelta(out.Image), Next: next, Epoch: out.Image.Epoch, TimestampMs: out.TimestampMs}
	for p.Next < end {
		batches, err := log.Read(p.Next, replayBytes)
		if err != nil {
			return nil, fmt.Errorf("recovering the cluster metadata from offset %d: %w", p.Next, err)
		}
		if len(batches) == 0 {
			return nil, fmt.Errorf("recovering the cluster metadata: the log has nothing at offset %d though it ends at %d", p.Next, end)
		}
		if err := p.Replay(batches); err != nil {
			return nil, fmt.Errorf("recovering the cluster metadata: %w", err)
		}
		out.LogBytes += len(batches)
	}
	out.Image, out.TimestampMs = p.Delta.Image(p.Next-1, p.Epoch), p.TimestampMs
	return out, nil
}
