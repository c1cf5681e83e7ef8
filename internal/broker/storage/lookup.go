package storage

import (
	"errors"
	"fmt"
	"slices"

	"github.com/naru-stream/naru/internal/broker/storage/lookup"
	"github.com/naru-stream/naru/internal/broker/storage/segmentfile"
	"github.com/naru-stream/naru/internal/vfs"
)

// TimestampedOffset is the answer to a lookup by time.
type TimestampedOffset = lookup.Record

// OffsetForTimestamp returns the first record whose timestamp is at least
// timestampMs; ok is false if there is none.
func (l *Log) OffsetForTimestamp(timestampMs int64) (found TimestampedOffset, ok bool, err error) {
	for range maxReadAttempts {
		found, ok, err = l.searchTimestamp(timestampMs)
		if !errors.Is(err, vfs.ErrDropped) {
			break
		}
	}
	if err != nil {
		return found, false, storageError(fmt.Sprintf("looking up timestamp %d in %s", timestampMs, l), err)
	}
	return found, ok, nil
}

// MaxTimestamp returns the first record that has the largest timestamp (KIP-734);
// ok is false if there are no records.
func (l *Log) MaxTimestamp() (found TimestampedOffset, ok bool, err error) {
	l.mu.Lock()
	largest := int64(segmentfile.NoTimestamp)
	for _, s := range l.segs {
		largest = max(largest, s.MaxTimestamp)
	}
	l.mu.Unlock()
	if largest == segmentfile.NoTimestamp {
		return found, false, nil
	}
	return l.OffsetForTimestamp(largest)
}

func (l *Log) searchTimestamp(t int64) (TimestampedOffset, bool, error) {
	l.mu.Lock()
	segs, start := slices.Clone(l.segs), l.logStart
	l.mu.Unlock()
	for _, s := range segs {
		l.mu.Lock()
		p := lookup.Plan{Base: s.BaseOffset, Size: s.Size}
		holds := s.MaxTimestamp >= t && s.NextOffset > start && s.handle != nil
		l.mu.Unlock()
		if !holds {
			continue
		}
		if found, ok, err := l.searchSegment(s, &p, t, start); ok || err != nil {
			return found, ok, err
		}
	}
	return TimestampedOffset{}, false, nil
}

func (l *Log) searchSegment(s *segment, p *lookup.Plan, t, start int64) (TimestampedOffset, bool, error) {
	f, err := s.handle.Acquire()
	if err != nil {
		return TimestampedOffset{}, false, err
	}
	defer s.handle.Release()
	buf := l.m.takeBuffer()
	defer l.m.giveBuffer(buf)
	return p.Since(f, s, *buf, t, start)
}
