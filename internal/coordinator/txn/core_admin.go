package txn

import (
	"maps"
	"regexp"
	"slices"

	"github.com/naru-stream/naru/internal/coordinator/runtime"
	"github.com/naru-stream/naru/internal/kafka/protocol"
)

type describeCall = runtime.Exchange[string, protocol.DescribeTransactionsResponseTransactionState]

func (c *core) describe(e env, call *describeCall) {
	out := &call.Response
	out.TransactionalId = *call.Request
	defer e.out.Answer(call)
	t := c.ids[*call.Request]
	if t == nil {
		out.ErrorCode = protocol.TransactionalIdNotFound
		return
	}
	out.TransactionState, out.TransactionTimeoutMs, out.TransactionStartTimeMs = t.state.String(), t.timeoutMs, t.startMs
	out.ProducerId, out.ProducerEpoch = t.producerID, t.epoch
	for _, topic := range topics(t.sorted()) {
		out.Topics = append(out.Topics, protocol.DescribeTransactionsResponseTopicData{
			Topic: topic.Topic, Partitions: topic.PartitionIds,
		})
	}
}

func refuseDescribe(id *string, r *protocol.DescribeTransactionsResponseTransactionState, code protocol.ErrorCode) {
	r.SetDefaults()
	r.TransactionalId, r.ErrorCode = *id, code
}

// filter is what a ListTransactions request wants to see.
type filter struct {
	states     []string
	producers  []int64
	longerMs   int64 // -1: any
	idPattern  *regexp.Regexp
	anyPattern bool
}

type listCall = runtime.Exchange[filter, protocol.ListTransactionsResponse]

func (c *core) list(e env, call *listCall) {
	for _, id := range slices.Sorted(maps.Keys(c.ids)) {
		if t := c.ids[id]; call.Request.passes(t, e.nowMs) {
			call.Response.TransactionStates = append(call.Response.TransactionStates, protocol.ListTransactionsResponseTransactionState{
				TransactionalId: id, ProducerId: t.producerID, TransactionState: t.state.String(),
			})
		}
	}
	e.out.Answer(call)
}

func (f *filter) passes(t *transaction, nowMs int64) bool {
	switch {
	case len(f.states) > 0 && !slices.Contains(f.states, t.state.String()),
		len(f.producers) > 0 && !slices.Contains(f.producers, t.producerID),
		f.longerMs >= 0 && (t.startMs < 0 || nowMs-t.startMs <= f.longerMs):
		return false
	}
	return f.anyPattern || f.idPattern.MatchString(t.id)
}

func refuseList(_ *filter, r *protocol.ListTransactionsResponse, code protocol.ErrorCode) {
	r.SetDefaults()
	r.ErrorCode = code
}
