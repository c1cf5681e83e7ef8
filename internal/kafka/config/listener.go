package config

import "strings"

// listenerPrefix begins the settings of single listeners:
// listener.name.<listener in lower case>.<setting>.
const listenerPrefix = "listener.name."

// listenerSetting returns the setting that the name of a single listener's is made of.
func listenerSetting(name string) (k *Key, ok bool) {
	rest, ok := strings.CutPrefix(name, listenerPrefix)
	if !ok {
		return nil, false
	}
	_, setting, _ := strings.Cut(rest, ".")
	return Lookup(BrokerScope, setting)
}

// listenerLimits are the settings of single listeners that are honoured, listenerForAll
// those that may be changed for all brokers at once.
var (
	listenerLimits = []string{"max.connections", "max.connection.creation.rate"}
	listenerForAll = append([]string{"num.network.threads"}, listenerLimits...)
)

// ListenerInt32 returns an INT setting of a listener, or the broker's if the listener
// has none; own tells which.
func (v Values) ListenerInt32(listener, setting string) (n int32, own bool) {
	name := listenerPrefix + strings.ToLower(listener) + "." + setting
	if text, _, ok := v.Lookup(name); ok {
		if k, _ := Lookup(BrokerScope, setting); k.Check(text) == nil {
			return parseInt32(text), true
		}
	}
	return v.Int32(setting), false
}
