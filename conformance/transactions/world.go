package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/naru-stream/naru/conformance/internal/arena"
)

const (
	partitions = 3
	members    = 2
	// abortOneIn is the share of transactions that the clients abort.
	abortOneIn = 4
)

// settings let the group miss a member that was killed soon, and abandoned transactions be
// found soon.
var settings = []string{"group.min.session.timeout.ms=1000", "transaction.abort.timed.out.transaction.cleanup.interval.ms=1000"}

// world is one run.
type world struct {
	*arena.Arena
	options
	ctx   context.Context
	r     *result
	chain []string // the command line of the client up to the address
	cl    *kgo.Client
}

// member is the n-th client.
func (w *world) member(n int) arena.Worker {
	var stderr io.Writer
	if w.verbose {
		stderr = os.Stderr
	}
	return arena.Worker{
		Argv: func(generation int) []string {
			return append(slices.Clone(w.chain), w.Addr, fmt.Sprint("chain-", n), fmt.Sprint(abortOneIn), fmt.Sprint(1000*n+generation))
		},
		Hear:   func(line string) { w.count(n, line) },
		Stderr: stderr,
	}
}

// count takes in what a member says about its transactions.
func (w *world) count(n int, line string) {
	switch word, _, _ := strings.Cut(line, " "); word {
	case "committed":
		atomic.AddInt64(&w.r.Committed, 1)
		return
	case "aborted":
		atomic.AddInt64(&w.r.Aborted, 1)
		return
	case "gave": // gave up: aborted after an error
		atomic.AddInt64(&w.r.Failed, 1)
	case "fatal":
		atomic.AddInt64(&w.r.Restarts, 1)
	}
	if w.verbose {
		fmt.Fprintf(os.Stderr, "%s chain-%d %s\n", time.Now().Format("15:04:05.000"), n, line)
	}
}

// chaos produces input, has it transformed and kills processes, and waits until all
// input is handled.
func (w *world) chaos() (err error) {
	w.cl, err = w.Client(kgo.RecordPartitioner(kgo.ManualPartitioner()))
	if err != nil {
		return err
	}
	defer w.cl.Close()
	adm := kadm.NewClient(w.cl)
	if _, err := adm.CreateTopics(w.ctx, partitions, 1, nil, "in", "out"); err != nil {
		return err
	}
	for n := range members {
		w.Employ(w.member(n))
	}
	if err := w.feed(500); err != nil {
		return err
	}
	committed := func() int64 { return atomic.LoadInt64(&w.r.Committed) }
	for range w.kills {
		w.Await(committed, 3)
		if err := w.Strike(300 * time.Millisecond); err != nil {
			return err
		}
		if err := w.feed(100); err != nil {
			return err
		}
	}
	for atomic.LoadInt64(&w.r.Aborted) < int64(w.kills) && w.ctx.Err() == nil {
		if err := w.feed(100); err != nil {
			return err
		}
		w.Await(committed, 3)
	}
	return w.drain(adm)
}

// feed writes n more inputs.
func (w *world) feed(n int) error {
	var records []*kgo.Record
	for range n {
		records = append(records, &kgo.Record{Topic: "in", Partition: int32(w.r.Inputs % partitions), Value: input(w.r.Inputs)})
		w.r.Inputs++
	}
	if err := w.cl.ProduceSync(w.ctx, records...).FirstErr(); err != nil {
		return fmt.Errorf("writing input: %w", err)
	}
	return nil
}

// input is the value of an input.
func input(i int) []byte { return fmt.Appendf(nil, "%07d", i) }

// drain waits until the group has committed all input.
func (w *world) drain(adm *kadm.Client) error {
	for ; w.ctx.Err() == nil; time.Sleep(100 * time.Millisecond) {
		offsets, err := adm.FetchOffsets(w.ctx, "chain")
		if err != nil { // the connection may be one that was killed
			continue
		}
		sum := int64(0)
		offsets.Each(func(o kadm.OffsetResponse) { sum += o.At })
		if sum == int64(w.r.Inputs) {
			return nil
		}
	}
	return fmt.Errorf("waiting for the end of the chain: %w", w.ctx.Err())
}
