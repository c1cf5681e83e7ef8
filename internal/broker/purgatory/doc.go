// Package purgatory keeps operations that wait: a produce until its replicas
// have it, a fetch until there is enough to read, a join until the group is
// complete. Thousands of them wait at once, and most end by their condition long
// before their time is up, so starting and cancelling a wait are O(1) and no
// goroutine belongs to a waiting operation.
//
// One noun: [Timer], a hierarchical timing wheel with a resolution of one millisecond
// that all of a node's waits share. Who waits makes sure that it ends once, by its
// condition or by its time.
//
// Neighbours: broker/server, broker/sharefetch and broker/deadletter let their operations
// wait here, and the coordinators take their timers from it. The package knows nothing of what waits.
//
// Invariants:
//   - a callback runs without any lock of this package, at most once, never
//     before its time and never after a Cancel that returned true;
//   - while nothing waits, no timer of the runtime is armed for long: at most one
//     stale wake-up is left;
//   - time comes from a [Clock], so that simulated time works.
package purgatory
