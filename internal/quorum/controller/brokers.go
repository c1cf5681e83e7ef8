package controller

import (
	"slices"

	"github.com/naru-stream/naru/internal/kafka/metarecord"
	"github.com/naru-stream/naru/internal/kafka/protocol"
	"github.com/naru-stream/naru/internal/kafka/wire"
	"github.com/naru-stream/naru/internal/quorum/metadata"
)

// registerBroker lets a broker join the cluster under a new broker epoch, fenced
// until it has caught up (R18). A second registration of the same incarnation
// amends the first one and keeps its epoch.
func (c *Core) registerBroker(e Event, r *protocol.BrokerRegistrationRequest) *protocol.BrokerRegistrationResponse {
	resp := &protocol.BrokerRegistrationResponse{}
	resp.SetDefaults()
	old := c.image().Broker(r.BrokerId)
	if resp.ErrorCode = c.refuseRegistration(e, r, old); resp.ErrorCode != protocol.None {
		return resp
	}
	amends := old != nil && old.IncarnationID == r.IncarnationId
	if !amends && old != nil {
		c.reassignLeaders(departure{broker: r.BrokerId, unclean: r.PreviousBrokerEpoch != old.Epoch})
	}
	record := registration(r)
	record.BrokerEpoch = c.next
	if amends {
		record.BrokerEpoch, record.Fenced, record.InControlledShutdown = old.Epoch, old.Fenced, old.InControlledShutdown
	}
	c.write(record)
	c.touch(r.BrokerId, record.BrokerEpoch, e.NowMs, -1)
	resp.BrokerEpoch = record.BrokerEpoch
	return resp
}

func (c *Core) refuseRegistration(e Event, r *protocol.BrokerRegistrationRequest, old *metadata.Broker) protocol.ErrorCode {
	switch {
	case r.ClusterId != c.cfg.ClusterID:
		return protocol.InconsistentClusterId
	case r.IsMigratingZkBroker:
		return protocol.BrokerIdNotRegistered
	case old != nil && old.IncarnationID != r.IncarnationId && !old.InControlledShutdown && c.alive(old, e.NowMs):
		return protocol.DuplicateBrokerRegistration
	case !c.validDirectories(r):
		return protocol.InvalidRegistration
	}
	for _, f := range c.image().Features() {
		at := slices.IndexFunc(r.Features, func(s protocol.BrokerRegistrationRequestFeature) bool { return s.Name == f.Name })
		if at < 0 || r.Features[at].MinSupportedVersion > f.Level || r.Features[at].MaxSupportedVersion < f.Level {
			return protocol.UnsupportedVersion
		}
	}
	return protocol.None
}

// validDirectories checks that the broker names directories, each once, none
// reserved and none of another broker.
func (c *Core) validDirectories(r *protocol.BrokerRegistrationRequest) bool {
	for i, dir := range r.LogDirs {
		if metadata.ReservedDirectory(dir) || slices.Contains(r.LogDirs[:i], dir) {
			return false
		}
		for _, b := range c.image().Brokers() {
			if b.ID != r.BrokerId && slices.Contains(b.LogDirs, dir) {
				return false
			}
		}
	}
	return len(r.LogDirs) > 0
}

func registration(r *protocol.BrokerRegistrationRequest) *metarecord.RegisterBrokerRecord {
	record := &metarecord.RegisterBrokerRecord{}
	record.SetDefaults()
	record.BrokerId, record.IncarnationId, record.Rack = r.BrokerId, r.IncarnationId, r.Rack
	record.LogDirs = slices.SortedFunc(slices.Values(r.LogDirs), wire.UUID.Compare)
	for _, l := range r.Listeners {
		record.EndPoints = append(record.EndPoints, metarecord.RegisterBrokerRecordBrokerEndpoint{
			Name: l.Name, Host: l.Host, Port: l.Port, SecurityProtocol: l.SecurityProtocol,
		})
	}
	for _, f := range r.Features {
		record.Features = append(record.Features, metarecord.RegisterBrokerRecordBrokerFeature{
			Name: f.Name, MinSupportedVersion: f.MinSupportedVersion, MaxSupportedVersion: f.MaxSupportedVersion,
		})
	}
	return record
}

// checkBrokerEpoch says whether a broker that asks for something is the
// incarnation that is registered.
func (c *Core) checkBrokerEpoch(id int32, epoch int64) (*metadata.Broker, protocol.ErrorCode) {
	b := c.image().Broker(id)
	if b == nil || b.Epoch != epoch {
		return nil, protocol.StaleBrokerEpoch
	}
	return b, protocol.None
}

// heartbeat notes that a broker lives and moves it between its states: fenced,
// unfenced, in controlled shutdown, shut down (R19).
func (c *Core) heartbeat(e Event, r *protocol.BrokerHeartbeatRequest) *protocol.BrokerHeartbeatResponse {
	resp := &protocol.BrokerHeartbeatResponse{}
	resp.SetDefaults()
	b, code := c.checkBrokerEpoch(r.BrokerId, r.BrokerEpoch)
	if code != protocol.None {
		resp.ErrorCode = code
		return resp
	}
	s := c.touch(b.ID, b.Epoch, e.NowMs, r.CurrentMetadataOffset)
	switch {
	case b.Fenced:
		resp.ShouldShutDown = r.WantShutDown
		if !r.WantShutDown && !r.WantFence && r.CurrentMetadataOffset >= b.Epoch {
			c.unfence(b)
		}
	case r.WantFence:
		resp.ShouldShutDown = r.WantShutDown
		c.fence(b)
	case r.WantShutDown:
		resp.ShouldShutDown = c.shutDown(b, s)
	}
	c.offlineDirectories(b, r.OfflineLogDirs)
	if r.CordonedLogDirs != nil && !slices.Equal(r.CordonedLogDirs, b.CordonedLogDirs) {
		record := &metarecord.BrokerRegistrationChangeRecord{}
		record.SetDefaults()
		record.BrokerId, record.BrokerEpoch, record.CordonedLogDirs = b.ID, b.Epoch, r.CordonedLogDirs
		c.write(record)
	}
	resp.IsCaughtUp = r.CurrentMetadataOffset >= b.Epoch
	resp.IsFenced = c.image().Broker(b.ID).Fenced
	return resp
}

// shutDown moves the leaders away from a broker and says whether it may go: when
// it leads nothing any more and every live broker knows.
func (c *Core) shutDown(b *metadata.Broker, s *session) (granted bool) {
	if !b.InControlledShutdown {
		r := &metarecord.BrokerRegistrationChangeRecord{}
		r.SetDefaults()
		r.BrokerId, r.BrokerEpoch, r.InControlledShutdown = b.ID, b.Epoch, 1
		c.write(r)
		c.reassignLeaders(departure{broker: b.ID})
		s.shutdownOffset = c.next - 1
		return false
	}
	if c.leads(b.ID) {
		return false
	}
	for _, other := range c.image().Brokers() {
		if known := c.sessions[other.ID]; other.Active() && (known == nil || known.metadataOffset < s.shutdownOffset) {
			return false
		}
	}
	c.fence(b)
	return true
}

func (c *Core) leads(id int32) bool {
	for t := range c.image().Topics() {
		for n := range int32(t.PartitionCount()) {
			if p, ok := t.Partition(n); ok && p.Leader == id {
				return true
			}
		}
	}
	return false
}

// offlineDirectories takes directories that a broker has lost out of its
// registration and the replicas in them out of the in-sync sets.
func (c *Core) offlineDirectories(b *metadata.Broker, offline []wire.UUID) {
	kept := slices.DeleteFunc(slices.Clone(b.LogDirs), func(dir wire.UUID) bool { return slices.Contains(offline, dir) })
	if len(kept) == len(b.LogDirs) || len(kept) == 0 {
		return
	}
	r := &metarecord.BrokerRegistrationChangeRecord{}
	r.SetDefaults()
	r.BrokerId, r.BrokerEpoch, r.LogDirs = b.ID, b.Epoch, kept
	c.write(r)
	c.reassignLeaders(departure{broker: b.ID, directories: offline})
}

// unregisterBroker forgets a broker.
func (c *Core) unregisterBroker(r *protocol.UnregisterBrokerRequest) *protocol.UnregisterBrokerResponse {
	resp := &protocol.UnregisterBrokerResponse{}
	resp.SetDefaults()
	b := c.image().Broker(r.BrokerId)
	if b == nil {
		f := fail(protocol.BrokerIdNotRegistered, "Broker ID %d is not currently registered", r.BrokerId)
		resp.ErrorCode, resp.ErrorMessage = f.code, f.text()
		return resp
	}
	c.reassignLeaders(departure{broker: b.ID})
	c.write(&metarecord.UnregisterBrokerRecord{BrokerId: b.ID, BrokerEpoch: b.Epoch})
	delete(c.sessions, b.ID)
	return resp
}

// assignReplicasToDirs notes in which log directory a broker keeps replicas
// (KIP-858).
func (c *Core) assignReplicasToDirs(r *protocol.AssignReplicasToDirsRequest) *protocol.AssignReplicasToDirsResponse {
	resp := &protocol.AssignReplicasToDirsResponse{}
	resp.SetDefaults()
	b, code := c.checkBrokerEpoch(r.BrokerId, r.BrokerEpoch)
	if resp.ErrorCode = code; code != protocol.None {
		return resp
	}
	for _, dir := range r.Directories {
		answer := protocol.AssignReplicasToDirsResponseDirectoryData{Id: dir.Id}
		for _, topic := range dir.Topics {
			ta := protocol.AssignReplicasToDirsResponseTopicData{TopicId: topic.TopicId}
			for _, p := range topic.Partitions {
				ta.Partitions = append(ta.Partitions, protocol.AssignReplicasToDirsResponsePartitionData{
					PartitionIndex: p.PartitionIndex,
					ErrorCode:      c.assignReplica(b, dir.Id, topic.TopicId, p.PartitionIndex),
				})
			}
			answer.Topics = append(answer.Topics, ta)
		}
		resp.Directories = append(resp.Directories, answer)
	}
	return resp
}

func (c *Core) assignReplica(b *metadata.Broker, dir, topicID wire.UUID, partition int32) protocol.ErrorCode {
	t := c.image().TopicByID(topicID)
	if t == nil {
		return protocol.UnknownTopicId
	}
	p, ok := t.Partition(partition)
	if !ok {
		return protocol.UnknownTopicOrPartition
	}
	at := slices.Index(p.Replicas(), b.ID)
	if at < 0 {
		return protocol.NotLeaderOrFollower
	}
	dirs := slices.Clone(p.Directories())
	for len(dirs) < len(p.Replicas()) {
		dirs = append(dirs, metadata.DirectoryUnassigned)
	}
	if dirs[at] == dir {
		return protocol.None
	}
	dirs[at] = dir
	r := &metarecord.PartitionChangeRecord{}
	r.SetDefaults()
	r.TopicId, r.PartitionId, r.Directories = topicID, partition, dirs
	c.write(r)
	return protocol.None
}
