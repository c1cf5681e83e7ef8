package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"
)

func TestCommittedCodeIsWhatTheDefinitionsSay(t *testing.T) {
	files, err := Generate(os.DirFS("../protocol/messages"))
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range files {
		got, err := os.ReadFile(filepath.Join("..", name))
		if err != nil {
			t.Errorf("%v; run go generate ./internal/kafka/protocol", err)
		} else if !bytes.Equal(got, want) {
			t.Errorf("%s differs from its definition; run go generate ./internal/kafka/protocol", name)
		}
	}
	committed, err := filepath.Glob("../*/*_gen.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range committed {
		if rel, _ := filepath.Rel("..", name); files[filepath.ToSlash(rel)] == nil {
			t.Errorf("%s has no definition any more", name)
		}
	}
}

func TestWhatTheCodecCannotExpressIsRefused(t *testing.T) {
	for name, c := range map[string]struct{ definition, want string }{
		"two structs of one name":                {"message M 0\n  A A\n    X int8\n  B []A\n    Y int8\n", "two structs are called MA"},
		"a struct that is nullable now and then": {"message M 0-2\n  A A?1+\n    X int8\n", "nullable in all versions or none"},
		"numbers that are null now and then":     {"message M 0-2\n  A []int32?1+\n", "nullable in all versions or none"},
	} {
		_, err := Generate(fstest.MapFS{"m.txt": {Data: []byte(c.definition)}})
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
