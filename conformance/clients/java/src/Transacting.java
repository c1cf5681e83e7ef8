import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.concurrent.Future;
import java.util.concurrent.TimeUnit;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.TopicPartition;

/** Scenarios about transactions. */
final class Transacting extends Base {
    Transacting(String addr, String prefix) {
        super(addr, prefix);
    }

    /** Commits, aborts, commits offsets, and fences the older producer of an id. */
    void transactions() throws Exception {
        String topic = newTopic("transactions", 1);
        try (KafkaProducer<byte[], byte[]> a = transactional(topic); KafkaProducer<byte[], byte[]> b = transactional(topic)) {
            a.initTransactions();
            write(a, topic, "first", 10);
            a.commitTransaction();
            write(a, topic, "aborted", 99);
            a.abortTransaction();
            committedOnly(topic, "first");
            expect(committed(topic) == 10, "committed offset " + committed(topic) + ", want 10");
            write(a, topic, "second", 20);
            a.commitTransaction();
            b.initTransactions();
            write(b, topic, "third", 30);
            b.commitTransaction();
            boolean fenced = false;
            try {
                write(a, topic, "fenced", 98);
                a.commitTransaction();
            } catch (Exception e) {
                fenced = true;
            }
            expect(fenced, "the older producer of the id could commit");
            committedOnly(topic, "first", "second", "third");
            expect(committed(topic) == 30, "committed offset " + committed(topic) + ", want 30");
        }
    }

    private KafkaProducer<byte[], byte[]> transactional(String id) {
        return producer("transactional.id", id, "enable.idempotence", "true", "acks", "all");
    }

    /**
     * Begins a transaction of ten records and an offset. The records are waited for first: a producer of 2.7 that
     * learns that it is fenced forgets an offset that waits behind them, and sendOffsetsToTransaction never returns.
     */
    private void write(KafkaProducer<byte[], byte[]> p, String topic, String name, long offset) throws Exception {
        p.beginTransaction();
        List<Future<?>> sent = new ArrayList<>();
        for (int i = 0; i < 10; i++) {
            sent.add(p.send(new ProducerRecord<>(topic, 0, null, bytes(name + "-" + i))));
        }
        p.flush();
        for (Future<?> f : sent) {
            f.get(20, TimeUnit.SECONDS);
        }
        Compat.sendOffsets(p, Collections.singletonMap(new TopicPartition(topic, 0), new OffsetAndMetadata(offset)), topic);
    }

    private long committed(String group) {
        try (KafkaConsumer<byte[], byte[]> c = consumer("group.id", group)) {
            return Compat.committed(c, new TopicPartition(group, 0)).offset();
        }
    }

    /** A reader of committed records sees exactly these transactions. */
    private void committedOnly(String topic, String... names) {
        try (KafkaConsumer<byte[], byte[]> c = consumer("isolation.level", "read_committed")) {
            List<TopicPartition> tps = partitions(topic, 1);
            c.assign(tps);
            c.seekToBeginning(tps);
            List<ConsumerRecord<byte[], byte[]>> got = poll(c, 10 * names.length);
            for (int i = 0; i < got.size(); i++) {
                String want = i < 10 * names.length ? names[i / 10] + "-" + i % 10 : "nothing";
                expect(new String(got.get(i).value()).equals(want), "record " + i + " is " + new String(got.get(i).value()) + ", want " + want);
            }
        }
    }
}
