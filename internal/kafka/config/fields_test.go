package config

import (
	"reflect"
	"strings"
	"testing"
	"unicode"
)

// fieldOf returns the name of the field of Topic that holds a setting.
func fieldOf(setting string) string {
	var b strings.Builder
	up := true
	for _, r := range setting {
		switch {
		case r == '.':
			up = true
			continue
		case up:
			r, up = unicode.ToUpper(r), false
		}
		b.WriteRune(r)
	}
	return b.String()
}

// other returns an allowed value that is not the default.
func other(t *testing.T, k *Key) string {
	t.Helper()
	for _, value := range []string{"7", "0.25", "7777777", "true", "false", "compact", "gzip", "LogAppendTime", "1:2", "group"} {
		if value != k.Default && k.Check(value) == nil {
			return value
		}
	}
	t.Fatalf("no value for %s", k.Name)
	return ""
}

// A setting of a topic, or of the broker setting that supplies it, changes the one
// field of Topic that is named after it.
func TestEveryTopicSettingReachesItsField(t *testing.T) {
	plain := DefaultTopic()
	for _, k := range Keys(TopicScope) {
		if k.Hidden {
			continue
		}
		value := other(t, k)
		own, err := ResolveTopic(map[string]string{k.Name: value}, Values{})
		if err != nil && k.Name != "remote.storage.enable" {
			t.Error(err)
		}
		layers := map[string]Topic{"the topic": own}
		if k.Broker != "" {
			static, err := NewValues(map[string]string{k.Broker: value})
			if err != nil {
				t.Error(err)
			}
			layers["server.properties"] = static.Topic()
			for layer, set := range map[string][2]map[string]string{"the broker": {{k.Broker: value}, nil}, "all brokers": {nil, {k.Broker: value}}} {
				dynamic, err := (Values{}).WithDynamic(set[0], set[1])
				if err != nil {
					t.Error(err)
				}
				layers[layer] = dynamic.Topic()
			}
		}
		for layer, topic := range layers {
			var changed []string
			for i := range reflect.TypeFor[Topic]().NumField() {
				if !reflect.DeepEqual(reflect.ValueOf(plain).Field(i).Interface(), reflect.ValueOf(topic).Field(i).Interface()) {
					changed = append(changed, reflect.TypeFor[Topic]().Field(i).Name)
				}
			}
			if len(changed) != 1 || changed[0] != fieldOf(k.Name) {
				t.Errorf("%s=%s for %s changes %v, want %s", k.Name, value, layer, changed, fieldOf(k.Name))
			}
		}
	}
}
