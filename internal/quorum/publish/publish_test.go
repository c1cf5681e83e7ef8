package publish

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"

	"github.com/naru-stream/naru/internal/kafka/metarecord"
	"github.com/naru-stream/naru/internal/kafka/wire"
	"github.com/naru-stream/naru/internal/quorum/metadata"
)

// chain makes images that follow each other, each with one more topic.
type chain struct{ img *metadata.Image }

func (c *chain) next(t *testing.T) *metadata.Changes {
	t.Helper()
	n := c.img.TopicCount()
	d := metadata.NewDelta(c.img)
	if err := d.Apply(&metarecord.TopicRecord{Name: fmt.Sprintf("t%04d", n), TopicId: wire.UUID{1, byte(n), byte(n >> 8)}}); err != nil {
		t.Fatal(err)
	}
	c.img = d.Image(int64(n), 1)
	return d.Changes(c.img)
}

func TestEverySubscriberSeesEveryChangeOnceInOrder(t *testing.T) {
	p := New()
	defer p.Close()
	c := &chain{metadata.NewImage()}
	type follower struct {
		at     *metadata.Image
		topics int
	}
	var followers []*follower
	join := func() {
		f := &follower{at: metadata.NewImage()}
		followers = append(followers, f)
		p.Subscribe(func(change *metadata.Changes) {
			if change.Old.Offset != f.at.Offset {
				t.Errorf("a change from offset %d follows offset %d", change.Old.Offset, f.at.Offset)
			}
			for _, topic := range change.Topics {
				if topic.Old != nil || topic.New == nil {
					t.Errorf("topic %s is not new", topic.Name())
				}
				f.topics++
			}
			f.at = change.New
		})
	}
	join()
	for range 500 {
		p.Publish(c.next(t))
		if c.img.TopicCount()%100 == 50 {
			join()
		}
	}
	if err := p.WaitFor(t.Context(), c.img.Offset); err != nil {
		t.Fatal(err)
	}
	if p.Current() != c.img {
		t.Fatal("Current is not the last image")
	}
	for i, f := range followers {
		if f.topics != 500 || f.at.TopicCount() != 500 {
			t.Errorf("subscriber %d was told of %d topics and is at %d", i, f.topics, f.at.TopicCount())
		}
	}
}

func TestCurrentShowsOnlyWhatSubscribersHaveApplied(t *testing.T) {
	p := New()
	defer p.Close()
	c := &chain{metadata.NewImage()}
	enter, leave := make(chan struct{}), make(chan struct{})
	var blocked atomic.Bool
	p.Subscribe(func(change *metadata.Changes) {
		if change.New.TopicCount() > 0 && blocked.CompareAndSwap(false, true) {
			close(enter)
			<-leave
		}
	})
	p.Publish(c.next(t))
	<-enter
	for range 50 { // merged while the subscriber is busy
		p.Publish(c.next(t))
	}
	if n := p.Current().TopicCount(); n != 0 {
		t.Fatalf("Current shows %d topics that a subscriber has not applied", n)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := p.WaitFor(ctx, 3); !errors.Is(err, context.Canceled) {
		t.Fatalf("WaitFor with an ended context: %v", err)
	}
	close(leave)
	if err := p.WaitFor(t.Context(), 50); err != nil {
		t.Fatal(err)
	}
}

func TestCloseFreesThoseWhoWait(t *testing.T) {
	p := New()
	done := make(chan error)
	go func() { done <- p.WaitFor(context.Background(), 7) }()
	p.Close()
	p.Close()
	if err := <-done; !errors.Is(err, ErrClosed) {
		t.Fatalf("WaitFor: %v", err)
	}
	p.Subscribe(func(*metadata.Changes) { t.Error("called after Close") })
}
