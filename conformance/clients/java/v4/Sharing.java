import java.time.Duration;
import java.util.ArrayList;
import java.util.Collections;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.concurrent.TimeUnit;
import org.apache.kafka.clients.admin.AdminClient;
import org.apache.kafka.clients.admin.AlterConfigOp;
import org.apache.kafka.clients.admin.ConfigEntry;
import org.apache.kafka.clients.consumer.AcknowledgeType;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.ConsumerRecords;
import org.apache.kafka.clients.consumer.KafkaShareConsumer;
import org.apache.kafka.common.config.ConfigResource;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;

/** Share groups (KIP-932): records are shared by the members of a group, one by one. */
final class Sharing extends Base {
    Sharing(String bootstrap, String prefix) {
        super(bootstrap, prefix);
    }

    /** A share group takes half a minute to begin on a broker that has just started. */
    private static final long PATIENCE_MS = 50000;

    private KafkaShareConsumer<byte[], byte[]> member(String group, String... more) {
        java.util.Properties p = settings("group.id", group);
        p.putAll(settings(more));
        return new KafkaShareConsumer<>(p, new ByteArrayDeserializer(), new ByteArrayDeserializer());
    }

    private void configure(String group, String... kv) throws Exception {
        List<AlterConfigOp> ops = new ArrayList<>();
        for (int i = 0; i < kv.length; i += 2) {
            ops.add(new AlterConfigOp(new ConfigEntry(kv[i], kv[i + 1]), AlterConfigOp.OpType.SET));
        }
        try (AdminClient admin = admin()) {
            admin.incrementalAlterConfigs(Collections.singletonMap(new ConfigResource(ConfigResource.Type.GROUP, group), ops)).all().get(20, TimeUnit.SECONDS);
        }
    }

    /** Two members share a partition; every record comes to one of them, once. */
    void implicit() throws Exception {
        String topic = newTopic("share", 1);
        configure(topic, "share.auto.offset.reset", "earliest");
        produce(topic, 0, 400, 1);
        Map<Long, Integer> seen = new HashMap<>();
        try (KafkaShareConsumer<byte[], byte[]> a = member(topic); KafkaShareConsumer<byte[], byte[]> b = member(topic)) {
            a.subscribe(Collections.singleton(topic));
            b.subscribe(Collections.singleton(topic));
            long end = System.currentTimeMillis() + PATIENCE_MS;
            while (seen.size() < 400) {
                expect(System.currentTimeMillis() < end, "only " + seen.size() + " of 400 records");
                a.poll(Duration.ofMillis(200)).forEach(r -> seen.merge(r.offset(), 1, Integer::sum));
                b.poll(Duration.ofMillis(200)).forEach(r -> seen.merge(r.offset(), 1, Integer::sum));
            }
        }
        for (Map.Entry<Long, Integer> e : seen.entrySet()) {
            expect(e.getValue() == 1, "offset " + e.getKey() + " came " + e.getValue() + " times");
        }
    }

    /** Accept, release, reject and renew; what is released too often is given up. */
    void explicit() throws Exception {
        String topic = newTopic("share-explicit", 1);
        configure(topic, "share.auto.offset.reset", "earliest", "share.delivery.count.limit", "3");
        produce(topic, 0, 40, 1);
        Map<Long, List<Integer>> seen = new TreeMap<>();
        try (KafkaShareConsumer<byte[], byte[]> c = member(topic, "share.acknowledgement.mode", "explicit")) {
            c.subscribe(Collections.singleton(topic));
            long end = System.currentTimeMillis() + PATIENCE_MS;
            for (int idle = 0; idle < 4 || seen.isEmpty();) {
                expect(System.currentTimeMillis() < end, "no end: " + seen);
                ConsumerRecords<byte[], byte[]> got = c.poll(Duration.ofMillis(400));
                idle = got.isEmpty() ? idle + 1 : 0;
                for (ConsumerRecord<byte[], byte[]> r : got) {
                    seen.computeIfAbsent(r.offset(), o -> new ArrayList<>()).add((int) r.deliveryCount().get());
                    c.acknowledge(r, decide(r));
                }
                c.commitSync().values().forEach(error -> expect(!error.isPresent(), "acknowledging: " + error));
            }
        }
        for (long offset = 0; offset < 40; offset++) {
            String want = offset % 10 == 7 ? "[1, 2, 3]" : offset % 10 == 5 ? "[1, 2]" : offset % 10 == 9 ? "[1, 1]" : "[1]";
            expect(want.equals(String.valueOf(seen.get(offset))), "deliveries of offset " + offset + ": " + seen.get(offset) + ", want " + want);
        }
    }

    private final java.util.Set<Long> renewed = new java.util.HashSet<>();

    private AcknowledgeType decide(ConsumerRecord<byte[], byte[]> r) {
        switch ((int) (r.offset() % 10)) {
            case 3:
                return AcknowledgeType.REJECT;
            case 5:
                return r.deliveryCount().get() == 1 ? AcknowledgeType.RELEASE : AcknowledgeType.ACCEPT;
            case 7:
                return AcknowledgeType.RELEASE;
            case 9:
                return renewed.add(r.offset()) ? AcknowledgeType.RENEW : AcknowledgeType.ACCEPT;
            default:
                return AcknowledgeType.ACCEPT;
        }
    }

    /** What a member has and does not acknowledge goes to another when its time is up or its session ends. */
    void redelivery() throws Exception {
        String topic = newTopic("share-redelivery", 1);
        configure(topic, "share.auto.offset.reset", "earliest", "share.record.lock.duration.ms", "15000");
        produce(topic, 0, 20, 1);
        KafkaShareConsumer<byte[], byte[]> holder = member(topic, "share.acknowledgement.mode", "explicit");
        holder.subscribe(Collections.singleton(topic));
        Map<Long, Integer> held = await(holder, 20, AcknowledgeType.RENEW);
        expect(held.values().stream().allMatch(n -> n == 1), "first deliveries: " + held);
        try (KafkaShareConsumer<byte[], byte[]> other = member(topic, "share.acknowledgement.mode", "explicit")) {
            other.subscribe(Collections.singleton(topic));
            // The holder sends nothing more: the locks time out.
            Map<Long, Integer> again = await(other, 20, AcknowledgeType.RELEASE);
            expect(again.values().stream().allMatch(n -> n == 2), "second deliveries: " + again);
        }
        holder.close(Duration.ofSeconds(5));
        try (KafkaShareConsumer<byte[], byte[]> last = member(topic, "share.acknowledgement.mode", "explicit")) {
            last.subscribe(Collections.singleton(topic));
            Map<Long, Integer> third = await(last, 20, AcknowledgeType.ACCEPT);
            expect(third.values().stream().allMatch(n -> n == 3), "third deliveries: " + third);
        }
    }

    /** Polls until n records are there, acknowledges all in one way, and returns their delivery counts. */
    private static Map<Long, Integer> await(KafkaShareConsumer<byte[], byte[]> c, int n, AcknowledgeType type) {
        Map<Long, Integer> counts = new TreeMap<>();
        long end = System.currentTimeMillis() + PATIENCE_MS;
        while (counts.size() < n) {
            expect(System.currentTimeMillis() < end, "only " + counts.size() + " of " + n + " records");
            for (ConsumerRecord<byte[], byte[]> r : c.poll(Duration.ofMillis(400))) {
                counts.put(r.offset(), (int) r.deliveryCount().get());
                c.acknowledge(r, type);
            }
            c.commitSync().values().forEach(error -> expect(!error.isPresent(), "acknowledging: " + error));
        }
        return counts;
    }
}
