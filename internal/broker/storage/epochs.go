package storage

import (
	"slices"

	"github.com/naru-stream/naru/internal/broker/storage/manifest"
)

// NoEpoch stands for a leader epoch that does not exist.
const NoEpoch = -1

// noteEpoch adds an epoch to the cache if it is the newest, and drops those that
// turn out to have no record (KIP-101). l.mu is held.
func (l *Log) noteEpoch(epoch int32, start int64) {
	n := len(l.epochs)
	if epoch < 0 || n > 0 && l.epochs[n-1].Epoch >= epoch {
		return
	}
	for n > 0 && l.epochs[n-1].StartOffset >= start {
		n--
	}
	l.epochs = append(slices.Clip(l.epochs[:n]), manifest.Epoch{Epoch: epoch, StartOffset: start})
	l.pace.epochsChanged = true
}

// AssignEpoch notes that a leader of this epoch writes from the log's end on, as a
// new leader does before it serves, so that later epochs can always be resolved.
func (l *Log) AssignEpoch(epoch int32) {
	l.exclusive(func() {
		l.mu.Lock()
		l.noteEpoch(epoch, l.end)
		l.mu.Unlock()
	})
	l.changed()
}

// LatestEpoch returns the newest leader epoch, NoEpoch if there is none.
func (l *Log) LatestEpoch() int32 {
	l.mu.Lock()
	defer l.mu.Unlock()
	if n := len(l.epochs); n > 0 {
		return l.epochs[n-1].Epoch
	}
	return NoEpoch
}

// EpochAt returns the leader epoch that wrote an offset, NoEpoch if it is unknown.
func (l *Log) EpochAt(offset int64) int32 {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, e := range slices.Backward(l.epochs) {
		if e.StartOffset <= offset {
			return e.Epoch
		}
	}
	return NoEpoch
}

// Epochs returns the leader-epoch cache, ascending.
func (l *Log) Epochs() []manifest.Epoch {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.epochs)
}

// EndOffsetForEpoch returns the largest epoch not above the one asked for, and
// where it ended (KIP-320). An epoch above all known gives NoEpoch and offset -1; one
// below all known gives itself and the first offset of the lowest one.
func (l *Log) EndOffsetForEpoch(epoch int32) (found int32, endOffset int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	n := len(l.epochs)
	if n == 0 || epoch < 0 || epoch > l.epochs[n-1].Epoch {
		return NoEpoch, -1
	}
	if epoch == l.epochs[n-1].Epoch {
		return epoch, l.end
	}
	i := slices.IndexFunc(l.epochs, func(e manifest.Epoch) bool { return e.Epoch > epoch })
	if i == 0 {
		return epoch, l.epochs[0].StartOffset
	}
	return l.epochs[i-1].Epoch, l.epochs[i].StartOffset
}
