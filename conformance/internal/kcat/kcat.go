// Package kcat drives kcat through the scenarios. kcat has no admin calls: topics with several partitions
// are created by the caller's Admin, one is created by producing to it.
package kcat

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/naru-stream/naru/conformance/internal/proc"
	"github.com/naru-stream/naru/conformance/internal/scenario"
)

// Client is the name of the table's column.
const Client = "kcat"

const (
	records    = 300
	partitions = 3
)

// Kcat runs scenarios with the binary at Path against the broker at Addr.
type Kcat struct {
	Path string
	Addr string
	// Dir is a directory for the files that kcat reads.
	Dir string
}

// errNotAvailable is the reason why kcat has no such scenario.
type errNotAvailable string

func (e errNotAvailable) Error() string { return string(e) }

// Run runs every scenario within limit each.
func (k Kcat) Run(ctx context.Context, limit time.Duration) []scenario.Result {
	runs := map[string]func(context.Context) error{
		"create": k.create, "acks-0": k.produceAndRead("acks-0", "-X", "acks=0"), "acks-1": k.produceAndRead("acks-1", "-X", "acks=1"),
		"acks-all":   k.produceAndRead("acks-all", "-X", "acks=all"),
		"idempotent": k.produceAndRead("idempotent", "-X", "enable.idempotence=true", "-X", "batch.num.messages=10"),
		"content":    k.content, "sizes": k.sizes, "assign": k.assign, "group": k.group, "rebalance": k.rebalance,
		"time": k.seekTime, scenario.Commit: k.commit, scenario.Resume: k.resume,
	}
	for _, codec := range scenario.Codecs {
		runs[codec] = k.produceAndRead(codec, "-z", codec, "-X", "linger.ms=100")
	}
	for name, why := range map[string]errNotAvailable{
		"admin-topics": "kcat has no admin calls", "admin-groups": "kcat has no admin calls",
		"static":            "kcat shows no generation; confluent-kafka-go covers librdkafka's static membership",
		"transactions":      "kcat writes one transaction and never aborts; confluent-kafka-go covers librdkafka's transactions",
		"consumer-protocol": "Debian's librdkafka is older than KIP-848; confluent-kafka-go covers librdkafka's",
		"compaction":        "kcat has no tombstones and settings of topics; confluent-kafka-go covers librdkafka",
	} {
		runs[name] = func(context.Context) error { return why }
	}
	for _, name := range scenario.Shares {
		runs[name] = func(context.Context) error { return errNotAvailable(scenario.NoShares) }
	}
	var results []scenario.Result
	for _, name := range scenario.Names {
		began := time.Now()
		one, cancel := context.WithTimeout(ctx, limit)
		err := runs[name](one)
		cancel()
		r := scenario.Result{Client: Client, Scenario: name, Status: scenario.OK, Millis: time.Since(began).Milliseconds()}
		var missing errNotAvailable
		if errors.As(err, &missing) {
			r.Status, r.Detail = scenario.NA, string(missing)
		} else if err != nil {
			r.Status, r.Detail = scenario.Fail, err.Error()
		}
		results = append(results, r)
	}
	return results
}

func (k Kcat) topic(name string) string { return Client + "-" + name }

func (k Kcat) newTopic(ctx context.Context, name string, n int32) (string, error) {
	return k.topic(name), CreateTopic(ctx, k.Addr, k.topic(name), n)
}

// CreateTopic creates a topic and waits until every partition has a leader that answers.
func CreateTopic(ctx context.Context, addr, topic string, n int32) error {
	cl, err := kgo.NewClient(kgo.SeedBrokers(addr), kgo.MetadataMinAge(50*time.Millisecond))
	if err != nil {
		return err
	}
	adm := kadm.NewClient(cl)
	defer adm.Close()
	if _, err := adm.CreateTopic(ctx, n, 1, nil, topic); err != nil {
		return fmt.Errorf("creating topic %s: %w", topic, err)
	}
	for {
		ends, err := adm.ListEndOffsets(ctx, topic)
		if err == nil && ends.Error() == nil && len(ends[topic]) == int(n) {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("waiting for the leaders of %s: %w %w", topic, err, ends.Error())
		case <-time.After(30 * time.Millisecond):
		}
	}
}

// run runs kcat and returns its standard output.
func (k Kcat) run(ctx context.Context, stdin string, args ...string) (string, error) {
	argv := append([]string{k.Path, "-b", k.Addr, "-X", "topic.metadata.refresh.fast.interval.ms=50"}, args...)
	out, err := proc.Must(ctx, proc.Command{Argv: argv, Stdin: strings.NewReader(stdin), Dir: k.Dir, Timeout: 40 * time.Second})
	return string(out.Stdout), err
}

func value(i int) string { return fmt.Sprintf("value-%d-", i) + strings.Repeat("naru ", 20) }

// produce writes standard records i to partition i % parts, one kcat a partition.
func (k Kcat) produce(ctx context.Context, topic string, from, to, parts int, more ...string) error {
	for p := range parts {
		var in strings.Builder
		for i := from; i < to; i++ {
			if i%parts == p {
				fmt.Fprintf(&in, "key-%d\t%s\n", i, value(i))
			}
		}
		if in.Len() == 0 {
			continue
		}
		args := append([]string{"-P", "-t", topic, "-p", fmt.Sprint(p), "-K", "\\t"}, more...)
		if _, err := k.run(ctx, in.String(), args...); err != nil {
			return err
		}
	}
	return nil
}

// verify checks lines "partition offset key value" in the order of arrival against the standard records.
func verify(out string, n, parts int) error {
	lines := strings.Split(strings.TrimSuffix(out, "\n"), "\n")
	if len(lines) != n {
		return fmt.Errorf("%d records, want %d", len(lines), n)
	}
	next := make([]int, parts)
	for _, line := range lines {
		var p int
		if _, err := fmt.Sscan(line, &p); err != nil || p < 0 || p >= parts {
			return fmt.Errorf("line %.60q: %w", line, err)
		}
		i := next[p]*parts + p
		if want := fmt.Sprintf("%d\t%d\tkey-%d\t%s", p, next[p], i, value(i)); line != want {
			return fmt.Errorf("got %.60q, want %.60q", line, want)
		}
		next[p]++
	}
	return nil
}

const format = "%p\\t%o\\t%k\\t%s\\n"

func (k Kcat) readAll(ctx context.Context, topic string, n, parts int) error {
	out, err := k.run(ctx, "", "-C", "-t", topic, "-o", "beginning", "-e", "-q", "-f", format)
	if err != nil {
		return err
	}
	return verify(out, n, parts)
}

// create produces to a topic that does not exist, which the broker creates, and looks at the metadata.
func (k Kcat) create(ctx context.Context) error {
	topic := k.topic("create")
	if _, err := k.run(ctx, "one\n", "-P", "-t", topic); err != nil {
		return err
	}
	out, err := k.run(ctx, "", "-L", "-J", "-t", topic)
	if err != nil {
		return err
	}
	var metadata struct {
		Brokers []struct{ Name string }
		Topics  []struct {
			Topic      string
			Partitions []struct{ Leader int }
		}
	}
	if err := json.Unmarshal([]byte(out), &metadata); err != nil {
		return fmt.Errorf("kcat -L -J: %w: %s", err, out)
	}
	if len(metadata.Brokers) != 1 || metadata.Brokers[0].Name != k.Addr || len(metadata.Topics) != 1 || len(metadata.Topics[0].Partitions) != 1 {
		return fmt.Errorf("metadata %s", out)
	}
	out, err = k.run(ctx, "", "-C", "-t", topic, "-o", "beginning", "-e", "-q")
	if err != nil || out != "one\n" {
		return fmt.Errorf("read %q: %w", out, err)
	}
	return nil
}

func (k Kcat) produceAndRead(name string, more ...string) func(context.Context) error {
	return func(ctx context.Context) error {
		topic, err := k.newTopic(ctx, name, partitions)
		if err != nil {
			return err
		}
		if err := k.produce(ctx, topic, 0, records, partitions, more...); err != nil {
			return err
		}
		if name == "acks-0" { // kcat ends before the broker has appended what it sent
			if err := k.awaitRecords(ctx, topic, records); err != nil {
				return err
			}
		}
		return k.readAll(ctx, topic, records, partitions)
	}
}

// awaitRecords waits until the topic's end offsets sum to n.
func (k Kcat) awaitRecords(ctx context.Context, topic string, n int64) error {
	cl, err := kgo.NewClient(kgo.SeedBrokers(k.Addr))
	if err != nil {
		return err
	}
	adm := kadm.NewClient(cl)
	defer adm.Close()
	for {
		ends, err := adm.ListEndOffsets(ctx, topic)
		if err != nil {
			return fmt.Errorf("waiting for %d records: %w", n, err)
		}
		total := int64(0)
		ends.Each(func(o kadm.ListedOffset) { total += o.Offset })
		if total >= n {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%d of %d records: %w", total, n, ctx.Err())
		case <-time.After(30 * time.Millisecond):
		}
	}
}

func (k Kcat) content(ctx context.Context) error {
	topic, err := k.newTopic(ctx, "content", 1)
	if err != nil {
		return err
	}
	began := time.Now().UnixMilli()
	if _, err := k.run(ctx, "k0:v0\n", "-P", "-t", topic, "-K", ":", "-H", "a=1", "-H", "a=2", "-H", "e="); err != nil {
		return err
	}
	if _, err := k.run(ctx, "k1:\n:v2\nключ-열쇠:값\n", "-P", "-t", topic, "-K", ":", "-Z"); err != nil {
		return err
	}
	out, err := k.run(ctx, "", "-C", "-t", topic, "-o", "beginning", "-e", "-q", "-J")
	if err != nil {
		return err
	}
	type message struct {
		Offset       int64
		TS           int64
		TSType       string
		Headers      []string
		Key, Payload *string
	}
	show := func(s *string) string {
		if s == nil {
			return "null"
		}
		return *s
	}
	want := []string{"k0 v0 [a 1 a 2 e ]", "k1 null []", "null v2 []", "ключ-열쇠 값 []"}
	lines := strings.Split(strings.TrimSpace(out), "\n")
	if len(lines) != len(want) {
		return fmt.Errorf("%d records, want %d: %s", len(lines), len(want), out)
	}
	for i, line := range lines {
		var m message
		if err := json.Unmarshal([]byte(line), &m); err != nil {
			return fmt.Errorf("record %d: %w: %s", i, err, line)
		}
		if got := fmt.Sprint(show(m.Key), " ", show(m.Payload), " ", m.Headers); got != want[i] {
			return fmt.Errorf("record %d: got %s, want %s", i, got, want[i])
		}
		if m.TSType != "create" || m.TS < began || m.TS > time.Now().UnixMilli() || m.Offset != int64(i) {
			return fmt.Errorf("record %d: offset %d, %s time %d", i, m.Offset, m.TSType, m.TS)
		}
	}
	return nil
}

func (k Kcat) sizes(ctx context.Context) error {
	topic, err := k.newTopic(ctx, "sizes", 1)
	if err != nil {
		return err
	}
	big := make([]byte, 1000000)
	for j := range big {
		big[j] = byte(j*7 + j>>8*13)
	}
	values := [][]byte{{'x'}, big, {'y'}}
	for i, v := range values {
		if err := os.WriteFile(filepath.Join(k.Dir, fmt.Sprint("value-", i)), v, 0o644); err != nil {
			return err
		}
		if _, err := k.run(ctx, "", "-P", "-t", topic, "-X", "message.max.bytes=4194304", fmt.Sprint("value-", i)); err != nil {
			return fmt.Errorf("value of %d bytes: %w", len(v), err)
		}
	}
	if err := os.WriteFile(filepath.Join(k.Dir, "too-large"), make([]byte, 2<<20), 0o644); err != nil {
		return err
	}
	if _, err = k.run(ctx, "", "-P", "-t", topic, "-X", "message.max.bytes=4194304", "too-large"); err == nil || !strings.Contains(err.Error(), "too large") {
		return fmt.Errorf("value of 2 MiB: %s, want too large", fmt.Sprint(err))
	}
	for i, v := range values {
		out, err := k.run(ctx, "", "-C", "-t", topic, "-p", "0", "-o", fmt.Sprint(i), "-c", "1", "-q", "-f", "%s")
		if err != nil {
			return err
		}
		if !bytes.Equal([]byte(out), v) {
			return fmt.Errorf("record %d: %d bytes differ from the %d written", i, len(out), len(v))
		}
	}
	return nil
}
