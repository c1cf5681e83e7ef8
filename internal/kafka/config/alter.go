package config

import (
	"fmt"
	"slices"
	"strings"
)

// CheckDynamic validates a dynamic change of a broker setting: for one named
// broker, or (perBroker false) as the cluster's default.
func CheckDynamic(name, value string, perBroker bool) error {
	k, ok := Lookup(BrokerScope, name)
	if base, prefixed := listenerSetting(name); prefixed {
		if !perBroker && !slices.Contains(listenerForAll, base.Name) {
			return notForAll(name, value)
		}
		return base.Check(value)
	}
	switch {
	case !ok && isPrefixed(name) && perBroker:
		return nil
	case !ok && isPrefixed(name):
		return notForAll(name, value)
	case !ok:
		return unknown(BrokerScope, name)
	case k.Mode == ReadOnly:
		return &InvalidError{Key: name, Value: value, Problem: "Cannot update these configs dynamically: [" + name + "]",
			Help: "set it in server.properties and restart the node"}
	case listenerOnly(name):
		return &InvalidError{Key: name,
			Problem: "These security configs can be dynamically updated only per-listener using the listener prefix: [" + name + "]",
			Help:    "write listener.name.<listener name in lower case>." + name}
	case name == "listeners" || name == "listener.security.protocol.map":
		// Kafka opens and closes listeners while it runs. Refusing is better than a value
		// that is shown and has no effect.
		return &InvalidError{Key: name, Value: value, Problem: "Cannot update these configs dynamically: [" + name + "]",
			Help: "listeners do not change while a node runs: set it in server.properties and restart the node"}
	case k.Mode == PerBroker && !perBroker:
		return notForAll(name, value)
	}
	return k.Check(value)
}

func notForAll(name, value string) error {
	return &InvalidError{Key: name, Value: value,
		Problem: "Cannot update these configs at default cluster level, broker id must be specified: [" + name + "]",
		Help:    "name the broker"}
}

// listenerOnly reports whether a setting changes dynamically only for one
// listener: the keys and certificates of TLS.
func listenerOnly(name string) bool {
	return strings.HasPrefix(name, "ssl.keystore.") || strings.HasPrefix(name, "ssl.truststore.") || name == "ssl.key.password"
}

// AppendList returns a LIST value with the items of add that it lacks at its
// end: the APPEND operation of IncrementalAlterConfigs.
func (k *Key) AppendList(current, add string) (string, error) {
	if k.Type != List {
		return "", k.notList("APPEND")
	}
	items := splitList(current)
	for _, item := range splitList(add) {
		if !slices.Contains(items, item) {
			items = append(items, item)
		}
	}
	return strings.Join(items, ","), nil
}

// SubtractList returns a LIST value without the items of remove: the SUBTRACT
// operation of IncrementalAlterConfigs.
func (k *Key) SubtractList(current, remove string) (string, error) {
	if k.Type != List {
		return "", k.notList("SUBTRACT")
	}
	gone := splitList(remove)
	items := slices.DeleteFunc(splitList(current), func(item string) bool { return slices.Contains(gone, item) })
	return strings.Join(items, ","), nil
}

func (k *Key) notList(op string) error {
	return &InvalidError{Key: k.Name, Problem: fmt.Sprintf("Can't %s to key %s because its type is not LIST.", op, k.Name),
		Help: "use SET with the whole value"}
}

// SyncsBeforeAck reports whether the records of a topic must be on the device
// before they are acknowledged, under a mode of naru.durability: always with
// group or flush.messages=1, and with auto where min.insync.replicas lets a
// single replica acknowledge.
func (t *Topic) SyncsBeforeAck(mode string) bool {
	return t.FlushMessages == 1 || mode == "group" || mode == "auto" && t.MinInsyncReplicas <= 1
}
