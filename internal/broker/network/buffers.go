package network

import (
	"sync"
	"unsafe"
)

// The sizes in which buffers are pooled. The step above 1 MiB fits the common
// largest request: 1 MiB of records with its header.
var bufferClasses = [...]int{512, 4 << 10, 16 << 10, 64 << 10, 128 << 10, 256 << 10, 512 << 10, 1 << 20, 1<<20 + 64<<10, 2 << 20}

const (
	// smallBuffer holds the first bytes of a frame that does not go on.
	smallBuffer = 512
	// readBuffer is what a connection reads into; frames that fit leave it whole.
	readBuffer = 16 << 10
	// answerBuffer is the capacity of Request.Buffer.
	answerBuffer = 4 << 10

	poisonByte = 0xDB
)

// bufferPool keeps buffers by size. Above the largest class the garbage
// collector does. The pools hold pointers to the first byte, because putting a
// slice into a sync.Pool would allocate its header.
type bufferPool struct {
	classes [len(bufferClasses)]sync.Pool
	// poison overwrites what is given back, so that tests see a use after it.
	poison bool
}

// sizeFor is the capacity of the buffer that get returns for n.
func (p *bufferPool) sizeFor(n int) int {
	for _, size := range bufferClasses {
		if n <= size {
			return size
		}
	}
	return n
}

// get returns a buffer with length 0 and a capacity of at least n.
func (p *bufferPool) get(n int) []byte {
	for i, size := range bufferClasses {
		if n <= size {
			if first, _ := p.classes[i].Get().(*byte); first != nil {
				return unsafe.Slice(first, size)[:0]
			}
			return make([]byte, 0, size)
		}
	}
	return make([]byte, 0, n)
}

// put takes back a buffer that starts where get's buffer or its maker's did.
// The giver must not use it any more.
func (p *bufferPool) put(b []byte) {
	if b == nil {
		return
	}
	if p.poison {
		for i := range b[:cap(b)] {
			b[:cap(b)][i] = poisonByte
		}
	}
	if cap(b) > bufferClasses[len(bufferClasses)-1] {
		return
	}
	for i := len(bufferClasses) - 1; i >= 0; i-- {
		if cap(b) >= bufferClasses[i] {
			p.classes[i].Put(unsafe.SliceData(b))
			return
		}
	}
}
