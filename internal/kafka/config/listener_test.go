package config

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestAListenersSettingComesBeforeTheBrokers(t *testing.T) {
	v := values(t, map[string]string{"listener.name.outer.max.connections": "7", "max.connections": "9", "listener.name.outer.ssl.key.password": "secret"})
	for listener, want := range map[string]int32{"OUTER": 7, "INNER": 9} {
		if got, own := v.ListenerInt32(listener, "max.connections"); got != want || own != (want == 7) {
			t.Errorf("%s may have %d connections (%t), want %d", listener, got, own, want)
		}
	}
	v, err := v.WithDynamic(nil, map[string]string{"listener.name.outer.max.connections": "8"})
	if err != nil {
		t.Fatal(err)
	}
	got := v.DescribeBroker([]string{"listener.name.outer.max.connections", "listener.name.outer.ssl.key.password"})
	want := []Synonym{
		{Name: "listener.name.outer.max.connections", Value: "8", Source: DynamicDefaultBrokerConfig},
		{Name: "listener.name.outer.max.connections", Value: "7", Source: StaticBrokerConfig},
		{Name: "max.connections", Value: "9", Source: StaticBrokerConfig},
		{Name: "max.connections", Value: "2147483647", Source: DefaultConfig},
	}
	if diff := cmp.Diff(want, got[0].Synonyms); diff != "" || got[0].Value != "8" || got[0].Type != Int || got[0].Sensitive {
		t.Errorf("described as %+v; synonyms:\n%s", got[0], diff)
	}
	if p := got[1]; !p.Sensitive || !p.Null || !p.Synonyms[0].Null {
		t.Errorf("the password is described as %+v", p)
	}
	if n := len(v.DescribeBroker(nil)) - len(Values{}.DescribeBroker(nil)); n != 2 {
		t.Errorf("%d more settings are described, want 2", n)
	}
}

func TestListenersSettingsAreChecked(t *testing.T) {
	for _, c := range []struct {
		name, value string
		perBroker   bool
		want        string // a part of the refusal, empty for none
	}{
		{"listener.name.outer.max.connections", "5", false, ""},
		{"listener.name.outer.max.connections", "x", false, "Not a number of type INT"},
		{"listener.name.outer.num.io.threads", "5", true, ""},
		{"listener.name.outer.num.io.threads", "5", false, "at default cluster level"},
		{"listener.name.outer.plain.what.is.this", "5", true, ""},
		{"listener.name.outer.plain.what.is.this", "5", false, "at default cluster level"},
	} {
		err := CheckDynamic(c.name, c.value, c.perBroker)
		if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s=%s (per broker: %t): %v, want %q", c.name, c.value, c.perBroker, err, c.want)
		}
	}
	if _, err := NewValues(map[string]string{"listener.name.outer.max.connections": "many"}); err == nil {
		t.Error("a listener's limit that is no number is taken")
	}
}
