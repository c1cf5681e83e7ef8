package server

import (
	"context"
	"encoding/binary"
	"log/slog"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/naru-stream/naru/internal/broker/deadletter"
	"github.com/naru-stream/naru/internal/broker/fetchsession"
	"github.com/naru-stream/naru/internal/broker/network"
	"github.com/naru-stream/naru/internal/broker/purgatory"
	"github.com/naru-stream/naru/internal/broker/replica"
	"github.com/naru-stream/naru/internal/broker/sharefetch"
	"github.com/naru-stream/naru/internal/broker/sharesession"
	"github.com/naru-stream/naru/internal/broker/storage"
	"github.com/naru-stream/naru/internal/broker/telemetry"
	"github.com/naru-stream/naru/internal/coordinator/group"
	"github.com/naru-stream/naru/internal/coordinator/share"
	"github.com/naru-stream/naru/internal/coordinator/txn"
	"github.com/naru-stream/naru/internal/kafka/config"
	"github.com/naru-stream/naru/internal/kafka/protocol"
	"github.com/naru-stream/naru/internal/quorum/metadata"
	"github.com/naru-stream/naru/internal/quorum/publish"
)

// Controller takes the requests that change the cluster's metadata.
type Controller interface {
	// Submit decides the request, commits what it changes and returns the answer
	// with the offset of the metadata log at which the change is visible.
	Submit(ctx context.Context, request protocol.Request, version int16) (response protocol.Message, offset int64, err error)
}

// Config is what a Broker is made of. All fields are required.
type Config struct {
	NodeID    int32
	ClusterID string
	// Static are the settings of server.properties; dynamic ones come with metadata.
	Static     config.Values
	Metadata   *publish.Publisher
	Controller Controller
	Replicas   *replica.Manager
	Logs       *storage.Manager
	Groups     *group.Coordinator
	// Transactions and ProducerIDs belong together: the coordinator makes its ids
	// from them too.
	Transactions *txn.Coordinator
	// ShareState keeps the state of share partitions.
	ShareState  *share.Coordinator
	ProducerIDs *ProducerIDs
	Telemetry   *telemetry.Manager
	Timer       *purgatory.Timer
	Log         *slog.Logger
}

// Broker answers requests. It is a network.Handler; its methods may be called
// from any goroutine.
type Broker struct {
	Config
	log     *slog.Logger
	rows    [128]*row
	calls   sync.Pool // of *produceCall
	fetches sync.Pool // of *fetchCall
	// heavy lets few large requests be worked on at once: what is decoded and answered
	// takes many times what came in.
	heavy chan struct{}
	// fetchMaxBytes bounds a fetch answer, whatever the client asks for.
	fetchMaxBytes int64
	sessions      *fetchsession.Cache
	streamsTopics streamsTopics
	// Shares, DeadLetters and shareSessions are what share groups have of this broker.
	Shares        *sharefetch.Manager
	DeadLetters   *deadletter.Writer
	shareSessions *sharesession.Cache
	shareConfigs  atomic.Pointer[shareConfigs]
}

// New returns a broker over the given rooms.
func New(c Config) *Broker {
	b := &Broker{
		Config:        c,
		heavy:         make(chan struct{}, maxHeavyRequests),
		fetchMaxBytes: min(int64(c.Static.Int32("fetch.max.bytes")), maxFetchBytes),
		log:           c.Log,
		sessions:      fetchsession.NewCache(int(c.Static.Int32("max.incremental.fetch.session.cache.slots"))),
	}
	b.streamsTopics = streamsTopics{submit: b.submit, nowMs: nowMs, topics: map[string]streamsTopic{}}
	b.shareSessions = sharesession.NewCache()
	b.DeadLetters = b.newDeadLetters()
	b.Shares = b.newShares()
	for _, r := range table() {
		b.rows[r.key] = &r
	}
	return b
}

// Close ends what goes on without a request: the writing of dead letters. Requests must
// have ended before.
func (b *Broker) Close() { b.DeadLetters.Close() }

// rowFor returns the row of an API, nil if it is not served.
func (b *Broker) rowFor(key protocol.APIKey) *row {
	if key < 0 || int(key) >= len(b.rows) {
		return nil
	}
	return b.rows[key]
}

// Pipelined tells that a request is a Produce. Apache Kafka handles one request of a
// connection at a time, and clients count on what follows from it: a ListOffsets
// behind a long poll, answered as of before, would take back the high watermark that
// the poll told. Produces wait for their syncs together and cannot contradict each other.
func (b *Broker) Pipelined(frame []byte) bool {
	return len(frame) >= 2 && protocol.APIKey(binary.BigEndian.Uint16(frame)) == protocol.KeyProduce
}

// Handle answers one request or arranges that it will be.
func (b *Broker) Handle(req *network.Request) {
	header, body, err := protocol.ParseRequestHeader(req.Frame())
	if err != nil {
		b.log.Info("closing connection after an unreadable request header", "remote", req.Conn().RemoteAddr().String(), "error", err)
		req.CloseConnection()
		return
	}
	c := &call{broker: b, req: req, header: header, body: body}
	row := b.rowFor(header.APIKey)
	switch {
	case row == nil:
		b.log.Info("closing connection after a request for an API that is not served",
			"api_key", int16(header.APIKey), "remote", req.Conn().RemoteAddr().String())
		req.CloseConnection()
	case header.APIVersion >= row.served && header.APIVersion <= row.max:
		if len(body) > heavyRequestBytes && header.APIKey != protocol.KeyProduce {
			b.heavy <- struct{}{}
			defer func() { <-b.heavy }()
		}
		row.handle(b, c)
	case header.APIKey == protocol.KeyApiVersions:
		b.refuseApiVersions(c)
	default:
		b.log.Info("closing connection after a request in a version that is not served",
			"api", header.APIKey.String(), "version", header.APIVersion, "min", row.served, "max", row.max,
			"client_id", c.clientID(), "remote", req.Conn().RemoteAddr().String())
		req.CloseConnection()
	}
}

// A request other than Produce that is longer than heavyRequestBytes waits until
// fewer than maxHeavyRequests such are worked on.
const (
	heavyRequestBytes = 64 << 10
	maxHeavyRequests  = 2
)

// image returns the metadata as of now.
func (b *Broker) image() *metadata.Image { return b.Metadata.Current() }

// values returns the broker's settings as of now, dynamic ones included.
func (b *Broker) values() config.Values { return Settings(b.image(), b.Static, b.NodeID) }

func nowMs() int64 { return time.Now().UnixMilli() }

func randomID() int32 { return rand.Int32() }

// submitTimeout bounds how long a change of metadata may take.
const submitTimeout = 30 * time.Second

// submit hands a request to the controller and waits until this broker serves
// what it changed, so that the client's next request sees it.
func (b *Broker) submit(request protocol.Request, version int16) (protocol.Message, error) {
	ctx, cancel := context.WithTimeout(context.Background(), submitTimeout)
	defer cancel()
	response, offset, err := b.Controller.Submit(ctx, request, version)
	if err != nil {
		return nil, err
	}
	return response, b.Metadata.WaitFor(ctx, offset)
}
