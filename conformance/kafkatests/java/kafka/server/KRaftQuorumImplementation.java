package kafka.server;

import java.io.File;
import java.net.InetSocketAddress;
import java.nio.file.Files;
import java.util.HashMap;
import java.util.Map;
import java.util.concurrent.CompletableFuture;

import kafka.utils.Logging;

import naru.conformance.Node;

import org.apache.kafka.common.utils.Time;
import org.apache.kafka.server.fault.FaultHandler;

import scala.Option;

/**
 * Stands where Apache Kafka's class of this name stands: its integration tests in Scala ask it for brokers. However many
 * they want, they get one node of Naru. The controller that these tests start stays idle.
 */
public class KRaftQuorumImplementation implements QuorumImplementation {
    private final ControllerServer controllerServer;
    private final String clusterId;
    private Node node;

    public KRaftQuorumImplementation(ControllerServer controllerServer, FaultHandlerFactory faultHandlerFactory, File metadataDir,
            CompletableFuture<Map<Integer, InetSocketAddress>> controllerQuorumVotersFuture, String clusterId, Logging log, FaultHandler faultHandler) {
        this.controllerServer = controllerServer;
        this.clusterId = clusterId;
    }

    public ControllerServer controllerServer() {
        return node == null ? controllerServer : node.controller();
    }

    public String clusterId() {
        return clusterId;
    }

    @Override
    public KafkaBroker createBroker(KafkaConfig config, Time time, boolean startup, Option<String> threadNamePrefix) {
        try {
            if (node == null) {
                Map<String, Object> settings = new HashMap<>(config.originals());
                settings.put("log.dirs", String.join(",", config.logDirs()));
                node = new Node(config.nodeId(), config.interBrokerListenerName().value(), Files.createTempDirectory("naru"), settings,
                    controllerServer.bootstrapMetadata());
            }
            if (startup) {
                node.start();
            }
        } catch (Exception e) {
            throw e instanceof RuntimeException known ? known : new RuntimeException(e);
        }
        return node.broker();
    }

    @Override
    public void shutdown() {
        if (node != null) {
            node.close();
        }
        controllerServer.shutdown();
    }
}
