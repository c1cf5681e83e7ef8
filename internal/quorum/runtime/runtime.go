package runtime

import (
	"context"
	"crypto/rand"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/naru-stream/naru/internal/kafka/config"
	"github.com/naru-stream/naru/internal/kafka/metarecord"
	"github.com/naru-stream/naru/internal/kafka/protocol"
	"github.com/naru-stream/naru/internal/kafka/wire"
	"github.com/naru-stream/naru/internal/quorum/controller"
	"github.com/naru-stream/naru/internal/quorum/metadata"
	"github.com/naru-stream/naru/internal/quorum/metalog"
	"github.com/naru-stream/naru/internal/quorum/publish"
)

const (
	// MaxQueued is how many requests may wait; Submit blocks beyond.
	MaxQueued = 1024
	// MaxBatchRecords is how many decided records end the taking of further
	// requests into a batch.
	MaxBatchRecords = 10_000
)

// ErrClosed says that the controller was closed before it took the request.
var ErrClosed = fmt.Errorf("the controller is closed: %w", protocol.NotController)

// Config is what a Controller is started with.
type Config struct {
	ClusterID string
	NodeID    int32
	// DirectoryID is the id of the directory that holds the metadata log.
	DirectoryID wire.UUID
	// Endpoints are where the controller can be reached, as DescribeQuorum tells.
	Endpoints []metadata.Endpoint
	// Settings are the controller's own settings.
	Settings config.Values
	Log      metalog.Log
	// Snapshots keeps the snapshots; they are written as
	// metadata.log.max.record.bytes.between.snapshots and
	// metadata.log.max.snapshot.interval.ms say.
	Snapshots *metalog.Snapshots
	Publisher *publish.Publisher
	// Logger takes the reports; slog.Default if nil.
	Logger *slog.Logger
	// Now is the clock; time.Now if nil.
	Now func() time.Time
	// NewUUID makes ids; random ones if nil.
	NewUUID func() wire.UUID
	// Failed is called once, from a goroutine of the controller, when the metadata
	// log fails. The node must stop: what was decided last may or may not be in the
	// log.
	Failed func(error)
}

// Controller is a running controller.
type Controller struct {
	cfg     Config
	core    *controller.Core
	encoder metalog.Encoder
	buf     []byte

	queue    chan *submission
	snapshot chan snapshotDone
	stop     chan struct{}
	stopped  chan struct{}
	once     sync.Once
	failure  error // set before stopped is closed

	end atomic.Int64 // behind the last durable record
	snapshotter
}

type submission struct {
	request  protocol.Request
	version  int16
	done     chan struct{}
	response protocol.Message
	offset   int64
	err      error
}

// Start recovers the state, takes office and runs the controller until Close. It
// returns when the image of the start is published.
func Start(cfg Config) (*Controller, error) {
	if cfg.Logger == nil {
		cfg.Logger = slog.Default()
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.NewUUID == nil {
		cfg.NewUUID = randomUUID
	}
	recovered, err := metalog.Recover(cfg.Log, cfg.Snapshots)
	if err != nil {
		return nil, err
	}
	if err := controller.CheckFeatures(recovered.Image); err != nil {
		return nil, fmt.Errorf("recovering the cluster metadata: %w", err)
	}
	for _, complaint := range recovered.Skipped {
		cfg.Logger.Warn("metadata snapshot skipped", "error", complaint)
	}
	c := &Controller{
		cfg:      cfg,
		queue:    make(chan *submission, MaxQueued),
		snapshot: make(chan snapshotDone, 1),
		stop:     make(chan struct{}),
		stopped:  make(chan struct{}),
	}
	c.snapshotter.begin(cfg, recovered)
	if err := c.takeOffice(recovered); err != nil {
		return nil, err
	}
	go c.run()
	return c, nil
}

// takeOffice writes the first batch of this start.
func (c *Controller) takeOffice(recovered *metalog.Recovered) error {
	_, end := c.cfg.Log.Bounds()
	nowMs := c.nowMs()
	epoch := recovered.Image.Epoch + 1
	voter := metarecord.LeaderChangeMessageVoter{VoterId: c.cfg.NodeID}
	leader := &metarecord.LeaderChangeMessage{
		LeaderId: c.cfg.NodeID,
		Voters:   []metarecord.LeaderChangeMessageVoter{voter}, GrantingVoters: []metarecord.LeaderChangeMessageVoter{voter},
	}
	at := metalog.Entry{BaseOffset: end, LeaderEpoch: epoch, TimestampMs: nowMs}
	var err error
	if c.buf, err = c.encoder.AppendControl(c.buf[:0], at, metarecord.LeaderChange, 0, leader); err != nil {
		return err
	}
	core := controller.Config{ClusterID: c.cfg.ClusterID, NodeID: c.cfg.NodeID, Settings: c.cfg.Settings}
	c.core = controller.New(core, recovered.Image, end+1, epoch, nowMs)
	c.core.Bootstrap()
	batch := c.core.Take()
	if err := c.persist(batch, nowMs); err != nil {
		return err
	}
	c.cfg.Publisher.Publish(metadata.Everything(batch.Image))
	return nil
}

func (c *Controller) nowMs() int64 { return c.cfg.Now().UnixMilli() }

// Submit asks for a decision and waits for it. The response is the controller's
// own and may be kept; what it says is durable, and so is everything in the
// metadata log up to the returned offset, which the broker's view of the metadata
// must reach before it shows the effect. The request is not kept. version is the
// one it was sent in. A request that the controller does not know gets an error
// with UNSUPPORTED_VERSION.
func (c *Controller) Submit(ctx context.Context, request protocol.Request, version int16) (protocol.Message, int64, error) {
	own, err := clone(request, version)
	if err != nil {
		return nil, 0, err
	}
	s := &submission{request: own, version: version, done: make(chan struct{})}
	select {
	case c.queue <- s:
	case <-c.stopped:
		return nil, 0, c.closedError()
	case <-ctx.Done():
		return nil, 0, ctx.Err()
	}
	select {
	case <-s.done:
		return s.response, s.offset, s.err
	case <-ctx.Done():
		return nil, 0, ctx.Err()
	case <-c.stopped:
	}
	select {
	case <-s.done:
		return s.response, s.offset, s.err
	default:
		return nil, 0, c.closedError()
	}
}

// clone copies a request, whose strings may lie in a buffer of the network.
func clone(request protocol.Request, version int16) (protocol.Request, error) {
	own := request.Key().API().NewRequest()
	if err := protocol.CheckVersion(request, version); err != nil {
		return nil, fmt.Errorf("taking a request of the controller: %w", err)
	}
	if err := own.Decode(request.Append(nil, version), version); err != nil {
		return nil, fmt.Errorf("taking a request of the controller: %w", err)
	}
	return own, nil
}

func (c *Controller) closedError() error {
	if c.failure != nil {
		return fmt.Errorf("the metadata log has failed: %w: %w", protocol.NotController, c.failure)
	}
	return ErrClosed
}

// Epoch returns the epoch in which this controller was elected.
func (c *Controller) Epoch() int32 { return c.core.Epoch() }

// Close stops the controller after what it is doing. It does not close the log.
func (c *Controller) Close() {
	c.once.Do(func() { close(c.stop) })
	<-c.stopped
	c.snapshotter.wait()
}

func (c *Controller) run() {
	defer close(c.stopped)
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		var taken []*submission
		select {
		case <-c.stop:
			return
		case <-timer.C:
			c.tick(timer)
		case done := <-c.snapshot:
			c.snapshotFinished(done)
			continue
		case s := <-c.queue:
			taken = c.decide(taken, s)
		}
		for c.core.Pending() < MaxBatchRecords && len(taken) < MaxQueued {
			s := c.next()
			if s == nil {
				break
			}
			taken = c.decide(taken, s)
		}
		if err := c.commit(c.nowMs()); err != nil {
			c.fail(err)
			return
		}
		c.answer(taken)
	}
}

// tick lets time pass and sets the timer for the next time.
func (c *Controller) tick(timer *time.Timer) {
	nowMs := c.nowMs()
	next := min(c.core.Tick(nowMs), c.snapshotter.dueMs())
	timer.Reset(time.Duration(max(next-nowMs, 1)) * time.Millisecond)
}

// next returns a waiting request, nil if there is none.
func (c *Controller) next() *submission {
	select {
	case s := <-c.queue:
		return s
	default:
		return nil
	}
}

// decide lets the core decide a request.
func (c *Controller) decide(taken []*submission, s *submission) []*submission {
	if r, ok := s.request.(*protocol.DescribeQuorumRequest); ok {
		s.response = c.describeQuorum(r, s.version)
		return append(taken, s)
	}
	s.response = c.core.Handle(controller.Event{
		NowMs: c.nowMs(), NewUUID: c.cfg.NewUUID, Request: s.request, Version: s.version,
	})
	if s.response == nil {
		s.err = fmt.Errorf("the controller does not serve %s: %w", s.request.Key(), protocol.UnsupportedVersion)
	}
	return append(taken, s)
}

// commit makes what the core decided durable and publishes it.
func (c *Controller) commit(nowMs int64) error {
	batch := c.core.Take()
	if err := c.persist(batch, nowMs); err != nil {
		return err
	}
	if batch.Changes != nil {
		c.cfg.Publisher.Publish(batch.Changes)
	}
	return nil
}

// persist writes a batch behind what c.buf already holds and waits until it is
// durable.
func (c *Controller) persist(batch controller.Batch, nowMs int64) error {
	at := metalog.Entry{BaseOffset: batch.BaseOffset, LeaderEpoch: c.core.Epoch(), TimestampMs: nowMs}
	var err error
	if c.buf, _, err = c.encoder.Append(c.buf, at, batch.Records, controller.RecordVersion); err != nil {
		return err
	}
	if len(c.buf) > 0 {
		if err := c.cfg.Log.Append(c.buf, c.core.Epoch()); err != nil {
			return err
		}
		c.end.Store(batch.BaseOffset + int64(len(batch.Records)))
	}
	c.considerSnapshot(batch.Image, len(c.buf), nowMs)
	c.buf = c.buf[:0]
	return nil
}

func (c *Controller) answer(taken []*submission) {
	for _, s := range taken {
		s.offset = c.lastOffset()
		close(s.done)
	}
}

// lastOffset is the offset of the last record that the published image contains.
func (c *Controller) lastOffset() int64 { return c.core.Image().Offset }

// fail ends the controller after an error of the log.
func (c *Controller) fail(err error) {
	c.failure = err
	c.cfg.Logger.Error("metadata log failed", "error", err)
	if c.cfg.Failed != nil {
		go c.cfg.Failed(err)
	}
}

func randomUUID() wire.UUID {
	for {
		var u wire.UUID
		_, _ = rand.Read(u[:]) // never fails
		u[6], u[8] = u[6]&0x0f|0x40, u[8]&0x3f|0x80
		if !metadata.ReservedDirectory(u) && u.String()[0] != '-' {
			return u
		}
	}
}
