package differential

import (
	"fmt"
	"time"

	"github.com/naru-stream/naru/internal/kafka/compress"
	"github.com/naru-stream/naru/internal/kafka/protocol"
	"github.com/naru-stream/naru/internal/kafka/record"
)

type (
	fetchTopic     = protocol.FetchRequestFetchTopic
	fetchPartition = protocol.FetchRequestFetchPartition
)

// at is a partition to fetch from an offset.
func at(partition int32, offset int64, change ...func(*fetchPartition)) fetchPartition {
	return def(func(p *fetchPartition) {
		p.Partition, p.FetchOffset, p.PartitionMaxBytes = partition, offset, 1<<20
		for _, c := range change {
			c(p)
		}
	})
}

// fetchOf makes a request without a session that does not wait.
func (s *Session) fetchOf(v int16, topics ...fetchTopic) *protocol.FetchRequest {
	for i := range topics {
		if v >= 13 {
			topics[i].TopicId, topics[i].Topic = s.id(topics[i].Topic), ""
		}
	}
	r := def(func(r *protocol.FetchRequest) { r.MinBytes, r.MaxBytes, r.Topics = 1, 1<<20, topics })
	if v >= 15 {
		r.ReplicaState.SetDefaults()
	}
	return &r
}

// fill writes three batches of 3, 2 and 4 records and cuts the log at offset 1.
func (s *Session) fill(topic string, partition int32) {
	for i, n := range []int{3, 2, 4} {
		s.do(9, s.produceTo(9, topic, partition, build(records(n, epochMs+int64(i)*1000), nil)))
	}
	s.deleteBefore(topic, partition, 1)
}

func (s *Session) deleteBefore(topic string, partition int32, offset int64) {
	s.do(2, &protocol.DeleteRecordsRequest{TimeoutMs: 5000, Topics: list(protocol.DeleteRecordsRequestDeleteRecordsTopic{
		Name: topic, Partitions: list(protocol.DeleteRecordsRequestDeleteRecordsPartition{PartitionIndex: partition, Offset: offset})})})
}

// fetch reads from offsets inside and outside of logs, with all limits.
func fetch(s *Session) {
	s.topic("fetch", 3)
	s.fill("fetch", 0)
	s.topic("fetch-packed", 1)
	for _, name := range sortedKeys(codecs) {
		s.do(9, s.produceTo(9, "fetch-packed", 0, coded(3, codecs[name])))
	}
	key := protocol.KeyFetch
	one := func(p fetchPartition) fetchTopic { return fetchTopic{Topic: "fetch", Partitions: list(p)} }
	for _, offset := range []int64{-2, -1, 0, 1, 2, 3, 4, 8, 9, 10, 1 << 40} {
		s.each(key, fmt.Sprint("offset ", offset), func(v int16) protocol.Request { return s.fetchOf(v, one(at(0, offset))) })
	}
	for _, size := range []int32{-1, 0, 1, 60, 61, 100, 200, 2147483647} {
		s.each(key, fmt.Sprint("partition max bytes ", size), func(v int16) protocol.Request {
			return s.fetchOf(v, one(at(0, 1, func(p *fetchPartition) { p.PartitionMaxBytes = size })))
		})
		s.each(key, fmt.Sprint("max bytes ", size), func(v int16) protocol.Request {
			r := s.fetchOf(v, one(at(0, 1)), fetchTopic{Topic: "fetch-packed", Partitions: list(at(0, 0))})
			r.MaxBytes = size
			return r
		})
	}
	for _, level := range []int8{0, 1, 2} {
		s.each(key, fmt.Sprint("isolation ", level), func(v int16) protocol.Request {
			r := s.fetchOf(v, one(at(0, 1)))
			r.IsolationLevel = level
			return r
		})
	}
	s.each(key, "all codecs", func(v int16) protocol.Request {
		return s.fetchOf(v, fetchTopic{Topic: "fetch-packed", Partitions: list(at(0, 0))})
	})
	for _, epoch := range []int32{-2, 0, 1, 77} {
		s.each(key, fmt.Sprint("current leader epoch ", epoch), func(v int16) protocol.Request {
			return s.fetchOf(v, one(at(0, 1, func(p *fetchPartition) { p.CurrentLeaderEpoch = epoch })))
		})
		s.each(key, fmt.Sprint("last fetched epoch ", epoch), func(v int16) protocol.Request {
			return s.fetchOf(v, one(at(0, 4, func(p *fetchPartition) { p.LastFetchedEpoch = epoch })))
		})
	}
	s.fetchNames(one)
	s.fetchWaits(one)
}

// fetchNames asks for what does not exist, and for what does twice.
func (s *Session) fetchNames(one func(fetchPartition) fetchTopic) {
	key := protocol.KeyFetch
	s.each(key, "nothing", func(v int16) protocol.Request { return s.fetchOf(v) })
	s.each(key, "no partition", func(v int16) protocol.Request { return s.fetchOf(v, fetchTopic{Topic: "fetch"}) })
	s.each(key, "empty partition", func(v int16) protocol.Request { return s.fetchOf(v, one(at(1, 0))) })
	s.each(key, "unknown partition", func(v int16) protocol.Request { return s.fetchOf(v, one(at(3, 0))) })
	s.each(key, "negative partition", func(v int16) protocol.Request { return s.fetchOf(v, one(at(-1, 0))) })
	s.each(key, "unknown topic", func(v int16) protocol.Request {
		return s.fetchOf(v, fetchTopic{Topic: "fetch-unknown", Partitions: list(at(0, 0))})
	})
	s.each(key, "invalid topic name", func(v int16) protocol.Request {
		return s.fetchOf(v, fetchTopic{Topic: "a b", Partitions: list(at(0, 0))})
	})
	s.each(key, "empty topic name or id", func(v int16) protocol.Request {
		return s.fetchOf(v, fetchTopic{Topic: "", Partitions: list(at(0, 0))})
	})
	s.each(key, "unknown and known", func(v int16) protocol.Request {
		return s.fetchOf(v, fetchTopic{Topic: "fetch-unknown", Partitions: list(at(0, 0))}, one(at(0, 3)))
	})
	s.each(key, "partition twice", func(v int16) protocol.Request {
		return s.fetchOf(v, fetchTopic{Topic: "fetch", Partitions: list(at(0, 3), at(0, 5))})
	})
	s.each(key, "follower that is none", func(v int16) protocol.Request {
		r := s.fetchOf(v, one(at(0, 3)))
		r.ReplicaId, r.ReplicaState.ReplicaId = 5, 5
		if v >= 15 {
			r.ReplicaId = -1
		} else {
			r.ReplicaState.ReplicaId = -1
		}
		return r
	})
	s.each(key, "rack", func(v int16) protocol.Request {
		r := s.fetchOf(v, one(at(0, 3)))
		if v >= 11 {
			r.RackId = "rack"
		}
		return r
	})
	s.each(key, "cluster id that is another", func(v int16) protocol.Request {
		r := s.fetchOf(v, one(at(0, 3)))
		if v >= 12 {
			r.ClusterId = ptr("another")
		}
		return r
	})
}

// fetchWaits looks at min bytes and max wait.
func (s *Session) fetchWaits(one func(fetchPartition) fetchTopic) {
	for _, v := range []int16{4, 12, 18} {
		for _, c := range []struct {
			name      string
			wait, min int32
			partition fetchPartition
			long      bool
		}{
			{"at the end", 300, 1, at(0, 9), true}, {"at the end, min bytes 0", 300, 0, at(0, 9), false}, {"records, min bytes large", 300, 1 << 20, at(0, 1), true},
			{"out of range", 2000, 1, at(0, 99), false}, {"unknown partition", 2000, 1, at(9, 0), false}, {"records", 2000, 1, at(0, 1), false},
			{"negative wait", -5, 1, at(0, 9), false}, {"min bytes negative", 300, -1, at(0, 9), false},
			{"wrong leader epoch", 2000, 1, at(0, 9, func(p *fetchPartition) { p.CurrentLeaderEpoch = 9 }), false},
		} {
			if v < 9 && c.name == "wrong leader epoch" {
				continue
			}
			r := s.fetchOf(v, one(c.partition))
			r.MaxWaitMs, r.MinBytes = c.wait, c.min
			begin := time.Now()
			s.ask("waits: "+c.name, v, r)
			long := time.Since(begin) >= 250*time.Millisecond
			s.note(fmt.Sprintf("waited: %s: long %t/%d", c.name, long, v), nil, nil)
		}
		r := s.fetchOf(v, one(at(2, 0)))
		r.MaxWaitMs = 3000
		other := s.connect()
		m, err := other.ask(&protocol.ListOffsetsRequest{ReplicaId: -1, Topics: list(protocol.ListOffsetsRequestListOffsetsTopic{
			Name: "fetch", Partitions: list(protocol.ListOffsetsRequestListOffsetsPartition{PartitionIndex: 2, CurrentLeaderEpoch: -1, Timestamp: -1})})}, 5)
		if err == nil {
			r.Topics[0].Partitions[0].FetchOffset = m.(*protocol.ListOffsetsResponse).Topics[0].Partitions[0].Offset
		}
		answer := s.start(other, "woken by a produce", v, r)
		time.Sleep(100 * time.Millisecond)
		s.do(9, s.produceTo(9, "fetch", 2, plain(1)))
		answer()
	}
}

// sessions goes through the life of fetch sessions.
func sessions(s *Session) {
	s.topic("sessions", 4)
	s.topic("sessions-other", 1)
	for _, v := range s.versions(protocol.KeyFetch) {
		if v < 7 {
			continue
		}
		s.sessionLife(v)
	}
}

func (s *Session) sessionLife(v int16) {
	id := int32(0)
	ask := func(name string, session, epoch int32, forget []int32, partitions ...fetchPartition) {
		r := s.fetchOf(v)
		if len(partitions) > 0 {
			r = s.fetchOf(v, fetchTopic{Topic: "sessions", Partitions: partitions})
		}
		r.SessionId, r.SessionEpoch = session, epoch
		if forget != nil {
			f := protocol.FetchRequestForgottenTopic{Topic: "sessions", Partitions: forget}
			if v >= 13 {
				f.Topic, f.TopicId = "", s.id("sessions")
			}
			r.ForgottenTopicsData = list(f)
		}
		if m, ok := s.ask(name, v, r).(*protocol.FetchResponse); ok && m.SessionId != 0 {
			id = m.SessionId
		}
	}
	end := func(partition int32) int64 {
		m := s.do(5, &protocol.ListOffsetsRequest{ReplicaId: -1, Topics: list(protocol.ListOffsetsRequestListOffsetsTopic{
			Name: "sessions", Partitions: list(protocol.ListOffsetsRequestListOffsetsPartition{PartitionIndex: partition, CurrentLeaderEpoch: -1, Timestamp: -1})})})
		return m.(*protocol.ListOffsetsResponse).Topics[0].Partitions[0].Offset
	}
	write := func(partition int32) { s.do(9, s.produceTo(9, "sessions", partition, plain(1))) }
	ask("new", 0, 0, nil, at(0, end(0)), at(1, end(1)))
	ask("nothing new", id, 1, nil)
	write(0)
	ask("news of one", id, 2, nil)
	ask("the same again, not advanced", id, 3, nil)
	ask("advanced", id, 4, nil, at(0, end(0)))
	ask("added", id, 5, nil, at(2, end(2)))
	write(2)
	write(1)
	ask("forgotten", id, 6, []int32{1})
	ask("forget what is not there", id, 7, []int32{3, 99})
	ask("added unknown", id, 8, nil, at(77, 0))
	ask("unknown again", id, 9, nil)
	ask("wrong epoch", id, 20, nil)
	ask("right epoch after a wrong one", id, 10, nil)
	ask("epoch used before", id, 5, nil)
	ask("unknown session", id+1, 1, nil)
	ask("session 0 with epoch 1", 0, 1, nil, at(0, 0))
	ask("final epoch", id, -1, nil, at(0, end(0)))
	ask("after the end", id, 11, nil)
	ask("final epoch of no session", 0, -1, nil, at(0, end(0)))
	ask("unknown session with epoch 0", 12345, 0, nil, at(0, end(0)))
	ask("negative epoch", id, -5, nil)
	ask("new without partitions", 0, 0, nil)
	ask("new with an unknown partition", 0, 0, nil, at(50, 0))
}

// timestampsWithin writes records whose times are known.
func (s *Session) timestampsWithin(topic string) {
	s.topic(topic, 5)
	s.fill(topic, 0)
	back := []rec{{[]byte("a"), nil, epochMs + 500}, {[]byte("b"), nil, epochMs + 100}, {[]byte("c"), nil, epochMs + 900}, {[]byte("d"), nil, epochMs + 900}, {[]byte("e"), nil, epochMs + 200}}
	s.do(9, s.produceTo(9, topic, 2, build(back, func(s *record.Spec) { s.Codec = compress.Lz4 })))
	s.do(9, s.produceTo(9, topic, 2, build(back, nil)))
	s.do(9, s.produceTo(9, topic, 3, build([]rec{{nil, nil, -1}, {nil, nil, -1}}, nil)))
}

// listOffsets asks for all kinds of times.
func listOffsets(s *Session) {
	s.timestampsWithin("offsets")
	type partition = protocol.ListOffsetsRequestListOffsetsPartition
	ask := func(v int16, name string, level int8, replica int32, partitions ...partition) protocol.Request {
		return &protocol.ListOffsetsRequest{ReplicaId: replica, IsolationLevel: level, TimeoutMs: 1000,
			Topics: list(protocol.ListOffsetsRequestListOffsetsTopic{Name: name, Partitions: partitions})}
	}
	when := func(index int32, ts int64) partition {
		return partition{PartitionIndex: index, CurrentLeaderEpoch: -1, Timestamp: ts}
	}
	key := protocol.KeyListOffsets
	times := []int64{-1, -2, -3, -4, -5, -6, -7, -100, 0, 1, epochMs - 1, epochMs, epochMs + 1, epochMs + 99, epochMs + 100, epochMs + 101, epochMs + 500, epochMs + 501,
		epochMs + 900, epochMs + 901, epochMs + 1000, epochMs + 2000, epochMs + 2003, epochMs + 2004, 1 << 50}
	for _, ts := range times {
		for _, index := range []int32{0, 1, 2, 3} {
			for _, level := range []int8{0, 1} {
				s.each(key, fmt.Sprintf("time %d in %d, isolation %d", ts, index, level), func(v int16) protocol.Request {
					if v < 2 && level == 1 {
						return nil
					}
					return ask(v, "offsets", level, -1, when(index, ts))
				})
			}
		}
	}
	s.each(key, "nothing", func(v int16) protocol.Request { return &protocol.ListOffsetsRequest{ReplicaId: -1} })
	s.each(key, "no partition", func(v int16) protocol.Request { return ask(v, "offsets", 0, -1) })
	s.each(key, "unknown partition", func(v int16) protocol.Request { return ask(v, "offsets", 0, -1, when(99, -1), when(-1, -1)) })
	s.each(key, "unknown topic", func(v int16) protocol.Request { return ask(v, "offsets-unknown", 0, -1, when(0, -1)) })
	s.each(key, "invalid topic", func(v int16) protocol.Request { return ask(v, "a b", 0, -1, when(0, -1)) })
	s.each(key, "partition twice", func(v int16) protocol.Request { return ask(v, "offsets", 0, -1, when(0, -1), when(0, -2)) })
	s.each(key, "isolation 7", func(v int16) protocol.Request { return ask(v, "offsets", 7, -1, when(0, -1)) })
	for _, replica := range []int32{0, 1, 5, -2, -3} {
		s.each(key, fmt.Sprint("replica ", replica), func(v int16) protocol.Request { return ask(v, "offsets", 0, replica, when(0, -1)) })
	}
	for _, epoch := range []int32{0, 1, -2, 50} {
		s.each(key, fmt.Sprint("leader epoch ", epoch), func(v int16) protocol.Request {
			return ask(v, "offsets", 0, -1, partition{CurrentLeaderEpoch: epoch, Timestamp: -1})
		})
	}
}

// leaderEpochs asks where leader epochs end.
func leaderEpochs(s *Session) {
	s.topic("epochs", 2)
	s.fill("epochs", 0)
	type partition = protocol.OffsetForLeaderEpochRequestOffsetForLeaderPartition
	key := protocol.KeyOffsetForLeaderEpoch
	ask := func(topic string, replica int32, partitions ...partition) func(int16) protocol.Request {
		return func(int16) protocol.Request {
			return &protocol.OffsetForLeaderEpochRequest{ReplicaId: replica, Topics: list(protocol.OffsetForLeaderEpochRequestOffsetForLeaderTopic{Topic: topic, Partitions: partitions})}
		}
	}
	for _, epoch := range []int32{-2, -1, 0, 1, 9} {
		for _, current := range []int32{-1, 0, 1} {
			s.each(key, fmt.Sprintf("epoch %d, current %d", epoch, current), ask("epochs", -2, partition{CurrentLeaderEpoch: current, LeaderEpoch: epoch}))
			s.each(key, fmt.Sprintf("empty log, epoch %d, current %d", epoch, current), ask("epochs", -2, partition{Partition: 1, CurrentLeaderEpoch: current, LeaderEpoch: epoch}))
		}
	}
	s.each(key, "unknown partition", ask("epochs", -2, partition{Partition: 9, CurrentLeaderEpoch: -1}))
	s.each(key, "unknown topic", ask("epochs-unknown", -2, partition{CurrentLeaderEpoch: -1}))
	s.each(key, "replica 1", ask("epochs", 1, partition{CurrentLeaderEpoch: -1}))
	s.each(key, "partition twice", ask("epochs", -2, partition{CurrentLeaderEpoch: -1}, partition{CurrentLeaderEpoch: -1, LeaderEpoch: 5}))
	s.each(key, "nothing", func(int16) protocol.Request { return &protocol.OffsetForLeaderEpochRequest{ReplicaId: -2} })
}

// deleteRecords moves log starts.
func deleteRecords(s *Session) {
	type partition = protocol.DeleteRecordsRequestDeleteRecordsPartition
	for _, v := range s.versions(protocol.KeyDeleteRecords) {
		topic := fmt.Sprint("delete-", v)
		s.topic(topic, 2)
		compacted := fmt.Sprint("delete-compacted-", v)
		s.topic(compacted, 1, "cleanup.policy", "compact")
		s.fill(topic, 0)
		s.do(9, s.produceTo(9, compacted, 0, plain(2)))
		ask := func(name, topic string, partitions ...partition) {
			s.ask(name, v, &protocol.DeleteRecordsRequest{TimeoutMs: 2000, Topics: list(protocol.DeleteRecordsRequestDeleteRecordsTopic{Name: topic, Partitions: partitions})})
		}
		for _, offset := range []int64{-2, 0, 1, 4, 2, 10, 9, -1} {
			ask(fmt.Sprint("offset ", offset), topic, partition{Offset: offset})
		}
		ask("high watermark of an empty log", topic, partition{PartitionIndex: 1, Offset: -1})
		ask("unknown partition", topic, partition{PartitionIndex: 9})
		ask("unknown topic", "delete-unknown", partition{})
		ask("compacted", compacted, partition{Offset: 1})
		ask("internal", "__consumer_offsets", partition{Offset: 0})
		ask("twice", topic, partition{Offset: 0}, partition{PartitionIndex: 0, Offset: -1})
		ask("no partition", topic)
		s.ask("nothing", v, &protocol.DeleteRecordsRequest{TimeoutMs: 2000})
		s.look("what is left", topic, v)
	}
}
