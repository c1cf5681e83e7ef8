package deadletter

import (
	"strconv"

	"github.com/naru-stream/naru/internal/kafka/record"
)

// Headers of a dead letter, as Kafka names them.
const (
	headerTopic     = "__dlq.errors.topic"
	headerPartition = "__dlq.errors.partition"
	headerOffset    = "__dlq.errors.offset"
	headerGroup     = "__dlq.errors.group"
	headerCount     = "__dlq.errors.delivery.count"
	headerMessage   = "__dlq.errors.message"
)

// recordOverhead is more than a record takes besides its key, value and headers, and a
// header besides its own.
const (
	recordOverhead = 40
	headerOverhead = 10
)

// cursor is a record of a letter: the range that holds it, and its offset.
type cursor struct {
	index  int
	offset int64
}

// page is the record batch with the next records of a letter.
type page struct {
	*Letter
	cursor
	builder *record.Builder
	limit   int // of the batch, in bytes
	nowMs   int64
	headers [6]record.Header
}

// done tells whether the page has the letter's last record.
func (p *page) done() bool { return p.index == len(p.Records) }

// add writes the next record with the given key and value. It reports whether there was
// room. What is too large for the topic by itself goes without key and value.
func (p *page) add(key, value []byte) (bool, error) {
	headers := p.describe()
	size := recordOverhead
	for _, h := range headers {
		size += headerOverhead + len(h.Key) + len(h.Value)
	}
	if p.builder.UncompressedSize()+size+len(key)+len(value) > p.limit {
		if p.builder.Count() > 0 {
			return false, nil
		}
		key, value = nil, nil
	}
	if err := p.builder.Append(p.nowMs, key, value, headers...); err != nil {
		return false, err
	}
	if p.offset++; p.offset > p.Records[p.index].Last {
		if p.index++; !p.done() {
			p.offset = p.Records[p.index].First
		}
	}
	return true, nil
}

// addBelow writes the records below offset without key and value.
func (p *page) addBelow(offset int64) (room bool, err error) {
	for !p.done() && p.offset < offset {
		if room, err = p.add(nil, nil); !room {
			return false, err
		}
	}
	return true, nil
}

// addAll writes all that is left without key and value.
func (p *page) addAll() error {
	for !p.done() {
		if room, err := p.add(nil, nil); !room {
			return err
		}
	}
	return nil
}

// addBatch writes the records that a record batch of the source holds.
func (p *page) addBatch(b record.Batch, scratch *record.Scratch) (room bool, err error) {
	if !b.IsControl() {
		// What cannot be read has no key and value any more.
		if it, err := b.Iterate(scratch); err == nil {
			for it.Next() && !p.done() {
				if room, err = p.addBelow(it.Record.Offset); !room {
					return false, err
				}
				if p.done() || p.offset != it.Record.Offset {
					continue
				}
				if room, err = p.add(it.Record.Key, it.Record.Value); !room {
					return false, err
				}
			}
		}
	}
	return p.addBelow(b.NextOffset())
}

// describe returns the headers of the next record; they are valid until the next call.
func (p *page) describe() []record.Header {
	r := &p.Records[p.index]
	h := append(p.headers[:0],
		record.Header{Key: []byte(headerTopic), Value: []byte(p.Topic)},
		record.Header{Key: []byte(headerPartition), Value: strconv.AppendInt(nil, int64(p.Partition), 10)},
		record.Header{Key: []byte(headerOffset), Value: strconv.AppendInt(nil, p.offset, 10)},
		record.Header{Key: []byte(headerGroup), Value: []byte(p.Group)},
		record.Header{Key: []byte(headerCount), Value: strconv.AppendInt(nil, int64(r.Count), 10)},
	)
	if r.Reason != "" {
		h = append(h, record.Header{Key: []byte(headerMessage), Value: []byte(r.Reason)})
	}
	return h
}
