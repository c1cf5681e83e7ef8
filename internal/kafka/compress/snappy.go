package compress

import (
	"bytes"
	"encoding/binary"
	"io"
	"slices"

	"github.com/klauspost/compress/s2"
)

const (
	xerialHeaderSize = 16
	xerialVersion    = 1
	// xerialBlockSize is the plain size of one block, as the Java client cuts it.
	xerialBlockSize = 32 << 10
	// snappyMaxRatio bounds how many plain bytes one byte of a snappy block can
	// stand for: the best copy element is 64 bytes from 3 (s2's repeats make
	// longer ones, which a declared length still has to match). A declared length
	// beyond it is a lie and not allocated for.
	snappyMaxRatio = 64
	// snappyMinRoom is what may be allocated whatever the ratio says.
	snappyMinRoom = 64 << 10
)

func xerialMagic() []byte { return []byte{0x82, 'S', 'N', 'A', 'P', 'P', 'Y', 0} }

func compressSnappy(dst, src []byte) []byte {
	dst = append(dst, xerialMagic()...)
	dst = binary.BigEndian.AppendUint32(dst, xerialVersion)
	dst = binary.BigEndian.AppendUint32(dst, xerialVersion)
	for len(src) > 0 {
		block := src[:min(len(src), xerialBlockSize)]
		src = src[len(block):]
		at := len(dst)
		dst = slices.Grow(dst, 4+s2.MaxEncodedLen(len(block)))
		free := dst[at+4 : cap(dst)]
		n := len(s2.EncodeSnappy(free, block))
		binary.BigEndian.PutUint32(dst[at:at+4], uint32(n))
		dst = dst[:at+4+n]
	}
	return dst
}

func decompressSnappy(dst, src []byte, limit int) ([]byte, error) {
	if !bytes.HasPrefix(src, xerialMagic()) {
		return decodeSnappyBlock(dst, src, limit)
	}
	if len(src) < xerialHeaderSize {
		return dst, corrupt(Snappy, io.ErrUnexpectedEOF)
	}
	src = src[xerialHeaderSize:]
	start := len(dst)
	for len(src) > 0 {
		if len(src) < 4 {
			return dst, corrupt(Snappy, io.ErrUnexpectedEOF)
		}
		n := binary.BigEndian.Uint32(src)
		src = src[4:]
		if uint64(n) > uint64(len(src)) {
			return dst, corrupt(Snappy, io.ErrUnexpectedEOF)
		}
		var err error
		if dst, err = decodeSnappyBlock(dst, src[:n], limit-(len(dst)-start)); err != nil {
			return dst, err
		}
		src = src[n:]
	}
	return dst, nil
}

func decodeSnappyBlock(dst, block []byte, limit int) ([]byte, error) {
	n, err := s2.DecodedLen(block)
	if err != nil {
		return dst, corrupt(Snappy, err)
	}
	if n > max(snappyMinRoom, snappyMaxRatio*len(block)) {
		return dst, corrupt(Snappy, s2.ErrCorrupt)
	}
	if n > limit {
		return dst, tooLarge(Snappy, limit)
	}
	dst = slices.Grow(dst, n)
	out, err := s2.Decode(dst[len(dst):len(dst)+n], block)
	if err != nil {
		return dst, corrupt(Snappy, err)
	}
	return dst[:len(dst)+len(out)], nil
}
