package hostile

import (
	"fmt"
	"time"
)

var errorNames = map[int16]string{
	-1: "UNKNOWN_SERVER_ERROR", 0: "ok", 1: "OFFSET_OUT_OF_RANGE", 2: "CORRUPT_MESSAGE", 3: "UNKNOWN_TOPIC_OR_PARTITION",
	4: "INVALID_FETCH_SIZE", 6: "NOT_LEADER_OR_FOLLOWER", 9: "REPLICA_NOT_AVAILABLE", 10: "MESSAGE_TOO_LARGE",
	12: "OFFSET_METADATA_TOO_LARGE", 15: "COORDINATOR_NOT_AVAILABLE", 16: "NOT_COORDINATOR", 17: "INVALID_TOPIC_EXCEPTION",
	18: "RECORD_LIST_TOO_LARGE", 21: "INVALID_REQUIRED_ACKS", 22: "ILLEGAL_GENERATION", 23: "INCONSISTENT_GROUP_PROTOCOL",
	24: "INVALID_GROUP_ID", 25: "UNKNOWN_MEMBER_ID", 26: "INVALID_SESSION_TIMEOUT", 27: "REBALANCE_IN_PROGRESS",
	32: "INVALID_TIMESTAMP", 34: "ILLEGAL_SASL_STATE", 35: "UNSUPPORTED_VERSION", 36: "TOPIC_ALREADY_EXISTS",
	37: "INVALID_PARTITIONS", 38: "INVALID_REPLICATION_FACTOR", 39: "INVALID_REPLICA_ASSIGNMENT", 40: "INVALID_CONFIG",
	42: "INVALID_REQUEST", 43: "UNSUPPORTED_FOR_MESSAGE_FORMAT", 44: "POLICY_VIOLATION", 45: "OUT_OF_ORDER_SEQUENCE_NUMBER",
	47: "INVALID_PRODUCER_EPOCH", 48: "INVALID_TXN_STATE", 49: "INVALID_PRODUCER_ID_MAPPING", 50: "INVALID_TRANSACTION_TIMEOUT",
	56: "KAFKA_STORAGE_ERROR", 70: "FETCH_SESSION_ID_NOT_FOUND", 71: "INVALID_FETCH_SESSION_EPOCH", 74: "FENCED_LEADER_EPOCH",
	75: "UNKNOWN_LEADER_EPOCH", 76: "UNSUPPORTED_COMPRESSION_TYPE", 79: "MEMBER_ID_REQUIRED", 81: "GROUP_MAX_SIZE_REACHED", 87: "INVALID_RECORD",
	100: "UNKNOWN_TOPIC_ID",
}

func errorName(code int16) string {
	if name, ok := errorNames[code]; ok {
		return name
	}
	return fmt.Sprintf("error %d", code)
}

// send sends bytes on a connection of its own and says what came back, read by
// verdict if it is an answer.
func send(b []byte, verdict func(*reply) string) func(target) string {
	return func(t target) string {
		c, err := t.dial()
		if err != nil {
			return err.Error()
		}
		defer c.Close()
		// A broker that closes while we still write is closing, too.
		_, _ = c.Write(b)
		return c.verdict(verdict)
	}
}

func (c conn) verdict(verdict func(*reply) string) string {
	p, err := c.receive(answerTime)
	if err != nil {
		return err.Error()
	}
	r := &reply{b: p}
	r.i32()
	if verdict == nil {
		return "answered"
	}
	v := verdict(r)
	if r.bad {
		return fmt.Sprintf("an answer that cannot be read (%s): %x", v, p[:min(len(p), 60)])
	}
	return v
}

// ask sends a request in its frame.
func ask(m msg, verdict func(*reply) string) func(target) string { return send(m.framed(), verdict) }

// silentFor is for what must not be answered and must not close: a frame that
// goes on. The broker's limits on slow frames are longer.
func silentFor(b []byte, wait time.Duration) func(target) string {
	return func(t target) string {
		c, err := t.dial()
		if err != nil {
			return err.Error()
		}
		defer c.Close()
		_, _ = c.Write(b)
		if _, err := c.receive(wait); err != nil {
			return err.Error()
		}
		return "answered"
	}
}

// firstError reads an error code at the front, behind throttle time if throttled.
func firstError(r *reply) string { return errorName(r.i16()) }

func throttledError(r *reply) string {
	r.i32()
	return errorName(r.i16())
}

// produceError reads a Produce v3 answer for one partition.
func produceError(r *reply) (string, int64) {
	if r.i32() != 1 {
		return "no topic", 0
	}
	r.str()
	if r.i32() < 1 {
		return "no partition", 0
	}
	r.i32()
	code := r.i16()
	return errorName(code), r.i64()
}

func produced(r *reply) string {
	code, _ := produceError(r)
	return code
}

// fetchError reads a Fetch v11 answer for one partition, and how many bytes of
// records it has.
func fetchError(r *reply) (string, int) {
	r.i32()
	if code := r.i16(); code != 0 {
		return errorName(code), 0
	}
	r.i32()
	if r.i32() != 1 {
		return "no topic", 0
	}
	r.str()
	if r.i32() != 1 {
		return "no partition", 0
	}
	r.i32()
	code := r.i16()
	r.i64()
	r.i64()
	r.i64()
	for range max(0, r.i32()) {
		r.i64()
		r.i64()
	}
	r.i32()
	return errorName(code), len(r.take(int(max(0, r.i32()))))
}

func fetched(r *reply) string {
	code, _ := fetchError(r)
	return code
}

// createTopics is a CreateTopics v2 request of one topic.
func createTopics(name string, partitions int32, factor int16) msg {
	return request(19, 2).i32(1).str(name).i32(partitions).i16(factor).i32(0).i32(0).i32(10000).i8(0)
}

func createError(r *reply) string {
	r.i32()
	if r.i32() < 1 {
		return "no topic"
	}
	r.str()
	return errorName(r.i16())
}

// metadataError reads the first topic's error of a Metadata v1 answer.
func metadataError(r *reply) string {
	for range max(0, r.i32()) {
		r.i32()
		r.str()
		r.i32()
		r.str()
	}
	r.i32()
	if r.i32() < 1 {
		return "no topic"
	}
	return errorName(r.i16())
}

// nested reads the error of the first element: throttle time, count, then a
// string and the error in the order given.
func elementError(nameFirst bool) func(*reply) string {
	return func(r *reply) string {
		r.i32()
		if r.i32() < 1 {
			return "empty"
		}
		if nameFirst {
			r.str()
		}
		return errorName(r.i16())
	}
}

// partitionError reads throttle time, one topic, one partition and its error.
func partitionError(throttled bool) func(*reply) string {
	return func(r *reply) string {
		if throttled {
			r.i32()
		}
		if r.i32() < 1 {
			return "no topic"
		}
		r.str()
		if r.i32() < 1 {
			return "no partition"
		}
		r.i32()
		return errorName(r.i16())
	}
}
