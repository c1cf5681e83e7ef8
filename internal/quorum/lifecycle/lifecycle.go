// Package lifecycle keeps a broker registered in its cluster: it registers it at
// the start, sends heartbeats until the controller lets clients see the broker
// and from then on, and takes it out of service in order at the end.
//
//	Start:    BrokerRegistration ─▶ wait for the own record ─▶ BrokerHeartbeat ─▶ unfenced
//	Running:  BrokerHeartbeat every broker.heartbeat.interval.ms
//	Shutdown: BrokerHeartbeat{WantShutDown} until the controller grants it
//
// With several log directories, Assignments tell the controller in which of them each
// replica is (AssignReplicasToDirs), and heartbeats which have failed or are cordoned.
//
// It speaks Kafka's own messages through a Channel, which is the controller in
// the same process here and a connection to another node later.
//
// Neighbours: package metadata below; package runtime serves the channel; the
// root package starts a broker with it.
//
// Invariants: one registration an incarnation at a time; the broker says it has
// caught up only with what its own rooms have applied (R19); a heartbeat refused
// as stale leads to a new registration under the same incarnation.
package lifecycle

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/naru-stream/naru/internal/kafka/protocol"
	"github.com/naru-stream/naru/internal/kafka/wire"
	"github.com/naru-stream/naru/internal/quorum/metadata"
)

const (
	registrationVersion = 4
	heartbeatVersion    = 2
	// retryInterval is the pause after a request that got no answer, and between
	// the heartbeats of a shutdown.
	retryInterval = 50 * time.Millisecond
)

// Channel takes requests to the active controller. The returned offset is that
// of the metadata that the answer rests on.
type Channel interface {
	Submit(ctx context.Context, request protocol.Request, version int16) (protocol.Message, int64, error)
}

// View is the broker's view of the metadata.
type View interface {
	Current() *metadata.Image
	WaitFor(ctx context.Context, offset int64) error
}

// Config is what a broker registers with.
type Config struct {
	BrokerID  int32
	ClusterID string
	// IncarnationID is new with each start of the process.
	IncarnationID wire.UUID
	Endpoints     []metadata.Endpoint
	Features      []metadata.FeatureRange
	Rack          *string
	LogDirs       []wire.UUID
	// Cordoned returns the directories that take no new replicas, Offline those that have
	// failed; the replicas in these leave the in-sync sets. The controller is told with the
	// next heartbeat. nil if there are never any.
	Cordoned func() []wire.UUID
	Offline  func() []wire.UUID
	// PreviousBrokerEpoch is the epoch under which this broker was shut down with
	// nothing lost; -1 if it may have lost acknowledged records.
	PreviousBrokerEpoch int64
	// HeartbeatInterval is broker.heartbeat.interval.ms.
	HeartbeatInterval time.Duration
	Channel           Channel
	View              View
	// Logger takes the reports; slog.Default if nil.
	Logger *slog.Logger
}

// Lifecycle is a registered broker. Its methods may be called concurrently.
type Lifecycle struct {
	cfg   Config
	epoch atomic.Int64

	cancel  context.CancelFunc
	stopped chan struct{}
	once    sync.Once
}

// Start registers the broker and returns when clients may see it and this
// broker's own view says so.
func Start(ctx context.Context, cfg Config) (*Lifecycle, error) {
	if cfg.Logger == nil {
		cfg.Logger = slog.Default()
	}
	l := &Lifecycle{cfg: cfg, stopped: make(chan struct{})}
	if err := l.register(ctx); err != nil {
		return nil, err
	}
	if err := l.unfence(ctx); err != nil {
		return nil, err
	}
	run, cancel := context.WithCancel(context.Background())
	l.cancel = cancel
	go l.run(run)
	return l, nil
}

// Epoch returns the broker epoch of the present registration.
func (l *Lifecycle) Epoch() int64 { return l.epoch.Load() }

func (l *Lifecycle) register(ctx context.Context) error {
	r := &protocol.BrokerRegistrationRequest{
		BrokerId: l.cfg.BrokerID, ClusterId: l.cfg.ClusterID, IncarnationId: l.cfg.IncarnationID, Rack: l.cfg.Rack,
		LogDirs: l.cfg.LogDirs, PreviousBrokerEpoch: l.cfg.PreviousBrokerEpoch,
	}
	for _, e := range l.cfg.Endpoints {
		r.Listeners = append(r.Listeners, protocol.BrokerRegistrationRequestListener{
			Name: e.Name, Host: e.Host, Port: e.Port, SecurityProtocol: e.SecurityProtocol,
		})
	}
	for _, f := range l.cfg.Features {
		r.Features = append(r.Features, protocol.BrokerRegistrationRequestFeature{
			Name: f.Name, MinSupportedVersion: f.Min, MaxSupportedVersion: f.Max,
		})
	}
	for {
		answer, offset, err := l.cfg.Channel.Submit(ctx, r, registrationVersion)
		if err != nil {
			return fmt.Errorf("registering broker %d: %w", l.cfg.BrokerID, err)
		}
		resp, ok := answer.(*protocol.BrokerRegistrationResponse)
		switch {
		case !ok:
			return fmt.Errorf("registering broker %d: the controller answered with %T", l.cfg.BrokerID, answer)
		case resp.ErrorCode == protocol.None:
			l.epoch.Store(resp.BrokerEpoch)
			return l.cfg.View.WaitFor(ctx, offset)
		case resp.ErrorCode == protocol.DuplicateBrokerRegistration:
			l.cfg.Logger.Warn("broker id is taken by a live broker; trying again", "broker_id", l.cfg.BrokerID)
		case !resp.ErrorCode.Retriable():
			return fmt.Errorf("registering broker %d: the controller refuses: %w", l.cfg.BrokerID, resp.ErrorCode)
		}
		if err := pause(ctx, retryInterval); err != nil {
			return fmt.Errorf("registering broker %d: %w: %w", l.cfg.BrokerID, resp.ErrorCode, err)
		}
	}
}

// unfence sends heartbeats until the broker is unfenced.
func (l *Lifecycle) unfence(ctx context.Context) error {
	for {
		resp, offset, err := l.heartbeat(ctx, false)
		if err != nil {
			return err
		}
		if resp.ErrorCode == protocol.None && !resp.IsFenced {
			return l.cfg.View.WaitFor(ctx, offset)
		}
		if err := pause(ctx, retryInterval); err != nil {
			return fmt.Errorf("waiting for broker %d to be unfenced: %w", l.cfg.BrokerID, err)
		}
	}
}

func (l *Lifecycle) heartbeat(ctx context.Context, wantShutDown bool) (*protocol.BrokerHeartbeatResponse, int64, error) {
	r := &protocol.BrokerHeartbeatRequest{
		BrokerId: l.cfg.BrokerID, BrokerEpoch: l.epoch.Load(),
		CurrentMetadataOffset: l.cfg.View.Current().Offset, WantShutDown: wantShutDown,
	}
	if l.cfg.Offline != nil {
		r.OfflineLogDirs = l.cfg.Offline()
	}
	if l.cfg.Cordoned != nil {
		r.CordonedLogDirs = l.cfg.Cordoned()
	}
	answer, offset, err := l.cfg.Channel.Submit(ctx, r, heartbeatVersion)
	if err != nil {
		return nil, 0, fmt.Errorf("sending a heartbeat of broker %d: %w", l.cfg.BrokerID, err)
	}
	resp, ok := answer.(*protocol.BrokerHeartbeatResponse)
	if !ok {
		return nil, 0, fmt.Errorf("sending a heartbeat of broker %d: the controller answered with %T", l.cfg.BrokerID, answer)
	}
	return resp, offset, nil
}

// run sends the heartbeats of a broker in service.
func (l *Lifecycle) run(ctx context.Context) {
	defer close(l.stopped)
	wait := l.cfg.HeartbeatInterval
	for pause(ctx, wait) == nil {
		wait = l.cfg.HeartbeatInterval
		resp, _, err := l.heartbeat(ctx, false)
		switch {
		case errors.Is(err, context.Canceled):
			return
		case err != nil:
			l.cfg.Logger.Warn("broker heartbeat failed", "error", err)
			wait = retryInterval
		case resp.ErrorCode == protocol.StaleBrokerEpoch:
			l.cfg.Logger.Warn("broker is no longer registered; registering again", "broker_id", l.cfg.BrokerID)
			if err := l.register(ctx); err != nil && ctx.Err() == nil {
				l.cfg.Logger.Error("broker registration failed", "error", err)
			}
			wait = retryInterval
		case resp.ErrorCode != protocol.None:
			l.cfg.Logger.Warn("broker heartbeat refused", "error", resp.ErrorCode)
		case resp.IsFenced:
			wait = retryInterval
		}
	}
}

// Shutdown asks the controller to move everything away from this broker and
// returns when the broker may stop; its last registration is then fenced. When
// ctx ends earlier the broker may stop as well, but clients notice.
func (l *Lifecycle) Shutdown(ctx context.Context) error {
	l.Stop()
	for {
		resp, offset, err := l.heartbeat(ctx, true)
		if err != nil {
			return err
		}
		switch {
		case resp.ErrorCode != protocol.None:
			return fmt.Errorf("shutting down broker %d: %w", l.cfg.BrokerID, resp.ErrorCode)
		case resp.ShouldShutDown:
			return nil
		}
		// The next heartbeat is to say that this broker knows what the last one
		// caused.
		if err := l.cfg.View.WaitFor(ctx, offset); err != nil {
			return err
		}
		if err := pauseUnlessAlone(ctx, l.cfg); err != nil {
			return fmt.Errorf("shutting down broker %d: %w", l.cfg.BrokerID, err)
		}
	}
}

// pauseUnlessAlone leaves other brokers time to follow; a broker alone in its
// cluster need not wait for any.
func pauseUnlessAlone(ctx context.Context, cfg Config) error {
	if len(cfg.View.Current().Brokers()) < 2 {
		return ctx.Err()
	}
	return pause(ctx, retryInterval)
}

// Stop ends the heartbeats and nothing else: to the cluster the broker looks
// dead.
func (l *Lifecycle) Stop() {
	l.once.Do(l.cancel)
	<-l.stopped
}

func pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}
