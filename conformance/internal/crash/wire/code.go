package wire

import (
	"errors"

	"github.com/twmb/franz-go/pkg/kerr"
)

// Code turns an error code into an error, nil for none.
func Code(code int16) error { return kerr.ErrorForCode(code) }

// Refused reports whether err is an answer of the server rather than a lost connection.
func Refused(err error) bool {
	var k *kerr.Error
	return errors.As(err, &k)
}

// Is reports whether err is the error code with the given name, such as "NOT_COORDINATOR".
func Is(err error, names ...string) bool {
	var k *kerr.Error
	if !errors.As(err, &k) {
		return false
	}
	for _, name := range names {
		if k.Message == name {
			return true
		}
	}
	return false
}
