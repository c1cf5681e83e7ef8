package metalog

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/naru-stream/naru/internal/kafka/metarecord"
	"github.com/naru-stream/naru/internal/quorum/metadata"
	"github.com/naru-stream/naru/internal/vfs"
)

const (
	snapshotSuffix = ".checkpoint"
	partSuffix     = ".part"
	// recordsPerSnapshotBatch keeps the batches of a snapshot small, so that it is
	// written and read in pieces.
	recordsPerSnapshotBatch = 1024
)

// ErrSnapshotCorrupt says that a snapshot is not complete or not intact.
var ErrSnapshotCorrupt = errors.New("the snapshot is corrupt")

// SnapshotID names a snapshot.
type SnapshotID struct {
	// EndOffset is the offset of the first record that the snapshot does not
	// contain, Epoch the epoch of the last one that it does.
	EndOffset int64
	Epoch     int32
}

// Name returns the name of the snapshot's file.
func (id SnapshotID) Name() string {
	return fmt.Sprintf("%020d-%010d%s", id.EndOffset, id.Epoch, snapshotSuffix)
}

// parseSnapshotName is the inverse of SnapshotID.Name.
func parseSnapshotName(name string) (id SnapshotID, ok bool) {
	stem, ok := strings.CutSuffix(name, snapshotSuffix)
	offset, epoch, split := strings.Cut(stem, "-")
	if !ok || !split || len(offset) != 20 || len(epoch) != 10 {
		return id, false
	}
	o, err1 := strconv.ParseInt(offset, 10, 64)
	e, err2 := strconv.ParseInt(epoch, 10, 32)
	return SnapshotID{o, int32(e)}, err1 == nil && err2 == nil
}

// Snapshots keeps the snapshots of the metadata log in a directory. One
// goroutine uses it at a time.
type Snapshots struct {
	// FS is the file system and Dir the directory, which is made at the first
	// snapshot.
	FS  vfs.FS
	Dir string
}

// List returns the snapshots, the newest first.
func (s *Snapshots) List() ([]SnapshotID, error) {
	entries, err := s.FS.List(s.Dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("listing the metadata snapshots: %w", err)
	}
	var ids []SnapshotID
	for _, e := range entries {
		if id, ok := parseSnapshotName(e.Name); ok && !e.Dir {
			ids = append(ids, id)
		}
	}
	slices.Reverse(ids) // names are ordered as their offsets
	return ids, nil
}

// Write stores a snapshot of an image durably. timestampMs is the time of the
// last batch that the image contains.
func (s *Snapshots) Write(img *metadata.Image, timestampMs int64, versionOf func(metadata.Record) int16) (SnapshotID, error) {
	id := SnapshotID{img.Offset + 1, img.Epoch}
	name := path.Join(s.Dir, id.Name())
	if err := s.FS.MkdirAll(s.Dir); err != nil {
		return id, fmt.Errorf("writing the metadata snapshot %s: %w", name, err)
	}
	f, err := s.FS.Create(name + partSuffix)
	if err != nil {
		return id, fmt.Errorf("writing the metadata snapshot %s: %w", name, err)
	}
	w := &snapshotWriter{file: f, at: Entry{LeaderEpoch: img.Epoch, TimestampMs: timestampMs}, versionOf: versionOf}
	err = w.write(img)
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err == nil {
		err = s.FS.Rename(name+partSuffix, name)
	}
	if err == nil {
		err = s.FS.SyncDir(s.Dir)
	}
	if err != nil {
		return id, fmt.Errorf("writing the metadata snapshot %s: %w", name, err)
	}
	return id, nil
}

type snapshotWriter struct {
	encoder   Encoder
	file      vfs.File
	at        Entry
	position  int64
	buf       []byte
	versionOf func(metadata.Record) int16
}

func (w *snapshotWriter) write(img *metadata.Image) error {
	header := &metarecord.SnapshotHeaderRecord{LastContainedLogTimestamp: w.at.TimestampMs}
	if err := w.control(metarecord.SnapshotHeader, header); err != nil {
		return err
	}
	var records []metadata.Record
	for r := range img.Records() {
		records = append(records, r)
		if len(records) < recordsPerSnapshotBatch {
			continue
		}
		if err := w.data(records); err != nil {
			return err
		}
		records = records[:0]
	}
	if err := w.data(records); err != nil {
		return err
	}
	return w.control(metarecord.SnapshotFooter, &metarecord.SnapshotFooterRecord{})
}

func (w *snapshotWriter) control(kind metarecord.ControlType, value metarecord.Control) (err error) {
	if w.buf, err = w.encoder.AppendControl(w.buf[:0], w.at, kind, 0, value); err != nil {
		return err
	}
	w.at.BaseOffset++
	return w.flush()
}

func (w *snapshotWriter) data(records []metadata.Record) (err error) {
	if w.buf, w.at.BaseOffset, err = w.encoder.Append(w.buf[:0], w.at, records, w.versionOf); err != nil {
		return err
	}
	return w.flush()
}

func (w *snapshotWriter) flush() error {
	n, err := w.file.WriteAt(w.buf, w.position)
	w.position += int64(n)
	return err
}

// Load reads a snapshot into an image. An error that is ErrSnapshotCorrupt means
// that an older one is to be tried.
func (s *Snapshots) Load(id SnapshotID) (img *metadata.Image, timestampMs int64, err error) {
	name := path.Join(s.Dir, id.Name())
	content, err := vfs.ReadFile(s.FS, name)
	if err != nil {
		return nil, 0, fmt.Errorf("reading the metadata snapshot %s: %w", name, err)
	}
	var first, last metarecord.ControlType
	p := &Replayer{Delta: metadata.NewDelta(metadata.NewImage())}
	p.Control = func(kind metarecord.ControlType, value metarecord.Control) error {
		if first == 0 {
			first = kind
		}
		last = kind
		if header, ok := value.(*metarecord.SnapshotHeaderRecord); ok {
			timestampMs = header.LastContainedLogTimestamp
		}
		return nil
	}
	if err := p.Replay(content); err != nil {
		return nil, 0, fmt.Errorf("reading the metadata snapshot %s: %w: %w", name, ErrSnapshotCorrupt, err)
	}
	if first != metarecord.SnapshotHeader || last != metarecord.SnapshotFooter {
		return nil, 0, fmt.Errorf("reading the metadata snapshot %s: %w: it has no header or no footer", name, ErrSnapshotCorrupt)
	}
	return p.Delta.Image(id.EndOffset-1, id.Epoch), timestampMs, nil
}

// Retain deletes all snapshots but the newest ones and what an interrupted
// Write left behind. It returns the end offset of the oldest that stays, 0 if
// there is none: what the log must still hold begins there.
func (s *Snapshots) Retain(count int) (oldest int64, err error) {
	entries, err := s.FS.List(s.Dir)
	if errors.Is(err, fs.ErrNotExist) {
		return 0, nil
	}
	if err != nil {
		return 0, fmt.Errorf("deleting old metadata snapshots: %w", err)
	}
	var errs []error
	kept := 0
	for _, e := range slices.Backward(entries) {
		id, ok := parseSnapshotName(strings.TrimSuffix(e.Name, partSuffix))
		switch {
		case !ok || e.Dir:
		case !strings.HasSuffix(e.Name, partSuffix) && kept < count:
			kept, oldest = kept+1, id.EndOffset
		default:
			errs = append(errs, s.FS.Remove(path.Join(s.Dir, e.Name)))
		}
	}
	if err := errors.Join(errs...); err != nil {
		return oldest, fmt.Errorf("deleting old metadata snapshots: %w", err)
	}
	return oldest, nil
}
