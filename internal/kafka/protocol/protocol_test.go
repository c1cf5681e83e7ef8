package protocol_test

import (
	"bytes"
	"errors"
	"fmt"
	"testing"

	"github.com/naru-stream/naru/internal/kafka/protocol"
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
