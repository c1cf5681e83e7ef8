package protocol_test

import (
	"bytes"
	"math/rand/v2"
	"testing"

	"github.com/naru-stream/naru/internal/kafka/definition/fill"
	"github.com/naru-stream/naru/internal/kafka/protocol"
)

// writeSplit writes m with a FetchResponseWriter after a prefix.
func writeSplit(w *protocol.FetchResponseWriter, prefix []byte, m *protocol.FetchResponse, version int16) {
	w.Begin(prefix, version, m.ThrottleTimeMs, m.ErrorCode, m.SessionId, len(m.Responses))
	for i := range m.Responses {
		topic := &m.Responses[i]
		w.Topic(topic.Topic, topic.TopicId, len(topic.Partitions))
		for j := range topic.Partitions {
			p := &topic.Partitions[j]
			size := len(p.Records)
			if p.Records == nil {
				size = -1
			}
			w.Partition(p, size)
		}
	}
	w.End(m.NodeEndpoints)
}

// join puts the records of m where the cuts are.
func join(w *protocol.FetchResponseWriter, m *protocol.FetchResponse) []byte {
	var joined []byte
	rest, at, cuts := w.Bytes(), 0, w.Cuts()
	for i := range m.Responses {
		for j := range m.Responses[i].Partitions {
			records := m.Responses[i].Partitions[j].Records
			if len(records) == 0 {
				continue
			}
			joined = append(joined, rest[:cuts[0].At-at]...)
			joined = append(joined, records...)
			rest, at, cuts = rest[cuts[0].At-at:], cuts[0].At, cuts[1:]
		}
	}
	return append(joined, rest...)
}

func TestFetchResponseWriterWritesWhatAppendWrites(t *testing.T) {
	n, seed := fill.Rounds(t)
	definition := loadDefinitions(t)["FetchResponse"]
	rng := rand.New(rand.NewPCG(seed, 1))
	var w protocol.FetchResponseWriter
	for version := int16(4); version <= 18; version++ {
		for range 10 * n {
			var m protocol.FetchResponse
			fill.Random(rng, definition, &m, version)
			want := m.Append([]byte("prefix"), version)
			writeSplit(&w, []byte("prefix"), &m, version)
			if got := join(&w, &m); !bytes.Equal(got, want) || w.Size() != len(want) {
				t.Fatalf("version %d, %+v:\n%x of size %d, want\n%x of size %d", version, m, got, w.Size(), want, len(want))
			}
		}
	}
}

func TestFetchResponseWriterInsistsOnTheAnnouncedCounts(t *testing.T) {
	for name, write := range map[string]func(w *protocol.FetchResponseWriter, p *protocol.FetchResponsePartitionData){
		"a topic too few": func(w *protocol.FetchResponseWriter, _ *protocol.FetchResponsePartitionData) {
			w.Begin(nil, 12, 0, 0, 0, 1)
			w.End(nil)
		},
		"a topic too many": func(w *protocol.FetchResponseWriter, _ *protocol.FetchResponsePartitionData) {
			w.Begin(nil, 12, 0, 0, 0, 0)
			w.Topic("t", protocol.UUID{}, 0)
		},
		"a partition too few": func(w *protocol.FetchResponseWriter, _ *protocol.FetchResponsePartitionData) {
			w.Begin(nil, 12, 0, 0, 0, 2)
			w.Topic("t", protocol.UUID{}, 1)
			w.Topic("u", protocol.UUID{}, 1)
		},
		"a partition too many": func(w *protocol.FetchResponseWriter, p *protocol.FetchResponsePartitionData) {
			w.Begin(nil, 12, 0, 0, 0, 1)
			w.Topic("t", protocol.UUID{}, 0)
			w.Partition(p, 0)
		},
		"endpoints before version 16": func(w *protocol.FetchResponseWriter, _ *protocol.FetchResponsePartitionData) {
			w.Begin(nil, 12, 0, 0, 0, 0)
			w.End(make([]protocol.FetchResponseNodeEndpoint, 1))
		},
		"a session before version 7": func(w *protocol.FetchResponseWriter, _ *protocol.FetchResponsePartitionData) {
			w.Begin(nil, 6, 0, 0, 5, 0)
		},
	} {
		t.Run(name, func(t *testing.T) {
			defer func() {
				if recover() == nil {
					t.Error("nothing stopped it")
				}
			}()
			var p protocol.FetchResponsePartitionData
			p.SetDefaults()
			write(new(protocol.FetchResponseWriter), &p)
		})
	}
}
