package syncer

import (
	"errors"
	"log/slog"
	"slices"
	"strings"
	"testing"

	"github.com/naru-stream/naru/internal/broker/storage/journal"
	"github.com/naru-stream/naru/internal/kafka/wire"
	"github.com/naru-stream/naru/internal/vfs"
)

// fakeLog is a log that notes what is done with it.
type fakeLog struct {
	name  string
	say   func(string)
	atEnd int // bytes at risk; -1 wants a sync of its own
	err   error
}

func (l *fakeLog) String() string { return l.name }

func (l *fakeLog) Place() journal.Place { return journal.Place{TopicID: wire.UUID{l.name[0]}} }

func (l *fakeLog) Sync() error {
	l.say("sync " + l.name)
	return l.err
}

func (l *fakeLog) Synced() { l.say("synced " + l.name) }

func (l *fakeLog) Share() (Share, bool) { return fakeShare{l}, l.atEnd >= 0 }

type fakeShare struct{ *fakeLog }

func (s fakeShare) Size() int { return s.atEnd }

func (s fakeShare) Read(b []byte) error {
	copy(b, strings.Repeat(s.name, len(b)))
	return nil
}

func (s fakeShare) Durable() { s.say("shared " + s.name) }

type scene struct {
	*Syncer[*fakeLog]
	fs     *vfs.Mem
	did    []string
	hired  []func()
	failed error
	logs   map[string]*fakeLog
}

func newScene(t *testing.T, workers int) *scene {
	s := &scene{fs: vfs.NewMem(), logs: map[string]*fakeLog{}}
	if err := s.fs.MkdirAll("/d"); err != nil {
		t.Fatal(err)
	}
	s.Syncer = New[*fakeLog](Config{
		FS: s.fs, Dir: "/d", JournalFileBytes: 8 << 10, Workers: workers,
		Go:             func(f func()) { s.hired = append(s.hired, f) },
		Failure:        func() error { return s.failed },
		Fail:           func(err error) { s.failed = err },
		NoteJournal:    func() error { s.say("journal begun"); return nil },
		ReleaseReserve: func() bool { return false },
		Logger:         slog.New(slog.DiscardHandler),
	})
	for _, name := range []string{"a", "b", "c", "d"} {
		s.logs[name] = &fakeLog{name: name, say: s.say, atEnd: 100}
	}
	return s
}

func (s *scene) say(what string) { s.did = append(s.did, what) }

// ask asks for the syncs of logs: "a b!" for one that a may share and one of b's own.
func (s *scene) ask(logs string) {
	for _, name := range strings.Fields(logs) {
		own := strings.HasSuffix(name, "!")
		s.Ask(s.logs[strings.TrimSuffix(name, "!")], own)
	}
}

func (s *scene) want(t *testing.T, want ...string) {
	t.Helper()
	if !slices.Equal(s.did, want) {
		t.Fatalf("it did %q, want %q", s.did, want)
	}
	s.did = nil
}

func TestLogsThatWaitTogetherShareASync(t *testing.T) {
	s := newScene(t, 1)
	s.logs["c"].atEnd = -1
	s.ask("a b c d!")
	s.Work()
	s.want(t, "journal begun", "shared a", "shared b", "sync d", "synced d", "sync c", "synced c")
	s.ask("a") // alone it needs no journal
	s.Work()
	s.want(t, "sync a", "synced a")
}

func TestWhatTheJournalHasIsTakenBackBeforeALogChanges(t *testing.T) {
	s := newScene(t, 1)
	s.ask("a b")
	s.Work()
	s.did = nil
	if err := errors.Join(s.TakeBack(s.logs["a"]), s.TakeBack(s.logs["a"]), s.TakeBack(s.logs["c"])); err != nil {
		t.Fatal(err)
	}
	s.want(t, "sync a", "sync a") // c is not in it
	entries, err := journal.Read(s.fs, "/d")
	if err != nil || len(entries) != 1 || entries[0].TopicID != (wire.UUID{'b'}) {
		t.Fatalf("the journal has %v, %v", entries, err)
	}
}

func TestAFailedSyncEndsTheDirectory(t *testing.T) {
	s := newScene(t, 1)
	s.logs["a"].err = errors.New("I/O error")
	s.ask("a! b! c! d!")
	s.Work()
	s.want(t, "sync a")
	if s.failed == nil || !strings.Contains(s.failed.Error(), "syncing a: I/O error") {
		t.Fatalf("it failed with %v", s.failed)
	}
}

func TestWorkersAreBoundedAndGoWhenNothingWaits(t *testing.T) {
	s := newScene(t, 2)
	s.ask("a! b! c! d!")
	if len(s.hired) != 2 {
		t.Fatalf("%d workers", len(s.hired))
	}
	for _, work := range s.hired {
		work()
	}
	s.hired = nil
	s.ask("a!")
	if len(s.hired) != 1 {
		t.Fatalf("%d workers, those before are gone", len(s.hired))
	}
}
