package journal

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strconv"
	"sync"

	"github.com/naru-stream/naru/internal/vfs"
)

// name returns the name of a file of a log directory.
func name(dir string, i int) string { return path.Join(dir, "naru.journal-"+strconv.Itoa(i)) }

// Journal is the journal of one log directory, whose logs are named by K. There is
// nothing of it on the disk before the first Switch. One goroutine at a time may use
// it; Settle, Unsettled and Has may be called by others meanwhile.
type Journal[K comparable] struct {
	fs         vfs.FS
	dir        string
	files      [2]vfs.File
	maxBytes   int // of a file
	active     int
	generation uint64
	end        int64 // of the active file
	buf        []byte

	mu sync.Mutex
	// logs are those with entries in each file; true says that some of their batches
	// are not yet in a synced segment.
	logs [2]map[K]bool
}

// New returns the journal of a directory in which no file of an earlier one is left.
// Its files get as large as maxBytes.
func New[K comparable](fsys vfs.FS, dir string, maxBytes int) *Journal[K] {
	return &Journal[K]{fs: fsys, dir: dir, maxBytes: maxBytes, active: 1, end: int64(maxBytes)}
}

// Room returns how many bytes of entries the active file still takes.
func (j *Journal[K]) Room() int { return j.maxBytes - int(j.end) }

// Settle notes that the log's own files were synced after its last entry.
func (j *Journal[K]) Settle(log K) {
	j.mu.Lock()
	defer j.mu.Unlock()
	for _, logs := range j.logs {
		if logs[log] {
			logs[log] = false
		}
	}
}

// Unsettled returns the logs that keep one of the files, the active or the other,
// from being begun anew: their segments lack what it has.
func (j *Journal[K]) Unsettled(active bool) []K {
	j.mu.Lock()
	defer j.mu.Unlock()
	var found []K
	for log, unsettled := range j.logs[j.file(active)] {
		if unsettled {
			found = append(found, log)
		}
	}
	return found
}

func (j *Journal[K]) file(active bool) int {
	if active {
		return j.active
	}
	return 1 - j.active
}

// Has tells whether there are entries of the log.
func (j *Journal[K]) Has(log K) bool {
	j.mu.Lock()
	defer j.mu.Unlock()
	_, first := j.logs[0][log]
	_, second := j.logs[1][log]
	return first || second
}

// Switch begins the other file anew: what it held is gone when Switch returns. No log
// may be unsettled in it.
func (j *Journal[K]) Switch() error {
	next := 1 - j.active
	made := j.files[next] == nil
	if made {
		f, err := j.fs.Create(name(j.dir, next))
		if err != nil {
			return err
		}
		j.files[next] = f
	}
	j.generation++
	header := appendHeader(nil, j.generation)
	if _, err := j.files[next].WriteAt(header, 0); err != nil {
		return err
	}
	if err := j.files[next].Sync(); err != nil {
		return &DoubtError{err}
	}
	if made {
		if err := j.fs.SyncDir(j.dir); err != nil {
			return &DoubtError{err}
		}
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	j.active, j.end, j.logs[next] = next, int64(len(header)), map[K]bool{}
	return nil
}

// DoubtError says that a sync failed, or that a failed write could not be taken back:
// nothing can be said any more about what is on the disk.
type DoubtError struct{ err error }

// Error implements error.
func (e *DoubtError) Error() string { return "the journal is in doubt: " + e.err.Error() }

// Unwrap returns the cause.
func (e *DoubtError) Unwrap() error { return e.err }

// Add gathers an entry of a log for the next Append. read fills in the size bytes of
// batches; if it fails nothing is gathered. Without batches the entry takes back the
// earlier ones of the partition.
func (j *Journal[K]) Add(log K, at Place, size int, read func(batches []byte) error) error {
	j.mu.Lock()
	j.logs[j.active][log] = size > 0 || j.logs[j.active][log]
	j.mu.Unlock()
	var err error
	j.buf, err = appendEntry(j.buf, j.generation, at, size, read)
	return err
}

// Gathered returns how many bytes the next Append writes.
func (j *Journal[K]) Gathered() int { return len(j.buf) }

// maxKeptBuffer bounds the memory that a journal keeps between two uses.
const maxKeptBuffer = 1 << 20

// Append writes what was gathered with one call and syncs it. A *DoubtError leaves
// the disk in doubt; after any other error nothing was added.
func (j *Journal[K]) Append() error {
	b := j.buf
	j.buf = j.buf[:0]
	if cap(j.buf) > maxKeptBuffer {
		j.buf = nil
	}
	if len(b) == 0 {
		return nil
	}
	if _, err := j.files[j.active].WriteAt(b, j.end); err != nil {
		err = fmt.Errorf("writing the journal: %w", err)
		if cut := j.files[j.active].Truncate(j.end); cut != nil {
			return &DoubtError{errors.Join(err, cut)}
		}
		return err
	}
	if err := j.files[j.active].Sync(); err != nil {
		return &DoubtError{err}
	}
	j.end += int64(len(b))
	return nil
}

// Close gives the files up.
func (j *Journal[K]) Close() error {
	var errs []error
	for _, f := range j.files {
		if f != nil {
			errs = append(errs, f.Close())
		}
	}
	j.files = [2]vfs.File{}
	return errors.Join(errs...)
}

// Read returns the entries of a directory's journal in the order in which they were
// written, those that were taken back left out. An error that is ErrVersion says that
// a newer program wrote it.
func Read(fsys vfs.FS, dir string) ([]Entry, error) {
	type part struct {
		generation uint64
		entries    []Entry
	}
	var parts []part
	for i := range 2 {
		b, err := vfs.ReadFile(fsys, name(dir, i))
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, err
		}
		generation, entries, err := decode(b)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name(dir, i), err)
		}
		parts = append(parts, part{generation, entries})
	}
	slices.SortFunc(parts, func(a, b part) int { return int(min(1, max(-1, int64(a.generation-b.generation)))) })
	var all []Entry
	for _, p := range parts {
		for _, e := range p.entries {
			if len(e.Batches) == 0 {
				all = slices.DeleteFunc(all, func(o Entry) bool { return o.TopicID == e.TopicID && o.Partition == e.Partition })
				continue
			}
			all = append(all, e)
		}
	}
	return all, nil
}

// Remove removes the files of a directory's journal, durably.
func Remove(fsys vfs.FS, dir string) error {
	removed := false
	for i := range 2 {
		err := fsys.Remove(name(dir, i))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		removed = removed || err == nil
	}
	if !removed {
		return nil
	}
	return fsys.SyncDir(dir)
}
