"""Reads topic in as a group and writes every value to topic out in transactions, some of which it aborts."""
import os
import random
import signal
import sys

from confluent_kafka import Consumer, KafkaException, Producer, TopicPartition

addr, name, abort_one_in, seed = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
rng = random.Random(seed)
stop = False


def on_term(*_):
    global stop
    stop = True


def say(*words):
    print(*words, flush=True)


def rewind(consumer):
    for t in consumer.committed(consumer.assignment(), timeout=20):
        consumer.seek(TopicPartition(t.topic, t.partition, t.offset if t.offset >= 0 else -2))


def transform(consumer, producer, messages):
    producer.begin_transaction()
    try:
        last = {}
        for m in messages:
            producer.produce("out", m.value(), m.key(), partition=m.partition())
            last[(m.topic(), m.partition())] = m.offset() + 1
        offsets = [TopicPartition(t, p, o) for (t, p), o in last.items()]
        producer.send_offsets_to_transaction(offsets, consumer.consumer_group_metadata(), 20)
        if rng.randrange(abort_one_in) == 0:
            producer.flush(20)
            producer.abort_transaction(20)
            rewind(consumer)
            say("aborted")
            return
        while True:
            try:
                producer.commit_transaction(20)
                break
            except KafkaException as e:
                if not e.args[0].retriable():
                    raise
        say("committed")
    except KafkaException as e:
        if not e.args[0].txn_requires_abort():
            raise
        producer.abort_transaction(20)
        rewind(consumer)
        say("gave up", e)


def main():
    signal.signal(signal.SIGTERM, on_term)
    common = {"bootstrap.servers": addr, "reconnect.backoff.max.ms": 500, "metadata.recovery.strategy": os.environ.get("CHAIN_RECOVERY", "none")}
    if "CHAIN_DEBUG" in os.environ:
        common["debug"] = os.environ["CHAIN_DEBUG"]
    consumer = Consumer({
        **common, "group.id": "chain", "isolation.level": "read_committed", "enable.auto.commit": False,
        "auto.offset.reset": "earliest", "session.timeout.ms": 2000, "heartbeat.interval.ms": 300})
    producer = Producer({**common, "transactional.id": name, "transaction.timeout.ms": 10000})
    try:
        producer.init_transactions(20)
        consumer.subscribe(["in"])
        while not stop:
            messages = [m for m in consumer.consume(20, 0.2) if m.error() is None]
            if messages:
                transform(consumer, producer, messages)
    except KafkaException as e:
        say("fatal", e)
        sys.exit(1)
    consumer.close()


main()
