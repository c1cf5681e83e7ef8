package server

import (
	"github.com/naru-stream/naru/internal/broker/storage"
	"github.com/naru-stream/naru/internal/kafka/protocol"
)

// What a ListOffsets request may ask for instead of a time.
const (
	latestTimestamp          = -1
	earliestTimestamp        = -2
	maxTimestamp             = -3 // KIP-734, v7+
	earliestLocalTimestamp   = -4 // KIP-405, v8+
	latestTieredTimestamp    = -5 // KIP-1005, v9+
	earliestPendingTimestamp = -6 // KIP-1023, v11+
)

const readCommitted = 1

// firstEpochVersion is the first version of ListOffsets that tells leader epochs.
const firstEpochVersion = 4

// listOffsets finds offsets by time, or a partition's ends.
func (b *Broker) listOffsets(c *call, r *protocol.ListOffsetsRequest) protocol.Message {
	response := &protocol.ListOffsetsResponse{}
	seen := map[string]map[int32]int{}
	for i := range r.Topics {
		for _, p := range r.Topics[i].Partitions {
			if seen[r.Topics[i].Name] == nil {
				seen[r.Topics[i].Name] = map[int32]int{}
			}
			seen[r.Topics[i].Name][p.PartitionIndex]++
		}
	}
	for i := range r.Topics {
		t := &r.Topics[i]
		out := protocol.ListOffsetsResponseListOffsetsTopicResponse{Name: t.Name}
		for j := range t.Partitions {
			var part protocol.ListOffsetsResponseListOffsetsPartitionResponse
			part.SetDefaults()
			part.PartitionIndex = t.Partitions[j].PartitionIndex
			var err error = protocol.InvalidRequest // the same partition twice
			if seen[t.Name][part.PartitionIndex] == 1 {
				err = b.listOffset(c, r, t.Name, &t.Partitions[j], &part)
			}
			part.ErrorCode = protocol.CodeOf(err)
			if c.version() < firstEpochVersion {
				part.LeaderEpoch = -1
			}
			out.Partitions = append(out.Partitions, part)
		}
		response.Topics = append(response.Topics, out)
	}
	return response
}

func (b *Broker) listOffset(c *call, r *protocol.ListOffsetsRequest, topic string, asked *protocol.ListOffsetsRequestListOffsetsPartition, out *protocol.ListOffsetsResponseListOffsetsPartitionResponse) error {
	p, err := b.partitionFor(topic, protocol.UUID{}, asked.PartitionIndex, false)
	if err != nil {
		return err
	}
	if err := checkEpoch(p, asked.CurrentLeaderEpoch); err != nil {
		return err
	}
	log, version := p.Log(), c.version()
	end := p.HighWatermark()
	if r.IsolationLevel == readCommitted {
		if end, err = p.LastStableOffset(); err != nil {
			return err
		}
	}
	switch ts := asked.Timestamp; {
	case ts == latestTimestamp:
		out.Offset, out.LeaderEpoch = end, p.LeaderEpoch()
		return nil
	case ts == earliestTimestamp, ts == earliestLocalTimestamp && version >= 8:
		out.Offset = log.LogStartOffset()
		out.LeaderEpoch = log.EpochAt(out.Offset)
		return nil
	case ts == latestTieredTimestamp && version >= 9:
		return nil // no segment is tiered: offset -1
	case ts == earliestPendingTimestamp && version >= 11:
		return nil
	case ts == maxTimestamp && version >= 7:
		found, ok, err := log.MaxTimestamp()
		return fill(out, found, ok && found.Offset < end, err)
	case ts >= 0:
		found, ok, err := log.OffsetForTimestamp(ts)
		return fill(out, found, ok && found.Offset < end, err)
	default:
		return protocol.UnsupportedVersion
	}
}

// fill takes the result of a lookup; what was not found stays -1.
func fill(out *protocol.ListOffsetsResponseListOffsetsPartitionResponse, found storage.TimestampedOffset, ok bool, err error) error {
	if err == nil && ok {
		out.Offset, out.Timestamp, out.LeaderEpoch = found.Offset, found.Timestamp, found.LeaderEpoch
	}
	return err
}
