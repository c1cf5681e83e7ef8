package segmentfile

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/naru-stream/naru/internal/kafka/wire"
	"github.com/naru-stream/naru/internal/vfs"
)

// The suffixes of the files in a partition's directory.
const (
	// LogSuffix is that of the batches.
	LogSuffix = ".log"
	// IndexSuffix is that of the sparse index of a sealed segment.
	IndexSuffix = ".nidx"
	// SnapshotSuffix is that of the producers' state at an offset.
	SnapshotSuffix = ".nsnap"
	// AbortedSuffix is that of the aborted transactions of a sealed segment.
	AbortedSuffix = ".ntxn"
	// DeletedSuffix follows LogSuffix in a file that goes later.
	DeletedSuffix = ".deleted"
	// CleanedSuffix follows LogSuffix in what a compaction writes.
	CleanedSuffix = ".cleaned"
	// TmpSuffix follows the others in a file that is not complete.
	TmpSuffix = ".tmp"
	// QuarantineSuffix is followed by the position that damaged bytes had.
	QuarantineSuffix = ".quarantine-"
	// DeletedDirSuffix ends the name of a deleted partition's directory.
	DeletedDirSuffix = "-delete"
	// FutureDirSuffix ends the name of the copy of a partition that is being moved here.
	FutureDirSuffix = "-future"
	// StrayDirSuffix ends the name of a partition's directory that another took the place
	// of. It is kept for whoever wants to look at it.
	StrayDirSuffix = "-stray"
)

// Name returns a file name as Kafka makes it: twenty digits and a suffix.
func Name(offset int64, suffix string) string {
	return fmt.Sprintf("%020d%s", offset, suffix)
}

// ParseName returns the offset of a name with this suffix.
func ParseName(name, suffix string) (int64, bool) {
	digits, ok := strings.CutSuffix(name, suffix)
	if !ok || len(digits) != 20 {
		return 0, false
	}
	offset, err := strconv.ParseInt(digits, 10, 64)
	return offset, err == nil && offset >= 0
}

// DirName names a partition's directory, <topic>-<partition>.
func DirName(topic string, partition int32) string { return topic + "-" + strconv.Itoa(int(partition)) }

// ParseDir splits the name of a partition's directory, <topic>-<partition>.
func ParseDir(name string) (topic string, partition int32, ok bool) {
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

// maxName is how long a file name may be on the file systems in use.
const maxName = 255

// OtherDirName names a directory of a partition that is not the one in use,
// <topic>-<partition>.<topic id><suffix>. A topic's name that is too long for that, as
// names may be that are none too long for a partition's directory, is cut.
func OtherDirName(topic string, partition int32, id wire.UUID, suffix string) string {
	rest := fmt.Sprintf("-%d.%s%s", partition, id, suffix)
	return topic[:min(len(topic), maxName-len(rest))] + rest
}

// SwapName names a finished segment that is about to take the place of those with
// the offsets from base up to next: <base>-<next>.swap, twenty digits each.
func SwapName(base, next int64) string { return fmt.Sprintf("%020d-%020d%s", base, next, ".swap") }

// ParseSwapName returns the offsets of a name that SwapName made.
func ParseSwapName(name string) (base, next int64, ok bool) {
	digits, isSwap := strings.CutSuffix(name, ".swap")
	from, to, _ := strings.Cut(digits, "-")
	base, ok = ParseName(from, "")
	next, ok2 := ParseName(to, "")
	return base, next, isSwap && ok && ok2 && base < next
}

// CopyRange copies the bytes [start, end) of one file to the start of another.
func CopyRange(to, from vfs.File, start, end int64) error {
	buf := make([]byte, min(1<<20, end-start))
	for at := start; at < end; {
		n, err := from.ReadAt(buf[:min(int64(len(buf)), end-at)], at)
		if n == 0 {
			return err
		}
		if _, err := to.WriteAt(buf[:n], at-start); err != nil {
			return err
		}
		at += int64(n)
	}
	return nil
}
