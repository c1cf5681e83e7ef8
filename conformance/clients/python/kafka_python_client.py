"""The conformance scenarios with kafka-python (3.x, and 2.0.2 as Debian ships it)."""
import os
import sys
import threading
import time

import kafka
from kafka import KafkaConsumer, KafkaProducer, TopicPartition
from kafka.admin import ConfigResource, ConfigResourceType, KafkaAdminClient, NewPartitions, NewTopic
from kafka.errors import InvalidTopicError, MessageSizeTooLargeError, TopicAlreadyExistsError
from kafka.structs import OffsetAndMetadata

from common import *

ADDR, PREFIX, NAMES = arguments()
OLD = kafka.__version__.startswith("2.0")


def admin():
    return KafkaAdminClient(bootstrap_servers=ADDR)


def new_topic(name, parts, configs=None):
    topic = f"{PREFIX}-{name}"
    a = admin()
    try:
        a.create_topics([NewTopic(topic, parts, 1, topic_configs=configs or {})])
    finally:
        a.close()
    # End offsets are answered once every partition has a leader. Apache Kafka answers CreateTopics before
    # its broker knows the topic, and a group that kafka-python joins in between gets no partitions.
    c, tps = assigned(topic, parts)
    c.end_offsets(tps)
    c.close()
    return topic


def producer(**configs):
    return KafkaProducer(bootstrap_servers=ADDR, linger_ms=5, **configs)


def produce(topic, first, last, parts, **configs):
    p = producer(**configs)
    try:
        sent = [p.send(topic, value(i), key(i), partition=i % parts) for i in range(first, last)]
        p.flush(30)
        for s in sent:
            s.get(30)
    finally:
        p.close(10)


def consumer(*topics, **configs):
    configs.setdefault("auto_offset_reset", "earliest")
    configs.setdefault("enable_auto_commit", False)
    c = KafkaConsumer(bootstrap_servers=ADDR, **configs)
    for topic in topics:
        # kafka-python 3.0.12 may join before its first metadata answer, and then gets no partitions for long.
        c.partitions_for_topic(topic)
    if topics:
        c.subscribe(list(topics))
    return c


def poll(c, n, limit=30, **kw):
    got, end = [], time.monotonic() + limit
    while len(got) < n:
        expect(time.monotonic() < end, f"only {len(got)} of {n} records")
        for records in c.poll(200, **kw).values():
            got += records
    return got


def flat(records):
    return [(r.partition, r.offset, r.key, r.value) for r in records]


def offset_and_metadata(offset, metadata=""):
    return OffsetAndMetadata(offset, metadata) if OLD else OffsetAndMetadata(offset, metadata, -1)


def commit_offsets(c, offsets):
    """Commits; kafka-python may find itself in a rebalance that it began when it saw the topic again."""
    end = time.monotonic() + 15
    while True:
        try:
            return c.commit(offsets)
        except (kafka.errors.CommitFailedError, kafka.errors.RebalanceInProgressError):
            if time.monotonic() > end:
                raise
            c.poll(100)


def assigned(topic, parts, **configs):
    c = consumer(**configs)
    tps = [TopicPartition(topic, p) for p in range(parts)]
    c.assign(tps)
    return c, tps


def read_all(topic, n, parts):
    c, tps = assigned(topic, parts)
    try:
        c.seek_to_beginning(*tps)
        verify(flat(poll(c, n)), n, parts)
        total = sum(c.end_offsets(tps).values())
        expect(total == n, f"end offsets sum to {total}, want {n}")
    finally:
        c.close()


def create():
    topic = new_topic("create", PARTITIONS, {"retention.ms": "3600000"})
    c = consumer()
    expect(c.partitions_for_topic(topic) == set(range(PARTITIONS)), f"partitions {c.partitions_for_topic(topic)}")
    expect(topic in c.topics(), "the new topic is not listed")
    c.close()
    for name, error in (("create", TopicAlreadyExistsError), ("bad name!", InvalidTopicError)):
        try:
            new_topic(name, 1)
        except error:
            continue
        raise AssertionError(f"creating {name!r}: no {error.__name__}")


def acks(name, acks):
    def run():
        topic = new_topic(f"acks-{name}", PARTITIONS)
        configs = {} if OLD else {"enable_idempotence": False}
        produce(topic, 0, RECORDS, PARTITIONS, acks=acks, **configs)
        read_all(topic, RECORDS, PARTITIONS)
    return run


def idempotent():
    if OLD:
        raise NotAvailable("kafka-python 2.0.2 has no idempotent producer")
    topic = new_topic("idempotent", PARTITIONS)
    produce(topic, 0, RECORDS, PARTITIONS, enable_idempotence=True, acks="all", batch_size=2048)
    read_all(topic, RECORDS, PARTITIONS)


def codec(name):
    def run():
        topic = new_topic(name, PARTITIONS)
        produce(topic, 0, RECORDS, PARTITIONS, compression_type=None if name == "none" else name)
        read_all(topic, RECORDS, PARTITIONS)
    return run


def content():
    topic = new_topic("content", 1)
    p = producer()
    for i, (k, v, headers) in enumerate(CONTENT):
        p.send(topic, v, k, headers=headers, partition=0, timestamp_ms=BASE_TIME + i * 1000).get(30)
    p.close()
    c, _ = assigned(topic, 1)
    got = poll(c, len(CONTENT))
    c.close()
    verify_content([(r.timestamp, r.key, r.value, r.headers) for r in got])


def sizes():
    topic = new_topic("sizes", 1)
    values = [b"x", big(1000000), b"y"]
    p = producer(max_request_size=4 << 20, buffer_memory=32 << 20) if OLD else producer(max_request_size=4 << 20)
    for v in values:
        p.send(topic, v).get(30)
    try:
        p.send(topic, bytes(2 << 20)).get(30)
        raise AssertionError("a value of 2 MiB was accepted")
    except MessageSizeTooLargeError:
        pass
    p.close()
    c, _ = assigned(topic, 1)
    got = poll(c, 3)
    c.close()
    expect([r.value for r in got] == values, f"sizes {[len(r.value) for r in got]}, or contents differ")


def assign():
    topic = new_topic("assign", PARTITIONS)
    produce(topic, 0, RECORDS, PARTITIONS)
    c = consumer()
    one, two = TopicPartition(topic, 1), TopicPartition(topic, 2)
    c.assign([one, two])
    c.seek(one, 40)
    c.seek_to_end(two)
    c.seek(two, c.position(two) - 10)
    following = {1: 40, 2: 90}
    for p, offset, k, v in flat(poll(c, 70)):
        expect(offset == following[p] and v == value(offset * PARTITIONS + p), f"partition {p}: offset {offset}")
        following[p] += 1
    expect(following == {1: 100, 2: 100}, f"ended at {following}")
    c.close()


def group():
    topic = new_topic("group", PARTITIONS)
    produce(topic, 0, RECORDS, PARTITIONS)
    c = consumer(topic, group_id=topic)
    verify(flat(poll(c, RECORDS)), RECORDS, PARTITIONS)
    commit_offsets(c, {TopicPartition(topic, p): offset_and_metadata(RECORDS // PARTITIONS) for p in range(PARTITIONS)})
    c.close()
    c = consumer(group_id=topic)
    for p in range(PARTITIONS):
        at = c.committed(TopicPartition(topic, p))
        expect(at == RECORDS // PARTITIONS, f"committed offset of partition {p} is {at}")
    c.close()


class Member(threading.Thread):
    """A group member on a thread of its own."""

    def __init__(self, seen, lock, topic, **configs):
        super().__init__(daemon=True)
        self.c = consumer(topic, group_id=topic, session_timeout_ms=10000, heartbeat_interval_ms=500, metadata_max_age_ms=2000, **configs)
        self.seen, self.lock, self.owned, self.error = seen, lock, set(), None
        self.leaving = threading.Event()
        self.start()

    def run(self):
        try:
            while not self.leaving.is_set():
                records = [r for rs in self.c.poll(100).values() for r in rs]
                with self.lock:
                    self.owned = {tp.partition for tp in self.c.assignment()}
                    self.seen.update(r.value for r in records)
                if records:
                    try:
                        self.c.commit()
                    except (kafka.errors.CommitFailedError, kafka.errors.RebalanceInProgressError):
                        pass  # a rebalance came between; the records come again
            self.c.close()
        except Exception as e:  # reported by the waiting scenario
            self.error = e

    def leave(self):
        self.leaving.set()
        self.join(15)


def until(what, ready, members, limit=30):
    end = time.monotonic() + limit
    while not ready():
        for m in members:
            if m.error:
                raise m.error
        expect(time.monotonic() < end, f"waiting until {what}: owned {[sorted(m.owned) for m in members]}")
        time.sleep(0.02)


def rebalance():
    topic = new_topic("rebalance", 4)
    seen, lock, count = set(), threading.Lock(), 0
    members = []

    def all_seen():
        nonlocal count
        produce(topic, count, count + 100, 4)
        count += 100
        until("all records are seen", lambda: len(seen) == count, members)

    try:
        a = Member(seen, lock, topic)
        members.append(a)
        until("A owns 4", lambda: len(a.owned) == 4, members)
        all_seen()
        b = Member(seen, lock, topic)
        members.append(b)
        until("each owns 2", lambda: len(a.owned) == 2 and len(b.owned) == 2 and not a.owned & b.owned, members)
        all_seen()
        a.leave()
        until("B owns 4", lambda: len(b.owned) == 4, members)
        all_seen()
    finally:
        for m in members:
            m.leave()


def static():
    if OLD:
        raise NotAvailable("kafka-python 2.0.2 has no static membership")
    topic = new_topic("static", 4)
    seen, lock = set(), threading.Lock()
    a = Member(seen, lock, topic, group_instance_id="a")
    b = Member(seen, lock, topic, group_instance_id="b")
    members = [a, b]
    try:
        until("each owns 2", lambda: len(a.owned) == 2 and len(b.owned) == 2, members)
        before = (a.owned, b.owned)  # not the generation: kafka-python rejoins by itself when it sees the topic again
        b.leave()  # a static member's close sends no LeaveGroup
        members[1] = b = Member(seen, lock, topic, group_instance_id="b")
        until("B owns 2 again", lambda: len(b.owned) == 2, members)
        expect((a.owned, b.owned) == before, f"assignment {before} became {(a.owned, b.owned)}")
    finally:
        for m in members:
            m.leave()


def seek_time():
    topic = new_topic("time", 1)
    p = producer()
    for i in range(30):
        p.send(topic, value(i), partition=0, timestamp_ms=BASE_TIME + i * 60000)
        if i % 10 == 5:
            p.flush(30)
    p.flush(30)
    p.close()
    c, (tp,) = assigned(topic, 1)
    at = BASE_TIME + 10 * 60000 - 30000
    found = c.offsets_for_times({tp: at})[tp]
    expect((found.offset, found.timestamp) == (10, BASE_TIME + 10 * 60000), f"offset for time {found}")
    late = c.offsets_for_times({tp: BASE_TIME + 10**9})[tp]
    expect(late is None, f"offset for a time after the end: {late}")
    c.seek(tp, found.offset)
    got = poll(c, 20)
    expect(got[0].offset == 10 and got[19].value == value(29), f"read from {got[0].offset}")
    c.close()


def retention(a, topic):
    resource = ConfigResource(ConfigResourceType.TOPIC, topic)
    if OLD:
        for entry in a.describe_configs([resource])[0].resources[0][4]:
            if entry[0] == "retention.ms":
                return entry[1]
        return None
    found = a.describe_configs([resource], config_filter="all")["topic"][topic]["retention.ms"]
    return found["value"]


def admin_topics():
    topic = new_topic("admin", 2)
    a = admin()
    a.create_partitions({topic: NewPartitions(5)})
    end = time.monotonic() + 10
    while len(a.describe_topics([topic])[0]["partitions"]) != 5:
        expect(time.monotonic() < end, "CreatePartitions did not give 5 partitions")
        time.sleep(0.03)
    expect(retention(a, topic) == DAY7, f"default retention.ms {retention(a, topic)}")
    a.alter_configs([ConfigResource(ConfigResourceType.TOPIC, topic, {"retention.ms": "1234567"})])
    end = time.monotonic() + 10
    while retention(a, topic) != "1234567":
        expect(time.monotonic() < end, f"changed retention.ms {retention(a, topic)}")
        time.sleep(0.03)
    if not OLD:
        produce(topic, 0, 100, 5)
        tp = TopicPartition(topic, 3)
        a.delete_records({tp: 7})
        c = consumer()
        expect(c.beginning_offsets([tp])[tp] == 7, f"start after DeleteRecords {c.beginning_offsets([tp])}")
        c.close()
    a.delete_topics([topic])
    end = time.monotonic() + 10
    while topic in a.list_topics():
        expect(time.monotonic() < end, "the deleted topic is still listed")
        time.sleep(0.03)
    a.close()


def admin_groups():
    topic = new_topic("admin-groups", 1)
    produce(topic, 0, 10, 1)
    c = consumer(topic, group_id=topic)
    poll(c, 10)
    commit_offsets(c, {TopicPartition(topic, 0): offset_and_metadata(10)})
    a = admin()

    def described():
        if OLD:
            g = a.describe_consumer_groups([topic])[0]
            return g.state, len(g.members)
        g = a.describe_groups([topic])[topic]
        return g["group_state"], len(g["members"])

    expect(described() == ("Stable", 1), f"while consuming: {described()}")
    c.close()
    expect(described() == ("Empty", 0), f"after leaving: {described()}")
    if OLD:
        listed = lambda: [g[0] for g in a.list_consumer_groups()]
        remove, offsets = a.delete_consumer_groups, a.list_consumer_group_offsets(topic)
    else:
        listed = lambda: [g["group_id"] for g in a.list_groups()]
        remove, offsets = a.delete_groups, a.list_group_offsets(topic)
    expect(topic in listed(), "the group is not listed")
    expect("10" in str(offsets), f"offsets {offsets}")
    remove([topic])
    expect(topic not in listed(), "the deleted group is still listed")
    a.close()


def commit():
    topic = new_topic("resume", 1)
    produce(topic, 0, 150, 1)
    c = consumer(topic, group_id=topic, max_poll_records=20)
    got = []
    while len(got) < 60:
        got += poll(c, 1, max_records=60 - len(got))
    expect(got[59].offset == 59, f"the 60th record has offset {got[59].offset}")
    tp = TopicPartition(topic, 0)
    commit_offsets(c, {tp: offset_and_metadata(60, "m-60")})
    c.close()


def resume():
    topic = f"{PREFIX}-resume"
    c = consumer(topic, group_id=topic)
    at = c.committed(TopicPartition(topic, 0), metadata=True)
    expect(at.offset == 60 and at.metadata == "m-60", f"committed {at}")
    got = poll(c, 90)
    for i, r in enumerate(got):
        expect(r.offset == 60 + i and r.value == value(60 + i), f"record {i} after resuming has offset {r.offset}")
    c.close()


def transactions():
    if OLD:
        raise NotAvailable("kafka-python 2.0.2 has no transactions")
    topic = new_topic("transactions", 1)

    def write(p, name, offset):
        p.begin_transaction()
        sent = [p.send(topic, b"%s-%d" % (name, i), partition=0) for i in range(10)]
        p.flush(20)
        for s in sent:
            s.get(20)
        p.send_offsets_to_transaction({TopicPartition(topic, 0): offset_and_metadata(offset)}, topic)

    def committed():
        c = consumer(group_id=topic)
        at = c.committed(TopicPartition(topic, 0))
        c.close()
        return at

    a = producer(transactional_id=topic)
    a.init_transactions()
    write(a, b"first", 10)
    a.commit_transaction()
    write(a, b"aborted", 99)
    a.abort_transaction()
    committed_only(topic, b"first")
    expect(committed() == 10, f"committed offset {committed()}, want 10")
    write(a, b"second", 20)
    a.commit_transaction()
    b = producer(transactional_id=topic)
    b.init_transactions()
    write(b, b"third", 30)
    b.commit_transaction()
    fenced = False
    try:
        write(a, b"fenced", 98)
        a.commit_transaction()
    except Exception:
        fenced = True
    expect(fenced, "the older producer of the id could commit")
    committed_only(topic, b"first", b"second", b"third")
    expect(committed() == 30, f"committed offset {committed()}, want 30")
    b.close(10)


def committed_only(topic, *names):
    """A reader of committed records sees exactly these transactions."""
    c, tps = assigned(topic, 1, isolation_level="read_committed")
    c.seek_to_beginning(*tps)
    got = [r.value for r in poll(c, 10 * len(names))]
    c.close()
    want = [b"%s-%d" % (name, i) for name in names for i in range(10)]
    expect(got == want, f"read {got}, want {want}")


def consumer_protocol():
    raise NotAvailable("kafka-python has no consumer protocol of KIP-848")


def compaction():
    """The cleaner leaves the newest record of each key, be it a tombstone."""
    topic = new_topic("compaction", 1, COMPACTED)
    p = producer()
    for k, v in map(compact_record, range(TOTAL)):
        p.send(topic, v, k, partition=0)
    p.flush(30)
    p.close(10)
    end, old = time.monotonic() + 40, 1
    while old:
        c, tps = assigned(topic, 1)
        c.seek_to_beginning(*tps)
        got = []
        while not got or got[-1][0] < TOTAL - 1:
            got += [(r.offset, r.key, r.value) for r in poll(c, 1)]
        c.close()
        old = older(got)
        expect(time.monotonic() < end, f"not compacted: {old} records are not the newest of their key")
        time.sleep(0.2)


SCENARIOS = {
    "create": create, "acks-0": acks("0", 0), "acks-1": acks("1", 1), "acks-all": acks("all", "all"),
    "idempotent": idempotent, "none": codec("none"), "gzip": codec("gzip"), "snappy": codec("snappy"),
    "lz4": codec("lz4"), "zstd": codec("zstd"), "content": content, "sizes": sizes, "assign": assign,
    "group": group, "rebalance": rebalance, "static": static, "time": seek_time,
    "admin-topics": admin_topics, "admin-groups": admin_groups, "commit": commit, "resume": resume,
    "transactions": transactions, "consumer-protocol": consumer_protocol, "compaction": compaction,
}

for name in NAMES:
    try:
        SCENARIOS[name]()
        line(name, None)
    except Exception as error:
        line(name, error)
sys.stdout.flush()
os._exit(0)
