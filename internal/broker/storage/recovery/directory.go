package recovery

import (
	"errors"
	"fmt"
	"log/slog"
	"path"
	"strings"

	"github.com/naru-stream/naru/internal/broker/storage/damage"
	"github.com/naru-stream/naru/internal/broker/storage/datadir"
	"github.com/naru-stream/naru/internal/broker/storage/journal"
	"github.com/naru-stream/naru/internal/broker/storage/manifest"
	"github.com/naru-stream/naru/internal/broker/storage/segmentfile"
	"github.com/naru-stream/naru/internal/broker/storage/sidecar"
	"github.com/naru-stream/naru/internal/kafka/wire"
	"github.com/naru-stream/naru/internal/vfs"
)

// Directory is a log directory that was not closed in order.
type Directory struct {
	// FS is the file system.
	FS vfs.FS
	// Path is the directory.
	Path string
	// Manifest is what its manifest says.
	Manifest *manifest.State
	// Trusted says that the manifest lags behind the files rather than to be lost.
	Trusted bool
	// Logger takes what is not damage.
	Logger *slog.Logger
	// Damage takes the reports.
	Damage *damage.List
}

// sameBoot tells that the machine did not stop: written bytes are there.
func (d *Directory) sameBoot() bool {
	return d.Trusted && d.Manifest.BootID != "" && d.Manifest.BootID == d.FS.BootID()
}

// Partitions lists what there is to recover: the files are the truth, the manifest adds
// what it knows. It also returns the directories of deleted partitions. An error is a
// *datadir.RefusedError if a newer program wrote the journal.
func (d *Directory) Partitions() (found []*Partition, deleted []string, err error) {
	entries, err := d.FS.List(d.Path)
	if err != nil {
		return nil, nil, fmt.Errorf("listing %s: %w", d.Path, err)
	}
	journaled, err := d.readJournal()
	if err != nil {
		return nil, nil, err
	}
	known := map[string]*manifest.Partition{}
	for _, p := range d.Manifest.Partitions {
		known[segmentfile.DirName(p.Topic, p.Partition)] = p
	}
	goes := map[string]bool{}
	for _, e := range entries {
		if !e.Dir {
			continue
		}
		if strings.HasSuffix(e.Name, segmentfile.DeletedDirSuffix) {
			goes[e.Name] = true
			deleted = append(deleted, path.Join(d.Path, e.Name))
			continue
		}
		topic, partition, ok := segmentfile.ParseDir(e.Name)
		if !ok {
			continue
		}
		found = append(found, d.exists(topic, partition, known[e.Name]))
		delete(known, e.Name)
	}
	for _, p := range known { // without directory: never appended to, deleted just now, or lost
		if !goes[segmentfile.OtherDirName(p.Topic, p.Partition, p.TopicID, segmentfile.DeletedDirSuffix)] {
			found = append(found, &Partition{Topic: p.Topic, TopicID: p.TopicID, Number: p.Partition, Known: p})
		}
	}
	for _, p := range found {
		p.dir, p.path = d, path.Join(d.Path, segmentfile.DirName(p.Topic, p.Number))
		p.journal = journaled[partitionID{p.TopicID, p.Number}]
	}
	return found, deleted, nil
}

// partitionID names a partition for all times.
type partitionID struct {
	topic     wire.UUID
	partition int32
}

// readJournal returns what the journal has, by partition.
func (d *Directory) readJournal() (map[partitionID][]journal.Entry, error) {
	entries, err := journal.Read(d.FS, d.Path)
	if errors.Is(err, journal.ErrVersion) {
		return nil, &datadir.RefusedError{
			Dir: d.Path, Reason: datadir.Newer, What: "was written by a newer version of Naru: " + err.Error(),
			Help: "start it with that version",
		}
	}
	if err != nil {
		return nil, fmt.Errorf("reading the journal of %s: %w", d.Path, err)
	}
	found := map[partitionID][]journal.Entry{}
	for _, e := range entries {
		id := partitionID{e.TopicID, e.Partition}
		found[id] = append(found[id], e)
	}
	return found, nil
}

// exists prepares the recovery of a partition that has a directory. The topic's id comes
// from the manifest or, without it, from the partition's own file.
func (d *Directory) exists(topic string, partition int32, known *manifest.Partition) *Partition {
	p := &Partition{Topic: topic, Number: partition, Known: known, Exists: true}
	p.TopicID, p.metaErr = d.readMeta(topic, partition)
	if known == nil {
		return p
	}
	if p.metaErr == nil && p.TopicID != known.TopicID {
		p.metaErr = fmt.Errorf("topic id %s instead of %s", p.TopicID, wire.UUID(known.TopicID))
	}
	p.TopicID = known.TopicID
	return p
}

func (d *Directory) readMeta(topic string, partition int32) (wire.UUID, error) {
	file := path.Join(d.Path, segmentfile.DirName(topic, partition), sidecar.PartitionFile)
	b, err := vfs.ReadFile(d.FS, file)
	if err != nil {
		return wire.UUID{}, err
	}
	t, id, p, err := sidecar.DecodePartition(b)
	if err == nil && (t != topic || p != partition) {
		err = fmt.Errorf("it speaks of %s-%d", t, p)
	}
	if err != nil {
		return wire.UUID{}, fmt.Errorf("reading %s: %w", file, err)
	}
	return id, nil
}
