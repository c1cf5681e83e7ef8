package config

import (
	"flag"
	"os"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "rewrite docs/configuration.md")

const page = "../../../docs/configuration.md"

func TestConfigurationPageIsTheTable(t *testing.T) {
	if *update {
		if err := os.MkdirAll("../../../docs", 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(page, []byte(Markdown()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != Markdown() {
		t.Error("docs/configuration.md is not what the table says: run go test ./internal/kafka/config -run Page -update")
	}
}

func TestEverySettingSaysWhatItMeans(t *testing.T) {
	for scope := range Scope(scopes) {
		for _, k := range Keys(scope) {
			if len(k.Doc) < 20 || !strings.HasSuffix(k.Doc, ".") {
				t.Errorf("%s setting %s: the meaning %q is not a sentence", scope, k.Name, k.Doc)
			}
			if k.Status != Honoured && k.Why == "" {
				t.Errorf("%s setting %s is %s without saying why", scope, k.Name, k.Status)
			}
		}
	}
}
