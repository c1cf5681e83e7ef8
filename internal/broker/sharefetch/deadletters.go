package sharefetch

import (
	"github.com/naru-stream/naru/internal/broker/deadletter"
	"github.com/naru-stream/naru/internal/broker/sharepartition"
)

// takeLetters takes the dead letters that can be written now; whoever takes some must
// write them. The caller holds mu.
func (s *share) takeLetters() []sharepartition.DeadLetter {
	if s.status != active {
		return nil
	}
	letters := s.core.DeadLetters()
	if len(letters) > 0 {
		s.letters++
	}
	return letters
}

// writeLetters has dead letters written, together.
func (s *share) writeLetters(letters []sharepartition.DeadLetter) {
	if len(letters) == 0 {
		return
	}
	l := deadletter.Letter{
		Group: s.group, Topic: s.replica.Topic, TopicID: s.at.Topic, Partition: s.at.Index,
		Done: func() { s.bury(letters) },
	}
	for _, d := range letters {
		l.Records = append(l.Records, deadletter.Range{First: d.First, Last: d.Last, Count: d.Count, Reason: d.Cause.String()})
	}
	s.m.WriteDeadLetter(l)
}

// bury archives what dead letters are written of. If the share partition was given up
// meanwhile, who holds it next has them written again.
func (s *share) bury(letters []sharepartition.DeadLetter) {
	s.mu.Lock()
	s.letters--
	if s.status == active {
		for _, d := range letters {
			if c := s.core.Bury(d); len(c.Batches) > 0 {
				s.queue = append(s.queue, change{Change: c})
			}
		}
	}
	s.flush()
	s.wake()
	s.leave()
}
