import java.time.Duration;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.Map;
import java.util.concurrent.TimeUnit;
import org.apache.kafka.clients.admin.AdminClient;
import org.apache.kafka.clients.admin.AlterConfigOp;
import org.apache.kafka.clients.admin.ConfigEntry;
import org.apache.kafka.clients.admin.ConsumerGroupDescription;
import org.apache.kafka.clients.admin.RecordsToDelete;
import org.apache.kafka.clients.consumer.ConsumerGroupMetadata;
import org.apache.kafka.clients.consumer.ConsumerRecords;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.config.ConfigResource;

/** What differs between releases of kafka-clients: here as 2.7 has it. */
final class Compat {
    static final String VERSION = "2.7";

    private Compat() {}

    /** Share groups came later. */
    static void addShares(java.util.Map<String, Main.Scenario> all, String bootstrap, String prefix) {}

    static final class Rebalancing extends RuntimeException {}

    static ConsumerRecords<byte[], byte[]> poll(KafkaConsumer<byte[], byte[]> c, long ms) {
        return c.poll(Duration.ofMillis(ms));
    }

    static OffsetAndMetadata committed(KafkaConsumer<byte[], byte[]> c, TopicPartition tp) {
        return c.committed(Collections.singleton(tp)).get(tp);
    }

    static int generation(KafkaConsumer<byte[], byte[]> c) {
        return c.groupMetadata().generationId();
    }

    static int partitionCount(AdminClient admin, String topic) throws Exception {
        return admin.describeTopics(Collections.singleton(topic)).all().get(20, TimeUnit.SECONDS).get(topic).partitions().size();
    }

    static void setTopicConfig(AdminClient admin, String topic, String name, String value) throws Exception {
        ConfigResource resource = new ConfigResource(ConfigResource.Type.TOPIC, topic);
        AlterConfigOp op = new AlterConfigOp(new ConfigEntry(name, value), AlterConfigOp.OpType.SET);
        admin.incrementalAlterConfigs(Collections.singletonMap(resource, Collections.singleton(op))).all().get(20, TimeUnit.SECONDS);
    }

    static void deleteRecords(AdminClient admin, TopicPartition tp, long before) throws Exception {
        admin.deleteRecords(Collections.singletonMap(tp, RecordsToDelete.beforeOffset(before))).all().get(20, TimeUnit.SECONDS);
    }

    static String describeGroup(AdminClient admin, String group) throws Exception {
        ConsumerGroupDescription d = admin.describeConsumerGroups(Collections.singleton(group)).all().get(20, TimeUnit.SECONDS).get(group);
        return d.state() + " " + d.members().size();
    }

    static List<String> listGroups(AdminClient admin) throws Exception {
        List<String> ids = new ArrayList<>();
        admin.listConsumerGroups().all().get(20, TimeUnit.SECONDS).forEach(g -> ids.add(g.groupId()));
        return ids;
    }

    static void deleteGroup(AdminClient admin, String group) throws Exception {
        admin.deleteConsumerGroups(Collections.singleton(group)).all().get(20, TimeUnit.SECONDS);
    }

    static void sendOffsets(KafkaProducer<byte[], byte[]> p, Map<TopicPartition, OffsetAndMetadata> offsets, String group) {
        p.sendOffsetsToTransaction(offsets, new ConsumerGroupMetadata(group));
    }
}
