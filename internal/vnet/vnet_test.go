package vnet

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"os"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

func TestBytesArriveInOrderThroughASmallBuffer(t *testing.T) {
	l := Listen("node")
	defer l.Close()
	want := make([]byte, 5*bufferSize+123)
	for i := range want {
		want[i] = byte(i * 7 >> 3)
	}
	go func() {
		c, err := l.Dial(context.Background())
		if err != nil {
			t.Error(err)
			return
		}
		if n, err := c.Write(want); n != len(want) || err != nil {
			t.Errorf("wrote %d, %v", n, err)
		}
		c.Close()
	}()
	c, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	got, err := io.ReadAll(c)
	if err != nil || !bytes.Equal(got, want) {
		t.Fatalf("read %d bytes, %v; want %d", len(got), err, len(want))
	}
	if c.RemoteAddr().String() != "node-client" || c.LocalAddr().String() != "node" {
		t.Errorf("addresses are %v and %v", c.LocalAddr(), c.RemoteAddr())
	}
}

func TestDeadlinesEndWaitingAndCanBeMoved(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := Pipe("a", "b")
		defer a.Close()
		defer b.Close()
		start := time.Now()
		a.SetReadDeadline(start.Add(time.Second))
		if _, err := a.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) || time.Since(start) != time.Second {
			t.Fatalf("read ended after %v: %v", time.Since(start), err)
		}
		a.SetReadDeadline(time.Time{})
		go func() {
			time.Sleep(time.Hour)
			b.Write([]byte("x"))
		}()
		if n, err := a.Read(make([]byte, 1)); n != 1 || err != nil {
			t.Fatalf("read %d, %v after the deadline was removed", n, err)
		}
		a.SetWriteDeadline(time.Now().Add(time.Minute))
		if n, err := a.Write(make([]byte, 2*bufferSize)); n != bufferSize || !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Fatalf("wrote %d, %v to a peer that does not read", n, err)
		}
		go func() {
			time.Sleep(time.Minute)
			a.SetReadDeadline(time.Unix(1, 0))
		}()
		if _, err := a.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Fatalf("a wait was not ended by a deadline set meanwhile: %v", err)
		}
	})
}

func TestClosedEndsAnswerAsTCPDoes(t *testing.T) {
	a, b := Pipe("a", "b")
	a.Write([]byte("last"))
	a.(interface{ CloseWrite() error }).CloseWrite()
	b.Write([]byte("answer"))
	if got, err := io.ReadAll(b); string(got) != "last" || err != nil {
		t.Errorf("read %q, %v after CloseWrite", got, err)
	}
	buf := make([]byte, 10)
	if n, err := a.Read(buf); string(buf[:n]) != "answer" || err != nil {
		t.Errorf("read %q, %v on the half-closed end", buf[:n], err)
	}
	b.Close()
	if _, err := a.Read(buf); !errors.Is(err, io.EOF) {
		t.Errorf("reading from a closed peer: %v", err)
	}
	if _, err := b.Read(buf); !errors.Is(err, net.ErrClosed) {
		t.Errorf("reading from a closed end: %v", err)
	}
	c, d := Pipe("c", "d")
	d.Close()
	if _, err := c.Write(buf); !errors.Is(err, syscall.EPIPE) {
		t.Errorf("writing to a closed peer: %v", err)
	}
}

func TestClosedListenerRefuses(t *testing.T) {
	l := Listen("node")
	early, err := l.Dial(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
	if _, err := l.Dial(context.Background()); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("dialling a closed listener: %v", err)
	}
	if _, err := l.Accept(); !errors.Is(err, net.ErrClosed) {
		t.Errorf("accepting on a closed listener: %v", err)
	}
	if _, err := early.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
		t.Errorf("a connection that was never accepted: %v", err)
	}
}
