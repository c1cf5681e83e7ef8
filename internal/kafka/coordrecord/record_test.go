package coordrecord

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"os"
	"reflect"
	"strings"
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
			if file.Package == "coordrecord" {
				messages[m.Name] = m
			}
		}
	}
	return messages
}

// families and the number of types each has.
var families = map[Family]int{Group: 22, Transaction: 1, Share: 2}

func TestEveryRecordComesBackFromItsKeyAndValue(t *testing.T) {
	n, seed := fill.Rounds(t)
	definitions := loadDefinitions(t)
	rng := rand.New(rand.NewPCG(seed, 0))
	for family, want := range families {
		types := 0
		for number := int16(0); number < 64; number++ {
			key, value := family.NewKey(number), family.NewValue(number)
			if key == nil || value == nil {
				continue
			}
			types++
			lo, hi := value.Versions()
			for version := lo; version <= hi; version++ {
				for range n {
					fill.Random(rng, definitions[nameOf(key)], key, 0)
					fill.Random(rng, definitions[nameOf(value)], value, version)
					checkRecord(t, family, key, value, version)
				}
			}
		}
		if types != want {
			t.Errorf("family %d has %d types, want %d", family, types, want)
		}
	}
}

func nameOf(m any) string { return reflect.TypeOf(m).Elem().Name() }

func checkRecord(t *testing.T, family Family, key Key, value Value, version int16) {
	t.Helper()
	k, v := AppendKey(nil, key), AppendValue(nil, value, version)
	key2, err := family.ParseKey(k)
	if err != nil {
		t.Fatalf("%T: %v", key, err)
	}
	value2, version2, err := family.ParseValue(key2, v)
	if err != nil || version2 != version {
		t.Fatalf("%T version %d is read as version %d: %v", value, version, version2, err)
	}
	if again := AppendKey(nil, key2); !bytes.Equal(again, k) {
		t.Fatalf("%T: %x became %x", key, k, again)
	}
	if again := AppendValue(nil, value2, version); !bytes.Equal(again, v) {
		t.Fatalf("%T version %d: %x became %x", value, version, v, again)
	}
	for cut := range len(v) {
		if _, _, err := family.ParseValue(key, v[:cut]); err == nil {
			t.Fatalf("%T version %d: %d of %d bytes are a value", value, version, cut, len(v))
		}
	}
}

func TestTombstoneIsANilValue(t *testing.T) {
	if v, _, err := Group.ParseValue(new(OffsetCommitKey), nil); v != nil || err != nil {
		t.Errorf("got %v, %v", v, err)
	}
}

func TestUnknownTypeCanBeToldFromDamage(t *testing.T) {
	if _, err := Group.ParseKey([]byte{0, 99, 1, 2}); !errors.Is(err, ErrUnknownType) {
		t.Errorf("an unknown type is %v", err)
	}
	if _, err := Group.ParseKey([]byte{0}); !errors.Is(err, wire.ErrTruncated) {
		t.Errorf("a short key is %v", err)
	}
	if _, _, err := Group.ParseValue(new(OffsetCommitKey), []byte{0, 99}); !errors.Is(err, wire.ErrVersion) {
		t.Errorf("an unknown version is %v", err)
	}
}

// kmsgRecord is what kmsg's records have in common.
type kmsgRecord interface {
	ReadFrom([]byte) error
	AppendTo([]byte) []byte
}

func TestRecordsAreThoseOfKmsgByteForByte(t *testing.T) {
	n, seed := fill.Rounds(t)
	definitions := loadDefinitions(t)
	rng := rand.New(rand.NewPCG(seed, 1))
	for _, c := range []struct {
		ours   message
		kmsg   kmsgRecord
		prefix int16 // the int16 in front is this, or the version if below 0
		lo, hi int16
	}{
		{new(OffsetCommitKey), new(kmsg.OffsetCommitKey), 1, 0, 0},
		{new(OffsetCommitValue), new(kmsg.OffsetCommitValue), -1, 0, 4},
		{new(GroupMetadataKey), new(kmsg.GroupMetadataKey), 2, 0, 0},
		{new(GroupMetadataValue), new(kmsg.GroupMetadataValue), -1, 0, 4},
		{new(TransactionLogKey), new(kmsg.TxnMetadataKey), 0, 0, 0},
		{new(TransactionLogValue), new(kmsg.TxnMetadataValue), -1, 0, 1},
		{new(EndTxnMarker), new(kmsg.EndTxnMarker), -1, 0, 0},
		{new(ControlRecordTypeSchema), new(kmsg.ControlRecordKey), -1, 0, 0},
		{new(ConsumerProtocolSubscription), new(kmsg.ConsumerMemberMetadata), -1, 0, 3},
		{new(ConsumerProtocolAssignment), new(kmsg.ConsumerMemberAssignment), -1, 0, 3},
	} {
		for version := c.lo; version <= c.hi; version++ {
			prefix := c.prefix
			if prefix < 0 {
				prefix = version
			}
			for range n {
				fill.Random(rng, definitions[nameOf(c.ours)], c.ours, version)
				ours := c.ours.Append(wire.AppendInt16(nil, prefix), version)
				oracle := reflect.New(reflect.TypeOf(c.kmsg).Elem()).Interface().(kmsgRecord)
				if err := oracle.ReadFrom(ours); err != nil {
					t.Fatalf("%T version %d: kmsg refuses %x: %v", c.ours, version, ours, err)
				}
				if theirs := oracle.AppendTo(nil); !bytes.Equal(theirs, ours) {
					t.Fatalf("%T version %d:\nours %x\nkmsg %x", c.ours, version, ours, theirs)
				}
				fill.Any(rng, oracle, "Version", "UnknownTags")
				theirs := oracle.AppendTo(nil)
				if err := c.ours.Decode(theirs[2:], version); err != nil {
					t.Fatalf("%T version %d: %x: %v", c.ours, version, theirs, err)
				}
				if again := c.ours.Append(theirs[:2:2], version); !bytes.Equal(again, theirs) {
					t.Fatalf("%T version %d:\nkmsg %x\nours %x", c.ours, version, theirs, again)
				}
			}
		}
	}
}

// message is a key or value.
type message interface {
	Decode(b []byte, version int16) error
	Append(b []byte, version int16) []byte
}

func TestConsumerProtocolOfANewerVersionIsRead(t *testing.T) {
	rack := "r1"
	s := ConsumerProtocolSubscription{Topics: []string{"a"}, GenerationId: 7, RackId: &rack}
	b := append(AppendSubscription(nil, &s, 3), "more"...)
	b[1] = 9
	got, version, err := ParseSubscription(b)
	if err != nil || version != 9 || strings.Join(got.Topics, ",") != "a" || got.GenerationId != 7 || *got.RackId != rack {
		t.Errorf("version %d, %+v, %v", version, got, err)
	}
	a := ConsumerProtocolAssignment{AssignedPartitions: []ConsumerProtocolAssignmentTopicPartition{{Topic: "a", Partitions: []int32{1, 2}}}}
	gotA, version, err := ParseAssignment(AppendAssignment(nil, &a, 2))
	if err != nil || version != 2 || !reflect.DeepEqual(gotA.AssignedPartitions, a.AssignedPartitions) {
		t.Errorf("version %d, %+v, %v", version, gotA, err)
	}
	if _, _, err := ParseAssignment(nil); err == nil {
		t.Error("nothing is an assignment")
	}
}

func FuzzParse(f *testing.F) {
	for _, family := range []Family{Group, Transaction, Share} {
		for number := int16(0); number < 32; number++ {
			if k, v := family.NewKey(number), family.NewValue(number); k != nil && v != nil {
				_, hi := v.Versions()
				f.Add(uint8(family), AppendKey(nil, k), v.Append(wire.AppendInt16(nil, hi), hi))
			}
		}
	}
	f.Fuzz(func(t *testing.T, family uint8, key, value []byte) {
		k, err := Family(family % 3).ParseKey(key)
		if err != nil {
			return
		}
		_, _, _ = Family(family%3).ParseValue(k, value)
		_, _, _ = ParseSubscription(value)
		_, _, _ = ParseAssignment(value)
	})
}
