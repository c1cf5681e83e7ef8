package network

import "golang.org/x/sys/unix"

// readAhead is how much is asked of the disk when a sender finds its file out of
// memory: the piece it needs and the next ones.
const readAhead = 1 << 20

// warm brings a piece of a file into memory before sendfile, if it is not there:
// a sendfile that waits for the disk would hold a bulk send's place, and all
// readers of what is in memory would wait with it. A file system that cannot
// tell (the probe fails for another reason than absence) counts as warm, and so
// does a read error, which sendfile then reports.
func (s *socketStream) warm(offset, n int64) {
	if s.resident(offset+n-1) && (s.warmTo == offset || s.resident(offset)) {
		s.warmTo = offset + n
		return
	}
	server := s.conn.server
	server.stats.ColdReads.Add(1)
	server.cold <- struct{}{}
	_ = unix.Fadvise(s.file, offset, max(n, readAhead), unix.FADV_WILLNEED)
	_, _ = unix.Pread(s.file, s.probe[:], offset)
	_, _ = unix.Pread(s.file, s.probe[:], offset+n-1)
	<-server.cold
	s.warmTo = offset + n
}

// resident tells whether the page of a byte is in memory.
func (s *socketStream) resident(offset int64) bool {
	s.probeVec[0] = s.probe[:]
	_, err := unix.Preadv2(s.file, s.probeVec[:], offset, unix.RWF_NOWAIT)
	return err != unix.EAGAIN
}
