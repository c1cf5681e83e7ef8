package telemetry

import (
	"math"
	"strconv"
	"strings"
	"testing"

	"github.com/naru-stream/naru/internal/kafka/protocol"
)

// metric writes a Metric message: NAME=gauge:5, NAME=sum:5, NAME=delta:5, NAME=int:5,
// NAME=histogram:5:2 (sum and count), NAME=deltahistogram:5:2, NAME=summary:5:2, each
// with labels after a slash: gauge:5/topic:t/partition:0.
func metric(t *testing.T, name, spec string) []byte {
	t.Helper()
	spec, labels, _ := strings.Cut(spec, "/")
	parts := strings.Split(spec, ":")
	value, err := strconv.ParseFloat(parts[1], 64)
	if err != nil {
		t.Fatal(err)
	}
	var count uint64
	if len(parts) > 2 {
		count, _ = strconv.ParseUint(parts[2], 10, 64)
	}
	attributes := func(field int) []byte {
		var out []byte
		for _, pair := range strings.Split(labels, "/") {
			if key, value, ok := strings.Cut(pair, ":"); ok {
				out = append(out, label(field, key, value)...)
			}
		}
		return out
	}
	number := func(v []byte) []byte { return message(1, attributes(7), fixed(3, 77), v) }
	double := fixed(4, math.Float64bits(value))
	counted := func(field int) []byte {
		return message(1, attributes(field), fixed(3, 77), fixed(4, count), fixed(5, math.Float64bits(value)))
	}
	var data []byte
	switch parts[0] {
	case "gauge":
		data = message(5, number(double))
	case "int":
		data = message(5, number(fixed(6, uint64(int64(value)))))
	case "sum":
		data = message(7, number(double), varint(2, 2), varint(3, 1))
	case "delta":
		data = message(7, number(double), varint(2, 1), varint(3, 1))
	case "histogram":
		data = message(9, counted(9), varint(2, 2))
	case "deltahistogram":
		data = message(9, counted(9), varint(2, 1))
	case "exponential":
		data = message(10, counted(1), varint(2, 2))
	case "summary":
		data = message(11, counted(7))
	default:
		t.Fatalf("unknown kind %q", parts[0])
	}
	return message(2, message(1, []byte(name)), message(2, []byte("a description")), data)
}

func push(t *testing.T, m *Manager, id byte, plain []byte, nowMs int64) protocol.ErrorCode {
	t.Helper()
	in := instance(string(rune(id)))
	c := Client{Connection: uint64(id)}
	response, _ := m.Get(&protocol.GetTelemetrySubscriptionsRequest{ClientInstanceId: in}, c, in, nowMs)
	code, _, _ := m.Push(&protocol.PushTelemetryRequest{ClientInstanceId: in, SubscriptionId: response.SubscriptionId, Metrics: plain}, c, nowMs)
	return code
}

// many returns Metric messages of n different series.
func many(t *testing.T, n int, text string) []byte {
	var out []byte
	for i := range n {
		out = append(out, metric(t, text+strconv.Itoa(i), "gauge:1")...)
	}
	return out
}

func TestAnInstanceKeepsOnlySoManySeries(t *testing.T) {
	m := NewManager(16 << 20)
	if code := push(t, m, 'a', payload(many(t, MaxSeries+10, "m")), 1_000_000_000); code != protocol.None {
		t.Fatal(code)
	}
	for in := range m.Instances(1_000_000_000) {
		if len(in.Series) != MaxSeries || in.Dropped != 10 {
			t.Errorf("%d series and %d dropped, want %d and 10", len(in.Series), in.Dropped, MaxSeries)
		}
	}
}

func TestAnInstanceKeepsOnlySoManyBytes(t *testing.T) {
	m := NewManager(16 << 20)
	push(t, m, 'a', payload(many(t, 100, strings.Repeat("x", 32<<10))), 1_000_000_000)
	if m.store.bytes > MaxInstanceBytes || m.store.bytes < MaxInstanceBytes/2 {
		t.Errorf("%d bytes are kept, want close to %d", m.store.bytes, MaxInstanceBytes)
	}
}

func TestTheOldestInstanceGivesWay(t *testing.T) {
	m := NewManager(16 << 20)
	series := payload(many(t, 30, strings.Repeat("x", 15<<10)))
	pushed := 0
	for ; pushed < 127; pushed++ {
		if code := push(t, m, byte(pushed+1), series, 1_000_000_000); code != protocol.None {
			t.Fatal(code)
		}
	}
	kept := 0
	for in := range m.Instances(1_000_000_000) {
		if kept++; in.ID[0] == 1 {
			t.Error("the oldest instance is still there")
		}
	}
	if m.store.bytes > MaxStoreBytes || kept == pushed || kept < 60 {
		t.Errorf("%d instances with %d bytes are kept of %d, want at most %d bytes", kept, m.store.bytes, pushed, MaxStoreBytes)
	}
	var sum int64
	for e := m.store.order.Front(); e != nil; e = e.Next() {
		sum += e.Value.(*stored).bytes
	}
	if sum != m.store.bytes {
		t.Errorf("the instances have %d bytes together, %d are counted", sum, m.store.bytes)
	}
}

func TestSessionsAreBounded(t *testing.T) {
	m := NewManager(1 << 20)
	for i := range MaxSessions + 100 {
		id := instance("z")
		id[1], id[2] = byte(i>>8), byte(i)
		m.Get(&protocol.GetTelemetrySubscriptionsRequest{}, Client{Connection: 1}, id, 1_000_000_000)
	}
	if len(m.sessions) > MaxSessions || len(m.connections) != 1 {
		t.Errorf("%d sessions and %d connections are kept, want 1 of each", len(m.sessions), len(m.connections))
	}
	for i := range MaxSessions + 100 {
		id := instance("y")
		id[1], id[2] = byte(i>>8), byte(i)
		m.Get(&protocol.GetTelemetrySubscriptionsRequest{}, Client{Connection: uint64(i + 2)}, id, 1_000_000_000)
	}
	if len(m.sessions) != MaxSessions || m.order.Len() != MaxSessions {
		t.Errorf("%d sessions are kept, want %d", len(m.sessions), MaxSessions)
	}
}

func TestAMalformedPayloadLeavesNothingBehind(t *testing.T) {
	m := NewManager(1 << 20)
	good := payload(metric(t, "m", "gauge:1"))
	for _, bad := range [][]byte{
		append(good[:len(good):len(good)], 0x0a, 5, 1),               // a length beyond the end
		append(good[:len(good):len(good)], 0x0b),                     // a group
		message(1, message(2, message(2, message(1, []byte{0xff})))), // a name that is not UTF-8
		append(good[:len(good):len(good)], message(1, message(1, message(1, []byte{8})))...),
	} {
		if code := push(t, m, 'a', bad, 1_000_000_000); code != protocol.InvalidRecord {
			t.Errorf("% x is answered %v, want %v", bad, code, protocol.InvalidRecord)
		}
		m.Disconnected('a')
	}
	for in := range m.Instances(1_000_000_000) {
		t.Errorf("%v has been kept", in)
	}
}

func FuzzPayload(f *testing.F) {
	t := &testing.T{} // for the helpers, which do not fail here
	f.Add(payload(metric(t, "m", "delta:1/topic:t")))
	f.Add(payload(append(metric(t, "h", "histogram:5:2"), metric(t, "s", "summary:5:2")...)))
	f.Add([]byte{0x0a, 0xff, 0xff, 0xff, 0xff, 0x0f})
	f.Fuzz(func(t *testing.T, plain []byte) {
		s := newStore()
		in := s.open(instance("a"), 1)
		d := decoder{resource: in.describe, point: in.put}
		err := d.decode(plain)
		s.settle(in, 0)
		if len(in.series) > MaxSeries || in.bytes > MaxInstanceBytes || len(in.Labels) > MaxLabels {
			t.Fatalf("%d series, %d bytes, %d labels", len(in.series), in.bytes, len(in.Labels))
		}
		check := decoder{resource: func([]Label) {}, point: func(string, []Label, point) {}}
		if again := check.decode(plain); (again == nil) != (err == nil) {
			t.Fatalf("decoded once with %v, once with %v", err, again)
		}
	})
}
