package load

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/naru-stream/naru/conformance/internal/crash/wire"
)

// Group is the consumer group's name, CommitGroup the start of the names of groups without members.
const (
	Group       = "crash-members"
	CommitGroup = "crash-commits-"
)

// GroupTopics are the topics that the group's members read.
var GroupTopics = []string{"small", "large"}

// commitGroups is how many groups without members commit: they fall on different partitions of the
// offsets topic.
const commitGroups = 6

// Members runs two members of one group until ctx ends: what they read goes into the ledger, and what
// they commit.
func Members(ctx context.Context, cfg Config, running *sync.WaitGroup) error {
	for member := range 2 {
		client, err := kgo.NewClient(append(options(cfg.Addr),
			kgo.ConsumerGroup(Group), kgo.ConsumeTopics(GroupTopics...), kgo.DisableAutoCommit(),
			kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.SessionTimeout(20*time.Second),
			kgo.HeartbeatInterval(500*time.Millisecond), kgo.FetchMaxWait(200*time.Millisecond),
			kgo.Balancers(kgo.CooperativeStickyBalancer()),
		)...)
		if err != nil {
			return fmt.Errorf("member %d: %w", member, err)
		}
		running.Go(func() { consume(ctx, cfg, client) })
	}
	return nil
}

func consume(ctx context.Context, cfg Config, client *kgo.Client) {
	defer client.CloseAllowingRebalance()
	for ctx.Err() == nil {
		fetches := client.PollFetches(ctx)
		fetches.EachError(func(topic string, partition int32, err error) {
			if ctx.Err() != nil {
				return
			}
			var lost *kgo.ErrDataLoss
			if errors.As(err, &lost) || errors.Is(err, kerr.OffsetOutOfRange) {
				cfg.Ledger.Violate("consumers go on", fmt.Sprintf("%s-%d", topic, partition), "%v", err)
				return
			}
			cfg.Notes.Add("consumer: " + short(err))
		})
		fetches.EachRecord(func(r *kgo.Record) {
			cfg.Ledger.Observed(wire.Partition{Topic: r.Topic, Index: r.Partition}, r.Offset, r.Key, r.Value)
		})
		if fetches.NumRecords() > 0 {
			commit(ctx, cfg, client)
		}
	}
}

func commit(ctx context.Context, cfg Config, client *kgo.Client) {
	offsets := client.UncommittedOffsets()
	tried := map[wire.Partition]int64{}
	for topic, partitions := range offsets {
		for index, at := range partitions {
			tried[wire.Partition{Topic: topic, Index: index}] = at.Offset
		}
	}
	cfg.Ledger.CommitTried(Group, tried)
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	client.CommitOffsetsSync(ctx, offsets, func(_ *kgo.Client, _ *kmsg.OffsetCommitRequest, resp *kmsg.OffsetCommitResponse, err error) {
		if err != nil {
			if ctx.Err() == nil {
				cfg.Notes.Add("commit: " + short(err))
			}
			return
		}
		for _, t := range resp.Topics {
			for _, p := range t.Partitions {
				at := wire.Partition{Topic: t.Topic, Index: p.Partition}
				if err := wire.Code(p.ErrorCode); err != nil {
					cfg.Notes.Add("commit: " + short(err))
				} else {
					cfg.Ledger.Committed(Group, at, tried[at])
				}
			}
		}
	})
}

// short takes an error's name without the details that differ each time.
func short(err error) string {
	var k *kerr.Error
	if errors.As(err, &k) {
		return k.Message
	}
	return "connection lost"
}

// Commits commits ever higher offsets in groups without members until ctx ends.
func Commits(ctx context.Context, cfg Config) {
	var conn *wire.Conn
	defer func() {
		if conn != nil {
			conn.Close()
		}
	}()
	for next := int64(1); ctx.Err() == nil; next++ {
		if conn == nil {
			if conn = dial(ctx, cfg.Addr); conn == nil {
				continue
			}
		}
		group := fmt.Sprint(CommitGroup, next%commitGroups)
		offsets := map[wire.Partition]int64{{Topic: "small", Index: int32(next % 4)}: next, {Topic: "large", Index: 0}: next}
		cfg.Ledger.CommitTried(group, offsets)
		err := conn.Commit(group, offsets)
		switch {
		case err == nil:
			for p, offset := range offsets {
				cfg.Ledger.Committed(group, p, offset)
			}
			pause(ctx, 2*time.Millisecond)
		case wire.Refused(err):
			if !wire.Is(err, "COORDINATOR_LOAD_IN_PROGRESS", "COORDINATOR_NOT_AVAILABLE", "NOT_COORDINATOR") {
				cfg.Ledger.Violate("commits go on", group, "%v", err)
			}
			cfg.Notes.Add("commit without members: " + short(err))
			pause(ctx, 5*time.Millisecond)
		default:
			conn.Close()
			conn = nil
		}
	}
}

// dial connects as soon as the server listens; nil if it does not yet.
func dial(ctx context.Context, addr string) *wire.Conn {
	conn, err := wire.Dial(ctx, addr, 30*time.Second)
	if err != nil {
		pause(ctx, 2*time.Millisecond)
		return nil
	}
	return conn
}

func pause(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}
