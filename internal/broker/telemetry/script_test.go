package telemetry

import (
	"encoding/binary"
	"fmt"
	"strconv"
	"strings"
	"testing"

	"github.com/naru-stream/naru/internal/kafka/compress"
	"github.com/naru-stream/naru/internal/kafka/protocol"
	"github.com/naru-stream/naru/internal/kafka/wire"
	"github.com/naru-stream/naru/internal/script"
)

// world runs the lines of a script against a Manager:
//
//	subscribe NAME KEY=VALUE …   (a value ends at the next blank)
//	unsubscribe NAME
//	get ID|none [client KEY=VALUE …]
//	push ID [sub=ID|last] [codec=N] [terminating] [bytes=N] [raw=HEX] [NAME=VALUE …]
//	close CONNECTION
//	at MS
//	show
type world struct {
	m    *Manager
	now  int64
	last map[string]int32 // subscription ids that were handed out, by instance
	next byte
}

func TestScripts(t *testing.T) {
	script.Run(t, func(t *testing.T, out *script.Output) func(op, args string) {
		w := &world{m: NewManager(1 << 20), now: 1_000_000_000, last: map[string]int32{}}
		return func(op, args string) {
			for _, line := range w.run(t, op, strings.Fields(args)) {
				out.Say("%s", line)
			}
		}
	})
}

func (w *world) run(t *testing.T, op string, args []string) []string {
	switch op {
	case "subscribe":
		settings := map[string]string{}
		for _, pair := range args[1:] {
			name, value, _ := strings.Cut(pair, "=")
			settings[name] = value
		}
		s, err := NewSubscription(settings)
		if err != nil {
			return []string{"refused: " + err.Error()}
		}
		w.m.Subscribe(args[0], s)
	case "unsubscribe":
		w.m.Subscribe(args[0], nil)
	case "at":
		ms, err := strconv.ParseInt(args[0], 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		w.now = 1_000_000_000 + ms
	case "get":
		return w.get(args)
	case "push":
		return w.push(t, args)
	case "close":
		n, _ := strconv.Atoi(args[0])
		w.m.Disconnected(uint64(n))
	case "show":
		return w.show()
	default:
		t.Fatalf("unknown command %q", op)
	}
	return nil
}

// instance makes an id of a short name: "a" is the id that begins with the byte 'a'.
func instance(name string) wire.UUID {
	if name == "none" {
		return wire.UUID{}
	}
	return wire.UUID{name[0], 6: 0x40, 15: 9}
}

func shortName(id wire.UUID) string {
	if id.IsZero() {
		return "none"
	}
	return string(id[0])
}

func client(args []string) Client {
	c := Client{Connection: 1, ID: "app", Software: "soft", Version: "1.2", SourceAddress: "10.0.0.1", SourcePort: "4000"}
	for _, pair := range args {
		name, value, _ := strings.Cut(pair, "=")
		switch name {
		case "conn":
			n, _ := strconv.Atoi(value)
			c.Connection = uint64(n)
		case "id":
			c.ID = value
		case "software":
			c.Software = value
		case "version":
			c.Version = value
		case "address":
			c.SourceAddress = value
		case "port":
			c.SourcePort = value
		}
	}
	return c
}

func (w *world) get(args []string) []string {
	w.next++
	r := &protocol.GetTelemetrySubscriptionsRequest{ClientInstanceId: instance(args[0])}
	response, first := w.m.Get(r, client(args[1:]), instance(string('A'-1+w.next)), w.now)
	if response.ErrorCode != protocol.None {
		return []string{fmt.Sprint(response.ErrorCode)}
	}
	name := shortName(response.ClientInstanceId)
	changed := "same"
	if old, ok := w.last[name]; !ok || old != response.SubscriptionId {
		changed = "new"
	}
	w.last[name] = response.SubscriptionId
	return []string{fmt.Sprintf("instance %s, %s subscription, every %d ms: %v (max %d bytes, codecs %v, delta %t, first %t)", name, changed,
		response.PushIntervalMs, response.RequestedMetrics, response.TelemetryMaxBytes, response.AcceptedCompressionTypes, response.DeltaTemporality, first)}
}

func (w *world) push(t *testing.T, args []string) []string {
	r := &protocol.PushTelemetryRequest{ClientInstanceId: instance(args[0]), SubscriptionId: w.last[args[0]]}
	var metrics []byte
	var raw []byte
	var connection []string
	size := -1
	for _, arg := range args[1:] {
		name, value, _ := strings.Cut(arg, "=")
		switch name {
		case "sub":
			n, _ := strconv.Atoi(value)
			r.SubscriptionId = int32(n)
		case "codec":
			n, _ := strconv.Atoi(value)
			r.CompressionType = int8(n)
		case "terminating":
			r.Terminating = true
		case "conn":
			connection = []string{arg}
		case "bytes":
			size, _ = strconv.Atoi(value)
		case "raw":
			raw = []byte(value)
		default:
			metrics = append(metrics, metric(t, name, value)...)
		}
	}
	switch {
	case raw != nil:
		r.Metrics = raw
	case size >= 0:
		r.Metrics = compressed(t, make([]byte, size), r.CompressionType)
	case metrics != nil:
		r.Metrics = compressed(t, payload(metrics), r.CompressionType)
	}
	code, _, problem := w.m.Push(r, client(connection), w.now)
	if problem != nil {
		return []string{fmt.Sprintf("%v: %v", code, problem)}
	}
	return []string{fmt.Sprint(code)}
}

func compressed(t *testing.T, plain []byte, codec int8) []byte {
	c := compress.Codec(codec)
	if !c.Valid() {
		return plain
	}
	out, err := compress.Compress(nil, plain, c, c.DefaultLevel())
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func (w *world) show() []string {
	var out []string
	for in := range w.m.Instances(w.now) {
		line := fmt.Sprintf("%s client %s %s %s labels %v", shortName(in.ID), in.Client.ID, in.Client.Software, in.Client.Version, in.Labels)
		if in.Terminating {
			line += " terminating"
		}
		if in.Dropped > 0 {
			line += fmt.Sprintf(" dropped %d", in.Dropped)
		}
		out = append(out, line)
		for _, s := range in.Series {
			out = append(out, fmt.Sprintf("  %s %v %v %v count %d", s.Name, s.Labels, s.Kind, s.Value, s.Count))
		}
	}
	return out
}

// The messages of OTLP, written by hand so that the decoder is not tested with itself.

func tagged(field int, kind int) []byte { return binary.AppendUvarint(nil, uint64(field<<3|kind)) }

func message(field int, content ...[]byte) []byte {
	var body []byte
	for _, c := range content {
		body = append(body, c...)
	}
	return append(binary.AppendUvarint(tagged(field, 2), uint64(len(body))), body...)
}

func fixed(field int, v uint64) []byte { return binary.LittleEndian.AppendUint64(tagged(field, 1), v) }

func varint(field int, v uint64) []byte { return binary.AppendUvarint(tagged(field, 0), v) }

func label(field int, name, value string) []byte {
	return message(field, message(1, []byte(name)), message(2, message(1, []byte(value))))
}

// payload puts Metric messages into a MetricsData message of a client in group g.
func payload(metrics []byte) []byte {
	return message(1, message(1, label(1, "group_id", "g")), message(2, metrics))
}
