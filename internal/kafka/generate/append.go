package main

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/naru-stream/naru/internal/kafka/definition"
)

func (g *generator) appendTo(s *structInfo) {
	var b strings.Builder
	var tagged []*definition.Field
	for _, f := range s.fields {
		if f.Tag >= 0 {
			tagged = append(tagged, f)
			continue
		}
		write := g.write(f, s.in)
		if c := condition(f.Versions, s.in); c != "" {
			write = fmt.Sprintf("if %s {\n%s}\n", c, write)
		}
		b.WriteString(write)
	}
	if flex := g.flexible(s.in); flex != "false" {
		tags := "b = append(b, 0)\n"
		if len(tagged) > 0 {
			slices.SortFunc(tagged, func(a, b *definition.Field) int { return cmp.Compare(a.Tag, b.Tag) })
			tags = g.writeTags(tagged, s.in)
		}
		if flex == "flex" {
			tags = "if flex {\n" + tags + "}\n"
		}
		b.WriteString(tags)
	}
	b.WriteString("return b\n")
	g.function(fmt.Sprintf("(m *%s) appendTo(b []byte, v int16) []byte", s.goName), b.String())
}

func (g *generator) writeTags(tagged []*definition.Field, in definition.Range) string {
	var b strings.Builder
	flexIn := in.Intersect(definition.Range{Lo: g.m.FlexibleFrom, Hi: definition.Open})
	b.WriteString("var tags, mark int\nb, tags = wire.OpenTags(b)\n")
	for _, f := range tagged {
		c := g.notDefault(f, true)
		if versions := condition(f.Versions, flexIn); versions != "" {
			c = versions + " && (" + c + ")"
		}
		write := g.write(f, f.Versions)
		if f.Struct != nil && !f.Array && !f.Nullable.Empty() {
			write = fmt.Sprintf("if m.%s == nil {\nb = append(b, 0)\n} else {\nb = m.%s.appendTo(append(b, 1), v)\n}\n", f.Name, f.Name)
		}
		fmt.Fprintf(&b, "if %s {\nb, mark = wire.AppendTag(b, tags, %d)\n%sb = wire.CloseTag(b, mark)\n}\n", c, f.Tag, write)
	}
	return b.String()
}

// write returns the statements that append a field which is present.
func (g *generator) write(f *definition.Field, in definition.Range) string {
	in = in.Intersect(f.Versions)
	flex := g.flexible(in)
	if f.Tag >= 0 {
		flex = "true"
	}
	nullable := !f.Nullable.Empty()
	text := strings.HasSuffix(f.Name, "ErrorMessage")
	switch {
	case f.Array && f.Struct != nil:
		null := "false"
		if nullable {
			null = fmt.Sprintf("m.%s == nil", f.Name)
		}
		return fmt.Sprintf("b = wire.AppendArrayLen(b, len(m.%s), %s, %s)\nfor i := range m.%s {\nb = m.%s[i].appendTo(b, v)\n}\n",
			f.Name, null, flex, f.Name, f.Name)
	case f.Array:
		return fmt.Sprintf("b = wire.Append%ss(b, m.%s, %s, %t)\n", readers[f.Type], f.Name, flex, nullable)
	case f.Struct != nil && nullable:
		return fmt.Sprintf("if m.%s == nil {\nb = append(b, 0xff)\n} else {\nb = m.%s.appendTo(append(b, 1), v)\n}\n", f.Name, f.Name)
	case f.Struct != nil:
		return fmt.Sprintf("b = m.%s.appendTo(b, v)\n", f.Name)
	case f.Type == "bytes" || f.Type == "records":
		return fmt.Sprintf("b = wire.AppendBytes(b, m.%s, %s, %t)\n", f.Name, flex, nullable)
	case f.Type == "string" && nullable && text:
		return fmt.Sprintf("b = wire.AppendNullableString(b, wire.ClipNullable(m.%s), %s)\n", f.Name, flex)
	case f.Type == "string" && nullable:
		return fmt.Sprintf("b = wire.AppendNullableString(b, m.%s, %s)\n", f.Name, flex)
	case f.Type == "string" && text:
		return fmt.Sprintf("b = wire.AppendString(b, wire.Clip(m.%s), %s)\n", f.Name, flex)
	case f.Type == "string":
		return fmt.Sprintf("b = wire.AppendString(b, m.%s, %s)\n", f.Name, flex)
	case g.elemType(f) == "ErrorCode":
		return fmt.Sprintf("b = wire.AppendInt16(b, int16(m.%s))\n", f.Name)
	}
	return fmt.Sprintf("b = wire.Append%s(b, m.%s)\n", readers[f.Type], f.Name)
}

// notDefault returns the condition for a field to differ from its default. Where
// the default is empty, exact tells whether null counts as different.
func (g *generator) notDefault(f *definition.Field, exact bool) string {
	x := "m." + f.Name
	nullable := !f.Nullable.Empty()
	switch {
	case f.Default == "null" || f.Type == "records" && nullable:
		return x + " != nil"
	case f.Array || f.Type == "bytes" || f.Type == "records":
		if nullable && exact {
			return fmt.Sprintf("%s == nil || len(%s) != 0", x, x)
		}
		return fmt.Sprintf("len(%s) != 0", x)
	case f.Struct != nil || f.Type == "string" && nullable:
		differs := fmt.Sprintf("!%s.isDefault()", x)
		if f.Struct == nil {
			differs = fmt.Sprintf(`*%s != ""`, x)
		}
		switch {
		case nullable && exact:
			return fmt.Sprintf("%s == nil || %s", x, differs)
		case nullable:
			return fmt.Sprintf("%s != nil && %s", x, differs)
		}
		return differs
	case f.Type == "string":
		return x + ` != ""`
	case f.Type == "bool" && f.Default == "true":
		return "!" + x
	case f.Type == "bool":
		return x
	case f.Type == "uuid":
		return x + " != (wire.UUID{})"
	case f.Default != "":
		return x + " != " + f.Default
	}
	return x + " != 0"
}

func (g *generator) isDefault(s *structInfo) {
	var conditions []string
	for _, f := range s.fields {
		conditions = append(conditions, g.notDefault(f, true))
	}
	g.printf("\nfunc (m *%s) isDefault() bool {\nreturn !(%s)\n}\n", s.goName, strings.Join(conditions, " || "))
}

// checkMax returns the highest version in which a field of s can hold a value
// that the version cannot carry, or -1 if there is none.
func (g *generator) checkMax(s *structInfo) int16 {
	highest := int16(-1)
	for _, f := range s.fields {
		present := f.Versions.Intersect(s.in)
		if !f.Versions.Covers(s.in) && !f.Ignorable {
			highest = max(highest, outside(f.Versions, s.in))
		}
		if !f.Nullable.Empty() && !f.Nullable.Covers(present) {
			highest = max(highest, outside(f.Nullable, present))
		}
		if f.Struct != nil {
			highest = max(highest, min(g.checkMax(g.info[f.Struct]), present.Hi))
		}
	}
	return highest
}

// outside returns the highest version of in that is not in r.
func outside(r, in definition.Range) int16 {
	if r.Empty() || r.Hi < in.Hi {
		return in.Hi
	}
	return r.Lo - 1
}

func (g *generator) check(s *structInfo) {
	var b strings.Builder
	for _, f := range s.fields {
		present := f.Versions.Intersect(s.in)
		fail := fmt.Sprintf("return wire.CannotCarry(%q, v)\n", s.goName+"."+f.Name)
		if !f.Versions.Covers(s.in) && !f.Ignorable {
			fmt.Fprintf(&b, "if !(%s) && (%s) {\n%s}\n", condition(f.Versions, s.in), g.notDefault(f, false), fail)
		}
		var inner string
		if !f.Nullable.Empty() && !f.Nullable.Covers(present) {
			inner = fmt.Sprintf("if !(%s) && m.%s == nil {\n%s}\n", condition(f.Nullable, present), f.Name, fail)
		}
		if f.Struct != nil {
			inner += g.checkStruct(f, present)
		}
		if c := condition(present, s.in); c != "" && inner != "" {
			inner = fmt.Sprintf("if %s {\n%s}\n", c, inner)
		}
		b.WriteString(inner)
	}
	b.WriteString("return nil\n")
	g.function(fmt.Sprintf("(m *%s) check(v int16) error", s.goName), b.String())
}

func (g *generator) checkStruct(f *definition.Field, present definition.Range) string {
	last := g.checkMax(g.info[f.Struct])
	if last < present.Lo {
		return ""
	}
	var body string
	call := "if err := m.%s.check(v); err != nil {\nreturn err\n}\n"
	switch {
	case f.Array:
		body = fmt.Sprintf("for i := range m.%s {\n%s}\n", f.Name, fmt.Sprintf(call, f.Name+"[i]"))
	case !f.Nullable.Empty():
		body = fmt.Sprintf("if m.%s != nil {\n%s}\n", f.Name, fmt.Sprintf(call, f.Name))
	default:
		body = fmt.Sprintf(call, f.Name)
	}
	if last < present.Hi {
		body = fmt.Sprintf("if v <= %d {\n%s}\n", last, body)
	}
	return body
}
