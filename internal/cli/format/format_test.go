package format

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kgo"
)

func sample() *kgo.Record {
	return &kgo.Record{
		Topic: "flights", Partition: 3, Offset: 42, LeaderEpoch: 7, Timestamp: time.UnixMilli(1700000000123),
		Key: []byte("k"), Value: []byte("value"), Headers: []kgo.RecordHeader{{Key: "a", Value: []byte("1")}, {Key: "b"}},
	}
}

func TestEveryTokenPrintsItsPart(t *testing.T) {
	for pattern, want := range map[string]string{
		Default:                       "value\n",
		`%t[%p]@%o %k=%s (%K,%S) e%e`: "flights[3]@42 k=value (1,5) e7",
		`%T %D`:                       "1700000000123 2023-11-14T22:13:20.123Z",
		`%h`:                          "a=1,b=NULL",
		`100%% \x41\t\\\0`:            "100% A\t\\\x00",
		`%R%s`:                        "\x00\x00\x00\x05value",
	} {
		f, err := Parse(pattern)
		if err != nil {
			t.Fatal(err)
		}
		if got := string(f.Append(nil, sample())); got != want {
			t.Errorf("%s: got %q, want %q", pattern, got, want)
		}
	}
}

func TestNullsHaveLengthMinusOne(t *testing.T) {
	f, _ := Parse("%K %S")
	if got := string(f.Append(nil, &kgo.Record{Value: []byte{}})); got != "-1 0" {
		t.Errorf("got %q", got)
	}
}

func TestAnUnknownTokenIsNamed(t *testing.T) {
	for pattern, want := range map[string]string{"%q": "%q is unknown", "a%": "ends after %", `\q`: `\\q`, `\x4`: `is unknown`} {
		if _, err := Parse(pattern); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %q", pattern, err, want)
		}
	}
}

func TestJSONKeepsEveryByte(t *testing.T) {
	r := sample()
	r.Key, r.Value = nil, []byte{0xff, 0x00}
	var got map[string]any
	line := AppendJSON(nil, r)
	if err := json.Unmarshal(line, &got); err != nil || line[len(line)-1] != '\n' {
		t.Fatal(err)
	}
	want := map[string]any{
		"topic": "flights", "partition": 3.0, "offset": 42.0, "leader_epoch": 7.0, "timestamp": 1700000000123.0,
		"time": "2023-11-14T22:13:20.123Z", "timestamp_type": "create", "key": nil, "value": nil, "value_base64": "/wA=",
		"headers": []any{map[string]any{"key": "a", "value": "1"}, map[string]any{"key": "b", "value": nil}},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestSeparatorsAreUnescaped(t *testing.T) {
	if got, err := Unescape(`a\t\x00`); got != "a\t\x00" || err != nil {
		t.Errorf("%q, %v", got, err)
	}
	if _, err := Unescape(`\q`); err == nil {
		t.Error("a wrong escape is accepted")
	}
}
