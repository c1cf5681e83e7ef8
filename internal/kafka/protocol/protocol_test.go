package protocol_test

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"reflect"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/naru-stream/naru/internal/kafka/definition/fill"
	"github.com/naru-stream/naru/internal/kafka/protocol"
	"github.com/naru-stream/naru/internal/kafka/wire"
)

func TestDefaultsSurviveARoundTripInEveryVersion(t *testing.T) {
	for _, api := range protocol.APIs {
		for v := api.MinVersion; v <= api.MaxVersion; v++ {
			for _, m := range []protocol.Message{api.NewRequest(), api.NewResponse()} {
				m.(interface{ SetDefaults() }).SetDefaults()
				if protocol.CheckVersion(m, v) != nil {
					continue // a field is null by default where this version has no null
				}
				first := m.Append(nil, v)
				if err := m.Decode(first, v); err != nil {
					t.Errorf("%T version %d: %v", m, v, err)
				}
				if again := m.Append(nil, v); !bytes.Equal(first, again) {
					t.Errorf("%T version %d: %x became %x", m, v, first, again)
				}
			}
		}
	}
}

func TestTableFindsEveryAPIByItsKey(t *testing.T) {
	for i := range protocol.APIs {
		api := &protocol.APIs[i]
		if api.Key.API() != api || api.NewRequest().Key() != api.Key {
			t.Errorf("%s is not found by key %d", api.Name, api.Key)
		}
	}
	for _, key := range []protocol.APIKey{-1, 4, 7, 1000} {
		if key.API() != nil {
			t.Errorf("key %d has an API", key)
		}
	}
	if s := protocol.KeyMetadata.String() + protocol.APIKey(5).String(); s != "MetadataAPI5" {
		t.Errorf("names are %s", s)
	}
}

func TestRequestHeaderIsReadInBothVersions(t *testing.T) {
	client := "rdkafka"
	for _, want := range []protocol.RequestHeader{
		{APIKey: protocol.KeyProduce, APIVersion: 8, CorrelationID: 7, ClientID: &client},
		{APIKey: protocol.KeyProduce, APIVersion: 9, CorrelationID: 8, ClientID: &client},
		{APIKey: protocol.KeyApiVersions, APIVersion: 4, CorrelationID: -1},
	} {
		frame := append(want.Append(nil), "body"...)
		got, body, err := protocol.ParseRequestHeader(frame)
		if err != nil || string(body) != "body" {
			t.Fatalf("%s version %d: body %q, error %v", want.APIKey, want.APIVersion, body, err)
		}
		if again := append(got.Append(nil), "body"...); !bytes.Equal(frame, again) {
			t.Errorf("%x became %x", frame, again)
		}
	}
}

func TestRequestHeaderOfAnUnknownVersionIsEnoughToAnswer(t *testing.T) {
	want := protocol.RequestHeader{APIKey: protocol.KeyApiVersions, APIVersion: 99, CorrelationID: 5}
	got, body, err := protocol.ParseRequestHeader(append(want.Append(nil), 0xff, 0xff))
	if err != nil || body != nil || got != want {
		t.Errorf("header %+v, body %x, error %v", got, body, err)
	}
}

func TestResponseHeaderOfApiVersionsIsNeverFlexible(t *testing.T) {
	for _, c := range []struct {
		key     protocol.APIKey
		version int16
		want    int
	}{{protocol.KeyApiVersions, 4, 4}, {protocol.KeyFetch, 11, 4}, {protocol.KeyFetch, 12, 5}, {protocol.APIKey(4), 9, 4}} {
		header := protocol.AppendResponseHeader(nil, c.key, c.version, 9)
		id, body, err := protocol.ParseResponseHeader(header, c.key, c.version)
		if len(header) != c.want || id != 9 || len(body) != 0 || err != nil {
			t.Errorf("%s version %d: header %x, read as %d, %x, %v", c.key, c.version, header, id, body, err)
		}
	}
}

func TestErrorCodeIsFoundInAWrappedError(t *testing.T) {
	err := fmt.Errorf("appending: %w", protocol.NotLeaderOrFollower)
	if got := protocol.CodeOf(err); got != 6 || got.String() != "NOT_LEADER_OR_FOLLOWER" || !got.Retriable() {
		t.Errorf("got %d %s", got, got)
	}
	if got := protocol.CodeOf(errors.New("disk")); got != protocol.UnknownServerError || got.Retriable() {
		t.Errorf("an error without a code is %s", got)
	}
	if protocol.CodeOf(nil) != protocol.None || protocol.ErrorCode(999).Known() || protocol.ShareSessionLimitReached != 133 {
		t.Error("the ends of the list of codes are wrong")
	}
}

func TestDecodingIntoAUsedMessageLeavesNothingOfTheOldOne(t *testing.T) {
	_, seed := fill.Rounds(t)
	definitions := loadDefinitions(t)
	rng := rand.New(rand.NewPCG(seed, 2))
	random := func(api *protocol.API, m protocol.Message, version int16) []byte {
		fill.Random(rng, definitions[nameOf(m)], m, version)
		return m.Append(nil, version)
	}
	eachVersion(func(api *protocol.API, m protocol.Message, version int16) {
		fresh := reflect.New(reflect.TypeOf(m).Elem()).Interface().(protocol.Message)
		for _, other := range []int16{api.MinVersion, api.MaxVersion} {
			old, b := random(api, m, other), random(api, m, version)
			if err := errors.Join(m.Decode(old, other), m.Decode(b, version), fresh.Decode(b, version)); err != nil {
				t.Fatalf("%T version %d: %v", m, version, err)
			}
			if diff := cmp.Diff(fresh, m, cmpopts.EquateEmpty()); diff != "" {
				t.Fatalf("%T version %d after %d (-fresh +used):\n%s", m, version, other, diff)
			}
			if again := m.Append(nil, version); !bytes.Equal(again, b) {
				t.Fatalf("%T version %d after %d: %x became %x", m, version, other, b, again)
			}
			reflect.ValueOf(fresh).Elem().SetZero()
		}
	})
}

func TestFieldsThatAVersionLacksHaveTheirDefault(t *testing.T) {
	var m protocol.MetadataRequest
	if err := m.Decode([]byte{0, 0, 0, 0}, 0); err != nil || !m.AllowAutoTopicCreation || m.Topics == nil {
		t.Errorf("Metadata version 0 is read as %+v, %v", m, err)
	}
	var f protocol.FetchRequest
	var old protocol.FetchRequest
	old.SetDefaults()
	old.Topics = []protocol.FetchRequestFetchTopic{{Topic: "t", Partitions: make([]protocol.FetchRequestFetchPartition, 1)}}
	old.Topics[0].Partitions[0].SetDefaults()
	old.Topics[0].Partitions[0].CurrentLeaderEpoch = 9 // ignorable: not sent in version 4
	if err := f.Decode(old.Append(nil, 4), 4); err != nil {
		t.Fatal(err)
	}
	if p := f.Topics[0].Partitions[0]; p.CurrentLeaderEpoch != -1 || p.LastFetchedEpoch != -1 || p.LogStartOffset != -1 || f.SessionEpoch != -1 {
		t.Errorf("Fetch version 4 is read as %+v", f)
	}
}

func TestValuesWithoutRoomAreFoundBeforeTheyAreSent(t *testing.T) {
	session := protocol.FetchResponse{SessionId: 1}
	noName := protocol.MetadataRequest{Topics: []protocol.MetadataRequestTopic{{TopicId: protocol.UUID{1}}}, AllowAutoTopicCreation: true}
	zeroLeader := produceResponse()
	zeroLeader.Responses[0].PartitionResponses[0].CurrentLeader = protocol.ProduceResponseLeaderIdAndEpoch{}
	for name, c := range map[string]struct {
		m        protocol.Message
		no, fine int16
	}{
		"a field that comes later":             {&session, 6, 7},
		"null where there is none":             {&noName, 9, 10},
		"a tagged struct that is not default":  {zeroLeader, 9, 10},
		"all topics where empty means nothing": {&protocol.MetadataRequest{AllowAutoTopicCreation: true}, 0, 1},
	} {
		if err := protocol.CheckVersion(c.m, c.no); !errors.Is(err, wire.ErrVersion) {
			t.Errorf("%s: version %d is %v", name, c.no, err)
		}
		if err := protocol.CheckVersion(c.m, c.fine); err != nil {
			t.Errorf("%s: version %d is %v", name, c.fine, err)
		}
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%s: Append of version %d goes through", name, c.no)
				}
			}()
			c.m.Append(nil, c.no)
		}()
	}
}

func TestUnknownTagsAndTrailingBytesAreIgnored(t *testing.T) {
	want := protocol.ApiVersionsRequest{ClientSoftwareName: "a", ClientSoftwareVersion: "b"}
	b := want.Append(nil, 3)
	b = append(b[:len(b)-1], 1, 99, 2, 'x', 'y') // one tag, 99, of two bytes
	var got protocol.ApiVersionsRequest
	if err := got.Decode(append(b, "trailing"...), 3); err != nil || got != want {
		t.Errorf("read as %+v, %v", got, err)
	}
}

func TestVersionsOutsideTheSchemaAreRefused(t *testing.T) {
	for i := range protocol.APIs {
		api := &protocol.APIs[i]
		for _, v := range []int16{-1, api.MinVersion - 1, api.MaxVersion + 1, 32767} {
			if err := api.NewRequest().Decode(nil, v); !errors.Is(err, wire.ErrVersion) {
				t.Errorf("%s version %d: %v", api.Name, v, err)
			}
		}
	}
}

func TestRequestHeaderKeepsTheClientIDThatStaysTheSame(t *testing.T) {
	client, other := "rdkafka", "sarama"
	frame := (&protocol.RequestHeader{APIVersion: 9, ClientID: &client}).Append(nil)
	var h protocol.RequestHeader
	if _, err := h.Parse(frame); err != nil {
		t.Fatal(err)
	}
	kept := h.ClientID
	if _, err := h.Parse(frame); err != nil || h.ClientID != kept {
		t.Errorf("the client id was copied again, %v", err)
	}
	clear(frame)
	if *kept != client {
		t.Error("the client id aliases the frame")
	}
	if _, err := h.Parse((&protocol.RequestHeader{APIVersion: 9, ClientID: &other}).Append(nil)); err != nil || *h.ClientID != other || *kept != client {
		t.Errorf("client id %s after %s, %v", *h.ClientID, *kept, err)
	}
}
