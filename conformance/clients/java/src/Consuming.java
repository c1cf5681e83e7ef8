import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.HashSet;
import java.util.List;
import java.util.Set;
import java.util.TreeSet;
import java.util.concurrent.ConcurrentHashMap;
import java.util.function.BooleanSupplier;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.CommitFailedException;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.clients.consumer.OffsetAndTimestamp;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.TopicPartition;

/** Scenarios about what is read, and by whom. */
final class Consuming extends Base {
    Consuming(String addr, String prefix) {
        super(addr, prefix);
    }

    void assign() throws Exception {
        String topic = newTopic("assign", PARTITIONS);
        produce(topic, 0, RECORDS, PARTITIONS);
        try (KafkaConsumer<byte[], byte[]> c = consumer()) {
            TopicPartition one = new TopicPartition(topic, 1);
            TopicPartition two = new TopicPartition(topic, 2);
            c.assign(Arrays.asList(one, two));
            c.seek(one, 40);
            c.seekToEnd(Collections.singleton(two));
            c.seek(two, c.position(two) - 10);
            long[] next = {0, 40, 90};
            for (ConsumerRecord<byte[], byte[]> r : poll(c, 70)) {
                int p = r.partition();
                expect(r.offset() == next[p], "partition " + p + ": offset " + r.offset() + ", want " + next[p]);
                expect(Arrays.equals(r.value(), value((int) r.offset() * PARTITIONS + p)), "partition " + p + ": wrong value");
                next[p]++;
            }
            expect(next[1] == 100 && next[2] == 100, "ended at " + Arrays.toString(next));
        }
    }

    void group() throws Exception {
        String topic = newTopic("group", PARTITIONS);
        produce(topic, 0, RECORDS, PARTITIONS);
        try (KafkaConsumer<byte[], byte[]> c = consumer("group.id", topic)) {
            c.subscribe(Collections.singleton(topic));
            verify(poll(c, RECORDS), RECORDS, PARTITIONS);
            c.commitSync();
        }
        try (KafkaConsumer<byte[], byte[]> c = consumer("group.id", topic)) {
            for (TopicPartition tp : partitions(topic, PARTITIONS)) {
                OffsetAndMetadata at = Compat.committed(c, tp);
                expect(at != null && at.offset() == RECORDS / PARTITIONS, "committed offset of " + tp + " is " + at);
            }
        }
    }

    /** A group member on a thread of its own. */
    private final class Member extends Thread {
        final KafkaConsumer<byte[], byte[]> c;
        final Set<String> seen;
        volatile Set<Integer> owned = Collections.emptySet();
        volatile Exception error;
        volatile boolean leaving;
        volatile int generation;

        Member(Set<String> seen, String topic, String... more) {
            this.seen = seen;
            List<String> settings = new ArrayList<>(Arrays.asList("group.id", topic));
            settings.addAll(Arrays.asList(more));
            if (!settings.contains("group.protocol")) { // in the consumer protocol these are the broker's
                settings.addAll(Arrays.asList("session.timeout.ms", "10000", "heartbeat.interval.ms", "500"));
            }
            c = consumer(settings.toArray(new String[0]));
            c.subscribe(Collections.singleton(topic));
            setDaemon(true);
            start();
        }

        @Override
        public void run() {
            try {
                while (!leaving) {
                    boolean any = false;
                    for (ConsumerRecord<byte[], byte[]> r : Compat.poll(c, 100)) {
                        seen.add(new String(r.value()));
                        any = true;
                    }
                    Set<Integer> now = new TreeSet<>();
                    c.assignment().forEach(tp -> now.add(tp.partition()));
                    owned = now;
                    generation = Compat.generation(c);
                    if (any) {
                        try {
                            c.commitSync();
                        } catch (CommitFailedException | Compat.Rebalancing e) {
                            // a rebalance came between; the records come again
                        } catch (RuntimeException e) {
                            if (!e.getClass().getSimpleName().equals("RebalanceInProgressException")) {
                                throw e;
                            }
                        }
                    }
                }
                c.close();
            } catch (Exception e) { // reported by the waiting scenario
                error = e;
            }
        }

        void leave() throws InterruptedException {
            leaving = true;
            join(15000);
        }
    }

    private static void until(String what, List<Member> members, BooleanSupplier ready) throws Exception {
        long end = System.currentTimeMillis() + 30000;
        while (!ready.getAsBoolean()) {
            List<Set<Integer>> owned = new ArrayList<>();
            for (Member m : members) {
                if (m.error != null) {
                    throw m.error;
                }
                owned.add(m.owned);
            }
            expect(System.currentTimeMillis() < end, "waiting until " + what + ": owned " + owned);
            Thread.sleep(20);
        }
    }

    void rebalance() throws Exception {
        rebalance(newTopic("rebalance", 4));
    }

    /** Two members share a topic of four partitions and hand it over. */
    private void rebalance(String topic, String... more) throws Exception {
        Set<String> seen = ConcurrentHashMap.newKeySet();
        List<Member> members = new ArrayList<>();
        try {
            Member a = new Member(seen, topic, more);
            members.add(a);
            until("A owns 4", members, () -> a.owned.size() == 4);
            produce(topic, 0, 100, 4);
            until("all records are seen", members, () -> seen.size() == 100);
            Member b = new Member(seen, topic, more);
            members.add(b);
            until("each owns 2", members, () -> a.owned.size() == 2 && b.owned.size() == 2 && Collections.disjoint(a.owned, b.owned));
            produce(topic, 100, 200, 4);
            until("all records are seen", members, () -> seen.size() == 200);
            a.leave();
            until("B owns 4", members, () -> b.owned.size() == 4);
            produce(topic, 200, 300, 4);
            until("all records are seen", members, () -> seen.size() == 300);
            for (int i = 0; i < 300; i++) {
                expect(seen.contains(new String(value(i))), "record " + i + " was not seen");
            }
        } finally {
            for (Member m : members) {
                m.leave();
            }
        }
    }

    void staticMembers() throws Exception {
        if (Compat.VERSION.startsWith("1.")) {
            throw new Main.NotAvailable("kafka-clients has static membership since 2.3");
        }
        staticMembers(newTopic("static", 4));
    }

    /** A static member goes and comes back to the partitions it had. */
    private void staticMembers(String topic, String... more) throws Exception {
        Set<String> seen = ConcurrentHashMap.newKeySet();
        List<Member> members = new ArrayList<>();
        try {
            Member a = new Member(seen, topic, with(more, "group.instance.id", "a"));
            Member b = new Member(seen, topic, with(more, "group.instance.id", "b"));
            members.add(a);
            members.add(b);
            until("each owns 2", members, () -> a.owned.size() == 2 && b.owned.size() == 2);
            Set<Integer> before = new HashSet<>(a.owned);
            int generation = a.generation;
            b.leave(); // a static member's close sends no LeaveGroup
            Member again = new Member(seen, topic, with(more, "group.instance.id", "b"));
            members.add(again);
            until("B owns 2 again", members, () -> again.owned.size() == 2);
            expect(a.owned.equals(before), "assignment " + before + " became " + a.owned);
            expect(a.generation == generation, "generation " + generation + " became " + a.generation);
        } finally {
            for (Member m : members) {
                m.leave();
            }
        }
    }

    private static String[] with(String[] settings, String... more) {
        String[] all = Arrays.copyOf(settings, settings.length + more.length);
        System.arraycopy(more, 0, all, settings.length, more.length);
        return all;
    }

    /** The protocol of KIP-848: the group is rebalanced, commits, and has static members. */
    void consumerProtocol() throws Exception {
        if (!Compat.VERSION.startsWith("4.")) {
            throw new Main.NotAvailable("kafka-clients has the consumer protocol since 4.0");
        }
        String topic = newTopic("consumer-protocol", 4);
        rebalance(topic, "group.protocol", "consumer");
        long sum = 0;
        try (KafkaConsumer<byte[], byte[]> c = consumer("group.id", topic)) {
            for (TopicPartition tp : partitions(topic, 4)) {
                sum += Compat.committed(c, tp).offset();
            }
        }
        expect(sum == 300, "committed offsets sum to " + sum + ", want 300");
        staticMembers(newTopic("consumer-protocol-static", 4), "group.protocol", "consumer");
    }

    void seekByTime() throws Exception {
        String topic = newTopic("time", 1);
        try (KafkaProducer<byte[], byte[]> p = producer()) {
            for (int i = 0; i < 30; i++) {
                p.send(new ProducerRecord<>(topic, 0, BASE_TIME + i * 60000L, null, value(i)));
                if (i % 10 == 5) {
                    p.flush();
                }
            }
        }
        try (KafkaConsumer<byte[], byte[]> c = consumer()) {
            TopicPartition tp = new TopicPartition(topic, 0);
            c.assign(Collections.singleton(tp));
            long at = BASE_TIME + 10 * 60000L - 30000L;
            OffsetAndTimestamp found = c.offsetsForTimes(Collections.singletonMap(tp, at)).get(tp);
            expect(found != null && found.offset() == 10 && found.timestamp() == BASE_TIME + 600000L, "offset for time " + found);
            OffsetAndTimestamp late = c.offsetsForTimes(Collections.singletonMap(tp, BASE_TIME + 1000000000L)).get(tp);
            expect(late == null, "offset for a time after the end: " + late);
            c.seek(tp, found.offset());
            List<ConsumerRecord<byte[], byte[]>> got = poll(c, 20);
            expect(got.get(0).offset() == 10 && Arrays.equals(got.get(19).value(), value(29)), "read from " + got.get(0).offset());
        }
    }

    void commit() throws Exception {
        String topic = newTopic("resume", 1);
        produce(topic, 0, 150, 1);
        TopicPartition tp = new TopicPartition(topic, 0);
        try (KafkaConsumer<byte[], byte[]> c = consumer("group.id", topic, "max.poll.records", "20")) {
            c.subscribe(Collections.singleton(topic));
            List<ConsumerRecord<byte[], byte[]>> got = poll(c, 60);
            expect(got.size() == 60 && got.get(59).offset() == 59, got.size() + " records");
            c.commitSync(Collections.singletonMap(tp, new OffsetAndMetadata(60, "m-60")));
        }
    }

    void resume() {
        String topic = topic("resume");
        TopicPartition tp = new TopicPartition(topic, 0);
        try (KafkaConsumer<byte[], byte[]> c = consumer("group.id", topic)) {
            c.subscribe(Collections.singleton(topic));
            OffsetAndMetadata at = Compat.committed(c, tp);
            expect(at != null && at.offset() == 60 && at.metadata().equals("m-60"), "committed " + at);
            List<ConsumerRecord<byte[], byte[]>> got = poll(c, 90);
            for (int i = 0; i < got.size(); i++) {
                ConsumerRecord<byte[], byte[]> r = got.get(i);
                expect(r.offset() == 60 + i && Arrays.equals(r.value(), value(60 + i)), "record " + i + " after resuming has offset " + r.offset());
            }
        }
    }
}
