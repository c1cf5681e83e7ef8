package hostile

import (
	"bytes"
	"fmt"
	"time"
)

func attacks() []attack {
	var all []attack
	for _, group := range [][]attack{frames(), headers(), bodies(), batches(), produces(), fetches(), topics(), groups(), pushes(), crowds()} {
		all = append(all, group...)
	}
	return all
}

var apiVersions = request(18, 0)

func frames() []attack {
	const maxFrame = 100 << 20
	return []attack{
		{name: "frame/length -1", send: send(lying(-1, apiVersions), nil), want: "closed"},
		{name: "frame/length -2^31", send: send(lying(-1<<31, apiVersions), nil), want: "closed"},
		{name: "frame/length 0", send: send(lying(0, apiVersions), nil), want: "closed"},
		{name: "frame/length 2", send: send(lying(2, apiVersions), nil), want: "closed"},
		{name: "frame/length 7, a byte short of a header", send: send(lying(7, apiVersions), nil), want: "closed"},
		{name: "frame/length 2^31-1", send: send(lying(1<<31-1, apiVersions), nil), want: "closed"},
		{name: "frame/one byte above the limit", send: send(lying(maxFrame+1, apiVersions), nil), want: "closed"},
		{name: "frame/the limit announced, 24 bytes sent", send: silentFor(lying(maxFrame, apiVersions), time.Second), want: "no answer"},
		{name: "frame/shorter than its request", send: send(lying(int32(len(apiVersions)-2), apiVersions), nil), want: "closed"},
		{name: "frame/half a length, then the end", send: thenEnd(apiVersions.framed()[:2]), want: "closed"},
		{name: "frame/half a request, then the end", send: thenEnd(apiVersions.framed()[:9]), want: "closed"},
		{name: "frame/nothing, then the end", send: thenEnd(nil), want: "closed"},
		{name: "frame/a request, then the end", send: thenEnd(apiVersions.framed()), want: "answered"},
		{name: "frame/HTTP", send: send([]byte("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"), nil), want: "closed"},
		{name: "frame/TLS hello", send: send(append([]byte{0x16, 3, 1, 2, 0, 1, 0, 1, 0xfc, 3, 3}, make([]byte, 506)...), nil), want: "closed"},
		{name: "frame/SSH banner", send: send([]byte("SSH-2.0-OpenSSH_9.2\r\n"), nil), want: "closed"},
		{name: "frame/zeros", send: send(make([]byte, 4096), nil), want: "closed"},
		{name: "frame/ones", send: send(bytes.Repeat([]byte{0xff}, 4096), nil), want: "closed"},
		{name: "frame/a request, then garbage", send: requestThenGarbage, want: "answered, closed"},
		{name: "frame/a byte at a time", send: byteByByte, want: "answered"},
		{name: "frame/8 MB of nothing for an unknown key", send: send(request(9999, 0).zeros(8<<20).framed(), nil), want: "closed"},
	}
}

func thenEnd(b []byte) func(target) string {
	return func(t target) string {
		c, err := t.dial()
		if err != nil {
			return err.Error()
		}
		defer c.Close()
		_, _ = c.Write(b)
		_ = c.Conn.(interface{ CloseWrite() error }).CloseWrite()
		return c.verdict(nil)
	}
}

func requestThenGarbage(t target) string {
	c, err := t.dial()
	if err != nil {
		return err.Error()
	}
	defer c.Close()
	_, _ = c.Write(append(apiVersions.framed(), lying(-5, nil)...))
	return c.verdict(nil) + ", " + c.verdict(nil)
}

func byteByByte(t target) string {
	c, err := t.dial()
	if err != nil {
		return err.Error()
	}
	defer c.Close()
	for _, b := range apiVersions.framed() {
		if _, err := c.Write([]byte{b}); err != nil {
			return err.Error()
		}
		time.Sleep(2 * time.Millisecond)
	}
	return c.verdict(nil)
}

func headers() []attack {
	closed := func(name string, m msg) attack {
		return attack{name: "header/" + name, send: ask(m, nil), want: "closed"}
	}
	software := func(name, version string) msg { return flexible(18, 3).cs(name).cs(version).tags() }
	list := []attack{
		closed("key 9999", request(9999, 0)),
		closed("key -1", request(-1, 0)),
		closed("key 32767", request(32767, 0)),
		closed("Produce version 99", request(0, 99)),
		closed("Produce version -1", request(0, -1)),
		closed("Metadata version 32767", request(3, 32767)),
		closed("Fetch version 0, removed", request(1, 0)),
		{name: "header/ApiVersions version 99", send: ask(flexible(18, 99).cs("client").cs("1").tags(), firstError), want: "UNSUPPORTED_VERSION"},
		{name: "header/ApiVersions version 32767", send: ask(flexible(18, 32767), firstError), want: "UNSUPPORTED_VERSION"},
		{name: "header/ApiVersions version -1", send: ask(request(18, -1), firstError), want: "UNSUPPORTED_VERSION"},
		{name: "header/ApiVersions with an empty software name", send: ask(software("", "1"), firstError), want: "INVALID_REQUEST"},
		{name: "header/ApiVersions with a script as software name", send: ask(software("<script>", "1"), firstError), want: "INVALID_REQUEST"},
		{name: "header/ApiVersions with a blank in the software version", send: ask(software("client", "1 2"), firstError), want: "INVALID_REQUEST"},
		closed("ApiVersions with a software name beyond the frame", flexible(18, 3).uv(1<<30)),
		closed("client id beyond the frame", msg(nil).i16(18).i16(0).i32(77).i16(32767)),
		{name: "header/client id of length -2", send: ask(msg(nil).i16(18).i16(0).i32(77).i16(-2), nil), want: "answered"},
		closed("no client id", msg(nil).i16(18).i16(0).i32(77)),
		closed("2^32-1 tags", request(18, 3).uv(1<<32-1)),
		closed("10^8 tags in 8 bytes", request(18, 3).uv(100_000_000).zeros(8)),
		closed("a tag of 2^31 bytes", request(18, 3).uv(1).uv(0).uv(1<<31)),
		closed("a tag count of eleven bytes", append(request(18, 3), bytes.Repeat([]byte{0xff}, 11)...)),
	}
	for _, key := range []int16{4, 5, 6, 7} {
		list = append(list, closed(fmt.Sprintf("removed key %d", key), request(key, 0)))
	}
	for _, key := range []int16{52, 56, 58, 62, 63} {
		list = append(list, closed(fmt.Sprintf("key %d, for controllers only", key), request(key, 0)))
	}
	return list
}

// bodies are requests whose fields promise more than the frame holds.
func bodies() []attack {
	closed := func(name string, m msg) attack {
		return attack{name: "body/" + name, send: ask(m, nil), want: "closed"}
	}
	manyTopics := func(n int) msg {
		m := request(3, 1).i32(int32(n))
		for range n {
			m = m.str("")
		}
		return m
	}
	return []attack{
		closed("2^31-1 topics in Metadata", request(3, 1).i32(1<<31-1)),
		{name: "body/-5 topics in Metadata", send: ask(request(3, 1).i32(-5), nil), want: "answered"},
		closed("2^32-1 topics in a compact array", flexible(3, 9).uv(1<<32-1)),
		closed("10 million topics, none there", request(3, 1).i32(10_000_000).zeros(100)),
		{name: "body/2^32-1 tags, -1 for a signed reader", send: ask(flexible(3, 9).uv(1).raw(0, 0, 0).uv(1<<32-1), nil), want: "answered"},
		closed("tag bomb of 10^8 in Metadata", flexible(3, 9).uv(0).raw(1, 0, 0).uv(100_000_000).zeros(20)),
		closed("topic name beyond the frame", request(3, 1).i32(1).i16(30000)),
		closed("topic name null where it may not be", request(3, 1).i32(1).null()),
		closed("nothing after the header", request(3, 1)),
		closed("2^31-1 topics in Fetch", request(1, 11).i32(-1).i32(0).i32(0).i32(1).i8(0).i32(0).i32(-1).i32(1<<31-1)),
		closed("2^31-1 partitions in Fetch", request(1, 11).i32(-1).i32(0).i32(0).i32(1).i8(0).i32(0).i32(-1).i32(1).str("victim").i32(1<<31-1)),
		closed("2^31-1 topics in Produce", request(0, 3).null().i16(1).i32(1000).i32(1<<31-1)),
		closed("records beyond the frame in Produce", request(0, 3).null().i16(1).i32(1000).i32(1).str("victim").i32(1).i32(0).i32(1<<30)),
		{name: "body/records of length -2 in Produce", send: ask(request(0, 3).null().i16(1).i32(1000).i32(1).str("victim").i32(1).i32(0).i32(-2), nil), want: "no answer"},
		closed("member metadata beyond the frame", request(11, 2).str("g").i32(10000).i32(10000).str("").str("consumer").i32(1).str("range").i32(1<<30)),
		closed("2^31-1 assignments in CreateTopics", request(19, 2).i32(1).str("x").i32(-1).i16(-1).i32(1<<31-1)),
		{name: "body/100,000 empty topic names", send: ask(manyTopics(100_000), func(r *reply) string { return metadataError(r) }), want: "INVALID_TOPIC_EXCEPTION"},
		{name: "body/4,000,000 empty topic names", send: ask(manyTopics(4_000_000), nil), want: "closed",
			naruOnly: "it takes them all, and the memory for them"},
		{name: "body/bytes after the end", send: ask(apiVersions.zeros(1000), firstError), want: "ok"},
	}
}
