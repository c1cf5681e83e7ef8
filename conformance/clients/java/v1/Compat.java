import java.util.Collections;
import java.util.List;
import java.util.Map;
import java.util.concurrent.TimeUnit;
import org.apache.kafka.clients.admin.AdminClient;
import org.apache.kafka.clients.admin.Config;
import org.apache.kafka.clients.admin.ConfigEntry;
import org.apache.kafka.clients.admin.RecordsToDelete;
import org.apache.kafka.clients.consumer.ConsumerRecords;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.config.ConfigResource;

/** What differs between releases of kafka-clients: here as 1.1 has it. */
final class Compat {
    static final String VERSION = "1.1";

    private Compat() {}

    /** Share groups came later. */
    static void addShares(java.util.Map<String, Main.Scenario> all, String bootstrap, String prefix) {}

    static final class Rebalancing extends RuntimeException {}

    static ConsumerRecords<byte[], byte[]> poll(KafkaConsumer<byte[], byte[]> c, long ms) {
        return c.poll(ms);
    }

    static OffsetAndMetadata committed(KafkaConsumer<byte[], byte[]> c, TopicPartition tp) {
        return c.committed(tp);
    }

    static int generation(KafkaConsumer<byte[], byte[]> c) {
        return -1;
    }

    static int partitionCount(AdminClient admin, String topic) throws Exception {
        return admin.describeTopics(Collections.singleton(topic)).all().get(20, TimeUnit.SECONDS).get(topic).partitions().size();
    }

    static void setTopicConfig(AdminClient admin, String topic, String name, String value) throws Exception {
        ConfigResource resource = new ConfigResource(ConfigResource.Type.TOPIC, topic);
        Config config = new Config(Collections.singleton(new ConfigEntry(name, value)));
        admin.alterConfigs(Collections.singletonMap(resource, config)).all().get(20, TimeUnit.SECONDS);
    }

    static void deleteRecords(AdminClient admin, TopicPartition tp, long before) throws Exception {
        admin.deleteRecords(Collections.singletonMap(tp, RecordsToDelete.beforeOffset(before))).all().get(20, TimeUnit.SECONDS);
    }

    static String describeGroup(AdminClient admin, String group) throws Exception {
        throw new Main.NotAvailable("kafka-clients has group administration since 2.0");
    }

    static List<String> listGroups(AdminClient admin) throws Exception {
        return Collections.emptyList();
    }

    static void deleteGroup(AdminClient admin, String group) throws Exception {}

    static void sendOffsets(KafkaProducer<byte[], byte[]> p, Map<TopicPartition, OffsetAndMetadata> offsets, String group) {
        p.sendOffsetsToTransaction(offsets, group);
    }
}
