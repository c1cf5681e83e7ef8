package kcat

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
)

func TestVerifyFindsWhatIsMissingDoubledSwappedOrChanged(t *testing.T) {
	var lines []string
	for i := range 6 {
		lines = append(lines, fmt.Sprintf("%d\t%d\tkey-%d\t%s", i%2, i/2, i, value(i)))
	}
	if err := verify(strings.Join(lines, "\n")+"\n", 6, 2); err != nil {
		t.Fatalf("correct records: %v", err)
	}
	for name, change := range map[string]func([]string) []string{
		"missing": func(l []string) []string { return l[:5] },
		"doubled": func(l []string) []string { return append(l, l[5]) },
		"swapped": func(l []string) []string { l[0], l[2] = l[2], l[0]; return l },
		"changed": func(l []string) []string { l[3] = strings.Replace(l[3], "naru", "nary", 1); return l },
	} {
		if err := verify(strings.Join(change(append([]string{}, lines...)), "\n")+"\n", 6, 2); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

func TestCompareLinesFindsWhatIsMissingSwappedOrChanged(t *testing.T) {
	content := []byte("one\ntwo\nthree\nfour\n")
	lines := bytes.Split(bytes.TrimSuffix(content, []byte("\n")), []byte("\n"))
	place := map[string]int{"one": 0, "two": 1, "three": 2, "four": 3}
	for name, c := range map[string]struct {
		out string
		ok  bool
	}{
		"correct":          {"1\t0\ttwo\n0\t0\tone\n0\t1\tthree\n1\t1\tfour\n", true},
		"missing":          {"1\t0\ttwo\n0\t0\tone\n0\t1\tthree\n", false},
		"swapped":          {"1\t0\tfour\n0\t0\tone\n0\t1\tthree\n1\t1\ttwo\n", false},
		"changed":          {"1\t0\ttwo\n0\t0\tone\n0\t1\tthre\n1\t1\tfour\n", false},
		"doubled":          {"1\t0\ttwo\n0\t0\tone\n0\t1\tone\n0\t2\tthree\n1\t1\tfour\n", false},
		"offset left out":  {"1\t0\ttwo\n0\t0\tone\n0\t2\tthree\n1\t1\tfour\n", false},
		"partition unused": {"0\t0\tone\n0\t1\ttwo\n0\t2\tthree\n0\t3\tfour\n", false},
	} {
		if err := compareLines([]byte(c.out), content, lines, place, 2); (err == nil) != c.ok {
			t.Errorf("%s: %v", name, err)
		}
	}
}
