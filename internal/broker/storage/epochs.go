package storage

import (
	"github.com/naru-stream/naru/internal/broker/storage/epochs"
	"github.com/naru-stream/naru/internal/broker/storage/manifest"
)

// NoEpoch stands for a leader epoch that does not exist.
const NoEpoch = epochs.None

// noteEpoch tells the cache which epoch begins at an offset. l.mu is held.
func (l *Log) noteEpoch(epoch int32, start int64) {
	if l.epochs.Note(epoch, start) {
		l.epochsChanged = true
	}
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
	return l.epochs.Latest()
}

// EpochAt returns the leader epoch that wrote an offset, NoEpoch if it is unknown.
func (l *Log) EpochAt(offset int64) int32 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.epochs.At(offset)
}

// Epochs returns the leader-epoch cache, ascending.
func (l *Log) Epochs() []manifest.Epoch {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.epochs.All()
}

// EndOffsetForEpoch returns the largest epoch not above the one asked for, and
// where it ended (KIP-320). An epoch above all known gives NoEpoch and offset -1; one
// below all known gives itself and the first offset of the lowest one.
func (l *Log) EndOffsetForEpoch(epoch int32) (found int32, endOffset int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.epochs.EndOffset(epoch, l.end)
}
