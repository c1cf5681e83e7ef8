package wire

import (
	"fmt"

	"github.com/naru-stream/naru/internal/assert"
)

// UnsupportedVersion returns the error of a decoder that is asked for a version
// outside lo to hi.
func UnsupportedVersion(message string, version, lo, hi int16) error {
	return fmt.Errorf("decoding %s version %d: %w, there are %d to %d", message, version, ErrVersion, lo, hi)
}

// AssertVersion panics unless lo ≤ version ≤ hi: an encoder is never asked for a
// version that does not exist.
func AssertVersion(message string, version, lo, hi int16) {
	if version < lo || version > hi {
		assert.That(false, "%s has no version %d, there are %d to %d", message, version, lo, hi)
	}
}

// CannotCarry returns the error that the field holds a value which the version
// of its message has no room for and which may not be dropped.
func CannotCarry(field string, version int16) error {
	return fmt.Errorf("the value of %s cannot be sent: %w: version %d has no room for it", field, ErrVersion, version)
}

// AssertCarries panics with the error of CannotCarry, if there is one.
func AssertCarries(err error) { assert.NoError(err, "encoding a message") }
