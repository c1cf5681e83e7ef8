// Package runtimetest is the world in which coordinators are tested: a clock that
// stands still until it is told to move, goroutines that run when they are told to, and
// a log in memory whose high watermark can be held back and whose writes can fail.
//
// Everything happens on the caller's goroutine in an order that depends on nothing but
// the calls, so that a seed replays a test.
//
// Neighbours: it implements runtime.Log and runtime.Clock for the tests of runtime
// and of the coordinators.
package runtimetest
