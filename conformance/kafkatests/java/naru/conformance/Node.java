package naru.conformance;

import java.io.File;
import java.io.IOException;
import java.lang.reflect.Method;
import java.net.InetSocketAddress;
import java.net.ServerSocket;
import java.net.Socket;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Properties;
import java.util.Set;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;

import kafka.log.LogManager;
import kafka.network.SocketServer;
import kafka.raft.KafkaRaftManager;
import kafka.server.BrokerServer;
import kafka.server.ControllerServer;
import kafka.server.KafkaApis;
import kafka.server.KafkaConfig;
import kafka.server.ReplicaManager;
import kafka.server.SharedServer;

import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.FeatureUpdate;
import org.apache.kafka.clients.admin.ListTopicsOptions;
import org.apache.kafka.clients.admin.UpdateFeaturesOptions;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.Uuid;
import org.apache.kafka.common.errors.UnknownTopicOrPartitionException;
import org.apache.kafka.common.metadata.FeatureLevelRecord;
import org.apache.kafka.common.metrics.Metrics;
import org.apache.kafka.controller.Controller;
import org.apache.kafka.coordinator.group.GroupCoordinator;
import org.apache.kafka.image.loader.MetadataLoader;
import org.apache.kafka.metadata.BrokerState;
import org.apache.kafka.metadata.KRaftMetadataCache;
import org.apache.kafka.metadata.LeaderAndIsr;
import org.apache.kafka.metadata.bootstrap.BootstrapMetadata;
import org.apache.kafka.raft.LogOffsetMetadata;
import org.apache.kafka.raft.RaftLog;
import org.apache.kafka.server.common.MetadataVersion;

import org.mockito.Mockito;
import org.mockito.invocation.InvocationOnMock;
import org.mockito.stubbing.Answer;
import org.opentest4j.TestAbortedException;

/**
 * One node of Naru in a process of its own, where Kafka's tests expect brokers and a controller within the JVM. What a
 * test asks a broker object for, rather than the network, is answered where a client could know it too; a test that
 * reaches deeper is aborted, and so is one that needs what Naru does not have.
 *
 * The naru binary is the system property naru.binary; naru.logs is the folder where each node's output is kept.
 */
public final class Node implements AutoCloseable {
    private static final long START_TIMEOUT_MS = 30_000;

    private final int id;
    private final int port;
    private final Path directory;
    private final Properties properties = new Properties();
    private final Metrics metrics = new Metrics();
    private final BrokerServer broker = fake(BrokerServer.class, this::answerForBroker);
    private final BootstrapMetadata bootstrap;
    private boolean bootstrapped;
    private Process process;
    private Admin admin;

    /**
     * Describes a node with the settings of a broker, which may have been meant to be one of several with controllers
     * apart. The directory is for what is not a log; the features that a new cluster has are in bootstrap.
     */
    public Node(int id, String listener, Path directory, Map<?, ?> settings, BootstrapMetadata bootstrap) throws IOException {
        this.id = id;
        this.bootstrap = bootstrap;
        this.directory = directory;
        port = freePort();
        settings.forEach((key, value) -> properties.put(String.valueOf(key), String.valueOf(value)));
        requirePlaintext();
        properties.keySet().removeIf(key -> String.valueOf(key).startsWith("controller."));
        properties.put("node.id", String.valueOf(id));
        properties.put("process.roles", "broker,controller");
        properties.putIfAbsent("listener.security.protocol.map", listener + ":PLAINTEXT");
        properties.put("listeners", listener + "://localhost:" + port);
        properties.put("advertised.listeners", listener + "://localhost:" + port);
        properties.putIfAbsent("log.cleaner.dedupe.buffer.size", "2097152");
        for (String key : List.of("offsets.topic.replication.factor", "transaction.state.log.replication.factor", "default.replication.factor",
                "transaction.state.log.min.isr", "share.coordinator.state.topic.replication.factor", "share.coordinator.state.topic.min.isr",
                "min.insync.replicas")) {
            properties.put(key, "1");
        }
        properties.put("inter.broker.listener.name", listener);
        properties.remove("security.inter.broker.protocol");
    }

    private void requirePlaintext() {
        String map = properties.getProperty("listener.security.protocol.map", "") + properties.getProperty("security.inter.broker.protocol", "");
        if (map.contains("SSL") || map.contains("SASL")) {
            throw new TestAbortedException("needs TLS or SASL");
        }
        if (!properties.getProperty("authorizer.class.name", "").isEmpty()) {
            throw new TestAbortedException("needs an authorizer");
        }
    }

    private static int freePort() throws IOException {
        try (ServerSocket socket = new ServerSocket()) {
            socket.bind(new InetSocketAddress("localhost", 0));
            return socket.getLocalPort();
        }
    }

    /** Starts the process, again too, and waits until it takes connections; one that runs goes on. */
    public void start() throws IOException, InterruptedException, ExecutionException {
        if (running()) {
            return;
        }
        startProcess();
        if (!bootstrapped) {
            bootstrapped = true;
            finalizeFeatures();
        }
    }

    private void startProcess() throws IOException, InterruptedException {
        for (String dir : properties.getProperty("log.dirs").split(",")) {
            Files.createDirectories(Path.of(dir));
        }
        File file = directory.resolve("server.properties").toFile();
        try (var out = Files.newOutputStream(file.toPath())) {
            properties.store(out, null);
        }
        File log = new File(System.getProperty("naru.logs"), "naru-" + port + ".log");
        process = new ProcessBuilder(System.getProperty("naru.binary"), "start", file.getPath())
            .redirectErrorStream(true).redirectOutput(ProcessBuilder.Redirect.appendTo(log)).redirectInput(new File("/dev/null")).start();
        long deadline = System.currentTimeMillis() + START_TIMEOUT_MS;
        while (true) {
            try (Socket socket = new Socket()) {
                socket.connect(new InetSocketAddress("localhost", port), 1000);
                return;
            } catch (IOException e) {
                if (!process.isAlive() || System.currentTimeMillis() > deadline) {
                    process.destroyForcibly();
                    throw new IOException("naru did not start: " + Files.readString(log.toPath()), e);
                }
            }
            TimeUnit.MILLISECONDS.sleep(20);
        }
    }

    /** Tells whether the process runs. */
    public boolean running() {
        return process != null && process.isAlive();
    }

    /** Sets the levels of features that the test wants and Naru did not start with. */
    private void finalizeFeatures() throws ExecutionException, InterruptedException {
        var features = client().describeFeatures().featureMetadata().get();
        var now = features.finalizedFeatures();
        Map<String, Short> wanted = new HashMap<>();
        now.keySet().forEach(name -> wanted.put(name, (short) 0));
        bootstrap.records().forEach(record -> {
            var level = (FeatureLevelRecord) record.message();
            wanted.put(level.name(), level.featureLevel());
        });
        wanted.remove("kraft.version");
        // Some of Kafka's tests run with the features of its next release.
        wanted.entrySet().removeIf(e -> e.getValue() > features.supportedFeatures().get(e.getKey()).maxVersion());
        Map<String, FeatureUpdate> updates = new HashMap<>();
        wanted.forEach((name, level) -> {
            short is = now.containsKey(name) ? now.get(name).maxVersionLevel() : 0;
            if (is != level) {
                updates.put(name, new FeatureUpdate(level, is < level ? FeatureUpdate.UpgradeType.UPGRADE : FeatureUpdate.UpgradeType.SAFE_DOWNGRADE));
            }
        });
        if (updates.isEmpty()) {
            return;
        }
        try {
            client().updateFeatures(updates, new UpdateFeaturesOptions()).all().get();
        } catch (ExecutionException e) {
            throw new TestAbortedException("needs features " + updates + ": " + e.getCause());
        }
    }

    /** Stops the process as an administrator would; it may be started again. */
    public void stop() {
        if (!running()) {
            return;
        }
        process.destroy();
        try {
            if (!process.waitFor(20, TimeUnit.SECONDS)) {
                process.destroyForcibly().waitFor();
            }
        } catch (InterruptedException e) {
            process.destroyForcibly();
            Thread.currentThread().interrupt();
        }
    }

    @Override
    public void close() {
        stop();
        if (admin != null) {
            admin.close();
        }
        metrics.close();
    }

    /** The address of the node's listener. */
    public String address() {
        return "localhost:" + port;
    }

    /** The broker that tests are given. */
    public BrokerServer broker() {
        return broker;
    }

    /** A controller that tests are given. */
    public ControllerServer controller() {
        return fake(ControllerServer.class, this::answerForController);
    }

    private synchronized Admin client() {
        if (admin == null) {
            admin = Admin.create(Map.of("bootstrap.servers", address()));
        }
        return admin;
    }

    static <T> T fake(Class<T> of, Answer<?> answer) {
        return Mockito.mock(of, Mockito.withSettings().stubOnly().defaultAnswer(answer));
    }

    private Object answerForBroker(InvocationOnMock call) throws Throwable {
        switch (call.getMethod().getName()) {
            case "brokerState":
                return running() ? BrokerState.RUNNING : BrokerState.NOT_RUNNING;
            case "isShutdown":
                return !running();
            case "shutdown":
            case "awaitShutdown":
                stop();
                return null;
            case "startup":
                start();
                return null;
            case "boundPort":
                return port;
            case "clusterId":
                return client().describeCluster().clusterId().get();
            case "config":
                return config();
            case "metrics":
                return metrics;
            case "authorizerPlugin":
                return scala.Option.empty();
            case "socketServer":
                return fake(SocketServer.class, c -> c.getMethod().getName().equals("boundPort") ? port : deeper(c));
            case "dataPlaneRequestProcessor":
                return fake(KafkaApis.class, this::answerForApis);
            case "groupCoordinator":
                return fake(GroupCoordinator.class, c -> c.getMethod().getName().equals("groupMetadataTopicConfigs") ? compacted() : deeper(c));
            case "sharedServer":
                return fake(SharedServer.class, c -> c.getMethod().getName().equals("loader") ? fake(MetadataLoader.class, this::answerForLoader) : deeper(c));
            case "metadataCache":
                return fake(KRaftMetadataCache.class, this::answerForMetadata);
            case "replicaManager":
                return fake(ReplicaManager.class, this::answerForReplicas);
            case "logManager":
                return fake(LogManager.class, this::answerForLogs);
            default:
                return deeper(call);
        }
    }

    private Object answerForApis(InvocationOnMock call) throws Throwable {
        switch (call.getMethod().getName()) {
            case "isConsumerGroupProtocolEnabled":
                return consumerGroups();
            case "clusterId":
                return client().describeCluster().clusterId().get();
            case "metadataCache":
                return fake(KRaftMetadataCache.class, this::answerForMetadata);
            default:
                return deeper(call);
        }
    }

    private Object answerForController(InvocationOnMock call) throws Throwable {
        switch (call.getMethod().getName()) {
            case "clusterId":
            case "config":
                return answerForBroker(call);
            case "raftManager":
                return fake(KafkaRaftManager.class, c -> c.getMethod().getName().equals("raftLog") ? fake(RaftLog.class, this::answerForRaftLog) : deeper(c));
            case "controller":
                return fake(Controller.class, c -> c.getMethod().getName().equals("findAllTopicIds") ? topicIds() : deeper(c));
            default:
                return deeper(call);
        }
    }

    /** Everything is said to be applied already: an answer of the node shows what it has applied. */
    private Object answerForRaftLog(InvocationOnMock call) {
        return call.getMethod().getName().equals("endOffset") ? new LogOffsetMetadata(0) : deeper(call);
    }

    private Object answerForLoader(InvocationOnMock call) {
        return call.getMethod().getName().equals("lastAppliedOffset") ? Long.MAX_VALUE : deeper(call);
    }

    private CompletableFuture<Map<String, Uuid>> topicIds() throws InterruptedException, ExecutionException {
        Map<String, Uuid> ids = new HashMap<>();
        client().listTopics(new ListTopicsOptions().listInternal(true)).listings().get().forEach(topic -> ids.put(topic.name(), topic.topicId()));
        return CompletableFuture.completedFuture(ids);
    }

    private Object answerForMetadata(InvocationOnMock call) throws Throwable {
        switch (call.getMethod().getName()) {
            case "numPartitions":
                return partitions(call.getArgument(0));
            case "contains":
                return call.getArgument(0) instanceof String topic ? partitions(topic).isPresent() : deeper(call);
            case "hasAliveBroker":
                return running();
            case "getAliveBrokerNodes":
                return new ArrayList<>(client().describeCluster().nodes().get());
            case "getTopicId":
                return topicIds().get().getOrDefault(call.<String>getArgument(0), Uuid.ZERO_UUID);
            case "getLeaderAndIsr":
                return leaderAndIsr(call.getArgument(0), call.getArgument(1));
            case "metadataVersion":
                return MetadataVersion.fromFeatureLevel(
                    client().describeFeatures().featureMetadata().get().finalizedFeatures().get(MetadataVersion.FEATURE_NAME).maxVersionLevel());
            default:
                return deeper(call);
        }
    }

    private Object answerForReplicas(InvocationOnMock call) throws Throwable {
        switch (call.getMethod().getName()) {
            case "onlinePartition":
                return replica(call.getArgument(0)).map(Replica::partition);
            case "getLog":
            case "localLog":
                return replica(call.getArgument(0)).map(Replica::log);
            case "localLogOrException":
                return replica(call.getArgument(0)).get().log();
            case "logManager":
                return fake(LogManager.class, this::answerForLogs);
            default:
                return deeper(call);
        }
    }

    private Object answerForLogs(InvocationOnMock call) throws Throwable {
        switch (call.getMethod().getName()) {
            case "getLog":
                return replica(call.getArgument(0)).map(Replica::log);
            case "getLog$default$2": // isFuture
                return false;
            case "liveLogDirs":
                return scala.jdk.javaapi.CollectionConverters.asScala(new ArrayList<>()).toSeq();
            default:
                return deeper(call);
        }
    }

    private scala.Option<Replica> replica(TopicPartition partition) throws InterruptedException, ExecutionException {
        boolean exists = partitions(partition.topic()).orElse(0) > partition.partition();
        return exists ? scala.Option.apply(new Replica(id, client(), partition)) : scala.Option.empty();
    }

    private Optional<Integer> partitions(String topic) throws InterruptedException, ExecutionException {
        try {
            return Optional.of(client().describeTopics(List.of(topic)).topicNameValues().get(topic).get().partitions().size());
        } catch (ExecutionException e) {
            if (e.getCause() instanceof UnknownTopicOrPartitionException) {
                return Optional.empty();
            }
            throw e;
        }
    }

    private Optional<LeaderAndIsr> leaderAndIsr(String topic, int partition) throws InterruptedException, ExecutionException {
        if (partitions(topic).orElse(0) <= partition) {
            return Optional.empty();
        }
        var info = client().describeTopics(List.of(topic)).topicNameValues().get(topic).get().partitions().get(partition);
        return Optional.of(new LeaderAndIsr(info.leader().id(), info.isr().stream().map(org.apache.kafka.common.Node::id).toList()));
    }

    private KafkaConfig config() {
        Map<String, Object> props = new HashMap<>();
        properties.forEach((key, value) -> props.put((String) key, value));
        props.put("process.roles", "broker");
        props.put("controller.listener.names", "CONTROLLER");
        props.put("controller.quorum.voters", "3000@localhost:1");
        props.put("listener.security.protocol.map", props.get("listener.security.protocol.map") + ",CONTROLLER:PLAINTEXT");
        return new KafkaConfig(props, false);
    }

    private static Properties compacted() {
        Properties configs = new Properties();
        configs.put("cleanup.policy", "compact");
        return configs;
    }

    private boolean consumerGroups() {
        return Set.of(properties.getProperty("group.coordinator.rebalance.protocols", "classic,consumer").split(",")).contains("consumer");
    }

    static Object deeper(InvocationOnMock call) {
        Method method = call.getMethod();
        if (method.getName().equals("toString")) {
            return "a node of Naru";
        }
        throw new TestAbortedException("reaches into the broker: " + method.getDeclaringClass().getSimpleName() + "." + method.getName());
    }
}
