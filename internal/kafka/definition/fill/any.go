package fill

import (
	"math/rand/v2"
	"os"
	"reflect"
	"slices"
	"strconv"
	"testing"
)

// Rounds returns how many random messages a test tries for each version, and the
// seed: few, unless NARU_ROUNDS and NARU_SEED say otherwise. It logs both.
func Rounds(t testing.TB) (n int, seed uint64) {
	n, seed = int(number(t, "NARU_ROUNDS", 12)), number(t, "NARU_SEED", 1)
	t.Logf("%d rounds, seed %d; set NARU_ROUNDS and NARU_SEED for others", n, seed)
	return n, seed
}

func number(t testing.TB, variable string, otherwise uint64) uint64 {
	s := os.Getenv(variable)
	if s == "" {
		return otherwise
	}
	v, err := strconv.ParseUint(s, 10, 63)
	if err != nil {
		t.Fatalf("%s: %v", variable, err)
	}
	return v
}

// Any sets the exported fields of the struct that s points to, but for those
// named, to random values. It serves structs of others, of which there is no
// definition.
func Any(rng *rand.Rand, s any, except ...string) {
	anything(rng, reflect.ValueOf(s).Elem(), except, 0)
}

func anything(rng *rand.Rand, v reflect.Value, except []string, depth int) {
	switch v.Kind() {
	case reflect.Bool:
		v.SetBool(rng.IntN(2) == 1)
	case reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		v.SetInt(int64(rng.Uint64() >> rng.IntN(64)))
	case reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		v.SetUint(rng.Uint64() >> rng.IntN(64))
	case reflect.Float64:
		v.SetFloat(rng.NormFloat64())
	case reflect.String:
		v.SetString(strconv.FormatUint(rng.Uint64()>>rng.IntN(64), 36))
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		anything(rng, v.Elem(), except, depth)
	case reflect.Array:
		for i := range v.Len() {
			anything(rng, v.Index(i), except, depth)
		}
	case reflect.Slice:
		n := rng.IntN(max(4-depth, 2))
		v.Set(reflect.MakeSlice(v.Type(), n, n))
		for i := range n {
			anything(rng, v.Index(i), except, depth+1)
		}
	case reflect.Struct:
		for i := range v.NumField() {
			if f := v.Type().Field(i); f.IsExported() && !slices.Contains(except, f.Name) {
				anything(rng, v.Field(i), except, depth+1)
			}
		}
	}
}
