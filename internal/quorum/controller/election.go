package controller

import (
	"slices"

	"github.com/naru-stream/naru/internal/kafka/metarecord"
	"github.com/naru-stream/naru/internal/kafka/wire"
	"github.com/naru-stream/naru/internal/quorum/metadata"
)

// election says which leaders a partition change may choose.
type election int

const (
	// The zero election keeps a leader that is in sync and takes another in-sync one
	// otherwise.
	_ election = iota
	// electPreferred takes the first replica if it is in sync.
	electPreferred
	// electUnclean takes any live replica if no in-sync one lives.
	electUnclean
)

// change is a change of one partition in the making. It turns a wish (another
// ISR, other replicas) into the record that fulfils it and all that follows from
// it: leader, eligible leader replicas, end of a reassignment.
type change struct {
	topicID   wire.UUID
	partition int32
	old       metadata.Partition
	// isr is the wished in-sync set.
	isr []int32
	// minISR is the effective min.insync.replicas: not above the replica count.
	minISR int
	// elr says whether the cluster keeps eligible leader replicas.
	elr      bool
	election election
	// acceptable says whether a broker may lead.
	acceptable func(broker int32) bool
	// unclean lists replicas that may have lost acknowledged data.
	unclean []int32
	// recovered ends the recovery after an unclean election.
	recovered bool
}

// record returns the record for the change, nil if nothing changes.
func (ch *change) record() *metarecord.PartitionChangeRecord {
	r := &metarecord.PartitionChangeRecord{}
	r.SetDefaults()
	r.PartitionId, r.TopicId = ch.partition, ch.topicID
	replicas, reassigned := ch.finishReassignment(r)
	elr, lastKnown := ch.eligible(replicas)
	isr := ch.isr

	leader, unclean := ch.elect(replicas, isr, elr)
	if leader >= 0 && !slices.Contains(isr, leader) {
		// Elected from outside of the ISR: an eligible replica joins it as its only
		// member; after an unclean election nobody else can be trusted either.
		isr = []int32{leader}
		elr = without(elr, leader)
		if unclean || len(isr) >= ch.minISR {
			// From an unclean election on the leader's log is what counts, and the
			// others are not known to hold it.
			elr, lastKnown = nil, nil
		}
	}
	// A leader that is the only replica has nobody to reconcile with.
	recovering := (ch.old.Recovering && !ch.recovered || unclean) && len(replicas) > 1
	if leader != ch.old.Leader || reassigned {
		// A record that names the leader raises the leader epoch. After a
		// reassignment that must happen even if the leader stays, so that a replica
		// that was taken away and comes back is not mistaken for in sync (R20).
		r.Leader = leader
	}
	if recovering != ch.old.Recovering {
		r.LeaderRecoveryState = 0
		if recovering {
			r.LeaderRecoveryState = 1
		}
	}
	if !slices.Equal(isr, ch.old.ISR()) {
		r.Isr = nonNil(isr)
	}
	if ch.elr && len(isr) == 0 && ch.old.Leader >= 0 {
		// Remembered even while others are eligible: should they turn out to have
		// lost records, the last leader is the best that is left.
		lastKnown = []int32{ch.old.Leader}
	}
	if !slices.Equal(elr, ch.old.ELR()) {
		r.EligibleLeaderReplicas = nonNil(elr)
	}
	if !slices.Equal(lastKnown, ch.old.LastKnownELR()) {
		r.LastKnownElr = nonNil(lastKnown)
	}
	if r.Isr == nil && r.Leader == leaderUnchanged && r.Replicas == nil && r.AddingReplicas == nil &&
		r.RemovingReplicas == nil && r.LeaderRecoveryState < 0 && r.EligibleLeaderReplicas == nil && r.LastKnownElr == nil {
		return nil
	}
	return r
}

// leaderUnchanged in a PartitionChangeRecord keeps the leader and its epoch.
const leaderUnchanged int32 = -2

// finishReassignment takes the replicas away that a reassignment removes, once
// all it adds are in sync and enough replicas stay in sync (R20).
func (ch *change) finishReassignment(r *metarecord.PartitionChangeRecord) (replicas []int32, reassigned bool) {
	adding, removing := ch.old.AddingReplicas(), ch.old.RemovingReplicas()
	if len(adding) == 0 && len(removing) == 0 {
		return ch.old.Replicas(), false
	}
	for _, id := range adding {
		if !slices.Contains(ch.isr, id) {
			return ch.old.Replicas(), false
		}
	}
	isr := without(ch.isr, removing...)
	replicas = without(ch.old.Replicas(), removing...)
	if len(isr) == 0 || len(replicas) == 0 || len(isr) < min(ch.minISR, len(replicas)) {
		return ch.old.Replicas(), false
	}
	ch.isr = isr
	if len(removing) > 0 {
		r.Replicas, r.Directories = replicas, nil
		for i, id := range ch.old.Replicas() {
			if !slices.Contains(removing, id) && i < len(ch.old.Directories()) {
				r.Directories = append(r.Directories, ch.old.Directories()[i])
			}
		}
		r.RemovingReplicas = []int32{}
	}
	if len(adding) > 0 {
		r.AddingReplicas = []int32{}
	}
	return replicas, len(removing) > 0
}

// eligible returns the replicas that are out of sync and still hold everything
// committed (R17), and the last known ones.
func (ch *change) eligible(replicas []int32) (elr, lastKnown []int32) {
	if !ch.elr {
		return ch.old.ELR(), ch.old.LastKnownELR()
	}
	if len(ch.isr) >= min(ch.minISR, len(replicas)) {
		return nil, nil
	}
	for _, id := range replicas {
		held := slices.Contains(ch.old.ISR(), id) || slices.Contains(ch.old.ELR(), id)
		if held && !slices.Contains(ch.isr, id) && !slices.Contains(ch.unclean, id) {
			elr = append(elr, id)
		}
	}
	return elr, ch.old.LastKnownELR()
}

// elect chooses the leader in the order of R16.
func (ch *change) elect(replicas, isr, elr []int32) (leader int32, unclean bool) {
	valid := func(id int32) bool {
		inSync := slices.Contains(isr, id) || ch.elr && len(isr) == 0 && slices.Contains(elr, id)
		return inSync && ch.acceptable(id)
	}
	if ch.election == electPreferred && len(replicas) > 0 && valid(replicas[0]) {
		return replicas[0], false
	}
	if valid(ch.old.Leader) {
		return ch.old.Leader, false
	}
	for _, id := range replicas {
		if valid(id) {
			return id, false
		}
	}
	if lastKnown := ch.old.LastKnownELR(); ch.elr && len(isr) == 0 && len(elr) == 0 && len(lastKnown) == 1 &&
		slices.Contains(replicas, lastKnown[0]) && ch.acceptable(lastKnown[0]) {
		return lastKnown[0], true
	}
	if ch.election == electUnclean {
		for _, id := range replicas {
			if ch.acceptable(id) {
				return id, true
			}
		}
	}
	return metadata.NoLeader, false
}

// without returns a copy of ids that lacks some.
func without(ids []int32, gone ...int32) []int32 {
	var kept []int32
	for _, id := range ids {
		if !slices.Contains(gone, id) {
			kept = append(kept, id)
		}
	}
	return kept
}

// nonNil keeps an empty list apart from null, which means "unchanged" in a
// PartitionChangeRecord.
func nonNil(ids []int32) []int32 {
	if ids == nil {
		return []int32{}
	}
	return ids
}

// edit starts a change of a partition of t that so far changes nothing.
func (c *Core) edit(t *metadata.Topic, partition int32, p metadata.Partition) *change {
	img := c.image()
	ch := &change{
		topicID: t.ID, partition: partition, old: p, isr: p.ISR(),
		minISR: min(c.minInsyncReplicas(t.Name), len(p.Replicas())),
		elr:    img.Feature(FeatureELR) > 0,
		acceptable: func(id int32) bool {
			b := img.Broker(id)
			return b != nil && b.Active()
		},
	}
	if c.uncleanElection(t.Name) {
		ch.election = electUnclean
	}
	return ch
}
