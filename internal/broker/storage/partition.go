package storage

import (
	"path"

	"github.com/naru-stream/naru/internal/broker/storage/manifest"
	"github.com/naru-stream/naru/internal/broker/storage/segmentfile"
	"github.com/naru-stream/naru/internal/broker/storage/sidecar"
	"github.com/naru-stream/naru/internal/kafka/wire"
)

// metaPath is the file from which a lost manifest is made anew.
func (p *place) metaPath() string { return path.Join(p.path, sidecar.PartitionFile) }

// ensureDir makes the partition's directory. The writer's token is held.
func (l *Log) ensureDir() error {
	l.mu.Lock()
	onDisk := l.onDisk
	l.mu.Unlock()
	if onDisk {
		return nil
	}
	if err := l.m.fs.MkdirAll(l.path()); err != nil {
		return err
	}
	if err := l.writeMeta(); err != nil {
		return err
	}
	l.dir().madeName()
	l.mu.Lock()
	l.onDisk = true
	l.namesMade++
	l.mu.Unlock()
	return nil
}

// writeMeta writes partition.meta; it is synced with the first records.
func (l *Log) writeMeta() error {
	return sidecar.WritePartition(l.m.fs, l.at.Load().metaPath(), l.topic, l.topicID, l.partition)
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
	handle, err := l.m.files.Create(l.file(base, segmentfile.LogSuffix))
	if err != nil {
		return err
	}
	seg := l.newSegment(base)
	seg.handle = handle
	l.mu.Lock()
	if last := l.last(); last.handle == nil { // the place holder of a log without file
		l.segs[len(l.segs)-1] = seg
	} else {
		l.segs = append(l.segs, seg)
		l.pace.Rolled()
	}
	l.tail = nil
	l.namesMade++
	sealing := l.pace.Sealing()
	l.mu.Unlock()
	if sealing {
		l.dir().schedule(l, true)
	}
	return nil
}

// create tells the manifest about a new partition, whose directory is made by its
// first append. It is durable with the next sync of the manifest, or with the first
// durable append.
func (d *directory) create(l *Log) error {
	d.manifest.Add(func(b []byte) []byte { return manifest.AppendPartition(b, l.describe()) })
	return d.writeEdits(false)
}

// remove takes a partition out of the directory. It may come back one day: the journal
// must not have anything of it then.
func (d *directory) remove(l *Log) (string, error) {
	if err := l.takeBack(); err != nil {
		return "", err
	}
	return d.setAside(l, l.at.Load())
}

// setAside takes the directory that a partition has, or had, out of the way: its name
// first, so that a crash never shows half of it. What is behind the new name, which is
// returned, goes later; there is none if the partition was never written to. The manifest
// is told.
func (d *directory) setAside(l *Log, p *place) (gone string, err error) {
	if gone, err = d.rename(l, p, segmentfile.DeletedDirSuffix); err != nil {
		return "", err
	}
	d.manifest.Add(func(b []byte) []byte { return manifest.AppendDrop(b, p.id) })
	return gone, d.writeEdits(true)
}

// rename gives a partition's directory a name under which it is not in use, durably.
func (d *directory) rename(l *Log, p *place, suffix string) (gone string, err error) {
	if !l.written() {
		return "", nil
	}
	gone = path.Join(d.path, segmentfile.OtherDirName(l.topic, l.partition, l.TopicID(), suffix))
	if suffix == segmentfile.DeletedDirSuffix { // of an earlier time that it was here
		if err := d.m.fs.RemoveAll(gone); err != nil {
			return "", err
		}
	}
	if err := d.m.fs.Rename(p.path, gone); err != nil {
		return "", err
	}
	return gone, d.m.fs.SyncDir(d.path)
}

// written tells whether the log has files.
func (l *Log) written() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.onDisk
}
