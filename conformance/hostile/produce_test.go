package hostile

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"time"
)

// batches are broken record batches in an honest request.
func batches() []attack {
	one := func(name, want string, change func(*batch)) attack {
		b := honest(1)
		change(&b)
		return attack{name: "batch/" + name, send: ask(produce(1, "victim", 0, b.encode()), produced), want: want}
	}
	raw := func(name, want string, records []byte) attack {
		return attack{name: "batch/" + name, send: ask(produce(1, "victim", 0, records), produced), want: want}
	}
	zstd := func(name, want string, version int16) attack {
		b := honest(1)
		b.attributes, b.records = 4, []byte{0x28, 0xb5, 0x2f, 0xfd, 0, 0xf8, 1, 0, 0}
		m := produce(1, "victim", 0, b.encode())
		m[3] = byte(version)
		return attack{name: "batch/" + name, send: ask(m, produced), want: want}
	}
	length := func(n int32) func(*batch) { return func(b *batch) { b.length = &n } }
	whole := honest(3).encode()
	return []attack{
		one("CRC wrong", "CORRUPT_MESSAGE", func(b *batch) { b.crcLie = true }),
		one("count 1000 with one record", "INVALID_RECORD", func(b *batch) { b.count = 1000 }),
		one("count and last offset delta 1000 with one record", "INVALID_RECORD", func(b *batch) { b.count, b.lastOffsetDelta = 1000, 999 }),
		one("count 2^31-1 and delta with one record", "INVALID_RECORD", func(b *batch) { b.count, b.lastOffsetDelta = 1<<31-1, 1<<31-2 }),
		one("count 0", "INVALID_RECORD", func(b *batch) { b.count = 0 }),
		one("count -1", "INVALID_RECORD", func(b *batch) { b.count = -1 }),
		one("last offset delta -1", "INVALID_RECORD", func(b *batch) { b.lastOffsetDelta = -1 }),
		one("last offset delta 2^31-1", "INVALID_RECORD", func(b *batch) { b.lastOffsetDelta = 1<<31 - 1 }),
		one("magic 0", "INVALID_RECORD", func(b *batch) { b.magic = 0 }),
		one("magic 1", "INVALID_RECORD", func(b *batch) { b.magic = 1 }),
		one("magic 3", "CORRUPT_MESSAGE", func(b *batch) { b.magic = 3 }),
		one("magic -1", "CORRUPT_MESSAGE", func(b *batch) { b.magic = -1 }),
		one("length one too many", "INVALID_RECORD", length(int32(len(honest(1).encode())-12+1))),
		one("length 2^31-1", "UNKNOWN_SERVER_ERROR", length(1<<31-1)),
		one("length 0", "CORRUPT_MESSAGE", length(0)),
		one("length -1", "CORRUPT_MESSAGE", length(-1)),
		one("length 48, shorter than a header", "CORRUPT_MESSAGE", length(48)),
		one("control batch", "INVALID_RECORD", func(b *batch) { b.attributes = 1 << 5 }),
		one("transactional without a producer", "error 53", func(b *batch) { b.attributes = 1 << 4 }),
		one("producer id with sequence -1", "INVALID_RECORD", func(b *batch) { b.producerID, b.producerEpoch = 5, 0 }),
		one("base offset 7", "INVALID_RECORD", func(b *batch) { b.baseOffset = 7 }),
		one("base offset -2^63", "INVALID_RECORD", func(b *batch) { b.baseOffset = -1 << 63 }),
		one("timestamp in 200 years", "INVALID_TIMESTAMP", func(b *batch) { b.timestamp = time.Now().AddDate(200, 0, 0).UnixMilli() }),
		one("timestamp -2^63", "INVALID_TIMESTAMP", func(b *batch) { b.timestamp = -1 << 63 }),
		one("marked as LogAppendTime", "ok", func(b *batch) { b.attributes = 1 << 3 }),
		one("codec 5", "UNKNOWN_SERVER_ERROR", func(b *batch) { b.attributes = 5 }),
		one("codec 7", "UNKNOWN_SERVER_ERROR", func(b *batch) { b.attributes = 7 }),
		one("gzip that is none", "UNKNOWN_SERVER_ERROR", func(b *batch) { b.attributes = 1; b.records = bytes.Repeat([]byte{7}, 100) }),
		one("snappy that announces 4 GB", "UNKNOWN_SERVER_ERROR", func(b *batch) { b.attributes = 2; b.records = []byte{0xff, 0xff, 0xff, 0xff, 0x0f, 0, 0, 0} }),
		one("lz4 that is none", "UNKNOWN_SERVER_ERROR", func(b *batch) { b.attributes = 3; b.records = bytes.Repeat([]byte{7}, 100) }),
		zstd("zstd before Produce version 7", "UNSUPPORTED_COMPRESSION_TYPE", 6),
		zstd("zstd with a window of 2 TB", "UNKNOWN_SERVER_ERROR", 7),
		one("gzip of 256 MB of zeros", "INVALID_RECORD", func(b *batch) { b.attributes = 1; b.records = gzipBomb(256 << 20) }),
		one("no record bytes", "INVALID_RECORD", func(b *batch) { b.records = nil }),
		one("record of length -1", "INVALID_RECORD", func(b *batch) { b.records = msg(nil).sv(-1).zeros(10) }),
		one("record longer than the batch", "INVALID_RECORD", func(b *batch) { b.records = msg(nil).sv(1 << 30).zeros(10) }),
		one("key longer than the record", "INVALID_RECORD", func(b *batch) { b.records = msg(nil).sv(10).i8(0).sv(0).sv(0).sv(1 << 30).zeros(6) }),
		one("2^31-1 headers", "INVALID_RECORD", func(b *batch) { b.records = msg(nil).sv(10).i8(0).sv(0).sv(0).sv(-1).sv(-1).sv(1<<31 - 1) }),
		one("varint without end", "UNKNOWN_SERVER_ERROR", func(b *batch) { b.records = bytes.Repeat([]byte{0xff}, 30) }),
		raw("null records", "INVALID_RECORD", nil),
		raw("empty records", "INVALID_RECORD", []byte{}),
		raw("61 zero bytes", "CORRUPT_MESSAGE", make([]byte, 61)),
		raw("noise", "CORRUPT_MESSAGE", bytes.Repeat([]byte{0xa5, 0x5a, 2}, 333)),
		raw("two batches", "INVALID_RECORD", append(honest(1).encode(), honest(1).encode()...)),
		raw("a batch and half of one", "ok", append(honest(1).encode(), whole[:len(whole)/2]...)),
		raw("cut in the records", "INVALID_RECORD", whole[:len(whole)-3]),
		raw("cut in the header", "INVALID_RECORD", whole[:40]),
		raw("cut after 11 bytes", "INVALID_RECORD", whole[:11]),
	}
}

func gzipBomb(n int) []byte {
	var b bytes.Buffer
	w, _ := gzip.NewWriterLevel(&b, gzip.DefaultCompression)
	zeros := make([]byte, 1<<20)
	for range n >> 20 {
		_, _ = w.Write(zeros)
	}
	_ = w.Close()
	return b.Bytes()
}

// produces are Produce requests with absurd arguments.
func produces() []attack {
	good := honest(1).encode()
	large := honest(1)
	large.records = rec(0, string(make([]byte, 2<<20)))
	twice := request(0, 3).null().i16(1).i32(5000).i32(1).str("victim").i32(2).i32(0).bytes(good).i32(0).bytes(good)
	bad := honest(1)
	bad.crcLie = true
	list := []attack{
		{name: "produce/acks 2", send: ask(produce(2, "victim", 0, good), produced), want: "INVALID_REQUIRED_ACKS"},
		{name: "produce/acks -2", send: ask(produce(-2, "victim", 0, good), produced), want: "INVALID_REQUIRED_ACKS"},
		{name: "produce/acks 0 with a wrong CRC", send: ask(produce(0, "victim", 0, bad.encode()), produced), want: "closed"},
		{name: "produce/acks 0 to a topic that is not there", send: ask(produce(0, "absent", 0, good), produced), want: "closed"},
		{name: "produce/a record of 2 MB", send: ask(produce(1, "victim", 0, large.encode()), produced), want: "MESSAGE_TOO_LARGE"},
		{name: "produce/to an internal topic", send: ask(produce(1, "__consumer_offsets", 0, good), produced), want: "INVALID_TOPIC_EXCEPTION"},
		{name: "produce/to the cluster's metadata", send: ask(produce(1, "__cluster_metadata", 0, good), produced), want: "UNKNOWN_TOPIC_OR_PARTITION"},
		{name: "produce/a partition twice", send: ask(twice, produced), want: "ok"},
		{name: "produce/timeout -1", send: ask(request(0, 3).null().i16(-1).i32(-1).i32(1).str("victim").i32(1).i32(0).bytes(good), produced), want: "ok"},
	}
	for _, p := range []int32{-1, 3, 1<<31 - 1, -1 << 31} {
		list = append(list, attack{name: fmt.Sprintf("produce/to partition %d", p), send: ask(produce(1, "victim", p, good), produced), want: "UNKNOWN_TOPIC_OR_PARTITION"})
	}
	for _, name := range []string{"absent", "", "../../etc/passwd", "a\x00b", string(bytes.Repeat([]byte{'x'}, 30000)), "\xff\xfe"} {
		list = append(list, attack{name: fmt.Sprintf("produce/to topic %.12q", name), send: ask(produce(1, name, 0, good), produced), want: "UNKNOWN_TOPIC_OR_PARTITION"})
	}
	return list
}
