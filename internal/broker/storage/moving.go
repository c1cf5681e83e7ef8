package storage

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path"
	"strings"

	"github.com/naru-stream/naru/internal/broker/storage/future"
	"github.com/naru-stream/naru/internal/broker/storage/manifest"
	"github.com/naru-stream/naru/internal/broker/storage/segmentfile"
	"github.com/naru-stream/naru/internal/broker/storage/sidecar"
	"github.com/naru-stream/naru/internal/broker/storage/trash"
	"github.com/naru-stream/naru/internal/vfs"
)

// relocation is one attempt to move a log: its files are copied into another directory
// while it is in use; then, with appends held back for a moment, what came meanwhile, and
// the log goes on there.
type relocation struct {
	l    *Log
	to   *directory
	copy *future.Copy
	// sources are the segments whose copies there are, by base offset, all of one generation
	// of the log.
	sources    map[int64]*segment
	generation int
	// mayWait is how many bytes may be left to copy when appends are held back.
	mayWait int64
	// atOnce says that nothing waits for the throttle any more.
	atOnce bool
	// bytes are those copied, up to reached, as progress was told.
	bytes, reached int64
	progress       func(bytes, offset int64)
}

// Appends are held back for the last of the copying, as little of it as there can be: a log
// that is written to as fast as it can be copied has to wait for more.
const (
	minLeft = 4 << 20
	maxLeft = 64 << 20
)

// errBehind says that more is left than appends may wait for.
var errBehind = errors.New("too much is left to copy")

// relocate moves a log into a directory. ctx ends the attempt. The bytes copied and the
// offset up to which they reach are told on the way.
func (m *Manager) relocate(ctx context.Context, l *Log, to *directory, progress func(bytes, offset int64)) error {
	r := &relocation{l: l, to: to, sources: map[int64]*segment{}, progress: progress, mayWait: minLeft}
	var err error
	r.copy, err = future.New(m.fs, to.futurePath(l), func(bytes int) error { return r.mayCopy(ctx, bytes) })
	if err != nil {
		return err
	}
	for err = errBehind; errors.Is(err, errBehind); {
		if err = r.pass(); err == nil {
			err = r.promote()
		}
		r.mayWait = min(2*r.mayWait, maxLeft)
	}
	if err != nil && !m.isClosed() { // a move that a stop interrupts begins anew with the next start
		err = errors.Join(err, r.copy.Remove())
	}
	return err
}

// mayCopy waits until so many bytes more may be copied, and tells why none may.
func (r *relocation) mayCopy(ctx context.Context, bytes int) error {
	switch {
	case r.l.deleted():
		return errors.New("the partition was deleted")
	case r.to.health.Failure() != nil:
		return r.to.health.Failure()
	case r.to.health.Full() != nil:
		return r.to.health.Full()
	case r.atOnce:
		return ctx.Err()
	}
	if err := r.l.m.moves.throttle.Spend(ctx, bytes); err != nil {
		return err
	}
	r.bytes += int64(bytes)
	r.progress(r.bytes, r.reached)
	return nil
}

// pass copies what the log has more than its copy.
func (r *relocation) pass() error {
	l := r.l
	l.mu.Lock()
	generation := l.generation
	segs := make([]segment, len(l.segs)) // as they are at this moment
	origins := make([]*segment, len(l.segs))
	for i, s := range l.segs {
		origins[i] = s
		segs[i] = segment{handle: s.handle, Summary: segmentfile.Summary{Segment: s.Segment}}
	}
	l.mu.Unlock()
	if generation != r.generation { // truncated: the copies may have what was cut off
		if err := r.forget(nil); err != nil {
			return err
		}
		r.generation = generation
	}
	if err := r.forget(origins); err != nil {
		return err
	}
	for i, s := range segs {
		if s.handle == nil {
			continue
		}
		r.sources[s.BaseOffset] = origins[i]
		if err := r.copySegment(&s); err != nil {
			return err
		}
		r.bytes, r.reached = r.copy.Total(), s.NextOffset
		r.progress(r.bytes, r.reached)
	}
	return nil
}

// forget removes the copies of segments that the log has no more, or has others instead.
func (r *relocation) forget(present []*segment) error {
	now := make(map[int64]*segment, len(present))
	for _, s := range present {
		now[s.BaseOffset] = s
	}
	for base, s := range r.sources {
		if now[base] == s {
			continue
		}
		delete(r.sources, base)
		for _, suffix := range []string{segmentfile.LogSuffix, segmentfile.IndexSuffix, segmentfile.AbortedSuffix} {
			if err := r.copy.Forget(segmentfile.Name(base, suffix)); err != nil {
				return err
			}
		}
	}
	return nil
}

// copySegment copies what there is more of a segment, and once it is sealed what belongs
// to it.
func (r *relocation) copySegment(s *segment) error {
	f, err := s.handle.Acquire()
	if errors.Is(err, vfs.ErrDropped) {
		return nil // deleted or replaced meanwhile: the next pass sees it
	}
	if err != nil {
		return err
	}
	err = r.copy.Extend(segmentfile.Name(s.BaseOffset, segmentfile.LogSuffix), f, s.Size)
	s.handle.Release()
	if errors.Is(err, io.EOF) {
		return nil // cut since: the next pass sees that, too
	}
	if err != nil || !s.Sealed {
		return err
	}
	for _, suffix := range []string{segmentfile.IndexSuffix, segmentfile.AbortedSuffix} {
		name := segmentfile.Name(s.BaseOffset, suffix)
		if _, ok := r.copy.Size(name); ok {
			continue
		}
		if err := r.copy.Put(name, r.l.file(s.BaseOffset, suffix)); err != nil {
			return err
		}
	}
	return nil
}

// left returns how many bytes of the segments are not copied.
func (r *relocation) left() (n int64) {
	r.l.mu.Lock()
	defer r.l.mu.Unlock()
	for _, s := range r.l.segs {
		n += s.Size
		if r.generation == r.l.generation && r.sources[s.BaseOffset] == s {
			size, _ := r.copy.Size(segmentfile.Name(s.BaseOffset, segmentfile.LogSuffix))
			n -= size
		}
	}
	return n
}

// promote copies the rest and has the log go on with the copy. Nothing is appended
// meanwhile, and nothing else changes the log's files.
func (r *relocation) promote() error {
	if r.left() > r.mayWait {
		return errBehind
	}
	l := r.l
	l.holdStructural()
	defer l.releaseStructural()
	var err error
	l.exclusive(func() { err = r.promoteNow() })
	return err
}

func (r *relocation) promoteNow() error {
	l := r.l
	if r.left() > r.mayWait {
		return errBehind
	}
	if err := l.closedBy(); err != nil {
		return err
	}
	from := l.at.Load()
	if err := from.dir.health.Failure(); err != nil {
		return err
	}
	r.atOnce = true
	if err := l.sync(); err != nil {
		from.dir.fail(fmt.Errorf("syncing %s: %w", l, err))
		return err
	}
	// It may come back one day: the journal must not have anything of it then. As all is
	// synced, nothing new gets there.
	if err := l.takeBack(); err != nil {
		return err
	}
	if err := errors.Join(r.pass(), r.copyRest(from)); err != nil {
		return err
	}
	if left := r.left(); left != 0 {
		return fmt.Errorf("%d bytes were not copied", left)
	}
	place := &place{dir: r.to, id: r.to.nextID(), path: r.to.partitionPath(l.topic, l.partition)}
	if l.written() {
		if err := r.copy.Promote(place.path); err != nil {
			if !vfs.IsNoSpace(err) {
				r.to.fail(err) // whether it has its name is not known: the next start finds out
			}
			return err
		}
	} else if err := r.copy.Remove(); err != nil {
		return err
	}
	r.settle(place)
	return r.leave(from)
}

// copyRest copies what a log has beside its segments.
func (r *relocation) copyRest(from *place) error {
	l := r.l
	if !l.written() {
		return nil
	}
	entries, err := l.m.fs.List(from.path)
	if err != nil {
		return err
	}
	for _, e := range entries {
		var err error
		name := path.Join(from.path, e.Name)
		switch _, copied := r.copy.Size(e.Name); {
		case e.Name == sidecar.PartitionFile, strings.HasSuffix(e.Name, segmentfile.SnapshotSuffix),
			strings.HasSuffix(e.Name, segmentfile.IndexSuffix) && !copied:
			err = r.copy.Put(e.Name, name)
		case strings.Contains(e.Name, segmentfile.QuarantineSuffix):
			err = r.copyFile(e.Name, name)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// copyFile copies a file that may be large.
func (r *relocation) copyFile(name, from string) error {
	f, err := r.l.m.fs.Open(from)
	if err != nil {
		return err
	}
	size, err := f.Size()
	if err == nil {
		err = r.copy.Extend(name, f, size)
	}
	return errors.Join(err, f.Close())
}

// settle has the log go on at its new place, where everything is durable.
func (r *relocation) settle(p *place) {
	l := r.l
	from := l.dir()
	l.mu.Lock()
	old := l.segs
	l.segs = make([]*segment, len(old))
	for i, s := range old {
		l.segs[i] = &segment{log: l, Summary: s.Summary, synced: s.Size, abortedTxns: s.abortedTxns}
		if s.handle != nil {
			l.segs[i].handle = l.m.files.Handle(path.Join(p.path, segmentfile.Name(s.BaseOffset, segmentfile.LogSuffix)))
		}
	}
	l.generation++ // a sync of the old files that still runs tells nothing
	l.at.Store(p)
	l.active, l.namesSynced = l.last().Segment, l.namesMade
	l.sealedAborted, l.epochsChanged = false, false
	l.mu.Unlock()
	l.m.mu.Lock()
	if l.m.logs[partitionKey{l.topic, l.partition}] == l { // not being deleted
		from.partitions--
		p.dir.partitions++
	}
	l.m.mu.Unlock()
	for _, s := range old {
		l.drop(s)
	}
}

// leave tells both manifests and takes the old files out of the way. They stay where the
// new directory has failed just now: they are as good.
func (r *relocation) leave(from *place) error {
	l := r.l
	r.to.manifest.Add(func(b []byte) []byte { return manifest.AppendPartition(b, l.describe()) })
	if err := r.to.writeEdits(true); err != nil && !vfs.IsNoSpace(err) { // without space the edits wait, and the files are the truth
		return err
	}
	gone, err := from.dir.setAside(l, from)
	if err != nil && !vfs.IsNoSpace(err) {
		err = fmt.Errorf("leaving %s behind: %w", from.path, err)
		from.dir.fail(err)
		return err
	}
	if gone != "" {
		l.m.throwAway(trash.Item{Name: gone, Dir: true, DueMs: l.m.nowMs() + l.settings().fileDeleteDelayMs})
	}
	return nil
}
