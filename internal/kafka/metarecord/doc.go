// Package metarecord holds the records of __cluster_metadata: the metadata
// records of the controller and the control records of the quorum.
//
// The value of a metadata record is framed so that a reader learns the type and
// the version before the payload:
//
//	uvarint frame version (1), uvarint type, uvarint record version, payload
//
// A control record has a key that tells its type (int16 version, int16 type)
// and a value that begins with its own version (int16).
//
// Invariants: what Append writes Parse reads back to its last byte; bytes after
// the payload are an error, because they are a record of a kind this package
// does not understand. Neighbours: wire below; quorum/metadata turns records
// into images.
package metarecord
