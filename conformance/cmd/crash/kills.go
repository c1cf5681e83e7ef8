package main

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/naru-stream/naru/conformance/internal/crash/check"
	"github.com/naru-stream/naru/conformance/internal/crash/damage"
	"github.com/naru-stream/naru/conformance/internal/crash/ledger"
	"github.com/naru-stream/naru/conformance/internal/crash/load"
	"github.com/naru-stream/naru/conformance/internal/crash/server"
	"github.com/naru-stream/naru/conformance/internal/crash/wire"
)

// readyLimit is how long a start may take before the run gives up.
const readyLimit = 2 * time.Minute

// tailRecords is how many records before the last acknowledged one are read again after each crash.
const tailRecords = 500

// settle is how long clients may take to see what the server had sent before it was killed.
const settle = 20 * time.Millisecond

// killing is one run of the load with its kills.
type killing struct {
	*run
	srv       *server.Server
	ledger    *ledger.Ledger
	churn     *load.Churn
	producers *load.Producers
	topics    map[string]wire.Topic // those that stay
	before    check.Before
	states    atomic.Int64 // checks of the state that came to their end
	tails     atomic.Int64
	members   sync.WaitGroup
	stopAll   context.CancelFunc
}

// kill is the part "kills": load, SIGKILL at random moments, checks.
func (r *run) kill(ctx context.Context) error {
	dir, remove, err := r.workDir("kills")
	if err != nil {
		return err
	}
	defer remove()
	srv, err := server.New(ctx, r.env, r.target, dir)
	if err != nil {
		return err
	}
	defer srv.Kill()
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	k := &killing{run: r, srv: srv, ledger: ledger.New(load.Describe()), stopAll: stop}
	err = k.through(ctx)
	k.sum()
	if err != nil {
		return fmt.Errorf("%w (the server's log ends: %s)", err, srv.Tail())
	}
	return nil
}

func (k *killing) through(ctx context.Context) error {
	if err := k.begin(ctx); err != nil {
		return err
	}
	tails := make(chan map[wire.Partition]ledger.Promise, k.kills+1)
	reading := sync.WaitGroup{}
	reading.Go(func() { k.readTails(ctx, tails) })
	defer reading.Wait()
	defer k.members.Wait()
	defer k.stopAll()
	defer k.producers.Abort()
	for i := range k.kills {
		if err := k.cycle(ctx, i, tails); err != nil {
			return err
		}
	}
	close(tails)
	return k.end(ctx, &reading)
}

// begin starts the server for the first time, makes the topics that stay and starts the load.
func (k *killing) begin(ctx context.Context) error {
	began, err := k.srv.Start(ctx, k.settings(k.drawDurability())...)
	if err != nil {
		return err
	}
	if _, err := k.ready(ctx, began, nil); err != nil {
		return err
	}
	conn, err := wire.Dial(ctx, k.srv.Addr, time.Minute)
	if err != nil {
		return err
	}
	defer conn.Close()
	for _, t := range load.Topics {
		if _, err := conn.CreateTopic(t.Name, t.Partitions, t.Settings); err != nil {
			return err
		}
	}
	for tries := 0; ; tries++ {
		err := conn.FindCoordinator(load.Group)
		if err == nil {
			break
		}
		if !wire.Refused(err) || tries > 300 {
			return fmt.Errorf("finding the group's coordinator: %w", err)
		}
		time.Sleep(100 * time.Millisecond)
	}
	if k.topics, err = conn.Topics(); err != nil {
		return err
	}
	cfg := load.Config{Addr: k.srv.Addr, Ledger: k.ledger, Rate: k.rate, Rand: k.random, Notes: &k.report.notes}
	k.churn = load.NewChurn(cfg)
	k.before = check.Note(k.ledger, k.topics)
	if k.producers, err = load.StartProducers(ctx, cfg); err != nil {
		return err
	}
	k.members.Go(func() { load.Commits(ctx, cfg) })
	return load.Members(ctx, cfg, &k.members)
}

// ready waits for the server to serve everything.
func (k *killing) ready(ctx context.Context, began time.Time, expected []string) (check.Ready, error) {
	ctx, cancel := context.WithTimeout(ctx, readyLimit)
	defer cancel()
	return check.WaitReady(ctx, k.srv.Addr, began, expected, false, k.srv.Exited)
}

func (k *killing) stable() []string {
	var names []string
	for _, t := range load.Topics {
		names = append(names, t.Name)
	}
	return names
}

// cycle lets the server run for a random time, kills it and starts it again; torn tails come between.
func (k *killing) cycle(ctx context.Context, i int, tails chan<- map[wire.Partition]ledger.Promise) error {
	life := k.min + time.Duration(k.random.Int64N(int64(k.max-k.min)+1))
	inner, cancel := context.WithCancel(ctx)
	defer cancel()
	var busy sync.WaitGroup
	cfg := load.Config{Addr: k.srv.Addr, Ledger: k.ledger, Notes: &k.report.notes}
	busy.Go(func() { load.Trims(inner, cfg, k.ledger) })
	busy.Go(func() {
		if k.state(inner) == nil {
			k.churn.Run(inner)
		}
	})
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(life):
	}
	if err := k.srv.Exited(); err != nil {
		return err
	}
	k.srv.Kill()
	k.ledger.Killed()
	cancel()
	busy.Wait()
	time.Sleep(settle)
	k.before = check.Note(k.ledger, k.topics)
	torn := ""
	if k.tornEvery > 0 && i%k.tornEvery == k.tornEvery-1 {
		var err error
		if torn, err = k.tear(); err != nil {
			return err
		}
	}
	durability := k.drawDurability()
	began, err := k.srv.Start(ctx, k.settings(durability)...)
	if err != nil {
		return err
	}
	ready, err := k.ready(ctx, began, k.stable())
	if err != nil {
		k.ledger.Violate("starts again", fmt.Sprintf("start %d", k.srv.Starts), "%v %s", err, torn)
		return err
	}
	k.report.Starts = append(k.report.Starts, started(ready))
	k.progress("kill %d after %s, %s: served after %.1f ms %s", i+1, life.Round(time.Millisecond), durability, ms(ready.Fetch), torn)
	for p := range k.before.Partitions {
		if len(k.srv.Said("damage found", `topic=`+p.Topic+" ", fmt.Sprintf("partition=%d ", p.Index))) > 0 {
			k.report.notes.Add("damage reported for " + p.String() + " after kill " + fmt.Sprint(i+1))
			if torn != "" {
				k.ledger.AllowGaps(p)
			} else {
				k.ledger.Violate("no damage", p.String(), "%s", strings.Join(k.srv.Said("damage found"), "; "))
			}
		}
	}
	tails <- k.before.Partitions
	return nil
}

// tear damages the end of a random partition's active segment behind everything acknowledged or read.
func (k *killing) tear() (string, error) {
	all := check.Stable()
	for range 20 {
		p := all[k.random.IntN(len(all))]
		promise, any := k.before.Partitions[p]
		if !any {
			continue
		}
		// Members of the group may hold records that they have not shown to the ledger yet.
		cut := !slices.Contains(load.GroupTopics, p.Topic)
		did, err := damage.Torn(k.srv.DataDir, p, max(promise.Acked, promise.Seen), cut, k.random)
		if err != nil {
			return "", err
		}
		if did != "" {
			k.report.Torn = append(k.report.Torn, did)
			return did, nil
		}
	}
	return "", nil
}

// state checks everything but the records; an error means that the server was killed meanwhile.
func (k *killing) state(ctx context.Context) error {
	conn, err := wire.Dial(ctx, k.srv.Addr, time.Minute)
	if err != nil {
		return err
	}
	defer conn.Close()
	topics, err := conn.Topics()
	if err != nil {
		if wire.Refused(err) {
			k.ledger.Violate("topics", "", "%v", err)
		}
		return err
	}
	if err := check.State(ctx, k.srv.Addr, k.ledger, k.before, topics, k.churn); err != nil {
		return err
	}
	k.states.Add(1)
	return nil
}

// readTails reads, after each crash, what was acknowledged last before it, while the load goes on.
func (k *killing) readTails(ctx context.Context, tails <-chan map[wire.Partition]ledger.Promise) {
	for {
		var promises map[wire.Partition]ledger.Promise
		select {
		case <-ctx.Done():
			return
		case promises = <-tails:
		}
		if promises == nil {
			return // closed: the load is over
		}
		for _, p := range check.Stable() {
			last := promises[p].Acked
			if last < 0 {
				continue
			}
			_, _, err := check.Read(ctx, k.srv.Addr, k.ledger, p, max(promises[p].Trimmed, last-tailRecords, 0), last+1)
			if ctx.Err() != nil {
				return
			}
			if err != nil {
				k.ledger.Violate("partitions serve", p.String(), "%v", err)
			}
		}
		k.tails.Add(1)
	}
}

// end stops the load, kills the server once more and reads everything.
func (k *killing) end(ctx context.Context, reading *sync.WaitGroup) error {
	if err := k.state(ctx); err != nil {
		return fmt.Errorf("checking the state after the last kill: %w", err)
	}
	flush, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	sent := k.producers.Finish(flush)
	reading.Wait()
	k.stopAllMembers()
	k.srv.Kill()
	k.ledger.Killed()
	k.before = check.Note(k.ledger, k.topics)
	if err := k.again(ctx, "the last kill"); err != nil {
		return err
	}
	if err := k.audit(ctx, sent); err != nil {
		return err
	}
	took, err := k.srv.Stop(30 * time.Second)
	if err != nil {
		k.ledger.Violate("stops in order", "", "%v", err)
	}
	k.report.CleanStopMs = ms(took)
	k.before = check.Note(k.ledger, k.topics)
	if err := k.again(ctx, "a stop in order"); err != nil {
		return err
	}
	if err := k.audit(ctx, sent); err != nil {
		return err
	}
	_, err = k.srv.Stop(30 * time.Second)
	return err
}

// stopAllMembers leaves the group and the committers time to finish what they do, then ends them.
func (k *killing) stopAllMembers() {
	time.Sleep(300 * time.Millisecond)
}

// again starts the server and checks the state to the end.
func (k *killing) again(ctx context.Context, after string) error {
	began, err := k.srv.Start(ctx, k.settings(k.drawDurability())...)
	if err != nil {
		return err
	}
	ready, err := k.ready(ctx, began, k.stable())
	if err != nil {
		k.ledger.Violate("starts again", "after "+after, "%v", err)
		return err
	}
	k.progress("after %s: served after %.1f ms", after, ms(ready.Fetch))
	if after != "the last kill" {
		k.report.CleanStart = started(ready)
	} else {
		k.report.Starts = append(k.report.Starts, started(ready))
	}
	return k.state(ctx)
}

// audit reads every partition from its first record to its last.
func (k *killing) audit(ctx context.Context, sent []int64) error {
	for _, p := range check.Stable() {
		first, end, err := check.Read(ctx, k.srv.Addr, k.ledger, p, 0, -1)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err != nil {
			k.ledger.Violate("partitions serve", p.String(), "%v", err)
		}
		k.ledger.Audit(p, first, end)
	}
	for i, producer := range load.Describe() {
		if !producer.Idempotent {
			continue
		}
		if missing := k.ledger.Missing(i, sent[i]); len(missing) > 0 {
			k.ledger.Violate("acknowledged records", producer.Name, "%d of %d acknowledged records are nowhere: %v",
				len(missing), sent[i], missing[:min(len(missing), 20)])
		}
	}
	return nil
}

// sum moves what the ledger holds into the report.
func (k *killing) sum() {
	r := k.report
	r.Kills = len(r.Starts)
	r.Acked, r.Read, r.ReadBytes = k.ledger.Totals()
	r.StateChecks, r.TailChecks = k.states.Load(), k.tails.Load()
	for _, offsets := range k.ledger.Commits() {
		r.CommittedPartitions += len(offsets)
	}
	if k.churn != nil {
		r.TopicChanges = k.churn.Done()
	}
	violations, counts := k.ledger.Violations()
	r.add(violations, counts)
	r.notesInto(maps.Clone(r.notes.All()))
	slices.Sort(r.Torn)
}

func started(ready check.Ready) start {
	return start{ms(ready.Listening), ms(ready.Metadata), ms(ready.Fetch), ready.Count}
}

func ms(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
