package config

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestPropertiesAreReadAsJavaReadsThem(t *testing.T) {
	const file = "# comment\n! comment\n\n" +
		"a=1\n b : 2\nc 3\nd\ne = x=y:z \n" +
		"long.list = one,\\\n   two,\\\n\tthree\n" +
		"key\\ with\\:blank=v\n" +
		"path=C:\\\\logs\\tx\n" +
		"even=x\\\\\\\\\n" +
		"korean=\\ub098\\ub8e8\n" +
		"smile=\\ud83d\\ude00!\n" +
		"# a comment does not go on \\\nafter=1\r\nlast=end\\"
	got, warnings, err := ParseProperties(file)
	if err != nil || len(warnings) != 0 {
		t.Fatal(err, warnings)
	}
	want := map[string]string{
		"a": "1", "b": "2", "c": "3", "d": "", "e": "x=y:z", "long.list": "one,two,three", "key with:blank": "v",
		"path": "C:\\logs\tx", "even": "x\\\\", "korean": "나루", "smile": "😀!", "after": "1", "last": "end",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestTheLastOfTwoEqualKeysHoldsWithAWarning(t *testing.T) {
	got, warnings, err := ParseProperties("a=1\nb=2\na=3\n")
	if err != nil || got["a"] != "3" || len(warnings) != 1 || !strings.Contains(warnings[0], "line 1 and again on line 3") {
		t.Errorf("got %v, %v, %v", got, warnings, err)
	}
}

func TestABadPropertiesLineIsNamed(t *testing.T) {
	for file, want := range map[string]string{
		"a=1\n=2\n": "line 2: \"=2\" has no key",
		"a=\\u12":   "line 1: \"\\\\u12\" ends within",
		"a=\\u12xy": "is not a \\u escape",
		strings.Repeat("x", MaxPropertiesBytes+1): "too many",
	} {
		if _, _, err := ParseProperties(file); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.20q: got %v, want %q", file, err, want)
		}
	}
}

func TestUnknownSettingsAreWarnedAboutWithTheNearest(t *testing.T) {
	got := Unknown(map[string]string{"num.partitons": "1", "log.dirs": "x", "listener.name.tls.ssl.key.password": "x", "qqqqqqqqq": "1"})
	want := []string{`unknown setting "num.partitons" is ignored: did you mean num.partitions?`, `unknown setting "qqqqqqqqq" is ignored`}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestOverridesAreKeyValuePairs(t *testing.T) {
	if k, v, err := ParseOverride("a=b=c"); k != "a" || v != "b=c" || err != nil {
		t.Error(k, v, err)
	}
	for _, bad := range []string{"a", "=b", ""} {
		if _, _, err := ParseOverride(bad); err == nil {
			t.Errorf("%q is accepted", bad)
		}
	}
}

func FuzzPropertiesNeverPanic(f *testing.F) {
	f.Add("a=1\\\nb:\\u0041 c\n\\")
	f.Fuzz(func(t *testing.T, file string) {
		settings, _, err := ParseProperties(file)
		if err == nil {
			Unknown(settings)
		}
	})
}
