package offsets

import (
	"cmp"
	"slices"
	"strings"
)

// Place is a partition for which a group commits offsets.
type Place struct {
	Group, Topic string
	Partition    int32
}

// Ended is an offset of a transaction that has ended.
type Ended struct {
	Place

	// Committed is what the transaction wanted.
	Committed Committed

	// Overtaken tells that the offset was committed or deleted outside the transaction
	// in the meantime.
	Overtaken bool
}

// Pending is the offsets of transactions that are not decided. They are kept by
// producer, because the marker that decides names nothing else.
type Pending struct {
	producers map[int64]map[Place]*Ended
	// places counts for how many producers an offset is pending.
	places map[Place]int
	groups map[string]int
}

// Put stores an offset in the producer's transaction. The strings are cloned.
func (p *Pending) Put(producerID int64, at Place, c Committed) {
	c.Metadata = strings.Clone(c.Metadata)
	if e := p.producers[producerID][at]; e != nil {
		e.Committed, e.Overtaken = c, false
		return
	}
	if p.producers == nil {
		p.producers, p.places, p.groups = map[int64]map[Place]*Ended{}, map[Place]int{}, map[string]int{}
	}
	if p.producers[producerID] == nil {
		p.producers[producerID] = map[Place]*Ended{}
	}
	at.Group, at.Topic = strings.Clone(at.Group), strings.Clone(at.Topic)
	p.producers[producerID][at] = &Ended{Place: at, Committed: c}
	p.places[at]++
	p.groups[at.Group]++
}

// Open tells whether the producer has a transaction with offsets.
func (p *Pending) Open(producerID int64) bool { return len(p.producers[producerID]) > 0 }

// Has tells whether a transaction has an offset for the place.
func (p *Pending) Has(at Place) bool { return p.places[at] > 0 }

// Count returns how many offsets of a group are pending.
func (p *Pending) Count(group string) int { return p.groups[group] }

// Groups returns the groups with pending offsets, in order.
func (p *Pending) Groups() []string {
	out := make([]string, 0, len(p.groups))
	for g := range p.groups {
		out = append(out, g)
	}
	slices.Sort(out)
	return out
}

// Overtake notes that the offset was committed or deleted outside of transactions.
func (p *Pending) Overtake(at Place) {
	if p.places[at] == 0 {
		return
	}
	for _, places := range p.producers {
		if e := places[at]; e != nil {
			e.Overtaken = true
		}
	}
}

// End takes the offsets of the producer's transaction out and returns them in order.
func (p *Pending) End(producerID int64) []Ended {
	places := p.producers[producerID]
	delete(p.producers, producerID)
	out := make([]Ended, 0, len(places))
	for at, e := range places {
		out = append(out, *e)
		if p.places[at]--; p.places[at] == 0 {
			delete(p.places, at)
		}
		if p.groups[at.Group]--; p.groups[at.Group] == 0 {
			delete(p.groups, at.Group)
		}
	}
	slices.SortFunc(out, func(a, b Ended) int {
		return cmp.Or(strings.Compare(a.Group, b.Group), strings.Compare(a.Topic, b.Topic), cmp.Compare(a.Partition, b.Partition))
	})
	return out
}

// All returns everything that is pending, by producer.
func (p *Pending) All() map[int64][]Ended {
	copied := Pending{producers: map[int64]map[Place]*Ended{}, places: map[Place]int{}, groups: map[string]int{}}
	out := map[int64][]Ended{}
	for id, places := range p.producers {
		copied.producers[id] = places
		out[id] = copied.End(id)
	}
	return out
}
