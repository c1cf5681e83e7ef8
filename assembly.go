package naru

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"net"
	"net/netip"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/naru-stream/naru/internal/broker/network"
	"github.com/naru-stream/naru/internal/broker/purgatory"
	"github.com/naru-stream/naru/internal/broker/replica"
	"github.com/naru-stream/naru/internal/broker/storage"
	"github.com/naru-stream/naru/internal/broker/storage/cleaner"
	"github.com/naru-stream/naru/internal/coordinator/group"
	"github.com/naru-stream/naru/internal/coordinator/group/assignor"
	"github.com/naru-stream/naru/internal/coordinator/group/consumer"
	"github.com/naru-stream/naru/internal/coordinator/group/share"
	"github.com/naru-stream/naru/internal/coordinator/group/streams"
	"github.com/naru-stream/naru/internal/kafka/compress"
	"github.com/naru-stream/naru/internal/kafka/config"
	"github.com/naru-stream/naru/internal/kafka/protocol"
	"github.com/naru-stream/naru/internal/quorum/lifecycle"
	"github.com/naru-stream/naru/internal/quorum/metadata"
	"github.com/naru-stream/naru/internal/quorum/metalog"
	"github.com/naru-stream/naru/internal/quorum/runtime"
	"github.com/naru-stream/naru/internal/vfs"
)

func ms(v int64) time.Duration { return time.Duration(v) * time.Millisecond }

// maxConnections returns how many connections there may be: half of what the process
// may open is for files, which a node cannot do without.
func maxConnections(configured, descriptors int) int {
	if descriptors == 0 {
		return configured
	}
	return min(configured, max(descriptors/2, 1))
}

// maxOpenFiles returns how many idle segment files may stay open, 0 for storage's
// default.
func maxOpenFiles(descriptors int) int { return min(descriptors/4, 1024) }

// maxFilesInUse returns how many segment files may be open at once, 0 for any number:
// the half that connections leave, less what syncs need for themselves.
func maxFilesInUse(descriptors int) int {
	if descriptors == 0 {
		return 0
	}
	return max(descriptors/2-48, 16)
}

// storageConfig gives storage the settings that concern it.
func storageConfig(v config.Values, dirs []string, node int32, log *slog.Logger) storage.Config {
	defaults := v.Topic()
	return storage.Config{
		Dirs: dirs, NodeID: node, Logger: log,
		Topic:                     func(string) config.Topic { return defaults },
		RetentionInterval:         ms(v.Int64("log.retention.check.interval.ms")),
		ProducerIDExpiration:      ms(v.Int64("producer.id.expiration.ms")),
		ProducerIDExpirationCheck: ms(v.Int64("producer.id.expiration.check.interval.ms")),
		ReserveBytes:              v.Int64("naru.disk.reserve.bytes"),
		MinFreeBytes:              v.Int64("naru.disk.min.free.bytes"),
		MaxOpenFiles:              maxOpenFiles(vfs.MaxDescriptors()),
		MaxFilesInUse:             maxFilesInUse(vfs.MaxDescriptors()),
		RecoveryThreads:           int(v.Int32("num.recovery.threads.per.data.dir")) * len(dirs),
		MoveThreads:               max(int(v.Int32("num.replica.alter.log.dirs.threads")), 0),
		MoveBytesPerSecond:        moveRate(v),
	}
}

// absolute makes log directories absolute paths, as which clients see them.
func absolute(dirs []string) ([]string, error) {
	out := make([]string, len(dirs))
	for i, dir := range dirs {
		path, err := filepath.Abs(dir)
		if err != nil {
			return nil, fmt.Errorf("log directory %s: %w", dir, err)
		}
		out[i] = path
	}
	return out, nil
}

// cordon has the directories of cordoned.log.dirs take no new partitions.
func (n *Node) cordon(v config.Values) error {
	dirs := v.List("cordoned.log.dirs")
	if slices.Contains(dirs, "*") {
		n.logs.SetCordoned(n.dirs)
		return nil
	}
	dirs, err := absolute(dirs)
	if err == nil {
		n.logs.SetCordoned(dirs)
	}
	return err
}

// moveRate is how many bytes a second moves between log directories may take; 0 allows
// next to none, as in Kafka.
func moveRate(v config.Values) float64 {
	return float64(max(v.Int64("replica.alter.log.dirs.io.max.bytes.per.second"), 1))
}

// networkLimits gives the network the settings that concern it; what is 0 there
// keeps the network's default.
func networkLimits(v config.Values, log *slog.Logger) network.Limits {
	l := network.Limits{
		MaxFrame:            v.Int32("socket.request.max.bytes"),
		MaxInFlight:         int(v.Int32("naru.max.inflight.requests.per.connection")),
		MaxConnections:      maxConnections(orNone(v.Int32("max.connections")), vfs.MaxDescriptors()),
		MaxConnectionsPerIP: orNone(v.Int32("max.connections.per.ip")),
		PerIPOverrides:      connectionOverrides(v, log),
		CreationRate:        max(int(v.Int32("max.connection.creation.rate")), 1),
		Listeners:           map[string]network.ListenerLimits{},
		MaxIdle:             ms(v.Int64("connections.max.idle.ms")),
		FrameStall:          ms(v.Int64("naru.request.read.timeout.ms")),
		FrameGrace:          ms(v.Int64("naru.request.read.timeout.ms")),
		WriteStall:          ms(v.Int64("naru.response.write.timeout.ms")),
	}
	for _, setting := range []string{"queued.max.request.bytes", "naru.inflight.bytes"} {
		if bytes := v.Int64(setting); bytes > 0 {
			l.QueuedRequestBytes = bytes
		}
	}
	// Kafka's default of 100 KiB is smaller than what systems do by themselves.
	if v.IsSet("socket.send.buffer.bytes") {
		l.SendBuffer = int(v.Int32("socket.send.buffer.bytes"))
	}
	if v.IsSet("socket.receive.buffer.bytes") {
		l.ReceiveBuffer = int(v.Int32("socket.receive.buffer.bytes"))
	}
	listeners := v.ListenerNames("listeners")
	for _, name := range listeners {
		most, own := v.ListenerInt32(name, "max.connections")
		rate, paced := v.ListenerInt32(name, "max.connection.creation.rate")
		if !own {
			most = math.MaxInt32
		}
		if !paced {
			rate = 0
		}
		if own || paced {
			l.Listeners[name] = network.ListenerLimits{MaxConnections: int(most), CreationRate: int(rate)}
		}
		if len(listeners) > 1 && strings.EqualFold(name, v.InterBrokerListener()) {
			l.Protected = name
		}
	}
	return l
}

// orNone returns a limit as the network takes it, where 0 means the default.
func orNone(limit int32) int {
	if limit == 0 {
		return -1
	}
	return int(limit)
}

// lookupTimeout bounds how long the names in max.connections.per.ip.overrides are looked up.
const lookupTimeout = 5 * time.Second

// connectionOverrides returns the limits of single addresses. A name stands for all
// its addresses.
func connectionOverrides(v config.Values, log *slog.Logger) map[string]int {
	overrides, err := v.ConnectionOverrides()
	if err != nil {
		log.Warn("no address has a limit of its own", "error", err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), lookupTimeout)
	defer cancel()
	out := map[string]int{}
	for host, limit := range overrides {
		addresses := []string{host}
		if _, err := netip.ParseAddr(host); err != nil {
			if addresses, err = net.DefaultResolver.LookupHost(ctx, host); err != nil {
				log.Warn("a host in max.connections.per.ip.overrides is left out", "host", host, "error", err)
			}
		}
		for _, address := range addresses {
			if ip, err := netip.ParseAddr(address); err == nil {
				out[ip.Unmap().WithZone("").String()] = limit
			}
		}
	}
	return out
}

// cleanerConfig gives the compaction of the node's logs the settings that concern it.
func cleanerConfig(v config.Values, logs *storage.Manager, log *slog.Logger) cleaner.Config {
	return cleaner.Config{
		Threads:           int(v.Int32("log.cleaner.threads")),
		DedupeBufferBytes: v.Int64("log.cleaner.dedupe.buffer.size"),
		IOBufferBytes:     int(v.Int32("log.cleaner.io.buffer.size")),
		MaxBytesPerSecond: v.Float64("log.cleaner.io.max.bytes.per.second"),
		Backoff:           ms(v.Int64("log.cleaner.backoff.ms")),
		Logs:              logs.Compactable, Clock: wallClock{}, Logger: log,
	}
}

// wallClock is the cleaner's time.
type wallClock struct{}

func (wallClock) Now() time.Time { return time.Now() }

func (wallClock) Sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// startController brings up the controller over its metadata log.
func (n *Node) startController() error {
	log, snapshots, err := metalog.OpenStored(n.logs, n.values)
	if err != nil {
		return err
	}
	n.controller, err = runtime.Start(runtime.Config{
		ClusterID: n.logs.ClusterID(), NodeID: nodeID(n.values), DirectoryID: n.logs.Dirs()[0].DirectoryID,
		Endpoints: n.endpoints, Settings: n.values, Log: log,
		Snapshots: &metalog.Snapshots{FS: vfs.OS{}, Dir: snapshots},
		Publisher: n.publisher, Logger: n.log,
		Failed: func(err error) { n.fail(fmt.Errorf("writing the metadata log: %w", err)) },
	})
	return err
}

// registration is what the broker makes itself known with.
func (n *Node) registration() lifecycle.Config {
	c := lifecycle.Config{
		BrokerID: nodeID(n.values), ClusterID: n.logs.ClusterID(), Endpoints: n.endpoints,
		PreviousBrokerEpoch: -1, HeartbeatInterval: ms(n.values.Int64("broker.heartbeat.interval.ms")),
		Channel: n.controller, View: n.publisher, Logger: n.log,
	}
	_, _ = rand.Read(c.IncarnationID[:]) // documented never to fail
	if rack := n.values.String("broker.rack"); rack != "" {
		c.Rack = &rack
	}
	for _, d := range n.logs.Dirs() {
		c.LogDirs = append(c.LogDirs, d.DirectoryID)
	}
	those := func(are func(storage.DirInfo) bool) func() []protocol.UUID {
		return func() []protocol.UUID {
			dirs := []protocol.UUID{}
			for _, d := range n.logs.Dirs() {
				if are(d) {
					dirs = append(dirs, d.DirectoryID)
				}
			}
			return dirs
		}
	}
	c.Cordoned = those(func(d storage.DirInfo) bool { return d.Cordoned })
	c.Offline = those(func(d storage.DirInfo) bool { return d.Err != nil })
	c.Features = []metadata.FeatureRange{
		{Name: "eligible.leader.replicas.version", Max: 1}, {Name: "group.version", Max: 1}, {Name: "kraft.version", Max: 1},
		{Name: "metadata.version", Min: 7, Max: 30}, {Name: "share.version", Max: 1}, {Name: "streams.version", Max: 1},
		{Name: "transaction.version", Max: 2},
	}
	return c
}

// newAssignments returns what tells the controller where replicas are, nil where they
// can be in one directory only.
func newAssignments(n *Node) *lifecycle.Assignments {
	if len(n.dirs) == 1 {
		return nil
	}
	ids := map[string]protocol.UUID{}
	for _, d := range n.logs.Dirs() {
		ids[d.Path] = d.DirectoryID
	}
	return lifecycle.NewAssignments(lifecycle.AssignmentsConfig{
		BrokerID: nodeID(n.values), Channel: n.controller, View: n.publisher, Logger: n.log,
		Dir: func(topic string, partition int32) (protocol.UUID, bool) {
			l := n.logs.Log(topic, partition)
			if l == nil {
				return protocol.UUID{}, false
			}
			return ids[l.Dir()], true
		},
	})
}

// register makes the broker known and waits until clients see it.
func (n *Node) register(ctx context.Context) (err error) {
	ctx, cancel := context.WithTimeout(ctx, ms(n.values.Int64("initial.broker.registration.timeout.ms")))
	defer cancel()
	if n.lifecycle, err = lifecycle.Start(ctx, n.registration()); errors.Is(err, context.DeadlineExceeded) {
		err = fmt.Errorf("the broker could not register with the controller within initial.broker.registration.timeout.ms: %w", err)
	}
	return err
}

// knownAssignors returns those of the names for which there is an assignor. Kafka also
// takes names of Java classes here.
func knownAssignors(names []string, log *slog.Logger) []string {
	known := slices.DeleteFunc(slices.Clone(names), func(name string) bool { return assignor.Named(name) == nil })
	if len(known) < len(names) {
		log.Warn("some assignors of group.consumer.assignors are not known and left out", "known", known, "configured", names)
	}
	if len(known) == 0 {
		return group.DefaultSettings().Consumer.Assignors
	}
	return known
}

// migrationPolicy reads group.consumer.migration.policy.
func migrationPolicy(name string) consumer.MigrationPolicy {
	name = strings.ToLower(name)
	return consumer.MigrationPolicy{
		Upgrade:   name == "bidirectional" || name == "upgrade",
		Downgrade: name == "bidirectional" || name == "downgrade",
	}
}

// groupSettings gives the group coordinator the settings that concern it.
func groupSettings(v config.Values, log *slog.Logger) group.Settings {
	s := group.DefaultSettings()
	s.MinSessionTimeoutMs = v.Int32("group.min.session.timeout.ms")
	s.MaxSessionTimeoutMs = v.Int32("group.max.session.timeout.ms")
	s.MaxSize = int(v.Int32("group.max.size"))
	s.InitialRebalanceDelayMs = v.Int64("group.initial.rebalance.delay.ms")
	s.OffsetMetadataMaxBytes = int(v.Int32("offset.metadata.max.bytes"))
	s.OffsetsRetentionMs = v.Int64("offsets.retention.minutes") * time.Minute.Milliseconds()
	s.RetentionCheckIntervalMs = v.Int64("offsets.retention.check.interval.ms")
	s.CommitTimeoutMs = v.Int64("offsets.commit.timeout.ms")
	s.LoadBufferBytes = int(v.Int32("offsets.load.buffer.size"))
	s.Codec = compress.Codec(v.Int32("offsets.topic.compression.codec")) //nolint:gosec // the table limits it
	s.Consumer = consumer.Config{
		SessionTimeoutMs:     v.Int32("group.consumer.session.timeout.ms"),
		HeartbeatIntervalMs:  v.Int32("group.consumer.heartbeat.interval.ms"),
		AssignmentIntervalMs: v.Int32("group.consumer.assignment.interval.ms"),
		MaxSize:              int(v.Int32("group.consumer.max.size")),
		Migration:            migrationPolicy(v.String("group.consumer.migration.policy")),
		Assignors:            knownAssignors(v.List("group.consumer.assignors"), log),
	}
	s.Share = share.Config{
		SessionTimeoutMs:          v.Int32("group.share.session.timeout.ms"),
		HeartbeatIntervalMs:       v.Int32("group.share.heartbeat.interval.ms"),
		AssignmentIntervalMs:      v.Int32("group.share.assignment.interval.ms"),
		MaxSize:                   int(v.Int32("group.share.max.size")),
		InitializeRetryIntervalMs: max(v.Int64("group.share.initialize.retry.interval.ms"), s.CommitTimeoutMs),
	}
	s.Streams = streams.Config{
		SessionTimeoutMs:        v.Int32("group.streams.session.timeout.ms"),
		HeartbeatIntervalMs:     v.Int32("group.streams.heartbeat.interval.ms"),
		AssignmentIntervalMs:    v.Int32("group.streams.assignment.interval.ms"),
		InitialRebalanceDelayMs: v.Int32("group.streams.initial.rebalance.delay.ms"),
		StandbyReplicas:         v.Int32("group.streams.num.standby.replicas"),
		MaxSize:                 int(v.Int32("group.streams.max.size")),
	}
	return s
}

// newGroups returns the group coordinator over the offsets topic.
func newGroups(n *Node) *group.Coordinator {
	return group.New(group.Config{
		Settings: groupSettings(n.values, n.log), Partitions: n.values.Int32("offsets.topic.num.partitions"),
		Log:       replica.TopicLog{Manager: n.replicas, Topic: group.TopicName},
		EndOffset: n.highWatermark, Persister: n.shares, Current: n.current,
		Clock: clock{n.timer, time.Now()}, NewUUID: newUUID, Logger: n.log,
	})
}

// highWatermark returns the end of a partition that this node leads.
func (n *Node) highWatermark(topic string, partition int32) (int64, error) {
	p := n.replicas.Partition(topic, partition)
	if p == nil {
		return 0, protocol.NotLeaderOrFollower
	}
	return p.HighWatermark(), nil
}

// clock is the time in which coordinators live. It starts at the wall's time and
// then only runs forward: a wall clock that is set must not end every session.
type clock struct {
	timer *purgatory.Timer
	start time.Time
}

func (c clock) NowMs() int64 { return c.start.UnixMilli() + time.Since(c.start).Milliseconds() }

func (c clock) AfterFunc(delayMs int64, f func()) (stop func()) {
	e := c.timer.After(ms(delayMs), f)
	return func() { c.timer.Cancel(e) }
}
