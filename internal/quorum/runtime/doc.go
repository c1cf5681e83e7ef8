// Package runtime runs the controller: one goroutine that takes requests from a
// queue, lets the pure core decide them, writes the records to the metadata log,
// waits until they are durable, publishes the new image and only then answers.
//
//	Submit ──▶ queue ──▶ controller.Core ──▶ metalog.Log ──▶ publish.Publisher
//	   ▲                                         │
//	   └──────────────── answer ◀── durable ◀────┘
//
// Requests that wait while a batch is being written are decided together and
// share the next write. At a start the state is recovered from the newest
// snapshot and the log behind it, and the controller takes office with an epoch
// of its own: the first batch of a start is a LeaderChange record, followed in a
// new cluster by the records it begins with.
//
// Neighbours: packages controller, metalog and publish below; the server and the
// broker's lifecycle submit requests. The quorum is this node alone; a quorum of
// several replaces metalog.Log by a replicated one.
//
// Invariants: an answer is given only after the records it rests on are durable;
// images are published in the order of the log; after an error of the log nothing
// is decided or answered any more, and the node must stop.
package runtime
