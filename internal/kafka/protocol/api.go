package protocol

import (
	"strconv"

	"github.com/naru-stream/naru/internal/kafka/wire"
)

// UUID is wire.UUID.
type UUID = wire.UUID

// Message is a request or response without its header. The version is the
// negotiated version of the API; Append needs one that CheckVersion accepts.
type Message interface {
	Decode(b []byte, version int16) error
	Append(b []byte, version int16) []byte
}

// Request is the Message that a client sends.
type Request interface {
	Message
	Key() APIKey
}

// APIKey is the number of an API.
type APIKey int16

// String returns Kafka's name of the API, such as Fetch.
func (k APIKey) String() string {
	if a := k.API(); a != nil {
		return a.Name
	}
	return "API" + strconv.Itoa(int(k))
}

// API returns the entry of the table, or nil for an API that does not exist (or
// no longer, as with those of ZooKeeper times).
func (k APIKey) API() *API {
	// The keys have few gaps, so that the entry is at or before index k.
	for i := min(int(k), len(APIs)-1); i >= 0 && APIs[i].Key >= k; i-- {
		if APIs[i].Key == k {
			return &APIs[i]
		}
	}
	return nil
}

// Listeners says on which kinds of listeners Kafka serves an API.
type Listeners uint8

// Kinds of listeners.
const (
	OnBroker Listeners = 1 << iota
	OnController
)

// API describes one API. MinVersion and MaxVersion are those of the schema: what
// is served and advertised is for the server to decide.
type API struct {
	Key  APIKey
	Name string
	// MinVersion and MaxVersion are the versions the codec knows.
	MinVersion, MaxVersion int16
	// FlexibleFrom is the first version with tagged fields, or -1.
	FlexibleFrom int16
	Listeners    Listeners
	// LatestUnstable says that MaxVersion is not yet final in Kafka, which
	// serves it only when unstable versions are enabled.
	LatestUnstable bool
	NewRequest     func() Request
	NewResponse    func() Message
}

// Supports reports whether the codec knows the version.
func (a *API) Supports(version int16) bool {
	return version >= a.MinVersion && version <= a.MaxVersion
}

// Flexible reports whether the version has tagged fields.
func (a *API) Flexible(version int16) bool { return a.FlexibleFrom >= 0 && version >= a.FlexibleFrom }

// CheckVersion returns an error if m has a value that the version cannot carry
// and that may not be dropped; Append would panic.
func CheckVersion(m Message, version int16) error {
	if c, ok := m.(interface{ CheckVersion(version int16) error }); ok {
		return c.CheckVersion(version)
	}
	return nil
}
