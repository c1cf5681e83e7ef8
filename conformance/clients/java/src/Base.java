import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import java.util.concurrent.Future;
import java.util.concurrent.TimeUnit;
import org.apache.kafka.clients.admin.AdminClient;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;
import org.apache.kafka.common.serialization.ByteArraySerializer;

/** The standard records, clients with the suite's settings, and checks. */
class Base {
    static final int RECORDS = 300;
    static final int PARTITIONS = 3;
    static final long BASE_TIME = 1700000000000L;

    final String addr;
    final String prefix;

    Base(String addr, String prefix) {
        this.addr = addr;
        this.prefix = prefix;
    }

    static byte[] bytes(String s) {
        return s.getBytes(StandardCharsets.UTF_8);
    }

    static byte[] key(int i) {
        return bytes("key-" + i);
    }

    static byte[] value(int i) {
        StringBuilder b = new StringBuilder("value-" + i + "-");
        for (int n = 0; n < 20; n++) {
            b.append("naru ");
        }
        return bytes(b.toString());
    }

    static void expect(boolean condition, String detail) {
        if (!condition) {
            throw new IllegalStateException(detail);
        }
    }

    Properties settings(String... more) {
        Properties p = new Properties();
        p.put("bootstrap.servers", addr);
        for (int i = 0; i < more.length; i += 2) {
            p.put(more[i], more[i + 1]);
        }
        return p;
    }

    AdminClient admin() {
        return AdminClient.create(settings("request.timeout.ms", "20000"));
    }

    KafkaProducer<byte[], byte[]> producer(String... more) {
        Properties p = settings("linger.ms", "5", "retries", "100"); // 1.1 would not retry by itself
        p.putAll(settings(more));
        return new KafkaProducer<>(p, new ByteArraySerializer(), new ByteArraySerializer());
    }

    KafkaConsumer<byte[], byte[]> consumer(String... more) {
        Properties p = settings("auto.offset.reset", "earliest", "enable.auto.commit", "false");
        p.putAll(settings(more));
        return new KafkaConsumer<>(p, new ByteArrayDeserializer(), new ByteArrayDeserializer());
    }

    String topic(String name) {
        return prefix + "-" + name;
    }

    String newTopic(String name, int partitions) throws Exception {
        return newTopic(name, partitions, Collections.emptyMap());
    }

    String newTopic(String name, int partitions, Map<String, String> configs) throws Exception {
        try (AdminClient admin = admin()) {
            NewTopic t = new NewTopic(topic(name), partitions, (short) 1).configs(configs);
            admin.createTopics(Collections.singleton(t)).all().get(30, TimeUnit.SECONDS);
        }
        return topic(name);
    }

    void produce(String topic, int from, int to, int partitions, String... more) throws Exception {
        try (KafkaProducer<byte[], byte[]> p = producer(more)) {
            List<Future<?>> sent = new ArrayList<>();
            for (int i = from; i < to; i++) {
                sent.add(p.send(new ProducerRecord<>(topic, i % partitions, key(i), value(i))));
            }
            p.flush();
            for (Future<?> f : sent) {
                f.get(30, TimeUnit.SECONDS);
            }
        }
    }

    static List<ConsumerRecord<byte[], byte[]>> poll(KafkaConsumer<byte[], byte[]> c, int n) {
        List<ConsumerRecord<byte[], byte[]>> got = new ArrayList<>();
        long end = System.currentTimeMillis() + 30000;
        while (got.size() < n) {
            expect(System.currentTimeMillis() < end, "only " + got.size() + " of " + n + " records");
            Compat.poll(c, 200).forEach(got::add);
        }
        return got;
    }

    static void verify(List<ConsumerRecord<byte[], byte[]>> got, int n, int partitions) {
        expect(got.size() == n, got.size() + " records, want " + n);
        int[] next = new int[partitions];
        for (ConsumerRecord<byte[], byte[]> r : got) {
            int p = r.partition();
            int i = next[p] * partitions + p;
            expect(r.offset() == next[p], "partition " + p + ": offset " + r.offset() + ", want " + next[p]);
            expect(Arrays.equals(r.key(), key(i)) && Arrays.equals(r.value(), value(i)),
                "partition " + p + " offset " + r.offset() + " is not record " + i);
            next[p]++;
        }
    }

    static List<TopicPartition> partitions(String topic, int n) {
        List<TopicPartition> tps = new ArrayList<>();
        for (int p = 0; p < n; p++) {
            tps.add(new TopicPartition(topic, p));
        }
        return tps;
    }

    void readAll(String topic, int n, int partitions) {
        try (KafkaConsumer<byte[], byte[]> c = consumer()) {
            List<TopicPartition> tps = partitions(topic, partitions);
            c.assign(tps);
            c.seekToBeginning(tps);
            verify(poll(c, n), n, partitions);
            long total = 0;
            for (long end : c.endOffsets(tps).values()) {
                total += end;
            }
            expect(total == n, "end offsets sum to " + total + ", want " + n);
        }
    }

    /** Asks for end offsets, which are answered once every partition has a leader. */
    void awaitLeaders(String topic, int n) {
        try (KafkaConsumer<byte[], byte[]> c = consumer()) {
            c.endOffsets(partitions(topic, n));
        }
    }

    static Map<String, String> map(String... kv) {
        Map<String, String> m = new HashMap<>();
        for (int i = 0; i < kv.length; i += 2) {
            m.put(kv[i], kv[i + 1]);
        }
        return m;
    }
}
