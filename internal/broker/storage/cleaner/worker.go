package cleaner

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/naru-stream/naru/internal/broker/storage/throttle"
)

// Clock is the time the worker lives in.
type Clock interface {
	// Now returns the present time.
	Now() time.Time
	// Sleep waits for d or until ctx ends, and then returns its error.
	Sleep(ctx context.Context, d time.Duration) error
}

// Config configures a Cleaner; the names are those of Kafka's log.cleaner.*
// settings.
type Config struct {
	// Threads is log.cleaner.threads: how many logs are cleaned at once.
	Threads int
	// DedupeBufferBytes is log.cleaner.dedupe.buffer.size, shared by the threads.
	DedupeBufferBytes int64
	// IOBufferBytes is log.cleaner.io.buffer.size, shared by the threads.
	IOBufferBytes int
	// MaxBytesPerSecond is log.cleaner.io.max.bytes.per.second over all threads,
	// reads and writes.
	MaxBytesPerSecond float64
	// Backoff is log.cleaner.backoff.ms: the pause when nothing is to be cleaned.
	Backoff time.Duration
	// Logs returns the logs that are compacted now. A Log must be the same value
	// every time.
	Logs   func() []Log
	Clock  Clock
	Logger *slog.Logger
}

// failedRounds is how many Backoffs a log is left alone after its cleaning failed.
const failedRounds = 20

// Cleaner cleans the logs of a node in the background.
type Cleaner struct {
	cfg  Config
	pace *throttle.Throttle

	life   sync.Mutex // of Start, Reconfigure and Close
	stop   context.CancelFunc
	done   sync.WaitGroup
	closed bool

	mu     sync.Mutex
	busy   map[Log]struct{}
	failed map[Log]time.Time // when to try again
}

// New returns a Cleaner that has not been started.
func New(cfg Config) *Cleaner {
	c := &Cleaner{busy: map[Log]struct{}{}, failed: map[Log]time.Time{}}
	c.configure(cfg)
	return c
}

func (c *Cleaner) configure(cfg Config) {
	cfg.Threads = max(cfg.Threads, 1)
	c.cfg, c.pace = cfg, throttle.New(cfg.MaxBytesPerSecond)
}

// Start starts the goroutines. It is called once.
func (c *Cleaner) Start() {
	c.life.Lock()
	defer c.life.Unlock()
	c.start()
}

func (c *Cleaner) start() {
	ctx, stop := context.WithCancel(context.Background())
	c.stop = stop
	for range c.cfg.Threads {
		c.done.Go(func() { c.loop(ctx) })
	}
}

// Close ends the goroutines and waits for them. What was being cleaned is left as
// it was.
func (c *Cleaner) Close() {
	c.life.Lock()
	defer c.life.Unlock()
	c.closed = true
	c.halt()
}

// Reconfigure goes on with another configuration; as in Kafka what is being cleaned
// is left as it was and begun anew.
func (c *Cleaner) Reconfigure(cfg Config) {
	c.life.Lock()
	defer c.life.Unlock()
	if c.closed {
		return
	}
	started := c.stop != nil
	c.halt()
	c.configure(cfg)
	if started {
		c.start()
	}
}

// Config returns the present configuration.
func (c *Cleaner) Config() Config {
	c.life.Lock()
	defer c.life.Unlock()
	return c.cfg
}

func (c *Cleaner) halt() {
	if c.stop != nil {
		c.stop()
	}
	c.done.Wait()
}

func (c *Cleaner) loop(ctx context.Context) {
	for ctx.Err() == nil {
		if c.CleanOne(ctx) {
			continue
		}
		if err := c.cfg.Clock.Sleep(ctx, c.cfg.Backoff); err != nil {
			return
		}
	}
}

// CleanOne cleans the log that needs it most and tells whether there was one.
// It may be called from several goroutines.
func (c *Cleaner) CleanOne(ctx context.Context) bool {
	now := c.cfg.Clock.Now()
	log, picture, plan := c.take(now)
	if log == nil {
		return false
	}
	limits := Limits{
		DedupeBufferBytes: c.cfg.DedupeBufferBytes / int64(c.cfg.Threads),
		BufferBytes:       max(c.cfg.IOBufferBytes/c.cfg.Threads/2, 1),
		Pace:              c.pace.Spend,
	}
	stats, err := Clean(ctx, log, plan, picture.Policy, now.UnixMilli(), limits)
	if ctx.Err() != nil {
		c.release(log, now, nil) // it is not the log's fault
	} else {
		c.release(log, now, err)
	}
	switch {
	case err == nil:
		c.cfg.Logger.Info("log cleaned", "log", log.String(), "dirty_ratio", plan.Ratio,
			"bytes_read", stats.BytesRead, "bytes_written", stats.BytesWritten,
			"records_read", stats.RecordsRead, "records_kept", stats.Records,
			"segments", stats.Segments, "segments_after", stats.Groups,
			"duration_ms", c.cfg.Clock.Now().Sub(now).Milliseconds())
	case errors.Is(err, ErrChanged) || ctx.Err() != nil:
		c.cfg.Logger.Debug("log cleaning given up", "log", log.String(), "error", err)
	default:
		c.cfg.Logger.Error("log cleaning failed; it is tried again later", "log", log.String(), "error", err)
	}
	return true
}

// take picks the dirtiest log that no other goroutine cleans.
func (c *Cleaner) take(now time.Time) (best Log, picture Picture, plan Plan) {
	logs := c.cfg.Logs()
	c.mu.Lock()
	defer c.mu.Unlock()
	known := make(map[Log]struct{}, len(c.failed))
	for _, log := range logs {
		known[log] = struct{}{}
		if _, busy := c.busy[log]; busy || now.Before(c.failed[log]) {
			continue
		}
		p, err := log.Picture()
		if err != nil {
			continue // being closed or removed
		}
		if candidate := Make(p, now.UnixMilli()); candidate.Due && (best == nil || candidate.dirtier(&plan)) {
			best, picture, plan = log, p, candidate
		}
	}
	for log := range c.failed {
		if _, ok := known[log]; !ok {
			delete(c.failed, log)
		}
	}
	if best != nil {
		c.busy[best] = struct{}{}
	}
	return best, picture, plan
}

func (c *Cleaner) release(log Log, now time.Time, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.busy, log)
	switch {
	case err == nil:
		delete(c.failed, log)
	case errors.Is(err, ErrChanged):
		c.failed[log] = now.Add(c.cfg.Backoff)
	default:
		c.failed[log] = now.Add(failedRounds * c.cfg.Backoff)
	}
}
