package differential

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/naru-stream/naru/internal/kafka/protocol"
	"github.com/naru-stream/naru/internal/kafka/record"
)

// labels replaces what legitimately differs between two servers. Ids become labels in the order of their
// first appearance, so that using the right one still matters.
type labels struct {
	port, dir string
	topics    map[protocol.UUID]string
	members   map[string]string
	producers map[int64]string
	started   int64 // ms
	// suffix is what names made for one version of an API end with.
	suffix string
}

// nearMs is how far from the start of the run a time in ms is taken for "now".
const nearMs = 3 * 3600 * 1000

var randomID = regexp.MustCompile(`[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}`)

func newLabels(port, dir string) *labels {
	return &labels{
		port: port, dir: dir, started: time.Now().UnixMilli(),
		topics: map[protocol.UUID]string{{}: "-"}, members: map[string]string{}, producers: map[int64]string{-1: "-1", 0: "pid0"},
	}
}

func (l *labels) topicID(id protocol.UUID) string {
	if name, ok := l.topics[id]; ok {
		if base, found := strings.CutSuffix(name, l.suffix+")"); found && l.suffix != "" {
			return base + "-N)"
		}
		return name
	}
	return "<id>"
}

func (l *labels) member(id string) string {
	if l.members[id] == "" {
		l.members[id] = "<" + strconv.Itoa(len(l.members)+1) + ">"
	}
	return l.members[id]
}

func (l *labels) text(name, s string) string {
	if name == "ClusterId" && s != "" {
		return "<cluster>"
	}
	if base, found := strings.CutSuffix(s, l.suffix); found && l.suffix != "" {
		s = base + "-N"
	}
	s = randomID.ReplaceAllStringFunc(s, l.member)
	s = strings.ReplaceAll(s, l.dir, "<dir>")
	return strings.ReplaceAll(s, ":"+l.port, ":<port>")
}

func (l *labels) bytes(b []byte) string {
	if b == nil {
		return "null"
	}
	return strconv.Quote(string(b))
}

func (l *labels) integer(name string, n int64) string {
	switch name {
	case "Port":
		if strconv.FormatInt(n, 10) == l.port {
			return "<port>"
		}
	case "ProducerId":
		return l.producer(n)
	case "SessionId":
		if n != 0 {
			return "<session>"
		}
	case "TotalBytes", "UsableBytes", "BrokerEpoch":
		if n > 0 {
			return "<positive>"
		}
	}
	if d := n - l.started; d > -nearMs && d < nearMs {
		return "<now>"
	}
	return strconv.FormatInt(n, 10)
}

func (l *labels) producer(id int64) string {
	if id >= reservedProducers {
		return strconv.FormatInt(id, 10)
	}
	if l.producers[id] == "" {
		l.producers[id] = "pid" + strconv.Itoa(len(l.producers)-1)
	}
	return l.producers[id]
}

// reservedProducers and above are producer ids that scenarios make up.
const reservedProducers = 1_000_000

// batches describes the batches of a records field. A batch cut off at the end, which Kafka's answers may
// have and clients skip, is left out.
func (l *labels) batches(b []byte) string {
	if b == nil {
		return "null"
	}
	var out []string
	for len(b) > 0 {
		batch, rest, err := record.Next(b)
		if err != nil {
			break
		}
		out = append(out, l.batch(batch))
		b = rest
	}
	return "[" + strings.Join(out, " | ") + "]"
}

func (l *labels) batch(b record.Batch) string {
	var s strings.Builder
	fmt.Fprintf(&s, "%d-%d epoch %d attributes %d times %s %s", b.BaseOffset(), b.LastOffset(), b.PartitionLeaderEpoch(), b.Attributes(),
		l.integer("", b.BaseTimestamp()), l.integer("", b.MaxTimestamp()))
	if b.HasProducerID() {
		fmt.Fprintf(&s, " producer %s/%d/%d", l.producer(b.ProducerID()), b.ProducerEpoch(), b.BaseSequence())
	}
	if err := b.CheckCRC(); err != nil {
		s.WriteString(" bad crc")
	}
	it, err := b.Iterate(&record.Scratch{})
	if err != nil {
		return s.String() + " " + err.Error()
	}
	for n := 0; it.Next(); n++ {
		if n == 10 {
			fmt.Fprintf(&s, " … of %d", b.Count())
			break
		}
		r := &it.Record
		value := r.Value
		if len(value) > 20 {
			value = value[:20]
		}
		fmt.Fprintf(&s, " %s=%s@%s", l.bytes(r.Key), l.bytes(value), l.integer("", r.Timestamp))
	}
	if err := it.Err(); err != nil {
		s.WriteString(" " + err.Error())
	}
	return s.String()
}

// keepConfigs leaves, of the settings of a new topic, those that the request or a test is about: what all
// settings are is asked by the scenario "configs", once.
func (l *labels) keepConfigs(all []protocol.CreateTopicsResponseCreatableTopicConfigs) {
	for i := range all {
		if all[i].ConfigSource != sourceTopic {
			all[i].Value = nil
		}
	}
}

// sourceTopic is the source of a setting that the topic itself has.
const sourceTopic = 1
