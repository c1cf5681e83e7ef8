// Command generate writes the Go codecs of Kafka's messages and records from
// their definitions in protocol/messages. Run it with
//
//	go generate ./internal/kafka/protocol
//
// Its output depends on the definitions only; a test compares it with what is
// committed.
//
// For every message and struct it writes the type and its methods:
//
//	SetDefaults            the schema's defaults
//	decode, appendTo       one struct within a message
//	Decode, Append         the message; bounds of the version, wrapped errors
//	CheckVersion           whether a version can carry the values (only where some cannot)
//	isDefault              whether a tagged field is left out (only where needed)
package main

import (
	"fmt"
	"os"
	"path/filepath"
)

func main() {
	if err := run("."); err != nil {
		fmt.Fprintln(os.Stderr, "generate:", err)
		os.Exit(1)
	}
}

// run writes all generated files. The directory is that of package protocol.
func run(protocolDir string) error {
	files, err := Generate(os.DirFS(filepath.Join(protocolDir, "messages")))
	if err != nil {
		return err
	}
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(protocolDir, "..", name), text, 0o644); err != nil {
			return fmt.Errorf("writing %s: %w", name, err)
		}
	}
	return nil
}
