package naru

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/naru-stream/naru/internal/broker/network"
	"github.com/naru-stream/naru/internal/broker/purgatory"
	"github.com/naru-stream/naru/internal/broker/replica"
	"github.com/naru-stream/naru/internal/broker/server"
	"github.com/naru-stream/naru/internal/broker/storage"
	"github.com/naru-stream/naru/internal/broker/storage/cleaner"
	"github.com/naru-stream/naru/internal/broker/telemetry"
	"github.com/naru-stream/naru/internal/coordinator/group"
	"github.com/naru-stream/naru/internal/coordinator/share"
	"github.com/naru-stream/naru/internal/coordinator/txn"
	"github.com/naru-stream/naru/internal/kafka/config"
	"github.com/naru-stream/naru/internal/kafka/protocol"
	"github.com/naru-stream/naru/internal/quorum/lifecycle"
	"github.com/naru-stream/naru/internal/quorum/metadata"
	"github.com/naru-stream/naru/internal/quorum/publish"
	"github.com/naru-stream/naru/internal/quorum/runtime"
)

// Config says how a node is to run. The zero Config runs one on localhost:9092
// with its data in ./naru-data.
type Config struct {
	// Properties are settings with Kafka's names, as in server.properties. Unknown
	// names are reported in the log and ignored; values that are not allowed make
	// Start fail with an error that names them.
	Properties map[string]string
	// Logger takes the node's reports; nil discards them.
	Logger *slog.Logger
}

// Node is a running broker with its controller. Its methods may be called from any
// goroutine.
type Node struct {
	log       *slog.Logger
	endpoints []metadata.Endpoint
	dirs      []string
	values    config.Values

	logs       *storage.Manager
	cleaner    *cleaner.Cleaner
	publisher  *publish.Publisher
	controller *runtime.Controller
	replicas   *replica.Manager
	groups     *group.Coordinator
	txns       *txn.Coordinator
	shares     *share.Coordinator
	telemetry  *telemetry.Manager
	timer      *purgatory.Timer
	network    *network.Server
	broker     *server.Broker
	lifecycle  *lifecycle.Lifecycle
	placed     *lifecycle.Assignments // nil with one log directory

	failed    chan struct{}
	failure   error
	failOnce  sync.Once
	closeOnce sync.Once
	closeErr  error
}

// closeTimeout bounds how long Close waits for the controller, drainTimeout how long
// for answers that are under way: fetches that wait for records are cut off then.
const (
	closeTimeout = 10 * time.Second
	drainTimeout = 2 * time.Second
)

// Start starts a node and returns when clients can use it. A new data directory is
// formatted; one that belongs to another cluster, to a newer version or to Apache
// Kafka, or that another process holds, is refused with an error that says so.
// ctx bounds the start only. The caller must Close the node.
func Start(ctx context.Context, c Config) (*Node, error) {
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	properties := withDefaults(c.Properties)
	values, err := config.NewValues(properties)
	if err != nil {
		return nil, err
	}
	for _, warning := range config.Unknown(properties) {
		c.Logger.Warn("unknown setting", "problem", warning)
	}
	for _, doubt := range values.Doubts() {
		c.Logger.Error("doubtful settings", "problem", doubt)
	}
	for _, k := range values.OfStatus(config.NotServed) {
		c.Logger.Warn("a setting has no effect yet", "setting", k.Name, "reason", k.Why)
	}
	for _, k := range values.OfStatus(config.Accepted) {
		c.Logger.Info("a setting has no effect", "setting", k.Name, "reason", k.Why)
	}
	n := &Node{log: c.Logger, values: values, failed: make(chan struct{})}
	if n.dirs, err = absolute(values.LogDirs()); err != nil {
		return nil, err
	}
	if err := n.start(ctx); err != nil {
		return nil, errors.Join(err, n.Close())
	}
	return n, nil
}

// start brings the rooms up, the lower before the higher.
func (n *Node) start(ctx context.Context) error {
	err := n.listen()
	if err != nil {
		return err
	}
	if n.logs, err = storage.Open(storageConfig(n.values, n.dirs, nodeID(n.values), n.log)); err != nil {
		return err
	}
	if err := n.cordon(n.values); err != nil {
		return err
	}
	n.timer = purgatory.NewTimer(purgatory.SystemClock{})
	n.publisher = publish.New()
	if err := n.startController(); err != nil {
		return err
	}
	n.replicas = replica.NewManager(replica.Config{
		NodeID: nodeID(n.values), Logs: n.logs, Log: n.log,
		Settings: n.current,
	})
	n.shares = newShares(n)
	n.groups = newGroups(n)
	ids := server.NewProducerIDs(n.controller, n.publisher, nodeID(n.values))
	n.txns = newTransactions(n, ids)
	n.telemetry = telemetry.NewManager(n.values.Int32("telemetry.max.bytes"))
	if n.values.Bool("log.cleaner.enable") {
		n.cleaner = cleaner.New(cleanerConfig(n.values, n.logs, n.log))
	}
	n.placed = newAssignments(n)
	n.publisher.Subscribe(n.apply)
	if n.cleaner != nil {
		n.cleaner.Start()
	}
	if err := n.register(ctx); err != nil {
		return err
	}
	if n.placed != nil {
		n.placed.Start(n.lifecycle.Epoch)
		n.logs.StartMoves(func(topic protocol.UUID) { n.placed.Changed(topic, 0) })
	}
	// Only now: a client that came earlier would find no broker to create topics on.
	n.broker = server.New(server.Config{
		NodeID: nodeID(n.values), ClusterID: n.logs.ClusterID(), Static: n.values,
		Metadata: n.publisher, Controller: n.controller, Replicas: n.replicas, Logs: n.logs,
		Groups: n.groups, Transactions: n.txns, ShareState: n.shares, ProducerIDs: ids, Telemetry: n.telemetry,
		Timer: n.timer, Log: n.log,
	})
	n.publisher.Subscribe(n.broker.Shares.OnMetadata)
	n.network.Start(n.broker)
	return nil
}

// listen binds the listeners; nothing is accepted yet.
func (n *Node) listen() error {
	listeners, err := endpoints(n.values, "listeners")
	if err != nil {
		return err
	}
	advertised, err := endpoints(n.values, "advertised.listeners")
	if err != nil {
		return err
	}
	cfg := network.Config{Log: n.log, Limits: networkLimits(n.values, n.log)}
	for _, l := range listeners {
		cfg.Listeners = append(cfg.Listeners, network.ListenerConfig{Name: l.name, Address: l.address})
	}
	if n.network, err = network.Listen(cfg); err != nil {
		return err
	}
	bound := map[string]int{}
	for _, l := range n.network.Listeners() {
		bound[l.Name] = l.Port()
	}
	hostname, err := os.Hostname()
	if err != nil {
		hostname = "localhost"
	}
	n.endpoints = advertise(listeners, advertised, bound, hostname)
	return nil
}

// apply makes every room follow a change of the metadata.
func (n *Node) apply(c *metadata.Changes) {
	if err := n.replicas.Apply(c); err != nil {
		n.log.Error("some partitions could not follow the metadata", "error", err)
	}
	n.groups.OnMetadata(c)
	n.reconfigure(c)
	n.subscribeTelemetry(c)
	for _, t := range c.Topics {
		if n.placed != nil && t.New != nil {
			n.placed.Changed(t.New.ID, c.New.Offset)
		}
		switch {
		case t.Name() == group.TopicName:
			n.leadGroups(t)
		case t.Name() == txn.TopicName:
			n.leadTransactions(t)
		case t.Name() == share.TopicName:
			n.leadShares(t)
		case t.New == nil:
			n.groups.OnTopicDeleted(t.Name(), t.Old.ID)
			n.shares.OnTopicsDeleted([]protocol.UUID{t.Old.ID})
		}
	}
}

// leadGroups takes and gives up the coordination of groups with the leadership of
// the partitions of the offsets topic.
func (n *Node) leadGroups(t metadata.TopicChange) {
	if t.New == nil {
		return
	}
	n.groups.SetPartitions(int32(t.New.PartitionCount()))
	for _, index := range t.Partitions {
		p, ok := t.New.Partition(index)
		switch {
		case !ok:
		case p.Leader == nodeID(n.values):
			n.groups.OnElected(index, p.LeaderEpoch)
		default:
			n.groups.OnResigned(index, p.LeaderEpoch)
		}
	}
}

// fail ends the node after an error that leaves it unable to keep its promises.
func (n *Node) fail(err error) {
	n.failOnce.Do(func() {
		n.failure = err
		n.log.Error("the node cannot go on", "error", err)
		close(n.failed)
	})
}

// Failed is closed when the node cannot go on, for example because the disk that
// holds the metadata log failed; Err tells why. The caller should Close the node.
func (n *Node) Failed() <-chan struct{} { return n.failed }

// Err returns why the node failed, nil while it has not.
func (n *Node) Err() error {
	select {
	case <-n.failed:
		return n.failure
	default:
		return nil
	}
}

// Addr returns the address, host:port, that clients of the first listener are told
// to use.
func (n *Node) Addr() string {
	e := n.endpoints[0]
	return net.JoinHostPort(e.Host, strconv.Itoa(int(e.Port)))
}

// ClusterID returns the id of the cluster that the data directory belongs to.
func (n *Node) ClusterID() string { return n.logs.ClusterID() }

// DataDirs returns the log directories.
func (n *Node) DataDirs() []string { return n.dirs }

// Durability returns the setting naru.durability: auto, os or group.
func (n *Node) Durability() string { return n.values.String("naru.durability") }

// Close stops the node in order: no new requests, answers that are under way, then
// everything is synced, so that the next start reads one file. Later calls return
// what the first did.
func (n *Node) Close() error {
	n.closeOnce.Do(func() { n.closeErr = n.close() })
	return n.closeErr
}

func (n *Node) close() error {
	ctx, cancel := context.WithTimeout(context.Background(), closeTimeout)
	defer cancel()
	var errs []error
	if n.placed != nil {
		n.placed.Close()
	}
	if n.lifecycle != nil {
		errs = append(errs, n.lifecycle.Shutdown(ctx))
	}
	if n.txns != nil {
		n.txns.Close()
	}
	if n.shares != nil {
		n.shares.Close()
	}
	if n.groups != nil {
		n.groups.Close()
	}
	if n.network != nil {
		drain, cancel := context.WithTimeout(ctx, drainTimeout)
		defer cancel()
		if err := n.network.Close(drain); errors.Is(err, context.DeadlineExceeded) {
			n.log.Info("connections closed with requests that still waited")
		} else {
			errs = append(errs, err)
		}
	}
	if n.broker != nil {
		n.broker.Close()
	}
	if n.publisher != nil {
		n.publisher.Close()
	}
	if n.controller != nil {
		n.controller.Close()
	}
	if n.timer != nil {
		n.timer.Close()
	}
	if n.cleaner != nil {
		n.cleaner.Close()
	}
	if n.logs != nil {
		errs = append(errs, n.logs.Close())
	}
	return errors.Join(errs...)
}

// newUUID makes a random UUID in its usual form.
func newUUID() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // documented never to fail
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	text := fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
	return strings.ToLower(text)
}
