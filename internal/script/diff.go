package script

import (
	"fmt"
	"strings"
)

// above is how many equal lines are shown above what differs.
const above = 3

// diff returns the lines in which two texts differ, or nothing if they do not: with - what
// only want has, with + what only got has.
func diff(want, got string) string {
	if want == got {
		return ""
	}
	a, b := strings.Split(want, "\n"), strings.Split(got, "\n")
	common := commonLines(a, b)
	var out strings.Builder
	shown := 0 // lines of a that are shown or need not be
	show := func(i int) {
		for k := max(shown, i-above); k < i; k++ {
			if k > shown && k == i-above {
				fmt.Fprintf(&out, "line %d:\n", k+1)
			}
			fmt.Fprintf(&out, "  %s\n", a[k])
		}
		shown = i
	}
	for i, j := 0, 0; i < len(a) || j < len(b); {
		switch {
		case i < len(a) && j < len(b) && a[i] == b[j]:
			i, j = i+1, j+1
		case j == len(b) || i < len(a) && common[i+1][j] >= common[i][j+1]:
			show(i)
			fmt.Fprintf(&out, "- %s\n", a[i])
			i++
			shown = i
		default:
			show(i)
			fmt.Fprintf(&out, "+ %s\n", b[j])
			j++
		}
	}
	return out.String()
}

// commonLines returns at [i][j] how many lines the rests of a from i and of b from j have
// in common, in order.
func commonLines(a, b []string) [][]int32 {
	n := make([][]int32, len(a)+1)
	for i := range n {
		n[i] = make([]int32, len(b)+1)
	}
	for i := len(a) - 1; i >= 0; i-- {
		for j := len(b) - 1; j >= 0; j-- {
			if a[i] == b[j] {
				n[i][j] = n[i+1][j+1] + 1
			} else {
				n[i][j] = max(n[i+1][j], n[i][j+1])
			}
		}
	}
	return n
}
