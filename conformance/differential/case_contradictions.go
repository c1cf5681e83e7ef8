package differential

import (
	"fmt"
	"strings"

	"github.com/naru-stream/naru/internal/kafka/protocol"
)

// contradictions changes settings to what is allowed each for itself and not together,
// or not beside what is in force. A change is "kind resource key=value …".
func contradictions(s *Session) {
	s.topic("contradictions", 1)
	kinds := map[string]int8{"broker": ofBroker, "group": ofGroup, "topic": ofTopic}
	for _, line := range []string{
		"broker 1 log.cleaner.threads=3", "broker 1 log.cleaner.threads=0", "broker all log.cleaner.threads=3",
		"broker 1 num.io.threads=17", "broker 1 num.io.threads=3", "broker 1 num.io.threads=16", "broker all num.io.threads=17",
		"broker 1 num.network.threads=7", "broker 1 num.network.threads=6", "broker 1 num.replica.fetchers=3",
		"broker 1 num.recovery.threads.per.data.dir=5", "broker 1 background.threads=4",
		"broker 1 log.cleaner.dedupe.buffer.size=1048576", "broker 1 log.cleaner.dedupe.buffer.size=1048577",
		"broker all log.cleaner.dedupe.buffer.size=1", "broker 1 log.cleaner.threads=2 log.cleaner.dedupe.buffer.size=2097152",
		"broker 1 log.roll.ms=0", "broker all log.roll.ms=0", "broker 1 log.roll.jitter.ms=-1",
		"broker 1 log.retention.ms=0", "broker 1 log.retention.ms=-2", "broker all log.retention.ms=0",
		"broker 1 log.local.retention.ms=-1", "broker 1 log.local.retention.ms=604800001", "broker 1 log.local.retention.bytes=5",
		"broker 1 log.retention.bytes=5 log.local.retention.bytes=6",
		"broker all log.cleaner.min.compaction.lag.ms=10 log.cleaner.max.compaction.lag.ms=9",
		"broker 1 max.connections=0", "broker all max.connections=0", "broker 1 max.connection.creation.rate=0",
		"broker 1 listener.name.plaintext.max.connections=0", "broker 1 listener.name.plaintext.max.connections=900",
		"broker all listener.name.plaintext.max.connections=900", "broker all listener.name.plaintext.num.network.threads=4",
		"broker all listener.name.plaintext.ssl.key.password=x", "broker 1 listener.name.plaintext.max.connections=x",
		"broker 1 max.connections.per.ip=0", "broker 1 max.connections.per.ip.overrides=127.0.0.1",
		"broker 1 max.connections.per.ip.overrides=127.0.0.1:x", "broker 1 max.connections.per.ip.overrides=a/b:5",
		"broker 1 max.connections.per.ip.overrides=10.1.2.3:5", "broker 1 max.connections.per.ip=0 max.connections.per.ip.overrides=127.0.0.1:1000",
		"broker 1 cordoned.log.dirs=/no/such/dir", "broker 1 group.consumer.assignment.interval.ms=15001",
		"broker all group.share.assignment.interval.ms=15001", "broker 1 group.streams.assignment.interval.ms=-1",
		"group g consumer.heartbeat.interval.ms=1", "group g consumer.heartbeat.interval.ms=15001",
		"group g consumer.session.timeout.ms=44999", "group g consumer.session.timeout.ms=60001", "group g consumer.assignment.interval.ms=15001",
		"group g share.heartbeat.interval.ms=1", "group g share.session.timeout.ms=60001", "group g share.record.lock.duration.ms=14999",
		"group g share.record.lock.duration.ms=60001", "group g share.delivery.count.limit=11", "group g share.delivery.count.limit=1",
		"group g share.partition.max.record.locks=4001", "group g share.partition.max.record.locks=99", "group g share.assignment.interval.ms=15001",
		"group g streams.heartbeat.interval.ms=15001", "group g streams.session.timeout.ms=1", "group g streams.num.standby.replicas=3",
		"group g streams.assignment.interval.ms=15001", "group g streams.initial.rebalance.delay.ms=-1",
		"group g share.isolation.level=both", "group g share.renew.acknowledge.enable=perhaps",
		"topic contradictions min.compaction.lag.ms=6 max.compaction.lag.ms=5", "topic contradictions max.compaction.lag.ms=0",
		"topic contradictions local.retention.ms=604800001", "topic contradictions remote.storage.enable=true",
		"topic contradictions segment.bytes=1", "topic contradictions retention.ms=-2", "topic contradictions segment.jitter.ms=-1",
		"topic contradictions message.timestamp.before.max.ms=-1", "topic contradictions cleanup.policy=compact,compact",
	} {
		words := strings.Fields(line)
		resource := strings.TrimPrefix(words[1], "all")
		var configs []change
		for _, word := range words[2:] {
			key, value, _ := strings.Cut(word, "=")
			configs = append(configs, op(opSet, key, value))
		}
		s.ask(fmt.Sprint("change ", line), 1, &protocol.IncrementalAlterConfigsRequest{ValidateOnly: true,
			Resources: list(changeResource{ResourceType: kinds[words[0]], ResourceName: resource, Configs: configs})})
	}
}
