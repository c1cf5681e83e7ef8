package config

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/naru-stream/naru/internal/assert"
)

// Source says which layer a value comes from. The numbers are those of the
// ConfigSource field of DescribeConfigs responses.
type Source int8

// The layers, as the protocol numbers them.
const (
	DynamicTopicConfig         Source = 1 // set for the one topic
	DynamicBrokerConfig        Source = 2 // set dynamically for this broker
	DynamicDefaultBrokerConfig Source = 3 // set dynamically for all brokers
	StaticBrokerConfig         Source = 4 // from server.properties
	DefaultConfig              Source = 5 // the default of the table
	DynamicBrokerLoggerConfig  Source = 6 // the level of one logger
	DynamicClientMetricsConfig Source = 7 // set for the client metrics subscription
	DynamicGroupConfig         Source = 8 // set for the one group
)

var sourceNames = [...]string{
	"UNKNOWN", "DYNAMIC_TOPIC_CONFIG", "DYNAMIC_BROKER_CONFIG", "DYNAMIC_DEFAULT_BROKER_CONFIG", "STATIC_BROKER_CONFIG",
	"DEFAULT_CONFIG", "DYNAMIC_BROKER_LOGGER_CONFIG", "DYNAMIC_CLIENT_METRICS_CONFIG", "DYNAMIC_GROUP_CONFIG",
}

// String returns Kafka's name of the source, such as "DEFAULT_CONFIG".
func (s Source) String() string {
	if s < 0 || int(s) >= len(sourceNames) {
		return sourceNames[0]
	}
	return sourceNames[s]
}

// Values holds the broker's settings in their layers. It is immutable and may be
// used from any goroutine; the zero Values holds the defaults. Getters parse on
// every call: keep what a hot path needs.
type Values struct {
	perBroker, clusterDefault, static map[string]string
}

// NewValues takes the settings of server.properties. Names that are not in the
// table are kept (Kafka shows them too) and not complained about here, see
// [Unknown]; the error joins one [*InvalidError] for each bad value, or says which
// settings contradict each other.
func NewValues(static map[string]string) (Values, error) {
	v := Values{static: maps.Clone(static)}
	err := checkAll(static)
	if err == nil {
		err = v.contradiction()
	}
	if err == nil {
		topic := v.Topic()
		err = topic.contradiction()
	}
	return v, err
}

// WithDynamic returns the settings with other dynamic layers: the ones of this
// broker and the cluster-wide defaults. Values that are not allowed are left out
// and joined in the error, the result is usable all the same.
func (v Values) WithDynamic(perBroker, clusterDefault map[string]string) (Values, error) {
	err := errors.Join(checkAll(perBroker), checkAll(clusterDefault))
	bad := func(name, value string) bool {
		k, ok := brokerKey(name)
		return ok && k.Check(value) != nil
	}
	v.perBroker, v.clusterDefault = maps.Clone(perBroker), maps.Clone(clusterDefault)
	maps.DeleteFunc(v.perBroker, bad)
	maps.DeleteFunc(v.clusterDefault, bad)
	return v, err
}

func checkAll(settings map[string]string) error {
	var errs []error
	for _, name := range slices.Sorted(maps.Keys(settings)) {
		if k, ok := brokerKey(name); ok {
			errs = append(errs, k.Check(settings[name]))
		}
	}
	return errors.Join(errs...)
}

// brokerKey returns the setting that says what values a name of a broker's takes.
func brokerKey(name string) (*Key, bool) {
	if k, ok := Lookup(BrokerScope, name); ok {
		return k, true
	}
	return listenerSetting(name)
}

// Lookup returns the value of a broker setting and the layer it comes from; ok
// is false if it is null. Synonyms are not followed: see [Values.Topic] for the
// families of retention and rolling.
func (v Values) Lookup(name string) (value string, source Source, ok bool) {
	if s, ok := v.perBroker[name]; ok {
		return s, DynamicBrokerConfig, true
	}
	if s, ok := v.clusterDefault[name]; ok {
		return s, DynamicDefaultBrokerConfig, true
	}
	if s, ok := v.static[name]; ok {
		return s, StaticBrokerConfig, true
	}
	if k, ok := Lookup(BrokerScope, name); ok && !k.Unset {
		return k.Default, DefaultConfig, true
	}
	return "", DefaultConfig, false
}

// IsSet reports whether a layer above the default holds the setting.
func (v Values) IsSet(name string) bool {
	_, source, ok := v.Lookup(name)
	return ok && source != DefaultConfig
}

func (v Values) text(name string, types ...Type) string {
	k, ok := Lookup(BrokerScope, name)
	assert.That(ok, "%q is not a broker setting", name)
	assert.That(slices.Contains(types, k.Type), "%s is of type %s, read as %s", name, k.Type, types[0])
	s, _, _ := v.Lookup(name)
	return strings.TrimSpace(s)
}

func (v Values) integer(name string, types ...Type) int64 {
	s := v.text(name, types...)
	n, err := strconv.ParseInt(s, 10, 64)
	assert.That(err == nil || s == "", "%s holds %q, which was not checked", name, s)
	return n
}

// Bool returns a BOOLEAN setting.
func (v Values) Bool(name string) bool { return strings.EqualFold(v.text(name, Boolean), "true") }

// Int32 returns an INT or SHORT setting, 0 if it is null.
func (v Values) Int32(name string) int32 { return int32(v.integer(name, Int, Short)) }

// Int16 returns a SHORT setting, 0 if it is null.
func (v Values) Int16(name string) int16 { return int16(v.integer(name, Short)) }

// Int64 returns a LONG, INT or SHORT setting, 0 if it is null.
func (v Values) Int64(name string) int64 { return v.integer(name, Long, Int, Short) }

// Float64 returns a DOUBLE setting.
func (v Values) Float64(name string) float64 {
	f, _ := strconv.ParseFloat(v.text(name, Double), 64)
	return f
}

// String returns a STRING, CLASS or PASSWORD setting, "" if it is null.
func (v Values) String(name string) string { return v.text(name, String, Class, Password) }

// List returns a LIST setting; the caller owns the slice.
func (v Values) List(name string) []string { return splitList(v.text(name, List)) }

// Static returns a copy of the settings of server.properties.
func (v Values) Static() map[string]string { return maps.Clone(v.static) }

// firstSet returns the value of the strongest non-null member of a family of
// synonyms, and which one it was. Within a layer-less family Kafka lets the
// finer unit win wherever it is set.
func (v Values) firstSet(names []string) (name, value string, ok bool) {
	for _, n := range names {
		if value, _, ok := v.Lookup(n); ok {
			return n, value, true
		}
	}
	return "", "", false
}

// Unknown returns a warning for each name that is not a broker setting, with
// the nearest right one.
func Unknown(settings map[string]string) []string {
	var out []string
	for _, name := range slices.Sorted(maps.Keys(settings)) {
		if _, ok := Lookup(BrokerScope, name); ok || isPrefixed(name) {
			continue
		}
		if near := Suggest(BrokerScope, name); near != "" {
			out = append(out, fmt.Sprintf("unknown setting %q is ignored: did you mean %s?", name, near))
		} else {
			out = append(out, fmt.Sprintf("unknown setting %q is ignored", name))
		}
	}
	return out
}

// isPrefixed reports whether a name belongs to a listener or to a plug-in, which
// define their own names.
func isPrefixed(name string) bool {
	for _, prefix := range []string{"listener.name.", "rlmm.config.", "rsm.config.", "config.providers."} {
		if strings.HasPrefix(name, prefix) {
			return true
		}
	}
	return false
}
