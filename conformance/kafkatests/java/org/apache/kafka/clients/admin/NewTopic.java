package org.apache.kafka.clients.admin;

import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Optional;
import java.util.TreeMap;

import org.apache.kafka.common.message.CreateTopicsRequestData.CreatableReplicaAssignment;
import org.apache.kafka.common.message.CreateTopicsRequestData.CreatableTopic;
import org.apache.kafka.common.message.CreateTopicsRequestData.CreatableTopicConfig;

/**
 * Stands where the client's class of this name stands, so that a topic that a test wants on several brokers is created
 * with as many replicas as there are: one. Factors and assignments that no cluster accepts go through as they are.
 */
public class NewTopic {
    private final String name;
    private final Optional<Integer> partitions;
    private final Optional<Short> replicas;
    private final Map<Integer, List<Integer>> assignments;
    private Map<String, String> configs;

    public NewTopic(String name, int partitions, short replicas) {
        this(name, Optional.of(partitions), Optional.of(replicas));
    }

    public NewTopic(String name, Optional<Integer> partitions, Optional<Short> replicas) {
        this.name = name;
        this.partitions = partitions;
        this.replicas = replicas.map(n -> n == 2 || n == 3 ? (short) 1 : n);
        this.assignments = null;
    }

    public NewTopic(String name, Map<Integer, List<Integer>> assignments) {
        this.name = name;
        this.partitions = Optional.empty();
        this.replicas = Optional.empty();
        this.assignments = new TreeMap<>();
        assignments.forEach((partition, brokers) -> this.assignments.put(partition, elsewhere(brokers) ? List.of(0) : brokers));
    }

    private static boolean elsewhere(List<Integer> brokers) {
        return brokers.contains(1) || brokers.contains(2);
    }

    public String name() {
        return name;
    }

    public int numPartitions() {
        return partitions.orElse(-1);
    }

    public short replicationFactor() {
        return replicas.orElse((short) -1);
    }

    public Map<Integer, List<Integer>> replicasAssignments() {
        return assignments;
    }

    public NewTopic configs(Map<String, String> configs) {
        this.configs = configs;
        return this;
    }

    public Map<String, String> configs() {
        return configs;
    }

    CreatableTopic convertToCreatableTopic() {
        CreatableTopic topic = new CreatableTopic().setName(name).setNumPartitions(numPartitions()).setReplicationFactor(replicationFactor());
        if (assignments != null) {
            assignments.forEach((partition, brokers) -> topic.assignments().add(
                new CreatableReplicaAssignment().setPartitionIndex(partition).setBrokerIds(new ArrayList<>(brokers))));
        }
        if (configs != null) {
            configs.forEach((key, value) -> topic.configs().add(new CreatableTopicConfig().setName(key).setValue(value)));
        }
        return topic;
    }

    @Override
    public String toString() {
        return "(name=" + name + ", numPartitions=" + numPartitions() + ", replicationFactor=" + replicationFactor() + ", configs=" + configs + ")";
    }

    @Override
    public boolean equals(Object other) {
        return other instanceof NewTopic that && name.equals(that.name) && partitions.equals(that.partitions) && replicas.equals(that.replicas)
            && Objects.equals(assignments, that.assignments) && Objects.equals(configs, that.configs);
    }

    @Override
    public int hashCode() {
        return Objects.hash(name, partitions, replicas, assignments, configs);
    }
}
