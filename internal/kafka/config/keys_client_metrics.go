package config

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// clientMetricsKeys: settings of a client metrics subscription (KIP-714).
var clientMetricsKeys = []Key{
	{Name: "interval.ms", Type: Int, Default: "300000", Scope: ClientMetricsScope, Valid: pushInterval(),
		Doc: "Milliseconds between two pushes of a subscribed client."},
	{Name: "match", Type: List, Scope: ClientMetricsScope, Valid: clientMatch(),
		Doc: "Which clients the subscription selects, as pairs of client attribute and regular expression (RE2), such as client_software_name=apache-kafka-java; all of them must match as a whole. Empty selects every client."},
	{Name: "metrics", Type: List, Scope: ClientMetricsScope, Valid: anyList(),
		Doc: "Prefixes of the metric names that the selected clients push; * is all."},
}

// clientAttributes are what a subscription may match clients by.
var clientAttributes = []string{
	"client_id", "client_instance_id", "client_software_name", "client_software_version", "client_source_address", "client_source_port",
}

// maxMatchBytes bounds one pair of match: a compiled expression is many times as
// large as its text.
const maxMatchBytes = 1024

// ParseMatch reads a value of the client metrics setting match: the expression for
// each attribute that is named. Where one is named twice the later counts, as in
// Kafka. An expression must match the whole of an attribute.
func ParseMatch(value string) (map[string]*regexp.Regexp, error) {
	out := map[string]*regexp.Regexp{}
	for _, pair := range splitList(value) {
		problem := fmt.Errorf("Illegal client matching pattern: %s", pair) //nolint:staticcheck // Kafka's words
		parts := strings.Split(pair, "=")
		for len(parts) > 0 && parts[len(parts)-1] == "" {
			parts = parts[:len(parts)-1]
		}
		if len(parts) != 2 || len(pair) > maxMatchBytes || !slices.Contains(clientAttributes, strings.TrimSpace(parts[0])) {
			return nil, problem
		}
		// Alone first: a stray parenthesis must not find its partner in what is put around.
		text := strings.TrimSpace(parts[1])
		if _, err := regexp.Compile(text); err != nil {
			return nil, problem
		}
		expression, err := regexp.Compile(`\A(?:` + text + `)\z`)
		if err != nil {
			return nil, problem
		}
		out[strings.TrimSpace(parts[0])] = expression
	}
	return out, nil
}

func clientMatch() Rule {
	return Rule{"pairs attribute=expression separated by commas, with the attributes " + strings.Join(clientAttributes, ", "),
		func(name, value string) string {
			if _, err := ParseMatch(value); err != nil {
				return err.Error()
			}
			return ""
		}}
}

func pushInterval() Rule {
	return Rule{"100 to 3600000", func(name, value string) string {
		if limits(100, 3600000)(name, value) != "" {
			return fmt.Sprintf("Invalid value %s for %s, interval must be between 100 and 3600000 (1 hour)", value, name)
		}
		return ""
	}}
}
