package config

// naruKeys: Naru's own settings. A room that needs a limit of its own adds it
// here.
var naruKeys = []Key{
	{Name: "naru.durability", Type: String, Default: "auto", Valid: durabilityMode(),
		Doc: "When a record counts as safe: os answers once the operating system has it, and syncs in the background; group answers after an fdatasync that all waiting requests share; auto is group for topics whose effective min.insync.replicas is 1 and for internal topics, os for the others. A single topic asks for group with flush.messages=1."},
	{Name: "naru.max.inflight.requests.per.connection", Type: Int, Default: "64", Valid: between(1, 4096),
		Doc: "How many requests of one connection may wait for their answers at once; reading from the connection pauses while there are more."},
	{Name: "naru.request.read.timeout.ms", Type: Long, Default: "60000", Valid: atLeast(1),
		Doc: "Milliseconds a connection has to deliver the rest of a request once its first byte has arrived; a slower one is closed."},
	{Name: "naru.response.write.timeout.ms", Type: Long, Default: "60000", Valid: atLeast(1),
		Doc: "Milliseconds a client has to take any part of an answer that waits to be sent; a slower one is closed."},
	{Name: "naru.inflight.bytes", Type: Long, Default: "-1", Valid: atLeast(-1),
		Doc: "Bytes of requests that all connections together may hold in memory, counted as they arrive; reading pauses at the limit. -1 takes a quarter of the memory the process may use."},
	{Name: "naru.disk.reserve.bytes", Type: Long, Default: "16777216", Valid: atLeast(0),
		Doc: "Bytes set aside in each log directory so that a node whose disk is full can still delete, shut down and start. 0 sets nothing aside."},
	{Name: "naru.disk.min.free.bytes", Type: Long, Default: "67108864", Valid: atLeast(0),
		Doc: "When a log directory's file system has fewer bytes free, what clients produce is refused with a retriable storage error while reads, deletion and retention go on, as do groups and transactions until an eighth of it is left; all is taken again when there is room. 0 waits until the disk is full."},
}
