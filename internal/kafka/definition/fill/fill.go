// Package fill gives messages random values that a version can carry. It is for
// tests: those of the codecs, and of everything that should stand any request.
//
// It walks the definition of a message and its Go struct side by side, so that a
// field which the definition has and the struct lacks is found here too.
package fill

import (
	"math"
	"math/rand/v2"
	"reflect"

	"github.com/naru-stream/naru/internal/assert"
	"github.com/naru-stream/naru/internal/kafka/definition"
)

// Random sets the fields of m that the version has to random values; the others
// get their defaults. The message m is a pointer to the struct generated from d.
func Random(rng *rand.Rand, d *definition.Message, m any, version int16) {
	f := filler{rng: rng, version: version}
	f.structure(d.Fields, reflect.ValueOf(m).Elem())
}

type filler struct {
	rng     *rand.Rand
	version int16
	depth   int
}

func (f *filler) structure(fields []*definition.Field, s reflect.Value) {
	s.Addr().Interface().(interface{ SetDefaults() }).SetDefaults()
	f.depth++
	for _, field := range fields {
		v := s.FieldByName(field.Name)
		assert.That(v.IsValid(), "%s has no field %s", s.Type(), field.Name)
		nullable := field.Nullable.Has(f.version)
		switch {
		case !field.Versions.Has(f.version):
		case nullable && f.rng.IntN(4) == 0:
			v.SetZero()
		case f.rng.IntN(5) == 0 && (nullable || !null(v)):
			// The default is a value worth testing as well.
		default:
			f.value(field, v)
		}
	}
	f.depth--
}

// null reports whether the default of a nullable field is null.
func null(v reflect.Value) bool {
	return (v.Kind() == reflect.Pointer || v.Kind() == reflect.Slice) && v.IsNil()
}

func (f *filler) value(field *definition.Field, v reflect.Value) {
	switch {
	case field.Array:
		n := f.rng.IntN(max(4-f.depth/2, 2))
		v.Set(reflect.MakeSlice(v.Type(), n, n))
		for i := range n {
			f.element(field, v.Index(i))
		}
	case v.Kind() == reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		f.element(field, v.Elem())
	default:
		f.element(field, v)
	}
}

func (f *filler) element(field *definition.Field, v reflect.Value) {
	switch {
	case field.Struct != nil:
		f.structure(field.Struct.Fields, v)
		return
	case field.Type == "uuid":
		for i := range v.Len() {
			v.Index(i).SetUint(f.rng.Uint64() & 0xff)
		}
		return
	}
	bits := f.rng.Uint64() >> f.rng.IntN(64) // small numbers as often as large ones
	switch v.Kind() {
	case reflect.Bool:
		v.SetBool(bits&1 == 1)
	case reflect.Int8:
		v.SetInt(int64(int8(bits)))
	case reflect.Int16:
		v.SetInt(int64(int16(bits)))
	case reflect.Int32:
		v.SetInt(int64(int32(bits)))
	case reflect.Int64:
		v.SetInt(int64(bits))
	case reflect.Uint16:
		v.SetUint(bits & math.MaxUint16)
	case reflect.Uint32:
		v.SetUint(bits & math.MaxUint32)
	case reflect.Float64:
		v.SetFloat(f.rng.NormFloat64())
	case reflect.String:
		v.SetString(string(f.text()))
	case reflect.Slice:
		v.SetBytes(f.text())
	default:
		assert.That(false, "%s has a type of kind %s", field.Name, v.Kind())
	}
}

// text returns letters, mostly few, sometimes more than one byte of length can
// tell.
func (f *filler) text() []byte {
	n := f.rng.IntN(12)
	if f.rng.IntN(16) == 0 {
		n = 120 + f.rng.IntN(16)
	}
	p := make([]byte, n)
	for i := range p {
		p[i] = 'a' + byte(f.rng.IntN(26))
	}
	return p
}
