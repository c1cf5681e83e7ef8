// Package damage is what was found broken on a node's disks.
//
// Purpose: records that had been synced and are missing or unreadable are told, in
// the log and to whoever asks, and never cut in silence.
//
// Neighbours: package storage finds and reports.
package damage

import (
	"fmt"
	"log/slog"
	"slices"
	"sync"
)

// Damage is something that was found broken and could not be made good: records
// that had been synced are missing or unreadable, or a file that describes them
// is. What could be kept is kept.
type Damage struct {
	// Topic and Partition name the log; Topic is empty for a whole directory.
	Topic string
	// Partition is the partition's number.
	Partition int32
	// File is the damaged file.
	File string
	// FromOffset and ToOffset (exclusive) bound the records that are lost; both are
	// -1 if none are known to be.
	FromOffset, ToOffset int64
	// KeptAs is the file the damaged bytes were moved to, empty if there are none.
	KeptAs string
	// Reason says what is wrong.
	Reason string
}

// String says it in a sentence.
func (d Damage) String() string {
	s := d.File + ": " + d.Reason
	if d.FromOffset >= 0 {
		s += fmt.Sprintf("; offsets %d to %d are lost", d.FromOffset, d.ToOffset-1)
	}
	if d.KeptAs != "" {
		s += "; the bytes are kept in " + d.KeptAs
	}
	return s
}

// List is the damage found so far. Its methods may be called concurrently.
type List struct {
	log *slog.Logger

	mu    sync.Mutex
	found []Damage
}

// NewList returns an empty list that logs what is reported.
func NewList(log *slog.Logger) *List { return &List{log: log} }

// Report adds to the list.
func (l *List) Report(d Damage) {
	l.mu.Lock()
	l.found = append(l.found, d)
	l.mu.Unlock()
	l.log.Error("damage found", "topic", d.Topic, "partition", d.Partition, "file", d.File,
		"from_offset", d.FromOffset, "to_offset", d.ToOffset, "kept_as", d.KeptAs, "reason", d.Reason)
}

// All returns the list.
func (l *List) All() []Damage {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.found)
}
