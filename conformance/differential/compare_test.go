package differential

import (
	"path/filepath"
	"slices"
	"testing"

	"github.com/naru-stream/naru/internal/kafka/protocol"
)

func observed(s *Session, name string, m protocol.Message) Observation {
	s.note(name, m, nil)
	return s.seen[len(s.seen)-1]
}

func session() *Session { return newSession(&node{port: "9", dir: "/data"}, "test", false) }

func TestOrderAndIdsDoNotCountButContentDoes(t *testing.T) {
	answer := func(code protocol.ErrorCode, names ...string) *protocol.CreateTopicsResponse {
		r := &protocol.CreateTopicsResponse{}
		for i, name := range names {
			r.Topics = append(r.Topics, protocol.CreateTopicsResponseCreatableTopicResult{Name: name, TopicId: protocol.UUID{1, byte(i), byte(code)}})
		}
		r.Topics[0].ErrorCode = code
		return r
	}
	a := observed(session(), "create/5", answer(protocol.None, "x-5", "y-5"))
	b := observed(session(), "create/5", answer(protocol.None, "y-5", "x-5"))
	if d := Compare([]Observation{a}, []Observation{b}); len(d) > 0 {
		t.Fatalf("differences: %+v", d)
	}
	b = observed(session(), "create/5", answer(protocol.InvalidConfig, "x-5", "y-5"))
	d := Compare([]Observation{a}, []Observation{b})
	if len(d) != 1 || d[0].Kafka != "NONE" || d[0].Naru != "INVALID_CONFIG" || d[0].Case != "test/create" || !slices.Equal(d[0].Versions, []string{"5"}) {
		t.Fatalf("differences: %+v", d)
	}
	b = observed(session(), "create/5", answer(protocol.None, "x-5"))
	if d := Compare([]Observation{a}, []Observation{b}); len(d) != 2 { // the number of topics, and the one that lacks
		t.Fatalf("differences: %+v", d)
	}
}

func TestMembersAreToldApartByWhenTheyAppeared(t *testing.T) {
	s := session()
	id := func(n string) string { return "differ-0000000" + n + "-0000-4000-8000-000000000000" }
	first := observed(s, "a/1", &protocol.JoinGroupResponse{MemberId: id("1"), Leader: id("1")})
	second := observed(s, "a/2", &protocol.JoinGroupResponse{MemberId: id("2"), Leader: id("1")})
	if first.Fields["MemberId"] != "differ-<1>" || second.Fields["MemberId"] != "differ-<2>" || second.Fields["Leader"] != "differ-<1>" {
		t.Fatalf("%+v %+v", first, second)
	}
}

func TestAnExplanationThatExplainsNothingIsStale(t *testing.T) {
	d := []Difference{{Case: "fetch/offset 5", Path: "Topics[a].ErrorCode", Kafka: "NONE", Naru: "X"}}
	why := []Explanation{{Case: "fetch/*", Path: "*ErrorCode", Naru: "X", Why: "because"}, {Case: "fetch/*", Naru: "Y", Why: "no more"}, {Case: "z", Why: "rare", Sometimes: true}}
	stale := Explain(d, why)
	if d[0].Why != "because" || len(stale) != 1 || stale[0].Why != "no more" {
		t.Fatalf("%+v, stale %+v", d, stale)
	}
}

func TestObservationsAreKeptAsTheyAre(t *testing.T) {
	file := filepath.Join(t.TempDir(), "kept.json.gz")
	all := []Observation{{Case: "a/1", Outcome: "answered", Fields: map[string]string{"X": "1"}}, {Case: "a/2", Outcome: "closed"}, {Case: "a/3", Outcome: "answered", Fields: map[string]string{"X": "1"}}}
	if err := Save(file, all); err != nil {
		t.Fatal(err)
	}
	loaded, err := Load(file)
	if err != nil || len(Compare(all, loaded)) > 0 || len(loaded) != 3 {
		t.Fatalf("%+v, %v", loaded, err)
	}
}

func TestExplanationsAreReadable(t *testing.T) {
	if _, err := LoadExplanations("explained.json"); err != nil {
		t.Fatal(err)
	}
}
