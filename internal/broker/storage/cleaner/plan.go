package cleaner

import "math"

// Segment describes a segment that is not written any more.
type Segment struct {
	BaseOffset int64
	// NextOffset is where the following segment starts.
	NextOffset int64
	SizeBytes  int64
	// FirstTimestampMs is the timestamp of its first batch, MaxTimestampMs the
	// largest in it; negative when there is none.
	FirstTimestampMs int64
	MaxTimestampMs   int64
}

// Policy is what the topic's settings say about cleaning.
type Policy struct {
	// MinCleanableRatio is min.cleanable.dirty.ratio.
	MinCleanableRatio float64
	// MinCompactionLagMs and MaxCompactionLagMs are min. and max.compaction.lag.ms.
	MinCompactionLagMs int64
	MaxCompactionLagMs int64
	// DeleteRetentionMs is delete.retention.ms.
	DeleteRetentionMs int64
	// SegmentBytes is segment.bytes: small segments are joined up to it.
	SegmentBytes int64
}

// Picture is a log as it was at one moment.
type Picture struct {
	// Segments are all but the active one, in order.
	Segments []Segment
	// LogStartOffset is the first offset that may be read.
	LogStartOffset int64
	// CleanedOffset is what Log.Cleaned was last told: nothing below is dirty.
	CleanedOffset int64
	// StableOffset is the last stable offset: what lies behind may still be
	// aborted, or lost by a change of leader.
	StableOffset int64
	Policy       Policy
}

// Plan says what of a log is to be cleaned.
type Plan struct {
	// Segments are those from the start of the log up to EndOffset.
	Segments []Segment
	// FirstDirtyOffset is where records begin that were never compared with the
	// ones before them.
	FirstDirtyOffset int64
	// EndOffset is where the first segment begins that must not be cleaned.
	EndOffset int64
	// Ratio is the dirty share of the bytes of Segments.
	Ratio float64
	// Overdue says that a dirty record is older than max.compaction.lag.ms.
	Overdue bool
	// Due says that cleaning is worth it now.
	Due bool
}

// Make plans the cleaning of a log.
func Make(p Picture, nowMs int64) Plan {
	plan := Plan{FirstDirtyOffset: max(p.CleanedOffset, p.LogStartOffset)}
	end := 0
	for _, s := range p.Segments {
		young := p.Policy.MinCompactionLagMs > 0 && s.NextOffset > plan.FirstDirtyOffset &&
			s.MaxTimestampMs > nowMs-p.Policy.MinCompactionLagMs
		if s.NextOffset > p.StableOffset || young {
			break
		}
		end++
		plan.EndOffset = s.NextOffset
	}
	plan.Segments = p.Segments[:end]
	// A log that was truncated or replaced below what had been cleaned has to be
	// looked at from the start.
	if n := len(p.Segments); n == 0 || p.CleanedOffset > p.Segments[n-1].NextOffset {
		plan.FirstDirtyOffset = p.LogStartOffset
	}
	var total, dirty int64
	oldest := int64(math.MaxInt64)
	for _, s := range plan.Segments {
		total += s.SizeBytes
		if s.NextOffset <= plan.FirstDirtyOffset || s.SizeBytes == 0 {
			continue
		}
		dirty += s.SizeBytes
		if s.FirstTimestampMs >= 0 {
			oldest = min(oldest, s.FirstTimestampMs)
		}
	}
	if dirty == 0 {
		return plan
	}
	plan.Ratio = float64(dirty) / float64(total)
	plan.Overdue = p.Policy.MaxCompactionLagMs < math.MaxInt64 && oldest < nowMs-p.Policy.MaxCompactionLagMs
	plan.Due = plan.Overdue || plan.Ratio >= p.Policy.MinCleanableRatio
	return plan
}

// dirtier orders plans: what is overdue first, then what promises most.
func (p *Plan) dirtier(other *Plan) bool {
	if p.Overdue != other.Overdue {
		return p.Overdue
	}
	return p.Ratio > other.Ratio
}

// Groups cuts the segments below endOffset into runs that become one segment each:
// none larger than segmentBytes, unless it was already, nor with offsets farther
// apart than an index entry can say.
func (p *Plan) Groups(segmentBytes, endOffset int64) [][]Segment {
	var groups [][]Segment
	start, size := 0, int64(0)
	for i, s := range p.Segments {
		if s.BaseOffset >= endOffset {
			return append(groups, rest(p.Segments[start:i])...)
		}
		fits := size+s.SizeBytes <= segmentBytes && s.NextOffset-1-p.Segments[start].BaseOffset <= math.MaxInt32
		if i > start && !fits {
			groups = append(groups, p.Segments[start:i])
			start, size = i, 0
		}
		size += s.SizeBytes
	}
	return append(groups, rest(p.Segments[start:])...)
}

func rest(s []Segment) [][]Segment {
	if len(s) == 0 {
		return nil
	}
	return [][]Segment{s}
}
