package controller

import (
	"fmt"
	"strings"

	"github.com/naru-stream/naru/internal/kafka/protocol"
)

// MaxTopicNameLength is the longest name that a topic may have, in bytes; the
// name of its directory must fit into 255.
const MaxTopicNameLength = 249

// checkTopicName refuses what Kafka does not accept as the name of a topic.
func checkTopicName(name string) *failure {
	reason := ""
	switch {
	case name == "":
		reason = "the empty string is not allowed"
	case name == "." || name == "..":
		reason = "'" + name + "' is not allowed"
	case len(name) > MaxTopicNameLength:
		return fail(protocol.InvalidTopicException,
			"Topic name is invalid: the length of '%s' is longer than the max allowed length %d", name, MaxTopicNameLength)
	case strings.ContainsFunc(name, func(r rune) bool { return !legal(r) }):
		reason = "'" + name + "' contains one or more characters other than ASCII alphanumerics, '.', '_' and '-'"
	default:
		return nil
	}
	return fail(protocol.InvalidTopicException, "Topic name is invalid: %s", reason)
}

func legal(r rune) bool {
	return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '.' || r == '_' || r == '-'
}

// CheckTopicName returns nil for a name that a topic may have, else an error that
// says why not and carries INVALID_TOPIC_EXCEPTION.
func CheckTopicName(name string) error {
	if f := checkTopicName(name); f != nil {
		return fmt.Errorf("%s: %w", f.message, f.code)
	}
	return nil
}
