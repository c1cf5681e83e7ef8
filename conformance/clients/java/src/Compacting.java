import java.util.Arrays;
import java.util.HashSet;
import java.util.List;
import java.util.Set;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.TopicPartition;

/** Scenarios about compacted topics. */
final class Compacting extends Base {
    // Versions of each key, the last of which is a tombstone for the last keys, and records that fill the active segment.
    private static final int KEYS = 20;
    private static final int DEAD = 5;
    private static final int VERSIONS = 12;
    private static final int WRITTEN = KEYS * VERSIONS;
    private static final int TOTAL = WRITTEN + 150;

    Compacting(String addr, String prefix) {
        super(addr, prefix);
    }

    private static byte[] keyOf(int i) {
        return bytes(i < WRITTEN ? "key-" + i % KEYS : "fill");
    }

    private static byte[] valueOf(int i) {
        if (i < WRITTEN && i / KEYS == VERSIONS - 1 && i % KEYS >= KEYS - DEAD) {
            return null;
        }
        byte[] v = Arrays.copyOf(bytes(i / KEYS + "-" + i % KEYS + "-"), 10000);
        return v;
    }

    /** Reads a compacted topic until the cleaner has been there: the newest record of each key is left, be it a tombstone. */
    void compaction() throws Exception {
        String topic = newTopic("compaction", 1, map("cleanup.policy", "compact", "segment.bytes", "1048576", "min.cleanable.dirty.ratio", "0.01"));
        try (KafkaProducer<byte[], byte[]> p = producer()) {
            for (int i = 0; i < TOTAL; i++) {
                p.send(new ProducerRecord<>(topic, 0, keyOf(i), valueOf(i)));
            }
        }
        long end = System.currentTimeMillis() + 40000;
        for (int old; (old = older(topic)) > 0; Thread.sleep(200)) {
            expect(System.currentTimeMillis() < end, "not compacted: " + old + " records are not the newest of their key");
        }
    }

    /** Reads all, checks it and returns how many records are not the newest of their key. */
    private int older(String topic) {
        Set<String> keys = new HashSet<>();
        int old = 0;
        try (KafkaConsumer<byte[], byte[]> c = consumer()) {
            List<TopicPartition> tps = partitions(topic, 1);
            c.assign(tps);
            c.seekToBeginning(tps);
            for (long last = -1; last < TOTAL - 1;) {
                for (ConsumerRecord<byte[], byte[]> r : poll(c, 1)) {
                    int i = (int) r.offset();
                    expect(i > last && Arrays.equals(r.key(), keyOf(i)) && Arrays.equals(r.value(), valueOf(i)), "offset " + i + " after " + last + " is another record");
                    last = i;
                    if (i < WRITTEN) {
                        keys.add(new String(r.key()));
                        old += i < WRITTEN - KEYS ? 1 : 0;
                    }
                }
            }
        }
        expect(keys.size() == KEYS, keys.size() + " keys, want " + KEYS);
        return old;
    }
}
