// Package replica is this broker's part in each partition: what it may take, what
// it may show, and when an append counts.
//
// A Partition joins a storage log with what the cluster says about it. Appends
// pass through it to the log; it answers them when their acks are satisfied. It
// keeps the high watermark: the offset below which every in-sync replica vouches
// for the records. In durability mode `group` a replica vouches only for synced
// bytes, in mode `os` for what the page cache holds. Readers see nothing above the
// high watermark.
//
// The Manager holds the partitions and follows the metadata: it creates and
// deletes logs, takes and gives up leadership, and passes settings on.
//
//	                 Append ──▶ storage.Log ──Appended/Durable──▶ state.advance
//	metadata ──▶ Manager                                             │
//	                 Read ◀──────── high watermark ◀─────────────────┘──▶ Watch, waiting appends
//
// Neighbours: below broker/storage and quorum/metadata; above broker/server and
// coordinator/*.
//
// Invariants: the high watermark never moves back while this broker leads; an
// append is answered exactly once; Done and Notify are called with no lock held.
// The rule of how the high watermark moves is in state.go and is pure.
package replica
