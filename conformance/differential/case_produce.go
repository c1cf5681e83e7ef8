package differential

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"time"

	"github.com/naru-stream/naru/internal/kafka/compress"
	"github.com/naru-stream/naru/internal/kafka/protocol"
	"github.com/naru-stream/naru/internal/kafka/record"
)

type (
	produceTopic     = protocol.ProduceRequestTopicProduceData
	producePartition = protocol.ProduceRequestPartitionProduceData
)

// produceTo makes a request with one entry for a topic's partition.
func (s *Session) produceTo(v int16, topic string, partition int32, recs []byte) *protocol.ProduceRequest {
	return s.produceMany(v, -1, produceTopic{Name: topic, PartitionData: list(producePartition{Index: partition, Records: recs})})
}

// produceMany makes a request in which topics are named by id from version 13 on.
func (s *Session) produceMany(v, acks int16, topics ...produceTopic) *protocol.ProduceRequest {
	for i := range topics {
		if v >= 13 {
			topics[i].TopicId, topics[i].Name = s.id(topics[i].Name), ""
		}
	}
	return &protocol.ProduceRequest{Acks: acks, TimeoutMs: 5000, TopicData: topics}
}

// id returns the id of a topic, or one that no topic has.
func (s *Session) id(name string) protocol.UUID {
	if id, ok := s.ids[name]; ok || name == "" {
		return id
	}
	unknown := protocol.UUID{0xde, 0xad, 15: byte(len(name))}
	s.labels.topics[unknown] = "id(unknown)"
	return unknown
}

// wrongBatches are records fields that a server should refuse, and some that look as if.
func wrongBatches() map[string][]byte {
	out := map[string][]byte{
		"empty records": {}, "null records": nil, "garbage": []byte("this is no batch at all, is it? no, it is really not a batch of records."),
		"short": plain(1)[:60], "cut": plain(3)[:70], "16 bytes": plain(1)[:16], "17 bytes": plain(1)[:17], "11 bytes": plain(1)[:11],
		"two batches": append(plain(1), plain(1)...), "batch and garbage": append(plain(1), 1, 2, 3),
		"bad crc":        func() []byte { b := plain(1); b[17]++; return b }(),
		"wrong epoch":    func() []byte { b := plain(1); binary.BigEndian.PutUint32(b[12:], 77); return b }(),
		"base offset 5":  func() []byte { b := plain(1); b[7] = 5; return b }(),
		"base offset -1": func() []byte { b := plain(1); copy(b, bytes.Repeat([]byte{0xff}, 8)); return b }(),
	}
	for _, magic := range []byte{0, 1, 3, 255} {
		b := plain(1)
		b[16] = magic
		out[fmt.Sprint("magic ", int8(magic))] = b
	}
	for _, length := range []uint32{0, 13, 48, 49, 1 << 30, 0xffffffff} {
		b := plain(1)
		binary.BigEndian.PutUint32(b[8:], length)
		out[fmt.Sprint("batch length ", int32(length))] = b
	}
	change := func(name string, n int, f func([]byte)) { out[name] = altered(plain(n), f) }
	change("lastOffsetDelta too large", 2, func(b []byte) { b[26] = 5 })
	change("lastOffsetDelta too small", 3, func(b []byte) { b[26] = 1 })
	change("lastOffsetDelta negative", 1, func(b []byte) { copy(b[23:], []byte{0xff, 0xff, 0xff, 0xff}) })
	change("count 0", 1, func(b []byte) { b[60] = 0 })
	change("count -1", 1, func(b []byte) { copy(b[57:], []byte{0xff, 0xff, 0xff, 0xff}) })
	change("count and delta of more", 2, func(b []byte) { b[60], b[26] = 3, 2 })
	change("count and delta of fewer", 3, func(b []byte) { b[60], b[26] = 2, 1 })
	change("codec 5", 1, func(b []byte) { b[22] |= 5 })
	change("codec 7", 1, func(b []byte) { b[22] |= 7 })
	change("codec gzip of plain bytes", 1, func(b []byte) { b[22] |= 1 })
	change("codec zstd of plain bytes", 1, func(b []byte) { b[22] |= 4 })
	change("codec lz4 of plain bytes", 1, func(b []byte) { b[22] |= 3 })
	change("codec snappy of plain bytes", 1, func(b []byte) { b[22] |= 2 })
	change("control", 1, func(b []byte) { b[22] |= 0x20 })
	change("delete horizon", 1, func(b []byte) { b[22] |= 0x40 })
	change("log append time", 1, func(b []byte) { b[22] |= 0x08 })
	change("unknown attributes", 1, func(b []byte) { b[21] = 0xf0 })
	change("max timestamp wrong", 2, func(b []byte) { b[42]++ })
	change("base timestamp -1", 1, func(b []byte) { copy(b[27:], bytes.Repeat([]byte{0xff}, 8)) })
	change("record length wrong", 1, func(b []byte) { b[61] += 2 })
	change("offset delta of a record wrong", 1, func(b []byte) { b[64] = 8 })
	change("record attributes", 1, func(b []byte) { b[62] = 9 })
	change("producer without sequence", 1, func(b []byte) { binary.BigEndian.PutUint64(b[43:], 1_000_001); b[51], b[52] = 0, 0 })
	change("producer without epoch", 1, func(b []byte) { binary.BigEndian.PutUint64(b[43:], 1_000_002); copy(b[53:], []byte{0, 0, 0, 0}) })
	change("sequence without producer", 1, func(b []byte) { copy(b[53:], []byte{0, 0, 0, 0}) })
	change("producer id -2", 1, func(b []byte) { b[50] = 0xfe })
	change("transactional without producer", 1, func(b []byte) { b[22] |= 0x10 })
	return out
}

// goodBatches are records fields that are fine.
func goodBatches() map[string][]byte {
	out := map[string][]byte{
		"one": plain(1), "three": plain(3),
		"null key and value": build([]rec{{nil, nil, epochMs}}, nil), "empty key and value": build([]rec{{[]byte{}, []byte{}, epochMs}}, nil),
		"no timestamp":   build([]rec{{nil, nil, -1}}, nil),
		"timestamp 0":    build([]rec{{nil, nil, 0}}, nil),
		"times descend":  build([]rec{{nil, nil, epochMs + 5}, {nil, nil, epochMs}}, nil),
		"far in future":  build([]rec{{nil, nil, 32503680000000}}, nil),
		"timestamp -100": build([]rec{{nil, nil, -100}}, nil),
	}
	for name, c := range codecs {
		out[name] = coded(5, c)
	}
	return out
}

// produce sends batches of all kinds in all versions.
func produce(s *Session) {
	for _, v := range s.versions(protocol.KeyProduce) {
		n := func(kind string) string { return fmt.Sprintf("produce-%s-%d", kind, v) }
		s.topic(n("plain"), 2)
		wrong := sortedKeys(wrongBatches())
		s.topic(n("wrong"), int32(len(wrong)))
		for i, name := range wrong {
			if name == "null records" && v != 13 {
				continue // Kafka does not answer this: once is enough to wait for
			}
			s.ask("wrong: "+name, v, s.produceTo(v, n("wrong"), int32(i), wrongBatches()[name]))
			s.look("wrong: "+name+": what is stored", n("wrong"), v, int32(i))
		}
		for _, name := range sortedKeys(goodBatches()) {
			s.ask(name, v, s.produceTo(v, n("plain"), 0, goodBatches()[name]))
		}
		s.look("what is stored", n("plain"), v)
		s.produceTopics(v, n)
		s.produceRequests(v, n)
	}
}

// produceTopics sends to topics with special settings.
func (s *Session) produceTopics(v int16, n func(string) string) {
	mixed := build([]rec{{[]byte("a"), []byte("1"), epochMs}, {nil, []byte("2"), epochMs}, {[]byte("c"), nil, epochMs}, {nil, nil, epochMs}}, nil)
	packed := build([]rec{{[]byte("a"), []byte("1"), epochMs}, {nil, []byte("2"), epochMs}}, func(s *record.Spec) { s.Codec = compress.Lz4 })
	now := s.labels.started
	times := func(c compress.Codec, ts ...int64) []byte {
		var rs []rec
		for _, t := range ts {
			rs = append(rs, rec{[]byte("k"), []byte("v"), t})
		}
		return build(rs, func(s *record.Spec) { s.Codec = c })
	}
	topics := []struct {
		kind     string
		settings []string
		batches  map[string][]byte
	}{
		{"compact", list("cleanup.policy", "compact"), map[string][]byte{"keys": plain(2), "null keys": mixed, "null key lz4": packed}},
		{"compact-delete", list("cleanup.policy", "compact,delete"), map[string][]byte{"null keys": mixed}},
		{"log-append", list("message.timestamp.type", "LogAppendTime"), map[string][]byte{
			"one": plain(1), "lz4": coded(2, compress.Lz4), "marked": altered(plain(1), func(b []byte) { b[22] |= 8 }), "no time": times(compress.None, -1),
		}},
		{"small", list("max.message.bytes", "200"), map[string][]byte{
			"small": plain(1), "large": plain(50), "exact": build([]rec{{nil, make([]byte, 131), epochMs}}, nil), "one more": build([]rec{{nil, make([]byte, 132), epochMs}}, nil),
			"packed": build([]rec{{nil, make([]byte, 5000), epochMs}}, func(s *record.Spec) { s.Codec = compress.Gzip }),
		}},
		{"before", list("message.timestamp.before.max.ms", "3600000"), map[string][]byte{
			"old": plain(2), "now": times(compress.None, now), "mixed": times(compress.None, now, epochMs, now, epochMs), "gzip": times(compress.Gzip, now, epochMs), "no time": times(compress.None, -1),
		}},
		{"after", list("message.timestamp.after.max.ms", "3600000"), map[string][]byte{
			"future": times(compress.None, now+7200000), "now": times(compress.None, now), "old": plain(1), "gzip": times(compress.Gzip, now, now+7200000),
		}},
		{"to-gzip", list("compression.type", "gzip"), map[string][]byte{"plain": plain(3), "lz4": coded(3, compress.Lz4), "gzip": coded(3, compress.Gzip), "one by producer": produced(2, 1_000_100, 0, 0)}},
		{"to-plain", list("compression.type", "uncompressed"), map[string][]byte{"plain": plain(3), "lz4": coded(3, compress.Lz4), "cut": altered(coded(3, compress.Lz4), func(b []byte) { b[70] ^= 0xff })}},
		{"to-zstd", list("compression.type", "zstd"), map[string][]byte{"plain": plain(3)}},
		{"segment", list("segment.bytes", "1048576", "max.message.bytes", "2000000"), map[string][]byte{
			"larger than a segment": build([]rec{{nil, make([]byte, 1_100_000), epochMs}}, nil),
		}},
		{"isr", list("min.insync.replicas", "2"), map[string][]byte{"one": plain(1)}},
	}
	for _, t := range topics {
		s.topic(n(t.kind), 1, t.settings...)
		for _, name := range sortedKeys(t.batches) {
			s.ask(t.kind+": "+name, v, s.produceTo(v, n(t.kind), 0, t.batches[name]))
		}
		if t.kind == "isr" {
			s.ask("isr: acks 1", v, s.produceMany(v, 1, produceTopic{Name: n(t.kind), PartitionData: list(producePartition{Records: plain(1)})}))
		}
		s.look(t.kind+": what is stored", n(t.kind), v)
	}
}

// produceRequests varies what surrounds the records.
func (s *Session) produceRequests(v int16, n func(string) string) {
	s.topic(n("requests"), 2)
	one := func(topic string, partition int32) produceTopic {
		return produceTopic{Name: topic, PartitionData: list(producePartition{Index: partition, Records: plain(1)})}
	}
	t := n("requests")
	s.ask("nothing", v, s.produceMany(v, -1))
	s.ask("no partition", v, s.produceMany(v, -1, produceTopic{Name: t}))
	for _, acks := range []int16{1, 2, -2, 100} {
		s.ask(fmt.Sprint("acks ", acks), v, s.produceMany(v, acks, one(t, 0)))
	}
	s.ask("acks 2 and unknown topic", v, s.produceMany(v, 2, one("produce-unknown", 0)))
	unknown := produceTopic{Name: t, PartitionData: list(producePartition{Index: 2, Records: plain(1)}, producePartition{Index: -1, Records: plain(1)})}
	s.ask("unknown partition", v, s.produceMany(v, -1, unknown))
	s.ask("unknown topic", v, s.produceMany(v, -1, one("produce-unknown", 0)))
	s.ask("unknown and known", v, s.produceMany(v, -1, one("produce-unknown", 0), one(t, 0)))
	s.ask("invalid topic name", v, s.produceMany(v, -1, one("a b", 0)))
	s.ask("empty topic name", v, s.produceMany(v, -1, one("", 0)))
	twice := produceTopic{Name: t, PartitionData: list(producePartition{Index: 1, Records: plain(1)}, producePartition{Index: 1, Records: plain(2)})}
	// Kafka keeps one of two entries of a partition: nothing that comes after may depend on it.
	s.ask("partition twice", v, s.produceMany(v, -1, twice))
	s.ask("topic twice", v, s.produceMany(v, -1, one(t, 1), one(t, 1)))
	mixed := produceTopic{Name: t, PartitionData: list(producePartition{Index: 0, Records: plain(1)}, producePartition{Index: 1, Records: []byte{}})}
	s.ask("good and bad", v, s.produceMany(v, -1, mixed))
	s.unanswered("acks 0", v, s.produceMany(v, 0, one(t, 0)))
	s.unanswered("acks 0, nothing", v, s.produceMany(v, 0))
	s.unanswered("acks 0, unknown topic", v, s.produceMany(v, 0, one("produce-unknown", 0)))
	s.unanswered("acks 0, bad batch", v, s.produceMany(v, 0, produceTopic{Name: t, PartitionData: list(producePartition{Records: wrongBatches()["bad crc"]})}))
	s.unanswered("acks 0, empty", v, s.produceMany(v, 0, produceTopic{Name: t, PartitionData: list(producePartition{Records: []byte{}})}))
	time.Sleep(50 * time.Millisecond) // nobody waits for what is written with acks=0
	s.look("requests: what is stored", t, v)
}

// look fetches all that is stored in a partition and records it.
func (s *Session) look(name, topic string, v int16, partition ...int32) {
	p := def(func(p *protocol.FetchRequestFetchPartition) { p.PartitionMaxBytes = 50 << 20 })
	if len(partition) > 0 {
		p.Partition = partition[0]
	}
	r := def(func(r *protocol.FetchRequest) {
		r.MaxBytes = 50 << 20
		r.Topics = list(protocol.FetchRequestFetchTopic{Topic: topic, Partitions: list(p)})
	})
	m, err := s.main.ask(&r, 11)
	s.note(fmt.Sprintf("%s/%d", name, v), m, err)
}

// producer sends sequences of an idempotent producer.
func producer(s *Session) {
	for _, v := range s.versions(protocol.KeyProduce) {
		topic := fmt.Sprint("producer-", v)
		s.topic(topic, 8)
		id := int64(2_000_000)
		steps := []struct {
			name      string
			partition int32
			batch     []byte
		}{
			{"first", 0, produced(2, id, 0, 0)}, {"second", 0, produced(3, id, 0, 2)}, {"duplicate of the second", 0, produced(3, id, 0, 2)},
			{"duplicate of the first", 0, produced(2, id, 0, 0)}, {"gap", 0, produced(1, id, 0, 9)}, {"part of the second", 0, produced(2, id, 0, 3)},
			{"same start, other count", 0, produced(1, id, 0, 2)}, {"third", 0, produced(1, id, 0, 5)}, {"fourth", 0, produced(1, id, 0, 6)},
			{"fifth", 0, produced(1, id, 0, 7)}, {"sixth", 0, produced(1, id, 0, 8)}, {"seventh", 0, produced(1, id, 0, 9)},
			{"duplicate outside the window", 0, produced(2, id, 0, 0)}, {"duplicate inside the window", 0, produced(1, id, 0, 5)},
			{"new epoch, wrong sequence", 0, produced(1, id, 1, 10)}, {"new epoch", 0, produced(1, id, 1, 0)},
			{"old epoch", 0, produced(1, id, 0, 10)}, {"old epoch, duplicate", 0, produced(1, id, 0, 9)}, {"negative epoch", 0, produced(1, id, -2, 0)},
			{"far epoch", 0, produced(1, id, 30000, 0)},
			{"unknown producer in the middle", 1, produced(1, id+1, 0, 77)}, {"then next", 1, produced(1, id+1, 0, 78)}, {"then gap", 1, produced(1, id+1, 0, 80)},
			{"before the wrap", 2, produced(2, id+2, 0, 2147483646)}, {"after the wrap", 2, produced(1, id+2, 0, 0)}, {"duplicate before the wrap", 2, produced(2, id+2, 0, 2147483646)},
			{"across the wrap", 3, produced(4, id+3, 0, 2147483646)}, {"after crossing", 3, produced(1, id+3, 0, 2)},
			{"plain between", 4, plain(1)}, {"with producer", 4, produced(1, id+4, 0, 0)}, {"plain again", 4, plain(1)}, {"with producer next", 4, produced(1, id+4, 0, 1)},
			{"transactional without transaction", 5, build(records(1, epochMs), func(s *record.Spec) {
				s.ProducerID, s.ProducerEpoch, s.BaseSequence, s.Transactional = id+5, 0, 0, true
			})},
			{"compressed", 6, build(records(3, epochMs), func(s *record.Spec) {
				s.ProducerID, s.ProducerEpoch, s.BaseSequence, s.Codec = id+6, 0, 0, compress.Gzip
			})},
			{"compressed duplicate", 6, build(records(3, epochMs), func(s *record.Spec) {
				s.ProducerID, s.ProducerEpoch, s.BaseSequence, s.Codec = id+6, 0, 0, compress.Gzip
			})},
		}
		for _, step := range steps {
			s.ask(step.name, v, s.produceTo(v, topic, step.partition, step.batch))
		}
		two := produceTopic{Name: topic, PartitionData: list(
			producePartition{Index: 6, Records: produced(1, id+20, 0, 0)}, producePartition{Index: 7, Records: produced(1, id+21, 0, 0)})}
		s.ask("two producers in a request", v, s.produceMany(v, -1, two))
		for i := range int32(8) {
			s.look(fmt.Sprint("what is stored in ", i), topic, v, i)
		}
		transactional := s.produceTo(v, topic, 0, plain(1))
		transactional.TransactionalId = ptr("tx")
		s.ask("transactional id, plain batch", v, transactional)
	}
}

// produceInternal writes to topics that belong to the broker.
func produceInternal(s *Session) {
	m := s.do(12, &protocol.MetadataRequest{Topics: list(protocol.MetadataRequestTopic{Name: ptr("__consumer_offsets")})}).(*protocol.MetadataResponse)
	s.know("__consumer_offsets", m.Topics[0].TopicId)
	s.each(protocol.KeyProduce, "offsets topic", func(v int16) protocol.Request { return s.produceTo(v, "__consumer_offsets", 0, plain(1)) })
	s.each(protocol.KeyProduce, "offsets topic, partition out of range", func(v int16) protocol.Request { return s.produceTo(v, "__consumer_offsets", 5000, plain(1)) })
	s.each(protocol.KeyProduce, "missing internal topic", func(v int16) protocol.Request {
		if v >= 13 {
			return nil
		}
		return s.produceTo(v, "__share_group_state", 0, plain(1))
	})
	s.each(protocol.KeyProduce, "metadata topic", func(v int16) protocol.Request {
		if v >= 13 {
			return nil
		}
		return s.produceTo(v, "__cluster_metadata", 0, plain(1))
	})
}
