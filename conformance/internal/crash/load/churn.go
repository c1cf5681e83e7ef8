package load

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/naru-stream/naru/conformance/internal/crash/ledger"
	"github.com/naru-stream/naru/conformance/internal/crash/wire"
)

// churnNames is how many names the topics that come and go share: names are used again soon after a
// deletion.
const churnNames = 8

// churnPrefix begins their names.
const churnPrefix = "churn-"

// Churn creates, changes, fills and deletes topics, and knows what must be true of each: after a request
// whose answer a crash took, either of two states.
type Churn struct {
	cfg    Config
	random *rand.Rand

	mu      sync.Mutex
	allowed map[string][]churned
	life    int // numbers the incarnations
	done    map[string]int
}

// churned is one state of a topic that comes and goes.
type churned struct {
	exists     bool
	life       int // which incarnation: records carry it
	id         [16]byte
	partitions int32
	retention  string
	records    int64 // acknowledged in partition 0
}

func (s churned) String() string {
	if !s.exists {
		return "no topic"
	}
	return fmt.Sprintf("incarnation %d, id %x, %d partitions, retention.ms=%s, %d records", s.life, s.id[:4], s.partitions, s.retention, s.records)
}

// NewChurn returns a Churn that has done nothing yet.
func NewChurn(cfg Config) *Churn {
	c := &Churn{cfg: cfg, random: rand.New(rand.NewPCG(cfg.Rand.Uint64(), 99)), allowed: map[string][]churned{}, done: map[string]int{}}
	for i := range churnNames {
		c.allowed[fmt.Sprint(churnPrefix, i)] = []churned{{}}
	}
	return c
}

// Run changes topics until ctx ends, which is when the server is about to be killed or the load is over.
// Between two runs Resolve says what became of the last request.
func (c *Churn) Run(ctx context.Context) {
	conn := dial(ctx, c.cfg.Addr)
	if conn == nil {
		return
	}
	defer conn.Close()
	for ctx.Err() == nil {
		name := fmt.Sprint(churnPrefix, c.random.IntN(churnNames))
		c.mu.Lock()
		states := c.allowed[name]
		c.mu.Unlock()
		if len(states) != 1 {
			return // not resolved: the check after the last crash did not come to its end
		}
		if err := c.step(conn, name, states[0]); err != nil {
			if wire.Refused(err) {
				c.cfg.Ledger.Violate("topics", name, "in state %s: %v", states[0], err)
			}
			return
		}
		pause(ctx, time.Duration(c.random.IntN(8))*time.Millisecond)
	}
}

// step makes one change and writes down which states it leaves possible.
func (c *Churn) step(conn *wire.Conn, name string, now churned) error {
	then, what := now, ""
	var change func() error
	switch choice := c.random.IntN(10); {
	case !now.exists:
		c.life++
		then = churned{exists: true, life: c.life, partitions: 1 + c.random.Int32N(3), retention: strconv.Itoa(3_600_000 + c.life)}
		what = "create"
		change = func() (err error) {
			then.id, err = conn.CreateTopic(name, then.partitions, map[string]string{"retention.ms": then.retention, "segment.bytes": "1048576"})
			return err
		}
	case choice < 3:
		then, what = churned{}, "delete"
		change = func() error { return conn.DeleteTopic(name) }
	case choice < 5:
		then.retention, what = strconv.Itoa(7_200_000+c.random.IntN(1_000_000)), "alter"
		change = func() error { return conn.SetConfig(name, "retention.ms", then.retention) }
	case choice < 6 && now.partitions < 6:
		then.partitions++
		what = "add partition"
		change = func() error { return conn.AddPartitions(name, then.partitions) }
	default:
		then.records += 5
		what = "fill"
		change = func() error { return c.fill(conn, name, now) }
	}
	c.set(name, now, then)
	if err := change(); err != nil {
		return err
	}
	c.set(name, then)
	c.mu.Lock()
	c.done[what]++
	c.mu.Unlock()
	return nil
}

func (c *Churn) set(name string, states ...churned) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.allowed[name] = states
}

func (c *Churn) fill(conn *wire.Conn, name string, now churned) error {
	var values [][]byte
	for i := range 5 {
		values = append(values, fmt.Appendf(nil, "%s %d %d", name, now.life, now.records+int64(i)))
	}
	base, err := conn.Produce(wire.Partition{Topic: name}, values)
	if wire.Is(err, "NOT_LEADER_FOR_PARTITION", "UNKNOWN_TOPIC_OR_PARTITION") {
		c.cfg.Notes.Add("produce right after a topic change: " + short(err))
	}
	if err == nil && base != now.records {
		c.cfg.Ledger.Violate("topics", name+"-0", "a batch got offset %d, %d records were acknowledged in incarnation %d", base, now.records, now.life)
	}
	return err
}

// Resolve compares the server's topics with the states that are possible and settles on what it finds.
// An error means that the connection was lost.
func (c *Churn) Resolve(conn *wire.Conn, topics map[string]wire.Topic) error {
	c.mu.Lock()
	names := slices.Sorted(maps.Keys(c.allowed))
	c.mu.Unlock()
	for name := range topics {
		if strings.HasPrefix(name, churnPrefix) && !slices.Contains(names, name) {
			c.cfg.Ledger.Violate("topics", name, "exists, was never created")
		}
	}
	for _, name := range names {
		c.mu.Lock()
		states := c.allowed[name]
		c.mu.Unlock()
		found, err := c.look(conn, name, topics)
		if err != nil {
			if !wire.Refused(err) {
				return err
			}
			c.cfg.Ledger.Violate("topics", name, "listed, but: %v", err)
			continue
		}
		i := slices.IndexFunc(states, func(s churned) bool { return s.matches(found) })
		if i < 0 {
			c.cfg.Ledger.Violate("topics", name, "is %s, may be %v", found, states)
			i = 0
		}
		found.life = states[i].life
		if found.exists {
			c.verify(conn, name, found)
		}
		c.set(name, found)
	}
	return nil
}

// matches compares what was found with a possible state. The id of a topic whose creation was not
// answered is not known.
func (s churned) matches(found churned) bool {
	if s.exists != found.exists || !s.exists {
		return s.exists == found.exists
	}
	return (s.id == found.id || s.id == [16]byte{}) && s.partitions == found.partitions &&
		s.retention == found.retention && s.records == found.records
}

func (c *Churn) look(conn *wire.Conn, name string, topics map[string]wire.Topic) (churned, error) {
	t, ok := topics[name]
	if !ok {
		return churned{}, nil
	}
	found := churned{exists: true, id: t.ID, partitions: t.Partitions}
	settings, err := conn.Configs(name)
	if err != nil {
		return found, err
	}
	found.retention = settings["retention.ms"]
	if settings["segment.bytes"] != "1048576" {
		c.cfg.Ledger.Violate("settings", name, "segment.bytes is %q, was created with 1048576", settings["segment.bytes"])
	}
	at := wire.Partition{Topic: name}
	ends, err := conn.Offsets(wire.Latest, []wire.Partition{at})
	found.records = ends[at]
	return found, err
}

// verify reads the topic: all its records must be of the present incarnation.
func (c *Churn) verify(conn *wire.Conn, name string, s churned) {
	at := wire.Partition{Topic: name}
	for offset := int64(0); offset < s.records; {
		got, err := conn.Fetch(map[wire.Partition]int64{at: offset}, 1<<20)
		if err != nil {
			return // the connection was lost: the next crash checks again
		}
		f := got[at]
		records, err := f.Records(at, offset)
		if err != nil || len(records) == 0 {
			c.cfg.Ledger.Violate("topics", fmt.Sprintf("%s offset %d", at, offset), "no record of %d: code %d, %v", s.records, f.Code, err)
			return
		}
		for _, r := range records {
			if want := fmt.Sprintf("%s %d %d", name, s.life, offset); string(r.Value) != want || r.Offset != offset {
				c.cfg.Ledger.Violate("topics", fmt.Sprintf("%s offset %d", at, r.Offset), "holds %q, want %q at %d", r.Value, want, offset)
				return
			}
			offset++
		}
	}
}

// Done counts the changes that were acknowledged, by kind.
func (c *Churn) Done() map[string]int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return maps.Clone(c.done)
}

// Trims deletes records from the start of the topic "trimmed" until ctx ends.
func Trims(ctx context.Context, cfg Config, l *ledger.Ledger) {
	conn := dial(ctx, cfg.Addr)
	if conn == nil {
		return
	}
	defer conn.Close()
	for ctx.Err() == nil {
		for index := range int32(2) {
			at := wire.Partition{Topic: "trimmed", Index: index}
			p := l.Promises()[at]
			before := p.Acked - 3000
			if before <= p.Asked {
				continue
			}
			l.TrimTried(at, before)
			first, err := conn.DeleteRecords(at, before)
			if err != nil {
				if wire.Refused(err) {
					l.Violate("deletion of records", at.String(), "before %d: %v", before, err)
				}
				return
			}
			l.Trimmed(at, first)
		}
		pause(ctx, 20*time.Millisecond)
	}
}
