package config

import (
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// entry is what Apache Kafka reports for one setting.
type reported struct {
	Name, Type, Default string
	ReadOnly, Sensitive bool
	Synonyms            []string
}

// kafka reads what Apache Kafka reports: all of 4.3.1's settings and what Naru has of 4.4's.
func kafka(t *testing.T) map[string][]reported {
	t.Helper()
	var data []byte
	for _, file := range []string{"testdata/kafka-4.3.1.tsv", "testdata/kafka-4.4.0.tsv"} {
		lines, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		data = append(data, lines...)
	}
	out := map[string][]reported{}
	for line := range strings.Lines(string(data)) {
		if line[0] == '#' {
			continue
		}
		f := strings.Split(strings.TrimSuffix(line, "\n"), "\t")
		readOnly, _ := strconv.ParseBool(f[4])
		sensitive, _ := strconv.ParseBool(f[5])
		out[f[0]] = append(out[f[0]], reported{f[1], f[2], f[3], readOnly, sensitive, splitList(f[6])})
	}
	return out
}

// describeAll returns what a fresh node describes, by scope.
func describeAll() map[string][]Entry {
	var v Values
	return map[string][]Entry{
		"broker":         v.DescribeBroker(nil),
		"topic":          v.DescribeTopic(nil, nil),
		"group":          v.DescribeGroup(nil, nil),
		"client-metrics": v.DescribeClientMetrics(nil, nil),
	}
}

// notReported are settings that every Kafka broker has and that were left out of
// the record because their values name the machine.
var notReported = []string{"advertised.listeners", "controller.quorum.voters", "log.dir", "log.dirs"}

func TestAFreshNodeDescribesItselfAsApacheKafkaDoes(t *testing.T) {
	want := kafka(t)
	for scope, entries := range describeAll() {
		var got []reported
		for _, e := range entries {
			if slices.Contains(notReported, e.Name) {
				continue
			}
			r := reported{Name: e.Name, Type: e.Type.String(), Default: e.Value, ReadOnly: e.ReadOnly, Sensitive: e.Sensitive}
			if e.Null {
				r.Default = "<null>"
			}
			for _, s := range e.Synonyms {
				r.Synonyms = append(r.Synonyms, s.Name)
			}
			got = append(got, r)
		}
		slices.SortFunc(want[scope], func(a, b reported) int { return strings.Compare(a.Name, b.Name) })
		if diff := cmp.Diff(want[scope], got); diff != "" {
			t.Errorf("%s settings differ from Kafka's (-kafka +naru):\n%s", scope, diff)
		}
		if len(got) == 0 {
			t.Errorf("no %s settings", scope)
		}
	}
}

func TestEveryDefaultIsAllowed(t *testing.T) {
	for scope := range Scope(scopes) {
		for _, k := range Keys(scope) {
			if k.Unset {
				continue
			}
			if err := k.Check(k.Default); err != nil {
				t.Errorf("%s setting %s: %v", scope, k.Name, err)
			}
		}
	}
}

func TestNamesAreUnique(t *testing.T) {
	for scope := range Scope(scopes) {
		if len(Keys(scope)) != len(byName[scope]) {
			t.Errorf("%s: %d settings, %d names", scope, len(Keys(scope)), len(byName[scope]))
		}
	}
}

func TestEverySynonymIsABrokerSettingWithTheSameDefault(t *testing.T) {
	for _, scope := range []Scope{TopicScope, GroupScope} {
		for _, k := range Keys(scope) {
			if k.Broker == "" {
				continue
			}
			if _, ok := Lookup(BrokerScope, k.Broker); !ok {
				t.Errorf("%s takes its default from %s, which does not exist", k.Name, k.Broker)
			}
			if got := (Values{}).inherited(k); got != k.Default {
				t.Errorf("%s: the default is %s, the one taken from %s is %s", k.Name, k.Default, k.Broker, got)
			}
		}
	}
}

func TestTheTopicStructureHasEveryTopicSettingInOrder(t *testing.T) {
	var got, want []string
	for _, f := range topicFields {
		got = append(got, f.name)
	}
	for _, k := range Keys(TopicScope) {
		want = append(want, k.Name)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}
