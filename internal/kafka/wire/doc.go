// Package wire reads and writes the primitive types of Kafka's protocol:
// big-endian integers, varints, strings, bytes, arrays, UUIDs and tagged fields,
// each in its classic and, since KIP-482, its compact ("flexible") form.
//
//	            classic                         flexible
//	string      int16 length, bytes             uvarint length+1, bytes
//	bytes       int32 length, bytes             uvarint length+1, bytes
//	array       int32 count, elements           uvarint count+1, elements
//	null        length or count -1              length or count 0
//	tags        (none)                          uvarint n, n × (uvarint tag, uvarint size, size bytes)
//
// A Reader is made for hostile input. Its invariants:
//   - The first error sticks; every later read returns zero values and costs
//     nothing, so that decoders need no check after each field.
//   - A count is refused unless the remaining bytes could hold that many
//     elements of the smallest size; slices grow as elements are really read
//     (Extend), never by the announced count alone.
//   - Strings and bytes alias the buffer that is read. Whoever keeps one longer
//     than the buffer clones it.
//
// Append functions extend the caller's buffer, like the built-in append, and
// allocate only when it is full.
//
// Neighbours: the codecs of protocol, metarecord and coordrecord are generated
// on top of this package. It knows no message.
package wire
