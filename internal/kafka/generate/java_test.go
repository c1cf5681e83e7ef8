package main

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/naru-stream/naru/internal/kafka/coordrecord"
	"github.com/naru-stream/naru/internal/kafka/definition"
	"github.com/naru-stream/naru/internal/kafka/definition/fill"
	"github.com/naru-stream/naru/internal/kafka/metarecord"
	"github.com/naru-stream/naru/internal/kafka/protocol"
)

// TestKafkasSchemaClassesWriteOurBytes has the classes that Kafka generates from
// its schemas read random messages of ours, of every version of everything, and
// write them again, and write their defaults. The classes come from Kafka's jars, which this repository
// does not have: the job of conformance that downloads them sets the variable.
func TestKafkasSchemaClassesWriteOurBytes(t *testing.T) {
	const variable = "NARU_KAFKA_CLASSPATH"
	classPath := os.Getenv(variable)
	if classPath == "" {
		t.Skipf("set %s to the class path of Apache Kafka's server, and have java in the path; `conformance` does", variable)
	}
	n, seed := fill.Rounds(t)
	files, err := definition.Load(os.DirFS("../protocol/messages"))
	if err != nil {
		t.Fatal(err)
	}
	rng := rand.New(rand.NewPCG(seed, 0))
	var names []string
	var sent [][]byte
	var in bytes.Buffer
	messages := instances()
	for _, file := range files {
		for _, d := range file.Messages {
			m := messages[d.Name]
			if m == nil {
				t.Errorf("there is no instance of %s", d.Name)
				continue
			}
			for version := d.Valid.Lo; version <= d.Valid.Hi; version++ {
				m.(interface{ SetDefaults() }).SetDefaults()
				if protocol.CheckVersion(m, version) == nil {
					sent = append(sent, m.Append(nil, version))
					names = append(names, fmt.Sprintf("%s version %d, defaults", d.Name, version))
					fmt.Fprintf(&in, "%s %d default\n", className(file, d.Name), version)
				}
				for range n {
					fill.Random(rng, d, m, version)
					b := m.Append(nil, version)
					sent = append(sent, b)
					names = append(names, fmt.Sprintf("%s version %d", d.Name, version))
					fmt.Fprintf(&in, "%s %d %x\n", className(file, d.Name), version, b)
				}
			}
		}
	}
	java := exec.CommandContext(t.Context(), "java", "-cp", classPath, "testdata/Rewrite.java")
	java.Stdin = &in
	var stderr strings.Builder
	java.Stderr = &stderr
	out, err := java.Output()
	if err != nil {
		t.Fatalf("running java: %v\n%s", err, stderr.String())
	}
	answers := strings.Split(strings.TrimSpace(string(out)), "\n")
	if len(answers) != len(sent) {
		t.Fatalf("%d answers to %d messages", len(answers), len(sent))
	}
	wrong := map[string]bool{}
	for i, answer := range answers {
		if want := hex.EncodeToString(sent[i]) + " 0"; answer != want && !wrong[names[i]] {
			wrong[names[i]] = true
			t.Errorf("%s:\nours   %s\nKafka's %s", names[i], want, answer)
		}
	}
	t.Logf("Kafka agrees on %d messages", len(sent)-len(wrong))
}

// className returns the name of Kafka's class for a message.
func className(file *definition.File, name string) string {
	switch {
	case file.API != nil:
		return "org.apache.kafka.common.message." + name + "Data"
	case file.Name == "metarecord_metadata.txt":
		return "org.apache.kafka.common.metadata." + name
	case file.Name == "coordrecord_group.txt":
		return "org.apache.kafka.coordinator.group.generated." + name
	case strings.HasPrefix(name, "TransactionLog"):
		return "org.apache.kafka.coordinator.transaction.generated." + name
	case file.Name == "coordrecord_share.txt":
		return "org.apache.kafka.coordinator.share.generated." + name
	}
	return "org.apache.kafka.common.message." + name
}

// instances returns an empty message of every name.
func instances() map[string]protocol.Message {
	all := map[string]protocol.Message{}
	add := func(m protocol.Message) {
		_, name, _ := strings.Cut(fmt.Sprintf("%T", m), ".")
		all[name] = m
	}
	for i := range protocol.APIs {
		add(protocol.APIs[i].NewRequest())
		add(protocol.APIs[i].NewResponse())
	}
	for number := range int16(64) {
		if r := metarecord.New(number); r != nil {
			add(r)
		}
		if c := metarecord.NewControl(metarecord.ControlType(number)); c != nil {
			add(c)
		}
		for _, family := range []coordrecord.Family{coordrecord.Group, coordrecord.Transaction, coordrecord.Share} {
			if k, v := family.NewKey(number), family.NewValue(number); k != nil && v != nil {
				add(k)
				add(v)
			}
		}
	}
	for _, m := range []protocol.Message{
		new(protocol.DefaultPrincipalData), new(coordrecord.EndTxnMarker), new(coordrecord.ControlRecordTypeSchema),
		new(coordrecord.ConsumerProtocolSubscription), new(coordrecord.ConsumerProtocolAssignment),
	} {
		add(m)
	}
	return all
}
