package recovery

import (
	"path"
	"slices"

	"github.com/naru-stream/naru/internal/broker/storage/manifest"
	"github.com/naru-stream/naru/internal/broker/storage/segmentfile"
	"github.com/naru-stream/naru/internal/vfs"
)

// finishSwaps completes the compactions whose result was ready when the node
// stopped. It returns what is in the directory then.
func (p *Partition) finishSwaps(entries []vfs.Entry) ([]vfs.Entry, error) {
	found := false
	for _, e := range entries {
		base, next, ok := segmentfile.ParseSwapName(e.Name)
		if !ok {
			continue
		}
		found = true
		if err := p.finishSwap(entries, e.Name, base, next); err != nil {
			return nil, err
		}
	}
	if !found {
		return entries, nil
	}
	if err := p.dir.FS.SyncDir(p.path); err != nil {
		return nil, err
	}
	return p.dir.FS.List(p.path)
}

func (p *Partition) finishSwap(entries []vfs.Entry, name string, base, next int64) error {
	swap := path.Join(p.path, name)
	seg, err := segmentfile.SummarizeFile(p.dir.FS, swap, base, next, p.interval)
	if err != nil {
		return err
	}
	for _, e := range entries {
		for _, suffix := range []string{segmentfile.LogSuffix, segmentfile.IndexSuffix, segmentfile.AbortedSuffix} {
			if old, ok := segmentfile.ParseName(e.Name, suffix); ok && old >= base && old < next {
				if err := p.dir.FS.Remove(path.Join(p.path, e.Name)); err != nil {
					return err
				}
			}
		}
	}
	if p.Known != nil {
		p.Known.Segments = slices.DeleteFunc(p.Known.Segments, func(s manifest.Segment) bool { return s.BaseOffset >= base && s.BaseOffset < next })
		i, _ := slices.BinarySearchFunc(p.Known.Segments, base, func(s manifest.Segment, base int64) int { return int(min(1, max(-1, s.BaseOffset-base))) })
		p.Known.Segments = slices.Insert(p.Known.Segments, i, seg.Segment)
	}
	return p.dir.FS.Rename(swap, p.file(base, segmentfile.LogSuffix))
}
