// Package epochs is the leader-epoch cache of one partition: which leader epoch
// began at which offset (KIP-101, KIP-320).
//
// Purpose: a replica that rejoins and a consumer that saw another leader find out
// where their histories parted.
//
// Neighbours: package storage keeps one Cache for each log, under the log's lock,
// and saves it in the manifest. Pure.
//
// Invariant: epochs and start offsets both ascend strictly.
package epochs

import (
	"slices"

	"github.com/naru-stream/naru/internal/broker/storage/manifest"
)

// None stands for a leader epoch that does not exist.
const None = -1

// Cache is the list of epochs. Its zero value is empty. It is not safe for
// concurrent use.
type Cache struct {
	entries []manifest.Epoch
}

// Of returns a cache with these entries, which it takes over.
func Of(entries []manifest.Epoch) Cache { return Cache{entries: entries} }

// All returns a copy of the entries, ascending.
func (c *Cache) All() []manifest.Epoch { return slices.Clone(c.entries) }

// View returns the entries themselves, to be read at once.
func (c *Cache) View() []manifest.Epoch { return c.entries }

// Note adds an epoch if it is the newest, and drops those that turn out to have no
// record. It says whether anything changed.
func (c *Cache) Note(epoch int32, start int64) bool {
	n := len(c.entries)
	if epoch < 0 || n > 0 && c.entries[n-1].Epoch >= epoch {
		return false
	}
	for n > 0 && c.entries[n-1].StartOffset >= start {
		n--
	}
	c.entries = append(slices.Clip(c.entries[:n]), manifest.Epoch{Epoch: epoch, StartOffset: start})
	return true
}

// Latest returns the newest epoch, None if there is none.
func (c *Cache) Latest() int32 {
	if n := len(c.entries); n > 0 {
		return c.entries[n-1].Epoch
	}
	return None
}

// At returns the epoch that wrote an offset, None if it is unknown.
func (c *Cache) At(offset int64) int32 {
	for _, e := range slices.Backward(c.entries) {
		if e.StartOffset <= offset {
			return e.Epoch
		}
	}
	return None
}

// EndOffset returns the largest epoch not above the one asked for, and where it
// ended. An epoch above all known gives None and -1; one below all known gives
// itself and the first offset of the lowest one.
func (c *Cache) EndOffset(epoch int32, logEndOffset int64) (found int32, endOffset int64) {
	n := len(c.entries)
	if n == 0 || epoch < 0 || epoch > c.entries[n-1].Epoch {
		return None, -1
	}
	if epoch == c.entries[n-1].Epoch {
		return epoch, logEndOffset
	}
	i := slices.IndexFunc(c.entries, func(e manifest.Epoch) bool { return e.Epoch > epoch })
	if i == 0 {
		return epoch, c.entries[0].StartOffset
	}
	return c.entries[i-1].Epoch, c.entries[i].StartOffset
}

// TruncateFrom drops the epochs that begin at or behind an offset.
func (c *Cache) TruncateFrom(offset int64) {
	n := len(c.entries)
	for n > 0 && c.entries[n-1].StartOffset >= offset {
		n--
	}
	c.entries = c.entries[:n]
}

// TruncateBefore drops the epochs that end before the log's start; the one that
// reaches over it begins there now. It says whether anything changed.
func (c *Cache) TruncateBefore(start int64) bool {
	changed := false
	for len(c.entries) > 1 && c.entries[1].StartOffset <= start {
		c.entries, changed = c.entries[1:], true
	}
	if len(c.entries) > 0 && c.entries[0].StartOffset < start {
		c.entries = slices.Clone(c.entries)
		c.entries[0].StartOffset, changed = start, true
	}
	return changed
}
