package metalog

import (
	"errors"
	"fmt"
	"sync"

	"github.com/naru-stream/naru/internal/kafka/metarecord"
	"github.com/naru-stream/naru/internal/kafka/record"
	"github.com/naru-stream/naru/internal/kafka/wire"
	"github.com/naru-stream/naru/internal/quorum/metadata"
)

// TopicID is the id of the metadata log's topic in every cluster.
var TopicID = wire.UUID{15: 1}

// Log is where the batches of the metadata log lie. One goroutine uses it at a
// time.
type Log interface {
	// Append writes complete batches, whose offsets follow the log's end, and
	// returns when they are durable. After an error the log must not be used any
	// more: what it holds beyond its last durable offset is unknown.
	Append(batches []byte, leaderEpoch int32) error
	// Read returns whole batches of at least one and about maxBytes bytes, the
	// first of which contains offset; nothing at the end of the log.
	Read(offset int64, maxBytes int) ([]byte, error)
	// Bounds returns the offset of the first record and that behind the last
	// durable one.
	Bounds() (start, end int64)
	// Trim lets go of records before an offset, as far as that is convenient.
	Trim(before int64) error
}

// maxBatchBytes is where Encoder.Append begins another batch.
const maxBatchBytes = 8 << 20

// Encoder makes batches of records. It belongs to one goroutine and keeps its
// memory.
type Encoder struct {
	builder record.Builder
	frame   []byte
}

// Entry is a position in the log: what the batches of one append have in common.
type Entry struct {
	// BaseOffset is the offset of the first record.
	BaseOffset int64
	// LeaderEpoch is the epoch of the controller that writes.
	LeaderEpoch int32
	// TimestampMs is the time of writing, in milliseconds since 1970.
	TimestampMs int64
}

func (at Entry) spec(control bool) record.Spec {
	spec := record.DefaultSpec()
	spec.BaseOffset, spec.PartitionLeaderEpoch, spec.Control = at.BaseOffset, at.LeaderEpoch, control
	return spec
}

// Append appends batches with the records to dst, each record in the version
// that versionOf says, and returns the offset behind the last.
func (e *Encoder) Append(
	dst []byte, at Entry, records []metadata.Record, versionOf func(metadata.Record) int16,
) (out []byte, next int64, err error) {
	for len(records) > 0 {
		e.builder.Reset(at.spec(false))
		n := 0
		for n < len(records) && e.builder.UncompressedSize() < maxBatchBytes {
			e.frame = metarecord.Append(e.frame[:0], records[n], versionOf(records[n]))
			if err := e.builder.Append(at.TimestampMs, nil, e.frame); err != nil {
				return dst, at.BaseOffset, fmt.Errorf("encoding metadata records at offset %d: %w", at.BaseOffset, err)
			}
			n++
		}
		if dst, err = e.builder.Build(dst); err != nil {
			return dst, at.BaseOffset, fmt.Errorf("encoding metadata records at offset %d: %w", at.BaseOffset, err)
		}
		records = records[n:]
		at.BaseOffset += int64(n)
	}
	return dst, at.BaseOffset, nil
}

// AppendControl appends a batch with one control record to dst.
func (e *Encoder) AppendControl(dst []byte, at Entry, kind metarecord.ControlType, version int16, value metarecord.Control) ([]byte, error) {
	e.builder.Reset(at.spec(true))
	e.frame = metarecord.AppendControlKey(e.frame[:0], kind)
	keySize := len(e.frame)
	e.frame = value.Append(e.frame, version)
	if err := e.builder.Append(at.TimestampMs, e.frame[:keySize], e.frame[keySize:]); err != nil {
		return dst, fmt.Errorf("encoding a control record at offset %d: %w", at.BaseOffset, err)
	}
	return e.builder.Build(dst)
}

// Replayer applies batches to a delta.
type Replayer struct {
	Delta *metadata.Delta
	// Next is the offset of the record that must come next; earlier ones are passed
	// over.
	Next int64
	// Epoch is the epoch of the last batch, TimestampMs its time.
	Epoch       int32
	TimestampMs int64
	// Control, if set, sees the control records.
	Control func(metarecord.ControlType, metarecord.Control) error

	scratch record.Scratch
}

// Replay applies whole batches.
func (p *Replayer) Replay(batches []byte) error {
	for len(batches) > 0 {
		batch, rest, err := record.Next(batches)
		if err != nil {
			return fmt.Errorf("reading the metadata batch at offset %d: %w", p.Next, err)
		}
		if err := p.batch(batch); err != nil {
			return fmt.Errorf("replaying the metadata batch at offset %d: %w", batch.BaseOffset(), err)
		}
		batches = rest
	}
	return nil
}

func (p *Replayer) batch(b record.Batch) error {
	if err := b.CheckHeader(); err != nil {
		return err
	}
	if err := b.CheckCRC(); err != nil {
		return err
	}
	if b.BaseOffset() > p.Next {
		return fmt.Errorf("records from offset %d to %d are missing", p.Next, b.BaseOffset()-1)
	}
	it, err := b.Iterate(&p.scratch)
	if err != nil {
		return err
	}
	for it.Next() {
		if it.Record.Offset < p.Next {
			continue
		}
		if b.IsControl() {
			err = p.control(&it.Record)
		} else {
			err = p.data(&it.Record)
		}
		if err != nil {
			return fmt.Errorf("record at offset %d: %w", it.Record.Offset, err)
		}
		p.Next = it.Record.Offset + 1
	}
	p.Epoch, p.TimestampMs = b.PartitionLeaderEpoch(), b.MaxTimestamp()
	return it.Err()
}

func (p *Replayer) data(r *record.Record) error {
	m, _, err := metarecord.Parse(r.Value)
	if errors.Is(err, metarecord.ErrUnknownType) || errors.Is(err, wire.ErrVersion) {
		return fmt.Errorf("a newer version wrote this log; start that version, or a newer one: %w", err)
	}
	if err != nil {
		return err
	}
	return p.Delta.Apply(m)
}

func (p *Replayer) control(r *record.Record) error {
	kind, value, err := metarecord.ParseControl(r.Key, r.Value)
	if err != nil || p.Control == nil {
		return err
	}
	return p.Control(kind, value)
}

// Memory is a Log in memory, for tests and simulation. Its methods may be called
// concurrently.
type Memory struct {
	mu         sync.Mutex
	batches    [][]byte
	start, end int64
	// Fail, if set, is asked before each append and may refuse it.
	Fail func(batches []byte) error
}

// Append implements Log.
func (m *Memory) Append(batches []byte, _ int32) error {
	if m.Fail != nil {
		if err := m.Fail(batches); err != nil {
			return err
		}
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	for len(batches) > 0 {
		b, rest, err := record.Next(batches)
		if err != nil {
			return err
		}
		if b.BaseOffset() != m.end {
			return fmt.Errorf("batch at offset %d does not follow the end %d", b.BaseOffset(), m.end)
		}
		m.batches = append(m.batches, append([]byte(nil), b...))
		m.end = b.NextOffset()
		batches = rest
	}
	return nil
}

// Read implements Log.
func (m *Memory) Read(offset int64, maxBytes int) ([]byte, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if offset < m.start {
		return nil, fmt.Errorf("offset %d lies before the start %d", offset, m.start)
	}
	var out []byte
	for _, b := range m.batches {
		if record.Batch(b).NextOffset() <= offset {
			continue
		}
		if out = append(out, b...); len(out) >= maxBytes {
			break
		}
	}
	return out, nil
}

// Bounds implements Log.
func (m *Memory) Bounds() (start, end int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.start, m.end
}

// Trim implements Log.
func (m *Memory) Trim(before int64) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	for len(m.batches) > 0 && record.Batch(m.batches[0]).NextOffset() <= before {
		m.start = record.Batch(m.batches[0]).NextOffset()
		m.batches = m.batches[1:]
	}
	return nil
}

// Prefix returns a copy of the log as it was when it ended at offset, which must
// lie between two appends' batches.
func (m *Memory) Prefix(end int64) *Memory {
	m.mu.Lock()
	defer m.mu.Unlock()
	p := &Memory{start: m.start, end: m.start}
	for _, b := range m.batches {
		if next := record.Batch(b).NextOffset(); next <= end {
			p.batches, p.end = append(p.batches, b), next
		}
	}
	return p
}
