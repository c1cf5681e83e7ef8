package storage

import (
	"fmt"
	"path"
	"testing"
	"time"

	"github.com/naru-stream/naru/internal/broker/storage/segmentfile"
	"github.com/naru-stream/naru/internal/kafka/compress"
	"github.com/naru-stream/naru/internal/kafka/config"
	"github.com/naru-stream/naru/internal/kafka/protocol"
	"github.com/naru-stream/naru/internal/kafka/record"
	"github.com/naru-stream/naru/internal/vfs"
)

func TestATimestampFindsTheFirstRecordNotBefore(t *testing.T) {
	for _, codec := range []compress.Codec{compress.None, compress.Zstd} {
		t.Run(codec.String(), func(t *testing.T) {
			f := newFixture(t, func(_ *Config, topic *config.Topic) { topic.SegmentBytes = 3000; topic.IndexIntervalBytes = 300 })
			l := f.create("t")
			spec := record.DefaultSpec()
			spec.Codec, spec.Level = codec, codec.DefaultLevel()
			for i := range 60 { // records have timestamps 1000, 1001, 1002, 1010, 1011, …
				if a := append1(l, batchOf(t, spec, 3, 80, int64(1000+10*i)), 7); a.Err != nil {
					t.Fatal(a.Err)
				}
			}
			check := func() {
				t.Helper()
				for _, c := range []struct {
					ts, offset, found int64
					ok                bool
				}{
					{0, 0, 1000, true}, {1000, 0, 1000, true}, {1001, 1, 1001, true}, {1003, 3, 1010, true},
					{1321, 97, 1321, true}, {1592, 179, 1592, true}, {1593, 0, 0, false},
				} {
					got, ok, err := l.OffsetForTimestamp(c.ts)
					if err != nil || ok != c.ok || ok && (got.Offset != c.offset || got.Timestamp != c.found || got.LeaderEpoch != 7) {
						t.Fatalf("timestamp %d: %+v %v %v, want %d", c.ts, got, ok, err, c.offset)
					}
				}
				if got, ok, err := l.MaxTimestamp(); err != nil || !ok || got.Offset != 179 {
					t.Fatalf("max timestamp: %+v %v %v", got, ok, err)
				}
			}
			check()
			if err := f.m.Close(); err != nil {
				t.Fatal(err)
			}
			f.open(f.fs)
			l = f.log("t")
			check()
			if _, err := l.DeleteRecordsBefore(100); err != nil {
				t.Fatal(err)
			}
			if got, _, err := l.OffsetForTimestamp(0); err != nil || got.Offset != 100 {
				t.Fatalf("after deletion the first record is %+v, %v", got, err)
			}
		})
	}
}

func TestLeaderEpochsAreResolvedAndKept(t *testing.T) {
	f := newFixture(t)
	l := f.create("t")
	appendIn := func(epoch int32, n int) {
		for range n {
			if a := append1(l, batch(t, 1, 10, 0), epoch); a.Err != nil {
				t.Fatal(a.Err)
			}
		}
	}
	appendIn(2, 5)
	l.AssignEpoch(3) // elected, wrote nothing
	l.AssignEpoch(5)
	appendIn(5, 5)
	appendIn(9, 2)
	check := func() {
		t.Helper()
		for _, c := range []struct {
			ask, epoch int32
			end        int64
		}{{0, 0, 0}, {2, 2, 5}, {3, 2, 5}, {5, 5, 10}, {7, 5, 10}, {9, 9, 12}, {10, NoEpoch, -1}, {-1, NoEpoch, -1}} {
			if e, end := l.EndOffsetForEpoch(c.ask); e != c.epoch || end != c.end {
				t.Fatalf("epoch %d ends at (%d, %d), want (%d, %d)", c.ask, e, end, c.epoch, c.end)
			}
		}
		if l.LatestEpoch() != 9 || l.EpochAt(6) != 5 {
			t.Fatalf("latest %d, at 6 %d", l.LatestEpoch(), l.EpochAt(6))
		}
	}
	check()
	f.open(f.fs.CrashClone(vfs.Killed()))
	l = f.log("t")
	check()
	if end, err := l.TruncateTo(7); err != nil || end != 7 {
		t.Fatal(end, err)
	}
	if e, end := l.EndOffsetForEpoch(5); e != 5 || end != 7 {
		t.Fatalf("after truncation (%d, %d)", e, end)
	}
}

func TestARetryIsAnsweredWithTheOriginalOffsetsAcrossRestarts(t *testing.T) {
	f := newFixture(t, func(_ *Config, topic *config.Topic) { topic.SegmentBytes = 1000 })
	l := f.create("t")
	spec := record.DefaultSpec()
	spec.ProducerID, spec.ProducerEpoch = 5, 1
	send := func(seq int32) *Append {
		spec.BaseSequence = seq
		return append1(l, batchOf(t, spec, 2, 50, f.clock.ms), 0)
	}
	for i := range int32(20) {
		if a := send(2 * i); a.Err != nil || a.Duplicate || a.BaseOffset != int64(2*i) {
			t.Fatalf("%+v", a)
		}
	}
	for _, how := range []string{"live", "killed", "closed"} {
		switch how {
		case "killed":
			f.open(f.fs.CrashClone(vfs.Killed()))
		case "closed":
			if err := f.m.Close(); err != nil {
				t.Fatal(err)
			}
			f.open(f.fs)
		}
		l = f.log("t")
		for i := int32(15); i < 20; i++ { // the five batches of the window
			if a := send(2 * i); a.Err != nil || !a.Duplicate || a.BaseOffset != int64(2*i) || a.LastOffset != int64(2*i+1) {
				t.Fatalf("%s: retry of %d: %+v", how, i, a)
			}
		}
		if a := send(44); protocol.CodeOf(a.Err) != protocol.OutOfOrderSequenceNumber {
			t.Fatalf("%s: a gap: %v", how, a.Err)
		}
	}
	// a retry queued behind its original is found in the same write
	spec.BaseSequence = 40
	var finished []*Append
	done := func(a *Append) { finished = append(finished, a) }
	first := &Append{Batches: batchOf(t, spec, 2, 50, 0), Done: done}
	second := &Append{Batches: batchOf(t, spec, 2, 50, 0), Done: done}
	l.exclusive(func() { l.Append(first); l.Append(second) })
	if len(finished) != 2 || first.Duplicate || !second.Duplicate || second.BaseOffset != first.BaseOffset {
		t.Fatalf("%+v %+v", first, second)
	}
	checkContiguous(t, l)
}

func TestTransactionsBoundWhatCommittedReadersSee(t *testing.T) {
	f := newFixture(t, func(_ *Config, topic *config.Topic) { topic.SegmentBytes = 600 })
	l := f.create("t")
	txn := func(id int64, seq int32) {
		t.Helper()
		spec := record.DefaultSpec()
		spec.ProducerID, spec.ProducerEpoch, spec.BaseSequence, spec.Transactional = id, 0, seq, true
		if a := append1(l, batchOf(t, spec, 1, 100, f.clock.ms), 0); a.Err != nil {
			t.Fatal(a.Err)
		}
	}
	marker := func(id int64, kind record.ControlType) {
		t.Helper()
		spec := record.DefaultSpec()
		spec.ProducerID, spec.ProducerEpoch, spec.Transactional, spec.Control = id, 0, true, true
		b, err := record.AppendEndTxn(nil, spec, record.EndTxnMarker{Type: kind}, f.clock.ms, &record.Builder{})
		if err != nil {
			t.Fatal(err)
		}
		a := &Append{Batches: b, Origin: OriginCoordinator, Done: func(*Append) {}}
		if l.Append(a); a.Err != nil {
			t.Fatal(a.Err)
		}
	}
	stable := func(want int64) {
		t.Helper()
		got, err := l.LastStableOffset(l.LogEndOffset())
		if err != nil || got != want {
			t.Fatalf("last stable offset %d, want %d, %v", got, want, err)
		}
	}
	txn(1, 0) // 0
	txn(2, 0) // 1
	stable(0)
	marker(1, record.ControlAbort) // 2
	stable(1)
	for i := range 8 { // 3 … 10
		txn(1, int32(1+i))
	}
	marker(1, record.ControlCommit) // 11
	marker(2, record.ControlAbort)  // 12
	stable(13)
	for _, how := range []string{"live", "killed", "closed"} {
		switch how {
		case "killed":
			f.clock.ms += 12000
			f.m.Tick()
			f.open(f.fs.CrashClone(vfs.Killed()))
		case "closed":
			if err := f.m.Close(); err != nil {
				t.Fatal(err)
			}
			f.open(f.fs)
		}
		l = f.log("t")
		stable(13)
		got, err := l.AbortedTransactions(0, 13)
		if err != nil || len(got) != 2 || got[0].ProducerID != 1 || got[0].LastOffset != 2 || got[1].FirstOffset != 1 || got[1].LastOffset != 12 {
			t.Fatalf("%s: aborted %+v, %v", how, got, err)
		}
		if got, err = l.AbortedTransactions(3, 13); err != nil || len(got) != 1 || got[0].ProducerID != 2 {
			t.Fatalf("%s: aborted from 3: %+v, %v", how, got, err)
		}
	}
}

func TestRetentionKeepsWhatTimeAndSizeAllow(t *testing.T) {
	f := newFixture(t, func(_ *Config, topic *config.Topic) {
		topic.SegmentBytes = 1000
		topic.RetentionMs = 10_000
	})
	l := f.create("t")
	for range 20 {
		f.append(l, 2)
		f.clock.ms += 1000
	}
	held, err := l.Read(0, 100, 2, true)
	if err != nil {
		t.Fatal(err)
	}
	f.m.EnforceRetention()
	start := l.LogStartOffset()
	if start == 0 || start > 20 {
		t.Fatalf("after retention by time the log starts at %d", start)
	}
	if _, err := l.Read(0, 100, 40, true); protocol.CodeOf(err) != protocol.OffsetOutOfRange {
		t.Fatalf("reading deleted records: %v", err)
	}
	f.clock.ms += 5000
	f.m.Tick()
	b := make([]byte, held.Length)
	if _, err := held.ReadAt(b, 0); err != nil || record.Batch(b).CheckCRC() != nil {
		t.Fatalf("a reader lost its file: %v", err)
	}
	held.Release()
	f.topic.RetentionBytes = 1500
	l.SetConfig(f.topic)
	f.m.EnforceRetention()
	if l.Size() > 1500+1000 {
		t.Fatalf("after retention by size %d bytes", l.Size())
	}
	f.clock.ms += 100_000
	f.m.EnforceRetention() // everything is old: the active segment goes too
	if start, _, end := l.Offsets(); start != end || end != 40 {
		t.Fatalf("everything expired, but the log is %d to %d", start, end)
	}
	f.clock.ms += 5000
	f.m.Tick()
	f.append(l, 1)
	checkContiguous(t, l)
	f.open(f.fs.CrashClone(vfs.Killed()))
	if start, _, end := f.log("t").Offsets(); start != 40 || end != 41 || len(f.m.Damage()) > 0 {
		t.Fatalf("after a kill %d to %d, %v", start, end, f.m.Damage())
	}
}

func TestLogAppendTimeIsStampedAndReported(t *testing.T) {
	f := newFixture(t, func(_ *Config, topic *config.Topic) { topic.MessageTimestampType = "LogAppendTime" })
	l := f.create("t")
	a := append1(l, batch(t, 2, 10, 5), 0)
	if a.Err != nil || a.LogAppendTimeMs != f.clock.ms {
		t.Fatalf("%+v", a)
	}
	b := readAll(t, l, 0, 1000)[0]
	if b.TimestampType() != record.LogAppendTime || b.MaxTimestamp() != f.clock.ms {
		t.Fatalf("%v at %d", b.TimestampType(), b.MaxTimestamp())
	}
}

func TestReplicatedBatchesKeepOffsetsAndEpochs(t *testing.T) {
	f := newFixture(t)
	leader, follower := f.create("leader"), f.create("follower")
	for i := range 10 {
		append1(leader, batch(t, 2, 50, 0), int32(i/3))
	}
	for _, b := range readAll(t, leader, 0, 300) {
		a := &Append{Batches: append([]byte(nil), b...), Origin: OriginReplication, Done: func(*Append) {}}
		if follower.Append(a); a.Err != nil || a.BaseOffset != b.BaseOffset() {
			t.Fatalf("%+v", a)
		}
	}
	if fmt.Sprint(follower.Epochs()) != fmt.Sprint(leader.Epochs()) {
		t.Fatalf("epochs %v, the leader's %v", follower.Epochs(), leader.Epochs())
	}
	checkContiguous(t, follower)
	again := &Append{Batches: append([]byte(nil), readAll(t, leader, 0, 300)[0]...), Origin: OriginReplication, Done: func(*Append) {}}
	if follower.Append(again); again.Err == nil {
		t.Fatal("an old batch was replicated again")
	}
	if err := follower.TruncateFullyAndStartAt(1000); err != nil {
		t.Fatal(err)
	}
	if start, _, end := follower.Offsets(); start != 1000 || end != 1000 {
		t.Fatalf("%d to %d", start, end)
	}
	b := batch(t, 1, 1, 0)
	record.Batch(b).SetBaseOffset(1000)
	a := &Append{Batches: b, Origin: OriginReplication, Done: func(*Append) {}}
	if follower.Append(a); a.Err != nil {
		t.Fatal(a.Err)
	}
	f.open(f.fs.CrashClone(vfs.Killed()))
	if start, _, end := f.log("follower").Offsets(); start != 1000 || end != 1001 || len(f.m.Damage()) > 0 {
		t.Fatalf("after a kill %d to %d, %v", start, end, f.m.Damage())
	}
}

func TestADeletedPartitionStaysDeletedAndCanBeMadeAnew(t *testing.T) {
	f := newFixture(t)
	l := f.create("t")
	f.append(l, 3)
	if err := f.m.Delete("t", 0); err != nil {
		t.Fatal(err)
	}
	for _, c := range []vfs.Crash{{}, vfs.Killed()} {
		g := &fixture{t: t, clock: f.clock, cfg: f.cfg, topic: f.topic}
		g.open(f.fs.CrashClone(c))
		if g.m.Log("t", 0) != nil || len(g.m.Damage()) > 0 {
			t.Fatalf("it is back: %v", g.m.Damage())
		}
	}
	l = f.create("t")
	if l.LogEndOffset() != 0 {
		t.Fatal("the new one is not empty")
	}
	f.append(l, 1)
	f.clock.ms += 2000
	f.m.Tick()
	for _, file := range f.fs.Files() {
		if len(file) > 40 && file[len(file)-4:] == ".log" && file[:9] != "data/t-0/" {
			t.Fatalf("%s is still there", file)
		}
	}
	checkContiguous(t, l)
}

func TestASegmentFileIsScannedToItsDamage(t *testing.T) {
	f := newFixture(t)
	l := f.create("t")
	for range 4 {
		f.append(l, 2)
	}
	name := l.file(0, segmentfile.LogSuffix)
	f.fs.Corrupt(name, func(b []byte) []byte {
		b[100] ^= 1 // inside the first batch
		return b[:len(b)-10]
	})
	found, err := segmentfile.Scan(f.fs, name)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for s := range found {
		switch {
		case s.Err == nil:
			got = append(got, "good")
		case s.Batch != nil:
			got = append(got, "damaged")
		default:
			got = append(got, "torn")
		}
	}
	if fmt.Sprint(got) != "[damaged good good torn]" {
		t.Fatal(got)
	}
}

func TestNothingUselessStaysOnDisk(t *testing.T) {
	f := newFixture(t, func(_ *Config, topic *config.Topic) { topic.SegmentBytes = 1000 })
	spec := record.DefaultSpec()
	spec.ProducerID, spec.ProducerEpoch = 5, 0
	for range 4 {
		l := f.create("t")
		for range 12 {
			spec.BaseSequence = int32(l.LogEndOffset())
			if a := append1(l, batchOf(t, spec, 2, 50, f.clock.ms), 0); a.Err != nil {
				t.Fatal(a.Err)
			}
			f.clock.ms += 11000
			f.m.Tick()
		}
		if _, err := l.DeleteRecordsBefore(l.LogEndOffset() - 4); err != nil {
			t.Fatal(err)
		}
		if err := f.m.Close(); err != nil {
			t.Fatal(err)
		}
		f.open(f.fs)
	}
	count := map[string]int{}
	for _, file := range f.fs.Files() {
		count[path.Ext(file)]++
	}
	segs := len(f.log("t").Segments())
	if count[".log"] != segs || count[".deleted"] != 0 || count[".nsnap"] > 2 || count[".nidx"] > segs || count[".tmp"] != 0 {
		t.Fatalf("%d segments, files %v", segs, count)
	}
}

func TestACompactedSegmentClosesInTimeForItsLongestLag(t *testing.T) {
	for _, policy := range []string{"compact", "delete"} {
		f := newFixture(t, func(_ *Config, topic *config.Topic) {
			topic.CleanupPolicy, topic.MaxCompactionLagMs = []string{policy}, 10_000
		})
		l := f.create("t")
		for _, wait := range []int64{0, 9_000, 5_000} {
			f.clock.ms += wait
			if a := append1(l, batch(t, 1, 10, f.clock.ms), 0); a.Err != nil {
				t.Fatal(a.Err)
			}
		}
		want := map[string]int{"compact": 2, "delete": 1}[policy]
		if n := len(l.segs); n != want {
			t.Errorf("%s: %d segments after 14 s with max.compaction.lag.ms of 10 s, want %d", policy, n, want)
		}
	}
}

func TestProducersAreForgottenAfterATimeThatMayChange(t *testing.T) {
	f := newFixture(t)
	l := f.create("t")
	spec := record.DefaultSpec()
	spec.ProducerID, spec.ProducerEpoch, spec.BaseSequence = 7, 0, 0
	if a := append1(l, batchOf(t, spec, 1, 10, f.clock.ms), 0); a.Err != nil {
		t.Fatal(a.Err)
	}
	known := func() int {
		t.Helper()
		f.clock.ms += (10 * time.Minute).Milliseconds()
		f.m.Tick()
		producers, err := l.Producers()
		if err != nil {
			t.Fatal(err)
		}
		return len(producers)
	}
	if n := known(); n != 1 {
		t.Fatalf("%d producers are known after 10 minutes, want 1", n)
	}
	f.m.SetProducerIDExpiration(10 * time.Second)
	if n := known(); n != 0 {
		t.Fatalf("%d producers are known with an expiration of 10 s, want none", n)
	}
}
