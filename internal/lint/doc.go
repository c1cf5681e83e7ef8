// Package lint holds the tests about the code itself: which package may import
// which, how long files and functions may be, what every package and exported
// name must say about itself, and what the pure rooms must not touch.
//
// The tests read and parse the source files themselves. A test that asked the go
// command instead would be answered from the test cache after the tree changed.
//
// Neighbours: none. Nothing imports this package and it imports nothing of Naru.
package lint
