package differential

import (
	"context"
	"errors"
	"fmt"
	"net"
	"runtime/debug"
	"strings"
	"time"

	"github.com/naru-stream/naru/internal/kafka/protocol"
)

// servedVersions are the versions of each API that are compared: those that Naru and Apache Kafka 4.3
// serve. The scenario "versions" compares the ranges that both advertise.
var servedVersions = map[protocol.APIKey][2]int16{
	protocol.KeyProduce: {3, 13}, protocol.KeyFetch: {4, 18}, protocol.KeyListOffsets: {1, 11}, protocol.KeyMetadata: {0, 13},
	protocol.KeyOffsetCommit: {2, 10}, protocol.KeyOffsetFetch: {1, 10}, protocol.KeyFindCoordinator: {0, 6},
	protocol.KeyJoinGroup: {0, 9}, protocol.KeyHeartbeat: {0, 4}, protocol.KeyLeaveGroup: {0, 5}, protocol.KeySyncGroup: {0, 5},
	protocol.KeyDescribeGroups: {0, 6}, protocol.KeyListGroups: {0, 5}, protocol.KeyApiVersions: {0, 4},
	protocol.KeyCreateTopics: {2, 7}, protocol.KeyDeleteTopics: {1, 6}, protocol.KeyDeleteRecords: {0, 2},
	protocol.KeyInitProducerId: {0, 5}, protocol.KeyOffsetForLeaderEpoch: {2, 4}, protocol.KeyDescribeConfigs: {1, 4},
	protocol.KeyAlterConfigs: {0, 2}, protocol.KeyDescribeLogDirs: {1, 5}, protocol.KeyCreatePartitions: {0, 3},
	protocol.KeyDeleteGroups: {0, 2}, protocol.KeyIncrementalAlterConfigs: {0, 1}, protocol.KeyOffsetDelete: {0, 0},
	protocol.KeyDescribeQuorum: {0, 2}, protocol.KeyDescribeCluster: {0, 2}, protocol.KeyUnregisterBroker: {0, 0},
	protocol.KeyListConfigResources: {0, 1}, protocol.KeyDescribeTopicPartitions: {0, 0},
	protocol.KeyShareGroupHeartbeat: {1, 1}, protocol.KeyShareGroupDescribe: {1, 1}, protocol.KeyDescribeShareGroupOffsets: {0, 1},
	protocol.KeyAlterShareGroupOffsets: {0, 0}, protocol.KeyDeleteShareGroupOffsets: {0, 0},
	protocol.KeyStreamsGroupHeartbeat: {0, 0}, protocol.KeyStreamsGroupDescribe: {0, 0},
	protocol.KeySaslHandshake: {0, 1}, protocol.KeySaslAuthenticate: {0, 2},
	protocol.KeyDescribeAcls: {1, 3}, protocol.KeyCreateAcls: {1, 3}, protocol.KeyDeleteAcls: {1, 3},
	protocol.KeyCreateDelegationToken: {1, 3}, protocol.KeyRenewDelegationToken: {1, 2},
	protocol.KeyExpireDelegationToken: {1, 2}, protocol.KeyDescribeDelegationToken: {1, 3},
}

// scenario is a named piece of conversation, independent of all others but for those that come before it.
type scenario struct {
	name string
	run  func(*Session)
}

// Scenarios returns the names of all scenarios.
func Scenarios() []string {
	var out []string
	for _, s := range scenarios() {
		out = append(out, s.name)
	}
	return out
}

// Options say what is asked.
type Options struct {
	// Scenarios are the names of those to run; nil means all.
	Scenarios map[string]bool
	// Quick asks only the lowest, the first flexible and the highest version.
	Quick bool
	// Progress, unless nil, is told what has run.
	Progress func(scenario string, cases int, took time.Duration)
}

// Observe runs the scenarios against the server at addr, whose log directory is dir.
func Observe(ctx context.Context, addr, dir string, o Options) ([]Observation, error) {
	_, port, err := net.SplitHostPort(addr)
	if err != nil {
		return nil, err
	}
	n := &node{addr: addr, port: port, dir: dir}
	if err := warmUp(n); err != nil {
		return nil, err
	}
	var out []Observation
	for _, sc := range scenarios() {
		if o.Scenarios != nil && !o.Scenarios[sc.name] {
			continue
		}
		if ctx.Err() != nil {
			return out, ctx.Err()
		}
		begin := time.Now()
		s := newSession(n, sc.name, o.Quick)
		if err := attempt(s, sc.run); err != nil {
			return out, fmt.Errorf("scenario %s: %w", sc.name, err)
		}
		out = append(out, s.seen...)
		if o.Progress != nil {
			o.Progress(sc.name, len(s.seen), time.Since(begin))
		}
	}
	return out, nil
}

// attempt runs a scenario; what keeps it from going on is its last observation.
func attempt(s *Session, run func(*Session)) (err error) {
	defer s.close()
	defer func() {
		switch r := recover().(type) {
		case nil:
		case stop:
			s.note("stopped", nil, r.err)
		default:
			err = fmt.Errorf("%v\n%s", r, debug.Stack())
		}
	}()
	run(s)
	return nil
}

// warmUp waits until the server coordinates groups, which needs the offsets topic.
func warmUp(n *node) error {
	s := newSession(n, "warm up", true)
	err := attempt(s, func(s *Session) {
		why := "nothing"
		ok := within(time.Minute, func() bool {
			m := s.do(4, &protocol.FindCoordinatorRequest{CoordinatorKeys: []string{"warm"}}).(*protocol.FindCoordinatorResponse)
			if code := m.Coordinators[0].ErrorCode; code != protocol.None {
				why = "FindCoordinator: " + code.String()
				return false
			}
			// Groups on all partitions of the topic must be loaded.
			for i := range 200 {
				r := &protocol.HeartbeatRequest{GroupId: fmt.Sprint("warm-", i), MemberId: "nobody"}
				if code := s.do(4, r).(*protocol.HeartbeatResponse).ErrorCode; code != protocol.UnknownMemberId {
					why = "Heartbeat: " + code.String()
					return false
				}
			}
			return true
		})
		if !ok {
			panic(stop{fmt.Errorf("%s does not coordinate groups: %s", n.addr, why)})
		}
	})
	if len(s.seen) > 0 {
		return errors.New(s.seen[0].Outcome)
	}
	return err
}

// Select returns the observations of some scenarios, nil for all.
func Select(all []Observation, chosen map[string]bool) []Observation {
	var out []Observation
	for _, o := range all {
		name, _, _ := strings.Cut(o.Case, "/")
		if chosen == nil || chosen[name] {
			out = append(out, o)
		}
	}
	return out
}
