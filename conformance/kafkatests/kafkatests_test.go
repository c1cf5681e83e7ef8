package main

import (
	"archive/zip"
	"encoding/binary"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
)

func TestReportIsReadAsPassedSkippedAndFailed(t *testing.T) {
	invocations, files, err := readReports("testdata", "example.FirstTest")
	if err != nil || files != 1 {
		t.Fatalf("%d files, %v", files, err)
	}
	slices.SortFunc(invocations, func(a, b invocation) int { return strings.Compare(a.method, b.method) })
	want := []invocation{
		{"InnerTest.testInner", passed, ""},
		{"testAborted", skipped, "needs TLS or SASL"},
		{"testAbortedWithin", skipped, "needs features {a=1}: no"},
		{"testDisabled", skipped, "KAFKA-1234: flaky"},
		{"testFailed", failed, "org.opentest4j.AssertionFailedError: of <records> ==> expected: <1> but was: <2>"},
		{"testFailedBecause", failed, "java.lang.AssertionError: Assertion failed ← java.lang.IllegalStateException: no such broker"},
		{"testFailedThenAborted", failed, "java.lang.IllegalStateException: lost a record"},
		{"testNoArguments", failed, "org.junit.platform.commons.PreconditionViolationException: Exactly one type of input must be provided in the @ValueSource annotation, but there were 0"},
		{"testNumber", passed, ""},
		{"testNumber", passed, ""},
		{"testThrew", skipped, "needs several brokers"},
	}
	if !reflect.DeepEqual(invocations, want) {
		t.Errorf("read\n%+v, want\n%+v", invocations, want)
	}
}

func newRules(t *testing.T, known string) *rules {
	t.Helper()
	dir := t.TempDir()
	for name, text := range map[string]string{"known.json": known, "skipped.json": `[{"class":"x\\.Sasl.*","why":"needs SASL"}]`} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	rs, err := loadRules(dir)
	if err != nil {
		t.Fatal(err)
	}
	return rs
}

func TestFailureIsKnownOnlyWhenAnEntryMatchesItsWholeName(t *testing.T) {
	rs := newRules(t, `[{"test":"x\\.ATest\\.testOne","why":"one"},{"test":"x\\.ATest\\.testGone|x\\.ATest\\.testPasses","why":"gone"},{"test":"x\\.BTest\\..*","why":"not run"}]`)
	got := rs.judge("x.ATest", []invocation{
		{"testOne", failed, "first line"}, {"testOne", failed, "another"}, {"testOne", passed, ""},
		{"testOneMore", failed, "second line"}, {"testOneMore", failed, "second line"},
		{"testPasses", passed, ""}, {"testSkips", skipped, "needs TLS"},
	})
	want := classResult{
		Name: "x.ATest", Passed: map[string]int{"testOne": 1, "testPasses": 1},
		Skipped: []outcome{{"testSkips", 1, "needs TLS"}},
		Known:   []outcome{{"testOne", 2, "one"}},
		Failed:  []outcome{{"testOneMore", 2, "second line"}},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("judged\n%+v, want\n%+v", got, want)
	}
	if sum := got.tally(); sum != (tally{passed: 2, skipped: 1, known: 2, failed: 2}) {
		t.Errorf("counted %+v", sum)
	}
	if stale := rs.stale(false); !slices.Equal(stale, []string{`known.json: x\.ATest\.testGone|x\.ATest\.testPasses`}) {
		t.Errorf("stale after a part: %q", stale)
	}
	if stale := rs.stale(true); len(stale) != 3 {
		t.Errorf("stale after everything: %q", stale)
	}
}

func TestRuleWithoutAReasonIsRefused(t *testing.T) {
	path := filepath.Join(t.TempDir(), "known.json")
	if err := os.WriteFile(path, []byte(`[{"test":"x"}]`), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := loadFile(path); err == nil {
		t.Error("accepted")
	}
}

func TestCommittedRulesCanBeRead(t *testing.T) {
	if _, err := loadRules("."); err != nil {
		t.Error(err)
	}
}

func TestChosenAreTheMethodsThatMatch(t *testing.T) {
	classes := []testClass{
		{name: "x.ATest", methods: []string{"testOne", "testTwo"}}, {name: "x.BTest", methods: []string{"testTwo"}},
		{name: "x.CTest", methods: []string{"testOne"}}, {name: "x.SaslTest", methods: []string{"testOne"}},
	}
	r := &results{}
	got := choose(options{tests: regexp.MustCompile("Test.testOne")}, newRules(t, "[]"), classes, r)
	if !reflect.DeepEqual(got, []testClass{{"x.ATest", []string{"testOne"}, false}, {"x.CTest", []string{"testOne"}, true}}) {
		t.Errorf("chose %+v", got)
	}
	if !reflect.DeepEqual(r.LeftOut, []leftOut{{"x.SaslTest", "needs SASL"}}) {
		t.Errorf("left out %+v", r.LeftOut)
	}
}

// classWith is a class file with methods; extra is a constant that its code mentions.
func classWith(abstract bool, super, extra string, methods ...string) []byte {
	var b []byte
	u2 := func(n int) { b = binary.BigEndian.AppendUint16(b, uint16(n)) }
	text := func(s string) { b = append(b, 1); u2(len(s)); b = append(b, s...) }
	b = append(b, 0xca, 0xfe, 0xba, 0xbe, 0, 0, 0, 61)
	u2(6 + len(methods))
	text(super)            // 1
	b = append(b, 7, 0, 1) // 2: the class of this name
	b = append(b, 5, 1, 2, 3, 4, 5, 6, 7, 8)
	text(extra) // 5, because a long counts twice
	for _, m := range methods {
		text(m)
	}
	access := 0x0021
	if abstract {
		access |= 0x0400
	}
	u2(access)
	u2(2) // its name does not matter
	u2(2)
	u2(0) // interfaces
	u2(0) // fields
	u2(len(methods))
	for i := range methods {
		u2(1)
		u2(6 + i)
		u2(5)
		u2(1)
		u2(5)
		b = append(b, 0, 0, 0, 3, 1, 2, 3)
	}
	u2(0)
	return b
}

func TestClassesOfASuite(t *testing.T) {
	path := filepath.Join(t.TempDir(), "kafka_2.13-4.3.1-test.jar")
	file, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	jar := zip.NewWriter(file)
	for name, content := range map[string][]byte{
		"x/BaseTest":     classWith(true, "java/lang/Object", "ClusterInstance", "testBase"),
		"x/OneTest":      classWith(false, "x/BaseTest", "(LClusterInstance;)V", "<init>", "testOne", "lambda$testOne$0"),
		"x/OneTest$Test": classWith(false, "java/lang/Object", "ClusterInstance", "testInner"),
		"x/UnitTest":     classWith(false, "java/lang/Object", "nothing", "testUnit"),
		"x/EmbeddedTest": classWith(false, "java/lang/Object", "EmbeddedKafkaCluster", "testEmbedded"),
		"x/Helper":       classWith(false, "java/lang/Object", "ClusterInstance", "help"),
	} {
		entry, err := jar.Create(name + ".class")
		if err == nil {
			_, err = entry.Write(content)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := jar.Close(); err != nil {
		t.Fatal(err)
	}
	file.Close()
	got, err := findClasses("core", "/nowhere/kafka_2.13-4.3.1.jar:"+path)
	want := []testClass{{name: "x.EmbeddedTest", methods: []string{"testEmbedded"}}, {name: "x.OneTest", methods: []string{"testOne", "testBase"}}}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("found %+v, %v; want %+v", got, err, want)
	}
	if _, err := findClasses("tools", path); err == nil {
		t.Error("a suite without its jar was found")
	}
}

func TestClassFileThatIsCutOffIsAnError(t *testing.T) {
	whole := classWith(false, "java/lang/Object", "", "testOne")
	for n := range whole[:len(whole)-2] { // the last two bytes count attributes, which nobody asks for
		if _, err := parseClass(whole[:n]); err == nil {
			t.Fatalf("the first %d bytes were accepted", n)
		}
	}
}

func TestSavedAreTheTableAndEveryTest(t *testing.T) {
	r := &results{Kafka: "4.3.1", LeftOut: []leftOut{{"x.SaslTest", "needs SASL"}}, Suites: []suiteResult{{Name: "core", Classes: []classResult{
		{Name: "x.ATest", Passed: map[string]int{"testOne": 3}, Skipped: []outcome{{"testTwo", 2, "needs TLS"}}},
		{Name: "x.BTest", Skipped: []outcome{{"testOne", 1, "needs TLS"}}, Known: []outcome{{"testOne", 1, "why"}}, Failed: []outcome{{"testTwo", 1, "expected: <1>"}}},
	}}}}
	root := t.TempDir()
	for _, dir := range []string{"results", "kafkatests"} {
		if err := os.Mkdir(filepath.Join(root, dir), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	explained := &rules{known: []*rule{{Why: "explained since", pattern: regexp.MustCompile(`^x\.CTest\.testTwo$`)}}}
	for _, s := range r.Suites {
		for _, c := range []classResult{
			{Name: "x.CTest", Failed: []outcome{{"testOne", 1, "is not"}, {"testTwo", 4, "is"}}},
			{Name: s.Classes[0].Name, Failed: []outcome{{"testOld", 1, "was mended"}}}, s.Classes[0], s.Classes[1],
		} {
			if err := r.keep(root, s.Name, c, explained); err != nil {
				t.Fatal(err)
			}
		}
	}
	for file, wanted := range map[string][]string{
		"kafkatests/RESULTS.md": {
			"| core | 3 | 3 | 3 | 5 | 2 |", "| CTest | 0 | 0 | 4 | 1 |", "- 4: explained since (CTest)", "| ATest | 3 | 2 | 0 | 0 |", "- 3: needs TLS (ATest, BTest)", "- 1: why (BTest)",
			"- 1: expected: &lt;1> (BTest)", "- 1: needs SASL (SaslTest)",
		},
		"results/kafkatests.json": {`"testOne": 3`, `"why": "expected: <1>"`, `"class": "x.SaslTest",`},
	} {
		content, err := os.ReadFile(filepath.Join(root, file))
		if err != nil {
			t.Fatal(err)
		}
		for _, want := range wanted {
			if !strings.Contains(string(content), want+"\n") {
				t.Errorf("%s: no line that ends with %q in\n%s", file, want, content)
			}
		}
	}
}
