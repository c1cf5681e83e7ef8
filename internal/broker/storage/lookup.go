package storage

import (
	"errors"
	"fmt"
	"slices"

	"github.com/naru-stream/naru/internal/broker/storage/segmentfile"
	"github.com/naru-stream/naru/internal/vfs"
)

// TimestampedOffset is the answer to a lookup by time.
type TimestampedOffset struct {
	// Offset is that of the record found.
	Offset int64
	// Timestamp is the record's, in milliseconds since 1970.
	Timestamp int64
	// LeaderEpoch is that of the record's batch.
	LeaderEpoch int32
}

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
	largest := int64(noTimestamp)
	for _, s := range l.segs {
		largest = max(largest, s.maxTimestamp)
	}
	l.mu.Unlock()
	if largest == noTimestamp {
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
		p := readPlan{seg: s, base: s.base, size: s.size}
		holds := s.maxTimestamp >= t && s.next > start && s.handle != nil
		l.mu.Unlock()
		if !holds {
			continue
		}
		if found, ok, err := l.searchSegment(&p, t, start); ok || err != nil {
			return found, ok, err
		}
	}
	return TimestampedOffset{}, false, nil
}

func (l *Log) searchSegment(p *readPlan, t, start int64) (TimestampedOffset, bool, error) {
	e, err := l.floorOf(p.seg, query{kind: byTimestamp, timestamp: t})
	if err != nil {
		return TimestampedOffset{}, false, err
	}
	f, err := p.seg.handle.Acquire()
	if err != nil {
		return TimestampedOffset{}, false, err
	}
	defer p.seg.handle.Release()
	buf := l.m.takeBuffer()
	defer l.m.giveBuffer(buf)
	sc := segmentfile.NewScanner(f, int64(e.Position), p.size, *buf)
	for sc.Next() {
		if sc.Header.MaxTimestamp() < t || sc.Header.LastOffset() < start {
			continue
		}
		b, err := sc.Whole()
		if err != nil {
			return TimestampedOffset{}, false, err
		}
		offset, ts, ok, err := segmentfile.FirstSince(b, t, start)
		if ok || err != nil {
			return TimestampedOffset{offset, ts, b.PartitionLeaderEpoch()}, ok, err
		}
	}
	return TimestampedOffset{}, false, sc.Err
}
