package main

import (
	"context"
	"fmt"
	"os"
	"time"

	"github.com/naru-stream/naru/conformance/internal/crash/damage"
	"github.com/naru-stream/naru/conformance/internal/crash/server"
	"github.com/naru-stream/naru/conformance/internal/crash/wire"
)

// harm is one damage below the durable point, each in a partition of its own.
type harm struct {
	name string
	// do damages one of a partition's segments and returns the first and last offset that are lost by it.
	do func([]damage.Segment) (first, last int64, err error)
	// visible damage shows in the size of a file: a start must report it.
	visible bool
}

var harms = []harm{
	{"none (control)", func([]damage.Segment) (int64, int64, error) { return 1, 0, nil }, false},
	{"a bit of an older segment is flipped", func(s []damage.Segment) (int64, int64, error) { return flip(s[1]) }, false},
	{"a bit of the active segment is flipped", func(s []damage.Segment) (int64, int64, error) { return flip(s[len(s)-1]) }, false},
	{"the end of an older segment is gone", func(s []damage.Segment) (int64, int64, error) { return cut(s[1], 1000) }, true},
	{"the end of the active segment is gone", func(s []damage.Segment) (int64, int64, error) { return cut(s[len(s)-1], 1000) }, true},
	{"the active segment is empty", func(s []damage.Segment) (int64, int64, error) { return cut(s[len(s)-1], s[len(s)-1].Size) }, true},
	{"an older segment is gone", func(s []damage.Segment) (int64, int64, error) {
		first, last, err := cut(s[1], s[1].Size)
		if err == nil {
			err = os.Remove(s[1].Path)
		}
		return first, last, err
	}, true},
}

func flip(s damage.Segment) (int64, int64, error) {
	batches, err := s.Batches()
	if err != nil {
		return 0, 0, err
	}
	b := batches[len(batches)/2]
	return b.Base, b.Last, s.Flip(b)
}

// cut takes the last n bytes of a segment.
func cut(s damage.Segment, n int64) (int64, int64, error) {
	batches, err := s.Batches()
	if err != nil {
		return 0, 0, err
	}
	first := int64(0)
	for i := len(batches) - 1; i >= 0 && batches[i].End > s.Size-n; i-- {
		first = batches[i].Base
	}
	return first, batches[len(batches)-1].Last, os.Truncate(s.Path, s.Size-n)
}

// batchRecords and recordBytes make batches of about 50 KB, of which a segment of 1 MiB holds 20.
const (
	batchRecords = 50
	recordBytes  = 1000
	harmBatches  = 55
)

// damaged is the part "damage": what was acknowledged and synced long ago is damaged by the disk. It must
// be reported, nothing else may be lost, and no offset be given twice.
func (r *run) damaged(ctx context.Context) error {
	return r.withServer(ctx, "damage", "group", func(srv *server.Server) error {
		before, err := r.prepareHarm(ctx, srv)
		if err != nil {
			return err
		}
		type loss struct{ first, last, kept int64 }
		lost := make([]loss, len(harms))
		for i, h := range harms {
			p := wire.Partition{Topic: "harmed", Index: int32(i)}
			segments, err := damage.Segments(srv.DataDir, p)
			if err != nil || len(segments) < 3 {
				return fmt.Errorf("%s has %d segments: %w", p, len(segments), err)
			}
			if lost[i].first, lost[i].last, err = h.do(segments); err != nil {
				return err
			}
			if lost[i].kept, err = damage.Kept(srv.DataDir, p); err != nil {
				return err
			}
		}
		if _, err := r.restartDamaged(ctx, srv, "group", true); err != nil {
			r.report.violate("starts again", "damage", "%v", err)
			return nil
		}
		added := map[wire.Partition]int64{}
		for i, h := range harms {
			p := wire.Partition{Topic: "harmed", Index: int32(i)}
			if added[p], err = r.judge(ctx, srv, h, p, before, lost[i].first, lost[i].last, lost[i].kept); err != nil {
				return err
			}
		}
		srv.Kill()
		return r.judgeAdded(ctx, srv, before, added)
	})
}

// judgeAdded starts the server after a second kill and looks for the records that it acknowledged after
// the damage.
func (r *run) judgeAdded(ctx context.Context, srv *server.Server, before, added map[wire.Partition]int64) error {
	if _, err := r.restartDamaged(ctx, srv, "group", true); err != nil {
		r.report.violate("starts again", "second kill after damage", "%v", err)
		return nil
	}
	conn, err := wire.Dial(ctx, srv.Addr, time.Minute)
	if err != nil {
		return err
	}
	defer conn.Close()
	for i, h := range harms {
		p := wire.Partition{Topic: "harmed", Index: int32(i)}
		got, err := conn.Fetch(map[wire.Partition]int64{p: added[p]}, 1)
		if err != nil {
			return err
		}
		f := got[p]
		records, err := f.Records(p, added[p])
		if len(records) == 0 || string(records[0].Value) != string(harmValues(p, before[p], 1)[0]) {
			r.report.violate("acknowledged records", fmt.Sprintf("%s: %s", p, h.name),
				"the record acknowledged after the damage at offset %d is gone after another kill: code %d, %v", added[p], f.Code, err)
		}
	}
	return nil
}

// prepareHarm fills the partitions, has everything known as durable, and kills the server. It returns
// where the partitions end.
func (r *run) prepareHarm(ctx context.Context, srv *server.Server) (map[wire.Partition]int64, error) {
	conn, err := wire.Dial(ctx, srv.Addr, time.Minute)
	if err != nil {
		return nil, err
	}
	defer func() { conn.Close() }()
	if _, err := conn.CreateTopic("harmed", int32(len(harms)), map[string]string{"segment.bytes": "1048576"}); err != nil {
		return nil, err
	}
	before := map[wire.Partition]int64{}
	for i := range harms {
		p := wire.Partition{Topic: "harmed", Index: int32(i)}
		for b := range harmBatches {
			if _, err := conn.Produce(p, harmValues(p, int64(b*batchRecords), batchRecords)); err != nil {
				return nil, err
			}
		}
		before[p] = harmBatches * batchRecords
	}
	if _, err := srv.Stop(time.Minute); err != nil {
		return nil, err
	}
	if _, err := r.restart(ctx, srv, "group"); err != nil {
		return nil, err
	}
	srv.Kill()
	return before, nil
}

func harmValues(p wire.Partition, offset int64, n int) [][]byte {
	var values [][]byte
	for i := range n {
		v := make([]byte, recordBytes)
		copy(v, fmt.Sprintf("%s offset %d ", p, offset+int64(i)))
		values = append(values, v)
	}
	return values
}

// judge looks at one partition after the start and returns the offset of a record that it added.
func (r *run) judge(ctx context.Context, srv *server.Server, h harm, p wire.Partition, before map[wire.Partition]int64, first, last, kept int64) (int64, error) {
	conn, err := wire.Dial(ctx, srv.Addr, time.Minute)
	if err != nil {
		return 0, err
	}
	defer conn.Close()
	where := fmt.Sprintf("%s: %s", p, h.name)
	result := harmed{Partition: p.String(), Damage: h.name, Reported: len(srv.Said("damage found", p.String())) > 0}
	if h.visible && !result.Reported {
		r.report.violate("damage is reported", where, "the log of the start does not name the partition")
	}
	base, err := conn.Produce(p, harmValues(p, before[p], 1))
	if err != nil && !wire.Refused(err) {
		return 0, err
	}
	if err == nil && base < before[p] {
		r.report.violate("no offset twice", where, "a new record got offset %d, the partition ended at %d before", base, before[p])
	}
	read, wrong, refused := 0, 0, 0
	for offset := int64(0); offset < before[p]; offset += batchRecords {
		inside := offset+batchRecords > first && offset <= last
		switch problem := readBatch(conn, p, offset); {
		case problem == "":
			read++
		case inside:
			refused++
		default:
			wrong++
			r.report.violate("acknowledged records", where, "batch at offset %d, which was not damaged (damaged: %d to %d): %s", offset, first, last, problem)
		}
	}
	now, err := damage.Kept(srv.DataDir, p)
	if err != nil {
		return 0, err
	}
	if now < kept {
		r.report.violate("nothing is cut in silence", where, "%d bytes of segments and of what is set aside, %d before the start", now, kept)
	}
	result.Found = fmt.Sprintf("%d batches as they were, %d damaged not delivered, %d others lost, next offset %d of %d", read, refused, wrong, base, before[p])
	r.report.Damage = append(r.report.Damage, result)
	return base, nil
}

// readBatch reads the batch that begins at an offset; it returns what is wrong with the answer.
func readBatch(conn *wire.Conn, p wire.Partition, offset int64) string {
	got, err := conn.Fetch(map[wire.Partition]int64{p: offset}, 1)
	if err != nil {
		return err.Error()
	}
	f := got[p]
	if f.Code != 0 {
		return wire.Code(f.Code).Error()
	}
	records, err := f.Records(p, offset)
	if err != nil {
		return err.Error()
	}
	if len(records) < batchRecords || records[0].Offset != offset {
		return fmt.Sprintf("%d records", len(records))
	}
	for i, want := range harmValues(p, offset, batchRecords) {
		if string(records[i].Value) != string(want) {
			return fmt.Sprintf("offset %d holds other bytes", records[i].Offset)
		}
	}
	return ""
}
