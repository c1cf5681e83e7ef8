package journal

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"testing"

	"github.com/naru-stream/naru/internal/kafka/wire"
	"github.com/naru-stream/naru/internal/vfs"
)

func add(t testing.TB, j *Journal[int32], partition int32, batches string) {
	t.Helper()
	at := Place{TopicID: wire.UUID{1}, Partition: partition, SegmentBase: 7, Position: 100}
	err := j.Add(partition, at, len(batches), func(b []byte) error { copy(b, batches); return nil })
	if err != nil {
		t.Fatal(err)
	}
}

func flush(t testing.TB, j *Journal[int32]) {
	t.Helper()
	if err := j.Append(); err != nil {
		t.Fatal(err)
	}
}

// said renders entries as partition:batches.
func said(t testing.TB, fsys vfs.FS) string {
	t.Helper()
	entries, err := Read(fsys, "")
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	for _, e := range entries {
		if e.SegmentBase != 7 || e.Position != 100 || e.TopicID != (wire.UUID{1}) {
			t.Fatalf("entry %+v", e)
		}
		fmt.Fprintf(&b, "%d:%s ", e.Partition, e.Batches)
	}
	return b.String()
}

func TestEntriesComeBackInOrderOverSwitchesAndWhatWasTakenBackDoesNot(t *testing.T) {
	fsys := vfs.NewMem()
	j := New[int32](fsys, "", 1000)
	for i, step := range []struct {
		do   func()
		want string
	}{
		{func() {}, ""},
		{func() { add(t, j, 1, "one"); add(t, j, 2, "two") }, "1:one 2:two "},
		{func() { add(t, j, 1, "three") }, "1:one 2:two 1:three "},
		{func() { _ = j.Switch(); add(t, j, 2, "four") }, "1:one 2:two 1:three 2:four "},
		{func() { _ = j.Add(1, Place{TopicID: wire.UUID{1}, Partition: 1}, 0, nil) }, "2:two 2:four "},
		{func() { add(t, j, 1, "five") }, "2:two 2:four 1:five "},
		{func() { _ = j.Switch(); add(t, j, 3, "six") }, "2:four 1:five 3:six "},
		{func() { _ = j.Switch() }, "3:six "},
	} {
		if i == 1 {
			if err := j.Switch(); err != nil {
				t.Fatal(err)
			}
		}
		step.do()
		flush(t, j)
		if got := said(t, fsys.CrashClone(vfs.Crash{})); got != step.want {
			t.Errorf("step %d: %q, want %q", i, got, step.want)
		}
	}
	if err := errors.Join(j.Close(), Remove(fsys, "")); err != nil {
		t.Fatal(err)
	}
	if got := said(t, fsys); got != "" {
		t.Errorf("after Remove: %q", got)
	}
}

// The file with the entries goes before the one that takes them back.
func TestWhatWasTakenBackDoesNotComeBackWhileTheJournalIsRemoved(t *testing.T) {
	for first := range 2 { // either file may be the older one
		fsys := vfs.NewMem()
		j := New[int32](fsys, "", 1000)
		for range first + 1 {
			if err := j.Switch(); err != nil {
				t.Fatal(err)
			}
		}
		add(t, j, 1, "one")
		add(t, j, 2, "two")
		flush(t, j)
		if err := errors.Join(j.Switch(), j.Add(1, Place{TopicID: wire.UUID{1}, Partition: 1}, 0, nil)); err != nil {
			t.Fatal(err)
		}
		flush(t, j)
		fsys.SetHook(func(op vfs.Op) error {
			if got := said(t, fsys.CrashClone(vfs.Crash{Keep: 1})); op.Kind.Changes() && got != "2:two " && got != "" {
				t.Errorf("older file %d: %q before %s %s", first, got, op.Kind, op.Name)
			}
			return nil
		})
		if err := errors.Join(j.Close(), Remove(fsys, "")); err != nil {
			t.Fatal(err)
		}
	}
}

func TestAFileThatAFullDiskDidNotLetBeginIsNamedDurablyLater(t *testing.T) {
	fsys := vfs.NewMem()
	j := New[int32](fsys, "", 1000)
	fsys.FillDisk(3)
	if err := j.Switch(); !vfs.IsNoSpace(err) || errors.As(err, new(*DoubtError)) {
		t.Fatal(err)
	}
	fsys.FillDisk(1000)
	if err := j.Switch(); err != nil {
		t.Fatal(err)
	}
	add(t, j, 1, "one")
	flush(t, j)
	if got := said(t, fsys.CrashClone(vfs.Crash{})); got != "1:one " {
		t.Fatalf("%q", got)
	}
}

func TestAFileEndsWhereItIsTornOrDamaged(t *testing.T) {
	b := appendHeader(nil, 3)
	var ends []int
	for _, text := range []string{"first", "second", "third"} {
		var err error
		b, err = appendEntry(b, 3, Place{Partition: 1}, len(text), func(body []byte) error { copy(body, text); return nil })
		if err != nil {
			t.Fatal(err)
		}
		ends = append(ends, len(b))
	}
	whole := func(n int) (entries int) {
		for _, end := range ends {
			if end <= n {
				entries++
			}
		}
		return entries
	}
	for n := range b {
		if _, got, err := decode(b[:n]); err != nil || len(got) != whole(n) {
			t.Fatalf("cut at %d: %d entries, want %d, %v", n, len(got), whole(n), err)
		}
		damaged := bytes.Clone(b)
		damaged[n] ^= 0x40
		_, got, err := decode(damaged)
		if n >= headerSize && (err != nil || len(got) != whole(n)) || n < headerSize && len(got) > 0 {
			t.Fatalf("damaged at %d: %d entries, want %d, %v", n, len(got), whole(n), err)
		}
	}
}

func TestAJournalOfANewerProgramIsRefused(t *testing.T) {
	b := appendHeader(nil, 1)
	binary.BigEndian.PutUint32(b[4:], Version+1)
	binary.BigEndian.PutUint32(b[16:], crc32.Checksum(b[:16], castagnoli))
	if _, _, err := decode(b); !errors.Is(err, ErrVersion) {
		t.Errorf("got %v, want ErrVersion", err)
	}
}

func FuzzDecode(f *testing.F) {
	b := appendHeader(nil, 3)
	b, _ = appendEntry(b, 3, Place{Partition: 1}, 5, func(body []byte) error { copy(body, "batch"); return nil })
	f.Add(b)
	f.Fuzz(func(t *testing.T, b []byte) {
		_, entries, err := decode(b)
		total := 0
		for _, e := range entries {
			total += EntrySize + len(e.Batches)
		}
		if err == nil && total > len(b) {
			t.Fatalf("%d bytes of entries in a file of %d", total, len(b))
		}
	})
}
