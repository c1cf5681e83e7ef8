package storage

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"path"
	"strconv"
	"strings"

	"github.com/naru-stream/naru/internal/broker/storage/manifest"
	"github.com/naru-stream/naru/internal/kafka/wire"
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
	metaName       = "partition.meta"
	metaVersion    = 1
	metaHeaderSize = 32
	metaCRCAt      = 28
)

func (l *Log) metaPath() string { return path.Join(l.path, metaName) }

func encodeMeta(topic string, id wire.UUID, partition int32) []byte {
	b := append([]byte("NPRT"), 0, 0, 0, metaVersion)
	b = append(b, id[:]...)
	b = binary.BigEndian.AppendUint32(b, uint32(partition))
	b = append(b, 0, 0, 0, 0)
	b = append(b, topic...)
	binary.BigEndian.PutUint32(b[metaCRCAt:], metaChecksum(b))
	return b
}

func metaChecksum(b []byte) uint32 {
	return crc32.Update(crc32.Update(0, castagnoli, b[:metaCRCAt]), castagnoli, b[metaHeaderSize:])
}

func decodeMeta(b []byte) (topic string, id wire.UUID, partition int32, err error) {
	if len(b) < metaHeaderSize || string(b[:4]) != "NPRT" || binary.BigEndian.Uint32(b[4:]) != metaVersion {
		return "", id, 0, fmt.Errorf("no partition header in %d bytes", len(b))
	}
	if binary.BigEndian.Uint32(b[metaCRCAt:]) != metaChecksum(b) {
		return "", id, 0, errors.New("checksum mismatch")
	}
	return string(b[metaHeaderSize:]), wire.UUID(b[8:24]), int32(binary.BigEndian.Uint32(b[24:])), nil
}

// parsePartitionDir splits <topic>-<partition>.
func parsePartitionDir(name string) (topic string, partition int32, ok bool) {
	at := strings.LastIndexByte(name, '-')
	if at <= 0 {
		return "", 0, false
	}
	n, err := strconv.ParseInt(name[at+1:], 10, 32)
	if err != nil || n < 0 || strconv.FormatInt(n, 10) != name[at+1:] {
		return "", 0, false
	}
	return name[:at], int32(n), true
}

// ensureDir makes the partition's directory. The writer's token is held.
func (l *Log) ensureDir() error {
	l.mu.Lock()
	onDisk := l.onDisk
	l.mu.Unlock()
	if onDisk {
		return nil
	}
	if err := l.m.fs.MkdirAll(l.path); err != nil {
		return err
	}
	if err := l.writeMeta(); err != nil {
		return err
	}
	l.dir.madeName()
	l.mu.Lock()
	l.onDisk = true
	l.namesMade++
	l.mu.Unlock()
	return nil
}

// writeMeta writes partition.meta; it is synced with the first records.
func (l *Log) writeMeta() error {
	f, err := l.m.fs.Create(l.metaPath())
	if err != nil {
		return err
	}
	_, err = f.WriteAt(encodeMeta(l.topic, l.topicID, l.partition), 0)
	return errors.Join(err, f.Close())
}

// adopt gives a log that was found without topic id the one it is created with.
func (l *Log) adopt(id wire.UUID) error {
	var err error
	l.exclusive(func() {
		l.mu.Lock()
		l.topicID = id
		l.namesMade++
		l.mu.Unlock()
		err = l.writeMeta()
	})
	l.changed()
	return err
}

// roll begins a new segment at an offset. The writer's token is held.
func (l *Log) roll(base int64) error {
	if err := l.ensureDir(); err != nil {
		return err
	}
	handle, err := l.m.files.Create(l.file(base, logSuffix))
	if err != nil {
		return err
	}
	seg := newSegment(base)
	seg.handle = handle
	l.mu.Lock()
	if last := l.last(); last.handle == nil { // the place holder of a log without file
		l.segs[len(l.segs)-1] = seg
	} else {
		l.segs = append(l.segs, seg)
		l.pace.sealing = true
	}
	l.tail = nil
	l.namesMade++
	sealing := l.pace.sealing
	l.mu.Unlock()
	if sealing {
		l.dir.schedule(l)
	}
	return nil
}

// create tells the manifest about a new partition, whose directory is made by its
// first append. It is durable with the next sync of the manifest, or with the first
// durable append.
func (d *directory) create(l *Log) error {
	d.addEdits(func(b []byte) []byte { return manifest.AppendPartition(b, l.describe()) })
	return d.writeEdits(false)
}

// remove takes a partition out of the directory: its name first, so that a crash
// never shows half of it. What is behind the name goes later.
func (d *directory) remove(l *Log) (string, error) {
	l.mu.Lock()
	onDisk := l.onDisk
	l.mu.Unlock()
	gone := ""
	if onDisk {
		gone = fmt.Sprintf("%s.%s%s", l.path, l.topicID, deletedDirSuffix)
		if err := d.m.fs.Rename(l.path, gone); err != nil {
			return "", err
		}
		if err := d.m.fs.SyncDir(d.path); err != nil {
			return "", err
		}
	}
	d.addEdits(func(b []byte) []byte { return manifest.AppendDrop(b, l.id) })
	return gone, d.writeEdits(true)
}

// deletedDirSuffix marks the directory of a deleted partition.
const deletedDirSuffix = "-delete"
