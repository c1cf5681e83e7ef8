package main

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/naru-stream/naru/conformance/internal/crash/check"
	"github.com/naru-stream/naru/conformance/internal/crash/ledger"
	"github.com/naru-stream/naru/conformance/internal/crash/server"
	"github.com/naru-stream/naru/conformance/internal/crash/wire"
)

// sizedPartitions is how many partitions share the data whose start is timed.
const sizedPartitions = 16

// served is the goal: a start after kill -9 takes less, whatever the size of the data.
const served = 500 * time.Millisecond

// grow is the part "sizes": the time to serve after kill -9, and after a stop in order, by size of the
// data and durability.
func (r *run) grow(ctx context.Context) error {
	sizes, err := r.gigabytes()
	if err != nil {
		return err
	}
	modes := []string{"os", "group"}
	switch {
	case r.target == "naru" && r.durability != "mixed":
		modes = []string{r.durability}
	case r.target != "naru":
		modes = []string{r.target + "'s default"}
	}
	for _, mode := range modes {
		if err := r.growIn(ctx, mode, sizes); err != nil {
			return fmt.Errorf("durability %s: %w", mode, err)
		}
	}
	return nil
}

func (r *run) growIn(ctx context.Context, mode string, sizes []float64) error {
	return r.withServer(ctx, "sizes", mode, func(srv *server.Server) error {
		if err := create(ctx, srv.Addr, "sized", sizedPartitions); err != nil {
			return err
		}
		written := int64(0)
		for _, gb := range sizes {
			acked, err := r.fill(ctx, srv, int64(gb*1e9)-written)
			if err != nil {
				return err
			}
			written = int64(gb * 1e9)
			for _, after := range []string{"kill -9 under load", "stop in order"} {
				if after == "stop in order" {
					if _, err := srv.Stop(time.Minute); err != nil {
						return err
					}
				} // else fill has killed it
				ready, err := r.restart(ctx, srv, mode)
				if err != nil {
					return err
				}
				if err := r.hasAll(ctx, srv.Addr, acked); err != nil {
					return err
				}
				resident, err := srv.Resident()
				if err != nil {
					return err
				}
				r.progress("%s, %.1f GB, after %s: served after %.1f ms", mode, gb, after, ms(ready.Fetch))
				r.report.Sizes = append(r.report.Sizes, sized{mode, gb, after, started(ready), float64(resident) / 1e6})
				if r.target == "naru" && ready.Fetch > served {
					r.report.violate("start does not grow with the data", fmt.Sprintf("%s, %.1f GB, after %s", mode, gb, after),
						"every partition served after %.1f ms, the goal is %s", ms(ready.Fetch), served)
				}
			}
		}
		return nil
	})
}

// withServer runs do with a server of its own that has started once.
func (r *run) withServer(ctx context.Context, part, durability string, do func(*server.Server) error) error {
	dir, remove, err := r.workDir(part)
	if err != nil {
		return err
	}
	defer remove()
	srv, err := server.New(ctx, r.env, r.target, dir)
	if err != nil {
		return err
	}
	defer srv.Kill()
	if _, err := r.restart(ctx, srv, durability); err != nil {
		return err
	}
	return do(srv)
}

// restart starts the server and waits until it serves every partition.
func (r *run) restart(ctx context.Context, srv *server.Server, durability string) (check.Ready, error) {
	return r.restartDamaged(ctx, srv, durability, false)
}

// restartDamaged does that; maybeLost says that the last records may be lost.
func (r *run) restartDamaged(ctx context.Context, srv *server.Server, durability string, maybeLost bool) (check.Ready, error) {
	began, err := srv.Start(ctx, r.settings(durability)...)
	if err != nil {
		return check.Ready{}, err
	}
	ctx, cancel := context.WithTimeout(ctx, readyLimit)
	defer cancel()
	ready, err := check.WaitReady(ctx, srv.Addr, began, nil, maybeLost, srv.Exited)
	if err != nil {
		return ready, fmt.Errorf("start %d: %w: %s", srv.Starts, err, srv.Tail())
	}
	return ready, nil
}

func create(ctx context.Context, addr, topic string, partitions int32) error {
	conn, err := wire.Dial(ctx, addr, 2*time.Minute)
	if err != nil {
		return err
	}
	defer conn.Close()
	_, err = conn.CreateTopic(topic, partitions, nil)
	return err
}

// fill produces until size bytes are acknowledged, kills the server while it goes on producing, and
// returns the highest acknowledged offset of each partition.
func (r *run) fill(ctx context.Context, srv *server.Server, size int64) (map[wire.Partition]int64, error) {
	client, err := kgo.NewClient(kgo.SeedBrokers(srv.Addr), kgo.DefaultProduceTopic("sized"), kgo.ProducerBatchMaxBytes(1_000_000),
		kgo.ProducerBatchCompression(kgo.NoCompression()), kgo.MaxBufferedRecords(20_000), kgo.MaxBufferedBytes(64<<20),
		kgo.AllowIdempotentProduceCancellation(), kgo.RecordPartitioner(kgo.UniformBytesPartitioner(1<<20, false, false, nil)))
	if err != nil {
		return nil, err
	}
	defer client.Close()
	ctx, stop := context.WithTimeout(ctx, 10*time.Minute)
	defer stop()
	var mu sync.Mutex
	var failed error
	acked := map[wire.Partition]int64{}
	bytes := atomic.Int64{}
	value := ledger.AppendValue(nil, 0, 1, r.record)
	reached := make(chan struct{})
	go func() {
		for ctx.Err() == nil {
			client.Produce(ctx, &kgo.Record{Value: value}, func(rec *kgo.Record, err error) {
				mu.Lock()
				defer mu.Unlock()
				if err != nil {
					if failed == nil && bytes.Load() < size {
						failed = err
						stop()
					}
					return
				}
				p := wire.Partition{Topic: rec.Topic, Index: rec.Partition}
				acked[p] = max(acked[p], rec.Offset)
				if n := bytes.Add(int64(len(rec.Value))); n >= size && n-int64(len(rec.Value)) < size {
					close(reached)
				}
			})
		}
	}()
	select {
	case <-reached:
	case <-ctx.Done():
		mu.Lock()
		defer mu.Unlock()
		return nil, fmt.Errorf("filling: %d of %d bytes acknowledged: %w (%w)", bytes.Load(), size, ctx.Err(), failed)
	}
	srv.Kill()
	stop()
	mu.Lock()
	defer mu.Unlock()
	return acked, nil
}

// hasAll finds acknowledged offsets behind the end of a partition.
func (r *run) hasAll(ctx context.Context, addr string, acked map[wire.Partition]int64) error {
	conn, err := wire.Dial(ctx, addr, time.Minute)
	if err != nil {
		return err
	}
	defer conn.Close()
	var all []wire.Partition
	for p := range acked {
		all = append(all, p)
	}
	ends, err := conn.Offsets(wire.Latest, all)
	if err != nil {
		return err
	}
	for p, offset := range acked {
		if ends[p] <= offset {
			r.report.violate("acknowledged records", p.String(), "ends at %d, offset %d was acknowledged", ends[p], offset)
		}
	}
	return nil
}

// idleTopicPartitions is how many partitions an idle topic has.
const idleTopicPartitions = 100

// idleStart is the part "idle": the start with many partitions in which a record lies and nothing
// happens.
func (r *run) idleStart(ctx context.Context) error {
	return r.withServer(ctx, "idle", "auto", func(srv *server.Server) error {
		conn, err := wire.Dial(ctx, srv.Addr, 2*time.Minute)
		if err != nil {
			return err
		}
		began := time.Now()
		for i := range r.idle / idleTopicPartitions {
			topic := fmt.Sprint("idle-", i)
			if _, err := conn.CreateTopic(topic, idleTopicPartitions, nil); err != nil {
				return err
			}
			for p := range int32(idleTopicPartitions / 10) { // one in ten has a record
				if _, err := conn.Produce(wire.Partition{Topic: topic, Index: p}, [][]byte{[]byte("idle")}); err != nil {
					return err
				}
			}
		}
		conn.Close()
		r.progress("%d idle partitions made in %.1f s", r.idle, time.Since(began).Seconds())
		for _, after := range []string{"kill -9", "stop in order"} {
			if after == "kill -9" {
				srv.Kill()
			} else if _, err := srv.Stop(time.Minute); err != nil {
				return err
			}
			ready, err := r.restart(ctx, srv, "auto")
			if err != nil {
				return err
			}
			resident, err := srv.Resident()
			if err != nil {
				return err
			}
			r.progress("%d partitions, after %s: served after %.1f ms, %.1f MB resident", ready.Count, after, ms(ready.Fetch), float64(resident)/1e6)
			r.report.Idle = append(r.report.Idle, rested{after, started(ready), float64(resident) / 1e6, srv.OpenFiles()})
		}
		return nil
	})
}
