package config

import (
	"fmt"
	"strings"
)

// Type is the type of a setting's value. The numbers are those of the
// ConfigType field of DescribeConfigs responses.
type Type int8

// The types of settings, as Kafka names them.
const (
	Boolean  Type = 1 // true or false
	String   Type = 2 // any text
	Int      Type = 3 // a signed 32-bit integer
	Short    Type = 4 // a signed 16-bit integer
	Long     Type = 5 // a signed 64-bit integer
	Double   Type = 6 // a floating point number
	List     Type = 7 // texts separated by commas
	Class    Type = 8 // the name of a Java class
	Password Type = 9 // a text that is never shown
)

var typeNames = [...]string{"", "BOOLEAN", "STRING", "INT", "SHORT", "LONG", "DOUBLE", "LIST", "CLASS", "PASSWORD"}

// String returns Kafka's name of the type, such as "INT".
func (t Type) String() string {
	if t < 0 || int(t) >= len(typeNames) {
		return fmt.Sprintf("Type(%d)", int8(t))
	}
	return typeNames[t]
}

// Scope says what a setting belongs to.
type Scope int8

// The scopes of settings.
const (
	BrokerScope        Scope = iota // a broker, and server.properties
	TopicScope                      // one topic
	GroupScope                      // one group
	ClientMetricsScope              // one client metrics subscription
)

// String returns the scope in lower case, as Kafka's tools name entity types.
func (s Scope) String() string {
	return [...]string{"broker", "topic", "group", "client-metrics"}[s]
}

// Mode says how a broker setting may change while the broker runs. Settings of
// the other scopes are always dynamic and leave it at ReadOnly.
type Mode int8

// The modes of change.
const (
	ReadOnly    Mode = iota // server.properties only; needs a restart
	PerBroker               // dynamically, for one named broker
	ClusterWide             // dynamically, for one broker or as the cluster's default
)

// String returns the mode as Kafka's documentation names it.
func (m Mode) String() string {
	return [...]string{"read-only", "per-broker", "cluster-wide"}[m]
}

// Status says what Naru does with a setting.
type Status int8

// The statuses of settings.
const (
	Honoured  Status = iota // it does what its documentation says
	Accepted                // it is read and shown, and has no meaning here; Why tells the reason
	NotServed               // it belongs to a feature that is not served yet
)

// String returns the status as docs/configuration.md shows it.
func (s Status) String() string {
	return [...]string{"honoured", "accepted, no effect", "not served yet"}[s]
}

// Key is one setting. The table of keys is constant: callers must not change
// what they get from [Lookup] and [Keys].
type Key struct {
	Name    string // Kafka's name, in lower case with dots
	Type    Type
	Default string // in Kafka's notation; see Unset
	Unset   bool   // there is no default: the value is null until it is set
	Scope   Scope
	Mode    Mode
	Valid   Rule   // what values are allowed beyond the type; the zero Rule allows all
	Broker  string // topic and group settings: the broker setting that supplies the default, if any
	Status  Status
	Why     string // for Accepted and NotServed: why it has no effect, if Doc does not say
	Doc     string // one or two sentences, with units
	Hidden  bool   // read from server.properties, left out of DescribeConfigs as in Kafka
}

// Sensitive reports whether the value must never be shown.
func (k *Key) Sensitive() bool { return k.Type == Password }

// Documentation returns what the setting means, and that it has no effect if so.
func (k *Key) Documentation() string {
	doc := k.Doc
	if k.Status != Honoured {
		status := k.Status.String()
		doc += " " + strings.ToUpper(status[:1]) + status[1:]
		if k.Why != "" {
			doc += ": " + k.Why
		}
		doc += "."
	}
	return doc
}

// Own reports whether the setting is Naru's own and unknown to Apache Kafka.
func (k *Key) Own() bool { return len(k.Name) > 5 && k.Name[:5] == "naru." }

// table holds the keys of each scope in order of name.
var table, byName = assemble(
	serverKeys, networkKeys, logKeys, replicaKeys, quorumKeys, groupKeys,
	consumerGroupKeys, shareGroupKeys, streamsGroupKeys, transactionKeys,
	saslKeys, sslKeys, remoteKeys, internalKeys, naruKeys,
	topicKeys, groupLevelKeys, clientMetricsKeys,
)

// Lookup returns the setting of that name and scope.
func Lookup(scope Scope, name string) (*Key, bool) {
	k, ok := byName[scope][name]
	return k, ok
}

// Keys returns the settings of a scope in order of name, hidden ones included.
func Keys(scope Scope) []*Key { return table[scope] }
