package config

import (
	"fmt"
	"strconv"
	"strings"
	"unicode/utf16"
)

// MaxPropertiesBytes is the largest server.properties file that is read.
const MaxPropertiesBytes = 1 << 20

// ParseProperties reads the text of a Java properties file: "key=value",
// "key: value" or "key value" a line, # and ! comments, a backslash at the end
// of a line to go on with the next, and backslash escapes. A key given twice has
// its last value, and a warning with both lines. An error names the line.
func ParseProperties(text string) (settings map[string]string, warnings []string, err error) {
	if len(text) > MaxPropertiesBytes {
		return nil, nil, fmt.Errorf("%d bytes are too many for a properties file: at most %d", len(text), MaxPropertiesBytes)
	}
	settings, lines := map[string]string{}, map[string]int{}
	text = strings.TrimPrefix(text, "\ufeff")
	text = strings.ReplaceAll(strings.ReplaceAll(text, "\r\n", "\n"), "\r", "\n")
	physical := strings.Split(text, "\n")
	for i := 0; i < len(physical); i++ {
		first := i + 1
		line := strings.TrimLeft(physical[i], " \t\f")
		if line == "" || line[0] == '#' || line[0] == '!' {
			continue
		}
		for continues(line) {
			line = line[:len(line)-1]
			if i+1 == len(physical) {
				break
			}
			i++
			line += strings.TrimLeft(physical[i], " \t\f")
		}
		key, value, err := splitProperty(line)
		if err != nil {
			return nil, nil, fmt.Errorf("line %d: %w", first, err)
		}
		if at, twice := lines[key]; twice {
			warnings = append(warnings, fmt.Sprintf("setting %q is given on line %d and again on line %d: the last one holds", key, at, first))
		}
		settings[key], lines[key] = value, first
	}
	return settings, warnings, nil
}

// continues reports whether a line ends in an odd number of backslashes.
func continues(line string) bool {
	n := len(line) - len(strings.TrimRight(line, `\`))
	return n%2 == 1
}

// splitProperty separates a logical line at the first unescaped =, : or blank.
func splitProperty(line string) (key, value string, err error) {
	end := 0
	for end < len(line) && !strings.ContainsRune("=: \t\f", rune(line[end])) {
		if line[end] == '\\' {
			end++
		}
		end++
	}
	end = min(end, len(line))
	rest := strings.TrimLeft(line[end:], " \t\f")
	if rest != "" && (rest[0] == '=' || rest[0] == ':') {
		rest = strings.TrimLeft(rest[1:], " \t\f")
	}
	if key, err = unescape(line[:end]); err != nil {
		return "", "", err
	}
	if key == "" {
		return "", "", fmt.Errorf("%q has no key before the separator: write key=value", line)
	}
	if value, err = unescape(rest); err != nil {
		return "", "", err
	}
	return key, strings.TrimRight(value, " \t\f"), nil
}

// unescape resolves the backslash escapes of Java properties: \t \n \r \f and
// four hexadecimal digits after \u; any other escaped character stands for itself.
func unescape(s string) (string, error) {
	if !strings.Contains(s, `\`) {
		return s, nil
	}
	var out strings.Builder
	var units []uint16 // pending UTF-16 code units of \u escapes
	flush := func() {
		out.WriteString(string(utf16.Decode(units)))
		units = units[:0]
	}
	for i := 0; i < len(s); i++ {
		if s[i] != '\\' || i+1 == len(s) {
			flush()
			if s[i] != '\\' {
				out.WriteByte(s[i])
			}
			continue
		}
		i++
		if s[i] == 'u' {
			if i+4 >= len(s) {
				return "", fmt.Errorf("%q ends within a \\u escape: it takes four hexadecimal digits", s)
			}
			n, err := strconv.ParseUint(s[i+1:i+5], 16, 16)
			if err != nil {
				return "", fmt.Errorf("%q is not a \\u escape: it takes four hexadecimal digits", s[i-1:i+5])
			}
			units = append(units, uint16(n))
			i += 4
			continue
		}
		flush()
		if at := strings.IndexByte("tnrf", s[i]); at >= 0 {
			out.WriteByte("\t\n\r\f"[at])
		} else {
			out.WriteByte(s[i])
		}
	}
	flush()
	return out.String(), nil
}

// ParseOverride separates one "key=value" of the command line.
func ParseOverride(arg string) (key, value string, err error) {
	key, value, ok := strings.Cut(arg, "=")
	key = strings.TrimSpace(key)
	if !ok || key == "" {
		return "", "", fmt.Errorf("override %q is not of the form key=value", arg)
	}
	return key, value, nil
}
