package topology

import (
	"strings"
	"testing"

	"github.com/naru-stream/naru/internal/kafka/coordrecord"
	"github.com/naru-stream/naru/internal/kafka/protocol"
)

func wordCount() *value {
	return &value{Subtopologies: []subtopology{
		{SubtopologyId: "0", SourceTopics: []string{"lines"}, RepartitionSinkTopics: []string{"r"}},
		{SubtopologyId: "1", RepartitionSourceTopics: []topicInfo{{Name: "r"}}, StateChangelogTopics: []topicInfo{{Name: "c"}},
			CopartitionGroups: []coordrecord.StreamsGroupTopologyValueCopartitionGroup{{RepartitionSourceTopics: []int16{0}}}},
	}}
}

func TestATopologyOutlivesItsRequest(t *testing.T) {
	name := []byte("lines")
	request := &protocol.StreamsGroupHeartbeatRequestTopology{Subtopologies: []protocol.StreamsGroupHeartbeatRequestSubtopology{{
		SubtopologyId: "0", SourceTopics: []string{string(name)},
	}}}
	got, err := FromRequest(request)
	if err != nil {
		t.Fatal(err)
	}
	request.Subtopologies[0].SourceTopics[0] = "other"
	if id, ok := got.Source("lines"); !ok || id != "0" {
		t.Errorf("lines is read by %q, %v", id, ok)
	}
}

func TestTopologiesAreEqualInAnyOrderOfSubtopologies(t *testing.T) {
	a, err := New(wordCount())
	if err != nil {
		t.Fatal(err)
	}
	v := wordCount()
	v.Subtopologies[0], v.Subtopologies[1] = v.Subtopologies[1], v.Subtopologies[0]
	b, err := New(v)
	if err != nil || !a.Equal(b) {
		t.Errorf("the same subtopologies in another order are another topology (%v)", err)
	}
	v.Subtopologies[0].StateChangelogTopics[0].Name = "d"
	if b, err = New(v); err != nil || a.Equal(b) {
		t.Errorf("another changelog makes the same topology (%v)", err)
	}
}

func TestWhatATopologyMayHaveIsBounded(t *testing.T) {
	for name, change := range map[string]func(*value){
		"subtopologies": func(v *value) { v.Subtopologies = make([]subtopology, MaxSubtopologies+1) },
		"topics":        func(v *value) { v.Subtopologies[0].SourceTopics = make([]string, MaxTopics+1) },
		"id":            func(v *value) { v.Subtopologies[0].SubtopologyId = strings.Repeat("x", MaxIDBytes+1) },
		"reference":     func(v *value) { v.Subtopologies[1].CopartitionGroups[0].RepartitionSourceTopics[0] = 1 },
		"negative":      func(v *value) { v.Subtopologies[1].CopartitionGroups[0].SourceTopics = []int16{-1} },
	} {
		v := wordCount()
		change(v)
		if _, err := New(v); err == nil {
			t.Errorf("%s: taken", name)
		}
	}
	v := wordCount()
	v.Subtopologies[1].RepartitionSourceTopics[0].Partitions = MaxTasks + 1
	got, err := New(v)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := got.Configure(func(topic string) (int32, bool) { return 1, topic == "lines" }); err == nil {
		t.Error("too many tasks are taken")
	}
}

func FuzzConfigure(f *testing.F) {
	f.Add(wordCount().Append(nil, 0), uint8(1))
	f.Fuzz(func(t *testing.T, b []byte, exist uint8) {
		var v value
		if v.Decode(b, 0) != nil {
			return
		}
		got, err := New(&v)
		if err != nil {
			return
		}
		c, err := got.Configure(func(topic string) (int32, bool) { return int32(len(topic)) + 1, int(exist) > len(topic) })
		if err != nil {
			return
		}
		tasks := 0
		for i := range c.Subtopologies {
			tasks += int(c.Subtopologies[i].Tasks)
			if c.Find(c.Subtopologies[i].ID) != &c.Subtopologies[i] {
				t.Errorf("subtopology %q is not found", c.Subtopologies[i].ID)
			}
		}
		if tasks > MaxTasks || c.Problem == nil && len(c.Missing) > 0 {
			t.Errorf("%d tasks, problem %v, missing %v", tasks, c.Problem, c.Missing)
		}
	})
}
