package metarecord

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"os"
	"reflect"
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/naru-stream/naru/internal/kafka/definition"
	"github.com/naru-stream/naru/internal/kafka/definition/fill"
	"github.com/naru-stream/naru/internal/kafka/wire"
)

func loadDefinitions(t testing.TB) map[string]*definition.Message {
	files, err := definition.Load(os.DirFS("../protocol/messages"))
	if err != nil {
		t.Fatal(err)
	}
	messages := map[string]*definition.Message{}
	for _, file := range files {
		for _, m := range file.Messages {
			if file.Package == "metarecord" {
				messages[m.Name] = m
			}
		}
	}
	return messages
}

func nameOf(m any) string { return reflect.TypeOf(m).Elem().Name() }

func TestEveryMetadataRecordComesBackFromItsFrame(t *testing.T) {
	n, seed := fill.Rounds(t)
	definitions := loadDefinitions(t)
	rng := rand.New(rand.NewPCG(seed, 0))
	types := 0
	for number := int16(0); number < 64; number++ {
		record := New(number)
		if record == nil {
			continue
		}
		types++
		lo, hi := record.Versions()
		for version := lo; version <= hi; version++ {
			for range n {
				fill.Random(rng, definitions[nameOf(record)], record, version)
				checkFrame(t, record, version)
			}
		}
	}
	if types != 26 {
		t.Errorf("there are %d types of metadata records, want 26", types)
	}
}

func checkFrame(t *testing.T, record Record, version int16) {
	t.Helper()
	b := Append(nil, record, version)
	got, v, err := Parse(b)
	if err != nil || v != version || nameOf(got) != nameOf(record) {
		t.Fatalf("%T version %d is read as %T version %d: %v", record, version, got, v, err)
	}
	if again := Append(nil, got, v); !bytes.Equal(again, b) {
		t.Fatalf("%T version %d: %x became %x", record, version, b, again)
	}
	for cut := range b {
		if _, _, err := Parse(b[:cut]); err == nil {
			t.Fatalf("%T version %d: %d of %d bytes are a record", record, version, cut, len(b))
		}
	}
	if _, _, err := Parse(append(b, 0)); !errors.Is(err, wire.ErrTrailing) {
		t.Fatalf("%T version %d with a byte behind it: %v", record, version, err)
	}
}

func TestFramesOfAnotherKindAreRefused(t *testing.T) {
	for name, c := range map[string]struct {
		frame []byte
		want  error
	}{
		"nothing":                   {nil, wire.ErrTruncated},
		"frame version 0":           {[]byte{0, 2, 0}, wire.ErrVersion},
		"a type nobody knows":       {[]byte{1, 99, 0}, ErrUnknownType},
		"a version nobody knows":    {[]byte{1, 2, 99}, wire.ErrVersion},
		"a type beyond all types":   {[]byte{1, 0xff, 0xff, 0x7f, 0}, wire.ErrVarint},
		"a version that never ends": {[]byte{1, 2, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff}, wire.ErrVarint},
	} {
		if _, _, err := Parse(c.frame); !errors.Is(err, c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestControlRecordsComeBack(t *testing.T) {
	for want, value := range map[ControlType]Control{
		LeaderChange:   &LeaderChangeMessage{Version: 1, LeaderId: 5, Voters: []LeaderChangeMessageVoter{{VoterId: 5, VoterDirectoryId: wire.UUID{1}}}},
		SnapshotHeader: &SnapshotHeaderRecord{LastContainedLogTimestamp: 9},
		SnapshotFooter: &SnapshotFooterRecord{},
		KRaftVersion:   &KRaftVersionRecord{KRaftVersion: 1},
		KRaftVoters:    &VotersRecord{Voters: []VotersRecordVoter{{VoterId: 1, Endpoints: []VotersRecordEndpoint{{Name: "C", Host: "h", Port: 9}}}}},
	} {
		version := int16(reflect.ValueOf(value).Elem().FieldByName("Version").Int())
		b := value.Append(nil, version)
		got, control, err := ParseControl(AppendControlKey(nil, want), b)
		if err != nil || got != want || !bytes.Equal(control.Append(nil, version), b) {
			t.Errorf("type %d: type %d, %+v, %v", want, got, control, err)
		}
	}
	if _, _, err := ParseControl([]byte{0, 0, 0, 42}, nil); !errors.Is(err, ErrUnknownType) {
		t.Errorf("an unknown type: %v", err)
	}
	if _, _, err := ParseControl([]byte{0xff, 0xff, 0, 2}, nil); !errors.Is(err, wire.ErrVersion) {
		t.Errorf("a negative version: %v", err)
	}
}

func TestLeaderChangeIsThatOfKmsg(t *testing.T) {
	n, seed := fill.Rounds(t)
	definitions := loadDefinitions(t)
	rng := rand.New(rand.NewPCG(seed, 1))
	for version := int16(0); version <= 1; version++ {
		for range n {
			var ours LeaderChangeMessage
			fill.Random(rng, definitions["LeaderChangeMessage"], &ours, version)
			ours.Version = version
			b := ours.Append(nil, version)
			var oracle kmsg.LeaderChangeMessage
			if err := oracle.ReadFrom(b); err != nil {
				t.Fatalf("kmsg refuses %x: %v", b, err)
			}
			if theirs := oracle.AppendTo(nil); !bytes.Equal(theirs, b) {
				t.Fatalf("ours %x\nkmsg %x", b, theirs)
			}
		}
	}
}

func FuzzParse(f *testing.F) {
	for number := int16(0); number < 32; number++ {
		if r := New(number); r != nil {
			_, hi := r.Versions()
			f.Add(Append(nil, r, hi))
		}
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		r, version, err := Parse(b)
		if err != nil {
			return
		}
		again := Append(nil, r, version)
		if _, _, err := Parse(again); err != nil {
			t.Errorf("%x became %x, which is refused: %v", b, again, err)
		}
		_, _, _ = ParseControl(b, b)
	})
}
