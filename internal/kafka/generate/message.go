package main

import (
	"bytes"
	"fmt"
	"strings"

	"github.com/naru-stream/naru/internal/kafka/definition"
)

// generator writes the code of one message.
type generator struct {
	file *definition.File
	m    *definition.Message
	w    *bytes.Buffer
	// structs in the order in which they are written, and by definition.
	structs []*structInfo
	info    map[*definition.Struct]*structInfo
	err     error
}

// structInfo is what is known of a struct before its code is written.
type structInfo struct {
	goName string
	fields []*definition.Field
	// in is the range of versions in which the struct can occur.
	in definition.Range
	// doc says where the struct occurs.
	doc string
	// needsIsDefault says that a value of it may be left out.
	needsIsDefault bool
}

func newGenerator(file *definition.File, m *definition.Message, w *bytes.Buffer) *generator {
	g := &generator{file: file, m: m, w: w, info: map[*definition.Struct]*structInfo{}}
	top := &structInfo{goName: m.Name, fields: m.Fields, in: m.Valid, doc: g.messageDoc()}
	g.structs = append(g.structs, top)
	g.collect(m.Fields, m.Name)
	for _, s := range m.Structs {
		g.add(s, m.Valid, "is a part of "+m.Name+".")
		g.collect(s.Fields, g.goName(s))
	}
	for _, s := range g.structs {
		for _, f := range s.fields {
			if f.Struct != nil && !f.Array && (f.Tag >= 0 || !f.Versions.Covers(s.in) && !f.Ignorable) {
				g.markIsDefault(f.Struct)
			}
		}
	}
	return g
}

func (g *generator) messageDoc() string {
	doc := fmt.Sprintf("has versions %d to %d", g.m.Valid.Lo, g.m.Valid.Hi)
	switch {
	case g.m.FlexibleFrom < 0:
		return doc + "; none is flexible."
	case g.m.FlexibleFrom <= g.m.Valid.Lo:
		return doc + "; all are flexible."
	}
	return doc + fmt.Sprintf("; it is flexible from %d.", g.m.FlexibleFrom)
}

// goName returns the Go name of a struct: the message's name, then the struct's,
// but never the message's name twice.
func (g *generator) goName(s *definition.Struct) string {
	if strings.HasPrefix(s.Name, g.m.Name) {
		return s.Name
	}
	return g.m.Name + s.Name
}

func (g *generator) collect(fields []*definition.Field, parent string) {
	for _, f := range fields {
		if f.Struct == nil || f.Struct.Shared {
			continue
		}
		doc := "is the type of " + parent + "." + f.Name + "."
		if f.Array {
			doc = "is an element of " + parent + "." + f.Name + "."
		}
		g.add(f.Struct, f.Versions, doc)
		g.collect(f.Struct.Fields, g.goName(f.Struct))
	}
}

func (g *generator) add(s *definition.Struct, in definition.Range, doc string) {
	if g.info[s] != nil {
		return
	}
	i := &structInfo{goName: g.goName(s), fields: s.Fields, in: in, doc: doc}
	for _, other := range g.structs {
		if other.goName == i.goName {
			g.err = fmt.Errorf("two structs are called %s", i.goName)
		}
	}
	g.info[s] = i
	g.structs = append(g.structs, i)
}

func (g *generator) markIsDefault(s *definition.Struct) {
	g.info[s].needsIsDefault = true
	for _, f := range s.Fields {
		if f.Struct != nil && !f.Array {
			g.markIsDefault(f.Struct)
		}
	}
}

func (g *generator) printf(format string, args ...any) { fmt.Fprintf(g.w, format, args...) }

func (g *generator) message() error {
	for i, s := range g.structs {
		g.typeDecl(s)
		g.setDefaults(s)
		if i == 0 {
			g.topLevel()
		}
		g.decode(s)
		g.appendTo(s)
		if g.checkMax(s) >= 0 {
			g.check(s)
		}
		if s.needsIsDefault {
			g.isDefault(s)
		}
	}
	return g.err
}

func (g *generator) typeDecl(s *structInfo) {
	g.printf("\n// %s %s\ntype %s struct {\n", s.goName, s.doc, s.goName)
	for _, f := range s.fields {
		var notes []string
		if !f.Versions.Covers(s.in) {
			notes = append(notes, versionsText(f.Versions, s.in))
		}
		if f.Tag >= 0 {
			notes = append(notes, fmt.Sprintf("tag %d", f.Tag))
		}
		if !f.Nullable.Empty() {
			if f.Nullable.Covers(f.Versions) {
				notes = append(notes, "nullable")
			} else {
				notes = append(notes, "nullable "+versionsText(f.Nullable, s.in))
			}
		}
		if f.Default != "" {
			notes = append(notes, "default "+f.Default)
		}
		note := ""
		if len(notes) > 0 {
			note = " // " + strings.Join(notes, ", ")
		}
		g.printf("%s %s%s\n", f.Name, g.goType(f), note)
	}
	g.printf("}\n")
}

func versionsText(r, in definition.Range) string {
	switch {
	case r.Hi >= in.Hi:
		return fmt.Sprintf("v%d+", r.Lo)
	case r.Lo == r.Hi:
		return fmt.Sprintf("v%d", r.Lo)
	}
	return fmt.Sprintf("v%d-%d", r.Lo, r.Hi)
}

// goType returns the Go type of a field.
func (g *generator) goType(f *definition.Field) string {
	t := g.elemType(f)
	switch {
	case f.Array:
		return "[]" + t
	case f.Nullable.Empty() || t == "[]byte":
		return t
	}
	return "*" + t
}

func (g *generator) elemType(f *definition.Field) string {
	switch {
	case f.Struct != nil:
		return g.info[f.Struct].goName
	case f.Type == "uuid":
		return "wire.UUID"
	case f.Type == "bytes" || f.Type == "records":
		return "[]byte"
	case f.Type == "int16" && f.Name == "ErrorCode" && g.file.Package == "protocol":
		return "ErrorCode"
	}
	return f.Type
}

// defaultValue returns the Go expression of a field's default, or "" for the
// zero value of its type.
func (g *generator) defaultValue(f *definition.Field) string {
	switch {
	case f.Default != "" && f.Default != "null":
		return f.Default
	case f.Nullable.Empty() || f.Default == "null" || f.Type == "records":
		return ""
	case f.Array || f.Type == "bytes":
		return g.goType(f) + "{}"
	case f.Struct != nil:
		return "new(" + g.elemType(f) + ")"
	}
	return "new(" + f.Type + ")"
}

func (g *generator) setDefaults(s *structInfo) {
	g.printf("\n// SetDefaults sets every field to the default of the schema.\n")
	g.printf("func (m *%s) SetDefaults() {\n*m = %s{", s.goName, s.goName)
	var items, calls []string
	for _, f := range s.fields {
		if d := g.defaultValue(f); d != "" {
			items = append(items, f.Name+": "+d)
		}
		if f.Struct != nil && !f.Array && f.Default != "null" && g.hasDefaults(f.Struct) {
			calls = append(calls, "m."+f.Name+".SetDefaults()\n")
		}
	}
	g.printf("%s}\n%s}\n", strings.Join(items, ", "), strings.Join(calls, ""))
}

// hasDefaults reports whether the defaults of s differ from its zero value.
func (g *generator) hasDefaults(s *definition.Struct) bool {
	for _, f := range s.Fields {
		if g.defaultValue(f) != "" || f.Struct != nil && !f.Array && f.Default != "null" && g.hasDefaults(f.Struct) {
			return true
		}
	}
	return false
}

// topLevel writes the exported methods of the message.
func (g *generator) topLevel() {
	name, lo, hi := g.m.Name, g.m.Valid.Lo, g.m.Valid.Hi
	if g.file.API != nil && strings.HasSuffix(name, "Request") {
		g.printf("\n// Key returns Key%s.\nfunc (*%s) Key() APIKey { return Key%s }\n", g.file.API.Name, name, g.file.API.Name)
	}
	if g.m.Key >= 0 {
		g.printf("\n// RecordType returns %d.\nfunc (*%s) RecordType() int16 { return %d }\n", g.m.Key, name, g.m.Key)
		g.printf("\n// Versions returns the lowest and the highest version of the record.\nfunc (*%s) Versions() (lo, hi int16) { return %d, %d }\n", name, lo, hi)
	}
	g.printf("\n// Decode reads the message from b, which its strings and bytes alias.\n")
	g.printf("func (m *%s) Decode(b []byte, version int16) error {\n", name)
	g.printf("if version < %d || version > %d {\nreturn wire.UnsupportedVersion(%q, version, %d, %d)\n}\n", lo, hi, name, lo, hi)
	reader := "NewReader"
	if strings.HasSuffix(name, "Request") {
		reader = "NewRequestReader"
	}
	g.printf("r := wire.%s(b)\nm.decode(&r, version)\nreturn r.Finish(%q, version)\n}\n", reader, name)
	g.printf("\n// Append appends the message to b.\n")
	g.printf("func (m *%s) Append(b []byte, version int16) []byte {\nwire.AssertVersion(%q, version, %d, %d)\n", name, name, lo, hi)
	if last := g.checkMax(g.structs[0]); last >= 0 {
		call := "wire.AssertCarries(m.check(version))\n"
		if last < hi {
			call = fmt.Sprintf("if version <= %d {\n%s}\n", last, call)
		}
		g.printf("%s", call)
	}
	g.printf("return m.appendTo(b, version)\n}\n")
	if g.checkMax(g.structs[0]) >= 0 {
		g.printf("\n// CheckVersion returns an error if a field has a value that the version cannot carry.\n")
		g.printf("func (m *%s) CheckVersion(version int16) error { return m.check(version) }\n", name)
	}
}

// condition returns the Go condition for version v, known to be in the range in,
// to be in the range r; "" if it always is.
func condition(r, in definition.Range) string {
	switch {
	case r.Covers(in):
		return ""
	case r.Empty():
		return "false"
	case r.Hi >= in.Hi:
		return fmt.Sprintf("v >= %d", r.Lo)
	case r.Lo <= in.Lo:
		return fmt.Sprintf("v <= %d", r.Hi)
	case r.Lo == r.Hi:
		return fmt.Sprintf("v == %d", r.Lo)
	}
	return fmt.Sprintf("v >= %d && v <= %d", r.Lo, r.Hi)
}

// boolean is condition as an argument.
func boolean(r, in definition.Range) string {
	if c := condition(r, in); c != "" {
		return c
	}
	return "true"
}

// flexible returns the argument that says whether compact types are in use.
func (g *generator) flexible(in definition.Range) string {
	switch {
	case g.m.FlexibleFrom < 0 || g.m.FlexibleFrom > in.Hi:
		return "false"
	case g.m.FlexibleFrom <= in.Lo:
		return "true"
	}
	return "flex"
}

// function writes a method, declaring flex where the body uses it.
func (g *generator) function(signature, body string) {
	g.printf("\nfunc %s {\n", signature)
	if strings.Contains(body, "flex") {
		g.printf("flex := v >= %d\n", g.m.FlexibleFrom)
	}
	g.printf("%s}\n", body)
}
