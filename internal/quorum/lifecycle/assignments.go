package lifecycle

import (
	"context"
	"fmt"
	"log/slog"
	"sync"

	"github.com/naru-stream/naru/internal/kafka/protocol"
	"github.com/naru-stream/naru/internal/kafka/wire"
)

// maxAssignments is how many replicas one request tells of, as in Kafka.
const maxAssignments = 2000

// assignVersion is the version of the requests.
const assignVersion = 0

// AssignmentsConfig is what Assignments are made of.
type AssignmentsConfig struct {
	BrokerID int32
	// Dir returns the directory in which this broker keeps a replica, false for none.
	Dir     func(topic string, partition int32) (wire.UUID, bool)
	Channel Channel
	View    View
	Logger  *slog.Logger
}

// Assignments tells the controller in which of its log directories a broker keeps its
// replicas (KIP-858), so that those in a directory that fails can be given up. Its
// methods may be called concurrently.
type Assignments struct {
	cfg  AssignmentsConfig
	wake chan struct{} // holds a token after a change

	mu     sync.Mutex
	topics map[wire.UUID]struct{} // to look at
	offset int64                  // of the metadata that shows their changes

	cancel  context.CancelFunc
	stopped chan struct{}
}

// NewAssignments returns assignments that nobody is told of before Start.
func NewAssignments(cfg AssignmentsConfig) *Assignments {
	return &Assignments{cfg: cfg, wake: make(chan struct{}, 1), topics: map[wire.UUID]struct{}{}}
}

// Changed notes that a topic has new partitions, or other replicas, with the metadata at
// offset. The view may show that only later, for this can be called by who takes part in
// making it current. It does not wait.
func (a *Assignments) Changed(topic wire.UUID, offset int64) {
	a.mu.Lock()
	a.topics[topic] = struct{}{}
	a.offset = max(a.offset, offset)
	a.mu.Unlock()
	select {
	case a.wake <- struct{}{}:
	default:
	}
}

// Start begins to tell the controller under the broker's epoch.
func (a *Assignments) Start(epoch func() int64) {
	ctx, cancel := context.WithCancel(context.Background())
	a.cancel, a.stopped = cancel, make(chan struct{})
	go func() {
		defer close(a.stopped)
		for {
			select {
			case <-a.wake:
			case <-ctx.Done():
				return
			}
			if err := a.tell(ctx, epoch()); err != nil && ctx.Err() == nil {
				a.cfg.Logger.Warn("the controller was not told where replicas are; trying again", "error", err)
				if pause(ctx, retryInterval) != nil {
					return
				}
			}
		}
	}()
}

// Close ends what Start began.
func (a *Assignments) Close() {
	if a.cancel != nil {
		a.cancel()
		<-a.stopped
	}
}

// tell looks at the topics that changed. Those it could not tell of stay to be looked at.
func (a *Assignments) tell(ctx context.Context, epoch int64) error {
	a.mu.Lock()
	topics, offset := a.topics, a.offset
	a.topics = map[wire.UUID]struct{}{}
	a.mu.Unlock()
	err := a.cfg.View.WaitFor(ctx, offset)
	if err == nil {
		err = a.tellOf(ctx, topics, epoch)
	}
	if err != nil {
		for id := range topics {
			a.Changed(id, offset)
		}
	}
	return err
}

func (a *Assignments) tellOf(ctx context.Context, topics map[wire.UUID]struct{}, epoch int64) error {
	dirs, n := assignment{}, 0
	image := a.cfg.View.Current()
	for id := range topics {
		topic := image.TopicByID(id)
		if topic == nil {
			continue
		}
		for index := range int32(topic.PartitionCount()) { //nolint:gosec // partitions have ids of 32 bits
			p, _ := topic.Partition(index)
			for at, replica := range p.Replicas() {
				dir, ok := a.cfg.Dir(topic.Name, index)
				if replica != a.cfg.BrokerID || !ok || at < len(p.Directories()) && p.Directories()[at] == dir {
					continue
				}
				dirs.add(dir, id, index)
				if n++; n%maxAssignments > 0 {
					continue
				}
				if err := a.submit(ctx, dirs, epoch); err != nil {
					return err
				}
				dirs = assignment{}
			}
		}
	}
	if len(dirs) == 0 {
		return nil
	}
	return a.submit(ctx, dirs, epoch)
}

// assignment is the partitions of each topic in each directory.
type assignment map[wire.UUID]map[wire.UUID][]int32

func (a assignment) add(dir, topic wire.UUID, partition int32) {
	if a[dir] == nil {
		a[dir] = map[wire.UUID][]int32{}
	}
	a[dir][topic] = append(a[dir][topic], partition)
}

func (a *Assignments) submit(ctx context.Context, dirs assignment, epoch int64) error {
	r := &protocol.AssignReplicasToDirsRequest{BrokerId: a.cfg.BrokerID, BrokerEpoch: epoch}
	for dir, topics := range dirs {
		in := protocol.AssignReplicasToDirsRequestDirectoryData{Id: dir}
		for topic, partitions := range topics {
			of := protocol.AssignReplicasToDirsRequestTopicData{TopicId: topic}
			for _, index := range partitions {
				of.Partitions = append(of.Partitions, protocol.AssignReplicasToDirsRequestPartitionData{PartitionIndex: index})
			}
			in.Topics = append(in.Topics, of)
		}
		r.Directories = append(r.Directories, in)
	}
	answer, _, err := a.cfg.Channel.Submit(ctx, r, assignVersion)
	if err != nil {
		return fmt.Errorf("assigning replicas of broker %d to directories: %w", a.cfg.BrokerID, err)
	}
	resp, ok := answer.(*protocol.AssignReplicasToDirsResponse)
	if !ok {
		return fmt.Errorf("assigning replicas of broker %d to directories: the controller answered with %T", a.cfg.BrokerID, answer)
	}
	if resp.ErrorCode != protocol.None {
		return fmt.Errorf("assigning replicas of broker %d to directories: %w", a.cfg.BrokerID, resp.ErrorCode)
	}
	return nil // partitions that were deleted meanwhile are no loss
}
