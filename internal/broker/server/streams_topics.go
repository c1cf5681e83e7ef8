package server

import (
	"fmt"
	"strings"
	"sync"

	"github.com/naru-stream/naru/internal/kafka/protocol"
)

// Limits of the creation of internal topics for streams groups.
const (
	// maxStreamsTopics is how many topics may be on their way or remembered as failed.
	maxStreamsTopics = 1000
	// maxErrorsTold is how many failures one heartbeat tells of.
	maxErrorsTold = 3
)

// streamsTopics creates the internal topics of streams groups. Every heartbeat of a group
// asks for what is missing; a topic on its way is not asked for again, and one that
// failed not before its failure has been told.
type streamsTopics struct {
	submit func(request protocol.Request, version int16) (protocol.Message, error)
	nowMs  func() int64

	mu     sync.Mutex
	topics map[string]streamsTopic
}

// streamsTopic is a topic on its way, or how it failed.
type streamsTopic struct {
	failed  string // empty: it is on its way
	untilMs int64  // when the failure is forgotten
}

// create has the topics created that can be, and tells of those that failed. It does not
// wait. A failure is told for ttlMs.
func (s *streamsTopics) create(topics []protocol.CreateTopicsRequestCreatableTopic, ttlMs int64) string {
	if len(topics) == 0 {
		return ""
	}
	request := &protocol.CreateTopicsRequest{}
	request.SetDefaults()
	var failed []string
	s.mu.Lock()
	s.forget()
	for _, t := range topics {
		switch known, ok := s.topics[t.Name]; {
		case ok && known.failed != "":
			failed = append(failed, fmt.Sprintf("%s (%s)", t.Name, known.failed))
		case !ok && len(s.topics) < maxStreamsTopics:
			s.topics[t.Name] = streamsTopic{}
			request.Topics = append(request.Topics, t)
		}
	}
	s.mu.Unlock()
	if len(request.Topics) > 0 {
		go s.send(request, ttlMs)
	}
	if more := len(failed) - maxErrorsTold; more > 0 {
		return fmt.Sprintf("%s and %d more", strings.Join(failed[:maxErrorsTold], ", "), more)
	}
	return strings.Join(failed, ", ")
}

// forget drops failures that have been told long enough.
func (s *streamsTopics) forget() {
	now := s.nowMs()
	for name, t := range s.topics {
		if t.failed != "" && now >= t.untilMs {
			delete(s.topics, name)
		}
	}
}

// send creates topics and notes what became of them.
func (s *streamsTopics) send(request *protocol.CreateTopicsRequest, ttlMs int64) {
	m, err := s.submit(request, 7)
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := range request.Topics {
		delete(s.topics, request.Topics[i].Name)
		if err != nil {
			s.topics[request.Topics[i].Name] = streamsTopic{failed: err.Error(), untilMs: s.nowMs() + ttlMs}
		}
	}
	if err != nil {
		return
	}
	for _, t := range m.(*protocol.CreateTopicsResponse).Topics {
		if t.ErrorCode != protocol.None && t.ErrorCode != protocol.TopicAlreadyExists {
			said := t.ErrorCode.Error()
			if t.ErrorMessage != nil && *t.ErrorMessage != "" {
				said = *t.ErrorMessage
			}
			s.topics[t.Name] = streamsTopic{failed: said, untilMs: s.nowMs() + ttlMs}
		}
	}
}
