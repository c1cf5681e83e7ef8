package hostile

import (
	"fmt"
	"strings"
	"time"
)

func fetches() []attack {
	session := func(id, epoch int32) msg {
		return request(1, 11).i32(-1).i32(0).i32(0).i32(1 << 20).i8(0).i32(id).i32(epoch).i32(0).i32(0).str("")
	}
	topLevel := func(r *reply) string {
		r.i32()
		return errorName(r.i16())
	}
	listOffsets := func(topic string, partition int32, at int64) msg {
		return request(2, 1).i32(-1).i32(1).str(topic).i32(1).i32(partition).i64(at)
	}
	byID := flexible(1, 13).i32(-1).i32(0).i32(0).i32(1 << 20).i8(0).i32(0).i32(-1).uv(2).uuid(9).uv(2).
		i32(0).i32(-1).i64(0).i32(-1).i64(-1).i32(1 << 20).tags().tags().uv(1).cs("").tags()
	byIDError := func(r *reply) string {
		r.uv() // the header's tags
		r.i32()
		if code := r.i16(); code != 0 {
			return errorName(code)
		}
		r.i32()
		r.uv()
		r.take(16)
		r.uv()
		r.i32()
		return errorName(r.i16())
	}
	list := []attack{
		{name: "fetch/offset -5", send: ask(fetch("victim", 0, -5, 0, 0, 1<<20), fetched), want: "OFFSET_OUT_OF_RANGE"},
		{name: "fetch/offset 2^63-1", send: ask(fetch("victim", 0, 1<<63-1, 0, 0, 1<<20), fetched), want: "OFFSET_OUT_OF_RANGE"},
		{name: "fetch/partition -1", send: ask(fetch("victim", -1, 0, 0, 0, 1<<20), fetched), want: "UNKNOWN_TOPIC_OR_PARTITION"},
		{name: "fetch/topic that is not there", send: ask(fetch("absent", 0, 0, 0, 0, 1<<20), fetched), want: "UNKNOWN_TOPIC_OR_PARTITION"},
		{name: "fetch/topic id that is not there", send: ask(byID, byIDError), want: "UNKNOWN_TOPIC_ID"},
		{name: "fetch/max bytes -1", send: ask(fetch("bystander", 0, 0, 0, 0, -1), fetched), want: "UNKNOWN_SERVER_ERROR"},
		{name: "fetch/max bytes 2^31-1", send: ask(fetch("bystander", 0, 0, 0, 0, 1<<31-1), fetched), want: "ok"},
		{name: "fetch/max wait -1", send: ask(fetch("victim", 2, 0, -1, 1, 1<<20), fetched), want: "ok"},
		{name: "fetch/2^31-1 bytes in 24 days", send: silentFor(fetch("victim", 2, 0, 1<<31-1, 1<<31-1, 1<<20).framed(), time.Second), want: "no answer"},
		{name: "fetch/session that is not there", send: ask(session(12345, 7), topLevel), want: "FETCH_SESSION_ID_NOT_FOUND"},
		{name: "fetch/session epoch without a session", send: ask(session(0, 7), topLevel), want: "FETCH_SESSION_ID_NOT_FOUND"},
		{name: "fetch/as a replica that is not there", send: ask(request(1, 11).i32(99).i32(0).i32(0).i32(1<<20).i8(0).i32(0).i32(-1).
			i32(1).str("victim").i32(1).i32(0).i32(-1).i64(0).i64(-1).i32(1<<20).i32(0).str(""), fetched), want: "NOT_LEADER_OR_FOLLOWER"},
		{name: "fetch/isolation level 77", send: ask(request(1, 11).i32(-1).i32(0).i32(0).i32(1<<20).i8(77).i32(0).i32(-1).
			i32(1).str("victim").i32(1).i32(0).i32(-1).i64(0).i64(-1).i32(1<<20).i32(0).str(""), fetched), want: "UNKNOWN_SERVER_ERROR"},
		{name: "list offsets/partition -1", send: ask(listOffsets("victim", -1, -1), partitionError(false)), want: "UNKNOWN_TOPIC_OR_PARTITION"},
		{name: "list offsets/timestamp -99", send: ask(listOffsets("victim", 0, -99), partitionError(false)), want: "UNSUPPORTED_VERSION"},
		{name: "leader epoch/of partition -1", send: ask(request(23, 2).i32(1).str("victim").i32(1).i32(-1).i32(-1).i32(0), func(r *reply) string {
			r.i32()
			r.i32()
			r.str()
			r.i32()
			return errorName(r.i16())
		}), want: "UNKNOWN_TOPIC_OR_PARTITION"},
	}
	return list
}

func topics() []attack {
	create := func(name, want, topic string, partitions int32, factor int16) attack {
		return attack{name: "topics/" + name, send: ask(createTopics(topic, partitions, factor), createError), want: want}
	}
	withConfig := func(key, value string) msg {
		return request(19, 2).i32(1).str("configured").i32(1).i16(1).i32(0).i32(1).str(key).str(value).i32(10000).i8(0)
	}
	twice := request(19, 2).i32(2).str("double").i32(1).i16(1).i32(0).i32(0).str("double").i32(1).i16(1).i32(0).i32(0).i32(10000).i8(0)
	list := []attack{
		create("0 partitions", "INVALID_PARTITIONS", "x", 0, 1),
		create("-7 partitions", "INVALID_PARTITIONS", "x", -7, 1),
		create("2^31-1 partitions", "POLICY_VIOLATION", "x", 1<<31-1, 1),
		create("replication factor 32767", "INVALID_REPLICATION_FACTOR", "x", 1, 32767),
		create("replication factor 0", "INVALID_REPLICATION_FACTOR", "x", 1, 0),
		{name: "topics/the same twice", send: ask(twice, createError), want: "INVALID_REQUEST"},
		{name: "topics/unknown setting", send: ask(withConfig("no.such.setting", "1"), createError), want: "INVALID_CONFIG"},
		{name: "topics/setting with a wrong value", send: ask(withConfig("retention.ms", "soon"), createError), want: "INVALID_CONFIG"},
		{name: "topics/setting of a megabyte", send: ask(withConfig("cleanup.policy", strings.Repeat("x", 32000)), createError), want: "INVALID_CONFIG"},
		{name: "topics/replica on a broker that is not there", send: ask(request(19, 2).i32(1).str("assigned").i32(-1).i16(-1).i32(1).i32(0).i32(1).i32(99).i32(0).i32(10000).i8(0), createError), want: "INVALID_REPLICA_ASSIGNMENT"},
		{name: "topics/assignment that begins at partition 7", send: ask(request(19, 2).i32(1).str("assigned").i32(-1).i16(-1).i32(1).i32(7).i32(1).i32(1).i32(0).i32(10000).i8(0), createError), want: "INVALID_REPLICA_ASSIGNMENT"},
		{name: "topics/delete one that is not there", send: ask(request(20, 1).i32(1).str("absent").i32(1000), elementError(true)), want: "UNKNOWN_TOPIC_OR_PARTITION"},
		{name: "topics/fewer partitions", send: ask(request(37, 1).i32(1).str("victim").i32(1).i32(-1).i32(1000).i8(0), elementError(true)), want: "INVALID_PARTITIONS"},
		{name: "topics/-1 partitions more", send: ask(request(37, 1).i32(1).str("victim").i32(-1).i32(-1).i32(1000).i8(0), elementError(true)), want: "INVALID_PARTITIONS"},
		{name: "topics/delete records to offset 2^63-1", send: ask(deleteRecords(1<<63-1), deletedRecords), want: "OFFSET_OUT_OF_RANGE"},
		{name: "topics/delete records to offset -2", send: ask(deleteRecords(-2), deletedRecords), want: "OFFSET_OUT_OF_RANGE"},
		{name: "configs/resource type 99", send: ask(request(44, 0).i32(1).i8(99).str("x").i32(0).i8(0), elementError(false)), want: "INVALID_REQUEST"},
		{name: "configs/unknown operation", send: ask(request(44, 0).i32(1).i8(2).str("victim").i32(1).str("retention.ms").i8(99).str("1").i8(0), elementError(false)), want: "UNKNOWN_SERVER_ERROR"},
		{name: "configs/of broker 99", send: ask(request(32, 1).i32(1).i8(4).str("99").i32(-1).i8(0), elementError(false)), want: "INVALID_REQUEST"},
		{name: "configs/of broker 'x'", send: ask(request(32, 1).i32(1).i8(4).str("x").i32(-1).i8(0), elementError(false)), want: "INVALID_REQUEST"},
	}
	for _, name := range []string{"", ".", "..", "../../etc/passwd", "a/b", "a b", "a\x00b", "naïve", strings.Repeat("x", 250), "\xff\xfe"} {
		list = append(list, create(fmt.Sprintf("name %.12q", name), "INVALID_TOPIC_EXCEPTION", name, 1, 1))
	}
	return list
}

func deleteRecords(offset int64) msg {
	return request(21, 1).i32(1).str("victim").i32(1).i32(0).i64(offset).i32(1000)
}

func deletedRecords(r *reply) string {
	r.i32()
	r.i32()
	r.str()
	r.i32()
	r.i32()
	r.i64()
	return errorName(r.i16())
}

func groups() []attack {
	join := func(group, member string, session int32, protocols int) msg {
		m := request(11, 2).str(group).i32(session).i32(session).str(member).str("consumer").i32(int32(protocols))
		for range protocols {
			m = m.str("range").bytes([]byte("x"))
		}
		return m
	}
	commit := func(group, metadata string, generation int32) msg {
		return request(8, 2).str(group).i32(generation).str("").i64(-1).i32(1).str("victim").i32(1).i32(0).i64(1).str(metadata)
	}
	return []attack{
		{name: "group/nobody's coordinator", send: ask(request(10, 1).str("key").i8(99), throttledError), want: "INVALID_REQUEST"},
		{name: "group/join with session timeout -1", send: ask(join("hostile", "", -1, 1), throttledError), want: "INVALID_SESSION_TIMEOUT"},
		{name: "group/join with session timeout 2^31-1", send: ask(join("hostile", "", 1<<31-1, 1), throttledError), want: "INVALID_SESSION_TIMEOUT"},
		{name: "group/join without a name", send: ask(join("", "", 10000, 1), throttledError), want: "INVALID_GROUP_ID"},
		{name: "group/join without protocols", send: ask(join("hostile", "", 10000, 0), throttledError), want: "INCONSISTENT_GROUP_PROTOCOL"},
		{name: "group/join as a member that is not there", send: ask(join("hostile", "who", 10000, 1), throttledError), want: "UNKNOWN_MEMBER_ID"},
		{name: "group/sync of a member that is not there", send: ask(request(14, 1).str("hostile").i32(1).str("who").i32(0), throttledError), want: "UNKNOWN_MEMBER_ID"},
		{name: "group/heartbeat of a member that is not there", send: ask(request(12, 1).str("hostile").i32(1).str("who"), throttledError), want: "UNKNOWN_MEMBER_ID"},
		{name: "group/leave of a member that is not there", send: ask(request(13, 1).str("hostile").str("who"), throttledError), want: "UNKNOWN_MEMBER_ID"},
		{name: "group/commit with 30 KB of metadata", send: ask(commit("hostile", strings.Repeat("x", 30000), -1), partitionError(false)), want: "OFFSET_METADATA_TOO_LARGE"},
		{name: "group/commit of a generation that never was", send: ask(commit("absent", "", 77), partitionError(false)), want: "ILLEGAL_GENERATION"},
		{name: "group/commit with an empty group name", send: ask(commit("", "", -1), partitionError(false)), want: "ok"},
		{name: "group/delete one that is not there", send: ask(request(42, 1).i32(1).str("absent"), elementError(true)), want: "error 69"},
		{name: "producer/id with transaction timeout -1", send: ask(request(22, 1).str("tx").i32(-1), throttledError), want: "INVALID_TRANSACTION_TIMEOUT"},
		{name: "producer/id with an empty transactional id", send: ask(request(22, 1).str("").i32(1000), throttledError), want: "INVALID_REQUEST"},
		{name: "sasl/handshake on a plaintext listener", send: ask(request(17, 1).str("PLAIN"), firstError), want: "ILLEGAL_SASL_STATE"},
		{name: "sasl/authenticate on a plaintext listener", send: ask(request(36, 1).bytes([]byte("\x00admin\x00admin")), firstError), want: "ILLEGAL_SASL_STATE"},
	}
}
