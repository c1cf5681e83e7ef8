package protocol_test

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"reflect"
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/naru-stream/naru/internal/kafka/definition"
	"github.com/naru-stream/naru/internal/kafka/definition/fill"
	"github.com/naru-stream/naru/internal/kafka/protocol"
)

// kmsgEarlyTags lists the versions in which kmsg sends tagged fields that come
// only with a later version: it looks at no version once a message is flexible.
var kmsgEarlyTags = map[string]definition.Range{
	"ProduceResponse":        {Lo: 9, Hi: 9},
	"FetchRequest":           {Lo: 12, Hi: 17},
	"FetchResponse":          {Lo: 12, Hi: 15},
	"BrokerHeartbeatRequest": {Lo: 0, Hi: 1},
}

// kmsgMessage is what kmsg's requests and responses have in common.
type kmsgMessage interface {
	SetVersion(int16)
	MaxVersion() int16
	ReadFrom([]byte) error
	AppendTo([]byte) []byte
}

func loadDefinitions(t testing.TB) map[string]*definition.Message {
	files, err := definition.Load(os.DirFS("messages"))
	if err != nil {
		t.Fatal(err)
	}
	messages := map[string]*definition.Message{}
	for _, file := range files {
		for _, m := range file.Messages {
			messages[m.Name] = m
		}
	}
	return messages
}

// eachVersion calls fn for every message of every version of every API.
func eachVersion(fn func(api *protocol.API, m protocol.Message, version int16)) {
	for i := range protocol.APIs {
		api := &protocol.APIs[i]
		for v := api.MinVersion; v <= api.MaxVersion; v++ {
			fn(api, api.NewRequest(), v)
			fn(api, api.NewResponse(), v)
		}
	}
}

func nameOf(m any) string { return reflect.TypeOf(m).Elem().Name() }

func kmsgFor(api *protocol.API, m protocol.Message) kmsgMessage {
	if _, ok := m.(protocol.Request); ok {
		return kmsg.RequestForKey(int16(api.Key))
	}
	return kmsg.ResponseForKey(int16(api.Key))
}

func TestMessagesAreThoseOfKmsgByteForByte(t *testing.T) {
	n, seed := fill.Rounds(t)
	definitions := loadDefinitions(t)
	compared, skipped := 0, map[string]bool{}
	eachVersion(func(api *protocol.API, m protocol.Message, version int16) {
		name := nameOf(m)
		oracle := kmsgFor(api, m)
		if oracle == nil || reflect.ValueOf(oracle).IsNil() || version > oracle.MaxVersion() {
			skipped[fmt.Sprintf("%s version %d", name, version)] = true
			return
		}
		compared++
		rng := rand.New(rand.NewPCG(seed, uint64(api.Key)<<16|uint64(version)))
		early := kmsgEarlyTags[name].Has(version)
		for range n {
			oracle = kmsgFor(api, m) // reading into a used one keeps old tagged fields
			fill.Random(rng, definitions[name], m, version)
			if err := oursThroughKmsg(m, oracle, version); err != nil {
				t.Errorf("%s version %d, ours to kmsg: %v", name, version, err)
				break
			}
			fill.Any(rng, oracle, "Version", "UnknownTags")
			if err := kmsgThroughOurs(m, oracle, version, early); err != nil {
				t.Errorf("%s version %d, kmsg to ours: %v", name, version, err)
				break
			}
		}
	})
	// Version 6 of InitProducerId is not final in Kafka.
	for _, name := range []string{"InitProducerIdRequest version 6", "InitProducerIdResponse version 6"} {
		delete(skipped, name)
	}
	if len(skipped) > 0 {
		t.Errorf("kmsg does not know %v", skipped)
	}
	t.Logf("compared %d messages and versions", compared)
	if compared < 500 {
		t.Errorf("only %d were compared", compared)
	}
}

func oursThroughKmsg(m protocol.Message, oracle kmsgMessage, version int16) error {
	ours := m.Append(nil, version)
	oracle.SetVersion(version)
	if err := oracle.ReadFrom(ours); err != nil {
		return fmt.Errorf("kmsg refuses %x: %w", ours, err)
	}
	theirs := oracle.AppendTo(nil)
	if !bytes.Equal(ours, theirs) {
		return fmt.Errorf("%+v\nours %x\nkmsg %x", m, ours, theirs)
	}
	return decodesTo(m, theirs, version)
}

func kmsgThroughOurs(m protocol.Message, oracle kmsgMessage, version int16, early bool) error {
	oracle.SetVersion(version)
	theirs := oracle.AppendTo(nil)
	if early {
		if err := m.Decode(theirs, version); err != nil {
			return fmt.Errorf("%x: %w", theirs, err)
		}
		theirs = m.Append(nil, version) // without the tags that do not belong here
	}
	return decodesTo(m, theirs, version)
}

// decodesTo checks that b is what m writes after reading it.
func decodesTo(m protocol.Message, b []byte, version int16) error {
	if err := m.Decode(b, version); err != nil {
		return fmt.Errorf("%x: %w", b, err)
	}
	if again := m.Append(nil, version); !bytes.Equal(again, b) {
		return fmt.Errorf("%+v\nread  %x\nwrote %x", m, b, again)
	}
	return nil
}
