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

// Compactable returns the logs whose topics are compacted, for cleaner.Config.Logs.
func (m *Manager) Compactable() []cleaner.Log {
	var logs []cleaner.Log
	for _, l := range m.Logs() {
		if l.settings().compacts && l.dir.refusal() == nil {
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
		if !s.sealed {
			break
		}
		p.Segments = append(p.Segments, cleaner.Segment{
			BaseOffset: s.base, NextOffset: l.segs[i+1].base, SizeBytes: s.size,
			FirstTimestampMs: s.firstTimestamp, MaxTimestampMs: s.maxTimestamp,
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
	if seg.base != base || seg.handle == nil {
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
	name string
	file vfs.File
	size int64
}

// Write implements cleaner.Output.
func (o *cleanedFile) Write(b []byte) error {
	_, err := o.file.WriteAt(b, o.size)
	if vfs.IsNoSpace(err) {
		o.l.dir.setFull(err)
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
	name := c.l.file(base, logSuffix+cleanedSuffix)
	f, err := c.l.m.fs.Create(name)
	if err != nil {
		return nil, err
	}
	return &cleanedFile{l: c.l, name: name, file: f}, nil
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
		l.dir.fail(fmt.Errorf("compacting %s: %w", l, err))
		return err
	}
	l.holdStructural()
	defer l.releaseStructural()
	gone, next, err := l.present(old)
	if err != nil {
		return err
	}
	base := old[0].BaseOffset
	swap := path.Join(l.path, segmentfile.SwapName(base, next))
	seg, err := l.scanned(l.m.files.Handle(swap), out.name, base, next)
	if err != nil {
		return err
	}
	if err := l.m.fs.Rename(out.name, swap); err != nil {
		return err
	}
	if err := l.swap(seg, gone); err != nil { // recovery would complete it: memory and disk must not part ways
		l.dir.fail(fmt.Errorf("compacting %s: %w", l, err))
		return err
	}
	l.writeIndex(seg)
	return nil
}

// present finds the segments that are to be replaced.
func (l *Log) present(old []cleaner.Segment) ([]*segment, int64, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	i := slices.IndexFunc(l.segs, func(s *segment) bool { return s.base == old[0].BaseOffset })
	if i < 0 || i+len(old) >= len(l.segs) || l.closed != nil {
		return nil, 0, cleaner.ErrChanged
	}
	for j, o := range old {
		if s := l.segs[i+j]; s.base != o.BaseOffset || s.size != o.SizeBytes || !s.sealed {
			return nil, 0, cleaner.ErrChanged
		}
	}
	return slices.Clone(l.segs[i : i+len(old)]), l.segs[i+len(old)].base, nil
}

// scanned describes a finished segment file.
func (l *Log) scanned(handle *vfs.Handle, name string, base, next int64) (*segment, error) {
	f, err := l.m.fs.Open(name)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }() // only read
	size, err := f.Size()
	if err != nil {
		return nil, err
	}
	seg := newSegment(base)
	seg.handle = handle
	sc := segmentfile.NewScanner(f, 0, size, make([]byte, segmentfile.Chunk))
	interval := l.settings().indexInterval
	for sc.Next() {
		seg.add(sc.Header, interval)
	}
	seg.next, seg.synced, seg.sealed = next, size, true
	return seg, sc.Err
}

// swap puts a segment that has its .swap name in the place of others.
func (l *Log) swap(seg *segment, gone []*segment) error {
	if err := l.m.fs.SyncDir(l.path); err != nil {
		return err
	}
	if _, err := seg.handle.Acquire(); err != nil { // open until it has its last name
		return err
	}
	defer seg.handle.Release()
	l.mu.Lock()
	i := slices.Index(l.segs, gone[0])
	l.segs = slices.Replace(slices.Clone(l.segs), i, i+len(gone), seg)
	l.dir.addEdits(func(b []byte) []byte {
		for _, s := range gone[1:] {
			b = manifest.AppendCut(b, l.id, s.base)
		}
		return manifest.AppendSegment(b, l.id, seg.describe())
	})
	delay := l.set.fileDeleteDelayMs
	l.mu.Unlock()
	if err := l.dir.writeEdits(true); err != nil {
		return err
	}
	for _, s := range gone {
		if err := l.discard(s, delay); err != nil {
			return err
		}
	}
	final := l.file(seg.base, logSuffix)
	if err := l.m.fs.Rename(seg.handle.Name(), final); err != nil {
		return err
	}
	seg.handle.Renamed(final)
	return l.m.fs.SyncDir(l.path) // the .swap must not come back after a later truncation
}

// finishSwaps completes the compactions whose result was ready when the node
// stopped. It returns what is in the directory then.
func (r *recovery) finishSwaps(entries []vfs.Entry) ([]vfs.Entry, error) {
	found := false
	for _, e := range entries {
		base, next, ok := segmentfile.ParseSwapName(e.Name)
		if !ok {
			continue
		}
		found = true
		if err := r.finishSwap(entries, e.Name, base, next); err != nil {
			return nil, err
		}
	}
	if !found {
		return entries, nil
	}
	if err := r.l.m.fs.SyncDir(r.l.path); err != nil {
		return nil, err
	}
	return r.l.m.fs.List(r.l.path)
}

func (r *recovery) finishSwap(entries []vfs.Entry, name string, base, next int64) error {
	l := r.l
	swap := path.Join(l.path, name)
	seg, err := l.scanned(nil, swap, base, next)
	if err != nil {
		return err
	}
	for _, e := range entries {
		for _, suffix := range []string{logSuffix, indexSuffix, abortedSuffix} {
			if old, ok := segmentfile.ParseName(e.Name, suffix); ok && old >= base && old < next {
				if err := l.m.fs.Remove(path.Join(l.path, e.Name)); err != nil {
					return err
				}
			}
		}
	}
	if r.known != nil {
		r.known.Segments = slices.DeleteFunc(r.known.Segments, func(s manifest.Segment) bool { return s.BaseOffset >= base && s.BaseOffset < next })
		i, _ := slices.BinarySearchFunc(r.known.Segments, base, func(s manifest.Segment, base int64) int { return int(min(1, max(-1, s.BaseOffset-base))) })
		r.known.Segments = slices.Insert(r.known.Segments, i, seg.describe())
	}
	return l.m.fs.Rename(swap, l.file(base, logSuffix))
}
