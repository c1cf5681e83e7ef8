package differential

import (
	"fmt"
	"strings"
	"time"

	"github.com/naru-stream/naru/internal/kafka/protocol"
)

// apiVersions asks what is served, in good and in bad ways.
func apiVersions(s *Session) {
	key := protocol.KeyApiVersions
	s.each(key, "good", func(int16) protocol.Request {
		return &protocol.ApiVersionsRequest{ClientSoftwareName: "peer", ClientSoftwareVersion: "1.0"}
	})
	texts := map[string]string{
		"empty": "", "space": "a b", "underscore": "a_b", "dots": "a.b-c", "slash": "a/b", "leading dash": "-a", "trailing dash": "a-",
		"leading dot": ".a", "trailing dot": "a.", "long": strings.Repeat("a", 1000), "one": "a", "digit": "1", "non-ASCII": "ä",
	}
	for _, name := range sortedKeys(texts) {
		text := texts[name]
		s.each(key, "name "+name, func(v int16) protocol.Request {
			if v < 3 {
				return nil
			}
			return &protocol.ApiVersionsRequest{ClientSoftwareName: text, ClientSoftwareVersion: "1.0"}
		})
		s.each(key, "version "+name, func(v int16) protocol.Request {
			if v < 3 {
				return nil
			}
			return &protocol.ApiVersionsRequest{ClientSoftwareName: "a", ClientSoftwareVersion: text}
		})
	}
	for _, v := range []int16{5, 100, 32767, -1} {
		body := []byte{0, 0, 0, 0, 0, 18, byte(uint16(v) >> 8), byte(v), 0, 0, 0, 9, 0xff, 0xff}
		if v > 2 {
			body = append(body, 0, 1, 1, 0)
		}
		p := s.connect()
		err := p.write(sized(body))
		var m protocol.Message
		if err == nil {
			m, err = p.receive(key, v, 9, answerLimit)
		}
		s.note("unsupported "+fmt.Sprint(v), m, err)
		if err == nil {
			m, err = p.ask(&protocol.ApiVersionsRequest{}, 0)
			s.note("after unsupported "+fmt.Sprint(v), m, err)
		}
	}
	s.malformed()
}

// malformed sends what no client should and sees whether the connection stays.
func (s *Session) malformed() {
	header := func(key, version int16, rest ...byte) []byte {
		b := []byte{0, 0, 0, 0, byte(uint16(key) >> 8), byte(key), byte(uint16(version) >> 8), byte(version), 0, 0, 0, 1, 0, 1, 'x'}
		return sized(append(b, rest...))
	}
	limit := 700 * time.Millisecond
	s.raw("frame of no bytes", []byte{0, 0, 0, 0}, limit)
	s.raw("frame of negative size", []byte{0xff, 0xff, 0xff, 0xff}, limit)
	s.raw("frame too large", []byte{0x7f, 0xff, 0xff, 0xff}, limit)
	s.raw("frame just too large", []byte{0x06, 0x40, 0x00, 0x01}, limit)
	s.raw("frame cut", []byte{0, 0, 0, 10, 0}, limit)
	s.raw("header cut", sized([]byte{0, 0, 0, 0, 0, 18, 0, 0}), limit)
	s.raw("client id longer than the frame", sized([]byte{0, 0, 0, 0, 0, 18, 0, 0, 0, 0, 0, 1, 0x7f, 0xff}), limit)
	s.raw("null client id", sized([]byte{0, 0, 0, 0, 0, 18, 0, 0, 0, 0, 0, 1, 0xff, 0xff}), limit)
	s.raw("client id of length -2", sized([]byte{0, 0, 0, 0, 0, 18, 0, 0, 0, 0, 0, 1, 0xff, 0xfe}), limit)
	s.raw("unknown API", header(1000, 0), limit)
	s.raw("negative API", header(-1, 0), limit)
	s.raw("API of ZooKeeper times", header(4, 0), limit)
	s.raw("controller API", header(62, 0), limit)
	s.raw("TLS hello", []byte{0x16, 3, 1, 2, 0, 1, 0, 1, 0xfc, 3, 3}, limit)
	s.raw("HTTP", []byte("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"), limit)
	for _, api := range protocol.APIs {
		served, ok := servedVersions[api.Key]
		if !ok {
			continue
		}
		s.raw("no body "+api.Name, header(int16(api.Key), served[1]), limit)
		s.raw("version above "+api.Name, header(int16(api.Key), served[1]+20, 0), limit)
		if api.Key != protocol.KeyApiVersions {
			s.raw("version below "+api.Name, header(int16(api.Key), served[0]-1), limit)
		}
		s.trailing(api.Key, served[1], limit)
	}
	s.raw("array longer than the frame", header(int16(protocol.KeyMetadata), 1, 0x7f, 0xff, 0xff, 0xff), limit)
	s.raw("array of length -2", header(int16(protocol.KeyMetadata), 1, 0xff, 0xff, 0xff, 0xfe), limit)
	s.raw("string longer than the frame", header(int16(protocol.KeyMetadata), 1, 0, 0, 0, 1, 0x7f, 0xff, 'a'), limit)
	s.raw("null for a string", header(int16(protocol.KeyMetadata), 1, 0, 0, 0, 1, 0xff, 0xff), limit)
	s.raw("boolean of 2", header(int16(protocol.KeyMetadata), 4, 0, 0, 0, 0, 2), limit)
	s.raw("unknown tags", header(int16(protocol.KeyMetadata), 9, 0, 1, 0, 0, 0, 2, 77, 1, 0, 78, 1, 0), limit)
	s.raw("unknown tags out of order", header(int16(protocol.KeyMetadata), 9, 0, 1, 0, 0, 0, 2, 78, 1, 0, 77, 1, 0), limit)
	s.raw("the same tag twice", header(int16(protocol.KeyMetadata), 9, 0, 1, 0, 0, 0, 2, 78, 1, 0, 78, 1, 0), limit)
}

// trailing sends an empty request with bytes behind it.
func (s *Session) trailing(key protocol.APIKey, v int16, limit time.Duration) {
	switch key {
	case protocol.KeyProduce, protocol.KeyUnregisterBroker, protocol.KeyJoinGroup:
		return // answer nothing, or change something
	}
	r := key.API().NewRequest()
	if d, ok := r.(interface{ SetDefaults() }); ok {
		d.SetDefaults()
	}
	f := frame(r, v, 1)
	s.raw("bytes behind "+key.String(), sized(append(f, 1, 2, 3, 4)), limit)
	s.raw("last byte missing "+key.String(), sized(f[:len(f)-1]), limit)
}
