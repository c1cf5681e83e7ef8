package protocol

import "github.com/naru-stream/naru/internal/kafka/wire"

// AppendAround appends the response like Append, but leaves the records where they are:
// recordsSize tells how many bytes those of the j-th partition of the i-th topic take,
// and the cuts where they go, in the order of the partitions that have any. The Records
// of the message are not looked at.
func (m *ShareFetchResponse) AppendAround(b []byte, version int16, cuts []Cut, recordsSize func(i, j int) int) ([]byte, []Cut) {
	wire.AssertVersion("ShareFetchResponse", version, 1, 2)
	b = wire.AppendInt32(b, m.ThrottleTimeMs)
	b = wire.AppendInt16(b, int16(m.ErrorCode))
	b = wire.AppendNullableString(b, wire.ClipNullable(m.ErrorMessage), true)
	b = wire.AppendInt32(b, m.AcquisitionLockTimeoutMs)
	b = wire.AppendArrayLen(b, len(m.Responses), false, true)
	for i := range m.Responses {
		t := &m.Responses[i]
		b = wire.AppendUUID(b, t.TopicId)
		b = wire.AppendArrayLen(b, len(t.Partitions), false, true)
		for j := range t.Partitions {
			size := recordsSize(i, j)
			b = t.Partitions[j].appendBefore(b, version, size)
			if size > 0 {
				cuts = append(cuts, Cut{At: len(b), Size: size})
			}
			b = t.Partitions[j].appendAfter(b, version)
		}
		b = append(b, 0)
	}
	b = wire.AppendArrayLen(b, len(m.NodeEndpoints), false, true)
	for i := range m.NodeEndpoints {
		b = m.NodeEndpoints[i].appendTo(b, version)
	}
	return append(b, 0), cuts
}

// appendBefore appends what comes before the bytes of the records.
func (m *ShareFetchResponsePartitionData) appendBefore(b []byte, v int16, recordsSize int) []byte {
	b = wire.AppendInt32(b, m.PartitionIndex)
	b = wire.AppendInt16(b, int16(m.ErrorCode))
	b = wire.AppendNullableString(b, wire.ClipNullable(m.ErrorMessage), true)
	b = wire.AppendInt16(b, m.AcknowledgeErrorCode)
	b = wire.AppendNullableString(b, wire.ClipNullable(m.AcknowledgeErrorMessage), true)
	b = m.CurrentLeader.appendTo(b, v)
	return wire.AppendBytesLen(b, recordsSize, false, true)
}

// appendAfter appends what comes behind the records.
func (m *ShareFetchResponsePartitionData) appendAfter(b []byte, v int16) []byte {
	b = wire.AppendArrayLen(b, len(m.AcquiredRecords), false, true)
	for i := range m.AcquiredRecords {
		b = m.AcquiredRecords[i].appendTo(b, v)
	}
	return append(b, 0)
}
