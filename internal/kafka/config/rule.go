package config

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
)

// Rule restricts the values of a setting beyond its type. The zero Rule allows
// every value.
type Rule struct {
	allowed string // what is allowed, for documentation and errors
	// check returns what is wrong with a value of the right type in Kafka's words,
	// or "".
	check func(name, value string) string
}

func (r Rule) complaint(name, value string) string {
	if r.check == nil {
		return ""
	}
	return r.check(name, value)
}

// invalidValue words a complaint as Kafka does.
func invalidValue(name, value, complaint string) string {
	return fmt.Sprintf("Invalid value %s for configuration %s: %s", value, name, complaint)
}

func atLeast(low float64) Rule { return Rule{number(low) + " or more", limits(low, math.Inf(1))} }

func between(low, high float64) Rule {
	return Rule{number(low) + " to " + number(high), limits(low, high)}
}

func limits(low, high float64) func(name, value string) string {
	return func(name, value string) string {
		f, _ := strconv.ParseFloat(value, 64) // of a value that is a number
		if f < low {
			return invalidValue(name, value, "Value must be at least "+number(low))
		}
		if f > high {
			return invalidValue(name, value, "Value must be no more than "+number(high))
		}
		return ""
	}
}

// betweenOr allows a range and one value outside it.
func betweenOr(low, high, other float64) Rule {
	allowed := fmt.Sprintf("%s to %s, or %s", number(low), number(high), number(other))
	return Rule{allowed, func(name, value string) string {
		if f, _ := strconv.ParseFloat(value, 64); f != other && (f < low || f > high) {
			return invalidValue(name, value, fmt.Sprintf("Value must be between %s and %s or equal to %s", number(low), number(high), number(other)))
		}
		return ""
	}}
}

func number(f float64) string {
	if f == math.Trunc(f) && math.Abs(f) < 1<<53 {
		return strconv.FormatInt(int64(f), 10)
	}
	return strconv.FormatFloat(f, 'g', -1, 64)
}

func oneOf(values ...string) Rule {
	list := strings.Join(values, ", ")
	return Rule{list, func(name, value string) string {
		if !slices.Contains(values, value) {
			return invalidValue(name, value, "String must be one of: "+list)
		}
		return ""
	}}
}

// oneOfFold is oneOf without regard to letter case.
func oneOfFold(values ...string) Rule {
	list := strings.Join(values, ", ")
	return Rule{list + " (in any letter case)", func(name, value string) string {
		for _, v := range values {
			if strings.EqualFold(v, value) {
				return ""
			}
		}
		return invalidValue(name, value, "String must be one of (case insensitive): "+list)
	}}
}

// deadLetterTopic allows names that are not an internal topic's.
func deadLetterTopic() Rule {
	return Rule{"a topic's name that does not begin with __", func(name, value string) string {
		if strings.HasPrefix(value, "__") {
			return name + ": DLQ topic name must not start with '__'"
		}
		return ""
	}}
}

// anyList allows every list. What a list names twice counts once.
func anyList() Rule { return Rule{"values separated by commas", nil} }

// someList allows lists that are not empty.
func someList() Rule {
	return Rule{"one or more values separated by commas", func(name, value string) string {
		if len(splitList(value)) == 0 {
			return fmt.Sprintf("Configuration '%s' must not be empty. Valid values include: any non-empty value", name)
		}
		return ""
	}}
}

// listOf allows lists of the values.
func listOf(values ...string) Rule {
	return Rule{"a list of " + strings.Join(values, ", "), func(name, value string) string {
		for _, item := range splitList(value) {
			if complaint := oneOf(values...).check(name, item); complaint != "" {
				return complaint
			}
		}
		return ""
	}}
}

// nonEmptyListOf is listOf for settings that need at least one value.
func nonEmptyListOf(values ...string) Rule {
	list := strings.Join(values, ", ")
	return Rule{"one or more of " + list, func(name, value string) string {
		if len(splitList(value)) == 0 {
			return fmt.Sprintf("Configuration '%s' must not be empty. Valid values include: [%s]", name, list)
		}
		return listOf(values...).check(name, value)
	}}
}

func nonEmpty() Rule {
	return Rule{"a text that is not empty", func(name, value string) string {
		if value == "" {
			return invalidValue(name, value, "String must be non-empty")
		}
		return ""
	}}
}

// throttledReplicas allows "*", or a list of partition:broker pairs.
func throttledReplicas() Rule {
	const form = "must be the literal '*' or a list of replicas in the form [partitionId]:[brokerId],..."
	return Rule{"* or a list of partition:broker pairs such as 0:101,1:102", func(name, value string) string {
		items := splitList(value)
		if len(items) == 1 && items[0] == "*" {
			return ""
		}
		for _, item := range items {
			partition, broker, ok := strings.Cut(item, ":")
			_, err1 := strconv.ParseUint(partition, 10, 31)
			_, err2 := strconv.ParseUint(broker, 10, 31)
			if !ok || err1 != nil || err2 != nil {
				return name + " " + form
			}
		}
		return ""
	}}
}

// offsetReset allows the starting points of share groups.
func offsetReset() Rule {
	return Rule{"earliest, latest or by_duration:<ISO 8601 duration such as PT1H>", func(name, value string) string {
		if value == "earliest" || value == "latest" {
			return ""
		}
		if d, ok := strings.CutPrefix(value, "by_duration:"); ok && ISODurationMs(d) > 0 {
			return ""
		}
		return invalidValue(name, value, "it must be earliest, latest or by_duration:<ISO 8601 duration>")
	}}
}

// compressionName allows the values of compression.type.
func compressionName() Rule {
	return oneOf("uncompressed", "zstd", "lz4", "snappy", "gzip", "producer")
}

// compressionNumber allows the numbers of the codecs.
func compressionNumber() Rule {
	return Rule{"0 to 4", func(_, value string) string {
		if n, err := strconv.Atoi(value); err != nil || n < 0 || n > 4 {
			return "Unknown compression type id: " + value
		}
		return ""
	}}
}

// durabilityMode allows the values of naru.durability.
func durabilityMode() Rule { return oneOf("auto", "os", "group") }
