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
	// replicas are the wished ones, with those that a reassignment adds and those
	// that it has not removed yet.
	replicas, adding, removing []int32
	// directory returns the directory that a new replica on a broker is assigned to.
	directory func(broker int32) wire.UUID
	// minISR is the effective min.insync.replicas: not above the replica count.
	minISR int
	// elr says whether the cluster keeps eligible leader replicas (KIP-966).
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
	ch.finishReassignment()
	reassigned := ch.place(r)
	elr, lastKnown := ch.eligible()
	isr := ch.isr

	leader, unclean := ch.elect(isr, elr)
	if leader >= 0 && !slices.Contains(isr, leader) {
		// Elected from outside of the ISR: an eligible replica joins it as its only
		// member; after an unclean election nobody else can be trusted either.
		isr = []int32{leader}
		elr = without(elr, leader)
		if unclean || len(isr) >= ch.minISR || !ch.elr {
			// From an unclean election on the leader's log is what counts, and the
			// others are not known to hold it.
			elr, lastKnown = nil, nil
		}
	}
	// A leader that is the only replica has nobody to reconcile with.
	recovering := (ch.old.Recovering && !ch.recovered || unclean) && len(ch.replicas) > 1
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
	if len(isr) == 0 {
		// Remembered even while others are eligible: should they turn out to have
		// lost records, the last leader is the best that is left, and the first
		// replica where a reassignment called off has taken that leader away.
		if ch.old.Leader >= 0 {
			lastKnown = []int32{ch.old.Leader}
		}
		if !containsAll(ch.replicas, lastKnown) {
			lastKnown = ch.replicas[:1]
		}
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
// all it adds are in sync and enough replicas stay in sync (R20); all of them if
// they become fewer, lest the in-sync set shrinks for no gain.
func (ch *change) finishReassignment() {
	if len(ch.adding) == 0 && len(ch.removing) == 0 {
		return
	}
	isr := without(ch.isr, ch.removing...)
	replicas := without(ch.replicas, ch.removing...)
	fewer := len(ch.adding) < len(ch.removing)
	if len(isr) == 0 || len(isr) < min(ch.minISR, len(replicas)) || !containsAll(isr, ch.adding) || fewer && !containsAll(isr, replicas) {
		return
	}
	ch.isr, ch.replicas, ch.adding, ch.removing = isr, replicas, nil, nil
}

// place writes into r where the replicas are now, and says whether one is gone.
func (ch *change) place(r *metarecord.PartitionChangeRecord) (reassigned bool) {
	if old := ch.old.Replicas(); !slices.Equal(ch.replicas, old) {
		r.Replicas = ch.replicas
		for _, id := range ch.replicas {
			if i := slices.Index(old, id); i >= 0 && i < len(ch.old.Directories()) {
				r.Directories = append(r.Directories, ch.old.Directories()[i])
			} else {
				r.Directories = append(r.Directories, ch.directory(id))
			}
		}
		reassigned = !containsAll(ch.replicas, old)
	}
	if !slices.Equal(ch.adding, ch.old.AddingReplicas()) {
		r.AddingReplicas = nonNil(ch.adding)
	}
	if !slices.Equal(ch.removing, ch.old.RemovingReplicas()) {
		r.RemovingReplicas = nonNil(ch.removing)
	}
	return reassigned
}

// eligible returns the replicas that are out of sync and still hold everything
// committed (R17), and the last known ones. Without the feature nobody becomes
// eligible; who was so when it was taken away stays it until somebody is in sync.
func (ch *change) eligible() (elr, lastKnown []int32) {
	enough := min(ch.minISR, len(ch.replicas))
	if !ch.elr {
		enough = 1
	}
	if len(ch.isr) >= enough {
		return nil, nil
	}
	for _, id := range ch.replicas {
		held := ch.elr && slices.Contains(ch.old.ISR(), id) || slices.Contains(ch.old.ELR(), id)
		if held && !slices.Contains(ch.isr, id) && !slices.Contains(ch.unclean, id) {
			elr = append(elr, id)
		}
	}
	return elr, ch.old.LastKnownELR()
}

// elect chooses the leader in the order of R16.
func (ch *change) elect(isr, elr []int32) (leader int32, unclean bool) {
	valid := func(id int32) bool {
		inSync := slices.Contains(isr, id) || len(isr) == 0 && slices.Contains(elr, id)
		return inSync && ch.acceptable(id)
	}
	if ch.election == electPreferred && len(ch.replicas) > 0 && valid(ch.replicas[0]) {
		return ch.replicas[0], false
	}
	if valid(ch.old.Leader) {
		return ch.old.Leader, false
	}
	for _, id := range ch.replicas {
		if valid(id) {
			return id, false
		}
	}
	if lastKnown := ch.old.LastKnownELR(); len(isr) == 0 && len(elr) == 0 && len(lastKnown) == 1 &&
		slices.Contains(ch.replicas, lastKnown[0]) && ch.acceptable(lastKnown[0]) {
		return lastKnown[0], true
	}
	if ch.election == electUnclean {
		for _, id := range ch.replicas {
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

// containsAll says whether ids has all of wanted.
func containsAll(ids, wanted []int32) bool {
	return !slices.ContainsFunc(wanted, func(id int32) bool { return !slices.Contains(ids, id) })
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
		replicas: p.Replicas(), adding: p.AddingReplicas(), removing: p.RemovingReplicas(),
		minISR: min(c.minInsyncReplicas(t.Name), len(p.Replicas())),
		elr:    img.Feature(FeatureELR) > 0,
		acceptable: func(id int32) bool {
			b := img.Broker(id)
			return b != nil && b.Active()
		},
		directory: func(id int32) wire.UUID { return img.Broker(id).DefaultDirectory() },
	}
	if c.uncleanElection(t.Name) {
		ch.election = electUnclean
	}
	return ch
}
