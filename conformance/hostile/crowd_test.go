package hostile

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"
)

// crowds are attacks of many connections or many requests.
func crowds() []attack {
	return []attack{
		{name: "crowd/3000 connections that come and go", send: comeAndGo(3000), want: "ok"},
		{name: "crowd/5000 connections that announce 100 MB and send 24 bytes", send: announce(5000), want: "served beside 5000 in less than 64 MB more",
			naruOnly: "it answers with OutOfMemoryError after a few and serves nobody any more"},
		{name: "crowd/500 connections with a byte every 10 ms", send: drip(500), want: "ok"},
		{name: "crowd/200 connections with half of 1 MB", send: halves(200), want: "ok", naruOnly: "it takes what is announced, more than its heap of 512 MB"},
		{name: "crowd/100 long polls that are abandoned", send: abandon(100), want: "ok"},
		{name: "crowd/20000 requests without reading an answer", send: neverRead, want: "20000 answers in order, or closed"},
		{name: "crowd/3000 damaged requests", send: damaged(3000), want: "ok"},
	}
}

// many runs f on n connections at once and returns the first thing that is wrong.
func many(t target, n, atOnce int, f func(c conn, i int) error) string {
	places := make(chan struct{}, atOnce)
	errs := make(chan error, n)
	var all sync.WaitGroup
	for i := range n {
		all.Add(1)
		places <- struct{}{}
		go func() {
			defer all.Done()
			defer func() { <-places }()
			c, err := t.dial()
			if err != nil {
				errs <- err
				return
			}
			defer c.Close()
			if err := f(c, i); err != nil {
				errs <- err
			}
		}()
	}
	all.Wait()
	select {
	case err := <-errs:
		return err.Error()
	default:
		return "ok"
	}
}

func comeAndGo(n int) func(target) string {
	return func(t target) string {
		return many(t, n, 50, func(c conn, i int) error {
			if i%3 == 0 {
				_, err := c.call(apiVersions)
				return err
			}
			return nil
		})
	}
}

// hold opens n connections that send b and stay, and says how another one is
// served beside them.
func hold(t target, n int, b []byte, f func(open []conn) string) string {
	open := make([]conn, 0, n)
	defer func() {
		for _, c := range open {
			c.Close()
		}
	}()
	for range n {
		c, err := t.dial()
		if err != nil {
			return fmt.Sprintf("after %d connections: %v", len(open), err)
		}
		open = append(open, c)
		if _, err := c.Write(b); err != nil {
			return fmt.Sprintf("after %d connections: %v", len(open), err)
		}
	}
	return f(open)
}

func served(t target) string {
	c, err := t.dial()
	if err != nil {
		return err.Error()
	}
	defer c.Close()
	if _, err := c.call(apiVersions); err != nil {
		return "another client: " + err.Error()
	}
	r, err := c.call(produce(1, "victim", 1, honest(1).encode()))
	if err != nil {
		return "another client: " + err.Error()
	}
	return produced(r)
}

func announce(n int) func(target) string {
	return func(t target) string {
		before := t.memory("VmRSS")
		return hold(t, n, lying(100<<20, apiVersions.zeros(4)), func([]conn) string {
			if s := served(t); s != "ok" {
				return s
			}
			grown := t.memory("VmRSS") - before
			if grown > 64<<20 {
				return fmt.Sprintf("%d MB more", grown>>20)
			}
			return fmt.Sprintf("served beside %d in less than 64 MB more", n)
		})
	}
}

func drip(n int) func(target) string {
	return func(t target) string {
		return hold(t, n, lying(1000, nil), func(open []conn) string {
			for range 20 {
				for _, c := range open {
					_, _ = c.Write([]byte{0})
				}
				time.Sleep(10 * time.Millisecond)
			}
			return served(t)
		})
	}
}

func halves(n int) func(target) string {
	return func(t target) string {
		return hold(t, n, lying(1<<20, msg(nil).zeros(1<<19)), func([]conn) string { return served(t) })
	}
}

func abandon(n int) func(target) string {
	return func(t target) string {
		s := hold(t, n, fetch("victim", 2, 0, 60000, 1<<30, 1<<20).framed(), func([]conn) string { return "ok" })
		if s != "ok" {
			return s
		}
		return served(t)
	}
}

// neverRead sends many requests before it reads. The broker may stop reading or
// close, but what it answers must be in order.
func neverRead(t target) string {
	c, err := t.dial()
	if err != nil {
		return err.Error()
	}
	defer c.Close()
	const n, allowed = 20000, "20000 answers in order, or closed"
	sent := make(chan struct{})
	go func() {
		defer close(sent)
		for i := range n {
			m := msg(nil).i16(18).i16(0).i32(int32(i)).null()
			if _, err := c.Write(m.framed()); err != nil {
				return
			}
		}
	}()
	select { // the client does nothing else for a while
	case <-sent:
	case <-time.After(time.Second):
	}
	for i := range n {
		p, err := c.receive(30 * time.Second)
		if errors.Is(err, errClosed) {
			return allowed
		}
		if err != nil {
			return fmt.Sprintf("answer %d: %v", i, err)
		}
		if id := binary.BigEndian.Uint32(p); id != uint32(i) {
			return fmt.Sprintf("answer %d has correlation id %d", i, id)
		}
	}
	return allowed
}

// damaged sends ordinary requests with a few bytes changed, cut or added. They
// are about a topic of their own: a changed byte makes an honest DeleteTopics of
// a CreateTopics, and then the topic is rightly gone.
func damaged(n int) func(target) string {
	const topic = "damaged"
	return func(t target) string {
		if s := ask(createTopics(topic, 3, 1), createError)(t); s != "ok" {
			return s
		}
		seed := rand.Uint64()
		originals := []msg{
			apiVersions, flexible(18, 3).cs("client").cs("1").tags(), request(3, 1).i32(1).str(topic),
			produce(1, topic, 1, honest(5).encode()), fetch(topic, 1, 0, 0, 0, 1<<20), createTopics(topic, 1, 1),
			flexible(3, 12).uv(2).zeros(16).cs(topic).tags().raw(0, 0).tags(),
			request(11, 2).str("damaged").i32(10000).i32(10000).str("").str("consumer").i32(1).str("range").bytes(make([]byte, 30)),
			request(8, 2).str("damaged").i32(-1).str("").i64(-1).i32(1).str(topic).i32(1).i32(0).i64(1).str("meta"),
			request(2, 1).i32(-1).i32(1).str(topic).i32(1).i32(0).i64(-1),
			request(32, 1).i32(1).i8(2).str(topic).i32(-1).i8(0),
		}
		result := many(t, n, 20, func(c conn, i int) error {
			rng := rand.New(rand.NewPCG(seed, uint64(i)))
			b := append(msg(nil), originals[rng.IntN(len(originals))]...)
			for range 1 + rng.IntN(4) {
				at := rng.IntN(len(b))
				switch rng.IntN(4) {
				case 0:
					b[at] = byte(rng.Uint32())
				case 1:
					b[at] = []byte{0, 0x7f, 0x80, 0xff}[rng.IntN(4)]
				case 2:
					b = b[:max(at, 8)]
				default:
					b = append(b, b[at:]...)
				}
			}
			_, _ = c.Write(b.framed())
			_, _ = c.receive(20 * time.Millisecond) // anything may come back, or nothing
			return nil
		})
		if result != "ok" {
			return fmt.Sprintf("seed %d: %s", seed, result)
		}
		if s := served(t); s != "ok" {
			return fmt.Sprintf("seed %d: %s", seed, s)
		}
		return "ok"
	}
}
