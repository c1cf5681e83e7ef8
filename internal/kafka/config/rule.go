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
	allowed string                    // what is allowed, for documentation and errors
	check   func(value string) string // returns what is wrong with a value of the right type, or ""
}

// Allowed says in words what values the rule allows; it is empty for the zero
// Rule.
func (r Rule) Allowed() string { return r.allowed }

func (r Rule) complaint(value string) string {
	if r.check == nil {
		return ""
	}
	return r.check(value)
}

func atLeast(low float64) Rule {
	return Rule{number(low) + " or more", func(s string) string {
		if f, _ := strconv.ParseFloat(s, 64); f < low {
			return "Value must be at least " + number(low)
		}
		return ""
	}}
}

func between(low, high float64) Rule {
	return Rule{number(low) + " to " + number(high), func(s string) string {
		f, _ := strconv.ParseFloat(s, 64)
		if f < low {
			return "Value must be at least " + number(low)
		}
		if f > high {
			return "Value must be no more than " + number(high)
		}
		return ""
	}}
}

// betweenOr allows a range and one value outside it.
func betweenOr(low, high, other float64) Rule {
	allowed := fmt.Sprintf("%s to %s, or %s", number(low), number(high), number(other))
	return Rule{allowed, func(s string) string {
		if f, _ := strconv.ParseFloat(s, 64); f != other && (f < low || f > high) {
			return fmt.Sprintf("Value must be between %s and %s or equal to %s", number(low), number(high), number(other))
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
	return Rule{list, func(s string) string {
		if !slices.Contains(values, s) {
			return "String must be one of: " + list
		}
		return ""
	}}
}

// oneOfFold is oneOf without regard to letter case.
func oneOfFold(values ...string) Rule {
	list := strings.Join(values, ", ")
	return Rule{list + " (in any letter case)", func(s string) string {
		for _, v := range values {
			if strings.EqualFold(v, s) {
				return ""
			}
		}
		return "String must be one of (case insensitive): " + list
	}}
}

// listOf allows lists of the values, without duplicates.
func listOf(values ...string) Rule {
	list := strings.Join(values, ", ")
	return Rule{"a list of " + list, func(s string) string {
		var seen []string
		for _, item := range splitList(s) {
			if !slices.Contains(values, item) {
				return "String must be one of: " + list
			}
			if slices.Contains(seen, item) {
				return "values must not be duplicated"
			}
			seen = append(seen, item)
		}
		return ""
	}}
}

// nonEmptyListOf is listOf for settings that need at least one value.
func nonEmptyListOf(values ...string) Rule {
	inner := listOf(values...)
	return Rule{"one or more of " + strings.Join(values, ", "), func(s string) string {
		if len(splitList(s)) == 0 {
			return "values must not be empty"
		}
		return inner.check(s)
	}}
}

func nonEmpty() Rule {
	return Rule{"a text that is not empty", func(s string) string {
		if s == "" {
			return "String must be non-empty"
		}
		return ""
	}}
}

// throttledReplicas allows "*", or a list of partition:broker pairs.
func throttledReplicas() Rule {
	return Rule{"* or a list of partition:broker pairs such as 0:101,1:102", func(s string) string {
		items := splitList(s)
		if len(items) == 1 && items[0] == "*" {
			return ""
		}
		for _, item := range items {
			partition, broker, ok := strings.Cut(item, ":")
			if _, err := strconv.ParseUint(partition, 10, 31); err != nil || !ok {
				return "must be the literal '*' or a list of replicas in the form [partitionId]:[brokerId],..."
			}
			if _, err := strconv.ParseUint(broker, 10, 31); err != nil {
				return "must be the literal '*' or a list of replicas in the form [partitionId]:[brokerId],..."
			}
		}
		return ""
	}}
}

// offsetReset allows the starting points of share groups.
func offsetReset() Rule {
	return Rule{"earliest, latest or by_duration:<ISO 8601 duration such as PT1H>", func(s string) string {
		if s == "earliest" || s == "latest" {
			return ""
		}
		if d, ok := strings.CutPrefix(s, "by_duration:"); ok && len(d) > 2 && d[0] == 'P' {
			return ""
		}
		return "must be earliest, latest or by_duration:<ISO 8601 duration>"
	}}
}

// compressionName allows the values of compression.type.
func compressionName() Rule {
	return oneOf("uncompressed", "zstd", "lz4", "snappy", "gzip", "producer")
}

// durabilityMode allows the values of naru.durability.
func durabilityMode() Rule { return oneOf("auto", "os", "group") }
