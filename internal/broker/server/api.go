package server

import "github.com/naru-stream/naru/internal/kafka/protocol"

// row is one API that is served.
type row struct {
	key protocol.APIKey
	// min and max are the versions advertised; served is the lowest version that is
	// answered. They differ for Produce only: clients take a minimum above 0 for "no
	// compression" and silently store uncompressed batches (KAFKA-18659).
	min, served, max int16
	handle           func(*Broker, *call)
}

// table returns the row of every API served.
func table() []row {
	return append(unsecured(), []row{
		{protocol.KeyProduce, 0, 3, 13, (*Broker).produce},
		{protocol.KeyFetch, 4, 4, 18, (*Broker).fetch},
		{protocol.KeyListOffsets, 1, 1, 11, inline((*Broker).listOffsets)},
		{protocol.KeyMetadata, 0, 0, 13, inline((*Broker).metadata)},
		{protocol.KeyOffsetCommit, 2, 2, 10, later((*Broker).offsetCommit)},
		{protocol.KeyOffsetFetch, 1, 1, 10, later((*Broker).offsetFetch)},
		{protocol.KeyFindCoordinator, 0, 0, 6, inline((*Broker).findCoordinator)},
		{protocol.KeyJoinGroup, 0, 0, 9, later((*Broker).joinGroup)},
		{protocol.KeyHeartbeat, 0, 0, 4, later((*Broker).heartbeat)},
		{protocol.KeyLeaveGroup, 0, 0, 5, later((*Broker).leaveGroup)},
		{protocol.KeySyncGroup, 0, 0, 5, later((*Broker).syncGroup)},
		{protocol.KeyDescribeGroups, 0, 0, 6, later((*Broker).describeGroups)},
		{protocol.KeyListGroups, 0, 0, 5, later((*Broker).listGroups)},
		{protocol.KeyApiVersions, 0, 0, 4, inline((*Broker).apiVersions)},
		{protocol.KeyCreateTopics, 2, 2, 7, inline((*Broker).createTopics)},
		{protocol.KeyDeleteTopics, 1, 1, 6, inline((*Broker).deleteTopics)},
		{protocol.KeyDeleteRecords, 0, 0, 2, inline((*Broker).deleteRecords)},
		{protocol.KeyInitProducerId, 0, 0, 5, later((*Broker).initProducerID)},
		{protocol.KeyOffsetForLeaderEpoch, 2, 2, 4, inline((*Broker).offsetForLeaderEpoch)},
		{protocol.KeyAddPartitionsToTxn, 0, 0, 5, later((*Broker).addPartitionsToTxn)},
		{protocol.KeyAddOffsetsToTxn, 0, 0, 4, later((*Broker).addOffsetsToTxn)},
		{protocol.KeyEndTxn, 0, 0, 5, later((*Broker).endTxn)},
		{protocol.KeyWriteTxnMarkers, 1, 1, 2, later((*Broker).writeTxnMarkers)},
		{protocol.KeyTxnOffsetCommit, 0, 0, 5, later((*Broker).txnOffsetCommit)},
		{protocol.KeyDescribeConfigs, 1, 1, 4, inline((*Broker).describeConfigs)},
		{protocol.KeyAlterConfigs, 0, 0, 2, inline((*Broker).alterConfigs)},
		{protocol.KeyAlterReplicaLogDirs, 1, 1, 2, inline((*Broker).alterReplicaLogDirs)},
		{protocol.KeyDescribeLogDirs, 1, 1, 5, inline((*Broker).describeLogDirs)},
		{protocol.KeyCreatePartitions, 0, 0, 3, inline((*Broker).createPartitions)},
		{protocol.KeyDeleteGroups, 0, 0, 2, later((*Broker).deleteGroups)},
		{protocol.KeyElectLeaders, 0, 0, 2, inline((*Broker).electLeaders)},
		{protocol.KeyIncrementalAlterConfigs, 0, 0, 1, inline((*Broker).incrementalAlterConfigs)},
		{protocol.KeyAlterPartitionReassignments, 0, 0, 1, inline((*Broker).alterPartitionReassignments)},
		{protocol.KeyListPartitionReassignments, 0, 0, 0, inline((*Broker).listPartitionReassignments)},
		{protocol.KeyOffsetDelete, 0, 0, 0, later((*Broker).offsetDelete)},
		{protocol.KeyDescribeQuorum, 0, 0, 2, inline((*Broker).describeQuorum)},
		{protocol.KeyUpdateFeatures, 0, 0, 2, inline((*Broker).updateFeatures)},
		{protocol.KeyDescribeCluster, 0, 0, 2, inline((*Broker).describeCluster)},
		{protocol.KeyDescribeProducers, 0, 0, 0, inline((*Broker).describeProducers)},
		{protocol.KeyUnregisterBroker, 0, 0, 0, inline((*Broker).unregisterBroker)},
		{protocol.KeyDescribeTransactions, 0, 0, 0, later((*Broker).describeTransactions)},
		{protocol.KeyListTransactions, 0, 0, 2, later((*Broker).listTransactions)},
		{protocol.KeyConsumerGroupHeartbeat, 0, 0, 1, later((*Broker).consumerGroupHeartbeat)},
		{protocol.KeyConsumerGroupDescribe, 0, 0, 1, later((*Broker).consumerGroupDescribe)},
		{protocol.KeyGetTelemetrySubscriptions, 0, 0, 0, inline((*Broker).getTelemetrySubscriptions)},
		{protocol.KeyPushTelemetry, 0, 0, 0, inline((*Broker).pushTelemetry)},
		{protocol.KeyListConfigResources, 0, 0, 1, inline((*Broker).listConfigResources)},
		{protocol.KeyDescribeTopicPartitions, 0, 0, 0, inline((*Broker).describeTopicPartitions)},
		{protocol.KeyShareGroupHeartbeat, 1, 1, 1, later((*Broker).shareGroupHeartbeat)},
		{protocol.KeyShareGroupDescribe, 1, 1, 1, later((*Broker).shareGroupDescribe)},
		{protocol.KeyShareFetch, 1, 1, 2, later((*Broker).shareFetch)},
		{protocol.KeyShareAcknowledge, 1, 1, 2, later((*Broker).shareAcknowledge)},
		{protocol.KeyInitializeShareGroupState, 0, 0, 0, later((*Broker).initializeShareGroupState)},
		{protocol.KeyReadShareGroupState, 0, 0, 0, later((*Broker).readShareGroupState)},
		{protocol.KeyWriteShareGroupState, 0, 0, 1, later((*Broker).writeShareGroupState)},
		{protocol.KeyDeleteShareGroupState, 0, 0, 0, later((*Broker).deleteShareGroupState)},
		{protocol.KeyReadShareGroupStateSummary, 0, 0, 1, later((*Broker).readShareGroupStateSummary)},
		{protocol.KeyDescribeShareGroupOffsets, 0, 0, 1, later((*Broker).describeShareGroupOffsets)},
		{protocol.KeyAlterShareGroupOffsets, 0, 0, 0, later((*Broker).alterShareGroupOffsets)},
		{protocol.KeyDeleteShareGroupOffsets, 0, 0, 0, later((*Broker).deleteShareGroupOffsets)},
		{protocol.KeyStreamsGroupHeartbeat, 0, 0, 0, later((*Broker).streamsGroupHeartbeat)},
		{protocol.KeyStreamsGroupDescribe, 0, 0, 0, later((*Broker).streamsGroupDescribe)},
	}...)
}
