package runtime

import "github.com/naru-stream/naru/internal/kafka/protocol"

// codeFor says what a client is told when its records could not be written, the
// way Kafka's coordinators translate the errors of the log.
func codeFor(err error) protocol.ErrorCode {
	switch code := protocol.CodeOf(err); code {
	case protocol.UnknownTopicOrPartition, protocol.NotEnoughReplicas,
		protocol.NotEnoughReplicasAfterAppend, protocol.RequestTimedOut:
		return protocol.CoordinatorNotAvailable
	case protocol.NotLeaderOrFollower, protocol.KafkaStorageError, protocol.FencedLeaderEpoch:
		return protocol.NotCoordinator
	case protocol.MessageTooLarge, protocol.RecordListTooLarge, protocol.InvalidFetchSize:
		return protocol.UnknownServerError
	default:
		return code
	}
}
