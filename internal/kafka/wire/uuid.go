package wire

import (
	"bytes"
	"encoding/base64"
	"fmt"
)

// UUID is a topic id, directory id or member incarnation. The zero UUID means
// "none" everywhere in the protocol.
type UUID [16]byte

// String returns the unpadded URL-safe base64 form in which Kafka's tools print
// UUIDs; it is 22 characters long.
func (u UUID) String() string { return base64.RawURLEncoding.EncodeToString(u[:]) }

// IsZero reports whether u means "none".
func (u UUID) IsZero() bool { return u == UUID{} }

// Compare orders UUIDs by their bytes.
func (u UUID) Compare(other UUID) int { return bytes.Compare(u[:], other[:]) }

// ParseUUID reads the form that String writes. Like Kafka it accepts the padded
// form too.
func ParseUUID(s string) (UUID, error) {
	t := s
	if len(t) == 24 && t[22:] == "==" {
		t = t[:22]
	}
	p, err := base64.RawURLEncoding.DecodeString(t)
	if err != nil || len(p) != 16 {
		return UUID{}, fmt.Errorf("parsing UUID %q: it is not 16 bytes in URL-safe base64", s)
	}
	return UUID(p), nil
}
