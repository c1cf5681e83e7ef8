package config

import (
	"strings"
	"testing"

	"github.com/naru-stream/naru/internal/script"
)

func TestConfigurationPageIsTheTable(t *testing.T) {
	script.Golden(t, "../../../docs/configuration.md", Markdown())
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
