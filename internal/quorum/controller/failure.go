package controller

import (
	"fmt"

	"github.com/naru-stream/naru/internal/kafka/protocol"
)

// failure is a refusal: the code and the text that the client reads. A nil
// failure means success.
type failure struct {
	code    protocol.ErrorCode
	message string
}

func fail(code protocol.ErrorCode, format string, args ...any) *failure {
	return &failure{code, fmt.Sprintf(format, args...)}
}

func (f *failure) codeOrNone() protocol.ErrorCode {
	if f == nil {
		return protocol.None
	}
	return f.code
}

// text returns the message for a nullable field, nil for success and for a code
// that says enough.
func (f *failure) text() *string {
	if f == nil || f.message == "" {
		return nil
	}
	return &f.message
}

// invalid refuses a request for what it says, without a more specific code.
func invalid(format string, args ...any) *failure {
	return fail(protocol.InvalidRequest, format, args...)
}

// tooLarge refuses a request that would cause too many records at once.
func tooLarge() *failure {
	return fail(protocol.PolicyViolation, "Excessively large number of partitions per request.")
}

// unknownTopic is Kafka's text for a topic that does not exist.
func unknownTopic() *failure {
	return fail(protocol.UnknownTopicOrPartition, "This server does not host this topic-partition.")
}
