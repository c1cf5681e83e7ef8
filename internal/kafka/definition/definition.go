// Package definition reads the text files in which the messages and records of
// Kafka's protocol are defined (protocol/messages, whose README describes the
// language).
//
// Neighbours: generate writes the Go codecs from definitions; the tests of the
// codecs use them to know which values a version can carry. The running program
// does not import this package.
package definition

import "math"

// Open is the upper end of a range that has none.
const Open = math.MaxInt16

// Range is a range of versions, both ends included. It is empty if Lo > Hi.
type Range struct{ Lo, Hi int16 }

// None is the empty range.
var None = Range{1, 0}

// Has reports whether v is in the range.
func (r Range) Has(v int16) bool { return r.Lo <= v && v <= r.Hi }

// Empty reports whether the range has no version.
func (r Range) Empty() bool { return r.Lo > r.Hi }

// Covers reports whether every version of s is in r.
func (r Range) Covers(s Range) bool { return s.Empty() || r.Lo <= s.Lo && s.Hi <= r.Hi }

// Intersect returns the versions that are in both ranges.
func (r Range) Intersect(s Range) Range {
	x := Range{max(r.Lo, s.Lo), min(r.Hi, s.Hi)}
	if x.Empty() {
		return None
	}
	return x
}

// File is the content of one definition file.
type File struct {
	// Name of the file.
	Name string
	// Package is the Go package of the generated code.
	Package string
	// API is set if the file defines the request and response of an API.
	API *API
	// Messages are in the order of the file.
	Messages []*Message
}

// API is the line that opens the file of an API.
type API struct {
	Key       int16
	Name      string
	Listeners []string
	// Unstable says that Kafka serves the latest version only when unstable
	// versions are enabled.
	Unstable bool
}

// Message is a request, a response, or the key or value of a record.
type Message struct {
	Name  string
	Valid Range
	// FlexibleFrom is the first version with compact types and tagged fields, or
	// -1.
	FlexibleFrom int16
	// Key is the API key or record type of a record, or -1.
	Key    int16
	Fields []*Field
	// Structs are those which several fields share.
	Structs []*Struct
}

// Flexible reports whether version v uses compact types and tagged fields.
func (m *Message) Flexible(v int16) bool { return m.FlexibleFrom >= 0 && v >= m.FlexibleFrom }

// Struct is a group of fields.
type Struct struct {
	Name   string
	Fields []*Field
	// Shared says that several fields of the message may use it.
	Shared bool
}

// Field is one field of a message or struct.
type Field struct {
	// Name is the Go name.
	Name string
	// SchemaName is the name in Kafka's schema, with its first letter in upper
	// case. It differs from Name only where that is also the name of a method.
	SchemaName string
	// Type is bool, int8, int16, int32, int64, uint16, uint32, float64, string,
	// uuid, bytes, records, or the name of a struct.
	Type  string
	Array bool
	// Versions that have the field, within those of its parent.
	Versions Range
	// Nullable are the versions in which it may be null, within Versions.
	Nullable Range
	// Tag is the number of a tagged field, or -1.
	Tag int
	// Default is the decimal, true or null that an absent field has, or "" for
	// the zero value (empty, but not null).
	Default string
	// Ignorable says that a value is dropped in versions without the field.
	Ignorable bool
	// Struct is set if Type is the name of one.
	Struct *Struct
}
