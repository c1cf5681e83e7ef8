package server

import (
	"time"

	"github.com/naru-stream/naru/internal/broker/network"
	"github.com/naru-stream/naru/internal/broker/sharefetch"
	"github.com/naru-stream/naru/internal/broker/sharepartition"
	"github.com/naru-stream/naru/internal/broker/sharesession"
	"github.com/naru-stream/naru/internal/kafka/protocol"
)

// shareFetch acquires records for a member of a share group, and takes in what the
// member says about those it has acquired before (KIP-932).
func (b *Broker) shareFetch(c *call, r *protocol.ShareFetchRequest) {
	code := b.checkShareRequest(r.GroupId, r.MemberId)
	if code == protocol.None && r.IsRenewAck && (r.MaxBytes != 0 || r.MinBytes != 0 || r.MaxRecords != 0 || r.MaxWaitMs != 0) {
		code = protocol.InvalidRequest
	}
	if code != protocol.None {
		c.respond(&protocol.ShareFetchResponse{ErrorCode: code})
		return
	}
	f := &shareFetchCall{call: *c, request: r, acks: b.newShareAcks(c.version() >= 2, r.IsRenewAck)}
	ask := sharesession.Fetch{
		Key: sharesession.Key{Group: *r.GroupId, Member: *r.MemberId}, Epoch: r.ShareSessionEpoch,
		Conn: c.req.Conn().ID(), MaxSessions: int(b.Static.Int32("group.share.max.share.sessions")),
	}
	for i := range r.Topics {
		for j := range r.Topics[i].Partitions {
			p := &r.Topics[i].Partitions[j]
			at := sharesession.Partition{Topic: r.Topics[i].TopicId, Index: p.PartitionIndex}
			ask.Added = append(ask.Added, at)
			if len(p.AcknowledgementBatches) > 0 {
				f.acks.add(at, ackBatches(p.AcknowledgementBatches))
			}
		}
	}
	for i := range r.ForgottenTopicsData {
		for _, index := range r.ForgottenTopicsData[i].Partitions {
			ask.Forgotten = append(ask.Forgotten, sharesession.Partition{Topic: r.ForgottenTopicsData[i].TopicId, Index: index})
		}
	}
	ask.Acknowledges = len(f.acks.asked) > 0
	session, code := b.shareSessions.Begin(&ask)
	switch code {
	case protocol.None:
		f.session = session
		f.start()
	case protocol.ShareSessionLimitReached:
		f.refuseLater(code)
	default:
		c.respond(&protocol.ShareFetchResponse{ErrorCode: code})
	}
}

// maxShareMemberID is the length of a UUID as text.
const maxShareMemberID = 36

// checkShareRequest refuses what names no group and member.
func (b *Broker) checkShareRequest(group, member *string) protocol.ErrorCode {
	switch {
	case !b.servesShareGroups():
		return protocol.UnsupportedVersion
	case group == nil, member == nil, *member == "", len(*member) > maxShareMemberID:
		return protocol.InvalidRequest
	}
	return protocol.None
}

func ackBatches(batches []protocol.ShareFetchRequestAcknowledgementBatch) []sharepartition.AckBatch {
	out := make([]sharepartition.AckBatch, len(batches))
	for i, a := range batches {
		out[i] = sharepartition.AckBatch{First: a.FirstOffset, Last: a.LastOffset, Types: a.AcknowledgeTypes}
	}
	return out
}

// shareFetchCall is one ShareFetch request from its arrival to its answer.
type shareFetchCall struct {
	call
	request *protocol.ShareFetchRequest
	session *sharesession.Context
	acks    *shareAcks
	fetch   sharefetch.Fetch
	results []sharefetch.Result
}

// refuseLater refuses a member after its patience has ended, so that it does not ask
// again at once.
func (f *shareFetchCall) refuseLater(code protocol.ErrorCode) {
	timer := f.broker.Timer
	e := timer.After(time.Duration(max(f.request.MaxWaitMs, 0))*time.Millisecond, func() {
		f.respond(&protocol.ShareFetchResponse{ErrorCode: code})
	})
	f.req.OnClose(func() {
		if timer.Cancel(e) {
			f.req.NoResponse()
		}
	})
}

// start acknowledges and fetches; the answer waits for both.
func (f *shareFetchCall) start() {
	b, r := f.broker, f.request
	if f.session.FirstOfConn {
		conn := f.req.Conn()
		conn.OnClose(func() { b.endShareSessions(conn.ID()) })
	}
	f.acks.finish = f.answer
	f.acks.begin() // the fetch
	f.acks.start(f.session.Key)
	if r.ShareSessionEpoch == sharesession.FinalEpoch || r.IsRenewAck || len(f.session.Partitions) == 0 || r.MaxRecords == 0 || r.MaxBytes == 0 {
		f.acks.done()
		return
	}
	maxBytes := max(min(int64(r.MaxBytes), b.fetchMaxBytes), 0)
	f.fetch = sharefetch.Fetch{
		Group: f.session.Key.Group, Member: f.session.Key.Member, Partitions: rotate(f.session.Partitions, r.ShareSessionEpoch),
		MaxWait: time.Duration(r.MaxWaitMs) * time.Millisecond, MinBytes: min(int64(r.MinBytes), maxBytes), MaxBytes: maxBytes,
		MaxRecords: r.MaxRecords, BatchSize: r.BatchSize, Exact: r.ShareAcquireMode == recordLimitMode,
		Done: func(results []sharefetch.Result) {
			f.results = results
			f.acks.done()
		},
	}
	b.Shares.Start(&f.fetch)
	f.req.OnClose(func() {
		go func() {
			if f.fetch.Abandon() {
				f.acks.done()
			}
		}()
	})
}

// recordLimitMode is the mode in which never more records are acquired than asked for
// (KIP-1206).
const recordLimitMode = 1

// rotate begins with another partition in each epoch of a session, so that a limit
// starves none.
func rotate(partitions []sharesession.Partition, epoch int32) []sharesession.Partition {
	if epoch < 1 || len(partitions) < 2 {
		return partitions
	}
	at := int(epoch) % len(partitions)
	return append(partitions[at:len(partitions):len(partitions)], partitions[:at]...)
}

// endShareSessions ends the sessions that were opened over a connection.
func (b *Broker) endShareSessions(conn uint64) {
	for _, closed := range b.shareSessions.Disconnected(conn) {
		b.Shares.Ended(closed)
	}
}

// answer writes the response around the records, which stay in their files.
func (f *shareFetchCall) answer() {
	response := &protocol.ShareFetchResponse{AcquisitionLockTimeoutMs: int32(f.broker.shareSettings(f.session.Key.Group).LockMs)}
	out := shareAnswer{broker: f.broker, call: &f.call, response: response, topics: map[protocol.UUID]int{}}
	for i := range f.results {
		out.fetched(&f.results[i], f.session, f.acks)
	}
	f.acks.rest(out.acknowledged)
	response.NodeEndpoints = out.endpoints
	head := protocol.AppendResponseHeader(f.req.BufferFor(64+128*len(f.results)), f.header.APIKey, f.version(), f.header.CorrelationID)
	body, cuts := response.AppendAround(head, f.version(), nil, func(i, j int) int { return int(out.sources[i][j].size()) })
	var inserts []network.Insert
	for i := range out.sources {
		for _, source := range out.sources[i] {
			if source.size() > 0 {
				inserts = append(inserts, network.Insert{At: cuts[len(inserts)].At, Range: source.Records})
			}
		}
	}
	if f.request.ShareSessionEpoch == sharesession.FinalEpoch {
		f.broker.closeShareSession(f.session.Key)
	}
	f.req.Respond(body, inserts...)
}

// closeShareSession ends a session; what its member has acquired is given back.
func (b *Broker) closeShareSession(k sharesession.Key) {
	if closed, ok := b.shareSessions.Close(k); ok {
		b.Shares.Ended(closed)
	}
}
