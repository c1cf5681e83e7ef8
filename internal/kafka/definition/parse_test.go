package definition

import (
	"reflect"
	"strings"
	"testing"
)

func TestFieldsAreReadWithAllTheyCanHave(t *testing.T) {
	file, err := Parse("x.txt", `
api 12 Example broker,controller unstable   # a comment
message ExampleRequest 1-5 flexible 4+
  A string? 2+ default null
  B []T?3+ ignorable
    C int8 2-4
  D Place 4+ tag 7
  Key uuid as ExampleKey
  struct Place
    E uint16 default 5
`)
	if err != nil {
		t.Fatal(err)
	}
	if want := (&API{Key: 12, Name: "Example", Listeners: []string{"broker", "controller"}, Unstable: true}); !reflect.DeepEqual(file.API, want) {
		t.Errorf("API %+v", file.API)
	}
	m := file.Messages[0]
	if m.Name != "ExampleRequest" || m.Valid != (Range{1, 5}) || m.Flexible(3) || !m.Flexible(4) || m.Key != -1 {
		t.Errorf("message %+v", m)
	}
	place := &Struct{Name: "Place", Shared: true, Fields: []*Field{
		{Name: "E", SchemaName: "E", Type: "uint16", Versions: Range{1, 5}, Nullable: None, Tag: -1, Default: "5"},
	}}
	want := []*Field{
		{Name: "A", SchemaName: "A", Type: "string", Versions: Range{2, 5}, Nullable: Range{2, 5}, Tag: -1, Default: "null"},
		{Name: "B", SchemaName: "B", Type: "T", Array: true, Versions: Range{1, 5}, Nullable: Range{3, 5}, Tag: -1, Ignorable: true,
			Struct: &Struct{Name: "T", Fields: []*Field{
				{Name: "C", SchemaName: "C", Type: "int8", Versions: Range{2, 4}, Nullable: None, Tag: -1},
			}}},
		{Name: "D", SchemaName: "D", Type: "Place", Versions: Range{4, 5}, Nullable: None, Tag: 7, Struct: place},
		{Name: "ExampleKey", SchemaName: "Key", Type: "uuid", Versions: Range{1, 5}, Nullable: None, Tag: -1},
	}
	if !reflect.DeepEqual(m.Fields, want) {
		t.Errorf("fields %+v", m.Fields)
	}
}

func TestMistakesAreReportedWithTheirLine(t *testing.T) {
	for text, want := range map[string]string{
		"nonsense":                                   "x.txt:1: \"nonsense\" is not",
		"  A int8":                                   "a field outside a message",
		"message M":                                  "want: message",
		"message M x":                                "is not a number",
		"message M 0 flexible":                       "want: message",
		"message M 0 color blue":                     "is not flexible or key",
		"message M 0\n   A int8":                     "x.txt:2: indented by 3 spaces",
		"message M 0\n    A int8":                    "x.txt:2: indented too deep",
		"message M 0\n  A":                           "want: <name> <type>",
		"message M 0\n  A int8 tag":                  "is not tag n",
		"message M 0\n  A int8 tag x":                "invalid syntax",
		"message M 0\n  A Unknown":                   "there is no type Unknown",
		"message M 0\n  A B\n    C []D":              "there is no type D",
		"message M 0\n  A int8 99999":                "is not a number",
		"message M 0\n  A int8\n  struct S\n    B T": "there is no type T",
		"api 1 A":                                    "want: api",
	} {
		if _, err := Parse("x.txt", text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %s", text, err, want)
		}
	}
}

func TestRangesMeet(t *testing.T) {
	if got := (Range{2, Open}).Intersect(Range{0, 5}); got != (Range{2, 5}) {
		t.Errorf("got %v", got)
	}
	if got := (Range{6, 9}).Intersect(Range{0, 5}); !got.Empty() || got != None {
		t.Errorf("got %v", got)
	}
	if !(Range{0, 3}).Covers(None) || (Range{0, 3}).Covers(Range{2, 4}) {
		t.Error("covering is wrong")
	}
}
