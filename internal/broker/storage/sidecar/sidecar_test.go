package sidecar

import (
	"testing"

	"github.com/naru-stream/naru/internal/broker/storage/producerstate"
	"github.com/naru-stream/naru/internal/kafka/record"
	"github.com/naru-stream/naru/internal/kafka/wire"
)

func everyDamageIsSeen(t *testing.T, b []byte, read func([]byte) error) {
	t.Helper()
	if err := read(b); err != nil {
		t.Fatal(err)
	}
	for i := range b {
		bad := append([]byte(nil), b...)
		bad[i] ^= 4
		if read(bad) == nil {
			t.Fatalf("byte %d of %d changed unseen", i, len(b))
		}
		if read(b[:i]) == nil {
			t.Fatalf("cut at %d of %d unseen", i, len(b))
		}
	}
}

func TestAPartitionReadsBack(t *testing.T) {
	id := wire.UUID{1, 2, 3}
	b := EncodePartition("orders", id, 7)
	topic, gotID, partition, err := DecodePartition(b)
	if err != nil || topic != "orders" || gotID != id || partition != 7 {
		t.Fatal(topic, gotID, partition, err)
	}
	everyDamageIsSeen(t, b, func(b []byte) error { _, _, _, err := DecodePartition(b); return err })
}

func TestASnapshotReadsBack(t *testing.T) {
	state := producerstate.New(producerstate.Limits{})
	bl := &record.Builder{}
	spec := record.DefaultSpec()
	spec.ProducerID, spec.ProducerEpoch, spec.BaseSequence = 5, 0, 0
	bl.Reset(spec)
	if err := bl.Append(1, nil, []byte("v")); err != nil {
		t.Fatal(err)
	}
	batch, err := bl.Build(nil)
	if err != nil {
		t.Fatal(err)
	}
	state.Replay(batch, 1)
	aborted := []producerstate.AbortedTxn{{ProducerID: 1, FirstOffset: 2, LastOffset: 3, LastStableOffset: 4}}
	b := EncodeSnapshot(state, aborted)
	again := producerstate.New(producerstate.Limits{})
	got, err := DecodeSnapshot(b, again)
	if err != nil || len(got) != 1 || got[0] != aborted[0] || again.Len() != 1 || again.EndOffset() != 1 {
		t.Fatal(got, err, again.Len())
	}
	everyDamageIsSeen(t, b, func(b []byte) error {
		_, err := DecodeSnapshot(b, producerstate.New(producerstate.Limits{}))
		return err
	})
}
