package ledger

import (
	"testing"

	"github.com/naru-stream/naru/conformance/internal/crash/wire"
)

var at = wire.Partition{Topic: "t"}

// A broker that keeps its promises, and each way to break one.
func TestEachBrokenPromiseIsSeen(t *testing.T) {
	idempotent, plain := 0, 1
	value := func(producer int, sequence int64) []byte { return AppendValue(nil, producer, sequence, 50) }
	cases := []struct {
		name, rule string
		do         func(l *Ledger)
	}{
		{"nothing wrong", "", func(l *Ledger) {
			for i := range int64(4) {
				l.Acked(at, i, idempotent, i)
				l.Observed(at, i, nil, value(idempotent, i))
				l.Observed(at, i, nil, value(idempotent, i)) // read again after a crash
			}
			l.Audit(at, 0, 4)
		}},
		{"not acknowledged, but there", "", func(l *Ledger) {
			l.Observed(at, 0, nil, value(idempotent, 0))
			l.Audit(at, 0, 1)
		}},
		{"repeated by a producer that may", "", func(l *Ledger) {
			for offset, seq := range []int64{0, 1, 0, 1, 2} {
				l.Observed(at, int64(offset), nil, value(plain, seq))
			}
			l.Audit(at, 0, 5)
		}},
		{"lost at the end", "acknowledged records", func(l *Ledger) {
			l.Acked(at, 0, idempotent, 0)
			l.Audit(at, 0, 0)
		}},
		{"lost in the middle", "acknowledged records", func(l *Ledger) {
			l.Acked(at, 0, idempotent, 0)
			l.Observed(at, 1, nil, value(idempotent, 1))
			l.Audit(at, 0, 2)
		}},
		{"another record at its offset", "records stay", func(l *Ledger) {
			l.Acked(at, 0, idempotent, 0)
			l.Observed(at, 0, nil, value(idempotent, 1))
		}},
		{"duplicated", "exactly once", func(l *Ledger) {
			l.Observed(at, 0, nil, value(idempotent, 0))
			l.Observed(at, 1, nil, value(idempotent, 0))
		}},
		{"out of order", "order", func(l *Ledger) {
			l.Observed(at, 0, nil, value(idempotent, 1))
			l.Observed(at, 1, nil, value(idempotent, 0))
			l.Audit(at, 0, 2)
		}},
		{"out of order without idempotence", "order", func(l *Ledger) {
			l.Observed(at, 0, nil, value(plain, 1))
			l.Observed(at, 1, nil, value(plain, 0))
			l.Audit(at, 0, 2)
		}},
		{"an offset without record", "offsets contiguous", func(l *Ledger) {
			l.Observed(at, 0, nil, value(idempotent, 0))
			l.Observed(at, 2, nil, value(idempotent, 1))
			l.Audit(at, 0, 3)
		}},
		{"another byte", "bytes", func(l *Ledger) {
			v := value(idempotent, 0)
			v[40] ^= 1
			l.Observed(at, 0, nil, v)
		}},
		{"another key", "bytes", func(l *Ledger) { l.Observed(at, 0, []byte("k"), value(2, 0)) }},
	}
	for _, c := range cases {
		l := New([]Producer{{Name: "idempotent", Idempotent: true}, {Name: "plain"}, {Name: "keyed", Keyed: true}})
		c.do(l)
		_, counts := l.Violations()
		if c.rule == "" && len(counts) > 0 || c.rule != "" && counts[c.rule] == 0 {
			t.Errorf("%s: violations %v, want %q", c.name, counts, c.rule)
		}
	}
}

func TestARecordWithoutPlaceIsMissing(t *testing.T) {
	l := New([]Producer{{Name: "idempotent", Idempotent: true}})
	l.Acked(at, 7, 0, 0)
	l.Acked(at, -1, 0, 1) // acknowledged without an offset, never read
	if missing := l.Missing(0, 2); len(missing) != 1 || missing[0] != 1 {
		t.Fatalf("missing %v", missing)
	}
}
