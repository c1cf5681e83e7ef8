package naru_test

import (
	"fmt"
	"maps"

	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/naru-stream/naru"
	"github.com/naru-stream/naru/internal/kafka/config"
	"github.com/naru-stream/naru/internal/kafka/protocol"
	"github.com/naru-stream/naru/internal/kafka/record"
)

// proof is a line of testdata/honoured.txt.
type proof struct {
	settings map[string]string
	probe    string
	args     []string
	want     string
}

// proofs reads testdata/honoured.txt.
func proofs(t *testing.T) (out []proof) {
	t.Helper()
	text, err := os.ReadFile("testdata/honoured.txt")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		if line = strings.TrimSpace(line); line == "" || line[0] == '#' {
			continue
		}
		left, right, ok := strings.Cut(line, " -> ")
		question, want, also := strings.Cut(right, " => ")
		if !ok || !also {
			t.Fatalf("%q is not of the form settings -> probe => what it sees", line)
		}
		p := proof{settings: map[string]string{}, want: want}
		for _, word := range strings.Fields(left) {
			key, value, _ := strings.Cut(word, "=")
			p.settings[key] = strings.ReplaceAll(value, "%20", " ")
		}
		words := strings.Fields(question)
		p.probe, p.args = words[0], words[1:]
		out = append(out, p)
	}
	return out
}

// Every line of testdata/honoured.txt says what is seen of settings. The same must not
// be seen without them.
func TestSettingsAreHonoured(t *testing.T) {
	plain := map[string]string{} // what a node with default settings answers, by question
	for _, p := range proofs(t) {
		question := strings.Join(append([]string{p.probe}, p.args...), " ")
		t.Run(strings.Join(slices.Sorted(maps.Keys(p.settings)), " ")+" "+question, func(t *testing.T) {
			if p.probe == "rooms" {
				if got := roomsOf(t, p.settings); got != p.want {
					t.Errorf("the rooms get\n%s, want\n%s", got, p.want)
				}
				return
			}
			if got := observe(t, p.settings, p.probe, p.args); got != p.want {
				t.Errorf("%s: %s, want %s", question, got, p.want)
			}
			if slices.Contains(slow, p.probe) {
				return
			}
			if _, ok := plain[question]; !ok {
				plain[question] = observe(t, nil, p.probe, p.args)
			}
			if plain[question] == p.want {
				t.Errorf("%s: %s, whatever the settings", question, p.want)
			}
		})
	}
}

// slow are the probes that wait in vain on a node with default settings.
var slow = []string{"fenced"}

// provenAt names the tests of settings that are honoured deeper in the house.
var provenAt = map[string][]string{
	"internal/kafka/config.TestEveryTopicSettingReachesItsField": topicSettings(),
	// What storage and replicas make of these fields is seen in
	"internal/broker/storage.TestLogsHonourTheirTopicsSettings":         nil,
	"internal/broker/storage/validate.TestRulesFollowTheTopicsSettings": nil,
	"internal/broker/replica.TestDurabilityFollowsTheSettings":          {"naru.durability"},
	"internal/broker/server.TestInternalTopicsAreMadeAsTheSettingsSay": {
		"offsets.topic.replication.factor", "offsets.topic.num.partitions", "offsets.topic.segment.bytes",
		"transaction.state.log.replication.factor", "transaction.state.log.num.partitions", "transaction.state.log.segment.bytes", "transaction.state.log.min.isr",
		"share.coordinator.state.topic.replication.factor", "share.coordinator.state.topic.num.partitions",
		"share.coordinator.state.topic.segment.bytes", "share.coordinator.state.topic.min.isr",
	},
	"internal/broker/server.TestShareGroupsSettingsAreFoundInTheirLayers": {
		"group.share.delivery.count.limit", "group.share.partition.max.record.locks", "group.share.record.lock.duration.ms",
		"share.delivery.count.limit", "share.partition.max.record.locks", "share.record.lock.duration.ms",
		"share.auto.offset.reset", "share.isolation.level", "share.renew.acknowledge.enable",
		"errors.deadletterqueue.topic.name", "errors.deadletterqueue.copy.record.enable",
		"errors.deadletterqueue.topic.name.prefix", "errors.deadletterqueue.auto.create.topics.enable",
	},
	"internal/coordinator/group.TestAGroupsSettingsAreFoundInTheirLayers": {
		"consumer.assignment.interval.ms", "consumer.heartbeat.interval.ms", "consumer.session.timeout.ms",
		"share.assignment.interval.ms", "share.heartbeat.interval.ms", "share.session.timeout.ms",
		"streams.assignment.interval.ms", "streams.heartbeat.interval.ms", "streams.session.timeout.ms",
		"streams.initial.rebalance.delay.ms", "streams.num.standby.replicas",
	},
	"internal/broker/telemetry.TestScripts":                                    {"interval.ms", "match", "metrics"},
	"internal/quorum/runtime.TestSnapshotsReplaceTheLogAndStandInForEachOther": {"metadata.log.max.record.bytes.between.snapshots"},
	"internal/quorum/runtime.TestSnapshotsAreTakenByTimeWhenSomethingChanged":  {"metadata.log.max.snapshot.interval.ms"},
	".TestShareSessionsThatAreWrongAreRefused":                                 {"group.share.max.share.sessions"},
}

// topicSettings are the settings of topics and those of the broker that supply them.
func topicSettings() (out []string) {
	for _, k := range config.Keys(config.TopicScope) {
		if k.Status == config.Honoured {
			out = append(out, k.Name, k.Broker)
		}
	}
	return out
}

func TestEveryHonouredSettingIsProven(t *testing.T) {
	proven := map[string]bool{}
	for _, p := range proofs(t) {
		for key := range p.settings {
			proven[key] = true
		}
	}
	for test, keys := range provenAt {
		dot := strings.LastIndexByte(test, '.')
		if !declares(t, test[:dot], test[dot+1:]) {
			t.Errorf("there is no test %s", test)
		}
		for _, key := range keys {
			proven[key] = true
		}
	}
	for _, scope := range []config.Scope{config.BrokerScope, config.TopicScope, config.GroupScope, config.ClientMetricsScope} {
		for _, k := range config.Keys(scope) {
			if k.Status == config.Honoured && !proven[k.Name] {
				t.Errorf("nothing shows that the %s setting %s is honoured: add a line to testdata/honoured.txt", scope, k.Name)
			}
		}
	}
}

// declares tells whether a package has a test.
func declares(t *testing.T, dir, test string) bool {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(".", dir, "*_test.go"))
	if err != nil {
		t.Fatal(err)
	}
	declaration := regexp.MustCompile(`(?m)^func ` + test + `\(`)
	return slices.ContainsFunc(files, func(file string) bool {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		return declaration.Match(text)
	})
}

// roomsOf returns what settings change of what the rooms of a node are given.
func roomsOf(t *testing.T, settings map[string]string) string {
	t.Helper()
	given := func(settings map[string]string) map[string]string {
		settings = maps.Clone(settings)
		for key, value := range map[string]string{"listeners": "PLAINTEXT://localhost:0", "log.dirs": "/logs"} {
			if _, ok := settings[key]; !ok {
				settings[key] = value
			}
		}
		values, err := config.NewValues(settings)
		if err != nil {
			t.Fatal(err)
		}
		out := map[string]string{}
		for room, got := range naru.Rooms(values) {
			flatten(out, room, reflect.ValueOf(got))
		}
		return out
	}
	plain, changed := given(map[string]string{}), given(settings)
	var out []string
	for field, value := range changed {
		if plain[field] != value {
			out = append(out, field+"="+value)
		}
	}
	slices.Sort(out)
	return strings.Join(out, " ")
}

// flatten writes down every value of a structure that can be compared.
func flatten(out map[string]string, path string, v reflect.Value) {
	switch v.Kind() {
	case reflect.Struct:
		for i := range v.NumField() {
			if f := v.Type().Field(i); f.IsExported() {
				flatten(out, path+"."+f.Name, v.Field(i))
			}
		}
	case reflect.Map:
		for _, key := range v.MapKeys() {
			flatten(out, path+"["+key.String()+"]", v.MapIndex(key))
		}
	case reflect.Pointer:
		if !v.IsNil() && v.Elem().Kind() != reflect.Struct {
			flatten(out, path, v.Elem())
		}
	case reflect.Func, reflect.Interface:
	default:
		out[path] = fmt.Sprint(v.Interface())
	}
}

// observe starts a node with the settings and asks it the probe's question.
func observe(t *testing.T, settings map[string]string, probe string, args []string) string {
	t.Helper()
	properties := map[string]string{
		"listeners": "PLAINTEXT://localhost:0", "log.dirs": filepath.Join(t.TempDir(), "a"), "naru.durability": "os",
		"naru.disk.reserve.bytes": "0", "naru.disk.min.free.bytes": "0", "group.initial.rebalance.delay.ms": "0",
		"offsets.topic.num.partitions": "1", "transaction.state.log.num.partitions": "1", "share.coordinator.state.topic.num.partitions": "1",
	}
	for key, value := range settings {
		properties[key] = strings.ReplaceAll(value, "$TMP", filepath.Dir(properties["log.dirs"]))
	}
	if _, ok := settings["log.dir"]; ok {
		delete(properties, "log.dirs")
	}
	node, err := naru.Start(t.Context(), naru.Config{Properties: properties})
	if probe == "start" {
		if err != nil {
			return err.Error()
		}
		if err := node.Close(); err != nil {
			t.Error(err)
		}
		return "it starts"
	}
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := node.Close(); err != nil {
			t.Error(err)
		}
	}()
	h := &house{node: node, peer: dial(t, node.Bound())}
	ask, ok := probes[probe]
	if !ok {
		t.Fatalf("there is no probe %q", probe)
	}
	return ask(h, args)
}

// house is a node that is looked at, through a connection where that shows it.
type house struct {
	*peer
	node *naru.Node
}

// probes are the questions of testdata/honoured.txt. An answer is one line.
var probes = map[string]func(h *house, args []string) string{
	"cleans":       func(h *house, _ []string) string { return fmt.Sprint(h.node.Cleans()) },
	"dirs":         (*house).dirs,
	"registration": (*house).registration,
	"broker":       (*house).broker,
	"create":       (*house).create,
	"delete":       (*house).delete,
	"asked":        (*house).asked,
	"partitions":   (*house).partitions,
	"fetch":        (*house).fetchBytes,
	"session":      (*house).session,
	"alter":        (*house).alter,
	"join":         (*house).join,
	"telemetry":    (*house).telemetryBytes,
	"unverified":   (*house).unverified,
	"codec":        (*house).codec,
	"fenced":       (*house).fenced,
}

// dirs are the last parts of the log directories.
func (h *house) dirs([]string) string {
	var out []string
	for _, dir := range h.node.DataDirs() {
		out = append(out, filepath.Base(dir))
	}
	return strings.Join(out, " ")
}

func (h *house) registration([]string) string {
	out := map[string]string{}
	flatten(out, "", reflect.ValueOf(h.node.Registration()))
	return fmt.Sprint("heartbeat ", out[".HeartbeatInterval"])
}

// broker tells how clients see the broker.
func (h *house) broker(args []string) string {
	m := h.mustAsk(&protocol.MetadataRequest{}, 12).(*protocol.MetadataResponse)
	b := m.Brokers[0]
	rack := "none"
	if b.Rack != nil {
		rack = *b.Rack
	}
	port := ""
	if slices.Contains(args, "port") {
		port = fmt.Sprint(" port ", b.Port)
	}
	return fmt.Sprint("id ", b.NodeId, " host ", b.Host, port, " rack ", rack)
}

// create makes a topic with the broker's defaults.
func (h *house) create([]string) string {
	topic := protocol.CreateTopicsRequestCreatableTopic{Name: "t", NumPartitions: -1, ReplicationFactor: -1}
	m := h.mustAsk(&protocol.CreateTopicsRequest{TimeoutMs: 1000, Topics: []protocol.CreateTopicsRequestCreatableTopic{topic}}, 5)
	t := m.(*protocol.CreateTopicsResponse).Topics[0]
	return fmt.Sprint(t.ErrorCode, " ", t.NumPartitions, " partitions")
}

func (h *house) delete([]string) string {
	h.createTopic("t", 1)
	m := h.mustAsk(&protocol.DeleteTopicsRequest{TopicNames: []string{"t"}, TimeoutMs: 1000}, 5)
	return m.(*protocol.DeleteTopicsResponse).Responses[0].ErrorCode.String()
}

// asked asks for a topic that does not exist.
func (h *house) asked([]string) string {
	name := "t"
	m := h.mustAsk(&protocol.MetadataRequest{Topics: []protocol.MetadataRequestTopic{{Name: &name}}, AllowAutoTopicCreation: true}, 9)
	return m.(*protocol.MetadataResponse).Topics[0].ErrorCode.String()
}

// partitions counts what one answer describes of a topic with five.
func (h *house) partitions([]string) string {
	h.createTopic("t", 5)
	m := h.mustAsk(&protocol.DescribeTopicPartitionsRequest{
		Topics: []protocol.DescribeTopicPartitionsRequestTopicRequest{{Name: "t"}}, ResponsePartitionLimit: 2000,
	}, 0)
	return fmt.Sprint(len(m.(*protocol.DescribeTopicPartitionsResponse).Topics[0].Partitions))
}

// fetchBytes fetches ten batches of about 1000 bytes and counts the batches that come.
func (h *house) fetchBytes([]string) string {
	h.createTopic("t", 1)
	for range 10 {
		h.produce("t", batch(h.t, strings.Repeat("x", 900)))
	}
	part := h.fetch(fetchRequest("t", 0, 1000, 1, 1<<20))
	n := 0
	for rest := part.Records; len(rest) > 0; n++ {
		var err error
		if _, rest, err = record.Next(rest); err != nil {
			h.t.Fatal(err)
		}
	}
	return fmt.Sprint(n, " batches")
}

// session opens a fetch session.
func (h *house) session([]string) string {
	h.createTopic("t", 1)
	r := fetchRequest("t", 0, 0, 0, 1<<20)
	r.SessionEpoch = 0
	m := h.mustAsk(r, 11).(*protocol.FetchResponse)
	return fmt.Sprint("a session: ", m.SessionId != 0)
}

// alter asks whether a setting of a kind of resource could be changed.
func (h *house) alter(args []string) string {
	kinds := map[string]int8{"broker": 4, "group": 32}
	name := "g"
	if args[0] == "broker" {
		name = "1"
	}
	key, value, _ := strings.Cut(args[1], "=")
	m := h.mustAsk(&protocol.IncrementalAlterConfigsRequest{ValidateOnly: true, Resources: []protocol.IncrementalAlterConfigsRequestAlterConfigsResource{{
		ResourceType: kinds[args[0]], ResourceName: name,
		Configs: []protocol.IncrementalAlterConfigsRequestAlterableConfig{{Name: key, Value: &value}},
	}}}, 1)
	return m.(*protocol.IncrementalAlterConfigsResponse).Responses[0].ErrorCode.String()
}

// coordinated asks again while the coordinator is not ready.
func coordinated[M protocol.Message](h *house, r protocol.Request, version int16, code func(M) protocol.ErrorCode) M {
	h.t.Helper()
	for {
		m := h.mustAsk(r, version).(M)
		switch code(m) {
		case protocol.CoordinatorLoadInProgress, protocol.CoordinatorNotAvailable, protocol.NotCoordinator:
			continue
		}
		return m
	}
}

// find has the internal topic made that holds a group or a transaction.
func (h *house) find(kind int8, key string) {
	h.t.Helper()
	h.mustAsk(&protocol.FindCoordinatorRequest{KeyType: kind, CoordinatorKeys: []string{key}}, 4)
}

// join joins a group of a kind.
func (h *house) join(args []string) string {
	h.find(0, "g")
	member := protocol.UUID{15: 1}.String()
	if args[0] == "consumer" {
		r := &protocol.ConsumerGroupHeartbeatRequest{}
		r.SetDefaults()
		r.GroupId, r.MemberId, r.RebalanceTimeoutMs, r.SubscribedTopicNames = "g", member, 1000, []string{"t"}
		r.TopicPartitions = []protocol.ConsumerGroupHeartbeatRequestTopicPartitions{}
		return coordinated(h, r, 1, func(m *protocol.ConsumerGroupHeartbeatResponse) protocol.ErrorCode { return m.ErrorCode }).ErrorCode.String()
	}
	r := &protocol.StreamsGroupHeartbeatRequest{}
	r.SetDefaults()
	r.GroupId, r.MemberId = "g", member
	return coordinated(h, r, 0, func(m *protocol.StreamsGroupHeartbeatResponse) protocol.ErrorCode { return m.ErrorCode }).ErrorCode.String()
}

func (h *house) telemetryBytes([]string) string {
	m := h.mustAsk(&protocol.GetTelemetrySubscriptionsRequest{}, 0).(*protocol.GetTelemetrySubscriptionsResponse)
	return fmt.Sprint(m.TelemetryMaxBytes)
}

// unverified produces to a partition that was not added to the transaction.
func (h *house) unverified([]string) string {
	h.createTopic("t", 1)
	id := "a"
	h.find(1, id)
	begin := &protocol.InitProducerIdRequest{TransactionalId: &id, TransactionTimeoutMs: 1000, ProducerId: -1, ProducerEpoch: -1}
	begun := coordinated(h, begin, 4, func(m *protocol.InitProducerIdResponse) protocol.ErrorCode { return m.ErrorCode })
	r := produceRequest("t", -1, txnBatch(h.t, begun.ProducerId, 0, 0))
	r.TransactionalId = &id
	return h.mustAsk(r, 10).(*protocol.ProduceResponse).Responses[0].PartitionResponses[0].ErrorCode.String()
}

// codec writes to a coordinator's topic and tells how the first batch is compressed.
func (h *house) codec(args []string) string {
	h.createTopic("t", 1)
	topic := "__consumer_offsets"
	switch args[0] {
	case "offsets":
		h.find(0, "g")
		commit := &protocol.OffsetCommitRequest{}
		commit.SetDefaults()
		commit.GroupId = "g"
		commit.Topics = []protocol.OffsetCommitRequestTopic{{
			Name: "t", Partitions: []protocol.OffsetCommitRequestPartition{{CommittedOffset: 1, CommittedLeaderEpoch: -1}},
		}}
		coordinated(h, commit, 8, func(m *protocol.OffsetCommitResponse) protocol.ErrorCode { return m.Topics[0].Partitions[0].ErrorCode })
	case "share":
		topic = "__share_group_state"
		name := "t"
		m := h.mustAsk(&protocol.MetadataRequest{Topics: []protocol.MetadataRequestTopic{{Name: &name}}}, 12).(*protocol.MetadataResponse)
		id := m.Topics[0].TopicId
		h.find(2, "g:"+id.String()+":0")
		write := &protocol.InitializeShareGroupStateRequest{GroupId: "g", Topics: []protocol.InitializeShareGroupStateRequestInitializeStateData{{
			TopicId: id, Partitions: []protocol.InitializeShareGroupStateRequestPartitionData{{}},
		}}}
		coordinated(h, write, 0, func(m *protocol.InitializeShareGroupStateResponse) protocol.ErrorCode {
			return m.Results[0].Partitions[0].ErrorCode
		})
	}
	part := h.fetch(fetchRequest(topic, 0, 1000, 1, 1<<20))
	b, _, err := record.Next(part.Records)
	if err != nil {
		h.t.Fatal(err)
	}
	return fmt.Sprint(int8(b.Codec()))
}

// fenced waits until the controller gives the broker up.
func (h *house) fenced([]string) string {
	for end := time.Now().Add(5 * time.Second); time.Now().Before(end); {
		if m := h.mustAsk(&protocol.MetadataRequest{}, 12).(*protocol.MetadataResponse); len(m.Brokers) == 0 {
			return "yes"
		}
	}
	return "no"
}
