package config

import (
	"strings"
	"testing"
)

func TestDynamicChangesKeepToTheirMode(t *testing.T) {
	for _, tt := range []struct {
		name, value string
		perBroker   bool
		want        string // part of the error, or "" for none
	}{
		{"log.retention.ms", "1000", true, ""},
		{"log.retention.ms", "1000", false, ""},
		{"log.retention.ms", "soon", false, "Not a number of type LONG"},
		{"sasl.enabled.mechanisms", "PLAIN", true, ""},
		{"sasl.enabled.mechanisms", "PLAIN", false, "broker id must be specified: [sasl.enabled.mechanisms]"},
		{"ssl.keystore.location", "/x", true, "only per-listener using the listener prefix: [ssl.keystore.location]"},
		{"listeners", "PLAINTEXT://:9093", true, "Cannot update these configs dynamically: [listeners]"},
		{"num.partitions", "2", true, "Cannot update these configs dynamically: [num.partitions]"},
		{"listener.name.tls.ssl.keystore.location", "/x", true, ""},
		{"num.io.thread", "1", false, "did you mean num.io.threads?"},
	} {
		err := CheckDynamic(tt.name, tt.value, tt.perBroker)
		if tt.want == "" && err != nil || tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)) {
			t.Errorf("%s=%s per broker %t: got %v, want %q", tt.name, tt.value, tt.perBroker, err, tt.want)
		}
	}
}

func TestListsAreAppendedToAndSubtractedFrom(t *testing.T) {
	k, _ := Lookup(TopicScope, "cleanup.policy")
	if got, err := k.AppendList("delete", "compact, delete"); got != "delete,compact" || err != nil {
		t.Error(got, err)
	}
	if got, err := k.SubtractList("delete,compact", "delete"); got != "compact" || err != nil {
		t.Error(got, err)
	}
	k, _ = Lookup(TopicScope, "retention.ms")
	if _, err := k.AppendList("1", "2"); err == nil || !strings.Contains(err.Error(), "Can't APPEND to key retention.ms because its type is not LIST.") {
		t.Error(err)
	}
	if _, err := k.SubtractList("1", "2"); err == nil {
		t.Error("SUBTRACT from a number is accepted")
	}
}

func TestDurabilityOfATopicFollowsModeFlushAndMinInsyncReplicas(t *testing.T) {
	topic := DefaultTopic()
	for mode, want := range map[string]bool{"auto": true, "os": false, "group": true} {
		if got := topic.SyncsBeforeAck(mode); got != want {
			t.Errorf("%s: %t", mode, got)
		}
	}
	topic.MinInsyncReplicas = 2
	if topic.SyncsBeforeAck("auto") {
		t.Error("two replicas still wait for the device")
	}
	topic.FlushMessages = 1
	if !topic.SyncsBeforeAck("os") {
		t.Error("flush.messages=1 does not wait for the device")
	}
}
