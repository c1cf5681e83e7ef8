package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// broker is a server process under measurement.
type broker struct {
	name string
	addr string
	dir  string // holds everything of this broker
	// command starts the server on dir; format prepares dir once, if set.
	command []string
	format  []string
	// properties is the file of the settings, if the command line does not hold them.
	properties string

	formatted bool
	cmd       *exec.Cmd
	done      chan struct{}
}

// naruBroker builds the command and returns the broker, not started.
func naruBroker(ctx context.Context, root, work string, port int, durability string) (*broker, error) {
	binary := filepath.Join(work, "naru")
	build := exec.CommandContext(ctx, "go", "build", "-o", binary, "./cmd/naru")
	build.Dir = root
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("building naru: %w\n%s", err, out)
	}
	b := &broker{name: "naru", addr: fmt.Sprintf("localhost:%d", port), dir: filepath.Join(work, "naru-"+durability)}
	b.command = []string{binary, "start",
		"--override", "listeners=PLAINTEXT://" + b.addr,
		"--override", "log.dirs=" + filepath.Join(b.dir, "data"),
		"--override", "naru.durability=" + durability,
	}
	return b, os.MkdirAll(b.dir, 0o755)
}

// kafkaBroker resolves the jars and returns the broker, not started.
func kafkaBroker(ctx context.Context, root, work string, port int, durability string) (*broker, error) {
	classPath, err := kafkaClassPath(ctx, root, work)
	if err != nil {
		return nil, err
	}
	b := &broker{name: "kafka", addr: fmt.Sprintf("localhost:%d", port), dir: filepath.Join(work, "kafka-"+durability)}
	if err := os.MkdirAll(b.dir, 0o755); err != nil {
		return nil, err
	}
	properties := filepath.Join(b.dir, "server.properties")
	text := fmt.Sprintf(kafkaProperties, b.addr, port+1, filepath.Join(b.dir, "data"))
	if durability == "group" {
		// The nearest Kafka has: an fsync of log and indexes within each append.
		text += "log.flush.interval.messages=1\n"
	}
	if err := os.WriteFile(properties, []byte(text), 0o644); err != nil {
		return nil, err
	}
	logging := filepath.Join(b.dir, "log4j2.xml")
	if err := os.WriteFile(logging, []byte(kafkaLogging), 0o644); err != nil {
		return nil, err
	}
	java := func(flags ...string) []string {
		return append([]string{"java", "-Dlog4j2.configurationFile=" + logging}, flags...)
	}
	b.properties = properties
	b.format = java("-cp", classPath, "kafka.tools.StorageTool", "format", "-t", "bmFydS1iZW5jaG1hcmstcg", "-c", properties)
	// Kafka's own flags of kafka-server-start.
	b.command = java("-Xms1G", "-Xmx1G", "-server", "-XX:+UseG1GC", "-XX:MaxGCPauseMillis=20",
		"-XX:InitiatingHeapOccupancyPercent=35", "-XX:+ExplicitGCInvokesConcurrent", "-Djava.awt.headless=true",
		"-cp", classPath, "kafka.Kafka", properties)
	return b, nil
}

const kafkaProperties = `process.roles=broker,controller
node.id=1
controller.quorum.voters=1@localhost:%[2]d
listeners=PLAINTEXT://%[1]s,CONTROLLER://localhost:%[2]d
advertised.listeners=PLAINTEXT://%[1]s
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

const kafkaLogging = `<Configuration status="WARN"><Appenders><Console name="out"/></Appenders>
<Loggers><Root level="WARN"><AppenderRef ref="out"/></Root></Loggers></Configuration>
`

func kafkaClassPath(ctx context.Context, root, work string) (string, error) {
	file := filepath.Join(work, "classpath.txt")
	mvn := exec.CommandContext(ctx, "mvn", "-q", "-B", "-f", filepath.Join(root, "conformance", "maven", "kafka.xml"),
		"-Dkafka.version=4.3.1", "org.apache.maven.plugins:maven-dependency-plugin:3.6.1:build-classpath", "-Dmdep.outputFile="+file)
	if out, err := mvn.CombinedOutput(); err != nil {
		return "", fmt.Errorf("resolving Apache Kafka: %w\n%s", err, out)
	}
	text, err := os.ReadFile(file)
	return strings.TrimSpace(string(text)), err
}

// start runs the server and returns how long it took until it answered Metadata.
func (b *broker) start(ctx context.Context) (time.Duration, error) {
	if b.format != nil && !b.formatted {
		if out, err := exec.CommandContext(ctx, b.format[0], b.format[1:]...).CombinedOutput(); err != nil {
			return 0, fmt.Errorf("formatting for %s: %w\n%s", b.name, err, out)
		}
		b.formatted = true
	}
	logFile, err := os.OpenFile(filepath.Join(b.dir, "server.log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return 0, err
	}
	defer logFile.Close()
	b.cmd = exec.CommandContext(ctx, b.command[0], b.command[1:]...)
	b.cmd.Dir, b.cmd.Stdout, b.cmd.Stderr = b.dir, logFile, logFile
	b.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	begin := time.Now()
	if err := b.cmd.Start(); err != nil {
		return 0, fmt.Errorf("starting %s: %w", b.name, err)
	}
	done, cmd := make(chan struct{}), b.cmd
	b.done = done
	go func() { _ = cmd.Wait(); close(done) }()
	for {
		if c, err := dial(b.addr); err == nil {
			_, err = c.metadata()
			c.close()
			if err == nil {
				return time.Since(begin), nil
			}
		}
		select {
		case <-b.done:
			return 0, fmt.Errorf("%s ended before it was ready, see %s", b.name, logFile.Name())
		case <-time.After(time.Millisecond):
		}
		if time.Since(begin) > 3*time.Minute {
			return 0, errors.Join(fmt.Errorf("%s was not ready within 3 minutes", b.name), b.kill())
		}
	}
}

// kill ends the server as a crash does.
func (b *broker) kill() error {
	err := b.cmd.Process.Signal(syscall.SIGKILL)
	<-b.done
	return err
}

// stop ends the server in order.
func (b *broker) stop() {
	if b.cmd == nil {
		return
	}
	_ = b.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-b.done:
	case <-time.After(30 * time.Second):
		_ = b.kill()
	}
}

// freePort returns the first of two neighbouring free ports.
func freePort() (int, error) {
	for port := 22000; port < 23000; port += 2 {
		a, errA := net.Listen("tcp", fmt.Sprintf("localhost:%d", port))
		if errA != nil {
			continue
		}
		a.Close()
		b, errB := net.Listen("tcp", fmt.Sprintf("localhost:%d", port+1))
		if errB != nil {
			continue
		}
		b.Close()
		return port, nil
	}
	return 0, errors.New("no free ports between 22000 and 23000")
}
