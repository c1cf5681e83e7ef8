package hostile

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// writeTable keeps what came back from one broker, and prints both beside each
// other.
func writeTable(t *testing.T, name string, all []attack, rows [][2]string) {
	t.Helper()
	if err := os.MkdirAll("results", 0o755); err != nil {
		t.Fatal(err)
	}
	var tsv strings.Builder
	for _, r := range rows {
		fmt.Fprintf(&tsv, "%s\t%s\n", r[0], r[1])
	}
	if err := os.WriteFile(filepath.Join("results", name+".tsv"), []byte(tsv.String()), 0o644); err != nil {
		t.Fatal(err)
	}
	kafka, naru := loadTable("kafka"), loadTable("naru")
	var md strings.Builder
	md.WriteString("# What hostile input gets\n\nWritten by `go test ./hostile -table`, once against each broker. \"closed\" is a closed connection, \"no answer\" one that stays open.\n\n")
	md.WriteString("| sent | Apache Kafka 4.3.1 | Naru | why |\n|---|---|---|---|\n")
	for _, a := range all {
		was, is := kafka[a.name], naru[a.name]
		why := differences[a.name].why
		if was == "" {
			was, why = "not run", a.naruOnly
		}
		fmt.Fprintf(&md, "| %s | %s | %s | %s |\n", a.name, was, is, why)
	}
	if err := os.WriteFile("RESULTS.md", []byte(md.String()), 0o644); err != nil {
		t.Fatal(err)
	}
}

func loadTable(name string) map[string]string {
	b, err := os.ReadFile(filepath.Join("results", name+".tsv"))
	if err != nil {
		return nil
	}
	rows := map[string]string{}
	for line := range strings.Lines(string(b)) {
		key, value, _ := strings.Cut(strings.TrimSuffix(line, "\n"), "\t")
		rows[key] = value
	}
	return rows
}
