// Package assert holds the checks of invariants that the code itself must keep.
//
// It is the only place that may panic: a failed assertion is a bug in Naru,
// never a reaction to input. Input is answered with errors. Checks are cheap and
// always on; a check that costs more than a comparison belongs in a test.
//
// Neighbours: every other package may import it; it imports only the standard
// library.
package assert

import "fmt"

// That panics with the formatted message unless ok holds. The message names the
// broken invariant and the values that broke it.
func That(ok bool, format string, args ...any) {
	if !ok {
		panic("naru: broken invariant: " + fmt.Sprintf(format, args...))
	}
}

// NoError panics if err is not nil. It is for calls that cannot go wrong with
// the arguments they are given, such as encoding into memory.
func NoError(err error, doing string) {
	if err != nil {
		panic("naru: broken invariant: " + doing + ": " + err.Error())
	}
}
