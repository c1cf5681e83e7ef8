package controller

import (
	"encoding/json"
	"fmt"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/naru-stream/naru/internal/kafka/config"
	"github.com/naru-stream/naru/internal/kafka/metarecord"
	"github.com/naru-stream/naru/internal/kafka/protocol"
	"github.com/naru-stream/naru/internal/kafka/wire"
	"github.com/naru-stream/naru/internal/quorum/metadata"
	"github.com/naru-stream/naru/internal/script"
)

// world runs a core the way the runtime does: its records go through their
// encoding into a log, and after each step the image must equal the replay of
// that log and the replay of its own snapshot.
type world struct {
	t        testing.TB
	core     *Core
	settings map[string]string
	log      []metadata.Record
	nowMs    int64
	dueMs    int64
	ids      int
}

func newWorld(t testing.TB) *world {
	w := &world{t: t, settings: map[string]string{}, nowMs: 1000}
	w.restart()
	return w
}

func (w *world) config() Config {
	settings, err := config.NewValues(w.settings)
	if err != nil {
		w.t.Fatal(err)
	}
	return Config{ClusterID: "cluster", NodeID: 1, Settings: settings}
}

// restart puts a new controller in charge, which replays the log.
func (w *world) restart() {
	img := w.replay(w.log)
	w.core = New(w.config(), img, int64(len(w.log)), img.Epoch+1, w.nowMs)
	w.dueMs = w.nowMs
}

func (w *world) replay(records []metadata.Record) *metadata.Image {
	w.t.Helper()
	d := metadata.NewDelta(metadata.NewImage())
	for _, r := range records {
		if err := d.Apply(reencode(w.t, r)); err != nil {
			w.t.Fatal(err)
		}
	}
	return d.Image(int64(len(w.log))-1, 1)
}

func reencode(t testing.TB, r metadata.Record) metadata.Record {
	t.Helper()
	parsed, _, err := metarecord.Parse(metarecord.Append(nil, r, RecordVersion(r)))
	if err != nil {
		t.Fatal(err)
	}
	return parsed
}

func (w *world) newUUID() wire.UUID {
	w.ids++
	return wire.UUID{'T', '0' + byte(w.ids%10), 'a' + byte(w.ids/10%26), 'a' + byte(w.ids/260%26), byte(w.ids / 6760), byte(w.ids / 6760 / 256)}
}

func (w *world) handle(r protocol.Request, version int16) protocol.Message {
	return w.core.Handle(Event{NowMs: w.nowMs, NewUUID: w.newUUID, Request: r, Version: version})
}

// advance lets time pass.
func (w *world) advance(ms int64) {
	end := w.nowMs + ms
	for w.dueMs < end {
		w.nowMs = max(w.nowMs, w.dueMs)
		w.dueMs = w.core.Tick(w.nowMs)
	}
	w.nowMs = end
	w.dueMs = w.core.Tick(end)
}

// take returns the records decided since the last take and checks the invariants.
func (w *world) take() []metadata.Record {
	w.t.Helper()
	b := w.core.Take()
	if b.BaseOffset != int64(len(w.log)) {
		w.t.Fatalf("batch at offset %d, the log ends at %d", b.BaseOffset, len(w.log))
	}
	w.log = append(w.log, b.Records...)
	if diff := cmp.Diff(dump(w.t, w.replay(w.log)), dump(w.t, b.Image)); diff != "" {
		w.t.Fatalf("the image is not the replay of the log: %s", diff)
	}
	if diff := cmp.Diff(dump(w.t, w.replay(slices.Collect(b.Image.Records()))), dump(w.t, b.Image)); diff != "" {
		w.t.Fatalf("the image is not the replay of its snapshot: %s", diff)
	}
	checkPartitions(w.t, b.Image)
	return b.Records
}

func dump(t testing.TB, img *metadata.Image) []string {
	var out []string
	for r := range img.Records() {
		out = append(out, render(reencode(t, r)))
	}
	return out
}

// checkPartitions holds what must be true of every partition at any time.
func checkPartitions(t testing.TB, img *metadata.Image) {
	t.Helper()
	for topic := range img.Topics() {
		for id := range int32(topic.PartitionCount()) {
			p, ok := topic.Partition(id)
			if !ok {
				t.Fatalf("%s has a hole at partition %d", topic.Name, id)
			}
			if p.Leader >= 0 {
				if b := img.Broker(p.Leader); b == nil || b.Fenced || !slices.Contains(p.ISR(), p.Leader) {
					t.Fatalf("%s-%d is led by %d, which is fenced, gone or out of sync", topic.Name, id, p.Leader)
				}
			}
			for _, member := range slices.Concat(p.ISR(), p.ELR()) {
				if !slices.Contains(p.Replicas(), member) {
					t.Fatalf("%s-%d counts %d, which is no replica", topic.Name, id, member)
				}
			}
			for _, member := range p.ELR() {
				if slices.Contains(p.ISR(), member) {
					t.Fatalf("%s-%d has %d in ISR and ELR", topic.Name, id, member)
				}
			}
			if len(p.Directories()) != len(p.Replicas()) {
				t.Fatalf("%s-%d has %d directories for %d replicas", topic.Name, id, len(p.Directories()), len(p.Replicas()))
			}
		}
	}
}

// TestScripts runs testdata/*.txt. A step is one line:
//
//	request <API> v<version> <JSON>   ask for something; "id:X1" in the JSON is a UUID
//	register <broker> <incarnation> [cluster=, dir=, rack=, previous=, metadata.version=]
//	tick <milliseconds>               let time pass, with the ticks that the core asks for
//	pause <milliseconds>              let time pass without ticks, then tick
//	restart                           a new controller replays the log
//	set <key>=<value>                 another setting of the controller, from the next restart on
//	fill <topics> <partitions>        create many topics without showing them
//	partition <topic> <partition>     show a partition
//
// What it answers starts with =, the records it decides with +.
func TestScripts(t *testing.T) {
	script.Run(t, func(t *testing.T, out *script.Output) func(op, args string) {
		w := newWorld(t)
		return func(op, args string) { w.step(out, op, args) }
	})
}

func (w *world) step(out *script.Output, op, args string) {
	w.t.Helper()
	switch op {
	case "bootstrap":
		w.core.Bootstrap()
	case "request":
		name, rest, _ := strings.Cut(args, " ")
		version, body, _ := strings.Cut(rest, " ")
		r, v := parseRequest(w.t, name, version, body)
		out.Say("= %s", render(w.handle(r, v)))
	case "register":
		out.Say("= %s", render(w.handle(w.registration(args), 4)))
	case "tick", "pause":
		ms, err := strconv.ParseInt(args, 10, 64)
		if err != nil {
			w.t.Fatal(err)
		}
		if op == "pause" {
			w.nowMs += ms
			ms = 0
		}
		w.advance(ms)
		out.Say("= next in %d ms", w.dueMs-w.nowMs)
	case "restart":
		w.restart()
	case "set":
		key, value, _ := strings.Cut(args, "=")
		w.settings[key] = value
	case "partition":
		name, id, _ := strings.Cut(args, " ")
		n, _ := strconv.Atoi(id)
		p, _ := w.core.Image().Topic(name).Partition(int32(n))
		out.Say("= leader %d epoch %d/%d replicas %v isr %v elr %v last %v recovering %v",
			p.Leader, p.LeaderEpoch, p.PartitionEpoch, p.Replicas(), p.ISR(), p.ELR(), p.LastKnownELR(), p.Recovering)
	case "fill":
		var topics, partitions int
		_, _ = fmt.Sscan(args, &topics, &partitions)
		for n := range topics {
			w.handle(&protocol.CreateTopicsRequest{Topics: []protocol.CreateTopicsRequestCreatableTopic{
				{Name: fmt.Sprint("fill-", n), NumPartitions: int32(partitions), ReplicationFactor: -1},
			}}, 7)
		}
		out.Say("= %d records", len(w.take()))
	default:
		w.t.Fatalf("unknown step %q", op)
	}
	for _, r := range w.take() {
		out.Say("+ %s", render(r))
	}
}

func testID(text string) (u wire.UUID) {
	copy(u[:], text)
	return u
}

// registration reads the arguments of the step register.
func (w *world) registration(args string) *protocol.BrokerRegistrationRequest {
	words := strings.Fields(args)
	id, err := strconv.ParseInt(words[0], 10, 32)
	if err != nil {
		w.t.Fatal(err)
	}
	r := &protocol.BrokerRegistrationRequest{
		BrokerId: int32(id), ClusterId: "cluster", IncarnationId: testID(words[1]), PreviousBrokerEpoch: -1,
		LogDirs:   []wire.UUID{testID("D" + words[0])},
		Listeners: []protocol.BrokerRegistrationRequestListener{{Name: "PLAINTEXT", Host: "h" + words[0], Port: 9092}},
	}
	for _, f := range Supported() {
		r.Features = append(r.Features, protocol.BrokerRegistrationRequestFeature{
			Name: f.Name, MinSupportedVersion: f.Min, MaxSupportedVersion: f.Max,
		})
	}
	for _, word := range words[2:] {
		switch key, value, _ := strings.Cut(word, "="); key {
		case "cluster":
			r.ClusterId = value
		case "dir":
			r.LogDirs = []wire.UUID{testID(value)}
		case "rack":
			r.Rack = &value
		case "previous":
			r.PreviousBrokerEpoch, err = strconv.ParseInt(value, 10, 64)
		case "metadata.version":
			r.Features[slices.IndexFunc(r.Features, func(f protocol.BrokerRegistrationRequestFeature) bool { return f.Name == key })].MaxSupportedVersion = 29
		}
	}
	if err != nil {
		w.t.Fatal(err)
	}
	return r
}

var uuidLiteral = regexp.MustCompile(`"id:(\w*)"`)

func parseRequest(t testing.TB, name, version, body string) (protocol.Request, int16) {
	t.Helper()
	v, err := strconv.ParseInt(strings.TrimPrefix(version, "v"), 10, 16)
	if err != nil {
		t.Fatal(err)
	}
	for _, api := range protocol.APIs {
		if api.Name != name {
			continue
		}
		r := api.NewRequest()
		if d, ok := r.(interface{ SetDefaults() }); ok {
			d.SetDefaults()
		}
		body = uuidLiteral.ReplaceAllStringFunc(body, func(s string) string {
			b, _ := json.Marshal([16]byte(testID(uuidLiteral.FindStringSubmatch(s)[1])))
			return strings.ReplaceAll(string(b), `"`, "")
		})
		decoder := json.NewDecoder(strings.NewReader(body))
		decoder.DisallowUnknownFields()
		if err := decoder.Decode(r); err != nil {
			t.Fatalf("%s: %v", body, err)
		}
		return r, int16(v)
	}
	t.Fatalf("unknown API %q", name)
	return nil, 0
}

// render prints a message without the fields that say nothing.
func render(m any) string {
	if m == nil {
		return "nothing"
	}
	return renderValue(reflect.ValueOf(m))
}

func renderValue(v reflect.Value) string {
	switch x := v.Interface().(type) {
	case protocol.ErrorCode:
		return x.String()
	case wire.UUID:
		if text := strings.TrimRight(string(x[:]), "\x00"); strings.Trim(text, "TXDabcdefghijklmnopqrstuvwxyz0123456789") == "" {
			return "id:" + text
		}
		return x.String()
	}
	switch v.Kind() {
	case reflect.Pointer:
		if v.IsNil() {
			return "null"
		}
		return renderValue(v.Elem())
	case reflect.String:
		return strconv.Quote(v.String())
	case reflect.Slice:
		if v.Type().Elem().Kind() == reflect.Struct && v.Len() > 9 {
			return fmt.Sprintf("[%d of them]", v.Len())
		}
		var items []string
		for i := range v.Len() {
			items = append(items, renderValue(v.Index(i)))
		}
		return "[" + strings.Join(items, " ") + "]"
	case reflect.Struct:
		return renderStruct(v)
	}
	return fmt.Sprint(v.Interface())
}

func renderStruct(v reflect.Value) string {
	var fields []string
	for i := range v.NumField() {
		f := v.Field(i)
		if f.IsZero() && f.Type() != reflect.TypeFor[protocol.ErrorCode]() || f.Kind() == reflect.Slice && f.Len() == 0 && f.IsNil() {
			continue
		}
		fields = append(fields, v.Type().Field(i).Name+":"+renderValue(f))
	}
	return v.Type().Name() + "{" + strings.Join(fields, " ") + "}"
}
