"""The conformance scenarios with aiokafka."""
import asyncio
import os
import time

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewPartitions, NewTopic, RecordsToDelete
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import CommitFailedError, InvalidTopicError, MessageSizeTooLargeError, TopicAlreadyExistsError, for_code
from aiokafka.structs import OffsetAndMetadata

from common import *

ADDR, PREFIX, NAMES = arguments()


async def admin():
    a = AIOKafkaAdminClient(bootstrap_servers=ADDR)
    await a.start()
    return a


async def new_topic(name, parts, configs=None):
    topic = f"{PREFIX}-{name}"
    a = await admin()
    try:
        answer = await a.create_topics([NewTopic(topic, parts, 1, topic_configs=configs or {})])
        for error in answer.topic_errors:
            if error[1]:
                raise for_code(error[1])(str(error))
    finally:
        await a.close()
    c, tps = await assigned(topic, parts)
    await c.end_offsets(tps)  # answered once every partition has a leader: acks=0 loses what comes before
    await c.stop()
    return topic


async def producer(**configs):
    p = AIOKafkaProducer(bootstrap_servers=ADDR, linger_ms=5, **configs)
    await p.start()
    return p


async def produce(topic, first, last, parts, **configs):
    p = await producer(**configs)
    try:
        sent = [await p.send(topic, value(i), key(i), partition=i % parts) for i in range(first, last)]
        await p.flush()
        await asyncio.gather(*sent)
    finally:
        await p.stop()


async def consumer(*topics, **configs):
    configs.setdefault("auto_offset_reset", "earliest")
    configs.setdefault("enable_auto_commit", False)
    c = AIOKafkaConsumer(*topics, bootstrap_servers=ADDR, **configs)
    await c.start()
    return c


async def poll(c, n, limit=30, max_records=None):
    got, end = [], time.monotonic() + limit
    while len(got) < n:
        expect(time.monotonic() < end, f"only {len(got)} of {n} records")
        for records in (await c.getmany(timeout_ms=200, max_records=max_records)).values():
            got += records
    return got


def flat(records):
    return [(r.partition, r.offset, r.key, r.value) for r in records]


async def assigned(topic, parts, **configs):
    c = await consumer(**configs)
    tps = [TopicPartition(topic, p) for p in range(parts)]
    c.assign(tps)
    return c, tps


async def read_all(topic, n, parts):
    c, tps = await assigned(topic, parts)
    try:
        await c.seek_to_beginning(*tps)
        verify(flat(await poll(c, n)), n, parts)
        total = sum((await c.end_offsets(tps)).values())
        expect(total == n, f"end offsets sum to {total}, want {n}")
    finally:
        await c.stop()


async def create():
    topic = await new_topic("create", PARTITIONS, {"retention.ms": "3600000"})
    a = await admin()
    described = await a.describe_topics([topic])
    expect(len(described[0]["partitions"]) == PARTITIONS, f"described as {described}")
    expect(topic in await a.list_topics(), "the new topic is not listed")
    await a.close()
    for name, error in (("create", TopicAlreadyExistsError), ("bad name!", InvalidTopicError)):
        try:
            await new_topic(name, 1)
        except error:
            continue
        raise AssertionError(f"creating {name!r}: no {error.__name__}")


def acks(name, acks):
    async def run():
        topic = await new_topic(f"acks-{name}", PARTITIONS)
        await produce(topic, 0, RECORDS, PARTITIONS, acks=acks)
        await read_all(topic, RECORDS, PARTITIONS)
    return run


async def idempotent():
    topic = await new_topic("idempotent", PARTITIONS)
    await produce(topic, 0, RECORDS, PARTITIONS, enable_idempotence=True, max_batch_size=2048)
    await read_all(topic, RECORDS, PARTITIONS)


def codec(name):
    async def run():
        topic = await new_topic(name, PARTITIONS)
        await produce(topic, 0, RECORDS, PARTITIONS, compression_type=None if name == "none" else name)
        await read_all(topic, RECORDS, PARTITIONS)
    return run


async def content():
    topic = await new_topic("content", 1)
    p = await producer()
    for i, (k, v, headers) in enumerate(CONTENT):
        await p.send_and_wait(topic, v, k, headers=headers, partition=0, timestamp_ms=BASE_TIME + i * 1000)
    await p.stop()
    c, _ = await assigned(topic, 1)
    got = await poll(c, len(CONTENT))
    await c.stop()
    verify_content([(r.timestamp, r.key, r.value, r.headers) for r in got])


async def sizes():
    topic = await new_topic("sizes", 1)
    values = [b"x", big(1000000), b"y"]
    p = await producer(max_request_size=4 << 20)
    for v in values:
        await p.send_and_wait(topic, v)
    try:
        await p.send_and_wait(topic, bytes(2 << 20))
        raise AssertionError("a value of 2 MiB was accepted")
    except MessageSizeTooLargeError:
        pass
    await p.stop()
    c, _ = await assigned(topic, 1)
    got = await poll(c, 3)
    await c.stop()
    expect([r.value for r in got] == values, f"sizes {[len(r.value) for r in got]}, or contents differ")


async def assign():
    topic = await new_topic("assign", PARTITIONS)
    await produce(topic, 0, RECORDS, PARTITIONS)
    c = await consumer()
    one, two = TopicPartition(topic, 1), TopicPartition(topic, 2)
    c.assign([one, two])
    c.seek(one, 40)
    await c.seek_to_end(two)
    c.seek(two, await c.position(two) - 10)
    following = {1: 40, 2: 90}
    for p, offset, k, v in flat(await poll(c, 70)):
        expect(offset == following[p] and v == value(offset * PARTITIONS + p), f"partition {p}: offset {offset}")
        following[p] += 1
    expect(following == {1: 100, 2: 100}, f"ended at {following}")
    await c.stop()


async def group():
    topic = await new_topic("group", PARTITIONS)
    await produce(topic, 0, RECORDS, PARTITIONS)
    c = await consumer(topic, group_id=topic)
    verify(flat(await poll(c, RECORDS)), RECORDS, PARTITIONS)
    await c.commit()
    await c.stop()
    c = await consumer(group_id=topic)
    for p in range(PARTITIONS):
        at = await c.committed(TopicPartition(topic, p))
        expect(at == RECORDS // PARTITIONS, f"committed offset of partition {p} is {at}")
    await c.stop()


class Member:
    """A group member as a task of its own."""

    def __init__(self, seen):
        self.seen, self.owned, self.left, self.error = seen, set(), False, None

    async def join(self, topic, **configs):
        self.c = await consumer(topic, group_id=topic, session_timeout_ms=10000, heartbeat_interval_ms=500, metadata_max_age_ms=2000, **configs)
        self.task = asyncio.create_task(self.run())
        return self

    async def run(self):
        try:
            while not self.left:
                got = await self.c.getmany(timeout_ms=100)
                self.owned = {tp.partition for tp in self.c.assignment()}
                for records in got.values():
                    self.seen.update(r.value for r in records)
                if got:
                    try:
                        await self.c.commit()
                    except CommitFailedError:
                        pass  # a rebalance came between; the records come again
            await self.c.stop()
        except Exception as e:  # reported by the waiting scenario
            self.error = e

    async def leave(self):
        self.left = True
        await self.task


async def until(what, ready, members, limit=30):
    end = time.monotonic() + limit
    while not ready():
        for m in members:
            if m.error:
                raise m.error
        expect(time.monotonic() < end, f"waiting until {what}: owned {[sorted(m.owned) for m in members]}")
        await asyncio.sleep(0.02)


async def rebalance():
    topic = await new_topic("rebalance", 4)
    seen, members, count = set(), [], 0

    async def all_seen():
        nonlocal count
        await produce(topic, count, count + 100, 4)
        count += 100
        await until("all records are seen", lambda: len(seen) == count, members)

    try:
        a = await Member(seen).join(topic)
        members.append(a)
        await until("A owns 4", lambda: len(a.owned) == 4, members)
        await all_seen()
        b = await Member(seen).join(topic)
        members.append(b)
        await until("each owns 2", lambda: len(a.owned) == 2 and len(b.owned) == 2 and not a.owned & b.owned, members)
        await all_seen()
        await a.leave()
        await until("B owns 4", lambda: len(b.owned) == 4, members)
        await all_seen()
    finally:
        for m in members:
            await m.leave()


async def static():
    topic = await new_topic("static", 4)
    seen = set()
    a, b = await asyncio.gather(Member(seen).join(topic, group_instance_id="a"), Member(seen).join(topic, group_instance_id="b"))
    members = [a, b]
    try:
        await until("each owns 2", lambda: len(a.owned) == 2 and len(b.owned) == 2, members)
        before, generation = (a.owned, b.owned), a.c._coordinator.generation
        await b.leave()  # a static member's stop sends no LeaveGroup
        members[1] = b = await Member(seen).join(topic, group_instance_id="b")
        await until("B owns 2 again", lambda: len(b.owned) == 2, members)
        expect((a.owned, b.owned) == before, f"assignment {before} became {(a.owned, b.owned)}")
        now = a.c._coordinator.generation
        expect(now == generation, f"generation {generation} became {now}")
    finally:
        for m in members:
            await m.leave()


async def seek_time():
    topic = await new_topic("time", 1)
    p = await producer()
    for i in range(30):
        await p.send(topic, value(i), partition=0, timestamp_ms=BASE_TIME + i * 60000)
        if i % 10 == 5:
            await p.flush()
    await p.stop()
    c, (tp,) = await assigned(topic, 1)
    at = BASE_TIME + 10 * 60000 - 30000
    found = (await c.offsets_for_times({tp: at}))[tp]
    expect((found.offset, found.timestamp) == (10, BASE_TIME + 10 * 60000), f"offset for time {found}")
    late = (await c.offsets_for_times({tp: BASE_TIME + 10**9}))[tp]
    expect(late is None, f"offset for a time after the end: {late}")
    c.seek(tp, found.offset)
    got = await poll(c, 20)
    expect(got[0].offset == 10 and got[19].value == value(29), f"read from {got[0].offset}")
    await c.stop()


async def retention(a, topic):
    for entry in (await a.describe_configs([ConfigResource(ConfigResourceType.TOPIC, topic)]))[0].resources[0][4]:
        if entry[0] == "retention.ms":
            return entry[1]


async def eventually(what, look, limit=10):
    end = time.monotonic() + limit
    while not await look():
        expect(time.monotonic() < end, what)
        await asyncio.sleep(0.03)


async def admin_topics():
    topic = await new_topic("admin", 2)
    a = await admin()
    await a.create_partitions({topic: NewPartitions(5)})

    async def five():
        return len((await a.describe_topics([topic]))[0]["partitions"]) == 5
    await eventually("CreatePartitions did not give 5 partitions", five)
    expect(await retention(a, topic) == DAY7, f"default retention.ms {await retention(a, topic)}")
    await a.alter_configs([ConfigResource(ConfigResourceType.TOPIC, topic, {"retention.ms": "1234567"})])

    async def changed():
        return await retention(a, topic) == "1234567"
    await eventually("retention.ms was not changed", changed)
    await produce(topic, 0, 100, 5)
    tp = TopicPartition(topic, 3)
    await a.delete_records({tp: RecordsToDelete(7)})
    c = await consumer()
    expect((await c.beginning_offsets([tp]))[tp] == 7, "start after DeleteRecords is not 7")
    await c.stop()
    await a.delete_topics([topic])

    async def gone():
        return topic not in await a.list_topics()
    await eventually("the deleted topic is still listed", gone)
    await a.close()


async def admin_groups():
    topic = await new_topic("admin-groups", 1)
    await produce(topic, 0, 10, 1)
    c = await consumer(topic, group_id=topic)
    await poll(c, 10)
    await c.commit()
    a = await admin()

    async def described():
        g = (await a.describe_consumer_groups([topic]))[0].groups[0]
        return g[2], len(g[5])
    expect(await described() == ("Stable", 1), f"while consuming: {await described()}")
    await c.stop()
    expect(await described() == ("Empty", 0), f"after leaving: {await described()}")
    listed = [g[0] for g in await a.list_consumer_groups()]
    expect(topic in listed, "the group is not listed")
    offsets = await a.list_consumer_group_offsets(topic)
    expect(offsets[TopicPartition(topic, 0)].offset == 10, f"offsets {offsets}")
    await a.close()


async def commit():
    topic = await new_topic("resume", 1)
    await produce(topic, 0, 150, 1)
    c = await consumer(topic, group_id=topic)
    got = []
    while len(got) < 60:
        got += await poll(c, 1, max_records=min(20, 60 - len(got)))
    expect(got[59].offset == 59, f"the 60th record has offset {got[59].offset}")
    await c.commit({TopicPartition(topic, 0): OffsetAndMetadata(60, "m-60")})
    await c.stop()


async def resume():
    topic = f"{PREFIX}-resume"
    c = await consumer(topic, group_id=topic)
    at = await c.committed(TopicPartition(topic, 0))
    expect(at == 60, f"committed {at}")
    for i, r in enumerate(await poll(c, 90)):
        expect(r.offset == 60 + i and r.value == value(60 + i), f"record {i} after resuming has offset {r.offset}")
    await c.stop()


async def transactions():
    topic = await new_topic("transactions", 1)

    async def write(p, name, offset):
        await p.begin_transaction()
        sent = [await p.send(topic, b"%s-%d" % (name, i), partition=0) for i in range(10)]
        await asyncio.gather(*sent)
        await p.send_offsets_to_transaction({TopicPartition(topic, 0): OffsetAndMetadata(offset, "")}, topic)

    async def committed():
        c = await consumer(group_id=topic)
        at = await c.committed(TopicPartition(topic, 0))
        await c.stop()
        return at

    a = await producer(transactional_id=topic)
    await write(a, b"first", 10)
    await a.commit_transaction()
    await write(a, b"aborted", 99)
    await a.abort_transaction()
    await committed_only(topic, b"first")
    expect(await committed() == 10, f"committed offset {await committed()}, want 10")
    await write(a, b"second", 20)
    await a.commit_transaction()
    b = await producer(transactional_id=topic)
    await write(b, b"third", 30)
    await b.commit_transaction()
    fenced = False
    try:
        await write(a, b"fenced", 98)
        await a.commit_transaction()
    except Exception:
        fenced = True
    expect(fenced, "the older producer of the id could commit")
    await committed_only(topic, b"first", b"second", b"third")
    expect(await committed() == 30, f"committed offset {await committed()}, want 30")
    await b.stop()


async def committed_only(topic, *names):
    """A reader of committed records sees exactly these transactions."""
    c, tps = await assigned(topic, 1, isolation_level="read_committed")
    await c.seek_to_beginning(*tps)
    got = [r.value for r in await poll(c, 10 * len(names))]
    await c.stop()
    want = [b"%s-%d" % (name, i) for name in names for i in range(10)]
    expect(got == want, f"read {got}, want {want}")


async def consumer_protocol():
    raise NotAvailable("aiokafka has no consumer protocol of KIP-848")


async def compaction():
    """The cleaner leaves the newest record of each key, be it a tombstone."""
    topic = await new_topic("compaction", 1, COMPACTED)
    p = await producer()
    await asyncio.gather(*[await p.send(topic, v, k, partition=0) for k, v in map(compact_record, range(TOTAL))])
    await p.stop()
    end, old = time.monotonic() + 40, 1
    while old:
        c, tps = await assigned(topic, 1)
        await c.seek_to_beginning(*tps)
        got = []
        while not got or got[-1][0] < TOTAL - 1:
            got += [(r.offset, r.key, r.value) for r in await poll(c, 1)]
        await c.stop()
        old = older(got)
        expect(time.monotonic() < end, f"not compacted: {old} records are not the newest of their key")
        await asyncio.sleep(0.2)


SCENARIOS = {
    "create": create, "acks-0": acks("0", 0), "acks-1": acks("1", 1), "acks-all": acks("all", "all"),
    "idempotent": idempotent, "none": codec("none"), "gzip": codec("gzip"), "snappy": codec("snappy"),
    "lz4": codec("lz4"), "zstd": codec("zstd"), "content": content, "sizes": sizes, "assign": assign,
    "group": group, "rebalance": rebalance, "static": static, "time": seek_time,
    "admin-topics": admin_topics, "admin-groups": admin_groups, "commit": commit, "resume": resume,
    "transactions": transactions, "consumer-protocol": consumer_protocol, "compaction": compaction,
}


async def main():
    for name in NAMES:
        try:
            await asyncio.wait_for(SCENARIOS[name](), 55)
            line(name, None)
        except Exception as error:
            line(name, error)


asyncio.run(main())
os._exit(0)
