package config

import (
	"slices"
	"strings"
)

const scopes = 4

func assemble(subjects ...[]Key) ([scopes][]*Key, [scopes]map[string]*Key) {
	var sorted [scopes][]*Key
	var index [scopes]map[string]*Key
	for i := range index {
		index[i] = map[string]*Key{}
	}
	for _, subject := range subjects {
		for i := range subject {
			k := &subject[i]
			sorted[k.Scope] = append(sorted[k.Scope], k)
			index[k.Scope][k.Name] = k
		}
	}
	for _, keys := range sorted {
		slices.SortFunc(keys, func(a, b *Key) int { return strings.Compare(a.Name, b.Name) })
	}
	return sorted, index
}

// brokerSynonyms returns the broker settings that can supply the value of one
// of them, the strongest first: three units for retention, two for rolling, and
// the flush interval with its scheduler; for a single listener's that of all listeners.
func brokerSynonyms(name string) []string {
	if k, ok := listenerSetting(name); ok {
		return []string{name, k.Name}
	}
	for _, family := range families {
		if slices.Contains(family.names, name) && !family.onlyFirst || family.names[0] == name {
			return family.names
		}
	}
	return []string{name}
}

var families = []struct {
	names     []string
	onlyFirst bool // the later names do not in turn depend on the first
}{
	{names: []string{"log.roll.ms", "log.roll.hours"}},
	{names: []string{"log.roll.jitter.ms", "log.roll.jitter.hours"}},
	{names: []string{"log.flush.interval.ms", "log.flush.scheduler.interval.ms"}, onlyFirst: true},
	{names: []string{"log.retention.ms", "log.retention.minutes", "log.retention.hours"}},
}
