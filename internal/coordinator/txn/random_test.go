package txn

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/naru-stream/naru/internal/coordinator/runtime"
	"github.com/naru-stream/naru/internal/kafka/protocol"
	"github.com/naru-stream/naru/internal/kafka/record"
)

func singleRecord(t testing.TB, key, value []byte) []byte {
	var b record.Builder
	b.Reset(record.DefaultSpec())
	if err := b.Append(0, key, value); err != nil {
		t.Fatal(err)
	}
	out, err := b.Build(nil)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// decided is what a client was told, or a partition was told, about one transaction.
type decided struct {
	producerID int64
	epoch      int16
}

// TestMemoryIsWhatAReplayGives lets clients of both generations do anything at any
// time, while markers and commits of the log are held back, writes fail and the
// coordinator crashes. After every step memory must be what a replay of the compacted
// log gives, a transaction must never be both committed and aborted, and in the end
// everything decided must be complete.
func TestMemoryIsWhatAReplayGives(t *testing.T) {
	for seed := range uint64(150) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) { randomHistory(t, seed) })
	}
}

func randomHistory(t *testing.T, seed uint64) {
	rng := rand.New(rand.NewPCG(seed, 1))
	w := newWorld(t, func(s *Settings) {
		s.HoldMaxMs = int64(rng.IntN(2) * 50)
		if rng.IntN(3) == 0 { // ids are forgotten soon
			s.IDExpirationMs, s.RemoveExpiredIntervalMs = 20_000, 5_000
		}
	})
	outcomes := map[decided]bool{}
	w.places.seen = func(m Marker, p TopicPartition) {
		key := decided{m.ProducerID, m.Epoch}
		if m.Version < version2 {
			return // the epoch does not tell transactions apart
		}
		if before, ok := outcomes[key]; ok && before != m.Commit {
			t.Fatalf("seed %d: producer %d:%d is told commit=%v and commit=%v", seed, m.ProducerID, m.Epoch, before, m.Commit)
		}
		outcomes[key] = m.Commit
	}
	clients := make([]*client, 4)
	for i := range clients {
		clients[i] = &client{world: w, rng: rng, id: fmt.Sprint("id-", i/2), version: int16(rng.IntN(2) * 2), producerID: noProducerID, epoch: noProducerEpoch}
	}
	for range 200 {
		switch rng.IntN(20) {
		case 0:
			w.places.held = true
		case 1, 2:
			w.places.release()
		case 3:
			w.log.Hold()
		case 4, 5:
			w.log.Release()
		case 6:
			w.crash()
		case 7:
			w.log.FailAppends(protocol.NotEnoughReplicas)
		case 8, 9:
			w.log.FailAppends(nil)
		case 10:
			w.Advance(int64(rng.IntN(30_000)))
		default:
			clients[rng.IntN(len(clients))].act()
		}
		w.Run()
		w.check()
	}
	w.log.FailAppends(nil)
	w.log.Release()
	w.places.release()
	w.Advance(200_000)
	w.check()
	for _, c := range w.cores {
		for _, x := range c.ids {
			if x.state == Ongoing || x.state.preparing() {
				t.Errorf("seed %d: %v never ended", seed, x)
			}
		}
	}
}

// client does what a producer may do, and remembers what it was told.
type client struct {
	*world
	rng        *rand.Rand
	id         string
	version    int16
	producerID int64
	epoch      int16
}

func (c *client) act() {
	switch c.rng.IntN(8) {
	case 0:
		req := &protocol.InitProducerIdRequest{TransactionalId: &c.id, TransactionTimeoutMs: 60_000, ProducerId: noProducerID, ProducerEpoch: noProducerEpoch}
		if c.rng.IntN(2) == 0 {
			req.ProducerId, req.ProducerEpoch = c.producerID, c.epoch
		}
		c.c.InitProducerID(runtime.Context{Version: 5}, req, func(r *protocol.InitProducerIdResponse) {
			if r.ErrorCode == protocol.None {
				c.producerID, c.epoch = r.ProducerId, r.ProducerEpoch
			}
		})
	case 1, 2, 3:
		c.c.AddPartitions(Add{
			TransactionalID: c.id, ProducerID: c.producerID, Epoch: c.epoch, Version: c.version, VerifyOnly: c.rng.IntN(4) == 0,
			Partitions: []TopicPartition{{"t", c.rng.Int32N(3)}}, Done: func(protocol.ErrorCode, []TopicPartition) {},
		})
	default:
		version := int16(4)
		if c.version == version2 {
			version = firstVersion2EndTxn
		}
		c.c.EndTxn(runtime.Context{Version: version}, &protocol.EndTxnRequest{
			TransactionalId: c.id, ProducerId: c.producerID, ProducerEpoch: c.epoch, Committed: c.rng.IntN(2) == 0,
		}, func(r *protocol.EndTxnResponse) {
			if r.ErrorCode == protocol.None && c.version == version2 && c.rng.IntN(4) > 0 { // else the answer is lost
				c.producerID, c.epoch = r.ProducerId, r.ProducerEpoch
			}
		})
	}
}
