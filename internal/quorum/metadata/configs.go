package metadata

import (
	"cmp"
	"iter"
	"slices"
	"strings"

	"github.com/naru-stream/naru/internal/kafka/metarecord"
)

// The kinds of resource that have settings, with Kafka's numbers.
const (
	ResourceTopic         int8 = 2
	ResourceBroker        int8 = 4
	ResourceBrokerLogger  int8 = 8
	ResourceClientMetrics int8 = 16
	ResourceGroup         int8 = 32
)

// ConfigResource names what settings belong to. The broker with the empty name
// is the default for all brokers.
type ConfigResource struct {
	Type int8
	Name string
}

// TopicResource returns the resource that holds a topic's settings.
func TopicResource(name string) ConfigResource { return ConfigResource{ResourceTopic, name} }

func compareResource(a, b ConfigResource) int {
	return cmp.Or(cmp.Compare(a.Type, b.Type), strings.Compare(a.Name, b.Name))
}

// Config is the settings stored for one resource, without defaults. It is
// immutable; the zero Config is empty.
type Config struct{ entries []configEntry }

type configEntry struct{ name, value string }

// Len returns the number of settings.
func (c Config) Len() int { return len(c.entries) }

// Get returns the stored text of a setting and whether it is stored.
func (c Config) Get(name string) (string, bool) {
	at, ok := c.find(name)
	if !ok {
		return "", false
	}
	return c.entries[at].value, true
}

// All yields every setting in the order of the names.
func (c Config) All() iter.Seq2[string, string] {
	return func(yield func(string, string) bool) {
		for _, e := range c.entries {
			if !yield(e.name, e.value) {
				return
			}
		}
	}
}

// Map returns the settings as a map of the caller's own.
func (c Config) Map() map[string]string {
	m := make(map[string]string, len(c.entries))
	for _, e := range c.entries {
		m[e.name] = e.value
	}
	return m
}

func (c Config) find(name string) (int, bool) {
	return slices.BinarySearchFunc(c.entries, name, func(e configEntry, name string) int {
		return strings.Compare(e.name, name)
	})
}

// with returns the settings with one of them set, or removed if value is nil.
func (c Config) with(name string, value *string) Config {
	at, found := c.find(name)
	entries := slices.Clone(c.entries)
	switch {
	case value == nil && found:
		entries = slices.Delete(entries, at, at+1)
	case value == nil:
	case found:
		entries[at].value = strings.Clone(*value)
	default:
		entries = slices.Insert(entries, at, configEntry{strings.Clone(name), strings.Clone(*value)})
	}
	return Config{entries}
}

func (d *Delta) changeConfig(r *metarecord.ConfigRecord) {
	resource := ConfigResource{r.ResourceType, strings.Clone(r.ResourceName)}
	d.touchConfig(resource)
	edit := edit(&d.configs, d.img.configs)
	old, _ := edit.Get(resource)
	if changed := old.with(r.Name, r.Value); changed.Len() > 0 {
		edit.Set(resource, changed)
	} else {
		edit.Delete(resource)
	}
}

func (d *Delta) dropConfigs(resource ConfigResource) {
	if edit(&d.configs, d.img.configs).Delete(resource) {
		d.touchConfig(resource)
	}
}
