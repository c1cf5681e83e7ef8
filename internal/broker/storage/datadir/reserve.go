package datadir

import (
	"errors"
	"path"

	"github.com/naru-stream/naru/internal/vfs"
)

const reserveFile = "naru.reserve"

// Reserve sets bytes of space aside, for what must be written when the disk is
// full: all of them or none. With 0 it does nothing.
func (d *Dir) Reserve(fsys vfs.FS, bytes int64) error {
	if bytes <= 0 {
		return nil
	}
	f, err := fsys.Create(path.Join(d.Path, reserveFile))
	if err != nil {
		return err
	}
	err = f.Allocate(bytes)
	if errors.Is(err, errors.ErrUnsupported) {
		_, err = f.WriteAt(make([]byte, bytes), 0)
	}
	if err = errors.Join(err, f.Close()); err != nil {
		d.ReleaseReserve(fsys)
	}
	return err
}

// ReleaseReserve gives the reserve back. It says whether there was one.
func (d *Dir) ReleaseReserve(fsys vfs.FS) bool {
	return fsys.Remove(path.Join(d.Path, reserveFile)) == nil
}
