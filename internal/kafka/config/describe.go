package config

import (
	"maps"
	"slices"
	"strings"
)

// Synonym is one of the layered values an [Entry] is made of.
type Synonym struct {
	Name   string
	Value  string // empty if Null
	Null   bool   // a sensitive value
	Source Source
}

// Entry is one setting as DescribeConfigs reports it.
type Entry struct {
	Name      string
	Value     string // empty if Null
	Null      bool   // not set, or sensitive
	Type      Type
	Source    Source
	ReadOnly  bool
	Sensitive bool
	Synonyms  []Synonym // the strongest first; the value in force leads, if any layer names it
	Doc       string
}

// DescribeBroker returns the settings of this broker, all of Kafka's and those
// of Naru's that are set, or only the named ones; unknown names are passed over
// unless server.properties holds them, where they count as sensitive.
func (v Values) DescribeBroker(names []string) []Entry {
	var out []Entry
	for _, k := range table[BrokerScope] {
		shown := !k.Hidden && !k.Own() || v.IsSet(k.Name)
		if names != nil {
			shown = slices.Contains(names, k.Name)
		}
		if shown {
			out = append(out, v.brokerEntry(k))
		}
	}
	for _, name := range v.otherNames() {
		if names != nil && !slices.Contains(names, name) {
			continue
		}
		if k, ok := listenerSetting(name); ok {
			out = append(out, v.brokerEntry(&Key{Name: name, Type: k.Type, Doc: k.Documentation()}))
			continue
		}
		synonym := Synonym{Name: name, Null: true, Source: StaticBrokerConfig}
		out = append(out, Entry{Name: name, Null: true, Source: StaticBrokerConfig, ReadOnly: true, Sensitive: true, Synonyms: []Synonym{synonym}})
	}
	return out
}

// otherNames returns what is set of names that are not in the table, dynamically only
// for single listeners.
func (v Values) otherNames() []string {
	names := map[string]bool{}
	for name := range v.static {
		names[name] = true
	}
	for _, layer := range []map[string]string{v.perBroker, v.clusterDefault} {
		for name := range layer {
			if _, ok := listenerSetting(name); ok {
				names[name] = true
			}
		}
	}
	maps.DeleteFunc(names, func(name string, _ bool) bool {
		_, known := Lookup(BrokerScope, name)
		return known
	})
	return slices.Sorted(maps.Keys(names))
}

// shown returns a value as it is understood: a list without blanks and repetitions.
func (k *Key) shown(value string) string {
	if k.Type == List {
		return strings.Join(splitList(value), ",")
	}
	return value
}

func (v Values) brokerEntry(k *Key) Entry {
	e := Entry{Name: k.Name, Type: k.Type, ReadOnly: k.Mode == ReadOnly, Sensitive: k.Sensitive(), Doc: k.Documentation(), Source: DefaultConfig}
	value, _, ok := v.Lookup(k.Name)
	if e.Null = !ok || k.Sensitive(); !e.Null {
		e.Value = k.shown(value)
	}
	e.Synonyms = v.synonyms(k.Name)
	if len(e.Synonyms) > 0 {
		e.Source = e.Synonyms[0].Source
	}
	return e
}

// DescribeClusterDefault returns the cluster-wide dynamic settings, what
// DescribeConfigs reports for the broker resource without a name.
func (v Values) DescribeClusterDefault(names []string) []Entry {
	var out []Entry
	for _, name := range slices.Sorted(maps.Keys(v.clusterDefault)) {
		k, ok := Lookup(BrokerScope, name)
		if !ok || names != nil && !slices.Contains(names, name) {
			continue
		}
		e := v.brokerEntry(k)
		if !k.Sensitive() {
			e.Value, e.Null = k.shown(v.clusterDefault[name]), false
		}
		e.Synonyms = slices.DeleteFunc(e.Synonyms, func(s Synonym) bool { return s.Source != DynamicDefaultBrokerConfig })
		e.Source = DynamicDefaultBrokerConfig
		out = append(out, e)
	}
	return out
}

// synonyms lists the values of a broker setting and of those that can stand in
// for it, layer by layer. As in Kafka the list starts at the first value of the
// setting itself: log.retention.ms has no synonyms while only
// log.retention.hours holds a value.
func (v Values) synonyms(name string) []Synonym {
	var out []Synonym
	add := func(name, value string, source Source) {
		s := Synonym{Name: name, Value: value, Source: source}
		if k, ok := brokerKey(name); ok && k.Sensitive() {
			s.Value, s.Null = "", true
		}
		out = append(out, s)
	}
	names := brokerSynonyms(name)
	layers := []struct {
		values map[string]string
		source Source
	}{{v.perBroker, DynamicBrokerConfig}, {v.clusterDefault, DynamicDefaultBrokerConfig}, {v.static, StaticBrokerConfig}}
	for _, layer := range layers {
		for _, n := range names {
			if value, ok := layer.values[n]; ok {
				add(n, value, layer.source)
			}
		}
	}
	for _, n := range names {
		if k, ok := Lookup(BrokerScope, n); ok && !k.Unset {
			add(n, k.Default, DefaultConfig)
		}
	}
	first := slices.IndexFunc(out, func(s Synonym) bool { return s.Name == name })
	if first < 0 {
		return nil
	}
	return out[first:]
}

// DescribeTopic returns the settings of a topic with the given overrides, all
// or only the named ones.
func (v Values) DescribeTopic(overrides map[string]string, names []string) []Entry {
	return v.describe(TopicScope, DynamicTopicConfig, overrides, names)
}

// DescribeGroup returns the settings of a group with the given overrides, all or
// only the named ones.
func (v Values) DescribeGroup(overrides map[string]string, names []string) []Entry {
	return v.describe(GroupScope, DynamicGroupConfig, overrides, names)
}

// DescribeClientMetrics returns the settings of a client metrics subscription,
// all or only the named ones.
func (v Values) DescribeClientMetrics(overrides map[string]string, names []string) []Entry {
	return v.describe(ClientMetricsScope, DynamicClientMetricsConfig, overrides, names)
}

func (v Values) describe(scope Scope, source Source, overrides map[string]string, names []string) []Entry {
	var out []Entry
	for _, k := range table[scope] {
		value, overridden := overrides[k.Name]
		if k.Hidden && !overridden || names != nil && !slices.Contains(names, k.Name) {
			continue
		}
		e := Entry{Name: k.Name, Type: k.Type, Doc: k.Documentation(), Source: DefaultConfig, Value: v.inherited(k)}
		if k.Broker != "" {
			e.Synonyms = v.synonyms(k.Broker)
		} else if scope == GroupScope {
			e.Synonyms = []Synonym{{Name: k.Name, Value: k.Default, Source: DefaultConfig}}
		}
		if overridden {
			e.Value = k.shown(value)
			e.Synonyms = slices.Insert(e.Synonyms, 0, Synonym{Name: k.Name, Value: value, Source: source})
		}
		if len(e.Synonyms) > 0 {
			e.Source = e.Synonyms[0].Source
		}
		out = append(out, e)
	}
	return out
}

// inherited returns the value of a topic or group setting without override.
func (v Values) inherited(k *Key) string {
	if k.Scope == TopicScope {
		return v.topicDefault(k.Name)
	}
	if k.Broker != "" {
		if value, _, ok := v.Lookup(k.Broker); ok {
			return value
		}
	}
	return k.Default
}
