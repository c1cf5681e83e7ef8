package broker

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/naru-stream/naru/conformance/internal/proc"
)

// kafkaLog keeps the control's log small and on one stream.
const kafkaLog = `<Configuration status="WARN"><Appenders><Console name="out">
<PatternLayout pattern="[%d] %p %m (%c)%n"/></Console></Appenders>
<Loggers><Root level="WARN"><AppenderRef ref="out"/></Root></Loggers></Configuration>
`

// kafkaProperties is one combined node with Kafka's defaults, except what one node needs and an
// immediate first rebalance (which Naru gets too).
const kafkaProperties = `process.roles=broker,controller
node.id=1
controller.quorum.voters=1@localhost:%[2]d
listeners=PLAINTEXT://localhost:%[1]d,CONTROLLER://localhost:%[2]d
advertised.listeners=PLAINTEXT://localhost:%[1]d
controller.listener.names=CONTROLLER
inter.broker.listener.name=PLAINTEXT
listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT
log.dirs=%[3]s
offsets.topic.replication.factor=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
group.initial.rebalance.delay.ms=0
`

// KafkaCommand formats workDir for Apache Kafka with the given class path and returns the command line
// that serves it on port; lines are added to its server.properties.
func KafkaCommand(ctx context.Context, classPath, workDir string, port int, lines ...string) ([]string, error) {
	properties := filepath.Join(workDir, "server.properties")
	logConfig := filepath.Join(workDir, "log4j2.xml")
	text := fmt.Sprintf(kafkaProperties, port, port+1, filepath.Join(workDir, "data")) + strings.Join(append(lines, ""), "\n")
	if err := os.WriteFile(properties, []byte(text), 0o644); err != nil {
		return nil, err
	}
	if err := os.WriteFile(logConfig, []byte(kafkaLog), 0o644); err != nil {
		return nil, err
	}
	format := proc.Command{
		Argv: []string{"java", "-Xmx256m", "-Dlog4j2.configurationFile=" + logConfig, "-cp", classPath,
			"kafka.tools.StorageTool", "format", "-t", "bmFydS1jb25mb3JtYW5jZQ", "-c", properties},
		Timeout: time.Minute,
	}
	if _, err := proc.Must(ctx, format); err != nil {
		return nil, fmt.Errorf("formatting Kafka's directory: %w", err)
	}
	return []string{"java", "-Xms256m", "-Xmx512m", "-server", "-XX:+UseG1GC", "-Djava.awt.headless=true",
		"-Dlog4j2.configurationFile=" + logConfig, "-cp", classPath, "kafka.Kafka", properties}, nil
}

// StartKafka formats workDir and starts Apache Kafka with the given class path on it.
func StartKafka(ctx context.Context, classPath, workDir string) (*Broker, error) {
	port, err := freePorts(2)
	if err != nil {
		return nil, err
	}
	argv, err := KafkaCommand(ctx, classPath, workDir, port, cleanerBackoff)
	if err != nil {
		return nil, err
	}
	return start(ctx, "kafka", workDir, port, proc.Command{Argv: argv, Dir: workDir}, 90*time.Second)
}
