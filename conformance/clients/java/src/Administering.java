import java.util.Collections;
import java.util.List;
import java.util.concurrent.Callable;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;
import org.apache.kafka.clients.admin.AdminClient;
import org.apache.kafka.clients.admin.Config;
import org.apache.kafka.clients.admin.NewPartitions;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.config.ConfigResource;
import org.apache.kafka.common.errors.InvalidTopicException;
import org.apache.kafka.common.errors.TopicExistsException;

/** Scenarios of the admin client. */
final class Administering extends Base {
    Administering(String addr, String prefix) {
        super(addr, prefix);
    }

    private static void eventually(String what, Callable<Boolean> ready) throws Exception {
        long end = System.currentTimeMillis() + 10000;
        while (!ready.call()) {
            expect(System.currentTimeMillis() < end, what);
            Thread.sleep(30);
        }
    }

    void create() throws Exception {
        String topic = newTopic("create", PARTITIONS, map("retention.ms", "3600000"));
        try (AdminClient admin = admin()) {
            eventually("the new topic is not listed", () -> admin.listTopics().names().get(20, TimeUnit.SECONDS).contains(topic));
            eventually("3 partitions", () -> Compat.partitionCount(admin, topic) == PARTITIONS);
            expect("3600000".equals(retention(admin, topic)), "retention.ms " + retention(admin, topic));
        }
        refused("create", TopicExistsException.class);
        refused("bad name!", InvalidTopicException.class);
    }

    private void refused(String name, Class<? extends Exception> want) throws Exception {
        try {
            newTopic(name, 1);
        } catch (ExecutionException e) {
            expect(want.isInstance(e.getCause()), "creating " + name + ": " + e.getCause());
            return;
        }
        throw new IllegalStateException("creating " + name + " was accepted");
    }

    private static String retention(AdminClient admin, String topic) throws Exception {
        ConfigResource resource = new ConfigResource(ConfigResource.Type.TOPIC, topic);
        Config config = admin.describeConfigs(Collections.singleton(resource)).all().get(20, TimeUnit.SECONDS).get(resource);
        return config.get("retention.ms").value();
    }

    void topics() throws Exception {
        String topic = newTopic("admin", 2);
        try (AdminClient admin = admin()) {
            admin.createPartitions(Collections.singletonMap(topic, NewPartitions.increaseTo(5))).all().get(20, TimeUnit.SECONDS);
            eventually("CreatePartitions did not give 5 partitions", () -> Compat.partitionCount(admin, topic) == 5);
            expect("604800000".equals(retention(admin, topic)), "default retention.ms " + retention(admin, topic));
            Compat.setTopicConfig(admin, topic, "retention.ms", "1234567");
            eventually("retention.ms was not changed", () -> "1234567".equals(retention(admin, topic)));
            produce(topic, 0, 100, 5);
            TopicPartition tp = new TopicPartition(topic, 3);
            Compat.deleteRecords(admin, tp, 7);
            if (!Compat.VERSION.startsWith("1.0")) {
                try (KafkaConsumer<byte[], byte[]> c = consumer()) {
                    long start = c.beginningOffsets(Collections.singleton(tp)).get(tp);
                    expect(start == 7, "start after DeleteRecords " + start);
                }
            }
            expect(admin.describeCluster().nodes().get(20, TimeUnit.SECONDS).size() == 1, "DescribeCluster has not one node");
            admin.deleteTopics(Collections.singleton(topic)).all().get(20, TimeUnit.SECONDS);
            eventually("the deleted topic is still listed", () -> !admin.listTopics().names().get(20, TimeUnit.SECONDS).contains(topic));
        }
    }

    void groups() throws Exception {
        String topic = newTopic("admin-groups", 1);
        produce(topic, 0, 10, 1);
        try (AdminClient admin = admin()) {
            try (KafkaConsumer<byte[], byte[]> c = consumer("group.id", topic)) {
                c.subscribe(Collections.singleton(topic));
                poll(c, 10);
                c.commitSync();
                String state = Compat.describeGroup(admin, topic);
                expect(state.equals("Stable 1"), "while consuming: " + state);
            }
            String state = Compat.describeGroup(admin, topic);
            expect(state.equals("Empty 0"), "after leaving: " + state);
            List<String> listed = Compat.listGroups(admin);
            expect(listed.contains(topic), "the group is not listed in " + listed);
            Compat.deleteGroup(admin, topic);
            expect(!Compat.listGroups(admin).contains(topic), "the deleted group is still listed");
        }
    }
}
