package naru.conformance;

import java.io.File;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.ExecutionException;

import kafka.cluster.Partition;

import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.OffsetSpec;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.config.ConfigResource;
import org.apache.kafka.storage.internals.log.LogConfig;
import org.apache.kafka.storage.internals.log.ProducerStateEntry;
import org.apache.kafka.storage.internals.log.ProducerStateManager;
import org.apache.kafka.storage.internals.log.UnifiedLog;

import org.mockito.invocation.InvocationOnMock;

import scala.Option;

/** A partition's only replica, as far as a client can know it. */
final class Replica {
    private final int broker;
    private final Admin client;
    private final TopicPartition partition;

    Replica(int broker, Admin client, TopicPartition partition) {
        this.broker = broker;
        this.client = client;
        this.partition = partition;
    }

    Partition partition() {
        return Node.fake(Partition.class, call -> switch (call.getMethod().getName()) {
            case "leaderIdIfLocal" -> Option.apply(broker);
            case "log", "leaderLogIfLocal" -> Option.apply(log());
            default -> Node.deeper(call);
        });
    }

    UnifiedLog log() {
        return Node.fake(UnifiedLog.class, this::answerForLog);
    }

    private Object answerForLog(InvocationOnMock call) throws Throwable {
        return switch (call.getMethod().getName()) {
            case "topicPartition" -> partition;
            case "logStartOffset" -> offset(OffsetSpec.earliest());
            case "logEndOffset", "highWatermark" -> offset(OffsetSpec.latest());
            case "dir" -> directory();
            case "numberOfSegments" -> directory().list((where, name) -> name.endsWith(".log")).length;
            case "config" -> config();
            case "producerStateManager" ->
                Node.fake(ProducerStateManager.class, c -> c.getMethod().getName().equals("activeProducers") ? producers() : Node.deeper(c));
            default -> Node.deeper(call);
        };
    }

    private long offset(OffsetSpec spec) throws InterruptedException, ExecutionException {
        return client.listOffsets(Map.of(partition, spec)).partitionResult(partition).get().offset();
    }

    private File directory() throws InterruptedException, ExecutionException {
        for (var dir : client.describeLogDirs(List.of(broker)).allDescriptions().get().get(broker).entrySet()) {
            var info = dir.getValue().replicaInfos().get(partition);
            if (info != null && !info.isFuture()) {
                return new File(dir.getKey(), partition.toString());
            }
        }
        throw new IllegalStateException(partition + " is in no log directory");
    }

    private LogConfig config() throws InterruptedException, ExecutionException {
        ConfigResource topic = new ConfigResource(ConfigResource.Type.TOPIC, partition.topic());
        Map<String, String> settings = new HashMap<>();
        client.describeConfigs(List.of(topic)).all().get().get(topic).entries().forEach(entry -> settings.put(entry.name(), entry.value()));
        return new LogConfig(settings);
    }

    private Map<Long, ProducerStateEntry> producers() throws InterruptedException, ExecutionException {
        Map<Long, ProducerStateEntry> entries = new HashMap<>();
        client.describeProducers(List.of(partition)).partitionResult(partition).get().activeProducers().forEach(p -> entries.put(p.producerId(),
            new ProducerStateEntry(p.producerId(), (short) p.producerEpoch(), p.coordinatorEpoch().orElse(-1), p.lastTimestamp(), p.currentTransactionStartOffset())));
        return entries;
    }
}
