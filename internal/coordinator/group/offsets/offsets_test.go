package offsets

import (
	"slices"
	"testing"

	"github.com/naru-stream/naru/internal/kafka/wire"
)

func TestARecordGivesBackTheOffset(t *testing.T) {
	for _, want := range []Committed{
		{Offset: 42, LeaderEpoch: 7, Metadata: "hello", CommitTimestampMs: 1000, ExpireTimestampMs: -1, TopicID: wire.UUID{1, 2, 3}},
		{Offset: 0, LeaderEpoch: -1, CommitTimestampMs: 1000, ExpireTimestampMs: -1},
		{Offset: 42, LeaderEpoch: -1, Metadata: "old", CommitTimestampMs: 1000, ExpireTimestampMs: 2000},
	} {
		got, err := DecodeValue(AppendValue(nil, &want))
		if err != nil || got != want {
			t.Errorf("%+v was read back as %+v (%v)", want, got, err)
		}
	}
	group, topic, partition, err := DecodeKey(AppendKey(nil, "g", "t", 3)[2:])
	if err != nil || group != "g" || topic != "t" || partition != 3 {
		t.Errorf("the key was read back as %q %q %d (%v)", group, topic, partition, err)
	}
}

func TestAStoreHoldsNothingEmpty(t *testing.T) {
	var s Store
	s.Put("g", "t", 1, Committed{Offset: 1})
	s.Put("g", "t", 0, Committed{Offset: 2})
	s.Put("g", "t", 0, Committed{Offset: 3})
	s.Put("g", "u", 0, Committed{Offset: 4})
	if s.Count("g") != 3 || s.Total() != 3 || !slices.Equal(s.Topics("g"), []string{"t", "u"}) || !slices.Equal(s.Partitions("g", "t"), []int32{0, 1}) {
		t.Fatalf("%d offsets of %v, %v", s.Count("g"), s.Topics("g"), s.Partitions("g", "t"))
	}
	if c, ok := s.Get("g", "t", 0); !ok || c.Offset != 3 {
		t.Errorf("the last commit is not the one that counts: %+v", c)
	}
	for _, x := range []struct {
		topic     string
		partition int32
		was       bool
	}{{"t", 0, true}, {"t", 0, false}, {"t", 1, true}, {"v", 0, false}, {"u", 0, true}} {
		if s.Remove("g", x.topic, x.partition) != x.was {
			t.Errorf("removing %s-%d: was it there? %v expected", x.topic, x.partition, x.was)
		}
	}
	if len(s.groups) != 0 || s.Total() != 0 {
		t.Errorf("the store is not empty: %d groups, %d offsets", len(s.groups), s.Total())
	}
}

func TestAStoreSharesNoBytesWithTheRequest(t *testing.T) {
	var s Store
	key := AppendKey(nil, "g", "t", 0)[2:]
	group, topic, _, err := DecodeKey(key)
	if err != nil {
		t.Fatal(err)
	}
	value := AppendValue(nil, &Committed{Metadata: "m", ExpireTimestampMs: -1})
	c, err := DecodeValue(value)
	if err != nil {
		t.Fatal(err)
	}
	s.Put(group, topic, 0, c)
	clear(key)
	clear(value)
	if c, ok := s.Get("g", "t", 0); !ok || c.Metadata != "m" {
		t.Errorf("the offset changed with the buffer it was read from: %+v, %v", c, ok)
	}
}
