// Package script plays the data-driven tests that lie in testdata/*.txt beside the
// code: what is done, and below it what came of it.
//
//	# A line that starts with # is a comment.
//	join a session=10000 topics=t,u
//	  a joined member=a-1 generation=1
//	pass 3000
//
// A line is a step: the name of an operation and what it works with. The lines below
// it that are indented by two blanks are all that came of it, in order; none may be.
// Comments and empty lines stay where they are. The steps of one script build on each
// other, scripts know nothing of each other.
//
// What the operations are is for the test to say, at the function it gives to [Run], or to
// [RunInBubble] if time is to pass in no time. Where their arguments are words and
// key=value pairs, [Parse] reads them.
//
// A script that goes another way than it says fails with the difference. After a change
// that was meant to make one,
//
//	go test ./internal/the/package -update
//
// writes down what happens now, and git diff shows what is to be reviewed. [Golden] does
// the same for any other file that a test makes.
//
// The package is imported by tests only. It stands on nothing of Naru.
package script
