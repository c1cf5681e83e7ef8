package protocol

import (
	"github.com/naru-stream/naru/internal/assert"
	"github.com/naru-stream/naru/internal/kafka/wire"
)

// Cut is a place in the bytes of a response where records go that were not
// copied into it.
type Cut struct {
	// At is the index of the byte before which the records go. Cuts are in
	// rising order of At.
	At int
	// Size is the length of the records in bytes; it is above 0.
	Size int
}

// FetchResponseWriter writes a FetchResponse, version 4 to 18, around records
// that stay where they are, in files or other buffers. The calls go
//
//	Begin, (Topic, Partition…)…, End
//
// with as many Topics and Partitions as were announced. Between the bytes before
// and after each Cut the caller then sends the records of that partition:
//
//	┌ Bytes()[:cuts[0].At] ┐┌ records ┐┌ Bytes()[cuts[0].At:cuts[1].At] ┐┌ records ┐ … ┌ Bytes()[last.At:] ┐
//
// The result is what FetchResponse.Append writes for the same values. The zero
// writer is ready for Begin; used again, it keeps its list of cuts and allocates
// nothing. It is used by one goroutine at a time.
type FetchResponseWriter struct {
	b       []byte
	cuts    []Cut
	records int // bytes of all records
	version int16
	flex    bool
	inTopic bool
	// topics and partitions that were announced and have not come yet.
	topics, partitions int
}

// Begin starts a response of the version with a number of topics. It is appended
// to b, which may hold the frame's size and header and from then on belongs to
// the writer until End.
func (w *FetchResponseWriter) Begin(b []byte, version int16, throttleTimeMs int32, code ErrorCode, sessionID int32, topics int) {
	wire.AssertVersion("FetchResponse", version, 4, 18)
	*w = FetchResponseWriter{b: b, cuts: w.cuts[:0], version: version, flex: version >= 12, topics: topics}
	w.b = wire.AppendInt32(w.b, throttleTimeMs)
	if version >= 7 {
		w.b = wire.AppendInt16(w.b, int16(code))
		w.b = wire.AppendInt32(w.b, sessionID)
	} else if sessionID != 0 {
		wire.AssertCarries(wire.CannotCarry("FetchResponse.SessionId", version))
	}
	w.b = wire.AppendArrayLen(w.b, topics, false, w.flex)
}

// Topic starts a topic with a number of partitions. Up to version 12 it is known
// by its name, from 13 by its id; the other is not sent.
func (w *FetchResponseWriter) Topic(name string, id UUID, partitions int) {
	w.endTopic()
	if w.topics--; w.topics < 0 {
		assert.That(false, "more topics in a FetchResponse than announced")
	}
	if w.version <= 12 {
		w.b = wire.AppendString(w.b, name, w.flex)
	} else {
		w.b = append(w.b, id[:]...)
	}
	w.b = wire.AppendArrayLen(w.b, partitions, false, w.flex)
	w.partitions, w.inTopic = partitions, true
}

// Partition appends a partition whose records take recordsSize bytes; -1 is null.
// The Records of p are not looked at, and p is not kept.
func (w *FetchResponseWriter) Partition(p *FetchResponsePartitionData, recordsSize int) {
	if w.partitions--; w.partitions < 0 {
		assert.That(false, "more partitions of a topic in a FetchResponse than announced")
	}
	v, b := w.version, w.b
	if v <= 11 {
		wire.AssertCarries(p.check(v))
	}
	b = wire.AppendInt32(b, p.PartitionIndex)
	b = wire.AppendInt16(b, int16(p.ErrorCode))
	b = wire.AppendInt64(b, p.HighWatermark)
	b = wire.AppendInt64(b, p.LastStableOffset)
	if v >= 5 {
		b = wire.AppendInt64(b, p.LogStartOffset)
	}
	b = wire.AppendArrayLen(b, len(p.AbortedTransactions), p.AbortedTransactions == nil, w.flex)
	for i := range p.AbortedTransactions {
		b = p.AbortedTransactions[i].appendTo(b, v)
	}
	if v >= 11 {
		b = wire.AppendInt32(b, p.PreferredReadReplica)
	}
	b = wire.AppendBytesLen(b, recordsSize, recordsSize < 0, w.flex)
	if recordsSize > 0 {
		w.cuts = append(w.cuts, Cut{At: len(b), Size: recordsSize})
		w.records += recordsSize
	}
	if w.flex {
		b = p.appendTags(b, v)
	}
	w.b = b
}

// appendTags appends the tagged fields of p, which are absent in most answers.
func (p *FetchResponsePartitionData) appendTags(b []byte, v int16) []byte {
	var tags, mark int
	b, tags = wire.OpenTags(b)
	if !p.DivergingEpoch.isDefault() {
		b, mark = wire.AppendTag(b, tags, 0)
		b = wire.CloseTag(p.DivergingEpoch.appendTo(b, v), mark)
	}
	if !p.CurrentLeader.isDefault() {
		b, mark = wire.AppendTag(b, tags, 1)
		b = wire.CloseTag(p.CurrentLeader.appendTo(b, v), mark)
	}
	if !p.SnapshotId.isDefault() {
		b, mark = wire.AppendTag(b, tags, 2)
		b = wire.CloseTag(p.SnapshotId.appendTo(b, v), mark)
	}
	return b
}

// End appends what follows the topics: from version 16 the endpoints of leaders
// that the response names (KIP-951).
func (w *FetchResponseWriter) End(endpoints []FetchResponseNodeEndpoint) {
	w.endTopic()
	assert.That(w.topics == 0, "fewer topics in a FetchResponse than announced")
	if len(endpoints) != 0 && w.version < 16 {
		wire.AssertCarries(wire.CannotCarry("FetchResponse.NodeEndpoints", w.version))
	}
	if !w.flex {
		return
	}
	var tags, mark int
	w.b, tags = wire.OpenTags(w.b)
	if len(endpoints) == 0 {
		return
	}
	w.b, mark = wire.AppendTag(w.b, tags, 0)
	w.b = wire.AppendArrayLen(w.b, len(endpoints), false, true)
	for i := range endpoints {
		w.b = endpoints[i].appendTo(w.b, w.version)
	}
	w.b = wire.CloseTag(w.b, mark)
}

func (w *FetchResponseWriter) endTopic() {
	assert.That(w.partitions == 0, "fewer partitions of a topic in a FetchResponse than announced")
	if w.flex && w.inTopic {
		w.b = append(w.b, 0)
	}
}

// Bytes returns what has been written, with what Begin was given in front and
// without the records. It is valid until the next Begin, and the caller may
// write to it.
func (w *FetchResponseWriter) Bytes() []byte { return w.b }

// Cuts returns the places of the records, in the order of the partitions that
// have any. It is valid until the next Begin.
func (w *FetchResponseWriter) Cuts() []Cut { return w.cuts }

// Size returns the length of the response in bytes with all records, and with
// what Begin was given in front.
func (w *FetchResponseWriter) Size() int { return len(w.b) + w.records }
