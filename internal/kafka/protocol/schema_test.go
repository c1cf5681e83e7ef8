package protocol_test

import (
	"archive/zip"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/naru-stream/naru/internal/kafka/definition"
)

const classPathVariable = "NARU_KAFKA_CLASSPATH"

// notOurs are schemas in Kafka's jars that describe files which only Kafka
// reads, or whose codec is written by hand.
var notOurs = map[string]string{
	"RequestHeader":                          "header.go",
	"ResponseHeader":                         "header.go",
	"QuorumStateData":                        "a JSON file of Kafka's Raft implementation",
	"ProducerSnapshot":                       "Naru has its own snapshots of producers",
	"RemoteLogSegmentMetadataRecord":         "tiered storage",
	"RemoteLogSegmentMetadataSnapshotRecord": "tiered storage",
	"RemoteLogSegmentMetadataUpdateRecord":   "tiered storage",
	"RemotePartitionDeleteMetadataRecord":    "tiered storage",
}

// schema and schemaField are Kafka's JSON.
type schema struct {
	APIKey           *int16        `json:"apiKey"`
	Type             string        `json:"type"`
	Name             string        `json:"name"`
	Listeners        []string      `json:"listeners"`
	ValidVersions    string        `json:"validVersions"`
	FlexibleVersions string        `json:"flexibleVersions"`
	LatestUnstable   bool          `json:"latestVersionUnstable"`
	Fields           []schemaField `json:"fields"`
	CommonStructs    []schemaField `json:"commonStructs"`
}

type schemaField struct {
	Name             string        `json:"name"`
	Type             string        `json:"type"`
	Versions         string        `json:"versions"`
	NullableVersions string        `json:"nullableVersions"`
	TaggedVersions   string        `json:"taggedVersions"`
	Tag              *int          `json:"tag"`
	Default          any           `json:"default"`
	Ignorable        bool          `json:"ignorable"`
	Fields           []schemaField `json:"fields"`
}

// TestDefinitionsAreKafkasSchemas compares every definition with the schema of
// Apache Kafka, both written down as one line for each field. The schemas come
// from Kafka's jars, which this repository does not have: the job of conformance
// that downloads them sets the variable.
func TestDefinitionsAreKafkasSchemas(t *testing.T) {
	classPath := os.Getenv(classPathVariable)
	if classPath == "" {
		t.Skipf("set %s to the class path of Apache Kafka's server (or to a directory of unpacked schemas); `conformance` does", classPathVariable)
	}
	schemas := readSchemas(t, classPath)
	files, err := definition.Load(os.DirFS("messages"))
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	for _, file := range files {
		for _, m := range file.Messages {
			seen[m.Name] = true
			s, ok := schemas[m.Name]
			if !ok {
				t.Errorf("%s: Kafka has no message %s", file.Name, m.Name)
				continue
			}
			compare(t, m.Name, describe(file.API, m), describeSchema(&s, file.API))
		}
	}
	for name, s := range schemas {
		if !seen[name] && notOurs[name] == "" && s.ValidVersions != "none" {
			t.Errorf("there is no definition of %s", name)
		}
	}
	t.Logf("compared %d messages", len(seen))
}

func compare(t *testing.T, name string, ours, theirs []string) {
	for _, line := range ours {
		if !slices.Contains(theirs, line) {
			t.Errorf("%s: Kafka does not have  %s", name, line)
		}
	}
	for _, line := range theirs {
		if !slices.Contains(ours, line) {
			t.Errorf("%s: we do not have       %s", name, line)
		}
	}
	if !t.Failed() && !slices.Equal(ours, theirs) {
		t.Errorf("%s: the fields have another order:\n%s\n\nwant:\n%s", name, strings.Join(ours, "\n"), strings.Join(theirs, "\n"))
	}
}

// describe writes down a definition: a line for the message, then one for each
// field in each place where it occurs.
func describe(api *definition.API, m *definition.Message) []string {
	lines := []string{headLine(m.Valid, m.Flexible, apiLine(api, m.Key, strings.HasSuffix(m.Name, "Request")))}
	var walk func(at string, fields []*definition.Field, in definition.Range)
	walk = func(at string, fields []*definition.Field, in definition.Range) {
		for _, f := range fields {
			versions := f.Versions.Intersect(in)
			if versions.Empty() {
				continue
			}
			name := at + "." + f.SchemaName
			typ := f.Type
			if f.Array {
				typ = "[]" + typ
			}
			lines = append(lines, fieldLine(name, typ, versions, f.Nullable.Intersect(in), f.Tag, f.Default, f.Ignorable))
			if f.Struct != nil {
				walk(name, f.Struct.Fields, versions)
			}
		}
	}
	walk("", m.Fields, m.Valid)
	return lines
}

func describeSchema(s *schema, api *definition.API) []string {
	valid := parseVersions(s.ValidVersions)
	flexible := parseVersions(s.FlexibleVersions)
	key := int16(-1)
	if s.APIKey != nil {
		key = *s.APIKey
	}
	line := fmt.Sprintf("key %d", key)
	if api != nil && s.Type == "request" {
		listeners := slices.Clone(s.Listeners)
		line += fmt.Sprintf(" listeners %v unstable %t", listeners, s.LatestUnstable)
	}
	lines := []string{headLine(valid, flexible.Has, line)}
	shared := map[string][]schemaField{}
	for _, c := range s.CommonStructs {
		shared[c.Name] = c.Fields
	}
	var walk func(at string, fields []schemaField, in definition.Range)
	walk = func(at string, fields []schemaField, in definition.Range) {
		for _, f := range fields {
			if f.Versions == "" {
				f.Versions = f.TaggedVersions
			}
			versions := parseVersions(f.Versions).Intersect(in)
			if versions.Empty() {
				continue
			}
			tag := -1
			if f.Tag != nil {
				tag = *f.Tag
				if tagged := parseVersions(f.TaggedVersions).Intersect(in); tagged != versions {
					tag = -2 // the language of the definitions cannot express it
				}
			}
			name := at + "." + strings.ToUpper(f.Name[:1]) + f.Name[1:]
			lines = append(lines, fieldLine(name, f.Type, versions, parseVersions(f.NullableVersions).Intersect(versions), tag, schemaDefault(f), f.Ignorable))
			inner := f.Fields
			if inner == nil {
				inner = shared[strings.TrimPrefix(f.Type, "[]")]
			}
			walk(name, inner, versions)
		}
	}
	walk("", s.Fields, valid)
	return lines
}

func apiLine(api *definition.API, key int16, request bool) string {
	if api == nil {
		return fmt.Sprintf("key %d", key)
	}
	line := fmt.Sprintf("key %d", api.Key)
	if request {
		line += fmt.Sprintf(" listeners %v unstable %t", api.Listeners, api.Unstable)
	}
	return line
}

func headLine(valid definition.Range, flexible func(int16) bool, rest string) string {
	var flex []int16
	for v := valid.Lo; v <= valid.Hi; v++ {
		if flexible(v) {
			flex = append(flex, v)
		}
	}
	return fmt.Sprintf("versions %v flexible %v %s", valid, flex, rest)
}

func fieldLine(name, typ string, versions, nullable definition.Range, tag int, value string, ignorable bool) string {
	return fmt.Sprintf("%s %s versions %v nullable %v tag %d default %q ignorable %t", name, typ, versions, nullable, tag, value, ignorable)
}

// schemaDefault returns the default in the form of the definitions, "" for zero.
// A JSON null is no default at all: Kafka's generator takes only the string.
func schemaDefault(f schemaField) string {
	var s string
	switch d := f.Default.(type) {
	case nil:
	case string:
		s = d
	default:
		s = fmt.Sprint(d)
	}
	if n, err := strconv.ParseInt(s, 0, 64); err == nil {
		s = strconv.FormatInt(n, 10)
	}
	if s == "0" || s == "false" {
		return ""
	}
	return s
}

func parseVersions(s string) definition.Range {
	if s == "" || s == "none" {
		return definition.None
	}
	lo, hi, ok := strings.Cut(strings.TrimSuffix(s, "+"), "-")
	if !ok {
		hi = lo
	}
	l, _ := strconv.Atoi(lo)
	h, _ := strconv.Atoi(hi)
	if strings.HasSuffix(s, "+") {
		h = definition.Open
	}
	return definition.Range{Lo: int16(l), Hi: int16(h)}
}

var comment = regexp.MustCompile(`(?m)(^|\s)//.*$`)

// readSchemas reads every schema in the jars, or in the directories, of a class
// path.
func readSchemas(t *testing.T, classPath string) map[string]schema {
	t.Helper()
	schemas := map[string]schema{}
	add := func(name string, text []byte) {
		var s schema
		if err := json.Unmarshal(comment.ReplaceAll(text, nil), &s); err != nil {
			t.Fatalf("reading %s: %v", name, err)
		}
		schemas[s.Name] = s
	}
	for _, entry := range filepath.SplitList(classPath) {
		if info, err := os.Stat(entry); err == nil && info.IsDir() {
			err := filepath.WalkDir(entry, func(name string, d os.DirEntry, err error) error {
				if err != nil || !strings.HasSuffix(name, ".json") {
					return err
				}
				text, err := os.ReadFile(name)
				if err == nil {
					add(name, text)
				}
				return err
			})
			if err != nil {
				t.Fatal(err)
			}
			continue
		}
		readJar(t, entry, add)
	}
	if len(schemas) < 200 {
		t.Fatalf("%s has %d schemas only: it is not the class path of Kafka's server", classPathVariable, len(schemas))
	}
	return schemas
}

func readJar(t *testing.T, jar string, add func(name string, text []byte)) {
	t.Helper()
	if !strings.HasPrefix(path.Base(jar), "kafka-") {
		return
	}
	z, err := zip.OpenReader(jar)
	if err != nil {
		t.Fatalf("opening %s: %v", jar, err)
	}
	defer z.Close()
	for _, f := range z.File {
		dir := path.Dir(f.Name)
		if !strings.HasSuffix(f.Name, ".json") || !slices.Contains([]string{"common/message", "common/metadata", "message"}, dir) {
			continue
		}
		r, err := f.Open()
		if err != nil {
			t.Fatalf("opening %s: %v", f.Name, err)
		}
		text, err := io.ReadAll(r)
		if err != nil {
			t.Fatalf("reading %s: %v", f.Name, err)
		}
		if err := r.Close(); err != nil {
			t.Fatal(err)
		}
		add(f.Name, text)
	}
}
