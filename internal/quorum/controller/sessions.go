package controller

import (
	"slices"

	"github.com/naru-stream/naru/internal/kafka/metarecord"
	"github.com/naru-stream/naru/internal/kafka/wire"
	"github.com/naru-stream/naru/internal/quorum/metadata"
)

// session is what the controller knows of a broker from its heartbeats. A new
// controller starts without sessions.
type session struct {
	epoch int64
	// contactMs is when the broker was last heard of.
	contactMs int64
	// metadataOffset is the last offset of the metadata log that it has applied.
	metadataOffset int64
	// shutdownOffset is the offset that all live brokers must have applied before
	// the broker's controlled shutdown is granted; -1 if it is not shutting down.
	shutdownOffset int64
}

// alive says whether the broker was heard of within the session timeout.
func (c *Core) alive(b *metadata.Broker, nowMs int64) bool {
	s := c.sessions[b.ID]
	return s != nil && s.epoch == b.Epoch && nowMs-s.contactMs < c.sessionTimeoutMs()
}

func (c *Core) sessionTimeoutMs() int64 {
	return int64(c.cfg.Settings.Int32("broker.session.timeout.ms"))
}

// touch notes a sign of life.
func (c *Core) touch(id int32, epoch, nowMs, metadataOffset int64) *session {
	s := c.sessions[id]
	if s == nil || s.epoch != epoch {
		s = &session{epoch: epoch, metadataOffset: -1, shutdownOffset: -1}
		c.sessions[id] = s
	}
	s.contactMs = nowMs
	s.metadataOffset = max(s.metadataOffset, metadataOffset)
	return s
}

// maxTickDelayMs is how late a Tick may be called before the controller takes it
// that it stood still itself.
const maxTickDelayMs = 1000

// Tick fences the brokers that were silent for longer than the session timeout,
// counted from the controller's start for those it has not heard of. It returns
// when it wants to be called again, in milliseconds since 1970. Time in which the
// controller stood still (the process was stopped, the machine slept) does not
// count as silence: nobody could have been heard.
func (c *Core) Tick(nowMs int64) (nextMs int64) {
	if late := nowMs - c.tickDueMs; late > maxTickDelayMs {
		c.startedMs += late
		for _, s := range c.sessions {
			s.contactMs += late
		}
	}
	nextMs = c.fenceSilent(nowMs)
	c.tickDueMs = nextMs
	return nextMs
}

func (c *Core) fenceSilent(nowMs int64) (nextMs int64) {
	timeout := c.sessionTimeoutMs()
	nextMs = nowMs + timeout
	for _, b := range c.image().Brokers() {
		if b.Fenced {
			continue
		}
		silentSince := c.startedMs
		if s := c.sessions[b.ID]; s != nil && s.epoch == b.Epoch {
			silentSince = s.contactMs
		}
		if due := silentSince + timeout; due > nowMs {
			nextMs = min(nextMs, due)
			continue
		}
		c.fence(b)
	}
	return nextMs
}

// fence takes everything from a broker that it holds for clients.
func (c *Core) fence(b *metadata.Broker) {
	c.reassignLeaders(departure{broker: b.ID})
	r := &metarecord.BrokerRegistrationChangeRecord{}
	r.SetDefaults()
	r.BrokerId, r.BrokerEpoch, r.Fenced = b.ID, b.Epoch, 1
	c.write(r)
}

// unfence makes a broker visible and lets it lead what nobody leads.
func (c *Core) unfence(b *metadata.Broker) {
	r := &metarecord.BrokerRegistrationChangeRecord{}
	r.SetDefaults()
	r.BrokerId, r.BrokerEpoch, r.Fenced = b.ID, b.Epoch, -1
	c.write(r)
	c.reassignLeaders(departure{broker: -1})
}

// departure says why leaders are to be chosen anew.
type departure struct {
	// broker leaves the in-sync sets; -1 if none leaves and only partitions without
	// a leader are visited.
	broker int32
	// unclean means that the broker may have lost acknowledged data.
	unclean bool
	// directories limits the departure to the replicas in them, if set.
	directories []wire.UUID
}

// reassignLeaders writes the partition changes that follow from a departure or an
// arrival, in the order of topic names and partition ids.
func (c *Core) reassignLeaders(why departure) {
	var records []metadata.Record
	for t := range c.image().Topics() {
		for id := range int32(t.PartitionCount()) {
			p, ok := t.Partition(id)
			if !ok || !why.concerns(p) {
				continue
			}
			ch := c.edit(t, id, p)
			if why.broker >= 0 {
				live := ch.acceptable
				ch.acceptable = func(id int32) bool { return id != why.broker && live(id) }
				ch.isr = without(p.ISR(), why.broker)
				if !ch.elr && len(ch.isr) == 0 {
					ch.isr = p.ISR()
				}
			}
			if why.unclean {
				ch.unclean = []int32{why.broker}
			}
			if r := ch.record(); r != nil {
				records = append(records, r)
			}
		}
	}
	c.write(records...)
}

func (d departure) concerns(p metadata.Partition) bool {
	if d.broker < 0 {
		return p.Leader == metadata.NoLeader
	}
	if !slices.Contains(p.ISR(), d.broker) && (!d.unclean || !slices.Contains(p.ELR(), d.broker)) {
		return false
	}
	if d.directories == nil {
		return true
	}
	at := slices.Index(p.Replicas(), d.broker)
	return at >= 0 && at < len(p.Directories()) && slices.Contains(d.directories, p.Directories()[at])
}
