package cli

import (
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/spf13/cobra"

	"github.com/naru-stream/naru/internal/script"
)

const docs = "../../docs/cli"

// page is the help of a verb and of the verbs below it.
func page(t *testing.T, path []string, c *cobra.Command) string {
	t.Helper()
	var b strings.Builder
	var write func(path []string, c *cobra.Command)
	write = func(path []string, c *cobra.Command) {
		s := newSession()
		if got := s.do(append(path, "--help")...); got != 0 || s.err.Len() > 0 {
			t.Errorf("%v --help: exit status %d: %s", path, got, s.err.String())
		}
		b.WriteString(strings.Repeat("#", len(path)) + " naru " + strings.Join(path, " ") + "\n\n```\n" + s.out.String() + "```\n\n")
		for _, below := range c.Commands() {
			write(append(path[:len(path):len(path)], below.Name()), below)
		}
	}
	write(path, c)
	return strings.TrimRight(b.String(), "\n") + "\n"
}

const indexHead = `# The command naru

<!-- These pages are the help texts: change those, then run
     go test ./internal/cli -run Pages -update -->

Results go to standard output, everything else to standard error. The exit status is 0, 1 after a failure,
and 2 after wrong usage, found before anything was done. [JSON](json.md) describes what --json prints.

`

func TestPagesAreTheHelpTexts(t *testing.T) {
	s := newSession()
	root := s.root()
	help := newSession()
	if got := help.do("--help"); got != 0 {
		t.Fatal(help.err.String())
	}
	pages := map[string]string{}
	index := indexHead
	for _, c := range root.Commands() {
		if c.Hidden {
			continue
		}
		pages[c.Name()+".md"] = page(t, []string{c.Name()}, c)
		index += "- [naru " + c.Name() + "](" + c.Name() + ".md): " + strings.ToLower(c.Short[:1]) + c.Short[1:] + "\n"
	}
	pages["README.md"] = index + "\n```\n" + help.out.String() + "```\n"
	for name, want := range pages {
		script.Golden(t, filepath.Join(docs, name), want)
	}
}

func TestEveryVerbShowsExamples(t *testing.T) {
	var check func(c *cobra.Command)
	check = func(c *cobra.Command) {
		if !c.Hidden && (c.Short == "" || !strings.Contains(c.Example, c.Root().Name())) {
			t.Errorf("%s has no summary or no example", c.CommandPath())
		}
		for _, below := range c.Commands() {
			check(below)
		}
	}
	check(newSession().root())
}

func TestTheJSONPageNamesEveryMember(t *testing.T) {
	text, err := os.ReadFile(filepath.Join(docs, "json.md"))
	if err != nil {
		t.Fatal(err)
	}
	for _, v := range []any{
		topicChange{}, topicSummary{}, topicDescription{}, partition{}, topicAltered{}, settingChange{}, setting{}, synonym{}, produced{},
		groupSummary{}, groupDescription{}, groupMember{}, groupOffset{}, groupChange{}, move{}, dumpedBatch{}, dumpedRecord{}, versionInfo{},
	} {
		typ := reflect.TypeOf(v)
		for i := range typ.NumField() {
			tag, ok := typ.Field(i).Tag.Lookup("json")
			name, _, _ := strings.Cut(tag, ",")
			if ok && !strings.Contains(string(text), "`"+name+"`") {
				t.Errorf("docs/cli/json.md does not name %q of %s", name, typ.Name())
			}
		}
	}
}
