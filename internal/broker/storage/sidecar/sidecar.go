// Package sidecar has the formats of the small files beside a partition's
// segments: who the partition is, and what its producers had sent.
//
// Neighbours: package storage says when and where; the sparse index of a
// segment has a room of its own, index.
//
// Invariant: a file that is cut or changed anywhere is recognised.
package sidecar

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"path"

	"github.com/naru-stream/naru/internal/broker/storage/producerstate"
	"github.com/naru-stream/naru/internal/broker/storage/segmentfile"
	"github.com/naru-stream/naru/internal/kafka/wire"
	"github.com/naru-stream/naru/internal/vfs"
)

// A partition's directory holds partition.meta, from which a lost manifest is
// made anew; big-endian:
//
//	0      4     8        24          28       32
//	+------+-----+--------+-----------+--------+-------+
//	| NPRT | ver | top.id | partition | crc32c | topic |
//	+------+-----+--------+-----------+--------+-------+
//
// The crc covers everything else; the topic's name fills the rest.
const (
	metaVersion    = 1
	metaHeaderSize = 32
	metaCRCAt      = 28
)

// PartitionFile is the name of that file.
const PartitionFile = "partition.meta"

// EncodePartition makes a partition.meta.
func EncodePartition(topic string, id wire.UUID, partition int32) []byte {
	b := append([]byte("NPRT"), 0, 0, 0, metaVersion)
	b = append(b, id[:]...)
	b = binary.BigEndian.AppendUint32(b, uint32(partition))
	b = append(b, 0, 0, 0, 0)
	b = append(b, topic...)
	binary.BigEndian.PutUint32(b[metaCRCAt:], metaChecksum(b))
	return b
}

// WritePartition writes a partition.meta. It does not sync it.
func WritePartition(fsys vfs.FS, name, topic string, id wire.UUID, partition int32) error {
	f, err := fsys.Create(name)
	if err != nil {
		return err
	}
	_, err = f.WriteAt(EncodePartition(topic, id, partition), 0)
	return errors.Join(err, f.Close())
}

func metaChecksum(b []byte) uint32 {
	return crc32.Update(crc32.Update(0, castagnoli, b[:metaCRCAt]), castagnoli, b[metaHeaderSize:])
}

// DecodePartition reads a partition.meta.
func DecodePartition(b []byte) (topic string, id wire.UUID, partition int32, err error) {
	if len(b) < metaHeaderSize || string(b[:4]) != "NPRT" || binary.BigEndian.Uint32(b[4:]) != metaVersion {
		return "", id, 0, fmt.Errorf("no partition header in %d bytes", len(b))
	}
	if binary.BigEndian.Uint32(b[metaCRCAt:]) != metaChecksum(b) {
		return "", id, 0, errors.New("checksum mismatch")
	}
	return string(b[metaHeaderSize:]), wire.UUID(b[8:24]), int32(binary.BigEndian.Uint32(b[24:])), nil
}

// A snapshot file is the state's own snapshot, the aborted transactions of the
// segments that have no index of their own yet, and a trailer, big-endian:
//
//	+----------------+----------------------+---------------+---------+
//	| state snapshot | aborted transactions | length of the | crc32c  |
//	|                | 38 bytes each        | snapshot u32  | u32     |
//	+----------------+----------------------+---------------+---------+
//
// The crc covers everything before it.
const snapshotTrailer = 8

// EncodeSnapshot makes a snapshot file.
func EncodeSnapshot(state *producerstate.State, aborted []producerstate.AbortedTxn) []byte {
	b := state.AppendSnapshot(nil)
	n := len(b)
	for _, a := range aborted {
		b = a.Append(b)
	}
	b = binary.BigEndian.AppendUint32(b, uint32(n))
	return binary.BigEndian.AppendUint32(b, crc32.Checksum(b, castagnoli))
}

// DecodeSnapshot reads a snapshot file into state, which is empty after an error of
// its own part, and returns the aborted transactions.
func DecodeSnapshot(b []byte, state *producerstate.State) ([]producerstate.AbortedTxn, error) {
	if len(b) < snapshotTrailer {
		return nil, fmt.Errorf("a snapshot of %d bytes: %w", len(b), producerstate.ErrSnapshot)
	}
	at := len(b) - snapshotTrailer
	n := int64(binary.BigEndian.Uint32(b[at:]))
	if n > int64(at) || crc32.Checksum(b[:at+4], castagnoli) != binary.BigEndian.Uint32(b[at+4:]) {
		return nil, fmt.Errorf("checksum mismatch: %w", producerstate.ErrSnapshot)
	}
	if err := state.Load(b[:n]); err != nil {
		return nil, err
	}
	return producerstate.DecodeAborted(nil, b[n:at])
}

// WriteSnapshot writes a snapshot file into a partition's directory, durably.
func WriteSnapshot(fsys vfs.FS, dir string, offset int64, data []byte) error {
	name := path.Join(dir, segmentfile.Name(offset, segmentfile.SnapshotSuffix))
	err := vfs.WriteFileSynced(fsys, name+segmentfile.TmpSuffix, data)
	if err == nil {
		err = fsys.Rename(name+segmentfile.TmpSuffix, name)
	}
	if err != nil {
		return fmt.Errorf("writing a producer snapshot: %w", err)
	}
	return fsys.SyncDir(dir)
}

// Snapshots returns the offsets of the snapshot files in a partition's directory,
// ascending.
func Snapshots(fsys vfs.FS, dir string) []int64 {
	entries, err := fsys.List(dir)
	if err != nil {
		return nil // no directory, no snapshots
	}
	var offsets []int64
	for _, e := range entries {
		if offset, ok := segmentfile.ParseName(e.Name, segmentfile.SnapshotSuffix); ok {
			offsets = append(offsets, offset)
		}
	}
	return offsets
}

// castagnoli is the polynomial's table; it is never written.
var castagnoli = crc32.MakeTable(crc32.Castagnoli)
