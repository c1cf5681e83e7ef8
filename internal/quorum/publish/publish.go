// Package publish hands metadata images to the rooms of a broker, in order.
//
// Whoever follows the metadata log calls Publish with each committed change; one
// goroutine takes the changes to the subscribers, one after the other. A slow
// subscriber does not make the log wait: changes that pile up are merged into
// one.
//
//	controller ── Publish ──▶ [one merged change] ──▶ subscriber 1, 2, … ──▶ Current
//
// Neighbours: package metadata below; package runtime above publishes; replica,
// server and coordinators subscribe.
//
// Invariants: each subscriber sees every change exactly once, in order, starting
// with one that tells everything; what Current shows has been through all
// subscribers before, so that whatever it names exists on this broker.
package publish

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/naru-stream/naru/internal/quorum/metadata"
)

// ErrClosed says that the publisher was closed before what was waited for.
var ErrClosed = errors.New("the metadata publisher is closed")

// Publisher distributes images. Its methods may be called concurrently, but
// Publish only by one goroutine at a time.
type Publisher struct {
	current atomic.Pointer[metadata.Image]
	wake    chan struct{}
	stop    chan struct{}
	stopped chan struct{}
	once    sync.Once

	mu          sync.Mutex
	pending     *metadata.Changes
	joining     []*subscriber
	waiters     []waiter
	subscribers []*subscriber // of the goroutine run alone
}

type subscriber struct {
	apply  func(*metadata.Changes)
	joined chan struct{}
}

type waiter struct {
	offset int64
	done   chan struct{}
}

// New returns a publisher that shows the empty image. Close ends it.
func New() *Publisher {
	p := &Publisher{wake: make(chan struct{}, 1), stop: make(chan struct{}), stopped: make(chan struct{})}
	p.current.Store(metadata.NewImage())
	go p.run()
	return p
}

// Current returns the newest image that all subscribers have applied. It takes
// no lock.
func (p *Publisher) Current() *metadata.Image { return p.current.Load() }

// Publish adds a change, which begins where the one before ended. It does not
// wait for the subscribers.
func (p *Publisher) Publish(c *metadata.Changes) {
	p.mu.Lock()
	if p.pending == nil {
		p.pending = c
	} else {
		p.pending = p.pending.Merge(c)
	}
	p.mu.Unlock()
	p.nudge()
}

// Subscribe calls apply for the current image, told as a change from nothing,
// and for each change that follows. It returns when the first call has. The
// calls come from one goroutine; they must not subscribe or wait for an offset.
func (p *Publisher) Subscribe(apply func(*metadata.Changes)) {
	s := &subscriber{apply: apply, joined: make(chan struct{})}
	p.mu.Lock()
	p.joining = append(p.joining, s)
	p.mu.Unlock()
	p.nudge()
	select {
	case <-s.joined:
	case <-p.stopped:
	}
}

// WaitFor waits until all subscribers have applied the record at offset.
func (p *Publisher) WaitFor(ctx context.Context, offset int64) error {
	p.mu.Lock()
	if p.Current().Offset >= offset {
		p.mu.Unlock()
		return nil
	}
	w := waiter{offset, make(chan struct{})}
	p.waiters = append(p.waiters, w)
	p.mu.Unlock()
	select {
	case <-w.done:
		return nil
	case <-p.stopped:
		return ErrClosed
	case <-ctx.Done():
		p.mu.Lock()
		p.waiters = slices.DeleteFunc(p.waiters, func(other waiter) bool { return other.done == w.done })
		p.mu.Unlock()
		return fmt.Errorf("waiting for the metadata at offset %d: %w", offset, ctx.Err())
	}
}

// Close ends the distribution; a call to a subscriber that is under way ends
// first.
func (p *Publisher) Close() {
	p.once.Do(func() { close(p.stop) })
	<-p.stopped
}

func (p *Publisher) nudge() {
	select {
	case p.wake <- struct{}{}:
	default:
	}
}

func (p *Publisher) run() {
	defer close(p.stopped)
	for {
		select {
		case <-p.stop:
			return
		case <-p.wake:
		}
		p.mu.Lock()
		joining, change := p.joining, p.pending
		p.joining, p.pending = nil, nil
		p.mu.Unlock()
		for _, s := range joining {
			s.apply(metadata.Everything(p.Current()))
			p.subscribers = append(p.subscribers, s)
			close(s.joined)
		}
		if change != nil {
			for _, s := range p.subscribers {
				s.apply(change)
			}
			p.show(change.New)
		}
	}
}

// show makes an image the current one and frees those who waited for it.
func (p *Publisher) show(img *metadata.Image) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.current.Store(img)
	kept := p.waiters[:0]
	for _, w := range p.waiters {
		if w.offset <= img.Offset {
			close(w.done)
		} else {
			kept = append(kept, w)
		}
	}
	p.waiters = kept
}
