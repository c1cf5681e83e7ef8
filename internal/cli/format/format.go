// Package format prints consumed records: by a pattern of kcat's tokens, or as
// one JSON object a line.
//
// Neighbours: package cli chooses between the two. A [Format] is immutable and
// may be used from any goroutine; the Append functions write into the caller's
// buffer and keep nothing.
package format

import (
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/twmb/franz-go/pkg/kgo"
)

// Default is the pattern used when none is given: the value and a newline.
const Default = `%s\n`

// Tokens explains every token, in the order of a help text.
const Tokens = `  %s value        %S value's length (-1 for null)    %R value's length as 4 bytes
  %k key          %K key's length (-1 for null)
  %t topic        %p partition     %o offset         %e leader epoch
  %T timestamp in milliseconds     %D timestamp in RFC 3339     %h headers as a=1,b=2
  %% percent      \n \t \r \0 \\   \xHH byte`

// Format is a compiled pattern.
type Format struct{ steps []step }

type step func(dst []byte, r *kgo.Record) []byte

// Parse compiles a pattern; an error names the token that is wrong and lists the
// right ones.
func Parse(pattern string) (Format, error) {
	var f Format
	var literal []byte
	flush := func() {
		if len(literal) > 0 {
			text := literal
			f.steps = append(f.steps, func(dst []byte, _ *kgo.Record) []byte { return append(dst, text...) })
			literal = nil
		}
	}
	for i := 0; i < len(pattern); i++ {
		switch c := pattern[i]; c {
		case '%':
			if i+1 == len(pattern) {
				return Format{}, fmt.Errorf("format %q ends after %%: the tokens are\n%s", pattern, Tokens)
			}
			i++
			if pattern[i] == '%' {
				literal = append(literal, '%')
				continue
			}
			s, ok := tokens[pattern[i]]
			if !ok {
				return Format{}, fmt.Errorf("format token %%%c is unknown: the tokens are\n%s", pattern[i], Tokens)
			}
			flush()
			f.steps = append(f.steps, s)
		case '\\':
			b, used, err := escape(pattern[i:])
			if err != nil {
				return Format{}, err
			}
			literal = append(literal, b)
			i += used - 1
		default:
			literal = append(literal, c)
		}
	}
	flush()
	return f, nil
}

// Append appends the record as the pattern says.
func (f Format) Append(dst []byte, r *kgo.Record) []byte {
	for _, s := range f.steps {
		dst = s(dst, r)
	}
	return dst
}

var tokens = map[byte]step{
	's': func(dst []byte, r *kgo.Record) []byte { return append(dst, r.Value...) },
	'S': func(dst []byte, r *kgo.Record) []byte { return strconv.AppendInt(dst, length(r.Value), 10) },
	'R': func(dst []byte, r *kgo.Record) []byte {
		return binary.BigEndian.AppendUint32(dst, uint32(length(r.Value)))
	},
	'k': func(dst []byte, r *kgo.Record) []byte { return append(dst, r.Key...) },
	'K': func(dst []byte, r *kgo.Record) []byte { return strconv.AppendInt(dst, length(r.Key), 10) },
	't': func(dst []byte, r *kgo.Record) []byte { return append(dst, r.Topic...) },
	'p': func(dst []byte, r *kgo.Record) []byte { return strconv.AppendInt(dst, int64(r.Partition), 10) },
	'o': func(dst []byte, r *kgo.Record) []byte { return strconv.AppendInt(dst, r.Offset, 10) },
	'e': func(dst []byte, r *kgo.Record) []byte { return strconv.AppendInt(dst, int64(r.LeaderEpoch), 10) },
	'T': func(dst []byte, r *kgo.Record) []byte { return strconv.AppendInt(dst, r.Timestamp.UnixMilli(), 10) },
	'D': func(dst []byte, r *kgo.Record) []byte { return r.Timestamp.UTC().AppendFormat(dst, rfc3339Milli) },
	'h': appendHeaders,
}

const rfc3339Milli = "2006-01-02T15:04:05.000Z07:00"

func length(b []byte) int64 {
	if b == nil {
		return -1
	}
	return int64(len(b))
}

func appendHeaders(dst []byte, r *kgo.Record) []byte {
	for i, h := range r.Headers {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = append(dst, h.Key...)
		dst = append(dst, '=')
		if h.Value == nil {
			dst = append(dst, "NULL"...)
		}
		dst = append(dst, h.Value...)
	}
	return dst
}

// escape resolves the backslash escape at the start of s and tells its length.
func escape(s string) (b byte, used int, err error) {
	if len(s) > 1 {
		if at := strings.IndexByte(`ntr0\`, s[1]); at >= 0 {
			return "\n\t\r\x00\\"[at], 2, nil
		}
		if s[1] == 'x' && len(s) >= 4 {
			if n, err := strconv.ParseUint(s[2:4], 16, 8); err == nil {
				return byte(n), 4, nil
			}
		}
	}
	return 0, 0, fmt.Errorf("format escape %.4q is unknown: use \\n, \\t, \\r, \\0, \\\\ or \\xHH", s)
}

// Unescape resolves the backslash escapes of a separator given as a flag.
func Unescape(s string) (string, error) {
	var out []byte
	for i := 0; i < len(s); i++ {
		if s[i] != '\\' {
			out = append(out, s[i])
			continue
		}
		b, used, err := escape(s[i:])
		if err != nil {
			return "", err
		}
		out = append(out, b)
		i += used - 1
	}
	return string(out), nil
}

// record is the JSON form. Bytes that are not UTF-8 stand in the member with
// "_base64" at the end of its name, which is otherwise absent.
type record struct {
	Topic         string   `json:"topic"`
	Partition     int32    `json:"partition"`
	Offset        int64    `json:"offset"`
	Timestamp     int64    `json:"timestamp"`
	TimestampType string   `json:"timestamp_type"`
	Time          string   `json:"time"`
	LeaderEpoch   int32    `json:"leader_epoch"`
	Headers       []header `json:"headers"`
	Key           *string  `json:"key"`
	KeyBase64     string   `json:"key_base64,omitempty"`
	Value         *string  `json:"value"`
	ValueBase64   string   `json:"value_base64,omitempty"`
}

type header struct {
	Key         string  `json:"key"`
	Value       *string `json:"value"`
	ValueBase64 string  `json:"value_base64,omitempty"`
}

// AppendJSON appends the record as one JSON object and a newline.
func AppendJSON(dst []byte, r *kgo.Record) []byte {
	out := record{
		Topic: r.Topic, Partition: r.Partition, Offset: r.Offset, LeaderEpoch: r.LeaderEpoch,
		Timestamp: r.Timestamp.UnixMilli(), Time: r.Timestamp.UTC().Format(rfc3339Milli), TimestampType: "create",
		Headers: []header{},
	}
	if r.Attrs.TimestampType() == 1 {
		out.TimestampType = "append"
	}
	out.Key, out.KeyBase64 = Text(r.Key)
	out.Value, out.ValueBase64 = Text(r.Value)
	for _, h := range r.Headers {
		text, coded := Text(h.Value)
		out.Headers = append(out.Headers, header{h.Key, text, coded})
	}
	b, err := json.Marshal(out)
	if err != nil { // strings and numbers always have a JSON form
		return dst
	}
	return append(append(dst, b...), '\n')
}

// Text returns bytes as text for JSON, nil for null; bytes that are not UTF-8 come
// back as base64 instead.
func Text(b []byte) (text *string, coded string) {
	switch {
	case b == nil:
		return nil, ""
	case !utf8.Valid(b):
		return nil, base64.StdEncoding.EncodeToString(b)
	}
	s := string(b)
	return &s, ""
}
