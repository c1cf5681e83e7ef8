package main

import (
	"archive/zip"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"path"
	"path/filepath"
	"slices"
	"strings"
)

// suiteNames lists the suites in the order in which they are run.
var suiteNames = []string{"clients", "core", "tools", "streams"}

// suiteJars says which jar on the class path has a suite's tests.
var suiteJars = map[string]string{
	"clients": "kafka-clients-integration-tests-*-test.jar",
	"core":    "kafka_2.13-*-test.jar",
	"tools":   "kafka-tools-*-test.jar",
	"streams": "kafka-streams-integration-tests-*-test.jar",
}

// clusterWords are the classes through which a test in Java gets its cluster, and harness is the one that tests
// in Scala extend for it. The jars of core and tools have unit tests too, which do neither.
var clusterWords = [][]byte{[]byte("ClusterInstance"), []byte("EmbeddedKafkaCluster")}

const harness = "kafka/server/QuorumTestHarness"

// testClass is a class with tests.
type testClass struct {
	name    string
	methods []string // and those of its superclasses in the same jar; not all of them are tests
	whole   bool     // all of them are to be run
}

// findClasses lists the classes of a suite that use the cluster which Naru stands for, sorted by name.
func findClasses(suite, classPath string) ([]testClass, error) {
	for _, jar := range filepath.SplitList(classPath) {
		if ok, err := path.Match(suiteJars[suite], filepath.Base(jar)); err != nil || !ok {
			continue
		}
		classes, err := readJar(jar, suite == "core" || suite == "tools")
		if err != nil {
			return nil, fmt.Errorf("reading %s: %w", jar, err)
		}
		return classes, nil
	}
	return nil, fmt.Errorf("suite %s: no %s on the class path; is it in maven/kafkatests.xml?", suite, suiteJars[suite])
}

// readJar lists the classes of a jar whose names end in Test, without inner and abstract ones and, if mixed,
// without those that use another cluster.
func readJar(jar string, mixed bool) ([]testClass, error) {
	archive, err := zip.OpenReader(jar)
	if err != nil {
		return nil, err
	}
	defer archive.Close()
	all := map[string]classFile{}
	var names []string
	for _, entry := range archive.File {
		name, isClass := strings.CutSuffix(entry.Name, ".class")
		if !isClass || strings.Contains(name, "$") {
			continue
		}
		content, err := readEntry(entry)
		if err != nil {
			return nil, err
		}
		c, err := parseClass(content)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", entry.Name, err)
		}
		c.cluster = slices.ContainsFunc(clusterWords, func(word []byte) bool { return bytes.Contains(content, word) })
		all[name] = c
		if strings.HasSuffix(name, "Test") && !c.abstract {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	var classes []testClass
	for _, name := range names {
		t, cluster := testClass{name: strings.ReplaceAll(name, "/", ".")}, all[name].cluster
		for c, ok := all[name]; ok; c, ok = all[c.super] {
			t.methods = append(t.methods, c.methods...)
			cluster = cluster || c.super == harness
		}
		if cluster || !mixed {
			classes = append(classes, t)
		}
	}
	return classes, nil
}

func readEntry(entry *zip.File) ([]byte, error) {
	r, err := entry.Open()
	if err != nil {
		return nil, err
	}
	defer r.Close()
	return io.ReadAll(r)
}

// classFile is what is asked of a compiled class.
type classFile struct {
	super    string // with slashes
	abstract bool
	cluster  bool     // it mentions one of clusterWords
	methods  []string // without constructors and what the compiler adds
}

// constantSizes are the sizes of a class file's constants by tag, those with text aside (JVMS §4.4).
var constantSizes = map[byte]int{
	3: 4, 4: 4, 5: 8, 6: 8, 7: 2, 8: 2, 9: 4, 10: 4, 11: 4, 12: 4, 15: 3, 16: 2, 17: 4, 18: 4, 19: 2, 20: 2,
}

// parseClass reads a class file (JVMS §4.1).
func parseClass(content []byte) (classFile, error) {
	in := &cursor{rest: content}
	in.take(8) // magic and version
	texts, classes := map[uint16]string{}, map[uint16]uint16{}
	count := in.u2()
	for i := uint16(1); i < count && !in.short; i++ {
		switch tag := in.take(1)[0]; tag {
		case 1:
			texts[i] = string(in.take(int(in.u2())))
		case 7:
			classes[i] = in.u2()
		default:
			size, ok := constantSizes[tag]
			if !ok {
				return classFile{}, fmt.Errorf("unknown constant %d in the class file", tag)
			}
			in.take(size)
			if size == 8 {
				i++ // long and double count twice
			}
		}
	}
	access := in.u2()
	in.take(2) // its own name
	c := classFile{abstract: access&0x0400 != 0, super: texts[classes[in.u2()]]}
	in.take(2 * int(in.u2())) // interfaces
	in.members(func(uint16) {})
	in.members(func(name uint16) {
		if m := texts[name]; !strings.ContainsAny(m, "<$") {
			c.methods = append(c.methods, m)
		}
	})
	if in.short {
		return c, errors.New("the class file is cut off")
	}
	return c, nil
}

// cursor reads a class file from its start to its end.
type cursor struct {
	rest  []byte
	short bool // more was asked for than there is; since then all is zero
}

func (c *cursor) take(n int) []byte {
	if n > len(c.rest) {
		c.short, c.rest = true, nil
		return make([]byte, min(n, 8))
	}
	taken := c.rest[:n]
	c.rest = c.rest[n:]
	return taken
}

func (c *cursor) u2() uint16 { return binary.BigEndian.Uint16(c.take(2)) }

// members reads fields or methods and calls each with the constant that has the name.
func (c *cursor) members(each func(name uint16)) {
	for range c.u2() {
		c.take(2) // access
		each(c.u2())
		c.take(2) // descriptor
		for range c.u2() {
			c.take(2) // name of the attribute
			c.take(int(binary.BigEndian.Uint32(c.take(4))))
		}
	}
}
