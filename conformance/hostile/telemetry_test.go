package hostile

import (
	"bytes"
	"crypto/rand"
	"strings"
)

// pushes are metrics of clients (KIP-714) that are not.
func pushes() []attack {
	const spared = "without a plug-in that receives metrics it does not serve the API"
	push := func(name, want string, codec int8, metrics []byte) attack {
		return attack{name: "telemetry/" + name, send: pushed(codec, metrics), want: want, naruOnly: spared}
	}
	nested := []byte{}
	for range 1000 {
		nested = append(msg{0x0a}.uv(uint64(len(nested))), nested...)
	}
	noise := make([]byte, 100_000)
	_, _ = rand.Read(noise)
	point := []byte{0x2a, 2, 0x0a, 0} // a gauge with an empty data point
	points := bytes.Repeat([]byte{0x0a, 0}, 500_000)
	metric := append(msg{0x0a, 1, 'm', 0x2a}.uv(uint64(len(points))), points...)
	metric = append(msg{0x12}.uv(uint64(len(metric))), metric...)
	scope := append(msg{0x12}.uv(uint64(len(metric))), metric...)
	crowded := append(msg{0x0a}.uv(uint64(len(scope))), scope...)
	return []attack{
		push("gzip of 256 MB of zeros", "INVALID_RECORD", 1, gzipBomb(256<<20)),
		push("noise", "INVALID_RECORD", 0, noise),
		push("noise said to be snappy", "INVALID_RECORD", 2, noise),
		push("noise said to be lz4", "INVALID_RECORD", 3, noise),
		push("noise said to be zstd", "INVALID_RECORD", 4, noise),
		push("codec 99", "UNSUPPORTED_COMPRESSION_TYPE", 99, point),
		push("codec -1", "UNSUPPORTED_COMPRESSION_TYPE", -1, point),
		push("1 MB and a byte", "TELEMETRY_TOO_LARGE", 0, make([]byte, 1<<20+1)),
		push("10 MB", "TELEMETRY_TOO_LARGE", 0, make([]byte, 10<<20)),
		push("a message that promises 2^60 bytes", "INVALID_RECORD", 0, msg{0x0a}.uv(1<<60)),
		push("1000 messages inside each other", "INVALID_RECORD", 0, nested),
		push("half a million values of one series", "ok", 0, crowded),
		push("a name of 1 MB", "ok", 0, named(strings.Repeat("x", 1<<20-64))),
		{name: "telemetry/of nobody", send: ask(flexible(72, 0).zeros(16).i32(0).i8(0).i8(0).uv(1).tags(), flexibleError), want: "INVALID_REQUEST", naruOnly: spared},
		{name: "telemetry/with a subscription that was not given", send: ask(flexible(72, 0).uuid(7).i32(5).i8(0).i8(0).uv(1).tags(), flexibleError), want: "error 117", naruOnly: spared},
		{name: "telemetry/20000 clients on one connection", send: manyInstances, want: "ok", naruOnly: spared},
	}
}

// named is a metric of that name with one value.
func named(name string) []byte {
	metric := append(append(msg{0x0a}.uv(uint64(len(name))), name...), 0x2a, 2, 0x0a, 0)
	metric = append(msg{0x12}.uv(uint64(len(metric))), metric...)
	scope := append(msg{0x12}.uv(uint64(len(metric))), metric...)
	return append(msg{0x0a}.uv(uint64(len(scope))), scope...)
}

func flexibleError(r *reply) string {
	r.uv() // the header's tags
	r.i32()
	code := r.i16()
	if code == 118 {
		return "TELEMETRY_TOO_LARGE"
	}
	return errorName(code)
}

// pushed asks for the subscription of a new client instance and pushes metrics.
func pushed(codec int8, metrics []byte) func(target) string {
	return func(t target) string {
		c, err := t.dial()
		if err != nil {
			return err.Error()
		}
		defer c.Close()
		r, err := c.call(flexible(71, 0).zeros(16).tags())
		if err != nil {
			return "no subscription"
		}
		r.uv()
		r.i32()
		if code := r.i16(); code != 0 {
			return "no subscription: " + errorName(code)
		}
		instance := r.take(16)
		r, err = c.call(append(append(flexible(72, 0).raw(instance...).i32(r.i32()).i8(0).i8(codec).uv(uint64(len(metrics)+1)), metrics...), 0))
		if err != nil {
			return "closed"
		}
		return flexibleError(r)
	}
}

// manyInstances asks for subscriptions again and again as another client.
func manyInstances(t target) string {
	c, err := t.dial()
	if err != nil {
		return err.Error()
	}
	defer c.Close()
	for range 20_000 {
		if _, err := c.call(flexible(71, 0).zeros(16).tags()); err != nil {
			return "closed"
		}
	}
	return "ok"
}
