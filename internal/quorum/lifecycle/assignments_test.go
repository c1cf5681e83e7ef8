package lifecycle

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"github.com/naru-stream/naru/internal/kafka/metarecord"
	"github.com/naru-stream/naru/internal/kafka/protocol"
	"github.com/naru-stream/naru/internal/kafka/wire"
	"github.com/naru-stream/naru/internal/quorum/metadata"
)

// registry is a controller that counts the assignments of each directory, after some
// failures, and the view of its metadata. The view shows the image once somebody has
// waited for it, the empty one before.
type registry struct {
	image    *metadata.Image
	shown    atomic.Bool
	failures int
	told     chan int // the sizes of requests that were answered
	got      map[wire.UUID]int
}

func (r *registry) Current() *metadata.Image {
	if !r.shown.Load() {
		return metadata.NewImage()
	}
	return r.image
}

func (r *registry) WaitFor(_ context.Context, offset int64) error {
	if offset == r.image.Offset {
		r.shown.Store(true)
	}
	return nil
}

func (r *registry) Submit(_ context.Context, request protocol.Request, _ int16) (protocol.Message, int64, error) {
	if r.failures--; r.failures >= 0 {
		if r.failures%2 == 0 {
			return &protocol.AssignReplicasToDirsResponse{ErrorCode: protocol.StaleBrokerEpoch}, 0, nil
		}
		return nil, 0, errors.New("no controller")
	}
	n := 0
	for _, dir := range request.(*protocol.AssignReplicasToDirsRequest).Directories {
		for _, topic := range dir.Topics {
			r.got[dir.Id] += len(topic.Partitions)
			n += len(topic.Partitions)
		}
	}
	r.told <- n
	return &protocol.AssignReplicasToDirsResponse{}, 0, nil
}

func TestAssignmentsAreToldInPartsAndAgainAfterFailures(t *testing.T) {
	a, b, topic := wire.UUID{1}, wire.UUID{2}, wire.UUID{9}
	delta := metadata.NewDelta(metadata.NewImage())
	records := []metadata.Record{&metarecord.TopicRecord{Name: "t", TopicId: topic}}
	for index := range int32(5000) {
		p := &metarecord.PartitionRecord{TopicId: topic, PartitionId: index, Replicas: []int32{1}, Isr: []int32{1}, Leader: 1}
		switch {
		case index < 100:
			p.Directories = []wire.UUID{a} // known already
		case index < 200:
			p.Replicas, p.Isr, p.Leader = []int32{2}, []int32{2}, 2 // another broker's
		default:
			p.Directories = []wire.UUID{metadata.DirectoryUnassigned}
		}
		records = append(records, p)
	}
	for _, record := range records {
		if err := delta.Apply(record); err != nil {
			t.Fatal(err)
		}
	}
	synctest.Test(t, func(t *testing.T) {
		r := &registry{image: delta.Image(1, 1), failures: 2, told: make(chan int, 10), got: map[wire.UUID]int{}}
		assignments := NewAssignments(AssignmentsConfig{
			BrokerID: 1, Channel: r, View: r, Logger: slog.New(slog.DiscardHandler),
			Dir: func(_ string, index int32) (wire.UUID, bool) {
				switch {
				case index%10 == 9:
					return wire.UUID{}, false // not here yet
				case index < 1000:
					return a, true
				}
				return b, true
			},
		})
		assignments.Changed(topic, 1)
		assignments.Changed(wire.UUID{8}, 0) // deleted meanwhile
		assignments.Start(func() int64 { return 5 })
		sizes := []int{<-r.told, <-r.told, <-r.told}
		synctest.Wait()
		assignments.Close()
		if !slices.Equal(sizes, []int{2000, 2000, 320}) || len(r.told) > 0 || r.got[a] != 720 || r.got[b] != 3600 {
			t.Errorf("requests of %v assignments, %d in a and %d in b; want 2000, 2000 and 320, of which 720 and 3600", sizes, r.got[a], r.got[b])
		}
	})
}
