package protocol

import (
	"fmt"

	"github.com/naru-stream/naru/internal/kafka/wire"
)

// RequestHeader is what precedes every request:
//
//	int16 key, int16 version, int32 correlation id, nullable string client id,
//	then, if the version of the API is flexible (header version 2), tagged fields
//
// The client id has its classic form always, so that any broker can read the
// header of any ApiVersions request.
type RequestHeader struct {
	APIKey        APIKey
	APIVersion    int16
	CorrelationID int32
	// ClientID is nil if the client has none. It does not alias the frame.
	ClientID *string
}

// ParseRequestHeader reads the header of a frame (without its 4-byte size) and
// returns the rest, which is the body. For an API or version that is not known
// the header is read up to the client id and the body is nil: enough to answer.
func ParseRequestHeader(frame []byte) (h RequestHeader, body []byte, err error) {
	body, err = h.Parse(frame)
	return h, body, err
}

// Parse is ParseRequestHeader into a header used before. The ClientID it has is
// kept if the frame has the same, which makes the next request of a connection
// free of allocations.
func (h *RequestHeader) Parse(frame []byte) (body []byte, err error) {
	r := wire.NewReader(frame)
	h.APIKey = APIKey(r.Int16())
	h.APIVersion = r.Int16()
	h.CorrelationID = r.Int32()
	h.setClientID(r.ClassicStringBytes())
	api := h.APIKey.API()
	known := api != nil && api.Supports(h.APIVersion)
	if known && api.Flexible(h.APIVersion) {
		r.SkipTags()
	}
	if r.Err() != nil {
		return nil, fmt.Errorf("reading a request header: %w", r.Finish("RequestHeader", h.APIVersion))
	}
	if !known {
		return nil, nil
	}
	return r.Rest(), nil
}

func (h *RequestHeader) setClientID(id []byte) {
	switch {
	case id == nil:
		h.ClientID = nil
	case h.ClientID == nil || *h.ClientID != string(id):
		s := string(id)
		h.ClientID = &s
	}
}

// Append appends the header in the form that its API and version use.
func (h *RequestHeader) Append(b []byte) []byte {
	b = wire.AppendInt16(b, int16(h.APIKey))
	b = wire.AppendInt16(b, h.APIVersion)
	b = wire.AppendInt32(b, h.CorrelationID)
	b = wire.AppendNullableString(b, h.ClientID, false)
	if api := h.APIKey.API(); api != nil && api.Flexible(h.APIVersion) {
		b = append(b, 0)
	}
	return b
}

// AppendResponseHeader appends what precedes a response: the correlation id of
// the request and, if the version is flexible, (no) tagged fields. ApiVersions
// never has them, because the client does not yet know what the broker speaks
// (KIP-511).
func AppendResponseHeader(b []byte, key APIKey, version int16, correlationID int32) []byte {
	b = wire.AppendInt32(b, correlationID)
	if ResponseHeaderFlexible(key, version) {
		b = append(b, 0)
	}
	return b
}

// ResponseHeaderFlexible reports whether the response header has tagged fields.
func ResponseHeaderFlexible(key APIKey, version int16) bool {
	api := key.API()
	return api != nil && key != KeyApiVersions && api.Flexible(version)
}

// ParseResponseHeader reads the header of a response to the given API and
// version, and returns the rest, which is the body.
func ParseResponseHeader(frame []byte, key APIKey, version int16) (correlationID int32, body []byte, err error) {
	r := wire.NewReader(frame)
	correlationID = r.Int32()
	if ResponseHeaderFlexible(key, version) {
		r.SkipTags()
	}
	if r.Err() != nil {
		return 0, nil, fmt.Errorf("reading a response header: %w", r.Finish("ResponseHeader", version))
	}
	return correlationID, r.Rest(), nil
}
