package differential

import (
	"encoding/binary"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/naru-stream/naru/internal/kafka/protocol"
)

// Observation is what one request led to.
type Observation struct {
	// Case is scenario/case/version.
	Case string `json:"case"`
	// Outcome is "answered", "closed" (the connection), "silent" or "undecodable: …".
	Outcome string `json:"outcome"`
	// Fields are the answer's, by path.
	Fields map[string]string `json:"fields,omitempty"`
}

// Session runs one scenario against one server.
type Session struct {
	scenario string
	labels   *labels
	quick    bool
	node     *node
	main     *peer
	peers    []*peer
	ids      map[string]protocol.UUID
	seen     []Observation
}

// node is the server as sessions know it.
type node struct {
	addr, port, dir string
}

func newSession(n *node, scenario string, quick bool) *Session {
	s := &Session{scenario: scenario, node: n, quick: quick, labels: newLabels(n.port, n.dir), ids: map[string]protocol.UUID{}}
	s.main = s.connect()
	return s
}

// connect returns another connection.
func (s *Session) connect() *peer {
	p := &peer{addr: s.node.addr}
	s.peers = append(s.peers, p)
	return p
}

func (s *Session) close() {
	for _, p := range s.peers {
		p.close()
	}
}

// note records an outcome.
func (s *Session) note(name string, m protocol.Message, err error) {
	o := Observation{Case: s.scenario + "/" + name, Outcome: "answered"}
	if err != nil {
		o.Outcome = err.Error()
	} else if m != nil {
		if _, version := split(name); version != "" {
			s.labels.suffix = "-" + version
		}
		f := flattener{labels: s.labels, out: map[string]string{}}
		f.message(m)
		o.Fields, s.labels.suffix = f.out, ""
	}
	s.seen = append(s.seen, o)
}

// versions returns those in which an API is asked.
func (s *Session) versions(key protocol.APIKey) []int16 {
	served := servedVersions[key]
	var out []int16
	for v := served[0]; v <= served[1]; v++ {
		if s.quick && v != served[0] && v != served[1] && v != key.API().FlexibleFrom {
			continue
		}
		out = append(out, v)
	}
	return out
}

// each asks a case in every version; ask may return nil to leave one out. Versions that cannot carry the
// request are left out too.
func (s *Session) each(key protocol.APIKey, name string, ask func(v int16) protocol.Request) {
	for _, v := range s.versions(key) {
		if r := ask(v); r != nil {
			s.ask(name, v, r)
		}
	}
}

// ask sends a request, records the outcome and returns the answer, nil if there was none.
func (s *Session) ask(name string, v int16, r protocol.Request) protocol.Message {
	return s.on(s.main, name, v, r)
}

// on is ask on a certain connection.
func (s *Session) on(p *peer, name string, v int16, r protocol.Request) protocol.Message {
	if protocol.CheckVersion(r, v) != nil {
		return nil
	}
	m, err := p.ask(r, v)
	s.note(fmt.Sprintf("%s/%d", name, v), m, err)
	return m
}

// start sends a request whose answer the returned function waits for and records.
func (s *Session) start(p *peer, name string, v int16, r protocol.Request) func() protocol.Message {
	if protocol.CheckVersion(r, v) != nil {
		return func() protocol.Message { return nil }
	}
	id, err := p.send(r, v)
	return func() protocol.Message {
		var m protocol.Message
		if err == nil {
			m, err = p.receive(r.Key(), v, id, 2*answerLimit)
		}
		s.note(fmt.Sprintf("%s/%d", name, v), m, err)
		return m
	}
}

// unanswered sends a request that gets no answer and records whether the connection outlives it.
func (s *Session) unanswered(name string, v int16, r protocol.Request) {
	_, err := s.main.send(r, v)
	if err == nil {
		_, err = s.main.ask(&protocol.ApiVersionsRequest{}, 0)
	}
	s.note(fmt.Sprintf("%s/%d", name, v), nil, err)
}

// raw sends bytes on a new connection and records what comes back: "closed", "silent", or how many bytes
// and the error code that the first two of the body would be.
func (s *Session) raw(name string, b []byte, limit time.Duration) {
	p := s.connect()
	err := p.write(b)
	var answer []byte
	if err == nil {
		answer, err = p.read(limit)
	}
	if err == nil {
		err = fmt.Errorf("answered %d bytes", len(answer))
		if len(answer) >= 6 {
			err = fmt.Errorf("answered code %d", int16(binary.BigEndian.Uint16(answer[4:])))
		}
	}
	p.close()
	s.note(name, nil, err)
}

// do asks without recording; a failure ends the scenario.
func (s *Session) do(v int16, r protocol.Request) protocol.Message {
	m, err := s.main.ask(r, v)
	if err != nil {
		panic(stop{fmt.Errorf("%s version %d: %w", r.Key(), v, err)})
	}
	return m
}

// stop ends a scenario that cannot go on.
type stop struct{ err error }

// settle waits until done says so or some seconds have passed.
func settle(done func() bool) bool { return within(10*time.Second, done) }

// within waits until done says so or the time is over.
func within(limit time.Duration, done func() bool) bool {
	for end := time.Now().Add(limit); ; {
		if done() {
			return true
		}
		if time.Now().After(end) {
			return false
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// topic creates a topic and waits until it can be written; settings are key, value, key, value, …
func (s *Session) topic(name string, partitions int32, settings ...string) {
	t := protocol.CreateTopicsRequestCreatableTopic{Name: name, NumPartitions: partitions, ReplicationFactor: 1}
	for i := 0; i < len(settings); i += 2 {
		t.Configs = append(t.Configs, protocol.CreateTopicsRequestCreatableTopicConfig{Name: settings[i], Value: &settings[i+1]})
	}
	r := &protocol.CreateTopicsRequest{TimeoutMs: 10000, Topics: []protocol.CreateTopicsRequestCreatableTopic{t}}
	result := s.do(7, r).(*protocol.CreateTopicsResponse).Topics[0]
	if result.ErrorCode == protocol.TopicAlreadyExists {
		m := s.do(12, &protocol.MetadataRequest{Topics: list(protocol.MetadataRequestTopic{Name: &name})}).(*protocol.MetadataResponse)
		s.know(name, m.Topics[0].TopicId)
		return // by an earlier scenario
	}
	if result.ErrorCode != protocol.None {
		panic(stop{fmt.Errorf("creating topic %s: %w", name, result.ErrorCode)})
	}
	s.know(name, result.TopicId)
	s.ready(name, partitions)
}

// know gives a topic id its name.
func (s *Session) know(name string, id protocol.UUID) {
	s.ids[name], s.labels.topics[id] = id, "id("+name+")"
}

// ready waits until all partitions of a topic are led.
func (s *Session) ready(name string, partitions int32) {
	ask := protocol.ListOffsetsRequestListOffsetsTopic{Name: name}
	for i := range partitions {
		ask.Partitions = append(ask.Partitions, protocol.ListOffsetsRequestListOffsetsPartition{PartitionIndex: i, CurrentLeaderEpoch: -1, Timestamp: -1})
	}
	r := &protocol.ListOffsetsRequest{ReplicaId: -1, Topics: []protocol.ListOffsetsRequestListOffsetsTopic{ask}}
	settle(func() bool {
		for _, t := range s.do(5, r).(*protocol.ListOffsetsResponse).Topics {
			for _, p := range t.Partitions {
				if p.ErrorCode != protocol.None {
					return false
				}
			}
		}
		return true
	})
}

// def makes a struct with the schema's defaults and lets set change it.
func def[T any, P interface {
	*T
	SetDefaults()
}](set func(*T)) T {
	var v T
	P(&v).SetDefaults()
	if set != nil {
		set(&v)
	}
	return v
}

func ptr[T any](v T) *T { return &v }

func list[T any](v ...T) []T { return v }

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
