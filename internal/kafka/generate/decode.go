package main

import (
	"fmt"
	"strings"

	"github.com/naru-stream/naru/internal/kafka/definition"
)

// readers are the methods of wire.Reader for types of one value.
var readers = map[string]string{
	"bool": "Bool", "int8": "Int8", "int16": "Int16", "int32": "Int32", "int64": "Int64",
	"uint16": "Uint16", "uint32": "Uint32", "float64": "Float64", "uuid": "UUID", "string": "String",
}

func (g *generator) decode(s *structInfo) {
	var b strings.Builder
	var tagged []*definition.Field
	for _, f := range s.fields {
		if f.Tag >= 0 {
			tagged = append(tagged, f)
			continue
		}
		read := g.read(f, s.in)
		if c := condition(f.Versions, s.in); c != "" {
			read = fmt.Sprintf("if %s {\n%s} else {\n%s}\n", c, read, g.absent(f))
		}
		b.WriteString(read)
	}
	if flex := g.flexible(s.in); flex != "false" {
		tags := "r.SkipTags()\n"
		if len(tagged) > 0 {
			tags = g.readTags(tagged, s.in)
			for _, f := range tagged {
				b.WriteString(g.absent(f))
			}
		}
		if flex == "flex" {
			tags = "if flex {\n" + tags + "}\n"
		}
		b.WriteString(tags)
	}
	g.function(fmt.Sprintf("(m *%s) decode(r *wire.Reader, v int16)", s.goName), b.String())
}

func (g *generator) readTags(tagged []*definition.Field, in definition.Range) string {
	var b strings.Builder
	flexIn := in.Intersect(definition.Range{Lo: g.m.FlexibleFrom, Hi: definition.Open})
	b.WriteString("for n := r.TagCount(); n > 0; n-- {\ntag, rest := r.OpenTag()\nswitch {\n")
	for _, f := range tagged {
		c := fmt.Sprintf("tag == %d", f.Tag)
		if versions := condition(f.Versions, flexIn); versions != "" {
			c += " && " + versions
		}
		read := g.read(f, f.Versions)
		if f.Struct != nil && !f.Array && !f.Nullable.Empty() {
			read = fmt.Sprintf("m.%s = nil\nif r.UVarint() != 0 {\n%s}\n", f.Name, g.readNew(f))
		}
		fmt.Fprintf(&b, "case %s:\n%s", c, read)
	}
	b.WriteString("default:\nr.Discard()\n}\nif !r.CloseTag(rest) {\nreturn\n}\n}\n")
	return b.String()
}

func (g *generator) readNew(f *definition.Field) string {
	return fmt.Sprintf("m.%s = new(%s)\nm.%s.decode(r, v)\n", f.Name, g.elemType(f), f.Name)
}

// read returns the statements that read a field which is present. The range in
// holds the versions the code around has not excluded.
func (g *generator) read(f *definition.Field, in definition.Range) string {
	in = in.Intersect(f.Versions)
	flex := g.flexible(in)
	if f.Tag >= 0 {
		flex = "true"
	}
	nullable := boolean(f.Nullable, in)
	switch {
	case f.Array && f.Struct != nil:
		return g.readStructs(f, flex, nullable)
	case f.Array:
		if nullable != "true" && nullable != "false" {
			g.err = fmt.Errorf("field %s: an array of %s must be nullable in all versions or none", f.Name, f.Type)
		}
		return fmt.Sprintf("m.%s = r.%ss(m.%s, %s, %s)\n", f.Name, readers[f.Type], f.Name, flex, nullable)
	case f.Struct != nil && f.Nullable.Empty():
		return fmt.Sprintf("m.%s.decode(r, v)\n", f.Name)
	case f.Struct != nil:
		if nullable != "true" {
			g.err = fmt.Errorf("field %s: a struct must be nullable in all versions or none", f.Name)
		}
		return fmt.Sprintf("m.%s = nil\nif r.Int8() >= 0 {\n%s}\n", f.Name, g.readNew(f))
	case f.Type == "bytes" || f.Type == "records":
		return fmt.Sprintf("m.%s = r.Bytes(%s, %s)\n", f.Name, flex, nullable)
	case f.Type == "string" && nullable != "false":
		return fmt.Sprintf("m.%s = r.NullableString(%s, %s)\n", f.Name, flex, nullable)
	case f.Type == "string":
		return fmt.Sprintf("m.%s = r.String(%s)\n", f.Name, flex)
	case g.elemType(f) == "ErrorCode":
		return fmt.Sprintf("m.%s = ErrorCode(r.Int16())\n", f.Name)
	}
	return fmt.Sprintf("m.%s = r.%s()\n", f.Name, readers[f.Type])
}

func (g *generator) readStructs(f *definition.Field, flex, nullable string) string {
	size := g.minSize(f.Struct, f.Versions)
	loop := fmt.Sprintf("i < n && r.OK(); i++ {\nm.%s = wire.Extend(m.%s, n)\nm.%s[i].decode(r, v)\n}\n", f.Name, f.Name, f.Name)
	if f.Nullable.Empty() {
		return fmt.Sprintf("m.%s = m.%s[:0]\nfor i, n := 0, r.ArrayLen(%s, false, %d); %s", f.Name, f.Name, flex, size, loop)
	}
	return fmt.Sprintf("{\nn := r.ArrayLen(%s, %s, %d)\nm.%s = wire.Reset(m.%s, n)\nfor i := 0; %s}\n",
		flex, nullable, size, f.Name, f.Name, loop)
}

// absent returns the statement that gives a field its default.
func (g *generator) absent(f *definition.Field) string {
	value := g.defaultValue(f)
	switch {
	case f.Struct != nil && !f.Array && f.Nullable.Empty():
		return fmt.Sprintf("m.%s.SetDefaults()\n", f.Name)
	case f.Struct != nil && !f.Array && value != "" && g.hasDefaults(f.Struct):
		return fmt.Sprintf("m.%s = %s\nm.%s.SetDefaults()\n", f.Name, value, f.Name)
	case f.Array && value != "":
		return fmt.Sprintf("m.%s = wire.Reset(m.%s, 0)\n", f.Name, f.Name)
	case value != "":
	case f.Array && f.Default != "null":
		value = fmt.Sprintf("m.%s[:0]", f.Name)
	case f.Array || f.Type == "bytes" || f.Type == "records" || !f.Nullable.Empty():
		value = "nil"
	case f.Type == "string":
		value = `""`
	case f.Type == "bool":
		value = "false"
	case f.Type == "uuid":
		value = "wire.UUID{}"
	default:
		value = "0"
	}
	return fmt.Sprintf("m.%s = %s\n", f.Name, value)
}

// minSize returns the fewest bytes that a struct takes in any of the versions.
func (g *generator) minSize(s *definition.Struct, in definition.Range) int {
	smallest := 1 << 30
	for v := in.Lo; v <= in.Hi; v++ {
		smallest = min(smallest, g.sizeAt(s, v))
	}
	return max(smallest, 1)
}

func (g *generator) sizeAt(s *definition.Struct, v int16) int {
	size := 0
	flexible := g.m.Flexible(v)
	if flexible {
		size++
	}
	for _, f := range s.Fields {
		if f.Tag >= 0 || !f.Versions.Has(v) {
			continue
		}
		switch {
		case flexible && (f.Array || f.Type == "string" || f.Type == "bytes" || f.Type == "records"):
			size++
		case f.Array || f.Type == "bytes" || f.Type == "records":
			size += 4
		case f.Type == "string":
			size += 2
		case f.Struct != nil && !f.Nullable.Empty():
			size++
		case f.Struct != nil:
			size += g.sizeAt(f.Struct, v)
		default:
			size += fixedSize[f.Type]
		}
	}
	return size
}

var fixedSize = map[string]int{
	"bool": 1, "int8": 1, "int16": 2, "uint16": 2, "int32": 4, "uint32": 4, "int64": 8, "float64": 8, "uuid": 16,
}
