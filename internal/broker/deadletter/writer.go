package deadletter

import (
	"log/slog"
	"sync"
	"time"

	"github.com/naru-stream/naru/internal/broker/purgatory"
	"github.com/naru-stream/naru/internal/kafka/protocol"
	"github.com/naru-stream/naru/internal/kafka/record"
)

const (
	// maxWorkers bounds how many letters are written at a time.
	maxWorkers = 4
	// maxRetries is how often a letter is tried again without getting on, and firstRetry
	// after how long first; each time it is twice as long.
	maxRetries = 5
	firstRetry = time.Second
	// readBytes is about how much of the source is read at once.
	readBytes = 64 << 10
	// warnEvery is how often it is logged at most that letters are given up.
	warnEvery = 10 * time.Second
)

// Config is what a Writer is made of. All fields are required.
type Config struct {
	Cluster Cluster
	// Settings returns what holds for a group as of now.
	Settings func(group string) Settings
	Timer    *purgatory.Timer
	NowMs    func() int64
	Log      *slog.Logger
}

// Writer writes dead letters. Its methods may be called from any goroutine.
type Writer struct {
	Config

	mu      sync.Mutex
	queue   []*job
	workers int
	closed  bool
	running sync.WaitGroup
	// warnedMs is when it was logged last that a letter is given up, unsaid how many
	// were since.
	warnedMs int64
	unsaid   int
}

// job is a letter and how far it is written.
type job struct {
	Letter
	cursor
	retries int // since it got on
	timer   purgatory.Entry
}

// memory is what a worker keeps from letter to letter.
type memory struct {
	builder record.Builder
	scratch record.Scratch
	batch   []byte
}

// NewWriter returns a writer with nothing to do.
func NewWriter(c Config) *Writer { return &Writer{Config: c} }

// Write writes a letter, soon and on another goroutine. How much may wait is bounded by
// what share groups may have in flight.
func (w *Writer) Write(l Letter) {
	w.enqueue(&job{Letter: l, cursor: cursor{0, l.Records[0].First}})
}

func (w *Writer) enqueue(j *job) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.closed {
		return
	}
	w.queue = append(w.queue, j)
	if w.workers < maxWorkers {
		w.workers++
		w.running.Go(w.work)
	}
}

// Close ends the writing. Letters that are not written stay with the share groups'
// state, which asks for them again after the next start.
func (w *Writer) Close() {
	w.mu.Lock()
	w.closed, w.queue = true, nil
	w.mu.Unlock()
	w.running.Wait()
}

func (w *Writer) work() {
	var m memory
	for j := w.next(); j != nil; j = w.next() {
		if w.write(&m, j) {
			j.Done()
		}
	}
}

// next returns the next job; nil ends the worker.
func (w *Writer) next() *job {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.queue) == 0 {
		w.queue = nil
		w.workers--
		return nil
	}
	j := w.queue[0]
	w.queue[0] = nil
	w.queue = w.queue[1:]
	return j
}

// write writes a letter and reports whether it is done with; if not it comes back.
func (w *Writer) write(m *memory, j *job) bool {
	s := w.Settings(j.Group)
	if s.Topic == "" {
		return true // the group has no dead-letter topic any more
	}
	for j.index < len(j.Records) {
		next, err := w.writePage(m, j, s)
		switch {
		case err == nil:
			j.cursor, j.retries = next, 0
		case protocol.CodeOf(err).Retriable() && j.retries < maxRetries:
			delay := firstRetry << j.retries
			j.retries++
			w.Timer.Schedule(&j.timer, delay, func() { w.enqueue(j) })
			return false
		default:
			w.givenUp(j, s, err)
			return true
		}
	}
	return true
}

// writePage writes one record batch and returns where the next one begins.
func (w *Writer) writePage(m *memory, j *job, s Settings) (next cursor, err error) {
	t, err := s.topic(w.Cluster)
	if err != nil {
		return j.cursor, err
	}
	m.builder.Reset(record.DefaultSpec())
	p := page{Letter: &j.Letter, cursor: j.cursor, builder: &m.builder, limit: t.MaxMessageBytes, nowMs: w.NowMs()}
	if s.Copy {
		err = w.copy(&p, m)
	} else {
		err = p.addAll()
	}
	if err != nil {
		return j.cursor, err
	}
	if m.batch, err = m.builder.Build(m.batch[:0]); err != nil {
		return j.cursor, err
	}
	if err := w.Cluster.Produce(s.Topic, j.Partition%t.Partitions, m.batch); err != nil {
		return j.cursor, err
	}
	return p.cursor, nil
}

// copy fills a page with what the source still has of the records.
func (w *Writer) copy(p *page, m *memory) error {
	for !p.done() {
		before := p.cursor
		data, err := w.Cluster.ReadSource(p.TopicID, p.Partition, p.offset, readBytes)
		if err != nil {
			w.Log.Debug("dead letters without their records", "topic", p.Topic, "partition", p.Partition, "offset", p.offset, "error", err)
		}
		for len(data) > 0 && !p.done() {
			b, rest, err := record.Next(data)
			if err != nil {
				break
			}
			if room, err := p.addBatch(b, &m.scratch); !room {
				return err
			}
			data = rest
		}
		if p.cursor == before { // nothing can be read there
			if room, err := p.add(nil, nil); !room {
				return err
			}
		}
	}
	m.scratch.Shrink(readBytes)
	return nil
}

// givenUp logs that a letter is not written, but not too often.
func (w *Writer) givenUp(j *job, s Settings, err error) {
	w.mu.Lock()
	nowMs := w.NowMs()
	if w.warnedMs != 0 && nowMs-w.warnedMs < warnEvery.Milliseconds() {
		w.unsaid++
		w.mu.Unlock()
		return
	}
	unsaid := w.unsaid
	w.warnedMs, w.unsaid = nowMs, 0
	w.mu.Unlock()
	w.Log.Warn("dead letters not written, the share group goes on without",
		"group", j.Group, "dead_letter_topic", s.Topic, "topic", j.Topic, "partition", j.Partition,
		"from_offset", j.offset, "to_offset", j.Records[len(j.Records)-1].Last, "unreported_before", unsaid, "error", err)
}
