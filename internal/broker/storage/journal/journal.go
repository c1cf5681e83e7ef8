package journal

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"path"
	"slices"
	"strconv"
	"sync"

	"github.com/naru-stream/naru/internal/kafka/wire"
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
	named      [2]bool // the file's name is durable
	maxBytes   int     // of a file
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
	if j.files[next] == nil {
		f, err := j.fs.Create(name(j.dir, next))
		if err != nil {
			return err
		}
		j.files[next] = f
	}
	j.generation++
	header := appendHeader(nil, j.generation)
	if _, err := j.files[next].WriteAt(header, 0); err != nil {
		return writeError(err, nil)
	}
	if err := j.files[next].Sync(); err != nil {
		return &DoubtError{err}
	}
	if !j.named[next] {
		if err := j.fs.SyncDir(j.dir); err != nil {
			return &DoubtError{err}
		}
		j.named[next] = true
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	j.active, j.end, j.logs[next] = next, int64(len(header)), map[K]bool{}
	return nil
}

// writeError tells a full disk, of which nothing is left, from a disk in doubt.
func writeError(err, notCut error) error {
	err = fmt.Errorf("writing the journal: %w", err)
	if !vfs.IsNoSpace(err) || notCut != nil {
		return &DoubtError{errors.Join(err, notCut)}
	}
	return err
}

// DoubtError says that a sync failed, or a write for another reason than a full disk,
// or that one could not be taken back: nothing can be said any more about what is on
// the disk.
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
		return writeError(err, j.files[j.active].Truncate(j.end))
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
	slices.SortFunc(parts, func(a, b part) int { return cmp.Compare(a.generation, b.generation) })
	type log struct {
		topicID   wire.UUID
		partition int32
	}
	var all []Entry
	takenBack := map[log]bool{}
	for _, p := range slices.Backward(parts) {
		for _, e := range slices.Backward(p.entries) {
			of := log{e.TopicID, e.Partition}
			if len(e.Batches) == 0 {
				takenBack[of] = true
			} else if !takenBack[of] {
				all = append(all, e)
			}
		}
	}
	slices.Reverse(all)
	return all, nil
}

// Remove removes the files of a directory's journal, durably. The older one goes
// first: the newer one has what takes entries of it back.
func Remove(fsys vfs.FS, dir string) error {
	generations := map[string]uint64{}
	for i := range 2 {
		f, err := fsys.Open(name(dir, i))
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return err
		}
		var header [headerSize]byte
		_, err = f.ReadAt(header[:], 0)
		if err = errors.Join(ignoreEOF(err), f.Close()); err != nil {
			return err
		}
		generations[name(dir, i)], _, _ = decode(header[:]) // without one it has no entries
	}
	names := slices.SortedFunc(maps.Keys(generations), func(a, b string) int { return cmp.Compare(generations[a], generations[b]) })
	for _, n := range names {
		if err := fsys.Remove(n); err != nil {
			return err
		}
	}
	if len(names) == 0 {
		return nil
	}
	return fsys.SyncDir(dir)
}

func ignoreEOF(err error) error {
	if errors.Is(err, io.EOF) {
		return nil
	}
	return err
}
