// Package protocol holds the messages of Kafka's protocol: a Go struct for the
// request and response of every API with every version Apache Kafka 4.3 knows,
// the headers, the table of APIs and the error codes.
//
// # Names
//
// A struct has its schema's name (FetchRequest). A struct within a message has
// the message's name in front of its own (FetchRequestFetchTopic), unless its
// own begins with it (MetadataResponseTopic). Fields have the schema's names.
// NN_name_gen.go holds API number NN; the definitions are in messages, from
// which `go generate` writes the code.
//
// # Values
//
// Nullable strings and structs are pointers; nil bytes, records and arrays are
// null where the field is nullable in the version and empty elsewhere. A message
// that is filled by hand starts with SetDefaults, also for its nested structs:
// the zero value of a field (a leader id of 0) is often not its default (-1).
//
// # Decode
//
// Decode reads hostile bytes: it never panics, its time is linear in the length
// of the buffer, and it allocates what it has really read, not what is announced.
// An element takes more room in memory than on the wire: a byte that says "empty
// string" is 16 bytes in memory, and slices double while they grow. At worst
// some 45 bytes are allocated for each byte of the buffer (a test holds it below
// 64), half of which stays. Fields that the version lacks get the schema's
// default. Unknown tagged fields are skipped.
// Bytes after the message are ignored, as Kafka's brokers ignore them.
//
// Strings and bytes alias the buffer: clone what outlives it. A struct may be
// decoded into again; its slices are then reused, and with them whatever still
// refers to them. Warm, this allocates nothing but the pointers of non-null
// nullable strings and structs.
//
// # Append
//
// Append extends the caller's buffer. A field that the version does not have is
// dropped if the schema calls it ignorable. Any other value that the version
// cannot carry is a bug of the caller: Append panics through package assert
// rather than send something else. CheckVersion finds out beforehand; whoever
// sends what others have filled in calls it and answers with an error. A string
// longer than 32,767 bytes is such a bug too, except in fields called
// ErrorMessage, which are cut.
//
// FetchResponseWriter writes a FetchResponse around record bytes that it does
// not touch, so that they can go from file to socket.
//
// Neighbours: wire has the primitive types; metarecord and coordrecord hold the
// records that Kafka stores in its own topics; record has the batches that
// Produce and Fetch carry as opaque bytes.
package protocol

//go:generate go run ../generate
