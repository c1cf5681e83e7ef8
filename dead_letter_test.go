package naru_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/naru-stream/naru"
	"github.com/naru-stream/naru/internal/kafka/protocol"
)

// deadLetters is a client that sets up dead-letter topics and reads them.
type deadLetters struct {
	t *testing.T
	*kgo.Client
}

func newDeadLetters(t *testing.T, node *naru.Node, topics ...string) deadLetters {
	t.Helper()
	client, err := kgo.NewClient(kgo.SeedBrokers(node.Addr()), kgo.ConsumeTopics(topics...), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
		kgo.MetadataMinAge(50*time.Millisecond), kgo.MetadataMaxAge(100*time.Millisecond))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	return deadLetters{t, client}
}

// set changes settings of a topic or of group g: "key=value".
func (d deadLetters) set(resource kmsg.ConfigResourceType, name string, settings ...string) {
	d.t.Helper()
	r := kmsg.NewPtrIncrementalAlterConfigsRequest()
	x := kmsg.NewIncrementalAlterConfigsRequestResource()
	x.ResourceType, x.ResourceName = resource, name
	for _, s := range settings {
		c := kmsg.NewIncrementalAlterConfigsRequestResourceConfig()
		key, value, _ := strings.Cut(s, "=")
		c.Name, c.Value = key, &value
		x.Configs = append(x.Configs, c)
	}
	r.Resources = append(r.Resources, x)
	answer, err := r.RequestWith(d.t.Context(), d.Client)
	if err != nil || answer.Resources[0].ErrorCode != 0 {
		d.t.Fatalf("setting %v: %v, %+v", settings, err, answer)
	}
}

// read returns the next n records: their headers, keys and values.
func (d deadLetters) read(n int) (out []string) {
	d.t.Helper()
	ctx, cancel := context.WithTimeout(d.t.Context(), 20*time.Second)
	defer cancel()
	for len(out) < n {
		fetches := d.PollRecords(ctx, n-len(out))
		if ctx.Err() != nil {
			d.t.Fatalf("%d dead letters came, not %d: %v; %v", len(out), n, out, fetches.Errors())
		}
		fetches.EachRecord(func(r *kgo.Record) {
			text := ""
			for _, h := range r.Headers {
				text += strings.TrimPrefix(h.Key, "__dlq.errors.") + "=" + string(h.Value) + " "
			}
			out = append(out, fmt.Sprintf("%s%s=%s", text, r.Key, r.Value))
		})
	}
	return out
}

func (d deadLetters) mustRead(want ...string) {
	d.t.Helper()
	if got := d.read(len(want)); !slices.Equal(got, want) {
		d.t.Errorf("dead letters are\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

func TestWhatAShareGroupRejectsGoesToItsDeadLetterTopic(t *testing.T) {
	node, err := naru.Start(t.Context(), naru.Config{Properties: map[string]string{
		"listeners": "PLAINTEXT://localhost:0", "log.dirs": t.TempDir(), "errors.deadletterqueue.auto.create.topics.enable": "true",
	}})
	if err != nil {
		t.Fatal(err)
	}
	defer node.Close()
	p := dial(t, node.Addr())
	a := newSharer(t, node, "a", startSharing(p))
	d := newDeadLetters(t, node, "dlq.g")
	d.set(kmsg.ConfigResourceType(32), "g", "errors.deadletterqueue.topic.name=dlq.g", "share.delivery.count.limit=2")
	p.produce("t", batch(t, "0", "1", "2", "3"))
	a.mustShare("0-3:1")
	a.mustAcknowledge(0, 3, 3, 1, 3, 2)
	head := "topic=t partition=0 offset=%d group=g delivery.count=%d message=Offset "
	d.mustRead(fmt.Sprintf(head+"rejected by client. =", 0, 1), fmt.Sprintf(head+"rejected by client. =", 2, 1))

	d.set(kmsg.ConfigResourceType(32), "g", "errors.deadletterqueue.copy.record.enable=true")
	a.mustShare("3-3:2")
	a.mustAcknowledge(3, 3, 2)
	d.mustRead(fmt.Sprintf(head+"delivery count exceeded the threshold. key=3", 3, 2))

	admin := kadm.NewClient(d.Client)
	configs, err := admin.DescribeTopicConfigs(t.Context(), "dlq.g")
	if err != nil {
		t.Fatal(err)
	}
	set := map[string]string{}
	for _, c := range configs[0].Configs {
		if c.Source == kmsg.ConfigSourceDynamicTopicConfig {
			set[c.Key] = *c.Value
		}
	}
	if len(set) != 2 || set["errors.deadletterqueue.group.enable"] != "true" || set["message.timestamp.type"] != "CreateTime" {
		t.Errorf("the topic was created with %v", set)
	}

	// Nothing is in the way any more of what comes next.
	p.produce("t", batch(t, "4"))
	a.mustShare("4-4:1")
}

// What the share coordinator says is archiving was under way when a node stopped: the
// dead letter is written when somebody fetches again, and nobody is given the records.
func TestDeadLettersThatWereUnderWayAreWrittenAfterARestart(t *testing.T) {
	node, err := naru.Start(t.Context(), naru.Config{Properties: map[string]string{"listeners": "PLAINTEXT://localhost:0", "log.dirs": t.TempDir()}})
	if err != nil {
		t.Fatal(err)
	}
	defer node.Close()
	p := dial(t, node.Addr())
	topic := startSharing(p)
	p.createTopic("dlq.g", 1)
	d := newDeadLetters(t, node, "dlq.g")
	d.set(kmsg.ConfigResourceTypeTopic, "dlq.g", "errors.deadletterqueue.group.enable=true")
	d.set(kmsg.ConfigResourceType(32), "g", "errors.deadletterqueue.topic.name=dlq.g")
	p.produce("t", batch(t, "0", "1", "2"))
	written := p.mustAsk(&protocol.WriteShareGroupStateRequest{GroupId: "g", Topics: []protocol.WriteShareGroupStateRequestWriteStateData{{
		TopicId: topic, Partitions: []protocol.WriteShareGroupStateRequestPartitionData{{
			StateEpoch: 1, StateBatches: []protocol.WriteShareGroupStateRequestStateBatch{{FirstOffset: 0, LastOffset: 1, DeliveryState: 3, DeliveryCount: 1}},
		}},
	}}}, 1).(*protocol.WriteShareGroupStateResponse)
	if code := written.Results[0].Partitions[0].ErrorCode; code != protocol.None {
		t.Fatal(code)
	}
	newSharer(t, node, "a", topic).mustShare("2-2:1")
	d.mustRead("topic=t partition=0 offset=0 group=g delivery.count=1 =", "topic=t partition=0 offset=1 group=g delivery.count=1 =")
}
