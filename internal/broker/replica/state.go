package replica

// state is the pure core of a partition's replica on its leader: who is in sync,
// how far each vouches for the log, and the high watermark that follows.
//
// Today every partition has one replica, so the in-sync set is the leader alone;
// followers' end offsets join the minimum when replication arrives.
type state struct {
	leader      bool
	leaderEpoch int32
	// minInSync is min(min.insync.replicas, replication factor): a setting that asks
	// for more replicas than a partition has cannot be meant literally (KAFKA-15583).
	minInSync int
	inSync    int
	// localEnd is the end offset this replica vouches for: the log's end where the
	// page cache counts as written, the durable end where only synced bytes count.
	localEnd int64
	// highWatermark is exclusive: offsets below it are committed. It never moves back
	// on a leader.
	highWatermark int64
}

// lead makes the replica leader of an epoch. The sole in-sync replica has every
// committed record, so what it recovered is committed.
func (s *state) lead(epoch int32, replicas, inSync, minInsyncReplicas int, localEnd int64) {
	s.leader, s.leaderEpoch = true, epoch
	s.inSync = inSync
	s.minInSync = min(minInsyncReplicas, replicas)
	s.advance(localEnd)
}

// resign ends leadership: the replica takes no more appends.
func (s *state) resign(epoch int32) {
	s.leader, s.leaderEpoch = false, epoch
}

// advance takes note of how far this replica vouches for its log and reports
// whether the high watermark moved. It does not move while fewer replicas are in
// sync than required, even for acks=1 (rule of KIP-966).
func (s *state) advance(localEnd int64) bool {
	if localEnd > s.localEnd {
		s.localEnd = localEnd
	}
	if !s.leader || s.inSync < s.minInSync || s.localEnd <= s.highWatermark {
		return false
	}
	s.highWatermark = s.localEnd
	return true
}

// acceptsAll reports whether an append with acks=all may be taken.
func (s *state) acceptsAll() bool { return s.inSync >= s.minInSync }
