package config

import (
	"errors"
	"os"
	"strings"
	"testing"
)

func TestContradictionsAreRefusedAsKafkaDoes(t *testing.T) {
	text, err := os.ReadFile("testdata/contradictions.txt")
	if err != nil {
		t.Fatal(err)
	}
	var file Values
	lines := 0
	for line := range strings.Lines(string(text)) {
		if line = strings.TrimSpace(line); line == "" || line[0] == '#' {
			continue
		}
		lines++
		left, want, _ := strings.Cut(line, " -> ")
		words := strings.Fields(left)
		settings := map[string]string{}
		for _, word := range words[1:] {
			key, value, _ := strings.Cut(word, "=")
			settings[key] = value
		}
		var err error
		switch words[0] {
		case "file":
			file, err = NewValues(settings)
		case "change":
			var to Values
			if to, err = file.WithDynamic(nil, settings); err == nil {
				err = file.CheckChange(to)
			}
		case "group":
			err = file.CheckGroup(settings)
		case "topic":
			_, err = ResolveTopic(settings, file)
		}
		got := "ok"
		if invalid := (*InvalidError)(nil); errors.As(err, &invalid) {
			got = invalid.Problem
			if invalid.Key == "" {
				t.Errorf("%s: the error names no setting", left)
			}
		} else if err != nil {
			got = err.Error()
		}
		if got != want {
			t.Errorf("%s\n got %s\nwant %s", left, got, want)
		}
	}
	if lines < 100 {
		t.Errorf("only %d lines were read", lines)
	}
}

// Bounds that changed since a group's setting was stored bring it within them.
func TestAGroupsSettingStaysWithinTheBrokersBounds(t *testing.T) {
	v := values(t, map[string]string{"group.streams.max.standby.replicas": "4", "group.consumer.max.session.timeout.ms": "50000"})
	for _, c := range []struct {
		name, value string
		want        int32
		ok          bool
	}{
		{"consumer.session.timeout.ms", "49999", 49999, true}, {"consumer.session.timeout.ms", "1", 45000, true},
		{"consumer.session.timeout.ms", " 70000", 50000, true}, {"consumer.session.timeout.ms", "x", 0, false},
		{"streams.num.standby.replicas", "9", 4, true}, {"streams.num.standby.replicas", "0", 0, true},
		{"streams.initial.rebalance.delay.ms", "123456", 123456, true},
	} {
		if got, ok := v.GroupInt32(c.name, c.value); got != c.want || ok != c.ok {
			t.Errorf("%s=%s is read as %d, %t; want %d, %t", c.name, c.value, got, ok, c.want, c.ok)
		}
	}
}

func TestWhatHasNoEffectSaysSo(t *testing.T) {
	v := values(t, map[string]string{"num.io.threads": "4", "replica.lag.time.max.ms": "5000", "log.dirs": "/a", "no.such": "1"})
	for status, want := range map[Status]string{Honoured: "log.dirs", Accepted: "num.io.threads", NotServed: "replica.lag.time.max.ms"} {
		if got := v.OfStatus(status); len(got) != 1 || got[0].Name != want {
			t.Errorf("%s: %v, want %s", status, got, want)
		}
	}
	for name, want := range map[string]string{
		"num.io.threads": "Threads that handle requests. Accepted, no effect: each connection has a goroutine, and GOMAXPROCS decides how many run.",
		"log.dir":        "Directory of the logs when log.dirs is not set.",
	} {
		if got := v.DescribeBroker([]string{name})[0].Doc; got != want {
			t.Errorf("%s is documented as %q, want %q", name, got, want)
		}
	}
	broken := values(t, map[string]string{"broker.heartbeat.interval.ms": "5000"})
	if got := broken.Doubts(); len(got) != 1 || !strings.Contains(got[0], "(5000 ms) must be less than or equal to half") {
		t.Errorf("doubts %q", got)
	}
}
