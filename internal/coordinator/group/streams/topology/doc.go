// Package topology is what an application of Kafka Streams is made of, as the group
// coordinator sees it: subtopologies, the topics that they read, and the internal topics
// through which they talk (repartition) and remember (changelog).
//
// A Topology is what a member sent. Configure holds it against the topics that there
// are: how many tasks every subtopology has, how many partitions every internal topic
// needs, which internal topics are missing, or why it cannot be run.
//
//	repartition topic   as many partitions as the topology says, else as the largest
//	                    source of the subtopology that writes to it, else as the topics
//	                    it is joined with (copartition group)
//	changelog topic     as many as the largest source of its subtopology
//	tasks               as many as the largest source of the subtopology
//
// Neighbours: internal/kafka/coordrecord has the record in which a topology is kept;
// internal/coordinator/group/streams is the group that runs it.
//
// Invariants: a Topology does not change and keeps no memory of a request; Configure
// gives the same answer for the same topics.
package topology
