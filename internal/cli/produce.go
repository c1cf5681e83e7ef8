package cli

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"golang.org/x/term"

	"github.com/naru-stream/naru/internal/cli/format"
	"github.com/naru-stream/naru/internal/kafka/config"
)

// maxLineBytes is the longest line that produce reads as a record.
const maxLineBytes = 64 << 20

type produceOptions struct {
	file         string
	separator    string
	key          string
	nullMarker   string
	headers      []string
	acks         string
	compression  string
	partition    int32
	batchBytes   int32
	whole        bool
	keySet       bool
	separatorSet bool
	nullSet      bool
}

func (a *app) produceCommand() *cobra.Command {
	o := &produceOptions{}
	cmd := &cobra.Command{
		Use:   "produce TOPIC",
		Short: "Write lines from standard input or a file as records",
		Long:  "Produce writes each line of standard input, or of a file, as one record and ends when all are acknowledged.",
		Example: "  echo hello | naru produce flights\n" +
			"  naru produce flights --file flights.csv --compression zstd\n" +
			"  printf 'k1:v1\\nk2:v2\\n' | naru produce flights -k : -H source=test\n" +
			"  naru produce images --file cat.png --whole --key cat",
		Args: arguments(1, 1, "the name of one topic"),
		RunE: func(cmd *cobra.Command, args []string) error {
			o.keySet, o.separatorSet = cmd.Flags().Changed("key"), cmd.Flags().Changed("key-separator")
			o.nullSet = cmd.Flags().Changed("null")
			return a.runProduce(cmd.Context(), o, args[0])
		},
	}
	f := cmd.Flags()
	f.StringVarP(&o.file, "file", "f", "", "read lines from this file instead of standard input")
	f.StringVarP(&o.separator, "key-separator", "k", "", "what stands between key and value in a line; \\t is a tab")
	f.StringVar(&o.key, "key", "", "the key of every record")
	f.StringVar(&o.nullMarker, "null", "", "a value that stands for null, such as NULL")
	f.StringArrayVarP(&o.headers, "header", "H", nil, "a header of every record as name=value (repeat it for more)")
	f.StringVar(&o.acks, "acks", "all", "whose acknowledgement to wait for: 0, 1 or all")
	f.StringVarP(&o.compression, "compression", "z", "none", "none, gzip, snappy, lz4 or zstd")
	f.Int32VarP(&o.partition, "partition", "p", -1, "write to this partition; -1 chooses by key")
	f.Int32Var(&o.batchBytes, "batch-bytes", 1000012, "largest batch in bytes")
	f.BoolVar(&o.whole, "whole", false, "the whole input is one record")
	return a.clientFlags(cmd)
}

// options turns the flags into client options, before anything is opened.
func (o *produceOptions) options() ([]kgo.Opt, error) {
	opts := []kgo.Opt{
		kgo.AllowAutoTopicCreation(), kgo.ProducerBatchMaxBytes(o.batchBytes), kgo.MaxBufferedRecords(100_000),
		kgo.BrokerMaxWriteBytes(max(100<<20, o.batchBytes+1<<20)),
	}
	switch o.acks {
	case "all", "-1":
		opts = append(opts, kgo.RequiredAcks(kgo.AllISRAcks()))
	case "1":
		opts = append(opts, kgo.RequiredAcks(kgo.LeaderAck()), kgo.DisableIdempotentWrite())
	case "0":
		opts = append(opts, kgo.RequiredAcks(kgo.NoAck()), kgo.DisableIdempotentWrite())
	default:
		return nil, usagef("--acks %q is not allowed: use 0, 1 or all", o.acks)
	}
	codecs := map[string]kgo.CompressionCodec{
		"none": kgo.NoCompression(), "gzip": kgo.GzipCompression(), "snappy": kgo.SnappyCompression(),
		"lz4": kgo.Lz4Compression(), "zstd": kgo.ZstdCompression(),
	}
	codec, ok := codecs[o.compression]
	if !ok {
		return nil, usagef("--compression %q is not allowed: %s", o.compression,
			suggestion(o.compression, sortedKeys(codecs), "use none, gzip, snappy, lz4 or zstd"))
	}
	opts = append(opts, kgo.ProducerBatchCompression(codec))
	switch {
	case o.partition < -1:
		return nil, usagef("--partition %d is not allowed: use 0 or more, or -1 to choose by key", o.partition)
	case o.partition >= 0:
		opts = append(opts, kgo.RecordPartitioner(kgo.ManualPartitioner()))
	}
	if o.batchBytes < 1024 {
		return nil, usagef("--batch-bytes %d is not allowed: use 1024 or more", o.batchBytes)
	}
	return opts, nil
}

// template returns a function that makes records of lines.
func (o *produceOptions) template(topic string) (func(line []byte) (*kgo.Record, error), error) {
	if o.keySet && o.separatorSet {
		return nil, usagef("--key and --key-separator exclude each other")
	}
	separator, err := format.Unescape(o.separator)
	if err != nil {
		return nil, usagef("--key-separator: %w", err)
	}
	if o.separatorSet && separator == "" {
		return nil, usagef("--key-separator is empty: give the text between key and value, such as :")
	}
	var headers []kgo.RecordHeader
	for _, h := range o.headers {
		name, value, err := config.ParseOverride(h)
		if err != nil {
			return nil, usagef("--header %q is not of the form name=value", h)
		}
		headers = append(headers, kgo.RecordHeader{Key: name, Value: []byte(value)})
	}
	return func(line []byte) (*kgo.Record, error) {
		r := &kgo.Record{Topic: topic, Partition: o.partition, Headers: headers, Value: line}
		if o.keySet {
			r.Key = []byte(o.key)
		}
		if o.separatorSet {
			key, value, ok := bytes.Cut(line, []byte(separator))
			if !ok {
				return nil, fmt.Errorf("there is no key separator %q in it", separator)
			}
			r.Key, r.Value = key, value
		}
		if o.nullSet && string(r.Value) == o.nullMarker {
			r.Value = nil
		}
		return r, nil
	}, nil
}

// produced counts acknowledgements; its methods may be called concurrently.
type produced struct {
	mu         sync.Mutex
	Topic      string          `json:"topic"`
	Records    int64           `json:"records"`
	Bytes      int64           `json:"bytes"` // of keys and values
	Partitions map[int32]int64 `json:"partitions"`
	Millis     int64           `json:"elapsed_ms"`
	line       int64           // of the first failure
	err        error
}

func (p *produced) acknowledged(line int64, r *kgo.Record, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if err != nil {
		if p.err == nil || line < p.line {
			p.line, p.err = line, err
		}
		return
	}
	p.Records++
	p.Bytes += int64(len(r.Key) + len(r.Value))
	p.Partitions[r.Partition]++
}

func (p *produced) progress() (records, bytes int64, failed bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.Records, p.Bytes, p.err != nil
}

// problem puts what went wrong in words, with how far it got.
func (p *produced) problem(err error) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case p.err != nil:
		return fmt.Errorf("line %d: %w (%s written)", p.line, produceProblem(p.err), plural(p.Records, "record"))
	case err != nil:
		return fmt.Errorf("%w (%s written)", err, plural(p.Records, "record"))
	}
	return nil
}

func (a *app) runProduce(ctx context.Context, o *produceOptions, topic string) error {
	if err := checkTopicName(topic); err != nil {
		return err
	}
	opts, err := o.options()
	if err != nil {
		return err
	}
	record, err := o.template(topic)
	if err != nil {
		return err
	}
	in := a.in
	if o.file != "" {
		f, err := os.Open(o.file)
		if err != nil {
			return fmt.Errorf("opening the input: %w", err)
		}
		defer f.Close()
		in = f
	}
	if f, ok := terminal(in); ok && term.IsTerminal(int(f.Fd())) {
		fmt.Fprintln(a.err, "each line is a record; Ctrl-D ends")
	}
	cl, err := a.connect(ctx, append(opts, kgo.RecordDeliveryTimeout(a.timeout))...)
	if err != nil {
		return err
	}
	defer cl.Close()
	out := &produced{Topic: topic, Partitions: map[int32]int64{}}
	started := a.now()
	read := make(chan error, 1) // reading a terminal cannot be interrupted, waiting for it can
	go func() { read <- a.send(ctx, cl, lines(in, o.whole), record, out) }()
	var readErr error
	select {
	case readErr = <-read:
	case <-ctx.Done():
		readErr = errors.New("interrupted")
	}
	flushed, cancel := context.WithTimeout(context.WithoutCancel(ctx), a.timeout)
	defer cancel()
	flushErr := cl.Flush(flushed)
	out.Millis = a.now().Sub(started).Milliseconds()
	if err := out.problem(errors.Join(readErr, flushErr)); err != nil {
		return err
	}
	if a.json {
		return a.show(out, nil)
	}
	fmt.Fprintf(a.err, "produced %s, %s in %d ms\n", plural(out.Records, "record"), bytesText(out.Bytes), out.Millis)
	return nil
}

// send produces every line until the input ends or a record fails.
func (a *app) send(ctx context.Context, cl *kgo.Client, next func() ([]byte, error), record func([]byte) (*kgo.Record, error), out *produced) error {
	bar := a.progress("produced")
	defer bar.clear()
	for n := int64(1); ; n++ {
		line, err := next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("line %d: %w", n, err)
		}
		r, err := record(line)
		if err != nil {
			return fmt.Errorf("line %d: %w", n, err)
		}
		cl.Produce(ctx, r, func(r *kgo.Record, err error) { out.acknowledged(n, r, err) })
		if n%1024 == 0 || bar.on {
			records, bytes, failed := out.progress()
			if failed {
				return nil
			}
			bar.update(a.now(), records, bytes)
		}
	}
}

// lines returns a function that gives one line after another without its end,
// in memory of its own, and io.EOF after the last.
func lines(in io.Reader, whole bool) func() ([]byte, error) {
	r := bufio.NewReaderSize(in, 1<<16)
	if whole {
		done := false
		return func() ([]byte, error) {
			if done {
				return nil, io.EOF
			}
			done = true
			b, err := io.ReadAll(io.LimitReader(r, maxLineBytes+1))
			if len(b) > maxLineBytes {
				err = fmt.Errorf("the input is longer than %d bytes", maxLineBytes)
			}
			return b, err
		}
	}
	return func() ([]byte, error) {
		var line []byte
		for {
			part, err := r.ReadSlice('\n')
			line = append(line, part...)
			switch {
			case len(line) > maxLineBytes:
				return nil, fmt.Errorf("it is longer than %d bytes", maxLineBytes)
			case errors.Is(err, bufio.ErrBufferFull):
				continue
			case errors.Is(err, io.EOF) && len(line) > 0:
				return line, nil
			case err != nil:
				return nil, err
			}
			return line[:len(line)-1], nil
		}
	}
}

// produceProblem says what helps against an error of a record.
func produceProblem(err error) error {
	switch {
	case errors.Is(err, kerr.MessageTooLarge):
		return fmt.Errorf("the record is too large for a batch of --batch-bytes, or for the topic's max.message.bytes (MESSAGE_TOO_LARGE)")
	case errors.Is(err, kerr.UnknownTopicOrPartition):
		return fmt.Errorf("the topic or partition does not exist and the cluster did not create it: 'naru topic create' does (UNKNOWN_TOPIC_OR_PARTITION)")
	case errors.Is(err, kgo.ErrRecordTimeout):
		return errors.New("the cluster did not acknowledge it in time (--timeout waits longer)")
	case strings.Contains(err.Error(), "invalid record partitioning choice"):
		return fmt.Errorf("the topic has no such partition: 'naru topic describe' shows those it has")
	}
	return explain(err, "")
}
