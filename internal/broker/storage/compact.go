package storage

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"

	"github.com/naru-stream/naru/internal/broker/storage/cleaner"
	"github.com/naru-stream/naru/internal/broker/storage/manifest"
	"github.com/naru-stream/naru/internal/broker/storage/producerstate"
	"github.com/naru-stream/naru/internal/broker/storage/segmentfile"
	"github.com/naru-stream/naru/internal/vfs"
)

// OnHighWatermark tells the log how far it is replicated: nothing behind it is
// compacted, transactions that ended below it are decided.
func (l *Log) OnHighWatermark(offset int64) {
	l.mu.Lock()
	l.highWatermark = offset
	l.mu.Unlock()
	l.producers.mu.Lock()
	defer l.producers.mu.Unlock()
	if l.producers.state != nil {
		l.producers.state.OnHighWatermark(offset)
	}
}

// Compactable returns the logs whose topics are compacted, for cleaner.Config.Logs. A log
// that is being moved waits, as in Kafka: its copy would be made again and again.
func (m *Manager) Compactable() []cleaner.Log {
	var logs []cleaner.Log
	for _, l := range m.Logs() {
		if l.settings().compacts && l.dir().refusal(&Append{}) == nil && !m.moves.has(l) {
			logs = append(logs, compactable{l})
		}
	}
	return logs
}

// compactable is a log as the cleaner sees it.
type compactable struct{ l *Log }

// String implements cleaner.Log.
func (c compactable) String() string { return c.l.String() }

// Picture implements cleaner.Log.
func (c compactable) Picture() (cleaner.Picture, error) {
	l := c.l
	l.mu.Lock()
	highWatermark := l.highWatermark
	l.mu.Unlock()
	stable, err := l.LastStableOffset(highWatermark)
	if err != nil {
		return cleaner.Picture{}, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed != nil {
		return cleaner.Picture{}, cleaner.ErrChanged
	}
	p := cleaner.Picture{LogStartOffset: l.logStart, CleanedOffset: l.cleaned, StableOffset: stable, Policy: l.set.cleaning}
	for i, s := range l.segs[:len(l.segs)-1] {
		if !s.Sealed {
			break
		}
		p.Segments = append(p.Segments, cleaner.Segment{
			BaseOffset: s.BaseOffset, NextOffset: l.segs[i+1].BaseOffset, SizeBytes: s.Size,
			FirstTimestampMs: s.FirstTimestamp, MaxTimestampMs: s.MaxTimestamp,
		})
	}
	return p, nil
}

// Transactions implements cleaner.Log.
func (c compactable) Transactions(endOffset int64) ([]producerstate.AbortedTxn, []producerstate.Producer, error) {
	aborted, err := c.l.AbortedTransactions(c.l.LogStartOffset(), endOffset)
	if err != nil {
		return nil, nil, err
	}
	live, err := c.l.Producers()
	return aborted, live, err
}

// segmentSource is an open segment.
type segmentSource struct {
	vfs.File
	handle *vfs.Handle
}

// Close implements io.Closer.
func (s segmentSource) Close() error {
	s.handle.Release()
	return nil
}

// Open implements cleaner.Log.
func (c compactable) Open(base int64) (cleaner.Source, error) {
	c.l.mu.Lock()
	seg, _ := c.l.find(base)
	c.l.mu.Unlock()
	if seg.BaseOffset != base || seg.handle == nil {
		return nil, cleaner.ErrChanged
	}
	f, err := seg.handle.Acquire()
	if errors.Is(err, vfs.ErrDropped) {
		return nil, cleaner.ErrChanged
	}
	if err != nil {
		return nil, err
	}
	return segmentSource{f, seg.handle}, nil
}

// cleanedFile is a segment under construction.
type cleanedFile struct {
	l    *Log
	at   *place // where the log was then
	name string
	file vfs.File
	size int64
}

// Write implements cleaner.Output.
func (o *cleanedFile) Write(b []byte) error {
	_, err := o.file.WriteAt(b, o.size)
	if vfs.IsNoSpace(err) {
		o.at.dir.exhaust(err)
	}
	o.size += int64(len(b))
	return err
}

// Discard implements cleaner.Output.
func (o *cleanedFile) Discard() error {
	err := o.file.Close()
	if removed := o.l.m.fs.Remove(o.name); !errors.Is(removed, fs.ErrNotExist) {
		err = errors.Join(err, removed)
	}
	return err
}

// Create implements cleaner.Log.
func (c compactable) Create(base int64) (cleaner.Output, error) {
	at := c.l.at.Load()
	name := path.Join(at.path, segmentfile.Name(base, segmentfile.LogSuffix+segmentfile.CleanedSuffix))
	f, err := c.l.m.fs.Create(name)
	if err != nil {
		return nil, err
	}
	return &cleanedFile{l: c.l, at: at, name: name, file: f}, nil
}

// Cleaned implements cleaner.Log.
func (c compactable) Cleaned(offset int64) error {
	c.l.mu.Lock()
	c.l.cleaned = offset
	c.l.mu.Unlock()
	c.l.changed()
	return nil
}

// Replace implements cleaner.Log. The rename to .swap decides: a crash before it
// leaves the old segments, one after it the new one, because recovery completes
// what is missing. The manifest knows the new segment before a name of the old
// ones is touched.
func (c compactable) Replace(old []cleaner.Segment, output cleaner.Output) error {
	out, ok := output.(*cleanedFile)
	if !ok {
		return errors.New("an output of another log")
	}
	l := c.l
	if err := errors.Join(out.file.Sync(), out.file.Close()); err != nil {
		out.at.dir.fail(fmt.Errorf("compacting %s: %w", l, err))
		return err
	}
	l.holdStructural()
	defer l.releaseStructural()
	if l.at.Load() != out.at { // moved meanwhile
		return cleaner.ErrChanged
	}
	gone, next, err := l.present(old)
	if err != nil {
		return err
	}
	base := old[0].BaseOffset
	swap := path.Join(l.path(), segmentfile.SwapName(base, next))
	sum, err := segmentfile.SummarizeFile(l.m.fs, out.name, base, next, l.settings().indexInterval)
	if err != nil {
		return err
	}
	seg := &segment{log: l, Summary: sum, handle: l.m.files.Handle(swap), synced: sum.Size}
	if err := l.m.fs.Rename(out.name, swap); err != nil {
		return err
	}
	if err := l.swap(seg, gone); err != nil { // recovery would complete it: memory and disk must not part ways
		l.dir().fail(fmt.Errorf("compacting %s: %w", l, err))
		return err
	}
	l.writeIndex(seg)
	return nil
}

// present finds the segments that are to be replaced.
func (l *Log) present(old []cleaner.Segment) ([]*segment, int64, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	i := slices.IndexFunc(l.segs, func(s *segment) bool { return s.BaseOffset == old[0].BaseOffset })
	if i < 0 || i+len(old) >= len(l.segs) || l.closed != nil {
		return nil, 0, cleaner.ErrChanged
	}
	for j, o := range old {
		if s := l.segs[i+j]; s.BaseOffset != o.BaseOffset || s.Size != o.SizeBytes || !s.Sealed {
			return nil, 0, cleaner.ErrChanged
		}
	}
	return slices.Clone(l.segs[i : i+len(old)]), l.segs[i+len(old)].BaseOffset, nil
}

// swap puts a segment that has its .swap name in the place of others.
func (l *Log) swap(seg *segment, gone []*segment) error {
	if err := l.m.fs.SyncDir(l.path()); err != nil {
		return err
	}
	if _, err := seg.handle.Acquire(); err != nil { // open until it has its last name
		return err
	}
	defer seg.handle.Release()
	l.mu.Lock()
	i := slices.Index(l.segs, gone[0])
	l.segs = slices.Replace(slices.Clone(l.segs), i, i+len(gone), seg)
	l.dir().manifest.Add(func(b []byte) []byte {
		for _, s := range gone[1:] {
			b = manifest.AppendCut(b, l.id(), s.BaseOffset)
		}
		return manifest.AppendSegment(b, l.id(), seg.Segment)
	})
	delay := l.set.fileDeleteDelayMs
	l.mu.Unlock()
	if err := l.dir().writeEdits(true); err != nil {
		return err
	}
	for _, s := range gone {
		if err := l.discard(s, delay); err != nil {
			return err
		}
	}
	final := l.file(seg.BaseOffset, segmentfile.LogSuffix)
	if err := l.m.fs.Rename(seg.handle.Name(), final); err != nil {
		return err
	}
	seg.handle.Renamed(final)
	return l.m.fs.SyncDir(l.path()) // the .swap must not come back after a later truncation
}
