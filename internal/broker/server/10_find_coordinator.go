package server

import (
	"strconv"
	"strings"

	"github.com/naru-stream/naru/internal/coordinator/runtime"
	"github.com/naru-stream/naru/internal/kafka/protocol"
	"github.com/naru-stream/naru/internal/kafka/wire"
	"github.com/naru-stream/naru/internal/quorum/metadata"
)

// Kinds of coordinator a FindCoordinator request may ask for.
const (
	groupCoordinator       = 0
	transactionCoordinator = 1
	shareCoordinator       = 2
)

// findCoordinator names the broker that coordinates each group or transactional id:
// the leader of its partition of an internal topic, which is created when first needed.
func (b *Broker) findCoordinator(c *call, r *protocol.FindCoordinatorRequest) protocol.Message {
	response := &protocol.FindCoordinatorResponse{}
	if c.version() >= 4 {
		for _, key := range r.CoordinatorKeys {
			node, endpoint, err := b.coordinatorOf(c, r.KeyType, key)
			response.Coordinators = append(response.Coordinators, protocol.FindCoordinatorResponseCoordinator{
				Key: key, NodeId: node, Host: endpoint.Host, Port: portOf(endpoint, err),
				ErrorCode: protocol.CodeOf(err), ErrorMessage: errorMessage(err),
			})
		}
		return response
	}
	node, endpoint, err := b.coordinatorOf(c, r.KeyType, r.CoordinatorKey)
	response.NodeId, response.Host, response.Port = node, endpoint.Host, portOf(endpoint, err)
	response.ErrorCode, response.ErrorMessage = protocol.CodeOf(err), errorMessage(err)
	return response
}

// isShareKey tells whether a key is of the form group:topicId:partition.
func isShareKey(key string) bool {
	parts := strings.Split(key, ":")
	n := len(parts)
	if n < 3 || len(key) == len(parts[n-1])+len(parts[n-2])+2 {
		return false
	}
	if _, err := wire.ParseUUID(parts[n-2]); err != nil {
		return false
	}
	index, err := strconv.ParseInt(parts[n-1], 10, 32)
	return err == nil && index >= 0
}

// portOf returns -1, not 0, where there is no coordinator, as Kafka.
func portOf(e metadata.Endpoint, err error) int32 {
	if err != nil {
		return -1
	}
	return int32(e.Port)
}

func (b *Broker) coordinatorOf(c *call, kind int8, key string) (node int32, endpoint metadata.Endpoint, err error) {
	none := metadata.Endpoint{Port: 0}
	var name string
	switch {
	case kind == groupCoordinator:
		name = offsetsTopic
	case kind == transactionCoordinator && key != "":
		name = transactionsTopic
	case kind == shareCoordinator && isShareKey(key):
		name = shareStateTopic
	default:
		return -1, none, protocol.InvalidRequest
	}
	topic, err := b.ensureInternalTopic(name)
	if err != nil {
		return -1, none, protocol.CoordinatorNotAvailable
	}
	partition, ok := topic.Partition(runtime.PartitionFor(key, int32(topic.PartitionCount())))
	if !ok || partition.Leader < 0 {
		return -1, none, protocol.CoordinatorNotAvailable
	}
	broker := b.image().Broker(partition.Leader)
	if broker == nil {
		return -1, none, protocol.CoordinatorNotAvailable
	}
	endpoint, ok = broker.Endpoint(c.req.Conn().Listener().Name)
	if !ok {
		return -1, none, protocol.CoordinatorNotAvailable
	}
	return broker.ID, endpoint, nil
}
