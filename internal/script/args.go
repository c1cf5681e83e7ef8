package script

import (
	"slices"
	"strconv"
	"strings"
	"testing"
)

// Args are the arguments of a step: words, and key=value pairs. A step whose arguments
// do not fit ends its test.
type Args struct {
	testing.TB
	// Words are the arguments without =, in order.
	Words []string
	// Named are the others.
	Named map[string]string
}

// Parse reads the arguments of a step.
func Parse(t testing.TB, text string) Args {
	a := Args{t, nil, map[string]string{}}
	for _, word := range strings.Fields(text) {
		if key, value, ok := strings.Cut(word, "="); ok {
			a.Named[key] = value
		} else {
			a.Words = append(a.Words, word)
		}
	}
	return a
}

// Has tells whether the word is among the arguments.
func (a Args) Has(word string) bool { return slices.Contains(a.Words, word) }

// Str returns the value of key, or otherwise.
func (a Args) Str(key, otherwise string) string {
	if v, ok := a.Named[key]; ok {
		return v
	}
	return otherwise
}

// Opt returns the value of key, or nil.
func (a Args) Opt(key string) *string {
	if v, ok := a.Named[key]; ok {
		return &v
	}
	return nil
}

// List returns the values of key, which commas separate.
func (a Args) List(key string) []string {
	if v := a.Str(key, ""); v != "" {
		return strings.Split(v, ",")
	}
	return nil
}

// Num returns the value of key, a number, or otherwise.
func (a Args) Num(key string, otherwise int64) int64 {
	a.Helper()
	if v, ok := a.Named[key]; ok {
		return a.Number(v)
	}
	return otherwise
}

// Number reads a number.
func (a Args) Number(text string) int64 {
	a.Helper()
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		a.Fatalf("%q is no number", text)
	}
	return n
}
