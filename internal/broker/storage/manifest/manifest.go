// Package manifest is what a log directory knows about itself without looking
// into its partitions: which partitions and segments it has, how far they are
// synced, their leader epochs.
//
// Purpose: a clean start reads this one file and touches no partition directory.
// After an unclean stop the partitions' files are the truth and the manifest
// tells from where they have to be checked: it may lag behind, never lead.
//
// Neighbours: package storage says what to append and when to sync. The edits are pure,
// bytes in, state out; File is the file, and Keeper has one at a time write it, and write
// it anew.
//
// The file naru.manifest is a header and then edits, each of which is complete
// and checksummed; integers are unsigned varints unless said otherwise, v is a
// zigzag varint:
//
//	0          8         12        16
//	+----------+---------+---------+
//	| NARUMANI | version | crc32c  |   version u32, crc of the 12 bytes before
//	+----------+---------+---------+
//	+--------+--------+------+--------- - -
//	| length | crc32c | kind | fields        length u32 and crc u32 big-endian;
//	+--------+--------+------+--------- - -  both speak of kind and fields
//
//	kind  name       fields
//	1     create     id, partition, topic id [16], length of topic, topic
//	2     drop       id
//	3     segment    id, base v, next v, size, max timestamp v, offset of it v,
//	                 first timestamp v, flags (1 = sealed,
//	                 2 = has markers of aborted transactions)
//	4     cut        id, base v                        the segment is gone
//	5     point      id, log start v, recovery point v, log end v, cleaned v,
//	                 producer snapshot v, flags (1 = a file holds the snapshot)
//	6     epochs     id, count, then epoch v, start offset v
//	7     open       length, boot id                   the directory is in use
//	8     clean                                        it was closed in order
//
// The first edit that is torn or damaged ends the file. The version is 2 while the
// directory has a journal and 1 otherwise: a program that knows no journal refuses the
// directory rather than lose what only the journal has.
package manifest

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"slices"
)

// Version is the newest format this package knows.
const Version = 2

const (
	headerSize = 16
	frameSize  = 8
	// maxEdit bounds one edit: an epoch list of a million entries is far below.
	maxEdit = 64 << 20
)

var magic = [8]byte{'N', 'A', 'R', 'U', 'M', 'A', 'N', 'I'}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// Epoch is one line of the leader-epoch cache: the first offset of an epoch.
type Epoch struct {
	// Epoch is the leader epoch.
	Epoch int32
	// StartOffset is the first offset that may have been written in it.
	StartOffset int64
}

// Segment describes one segment file.
type Segment struct {
	// BaseOffset names the file.
	BaseOffset int64
	// NextOffset is the offset after the last batch.
	NextOffset int64
	// Size is the length in bytes.
	Size int64
	// MaxTimestamp is the largest record timestamp, math.MinInt64 if it is empty.
	MaxTimestamp int64
	// MaxTimestampOffset is the base offset of the first batch that has it.
	MaxTimestampOffset int64
	// FirstTimestamp is the largest timestamp of the first batch, from which
	// segment.ms counts; math.MinInt64 if it is empty.
	FirstTimestamp int64
	// Sealed segments are synced and no longer written.
	Sealed bool
	// Aborted tells that markers of aborted transactions lie in the segment.
	Aborted bool
}

// Point is what a checkpoint of a partition knows.
type Point struct {
	// LogStartOffset is the first offset that readers may see.
	LogStartOffset int64
	// RecoveryPoint is the offset below which everything is synced, in segments or in
	// the journal.
	RecoveryPoint int64
	// SnapshotOffset is the offset at which the state of the producers is known.
	SnapshotOffset int64
	// HasSnapshot tells that a file holds that state; without it no producer had
	// any.
	HasSnapshot bool
	// LogEndOffset is the end when the point was taken: exact after a clean close.
	LogEndOffset int64
	// CleanedOffset is up to where the log was compacted.
	CleanedOffset int64
}

// Partition is everything known about one partition.
type Partition struct {
	Point
	// ID names the partition inside this manifest.
	ID uint32
	// Topic is the topic's name.
	Topic string
	// TopicID is the topic's id.
	TopicID [16]byte
	// Partition is the partition's number.
	Partition int32
	// Epochs is the leader-epoch cache, ascending.
	Epochs []Epoch
	// Segments are ordered by base offset.
	Segments []Segment
}

// State is a manifest read back.
type State struct {
	// Partitions by id.
	Partitions map[uint32]*Partition
	// BootID is that of the machine when the directory was opened last.
	BootID string
	// Clean tells that the last edit was an orderly close.
	Clean bool
	// Unread is the number of bytes behind the last good edit.
	Unread int
	// Reason says why reading stopped there, nil if it read to the end.
	Reason error
}

// ErrVersion says that the file was written by a newer program.
var ErrVersion = errors.New("the manifest has a newer format")

// AppendHeader starts a file of a directory with a journal or without.
func AppendHeader(dst []byte, journal bool) []byte {
	start := len(dst)
	dst = append(dst, magic[:]...)
	dst = binary.BigEndian.AppendUint32(dst, 1+uint32(flag(journal)))
	return binary.BigEndian.AppendUint32(dst, crc32.Checksum(dst[start:], castagnoli))
}

// The kinds of edits.
const (
	kindCreate  = 1
	kindDrop    = 2
	kindSegment = 3
	kindCut     = 4
	kindPoint   = 5
	kindEpochs  = 6
	kindOpen    = 7
	kindClean   = 8
)

func begin(dst []byte, kind byte) ([]byte, int) {
	start := len(dst)
	dst = append(dst, 0, 0, 0, 0, 0, 0, 0, 0, kind)
	return dst, start
}

func finish(dst []byte, start int) []byte {
	body := dst[start+frameSize:]
	binary.BigEndian.PutUint32(dst[start:], uint32(len(body)))
	binary.BigEndian.PutUint32(dst[start+4:], crc32.Checksum(body, castagnoli))
	return dst
}

// AppendCreate adds the edit that a partition exists.
func AppendCreate(dst []byte, id uint32, topic string, topicID [16]byte, partition int32) []byte {
	dst, start := begin(dst, kindCreate)
	dst = binary.AppendUvarint(dst, uint64(id))
	dst = binary.AppendUvarint(dst, uint64(partition))
	dst = append(dst, topicID[:]...)
	dst = binary.AppendUvarint(dst, uint64(len(topic)))
	return finish(append(dst, topic...), start)
}

// AppendDrop adds the edit that a partition is gone.
func AppendDrop(dst []byte, id uint32) []byte {
	dst, start := begin(dst, kindDrop)
	return finish(binary.AppendUvarint(dst, uint64(id)), start)
}

// AppendSegment adds the edit that a segment is as described.
func AppendSegment(dst []byte, id uint32, s Segment) []byte {
	dst, start := begin(dst, kindSegment)
	dst = binary.AppendUvarint(dst, uint64(id))
	dst = binary.AppendVarint(dst, s.BaseOffset)
	dst = binary.AppendVarint(dst, s.NextOffset)
	dst = binary.AppendUvarint(dst, uint64(s.Size))
	dst = binary.AppendVarint(dst, s.MaxTimestamp)
	dst = binary.AppendVarint(dst, s.MaxTimestampOffset)
	dst = binary.AppendVarint(dst, s.FirstTimestamp)
	return finish(binary.AppendUvarint(dst, flag(s.Sealed)|flag(s.Aborted)<<1), start)
}

func flag(set bool) uint64 {
	if set {
		return 1
	}
	return 0
}

// AppendCut adds the edit that a segment is gone.
func AppendCut(dst []byte, id uint32, baseOffset int64) []byte {
	dst, start := begin(dst, kindCut)
	dst = binary.AppendUvarint(dst, uint64(id))
	return finish(binary.AppendVarint(dst, baseOffset), start)
}

// AppendPoint adds a checkpoint of a partition.
func AppendPoint(dst []byte, id uint32, p Point) []byte {
	dst, start := begin(dst, kindPoint)
	dst = binary.AppendUvarint(dst, uint64(id))
	for _, v := range []int64{p.LogStartOffset, p.RecoveryPoint, p.LogEndOffset, p.CleanedOffset, p.SnapshotOffset} {
		dst = binary.AppendVarint(dst, v)
	}
	return finish(binary.AppendUvarint(dst, flag(p.HasSnapshot)), start)
}

// AppendEpochs adds the leader-epoch cache of a partition, replacing the earlier.
func AppendEpochs(dst []byte, id uint32, epochs []Epoch) []byte {
	dst, start := begin(dst, kindEpochs)
	dst = binary.AppendUvarint(dst, uint64(id))
	dst = binary.AppendUvarint(dst, uint64(len(epochs)))
	for _, e := range epochs {
		dst = binary.AppendVarint(dst, int64(e.Epoch))
		dst = binary.AppendVarint(dst, e.StartOffset)
	}
	return finish(dst, start)
}

// AppendOpen adds the edit that the directory is in use: from here on it is not
// clean.
func AppendOpen(dst []byte, bootID string) []byte {
	dst, start := begin(dst, kindOpen)
	dst = binary.AppendUvarint(dst, uint64(len(bootID)))
	return finish(append(dst, bootID...), start)
}

// AppendClean adds the edit of an orderly close.
func AppendClean(dst []byte) []byte {
	dst, start := begin(dst, kindClean)
	return finish(dst, start)
}

// AppendPartition adds every edit that describes a partition.
func AppendPartition(dst []byte, p *Partition) []byte {
	dst = AppendCreate(dst, p.ID, p.Topic, p.TopicID, p.Partition)
	for _, s := range p.Segments {
		dst = AppendSegment(dst, p.ID, s)
	}
	dst = AppendPoint(dst, p.ID, p.Point)
	if len(p.Epochs) > 0 {
		dst = AppendEpochs(dst, p.ID, p.Epochs)
	}
	return dst
}

// Read replays a file. The error is ErrVersion, or says that the header is no
// manifest's; damage behind the header is told by State.Reason.
func Read(b []byte) (*State, error) {
	if len(b) < headerSize || [8]byte(b) != magic {
		return nil, fmt.Errorf("no manifest header in %d bytes", len(b))
	}
	if crc32.Checksum(b[:12], castagnoli) != binary.BigEndian.Uint32(b[12:]) {
		return nil, errors.New("the manifest header has a checksum mismatch")
	}
	if v := binary.BigEndian.Uint32(b[8:]); v > Version {
		return nil, fmt.Errorf("%w: version %d, this program knows %d", ErrVersion, v, Version)
	}
	s := &State{Partitions: map[uint32]*Partition{}}
	for rest := b[headerSize:]; len(rest) > 0; {
		body, next, err := frame(rest)
		if err == nil {
			err = s.apply(body)
		}
		if err != nil {
			s.Unread, s.Reason, s.Clean = len(rest), err, false
			break
		}
		rest = next
	}
	return s, nil
}

func frame(b []byte) (body, rest []byte, err error) {
	if len(b) < frameSize {
		return nil, nil, errors.New("torn edit")
	}
	n := int64(binary.BigEndian.Uint32(b))
	if n == 0 || n > maxEdit || n > int64(len(b)-frameSize) {
		return nil, nil, fmt.Errorf("an edit of %d bytes in %d", n, len(b)-frameSize)
	}
	body = b[frameSize : frameSize+n]
	if crc32.Checksum(body, castagnoli) != binary.BigEndian.Uint32(b[4:]) {
		return nil, nil, errors.New("an edit has a checksum mismatch")
	}
	return body, b[frameSize+n:], nil
}

// fields reads the fields of one edit with a sticky error.
type fields struct {
	b   []byte
	bad bool
}

func (f *fields) uvarint() uint64 {
	v, n := binary.Uvarint(f.b)
	if n <= 0 {
		f.bad = true
		return 0
	}
	f.b = f.b[n:]
	return v
}

func (f *fields) varint() int64 {
	v, n := binary.Varint(f.b)
	if n <= 0 {
		f.bad = true
		return 0
	}
	f.b = f.b[n:]
	return v
}

func (f *fields) bytes(n uint64) []byte {
	if n > uint64(len(f.b)) {
		f.bad = true
		return nil
	}
	b := f.b[:n]
	f.b = f.b[n:]
	return b
}

func (s *State) apply(body []byte) error {
	f := &fields{b: body[1:]}
	s.Clean = false
	switch kind := body[0]; kind {
	case kindOpen:
		s.BootID = string(f.bytes(f.uvarint()))
	case kindClean:
		s.Clean = true
	case kindCreate:
		s.create(f)
	case kindDrop:
		delete(s.Partitions, uint32(f.uvarint()))
	case kindSegment, kindCut, kindPoint, kindEpochs:
		p := s.Partitions[uint32(f.uvarint())]
		if p == nil {
			return nil // it was dropped by an edit that a rewrite had overtaken
		}
		p.apply(kind, f)
	default:
		return fmt.Errorf("an edit of unknown kind %d", kind)
	}
	if f.bad || len(f.b) > 0 {
		return fmt.Errorf("an edit of kind %d has wrong fields", body[0])
	}
	return nil
}

func (s *State) create(f *fields) {
	p := &Partition{ID: uint32(f.uvarint()), Partition: int32(f.uvarint())}
	if id := f.bytes(16); id != nil {
		p.TopicID = [16]byte(id)
	}
	p.Topic = string(f.bytes(f.uvarint()))
	if !f.bad {
		s.Partitions[p.ID] = p
	}
}

func (p *Partition) apply(kind byte, f *fields) {
	switch kind {
	case kindSegment:
		s := Segment{
			BaseOffset: f.varint(), NextOffset: f.varint(), Size: int64(f.uvarint()),
			MaxTimestamp: f.varint(), MaxTimestampOffset: f.varint(), FirstTimestamp: f.varint(),
		}
		flags := f.uvarint()
		s.Sealed, s.Aborted = flags&1 != 0, flags&2 != 0
		p.putSegment(s)
	case kindCut:
		if i, ok := p.search(f.varint()); ok {
			p.Segments = slices.Delete(p.Segments, i, i+1)
		}
	case kindPoint:
		p.Point = Point{
			LogStartOffset: f.varint(), RecoveryPoint: f.varint(), LogEndOffset: f.varint(),
			CleanedOffset: f.varint(), SnapshotOffset: f.varint(), HasSnapshot: f.uvarint()&1 != 0,
		}
	case kindEpochs:
		n := f.uvarint()
		p.Epochs = nil
		for ; n > 0 && !f.bad; n-- {
			p.Epochs = append(p.Epochs, Epoch{Epoch: int32(f.varint()), StartOffset: f.varint()})
		}
	}
}

func (p *Partition) search(base int64) (int, bool) {
	return slices.BinarySearchFunc(p.Segments, base, func(s Segment, base int64) int {
		return int(min(1, max(-1, s.BaseOffset-base)))
	})
}

func (p *Partition) putSegment(s Segment) {
	i, found := p.search(s.BaseOffset)
	if found {
		p.Segments[i] = s
		return
	}
	p.Segments = slices.Insert(p.Segments, i, s)
}
