// Package group is the group coordinator: the memory of who consumes what and how
// far, kept in __consumer_offsets.
//
// A Coordinator is what the server talks to: one method per API, which takes the
// request and gives the response to a callback, later and never blocking. It finds the
// partition of the group (PartitionFor), and a partition's groups and offsets are a
// core, a pure state machine that the runtime feeds with events one at a time.
//
//	server ─▶ Coordinator ─▶ runtime.Submit(partition) ─▶ core ─┬▶ classic.Group   (members
//	                                                            ├▶ consumer.Group   of groups)
//	                                                            ├▶ share.Group
//	                                                            ├▶ streams.Group
//	                                                            └▶ offsets.Store   (offsets)
//
// A request about several groups is cut into one call per partition and put together
// again when the last one is answered.
//
// A group of consumers changes its kind with the first and the last member that uses the
// consumer protocol: upgrade and downgrade in core_consumer.go.
//
// The state of share partitions is kept by the share coordinator, the Persister. It is
// asked after what the group decided is committed, from the Reply of the call, and its
// answer comes back to the group as another call: api_share.go.
//
// Neighbours: classic is one group of the classic protocol, consumer one of the consumer
// protocol (KIP-848), share one share group (KIP-932), streams one streams group
// (KIP-1071), offsets the committed offsets, all behind the interface memberGroup.
// internal/quorum/metadata tells which topics there are. internal/coordinator/runtime
// runs the core, writes its records and lets answers wait until they are committed.
//
// Invariants: a core touches no clock, lock or randomness; a group id names one group
// of one kind; every group that has an offset exists; what a core remembers of a
// Stable or Empty group, and every offset, is what a replay of its records gives.
package group
