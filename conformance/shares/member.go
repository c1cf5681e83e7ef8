package main

import (
	"bufio"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/naru-stream/naru/internal/kafka/record"
)

const (
	topic = "work"
	group = "workers"
	// lockMs is how long a member may keep a record; too late is later.
	lockMs  = 2000
	tooLate = 2500 * time.Millisecond
	// maxDeliveries is the group's limit.
	maxDeliveries = 4
)

// What a member does with a record.
const (
	accept  = "accept"
	release = "release"
	reject  = "reject"
)

// fate tells what is always done with the n-th record: rejected, given back, or neither.
func fate(n int) string {
	switch n % 20 {
	case 0:
		return reject
	case 1:
		return release
	}
	return accept
}

// said is a line that a member prints.
type said struct {
	// Event is "had": these records came; "acks": the broker is told now what was decided
	// about them; "sure": the broker confirmed what was decided
	// about them; "unsure": nobody knows.
	Event string `json:"event"`
	// AtNs is when the poll began that they came with, or when the line was printed.
	AtNs    int64  `json:"at"`
	Records []fact `json:"records"`
}

// fact is a record, the how many-th delivery it is and what the member decides.
type fact struct {
	Partition int32  `json:"p"`
	Offset    int64  `json:"o"`
	N         int    `json:"n"`
	Delivery  int16  `json:"d"`
	As        string `json:"as"`
}

// member takes records, with requests of its own making: a client library reads ahead and
// tells no offsets when acknowledgements are confirmed.
type member struct {
	client *kgo.Client
	rng    *rand.Rand
	out    *bufio.Writer
	id     string

	mu       sync.Mutex
	epoch    int32
	topicID  [16]byte
	assigned []int32

	session   int32   // the next epoch of the share session
	inSession []int32 // the partitions that it has
}

// beMember takes records from the broker at addr until it is killed.
func beMember(addr, seed string) error {
	number, err := strconv.ParseUint(seed, 10, 64)
	if err != nil {
		return err
	}
	client, err := kgo.NewClient(kgo.SeedBrokers(addr), kgo.RetryTimeout(time.Second))
	if err != nil {
		return err
	}
	m := &member{client: client, rng: rand.New(rand.NewPCG(number, 2)), out: bufio.NewWriter(os.Stdout)}
	id := make([]byte, 16)
	for i := range id {
		id[i] = byte(m.rng.Uint32())
	}
	m.id = base64.RawURLEncoding.EncodeToString(id)
	go m.stay()
	for {
		if err := m.work(); err != nil {
			return err
		}
	}
}

// stay keeps the member in the group.
func (m *member) stay() {
	for interval := time.Duration(0); ; time.Sleep(interval) {
		request := kmsg.NewPtrShareGroupHeartbeatRequest()
		request.GroupID, request.MemberID, request.MemberEpoch = group, m.id, m.epoch
		if m.epoch == 0 {
			request.SubscribedTopicNames = []string{topic}
		}
		interval = 100 * time.Millisecond
		answer, err := request.RequestWith(context.Background(), m.client)
		switch {
		case err != nil: // the broker may be down
		case answer.ErrorCode != 0:
			m.epoch = 0 // it was missed for too long
		default:
			m.epoch, interval = answer.MemberEpoch, time.Duration(answer.HeartbeatIntervalMillis)*time.Millisecond
			if a := answer.Assignment; a != nil {
				m.mu.Lock()
				m.assigned = nil
				for _, t := range a.TopicPartitions {
					m.topicID, m.assigned = t.TopicID, append(m.assigned, t.Partitions...)
				}
				m.mu.Unlock()
			}
		}
	}
}

func (m *member) say(event string, at time.Time, facts []fact) error {
	line, err := json.Marshal(said{event, at.UnixNano(), facts})
	if err != nil {
		return err
	}
	fmt.Fprintf(m.out, "%s\n", line)
	return m.out.Flush()
}

// work fetches once and acknowledges what came.
func (m *member) work() error {
	begin := time.Now()
	facts, err := m.fetch()
	if err != nil {
		return err
	}
	if len(facts) == 0 {
		return nil
	}
	if err := m.say("had", begin, facts); err != nil {
		return err
	}
	if m.rng.IntN(30) == 0 {
		time.Sleep(tooLate)
	}
	if err := m.say("acks", time.Now(), facts); err != nil {
		return err
	}
	sure, unsure := m.acknowledge(facts)
	at := time.Now()
	if err := m.say("sure", at, sure); err != nil {
		return err
	}
	return m.say("unsure", at, unsure)
}

// begin begins a new share session, soon.
func (m *member) begin() {
	m.session, m.inSession = 0, nil
	time.Sleep(50 * time.Millisecond)
}

// broker sends a request to the one broker.
func (m *member) broker(request kmsg.Request) (kmsg.Response, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	return m.client.Broker(1).Request(ctx, request)
}

// fetch returns what was acquired, with what the member decides about it.
func (m *member) fetch() ([]fact, error) {
	m.mu.Lock()
	assigned, topicID := m.assigned, m.topicID
	m.mu.Unlock()
	if len(assigned) == 0 {
		time.Sleep(50 * time.Millisecond)
		return nil, nil
	}
	request := kmsg.NewPtrShareFetchRequest()
	request.GroupID, request.MemberID, request.ShareSessionEpoch = kmsg.StringPtr(group), &m.id, m.session
	request.MaxWaitMillis, request.MinBytes, request.MaxBytes, request.MaxRecords, request.BatchSize = 500, 1, 1<<20, 50, 50
	added, gone := kmsg.NewShareFetchRequestTopic(), kmsg.NewShareFetchRequestForgottenTopicsData()
	added.TopicID, gone.TopicID = topicID, topicID
	for _, p := range assigned {
		if !slices.Contains(m.inSession, p) {
			of := kmsg.NewShareFetchRequestTopicPartition()
			of.Partition = p
			added.Partitions = append(added.Partitions, of)
		}
	}
	for _, p := range m.inSession {
		if !slices.Contains(assigned, p) {
			gone.Partitions = append(gone.Partitions, p)
		}
	}
	if len(added.Partitions) > 0 {
		request.Topics = append(request.Topics, added)
	}
	if len(gone.Partitions) > 0 {
		request.ForgottenTopicsData = append(request.ForgottenTopicsData, gone)
	}
	got, err := m.broker(request)
	if err != nil || got.(*kmsg.ShareFetchResponse).ErrorCode != 0 {
		m.begin()
		return nil, nil //nolint:nilerr // the broker may be down, or new: it is asked again
	}
	m.session, m.inSession = m.session+1, assigned
	return m.read(got.(*kmsg.ShareFetchResponse))
}

// read returns the records that were acquired.
func (m *member) read(answer *kmsg.ShareFetchResponse) (facts []fact, err error) {
	for _, t := range answer.Topics {
		for _, p := range t.Partitions {
			if p.ErrorCode != 0 {
				m.begin()
				continue
			}
			for rest := p.Records; len(rest) > 0; {
				var b record.Batch
				if b, rest, err = record.Next(rest); err != nil {
					return nil, err
				}
				it, err := b.Iterate(nil)
				if err != nil {
					return nil, err
				}
				for it.Next() {
					for _, a := range p.AcquiredRecords {
						if r := &it.Record; a.FirstOffset <= r.Offset && r.Offset <= a.LastOffset {
							n, err := strconv.Atoi(string(r.Value))
							if err != nil {
								return nil, fmt.Errorf("a record holds %q: %w", r.Value, err)
							}
							facts = append(facts, fact{p.Partition, r.Offset, n, a.DeliveryCount, m.decide(n)})
						}
					}
				}
				if it.Err() != nil {
					return nil, it.Err()
				}
			}
		}
	}
	return facts, nil
}

func (m *member) decide(n int) string {
	if as := fate(n); as != accept || m.rng.IntN(8) > 0 {
		return as
	}
	return release
}

// acknowledge tells the broker and returns about which records it confirmed that.
func (m *member) acknowledge(facts []fact) (sure, unsure []fact) {
	request := kmsg.NewPtrShareAcknowledgeRequest()
	request.GroupID, request.MemberID, request.ShareSessionEpoch = kmsg.StringPtr(group), &m.id, m.session
	t := kmsg.NewShareAcknowledgeRequestTopic()
	m.mu.Lock()
	t.TopicID = m.topicID
	m.mu.Unlock()
	for _, f := range facts {
		if n := len(t.Partitions); n == 0 || t.Partitions[n-1].Partition != f.Partition {
			p := kmsg.NewShareAcknowledgeRequestTopicPartition()
			p.Partition = f.Partition
			t.Partitions = append(t.Partitions, p)
		}
		b := kmsg.NewShareAcknowledgeRequestTopicPartitionAcknowledgementBatch()
		b.FirstOffset, b.LastOffset = f.Offset, f.Offset
		b.AcknowledgeTypes = []int8{map[string]int8{accept: 1, release: 2, reject: 3}[f.As]}
		p := &t.Partitions[len(t.Partitions)-1]
		p.AcknowledgementBatches = append(p.AcknowledgementBatches, b)
	}
	request.Topics = append(request.Topics, t)
	got, err := m.broker(request)
	if err != nil || got.(*kmsg.ShareAcknowledgeResponse).ErrorCode != 0 {
		m.begin()
		return nil, facts
	}
	m.session++
	confirmed := map[int32]bool{}
	for _, t := range got.(*kmsg.ShareAcknowledgeResponse).Topics {
		for _, p := range t.Partitions {
			confirmed[p.Partition] = p.ErrorCode == 0
		}
	}
	for _, f := range facts {
		if confirmed[f.Partition] {
			sure = append(sure, f)
		} else {
			unsure = append(unsure, f)
		}
	}
	return sure, unsure
}
