package coordrecord

import "github.com/naru-stream/naru/internal/kafka/wire"

// MaxConsumerProtocolVersion is the highest version of subscriptions and
// assignments.
const MaxConsumerProtocolVersion = 3

// AppendSubscription appends a subscription with its version in front, the form
// in which it is the metadata of a member in JoinGroup.
func AppendSubscription(b []byte, s *ConsumerProtocolSubscription, version int16) []byte {
	return s.Append(wire.AppendInt16(b, version), version)
}

// AppendAssignment appends an assignment with its version in front, the form in
// which SyncGroup carries it.
func AppendAssignment(b []byte, a *ConsumerProtocolAssignment, version int16) []byte {
	return a.Append(wire.AppendInt16(b, version), version)
}

// ParseSubscription reads what AppendSubscription writes. A version above the
// highest known is read as the highest known, since versions only append fields.
func ParseSubscription(b []byte) (s ConsumerProtocolSubscription, version int16, err error) {
	version, body, err := consumerVersion(b, "ConsumerProtocolSubscription")
	if err != nil {
		return s, 0, err
	}
	err = s.Decode(body, min(version, MaxConsumerProtocolVersion))
	return s, version, err
}

// ParseAssignment reads what AppendAssignment writes, like ParseSubscription.
func ParseAssignment(b []byte) (a ConsumerProtocolAssignment, version int16, err error) {
	version, body, err := consumerVersion(b, "ConsumerProtocolAssignment")
	if err != nil {
		return a, 0, err
	}
	err = a.Decode(body, min(version, MaxConsumerProtocolVersion))
	return a, version, err
}

func consumerVersion(b []byte, message string) (version int16, body []byte, err error) {
	r := wire.NewReader(b)
	version = r.Int16()
	return version, r.Rest(), r.Finish(message, version)
}
