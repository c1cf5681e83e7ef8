package sharefetch

import (
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/naru-stream/naru/internal/broker/sharepartition"
	"github.com/naru-stream/naru/internal/broker/sharesession"
	"github.com/naru-stream/naru/internal/kafka/protocol"
)

const (
	randomMembers = 6
	randomRecords = 400
	randomLockMs  = 60
	randomLimit   = 5
)

var randomPartition = sharesession.Partition{Topic: topicID}

// randomWorld is a world with a share coordinator that remembers.
type randomWorld struct {
	*world
	store *store
}

// restart has the manager ask that coordinator.
func (w *randomWorld) restart() {
	c := w.m.Config
	c.State = w.store
	w.m = NewManager(c)
}

// ledger knows what became of every record, as its members were told.
type ledger struct {
	t  *testing.T
	mu sync.Mutex
	// done holds what was accepted or rejected, and answered so; tries what was delivered
	// for the last time.
	done, tries map[int64]bool
	// holders are who has what, until when and in which generation of the share partition;
	// in an odd one it may be given up and loaded again at any time.
	holders    map[int64]holder
	generation int
	// leads is held while nobody leads, and while records are appended.
	leads sync.Mutex
}

type holder struct {
	member     string
	until      time.Time
	generation int
}

// begin returns what was settled before a fetch began, and the generation then.
func (l *ledger) begin() (settled map[int64]bool, generation int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	settled = make(map[int64]bool, len(l.done))
	for o := range l.done {
		settled[o] = true
	}
	return settled, l.generation
}

// acquired checks what a member has got.
func (l *ledger) acquired(member string, r sharepartition.Range, settled map[int64]bool, generation int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if r.Count < 1 || r.Count > randomLimit {
		l.t.Errorf("%d-%d are delivered for the %d. time, the limit is %d", r.First, r.Last, r.Count, randomLimit)
	}
	for o := r.First; o <= r.Last; o++ {
		if settled[o] {
			l.t.Errorf("offset %d was acknowledged, and is delivered again", o)
		}
		h, held := l.holders[o]
		if held && h.member != member && h.generation == l.generation && generation == l.generation && generation%2 == 0 && time.Now().Before(h.until) {
			l.t.Errorf("%s and %s both have offset %d", h.member, member, o)
		}
		l.holders[o] = holder{member, time.Now().Add(randomLockMs * time.Millisecond), generation}
		if r.Count == randomLimit {
			l.tries[o] = true
		}
	}
}

// forget notes that nobody may have the records any more, before they are given back.
func (l *ledger) forget(match func(offset int64, member string) bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for o, h := range l.holders {
		if match(o, h.member) {
			delete(l.holders, o)
		}
	}
}

// member fetches and acknowledges at random until stop is closed; then it accepts all.
func (l *ledger) member(w *randomWorld, name string, rng *rand.Rand, stop chan struct{}) {
	key := sharesession.Key{Group: "g", Member: name}
	join := func() {
		w.m.Sessions.Begin(&sharesession.Fetch{Key: key, MaxSessions: 100, Added: []sharesession.Partition{randomPartition}})
	}
	leave := func() {
		l.forget(func(_ int64, m string) bool { return m == name })
		if closed, ok := w.m.Sessions.Close(key); ok {
			w.m.Ended(closed)
		}
	}
	join()
	defer leave()
	for last := 0; last < 20; {
		select {
		case <-stop:
			last++
		default:
		}
		for _, r := range l.fetch(w, name, rng) {
			kind := []int8{sharepartition.Accept, sharepartition.Accept, sharepartition.Release, sharepartition.Reject, sharepartition.Renew, -1}[rng.IntN(6)]
			if last > 0 {
				kind = sharepartition.Accept
			}
			if kind >= 0 {
				l.acknowledge(w, name, r, kind)
			}
		}
		if rng.IntN(10) == 0 {
			leave()
			join()
		}
	}
}

func (l *ledger) fetch(w *randomWorld, name string, rng *rand.Rand) (got []sharepartition.Range) {
	settled, generation := l.begin()
	answer := make(chan []Result, 2)
	f := &Fetch{
		Group: "g", Member: name, Partitions: []sharesession.Partition{randomPartition}, MaxWait: time.Duration(rng.IntN(50)) * time.Millisecond,
		MinBytes: 1, MaxBytes: 1 << 20, MaxRecords: 1 + rng.Int32N(20), BatchSize: 1 + rng.Int32N(10), Exact: rng.IntN(2) == 0,
		Done: func(r []Result) { answer <- r },
	}
	w.m.Start(f)
	if rng.IntN(8) == 0 && f.Abandon() {
		time.Sleep(time.Millisecond)
		if len(answer) > 0 {
			l.t.Error("an abandoned fetch was answered")
		}
		return nil
	}
	for _, r := range <-answer {
		if len(r.Acquired) > 0 {
			r.Records.Release()
		}
		for _, x := range r.Acquired {
			l.acquired(name, x, settled, generation)
		}
		got = append(got, r.Acquired...)
	}
	if len(got) == 0 {
		time.Sleep(5 * time.Millisecond)
	}
	return got
}

func (l *ledger) acknowledge(w *randomWorld, name string, r sharepartition.Range, kind int8) {
	if kind != sharepartition.Renew {
		l.forget(func(o int64, m string) bool { return m == name && o >= r.First && o <= r.Last })
	}
	answer := make(chan error, 2)
	w.m.Acknowledge("g", name, randomPartition, []sharepartition.AckBatch{{First: r.First, Last: r.Last, Types: []int8{kind}}}, func(err error) { answer <- err })
	if err := <-answer; err != nil {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	for o := r.First; o <= r.Last && (kind == sharepartition.Accept || kind == sharepartition.Reject); o++ {
		l.done[o] = true
	}
}

// trouble lets the leadership change and the share coordinator be slow and fail.
func (l *ledger) trouble(w *randomWorld, rng *rand.Rand) {
	for range 60 {
		time.Sleep(time.Duration(rng.IntN(40)) * time.Millisecond)
		what := rng.IntN(3)
		if what < 2 {
			l.next()
		}
		switch what {
		case 0:
			l.leads.Lock()
			w.elect(0, -1)
			w.elect(0, 1)
			l.leads.Unlock()
		case 1:
			w.store.set(false, []protocol.ErrorCode{protocol.UnknownServerError, protocol.NotCoordinator, protocol.GroupIdNotFound, protocol.FencedLeaderEpoch}[rng.IntN(4)])
			time.Sleep(time.Duration(rng.IntN(20)) * time.Millisecond)
		case 2:
			w.store.set(true, protocol.None)
			time.Sleep(time.Duration(rng.IntN(2*randomLockMs)) * time.Millisecond)
		}
		for _, f := range w.store.set(false, protocol.None) {
			f()
		}
		if what < 2 {
			l.next()
		}
	}
}

func (l *ledger) next() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.generation++
}

// set changes how the coordinator behaves and returns what was held back.
func (s *store) set(hold bool, fail protocol.ErrorCode) []func() {
	s.mu.Lock()
	defer s.mu.Unlock()
	held := s.held
	s.hold, s.fail, s.held = hold, fail, nil
	return held
}

// TestWhateverHappensNothingIsLostOrSharedTwice has members fetch, acknowledge and leave
// while the leader changes and state is written slowly or not at all.
func TestWhateverHappensNothingIsLostOrSharedTwice(t *testing.T) {
	for range 5 {
		seed := uint64(time.Now().UnixNano())
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := &randomWorld{world: newWorld(t), store: &store{shares: map[string]*stored{}}}
				w.restart()
				w.settings.MaxDeliveries, w.settings.LockMs, w.settings.MaxLocks = randomLimit, randomLockMs, 100
				l := &ledger{t: t, done: map[int64]bool{}, tries: map[int64]bool{}, holders: map[int64]holder{}}
				var running sync.WaitGroup
				stop := make(chan struct{})
				for i := range randomMembers {
					running.Go(func() { l.member(w, fmt.Sprint("m", i), rand.New(rand.NewPCG(seed, uint64(i))), stop) })
				}
				var troubled sync.WaitGroup
				troubled.Go(func() { l.trouble(w, rand.New(rand.NewPCG(seed, 100))) })
				rng := rand.New(rand.NewPCG(seed, 101))
				for left := randomRecords; left > 0; {
					n := min(left, 1+rng.IntN(10))
					l.leads.Lock()
					w.append(0, n, -1)
					l.leads.Unlock()
					left -= n
					time.Sleep(time.Duration(rng.IntN(10)) * time.Millisecond)
				}
				troubled.Wait()
				close(stop)
				running.Wait()
				synctest.Wait()
				for o := range int64(randomRecords) {
					if !l.done[o] && !l.tries[o] {
						t.Errorf("offset %d was neither acknowledged nor delivered %d times", o, randomLimit)
					}
				}
				if len(w.m.groups) > 0 || w.timer.Len() > 0 {
					t.Errorf("without members %d groups and %d timers are held", len(w.m.groups), w.timer.Len())
				}
			})
		})
	}
}
