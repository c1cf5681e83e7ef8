package telemetry

import (
	"container/list"
	"maps"
	"slices"
	"strings"

	"github.com/naru-stream/naru/internal/kafka/wire"
)

// Label is a name and a value by which a series, or a client, differs from others.
type Label struct{ Name, Value string }

func (l Label) compare(o Label) int {
	if c := strings.Compare(l.Name, o.Name); c != 0 {
		return c
	}
	return strings.Compare(l.Value, o.Value)
}

// Series is the newest value of one metric of a client instance.
type Series struct {
	Name   string
	Labels []Label // in order of name
	Kind   Kind
	// Value is the gauge's value, or a sum. Sums that clients push as what was added
	// since their last push are added up.
	Value float64
	// Count is how many observations a histogram or summary has.
	Count uint64
	// TimeNs is when the client took the value, in nanoseconds since 1970 by its clock.
	TimeNs uint64
}

// Instance is what is known of a client instance.
type Instance struct {
	ID     wire.UUID
	Client Client
	// Labels are what the client says of itself, such as its group.
	Labels []Label
	Series []Series // in order of name and labels
	// PushedMs is when it pushed last, by the broker's clock.
	PushedMs    int64
	Terminating bool
	// Dropped counts the values that were not kept, because the instance has as many
	// series as it may.
	Dropped int64
}

// store keeps the newest values of client instances. It is not safe for concurrent
// use.
type store struct {
	instances map[wire.UUID]*list.Element // of *stored
	order     *list.List                  // the one that pushed last in front
	bytes     int64
}

type stored struct {
	Instance
	expiresMs int64
	bytes     int64
	series    map[string]*Series
	key       []byte // for looking series up
}

func newStore() *store { return &store{instances: map[wire.UUID]*list.Element{}, order: list.New()} }

// open returns the place of an instance that pushes now.
func (s *store) open(id wire.UUID, nowMs int64) *stored {
	if e, ok := s.instances[id]; ok {
		s.order.MoveToFront(e)
		return e.Value.(*stored)
	}
	for e := s.order.Back(); e != nil && (s.order.Len() >= MaxInstances || e.Value.(*stored).expiresMs <= nowMs); e = s.order.Back() {
		s.drop(e)
	}
	in := &stored{Instance: Instance{ID: id}, series: map[string]*Series{}}
	s.instances[id] = s.order.PushFront(in)
	return in
}

// settle lets the oldest go until all fits, after in has grown.
func (s *store) settle(in *stored, before int64) {
	s.bytes += in.bytes - before
	for s.bytes > MaxStoreBytes && s.order.Len() > 1 {
		s.drop(s.order.Back())
	}
}

func (s *store) drop(e *list.Element) {
	in := s.order.Remove(e).(*stored)
	delete(s.instances, in.ID)
	s.bytes -= in.bytes
}

// put takes a value. The texts in labels are kept, the slice is not.
func (in *stored) put(name string, labels []Label, p point) {
	in.key = append(append(in.key[:0], name...), 0)
	for _, l := range labels {
		in.key = append(append(append(append(in.key, l.Name...), 0), l.Value...), 0)
	}
	series, ok := in.series[string(in.key)]
	if !ok {
		size := int64(2*len(in.key) + seriesOverhead)
		if len(in.series) >= MaxSeries || in.bytes+size > MaxInstanceBytes {
			in.Dropped++
			return
		}
		in.bytes += size
		series = &Series{Name: name, Labels: slices.Clone(labels), Kind: p.kind}
		in.series[string(in.key)] = series
	}
	if p.delta && series.Kind == p.kind {
		p.value += series.Value
		p.count += series.Count
	}
	series.Kind, series.Value, series.Count, series.TimeNs = p.kind, p.value, p.count, p.time
}

// describe takes what the client says of itself, unless that is too long.
func (in *stored) describe(labels []Label) {
	var size, old int64
	for _, l := range labels {
		size += int64(len(l.Name) + len(l.Value) + seriesOverhead)
	}
	for _, l := range in.Labels {
		old += int64(len(l.Name) + len(l.Value) + seriesOverhead)
	}
	if in.bytes-old+size > MaxInstanceBytes {
		in.Dropped++
		return
	}
	in.bytes += size - old
	in.Labels = slices.Clone(labels)
}

// ids returns the instances that have not expired, in order.
func (s *store) ids(nowMs int64) []wire.UUID {
	var out []wire.UUID
	for id, e := range s.instances {
		if e.Value.(*stored).expiresMs > nowMs {
			out = append(out, id)
		}
	}
	slices.SortFunc(out, wire.UUID.Compare)
	return out
}

// get returns a copy of what is known of an instance.
func (s *store) get(id wire.UUID) (Instance, bool) {
	e, ok := s.instances[id]
	if !ok {
		return Instance{}, false
	}
	in := e.Value.(*stored)
	out := in.Instance
	for _, key := range slices.Sorted(maps.Keys(in.series)) {
		out.Series = append(out.Series, *in.series[key])
	}
	return out, true
}
