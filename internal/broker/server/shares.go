package server

import (
	"cmp"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/naru-stream/naru/internal/broker/deadletter"
	"github.com/naru-stream/naru/internal/broker/replica"
	"github.com/naru-stream/naru/internal/broker/sharefetch"
	"github.com/naru-stream/naru/internal/broker/sharepartition"
	"github.com/naru-stream/naru/internal/broker/sharesession"
	"github.com/naru-stream/naru/internal/kafka/config"
	"github.com/naru-stream/naru/internal/kafka/protocol"
	"github.com/naru-stream/naru/internal/quorum/metadata"
)

// shareAcks is the acknowledgements of one request, on their way.
type shareAcks struct {
	broker *Broker
	// maxType is the highest type the request's version knows.
	maxType int8
	renews  bool
	finish  func()

	asked []shareAsk
	left  atomic.Int64
	acks  map[sharesession.Partition]*shareAck
}

type shareAsk struct {
	at      sharesession.Partition
	batches []sharepartition.AckBatch
}

// shareAck is how the acknowledgement of one partition went.
type shareAck struct{ err error }

func (b *Broker) newShareAcks(knowsRenew, renews bool) *shareAcks {
	a := &shareAcks{broker: b, maxType: sharepartition.Reject, renews: renews, acks: map[sharesession.Partition]*shareAck{}}
	if knowsRenew {
		a.maxType = sharepartition.Renew
	}
	a.left.Store(1)
	return a
}

func (a *shareAcks) add(at sharesession.Partition, batches []sharepartition.AckBatch) {
	a.asked = append(a.asked, shareAsk{at, batches})
}

func (a *shareAcks) begin() { a.left.Add(1) }

func (a *shareAcks) done() {
	if a.left.Add(-1) == 0 {
		a.finish()
	}
}

// start acknowledges; finish is called when all is safe.
func (a *shareAcks) start(key sharesession.Key) {
	for _, ask := range a.asked {
		result := &shareAck{}
		a.acks[ask.at] = result // of a partition that is named twice the last counts
		if !a.valid(ask.batches) {
			result.err = protocol.InvalidRequest
			continue
		}
		if _, err := a.broker.sharePartition(ask.at.Topic, ask.at.Index); err != nil && protocol.CodeOf(err) != protocol.NotLeaderOrFollower {
			result.err = err
			continue
		}
		if len(ask.batches) == 0 {
			continue
		}
		a.begin()
		a.broker.Shares.Acknowledge(key.Group, key.Member, ask.at, ask.batches, func(err error) {
			result.err = err
			a.done()
		})
	}
	a.done()
}

// valid refuses batches that make no sense.
func (a *shareAcks) valid(batches []sharepartition.AckBatch) bool {
	before := int64(-1)
	for i := range batches {
		b := &batches[i]
		if b.First > b.Last || b.First < before || len(b.Types) == 0 || len(b.Types) > 1 && b.Last-b.First != int64(len(b.Types)-1) {
			return false
		}
		if slices.ContainsFunc(b.Types, func(t int8) bool { return t < 0 || t > a.maxType || t == sharepartition.Renew && !a.renews }) {
			return false
		}
		before = b.Last
	}
	return true
}

// take returns how the acknowledgement of a partition went, nil if there was none.
func (a *shareAcks) take(at sharesession.Partition) *shareAck {
	ack := a.acks[at]
	delete(a.acks, at)
	return ack
}

// rest calls f for the acknowledgements that were not taken, in the request's order.
func (a *shareAcks) rest(f func(at sharesession.Partition, ack *shareAck)) {
	for _, ask := range a.asked {
		if ack := a.take(ask.at); ack != nil {
			f(ask.at, ack)
		}
	}
}

// shareAnswer builds the answer to a ShareFetch.
type shareAnswer struct {
	broker    *Broker
	call      *call
	response  *protocol.ShareFetchResponse
	topics    map[protocol.UUID]int
	sources   [][]shareSource // beside the response's partitions
	endpoints []protocol.ShareFetchResponseNodeEndpoint
}

// shareSource has the records of one partition of the answer.
type shareSource struct{ *sharefetch.Result }

func (s shareSource) size() int64 {
	if s.Result == nil {
		return 0
	}
	return s.Records.Length
}

func (a *shareAnswer) add(at sharesession.Partition, part protocol.ShareFetchResponsePartitionData, r *sharefetch.Result) {
	i, ok := a.topics[at.Topic]
	if !ok {
		i = len(a.response.Responses)
		a.topics[at.Topic] = i
		a.response.Responses = append(a.response.Responses, protocol.ShareFetchResponseShareFetchableTopicResponse{TopicId: at.Topic})
		a.sources = append(a.sources, nil)
	}
	a.response.Responses[i].Partitions = append(a.response.Responses[i].Partitions, part)
	a.sources[i] = append(a.sources[i], shareSource{r})
}

// fetched adds what was acquired of a partition, if the member is to be told of it, and
// how its acknowledgement went.
func (a *shareAnswer) fetched(r *sharefetch.Result, session *sharesession.Context, acks *shareAcks) {
	part := protocol.ShareFetchResponsePartitionData{PartitionIndex: r.Partition.Index, ErrorCode: protocol.CodeOf(r.Err)}
	for _, x := range r.Acquired {
		part.AcquiredRecords = append(part.AcquiredRecords, protocol.ShareFetchResponseAcquiredRecords{FirstOffset: x.First, LastOffset: x.Last, DeliveryCount: x.Count})
	}
	if !session.News(r.Partition, part.ErrorCode, int(r.Records.Length)) {
		return
	}
	if leader, endpoint, ok := a.broker.shareLeader(a.call, r.Partition, r.Err); ok {
		part.CurrentLeader = leader
		a.endpoints = append(a.endpoints, endpoint)
	}
	if ack := acks.take(r.Partition); ack != nil {
		part.AcknowledgeErrorCode, part.AcknowledgeErrorMessage = int16(protocol.CodeOf(ack.err)), errorMessage(ack.err)
	}
	a.add(r.Partition, part, r)
}

// acknowledged adds how an acknowledgement went.
func (a *shareAnswer) acknowledged(at sharesession.Partition, ack *shareAck) {
	a.add(at, protocol.ShareFetchResponsePartitionData{
		PartitionIndex: at.Index, AcknowledgeErrorCode: int16(protocol.CodeOf(ack.err)), AcknowledgeErrorMessage: errorMessage(ack.err),
	}, nil)
}

// shareLeader returns who leads a partition, if that is what an error is about.
func (b *Broker) shareLeader(c *call, at sharesession.Partition, err error) (leader protocol.ShareFetchResponseLeaderIdAndEpoch, endpoint protocol.ShareFetchResponseNodeEndpoint, ok bool) {
	if code := protocol.CodeOf(err); code != protocol.NotLeaderOrFollower && code != protocol.FencedLeaderEpoch {
		return leader, endpoint, false
	}
	image := b.image()
	topic := image.TopicByID(at.Topic)
	if topic == nil {
		return leader, endpoint, false
	}
	p, found := topic.Partition(at.Index)
	if !found {
		return leader, endpoint, false
	}
	node := image.Broker(p.Leader)
	if node == nil {
		return leader, endpoint, false
	}
	e, found := node.Endpoint(c.req.Conn().Listener().Name)
	if !found {
		return leader, endpoint, false
	}
	leader.LeaderId, leader.LeaderEpoch = p.Leader, p.LeaderEpoch
	endpoint = protocol.ShareFetchResponseNodeEndpoint{NodeId: node.ID, Host: e.Host, Port: int32(e.Port), Rack: node.Rack}
	return leader, endpoint, true
}

// newShares returns what share groups have of this broker: nothing yet.
func (b *Broker) newShares() *sharefetch.Manager {
	start := time.Now()
	return sharefetch.NewManager(sharefetch.Config{
		State: b.ShareState, Partition: b.sharePartition, Settings: b.shareSettings, Sessions: b.shareSessions,
		WriteDeadLetter: b.DeadLetters.Write,
		Timer:           b.Timer, Log: b.log,
		// It only runs forward: a wall clock that is set must not end every lock.
		NowMs: func() int64 { return start.UnixMilli() + time.Since(start).Milliseconds() },
	})
}

// sharePartition returns this broker's replica of a partition that it leads.
func (b *Broker) sharePartition(topic protocol.UUID, index int32) (*replica.Partition, error) {
	return b.partitionFor("", topic, index, true)
}

// shareConfigs caches what share groups' settings come to in one image.
type shareConfigs struct {
	of *metadata.Image

	mu      sync.Mutex
	byGroup map[string]sharefetch.Settings
}

// maxShareConfigs bounds the cache; a broker with more groups computes the rest anew.
const maxShareConfigs = 10_000

// shareSettings returns the settings of a share group as of now.
func (b *Broker) shareSettings(group string) sharefetch.Settings {
	image := b.image()
	cache := b.shareConfigs.Load()
	if cache == nil || cache.of != image {
		cache = &shareConfigs{of: image, byGroup: map[string]sharefetch.Settings{}}
		b.shareConfigs.Store(cache)
	}
	cache.mu.Lock()
	defer cache.mu.Unlock()
	s, ok := cache.byGroup[group]
	if !ok {
		own := image.Config(metadata.ConfigResource{Type: metadata.ResourceGroup, Name: group})
		s = readShareSettings(own, Settings(image, b.Static, b.NodeID))
		if len(cache.byGroup) < maxShareConfigs {
			cache.byGroup[strings.Clone(group)] = s
		}
	}
	return s
}

// readShareSettings layers a group's settings over the broker's. What is not allowed was
// refused when it was set.
func readShareSettings(own metadata.Config, broker config.Values) sharefetch.Settings {
	number := func(name, fallback string) int64 {
		text, _ := own.Get(name)
		if n, ok := broker.GroupInt32(name, text); ok {
			return int64(n)
		}
		return broker.Int64(fallback)
	}
	text := func(name, otherwise string) string {
		v, _ := own.Get(name)
		return cmp.Or(strings.TrimSpace(v), otherwise)
	}
	s := sharefetch.Settings{
		Settings: sharepartition.Settings{
			MaxDeliveries: int16(number("share.delivery.count.limit", "group.share.delivery.count.limit")),
			MaxLocks:      int32(number("share.partition.max.record.locks", "group.share.partition.max.record.locks")),
			LockMs:        number("share.record.lock.duration.ms", "group.share.record.lock.duration.ms"),
			Renew:         strings.EqualFold(text("share.renew.acknowledge.enable", "true"), "true"),
		},
		Committed: strings.EqualFold(text("share.isolation.level", "read_uncommitted"), "read_committed"),
	}
	s.DeadLetters = deadletter.Settings{
		Topic:      text("errors.deadletterqueue.topic.name", ""),
		Copy:       strings.EqualFold(text("errors.deadletterqueue.copy.record.enable", "false"), "true"),
		Prefix:     broker.String("errors.deadletterqueue.topic.name.prefix"),
		AutoCreate: broker.Bool("errors.deadletterqueue.auto.create.topics.enable"),
	}
	s.Settings.DeadLetters = s.DeadLetters.Topic != ""
	switch reset := text("share.auto.offset.reset", "latest"); {
	case strings.EqualFold(reset, "earliest"):
		s.Reset.Earliest = true
	case len(reset) > len(byDuration) && strings.EqualFold(reset[:len(byDuration)], byDuration):
		s.Reset.DurationMs = config.ISODurationMs(reset[len(byDuration):])
	}
	return s
}

const byDuration = "by_duration:"
