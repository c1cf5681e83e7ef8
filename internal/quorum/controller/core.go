package controller

import (
	"github.com/naru-stream/naru/internal/assert"
	"github.com/naru-stream/naru/internal/kafka/config"
	"github.com/naru-stream/naru/internal/kafka/protocol"
	"github.com/naru-stream/naru/internal/kafka/wire"
	"github.com/naru-stream/naru/internal/quorum/metadata"
)

const (
	// MaxRecordsPerRequest is the most records that one request of a user may
	// cause. A larger one is refused with POLICY_VIOLATION, as by Kafka.
	MaxRecordsPerRequest = 10_000
	// MaxPartitions is the most partitions that a cluster may have.
	MaxPartitions = 1_000_000
)

// Config is what a Core is made with.
type Config struct {
	ClusterID string
	// NodeID is the controller's own id.
	NodeID int32
	// Settings are the controller's own settings, from server.properties.
	Settings config.Values
}

// Event is the occasion of a decision.
type Event struct {
	// NowMs is the time, in milliseconds since 1970.
	NowMs int64
	// NewUUID makes the ids of new topics. It must not return reserved ids.
	NewUUID func() wire.UUID
	// Request is what is asked for.
	Request protocol.Request
	// Version is the version in which the request was sent.
	Version int16
}

// Core is the controller's state machine. It belongs to one goroutine.
type Core struct {
	cfg   Config
	epoch int32

	img     *metadata.Image
	delta   *metadata.Delta
	dirty   bool
	records []metadata.Record
	next    int64

	sessions  map[int32]*session
	startedMs int64
	tickDueMs int64 // when Tick wanted to be called
}

// New returns the core of a controller that was elected in epoch and has
// replayed the log into img. The next record it writes gets nextOffset.
func New(cfg Config, img *metadata.Image, nextOffset int64, epoch int32, nowMs int64) *Core {
	return &Core{
		cfg: cfg, epoch: epoch, img: img, delta: metadata.NewDelta(img),
		next: nextOffset, sessions: map[int32]*session{}, startedMs: nowMs, tickDueMs: nowMs,
	}
}

// Epoch returns the epoch in which the controller was elected.
func (c *Core) Epoch() int32 { return c.epoch }

// Image returns the state with everything decided so far.
func (c *Core) Image() *metadata.Image { return c.image() }

// Pending returns the number of records decided and not yet taken.
func (c *Core) Pending() int { return len(c.records) }

// Batch is what a Core has decided since the batch before.
type Batch struct {
	// BaseOffset is the offset of the first record.
	BaseOffset int64
	Records    []metadata.Record
	// Image is the state after the records, Changes its difference to the state
	// before.
	Image   *metadata.Image
	Changes *metadata.Changes
}

// Take returns the records decided since the last Take; it is empty if there are
// none. They are in effect for later requests at once, therefore a Core whose
// records could not be written must not be used any more.
func (c *Core) Take() Batch {
	img := c.image()
	b := Batch{BaseOffset: c.next - int64(len(c.records)), Records: c.records, Image: img}
	if len(c.records) > 0 {
		b.Changes = c.delta.Changes(img)
		c.delta, c.records = metadata.NewDelta(img), nil
	}
	return b
}

// write decides records.
func (c *Core) write(records ...metadata.Record) {
	for _, r := range records {
		assert.NoError(c.delta.Apply(r), "a decided record fits the image")
	}
	c.records = append(c.records, records...)
	c.next += int64(len(records))
	c.dirty = c.dirty || len(records) > 0
}

// image returns the state with everything decided so far.
func (c *Core) image() *metadata.Image {
	if c.dirty {
		c.img, c.dirty = c.delta.Image(c.next-1, c.epoch), false
	}
	return c.img
}

// Handle decides a request and returns the response, which must not be let out
// before the records of the next Take are durable. For a request that the
// controller does not serve it returns nil.
func (c *Core) Handle(e Event) protocol.Message {
	switch r := e.Request.(type) {
	case *protocol.CreateTopicsRequest:
		return c.createTopics(e, r)
	case *protocol.DeleteTopicsRequest:
		return c.deleteTopics(e, r)
	case *protocol.CreatePartitionsRequest:
		return c.createPartitions(r)
	case *protocol.AlterConfigsRequest:
		return c.alterConfigs(r)
	case *protocol.IncrementalAlterConfigsRequest:
		return c.incrementalAlterConfigs(r)
	case *protocol.AllocateProducerIdsRequest:
		return c.allocateProducerIDs(r)
	case *protocol.BrokerRegistrationRequest:
		return c.registerBroker(e, r)
	case *protocol.BrokerHeartbeatRequest:
		return c.heartbeat(e, r)
	case *protocol.UnregisterBrokerRequest:
		return c.unregisterBroker(r)
	case *protocol.AlterPartitionRequest:
		return c.alterPartition(e, r)
	case *protocol.ElectLeadersRequest:
		return c.electLeaders(r)
	case *protocol.AlterPartitionReassignmentsRequest:
		return c.alterPartitionReassignments(r)
	case *protocol.UpdateFeaturesRequest:
		return c.updateFeatures(e, r)
	case *protocol.AssignReplicasToDirsRequest:
		return c.assignReplicasToDirs(r)
	default:
		return nil
	}
}
