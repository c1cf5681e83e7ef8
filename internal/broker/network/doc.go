// Package network is the road's gate: it listens, reads frames, hands them to a
// [Handler] as [Request] and sends the answers in the order of the requests.
//
//	frame   = length int32 (big-endian, of what follows) · header and body
//	request = key int16 · version int16 · correlation id int32 · …
//
// Neighbours: internal/broker/server implements [Handler]; internal/broker/storage
// makes the [vfs.Range] that fetch answers carry. The package does not know what
// a frame means: it looks at its length only, and asks the handler what may be
// pipelined.
//
// # How a connection works
//
// One goroutine a connection reads frame after frame and calls Handle. For requests
// that the handler calls pipelined it does not wait for answers, up to
// Limits.MaxInFlight; any other is handled when all before it are answered. Answers
// leave in the order of the requests, whichever order they are given in. An
// answer given on the reading goroutine with nothing before it is written right
// there, after the frames that have already arrived were handled, so that many
// answers leave in one system call. An answer given elsewhere never makes its
// giver wait for a socket: a writing goroutine is started for it, and it ends
// when nothing is ready.
//
// # Invariants
//
//   - an answer is never older than one that left before it on the same connection,
//     unless both requests were pipelined;
//   - every request is completed exactly once, by Respond, NoResponse or
//     CloseConnection; completing it twice is a broken invariant;
//   - the bytes of a request's frame are valid until it is completed, longer only
//     under [Request.Retain];
//   - memory and the in-flight budget are taken as the bytes of a frame arrive
//     (see budget.go for why this cannot lock up), never as the frame announces;
//   - a connection that waits for its next frame holds no buffer;
//   - no lock is held across a system call, a callback or a channel operation.
package network
