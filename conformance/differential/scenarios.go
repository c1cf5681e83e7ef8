package differential

// scenarios returns all scenarios in the order in which they run.
func scenarios() []scenario {
	return []scenario{
		{"cluster", allTopics},
		{"versions", apiVersions},
		{"produce", produce},
		{"producer", producer},
		{"internal", produceInternal},
		{"fetch", fetch},
		{"sessions", sessions},
		{"offsets", listOffsets},
		{"epochs", leaderEpochs},
		{"delete", deleteRecords},
		{"metadata", metadata},
		{"pages", topicPartitions},
		{"dirs", logDirs},
		{"create", createTopics},
		{"remove", deleteTopics},
		{"partitions", createPartitions},
		{"configs", configs},
		{"incremental", incremental},
		{"alter", alterConfigs},
		{"contradictions", contradictions},
		{"life", groupLife},
		{"commits", offsets},
		{"static", statics},
		{"groups", groupAdmin},
		{"joins", joins},
		{"ids", producerIDs},
		{"unsecured", unsecured},
		{"shares", shares},
		{"streams-forms", streamsForms},
		{"streams-life", streamsLife},
	}
}
