package tools

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/naru-stream/naru/conformance/internal/crash/wire"
)

// operations are an operator's looks at and into a running cluster: transactions that
// hang, features, the quorum, directories, client metrics.
var operations = []step{
	{name: "transactions list", tool: "kafka-transactions", args: []string{"list"}, before: commitTransaction, lines: []string{"TransactionalId", "tools-tx"}, mask: `\b\d+ CompleteCommit`, want: []string{"tools-tx"}},
	{name: "transactions list --duration-filter", tool: "kafka-transactions", args: []string{"list", "--duration-filter", "3600000"}},
	{name: "transactions describe", tool: "kafka-transactions", args: []string{"describe", "--transactional-id", "tools-tx"}, mask: `tools-tx \d+ \d+|\d{13} \d+`, want: []string{"CompleteCommit"}},
	{name: "transactions describe (unknown)", tool: "kafka-transactions", args: []string{"describe", "--transactional-id", "tools-none"}, code: 1},
	{name: "configs --alter broker default (no verification)", tool: "kafka-configs", args: []string{"--alter", "--entity-type", "brokers", "--entity-default", "--add-config", "transaction.partition.verification.enable=false"}},
	{name: "transactions describe-producers", tool: "kafka-transactions", args: []string{"describe-producers", "--topic", "tools-two", "--partition", "0"}, before: hangTransaction, mask: `\b\d{13}\b`, want: []string{"4242 3"}},
	{name: "transactions find-hanging", tool: "kafka-transactions", args: []string{"find-hanging", "--topic", "tools-two"}, mask: `\b\d{13} \d+\b`, want: []string{"tools-two 0 4242 3"}},
	{name: "transactions find-hanging --broker-id", tool: "kafka-transactions", args: []string{"find-hanging", "--broker-id", "1"}, lines: []string{"ProducerId", "tools-two"}, mask: `\b\d{13} \d+\b`, want: []string{"tools-two 0 4242 3"}},
	{name: "transactions abort (no transaction there)", tool: "kafka-transactions", args: []string{"abort", "--topic", "tools-two", "--partition", "0", "--start-offset", "77"}, code: 1},
	{name: "transactions abort", tool: "kafka-transactions", args: []string{"abort", "--topic", "tools-two", "--partition", "0", "--start-offset", "0"}},
	{name: "transactions find-hanging (aborted)", tool: "kafka-transactions", args: []string{"find-hanging", "--topic", "tools-two"}},
	{name: "get-offsets (aborted)", tool: "kafka-get-offsets", args: []string{"--topic", "tools-two", "--partitions", "0"}, want: []string{"tools-two:0:2"}},
	{name: "configs --alter broker default (verification)", tool: "kafka-configs", args: []string{"--alter", "--entity-type", "brokers", "--entity-default", "--delete-config", "transaction.partition.verification.enable"}},

	{name: "features describe", tool: "kafka-features", args: []string{"describe"}, mask: `Epoch: \d+`, want: []string{"metadata.version"}},
	{name: "features upgrade (already)", tool: "kafka-features", args: []string{"upgrade", "--feature", "transaction.version=2"}},
	{name: "features upgrade (too high)", tool: "kafka-features", args: []string{"upgrade", "--feature", "transaction.version=9"}, code: 1},
	{name: "features upgrade (unknown)", tool: "kafka-features", args: []string{"upgrade", "--feature", "no.such.version=1"}, code: 1},
	{name: "features downgrade", tool: "kafka-features", args: []string{"downgrade", "--feature", "transaction.version=1"}},
	{name: "features downgrade --dry-run", tool: "kafka-features", args: []string{"downgrade", "--feature", "group.version=0", "--dry-run"}},
	{name: "features disable", tool: "kafka-features", args: []string{"disable", "--feature", "transaction.version"}},
	{name: "features describe (disabled)", tool: "kafka-features", args: []string{"describe"}, lines: []string{"transaction.version"}, mask: `Epoch: \d+`},
	{name: "features upgrade", tool: "kafka-features", args: []string{"upgrade", "--feature", "transaction.version=2"}},
	{name: "features version-mapping", tool: "kafka-features", args: []string{"version-mapping", "--release-version", "4.0"}},

	{name: "metadata-quorum --status", tool: "kafka-metadata-quorum", args: []string{"describe", "--status"}, lines: []string{"LeaderId", "MaxFollowerLag:", "CurrentVoters", "CurrentObservers"}, mask: `("directoryId": "[^"]*", )?"endpoints": \[[^]]*\]`},
	{name: "metadata-quorum --replication", tool: "kafka-metadata-quorum", args: []string{"describe", "--replication"}, mask: `[A-Za-z0-9_-]{22} \d+|\b\d{13}\b`, want: []string{"Leader"}},
	{name: "broker-api-versions", tool: "kafka-broker-api-versions", args: []string{}, lines: []string{"localhost:PORT (id: 1"}},
	{name: "log-dirs --describe", tool: "kafka-log-dirs", args: []string{"--describe", "--broker-list", "1", "--topic-list", "tools-two"}, mask: `"logDir":"[^"]*"|"(totalBytes|usableBytes)":\d+`, order: `\{"partition":[^}]*\}`, want: []string{"tools-two-2"}},
	{name: "log-dirs --describe (unknown broker)", tool: "kafka-log-dirs", args: []string{"--describe", "--broker-list", "99"}, code: 1},
	{name: "groups --list", tool: "kafka-groups", args: []string{"--list"}, lines: []string{"GROUP", "tools-"}},
	{name: "cluster list-endpoints", tool: "kafka-cluster", args: []string{"list-endpoints"}, mask: `localhost \d+`},

	{name: "configs --describe broker --all", tool: "kafka-configs", args: []string{"--describe", "--entity-type", "brokers", "--entity-name", "1", "--all"}, lines: []string{"log.retention", "message.max.bytes", "num.partitions", "compression", "log.cleaner", "min.insync", "max.connections", "log.flush", "log.roll", "group.consumer"}, sorted: true},
	{name: "configs --alter broker", tool: "kafka-configs", args: []string{"--alter", "--entity-type", "brokers", "--entity-name", "1", "--add-config", "log.retention.ms=100000,max.connections.per.ip=500"}},
	{name: "configs --alter broker default (both)", tool: "kafka-configs", args: []string{"--alter", "--entity-type", "brokers", "--entity-default", "--add-config", "log.retention.ms=7200000"}},
	{name: "configs --describe broker", tool: "kafka-configs", args: []string{"--describe", "--entity-type", "brokers", "--entity-name", "1"}, sorted: true, want: []string{"log.retention.ms=100000", "DYNAMIC_DEFAULT_BROKER_CONFIG"}},
	{name: "configs --alter broker (read-only)", tool: "kafka-configs", args: []string{"--alter", "--entity-type", "brokers", "--entity-name", "1", "--add-config", "num.partitions=7"}, code: 1},
	{name: "configs --alter broker (bad value)", tool: "kafka-configs", args: []string{"--alter", "--entity-type", "brokers", "--entity-name", "1", "--add-config", "log.cleaner.threads=0.5"}, code: 1},
	{name: "configs --alter broker (delete)", tool: "kafka-configs", args: []string{"--alter", "--entity-type", "brokers", "--entity-name", "1", "--delete-config", "log.retention.ms,max.connections.per.ip"}},
	{name: "configs --alter broker default (delete both)", tool: "kafka-configs", args: []string{"--alter", "--entity-type", "brokers", "--entity-default", "--delete-config", "log.retention.ms"}},

	{name: "client-metrics --alter", tool: "kafka-client-metrics", args: []string{"--alter", "--name", "tools-sub", "--metrics", "org.apache.kafka.producer.,org.apache.kafka.consumer.", "--interval", "30000", "--match", "client_id=tools.*,client_software_name=apache-kafka-java"}},
	{name: "client-metrics --alter (interval)", tool: "kafka-client-metrics", args: []string{"--alter", "--name", "tools-sub", "--interval", "50"}, code: 1},
	{name: "client-metrics --alter (match)", tool: "kafka-client-metrics", args: []string{"--alter", "--name", "tools-sub", "--match", "client=a"}, code: 1},
	{name: "client-metrics --list", tool: "kafka-client-metrics", args: []string{"--list"}, want: []string{"tools-sub"}},
	{name: "client-metrics --describe", tool: "kafka-client-metrics", args: []string{"--describe", "--name", "tools-sub"}, want: []string{"interval.ms=30000"}},
	{name: "client-metrics --describe (unknown)", tool: "kafka-client-metrics", args: []string{"--describe", "--name", "tools-none"}},
	{name: "configs --describe client-metrics", tool: "kafka-configs", args: []string{"--describe", "--entity-type", "client-metrics"}, sorted: true},
	{name: "client-metrics --delete", tool: "kafka-client-metrics", args: []string{"--delete", "--name", "tools-sub"}},
	{name: "client-metrics --list (deleted)", tool: "kafka-client-metrics", args: []string{"--list"}},
}

// commitTransaction commits one transaction as tools-tx.
func commitTransaction(ctx context.Context, addr string) error {
	client, err := kgo.NewClient(kgo.SeedBrokers(addr), kgo.TransactionalID("tools-tx"), kgo.DefaultProduceTopic("tools-two"), kgo.RecordPartitioner(kgo.ManualPartitioner()))
	if err != nil {
		return err
	}
	defer client.Close()
	if err := client.BeginTransaction(); err != nil {
		return err
	}
	if err := client.ProduceSync(ctx, &kgo.Record{Partition: 2, Value: []byte("x")}).FirstErr(); err != nil {
		return err
	}
	return client.EndTransaction(ctx, kgo.TryCommit)
}

// hangTransaction begins a transaction that no coordinator knows of: the records of a
// producer that says it is transactional, two hours old.
func hangTransaction(ctx context.Context, addr string) error {
	c, err := wire.Dial(ctx, addr, 10*time.Second)
	if err != nil {
		return err
	}
	defer c.Close()
	old := time.Now().Add(-2 * time.Hour).UnixMilli()
	b := kmsg.RecordBatch{
		PartitionLeaderEpoch: -1, Magic: 2, Attributes: 1 << 4, FirstTimestamp: old, MaxTimestamp: old,
		ProducerID: 4242, ProducerEpoch: 3, FirstSequence: 0, NumRecords: 1,
	}
	r := kmsg.Record{Value: []byte("hanging")}
	r.Length = int32(len(r.AppendTo(nil)) - 1) // the length itself takes one byte while it is 0
	b.Records = r.AppendTo(nil)
	b.Length = int32(49 + len(b.Records))
	raw := b.AppendTo(nil)
	binary.BigEndian.PutUint32(raw[17:], crc32.Checksum(raw[21:], crc32.MakeTable(crc32.Castagnoli)))

	id := "tools-hanging"
	req := kmsg.NewPtrProduceRequest()
	req.Version, req.TransactionID, req.Acks, req.TimeoutMillis = 9, &id, -1, 30_000
	part := kmsg.NewProduceRequestTopicPartition()
	part.Partition, part.Records = 0, raw
	t := kmsg.NewProduceRequestTopic()
	t.Topic, t.Partitions = "tools-two", append(t.Partitions, part)
	req.Topics = append(req.Topics, t)
	resp, err := c.Do(req)
	if err != nil {
		return err
	}
	answer := resp.(*kmsg.ProduceResponse)
	if len(answer.Topics) != 1 || len(answer.Topics[0].Partitions) != 1 {
		return errors.New("the answer names no partition")
	}
	if err := wire.Code(answer.Topics[0].Partitions[0].ErrorCode); err != nil {
		return fmt.Errorf("beginning a transaction that hangs: %w", err)
	}
	return nil
}
