package server

import (
	"fmt"

	"github.com/naru-stream/naru/internal/kafka/protocol"
)

// What a DescribeCluster request may ask about (KIP-919).
const (
	brokerEndpoints     = 1
	controllerEndpoints = 2
)

// describeCluster names the cluster and its brokers.
func (b *Broker) describeCluster(c *call, r *protocol.DescribeClusterRequest) protocol.Message {
	response := &protocol.DescribeClusterResponse{}
	response.SetDefaults()
	switch {
	case c.version() >= 1 && r.EndpointType == controllerEndpoints:
		return refuseEndpoints(response, protocol.MismatchedEndpointType,
			"this is a broker's endpoint, controllers are asked at theirs")
	case c.version() >= 1 && r.EndpointType != brokerEndpoints:
		return refuseEndpoints(response, protocol.UnsupportedEndpointType, fmt.Sprintf("endpoint type %d is neither 1 (brokers) nor 2 (controllers)", r.EndpointType))
	}
	response.ClusterId, response.ControllerId = b.ClusterID, b.NodeID
	if r.IncludeClusterAuthorizedOperations {
		response.ClusterAuthorizedOperations = clusterOperations
	}
	for _, node := range b.image().Brokers() {
		e, ok := node.Endpoint(c.req.Conn().Listener().Name)
		if !ok && !node.Fenced || node.Fenced && !r.IncludeFencedBrokers {
			continue
		}
		response.Brokers = append(response.Brokers, protocol.DescribeClusterResponseDescribeClusterBroker{
			BrokerId: node.ID, Host: e.Host, Port: int32(e.Port), Rack: node.Rack, IsFenced: node.Fenced,
		})
	}
	return response
}

func refuseEndpoints(response *protocol.DescribeClusterResponse, code protocol.ErrorCode, text string) protocol.Message {
	response.ErrorCode, response.ErrorMessage = code, &text
	return response
}
