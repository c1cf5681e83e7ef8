package definition

import (
	"fmt"
	"io/fs"
	"slices"
	"strconv"
	"strings"
)

var primitives = []string{
	"bool", "int8", "int16", "int32", "int64", "uint16", "uint32", "float64",
	"string", "uuid", "bytes", "records",
}

// Load reads all definition files of a directory, in the order of their names.
func Load(dir fs.FS) ([]*File, error) {
	names, err := fs.Glob(dir, "*.txt")
	if err != nil {
		return nil, err
	}
	slices.Sort(names)
	var files []*File
	for _, name := range names {
		text, err := fs.ReadFile(dir, name)
		if err != nil {
			return nil, fmt.Errorf("reading definitions: %w", err)
		}
		file, err := Parse(name, string(text))
		if err != nil {
			return nil, err
		}
		files = append(files, file)
	}
	return files, nil
}

// Parse reads one definition file. The name is for errors.
func Parse(name, text string) (*File, error) {
	p := parser{file: &File{Name: name, Package: "protocol"}}
	for i, line := range strings.Split(text, "\n") {
		if err := p.line(line); err != nil {
			return nil, fmt.Errorf("%s:%d: %w", name, i+1, err)
		}
	}
	for _, m := range p.file.Messages {
		if err := resolve(m); err != nil {
			return nil, fmt.Errorf("%s: %s: %w", name, m.Name, err)
		}
	}
	return p.file, nil
}

type parser struct {
	file    *File
	message *Message
	// parents holds, for each depth, the list to which a field is added and the
	// versions of what contains it.
	parents []scope
}

type scope struct {
	fields   *[]*Field
	versions Range
	last     *Field
}

func (p *parser) line(line string) error {
	if i := strings.IndexByte(line, '#'); i >= 0 {
		line = line[:i]
	}
	words := strings.Fields(line)
	if len(words) == 0 {
		return nil
	}
	indent := len(line) - len(strings.TrimLeft(line, " "))
	if indent%2 != 0 {
		return fmt.Errorf("indented by %d spaces, which is odd", indent)
	}
	if indent > 0 {
		return p.member(words, indent/2)
	}
	switch words[0] {
	case "package":
		p.file.Package = strings.Join(words[1:], " ")
		return nil
	case "api":
		return p.api(words[1:])
	case "message":
		return p.openMessage(words[1:])
	}
	return fmt.Errorf("%q is not package, api or message", words[0])
}

func (p *parser) api(words []string) error {
	if len(words) < 3 {
		return fmt.Errorf("want: api <key> <name> <listeners> [unstable]")
	}
	key, err := parseInt16(words[0])
	if err != nil {
		return err
	}
	p.file.API = &API{
		Key: key, Name: words[1], Listeners: strings.Split(words[2], ","),
		Unstable: slices.Contains(words[3:], "unstable"),
	}
	return nil
}

func (p *parser) openMessage(words []string) (err error) {
	if len(words) < 2 || len(words)%2 != 0 {
		return fmt.Errorf("want: message <name> <versions> [flexible <from>+] [key <number>]")
	}
	m := &Message{Name: words[0], FlexibleFrom: -1, Key: -1}
	if m.Valid, err = parseRange(words[1]); err != nil {
		return err
	}
	for i := 2; i < len(words); i += 2 {
		switch words[i] {
		case "flexible":
			var r Range
			r, err = parseRange(words[i+1])
			m.FlexibleFrom = r.Lo
		case "key":
			m.Key, err = parseInt16(words[i+1])
		default:
			err = fmt.Errorf("%q is not flexible or key", words[i])
		}
		if err != nil {
			return err
		}
	}
	p.message = m
	p.file.Messages = append(p.file.Messages, m)
	p.parents = []scope{{fields: &m.Fields, versions: m.Valid}}
	return nil
}

func (p *parser) member(words []string, depth int) error {
	if p.message == nil {
		return fmt.Errorf("a field outside a message")
	}
	if depth == 1 && words[0] == "struct" && len(words) == 2 {
		s := &Struct{Name: words[1], Shared: true}
		p.message.Structs = append(p.message.Structs, s)
		p.parents = append(p.parents[:1], scope{fields: &s.Fields, versions: p.message.Valid})
		return nil
	}
	if depth > len(p.parents) {
		parent := p.parents[len(p.parents)-1].last
		if depth != len(p.parents)+1 || parent == nil {
			return fmt.Errorf("indented too deep")
		}
		parent.Struct = &Struct{Name: parent.Type}
		p.parents = append(p.parents, scope{fields: &parent.Struct.Fields, versions: parent.Versions})
	}
	p.parents = p.parents[:depth]
	in := &p.parents[depth-1]
	f, err := parseField(words, in.versions)
	if err != nil {
		return err
	}
	*in.fields = append(*in.fields, f)
	in.last = f
	return nil
}

func parseField(words []string, parent Range) (f *Field, err error) {
	if len(words) < 2 {
		return nil, fmt.Errorf("want: <name> <type>[?[versions]] [versions] [tag n] [default x] [ignorable] [as name]")
	}
	f = &Field{Name: words[0], SchemaName: words[0], Versions: parent, Nullable: None, Tag: -1}
	typ, nullable, isNullable := strings.Cut(words[1], "?")
	f.Type, f.Array = strings.CutPrefix(typ, "[]")
	words = words[2:]
	if len(words) > 0 && words[0][0] >= '0' && words[0][0] <= '9' {
		if f.Versions, err = parseRange(words[0]); err != nil {
			return nil, err
		}
		f.Versions = f.Versions.Intersect(parent)
		words = words[1:]
	}
	if isNullable {
		f.Nullable = f.Versions
		if nullable != "" {
			if f.Nullable, err = parseRange(nullable); err != nil {
				return nil, err
			}
			f.Nullable = f.Nullable.Intersect(f.Versions)
		}
	}
	for len(words) > 0 {
		switch {
		case words[0] == "ignorable":
			f.Ignorable = true
			words = words[1:]
			continue
		case words[0] == "tag" && len(words) > 1:
			f.Tag, err = strconv.Atoi(words[1])
		case words[0] == "default" && len(words) > 1:
			f.Default = words[1]
		case words[0] == "as" && len(words) > 1:
			f.Name = words[1]
		default:
			err = fmt.Errorf("%q is not tag n, default x, ignorable or as name", words[0])
		}
		if err != nil {
			return nil, err
		}
		words = words[2:]
	}
	return f, nil
}

// resolve gives every field of a struct type its struct.
func resolve(m *Message) error {
	shared := map[string]*Struct{}
	for _, s := range m.Structs {
		shared[s.Name] = s
	}
	var walk func(fields []*Field) error
	walk = func(fields []*Field) error {
		for _, f := range fields {
			switch {
			case slices.Contains(primitives, f.Type):
				continue
			case f.Struct == nil:
				if f.Struct = shared[f.Type]; f.Struct == nil {
					return fmt.Errorf("field %s: there is no type %s", f.Name, f.Type)
				}
			default:
				if err := walk(f.Struct.Fields); err != nil {
					return err
				}
			}
		}
		return nil
	}
	for _, s := range m.Structs {
		if err := walk(s.Fields); err != nil {
			return err
		}
	}
	return walk(m.Fields)
}

// parseRange reads 3, 3-5 or 3+.
func parseRange(s string) (Range, error) {
	if lo, ok := strings.CutSuffix(s, "+"); ok {
		n, err := parseInt16(lo)
		return Range{n, Open}, err
	}
	lo, hi, ok := strings.Cut(s, "-")
	if !ok {
		hi = lo
	}
	l, err := parseInt16(lo)
	if err != nil {
		return None, err
	}
	h, err := parseInt16(hi)
	return Range{l, h}, err
}

func parseInt16(s string) (int16, error) {
	n, err := strconv.ParseInt(s, 10, 16)
	if err != nil {
		return 0, fmt.Errorf("%q is not a number of 16 bits", s)
	}
	return int16(n), nil
}
