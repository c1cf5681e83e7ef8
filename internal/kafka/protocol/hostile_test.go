package protocol_test

import (
	"encoding/binary"
	"math/rand/v2"
	"reflect"
	"runtime"
	"testing"
	"time"

	"github.com/naru-stream/naru/internal/kafka/definition/fill"
	"github.com/naru-stream/naru/internal/kafka/protocol"
	"github.com/naru-stream/naru/internal/kafka/wire"
)

// maxAmplification is how many bytes a decoder may allocate for each byte it is
// given, whatever they are. The worst is a struct of empty strings and arrays,
// of which each takes one byte on the wire; 24 bytes for a slice, twice because
// slices double while they grow.
const maxAmplification = 64

// fixedCost is what a decoder may allocate for any input: an error, the first
// steps of slices.
const fixedCost = 8 << 10

// allocated returns the number of bytes that fn allocates.
func allocated(fn func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	fn()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}

// attack decodes b and checks what that costs.
func attack(t *testing.T, what string, newMessage func() protocol.Message, b []byte, version int16) {
	t.Helper()
	m := newMessage()
	start := time.Now()
	bytes := allocated(func() { _ = m.Decode(b, version) })
	if limit := uint64(fixedCost + maxAmplification*len(b)); bytes > limit {
		t.Errorf("%T version %d: %s of %d bytes allocates %d, more than %d", m, version, what, len(b), bytes, limit)
	}
	if took := time.Since(start); took > time.Second {
		t.Errorf("%T version %d: %s of %d bytes takes %v", m, version, what, len(b), took)
	}
}

func TestTruncatedMessagesAreErrors(t *testing.T) {
	_, seed := fill.Rounds(t)
	definitions := loadDefinitions(t)
	eachVersion(func(api *protocol.API, m protocol.Message, version int16) {
		rng := rand.New(rand.NewPCG(seed, uint64(version)))
		fill.Random(rng, definitions[nameOf(m)], m, version)
		b := m.Append(nil, version)
		for cut := range b {
			// A fresh buffer, so that reading beyond its end would be noticed.
			if err := m.Decode(append([]byte(nil), b[:cut]...), version); err == nil {
				t.Fatalf("%T version %d: %d of %d bytes are a message", m, version, cut, len(b))
			}
		}
	})
}

func TestGarbageIsCheap(t *testing.T) {
	_, seed := fill.Rounds(t)
	definitions := loadDefinitions(t)
	eachVersion(func(api *protocol.API, m protocol.Message, version int16) {
		rng := rand.New(rand.NewPCG(seed, uint64(api.Key)<<16|uint64(version)))
		fresh := func() protocol.Message {
			if _, ok := m.(protocol.Request); ok {
				return api.NewRequest()
			}
			return api.NewResponse()
		}
		for _, fillByte := range []byte{0x00, 0x01, 0x02, 0x7f, 0xff} {
			b := make([]byte, 1<<10)
			for i := range b {
				b[i] = fillByte
			}
			attack(t, "a repeated byte", fresh, b, version)
		}
		fill.Random(rng, definitions[nameOf(m)], m, version)
		honest := m.Append(nil, version)
		for range 8 {
			b := append([]byte(nil), honest...)
			for range 1 + rng.IntN(4) {
				damage(rng, b)
			}
			attack(t, "a damaged message", fresh, b, version)
		}
	})
}

// damage overwrites a place of b with a number that makes a bad count.
func damage(rng *rand.Rand, b []byte) {
	if len(b) == 0 {
		return
	}
	at := rng.IntN(len(b))
	switch lie := []uint32{0x7fffffff, 0xffffffff, 0x80000000, 0x00ffffff, 0xfffffffe}[rng.IntN(5)]; rng.IntN(3) {
	case 0:
		b[at] = byte(rng.Uint32())
	case 1:
		copy(b[at:], binary.BigEndian.AppendUint32(nil, lie))
	default:
		copy(b[at:], wire.AppendUVarint(nil, lie))
	}
}

func TestLyingCountsAllocateNothing(t *testing.T) {
	lies := map[string][]byte{
		"two billion, classic":  {0x7f, 0xff, 0xff, 0xff},
		"negative, classic":     {0x80, 0, 0, 0},
		"four billion, compact": {0xff, 0xff, 0xff, 0xff, 0x0f},
		"a varint without end":  {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff},
	}
	const places = 24
	eachVersion(func(_ *protocol.API, m protocol.Message, version int16) {
		for name, lie := range lies {
			bytes := allocated(func() {
				for skip := range places {
					b := make([]byte, skip, 128)
					_ = m.Decode(append(append(b, lie...), make([]byte, 64)...), version)
				}
			})
			if bytes > places*2048 {
				t.Errorf("%T version %d: %s in %d places allocates %d bytes", m, version, name, places, bytes)
			}
		}
	})
}

func TestManyTagsAreLinear(t *testing.T) {
	// A million unknown tags, then a lying number of them, behind an
	// ApiVersions request, the first thing that a stranger can send.
	const tags = 1 << 20
	head := wire.AppendString(wire.AppendString(nil, "n", true), "v", true)
	honest := wire.AppendUVarint(append([]byte(nil), head...), tags)
	for range tags {
		honest = append(honest, 9, 0)
	}
	lying := wire.AppendUVarint(append([]byte(nil), head...), 1<<32-1)
	for name, b := range map[string][]byte{"honest": honest, "lying": append(lying, honest...)} {
		var m protocol.ApiVersionsRequest
		start := time.Now()
		bytes := allocated(func() {
			if err := m.Decode(b, 3); (err == nil) != (name == "honest") {
				t.Errorf("%s tags: %v", name, err)
			}
		})
		if took := time.Since(start); bytes > fixedCost || took > 5*time.Second {
			t.Errorf("%s tags allocate %d bytes and take %v", name, bytes, took)
		}
	}
}

func TestCrowdedArraysAllocateASmallMultipleOfTheFrame(t *testing.T) {
	worst := 0.0
	eachVersion(func(api *protocol.API, m protocol.Message, version int16) {
		if version != api.MaxVersion && version != api.MinVersion {
			return
		}
		fresh := reflect.New(reflect.TypeOf(m).Elem())
		m.(interface{ SetDefaults() }).SetDefaults()
		crowd(reflect.ValueOf(m).Elem(), func() {
			if protocol.CheckVersion(m, version) != nil {
				return
			}
			b := m.Append(nil, version)
			decoder := fresh.Interface().(protocol.Message)
			fresh.Elem().SetZero()
			bytes := allocated(func() {
				if err := decoder.Decode(b, version); err != nil {
					t.Error(err)
				}
			})
			if bytes > fixedCost+maxAmplification*uint64(len(b)) {
				t.Errorf("%T version %d: %d bytes allocate %d", m, version, len(b), bytes)
			}
			worst = max(worst, float64(bytes)/float64(max(len(b), fixedCost)))
		})
	})
	t.Logf("at most %.1f bytes are allocated for one on the wire", worst)
}

// crowd calls fn for each slice within s, at any depth, while it has very many
// elements that are as small as can be.
func crowd(s reflect.Value, fn func()) {
	const many = 10_000
	for i := range s.NumField() {
		v := s.Field(i)
		if v.Kind() != reflect.Slice || v.Type().Elem().Kind() == reflect.Uint8 {
			continue
		}
		isStruct := v.Type().Elem().Kind() == reflect.Struct
		old := reflect.ValueOf(v.Interface())
		v.Set(reflect.MakeSlice(v.Type(), many, many))
		for j := range many {
			if isStruct {
				v.Index(j).Addr().Interface().(interface{ SetDefaults() }).SetDefaults()
			}
		}
		fn()
		if isStruct {
			v.Set(v.Slice(0, 1))
			crowd(v.Index(0), fn)
		}
		v.Set(old)
	}
}

func FuzzDecode(f *testing.F) {
	eachVersion(func(api *protocol.API, m protocol.Message, version int16) {
		if version == api.MaxVersion {
			_, request := m.(protocol.Request)
			m.(interface{ SetDefaults() }).SetDefaults()
			f.Add(int16(api.Key), version, request, m.Append(nil, version))
		}
	})
	f.Fuzz(func(t *testing.T, key, version int16, request bool, b []byte) {
		api := protocol.APIKey(key).API()
		if api == nil {
			return
		}
		m := api.NewResponse()
		if request {
			m = api.NewRequest()
		}
		if m.Decode(b, version) != nil {
			return
		}
		// What was understood can be said again, and is understood the same.
		if err := protocol.CheckVersion(m, version); err != nil {
			t.Fatalf("%+v: %v", m, err)
		}
		again := m.Append(nil, version)
		if err := m.Decode(again, version); err != nil {
			t.Fatalf("%x became %x: %v", b, again, err)
		}
		if third := m.Append(nil, version); string(third) != string(again) {
			t.Fatalf("%x became %x became %x", b, again, third)
		}
	})
}

func FuzzRequestHeader(f *testing.F) {
	client := "c"
	f.Add((&protocol.RequestHeader{APIKey: 18, APIVersion: 3, ClientID: &client}).Append(nil))
	f.Fuzz(func(t *testing.T, b []byte) {
		h, body, err := protocol.ParseRequestHeader(b)
		if err == nil && body != nil && len(body) > len(b)-8 {
			t.Errorf("%+v leaves %d of %d bytes", h, len(body), len(b))
		}
	})
}
