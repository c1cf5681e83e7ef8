package cli

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/naru-stream/naru/internal/cli/format"
	"github.com/naru-stream/naru/internal/kafka/record"
)

func (a *app) logCommand() *cobra.Command {
	return group("log", "Look into the files of a log", a.logDump())
}

func (a *app) logDump() *cobra.Command {
	var records bool
	cmd := &cobra.Command{
		Use:   "dump FILE...",
		Short: "Show the batches and records of segment files",
		Long: "Dump reads .log segments, of Naru or of Apache Kafka, and prints one line a batch with the fields of\n" +
			"kafka-dump-log; it needs no running node. It fails if a file holds anything but whole, valid batches.",
		Example: "  naru log dump naru-data/flights-0/00000000000000000000.log\n" +
			"  naru log dump --records naru-data/flights-0/*.log\n" +
			"  naru log dump --json naru-data/flights-0/00000000000000000000.log",
		Args: arguments(1, -1, "a segment file"),
		RunE: func(_ *cobra.Command, args []string) error { return a.runLogDump(args, records) },
	}
	cmd.Flags().BoolVar(&records, "records", false, "show the records too")
	a.jsonFlag(cmd)
	return cmd
}

// dumpedBatch is one batch in JSON, one object a line.
type dumpedBatch struct {
	File                 string         `json:"file"`
	BaseOffset           int64          `json:"base_offset"`
	LastOffset           int64          `json:"last_offset"`
	Count                int32          `json:"count"`
	BaseSequence         int32          `json:"base_sequence"`
	LastSequence         int32          `json:"last_sequence"`
	ProducerID           int64          `json:"producer_id"`
	ProducerEpoch        int16          `json:"producer_epoch"`
	PartitionLeaderEpoch int32          `json:"partition_leader_epoch"`
	IsTransactional      bool           `json:"is_transactional"`
	IsControl            bool           `json:"is_control"`
	DeleteHorizonMs      *int64         `json:"delete_horizon_ms"`
	Position             int64          `json:"position"`
	TimestampType        string         `json:"timestamp_type"`
	MaxTimestamp         int64          `json:"max_timestamp"`
	Size                 int            `json:"size"`
	Magic                int8           `json:"magic"`
	Codec                string         `json:"codec"`
	CRC                  uint32         `json:"crc"`
	IsValid              bool           `json:"is_valid"`
	Error                string         `json:"error,omitempty"`
	Records              []dumpedRecord `json:"records,omitempty"`
}

type dumpedRecord struct {
	Offset      int64    `json:"offset"`
	Timestamp   int64    `json:"timestamp"`
	KeySize     int      `json:"key_size"`   // -1 for null
	ValueSize   int      `json:"value_size"` // -1 for null
	Sequence    int32    `json:"sequence"`
	Headers     []string `json:"header_keys"`
	Key         *string  `json:"key"`
	KeyBase64   string   `json:"key_base64,omitempty"`
	Value       *string  `json:"value"`
	ValueBase64 string   `json:"value_base64,omitempty"`
	Control     string   `json:"control,omitempty"`

	key, value []byte
}

func (a *app) runLogDump(files []string, records bool) error {
	out := bufio.NewWriter(a.out)
	var failed failures
	for _, name := range files {
		if err := a.dumpFile(out, name, records); err != nil {
			failed.add(name, err)
		}
	}
	return errors.Join(out.Flush(), failed.err())
}

func (a *app) dumpFile(out io.Writer, name string, records bool) error {
	f, err := os.Open(name)
	if err != nil {
		var pathError *os.PathError
		if errors.As(err, &pathError) {
			err = pathError.Err
		}
		return fmt.Errorf("opening the segment: %w", err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return fmt.Errorf("reading the segment: %w", err)
	}
	if info.IsDir() {
		return fmt.Errorf("it is a directory: name the segments in it, such as %s", filepath.Join(name, "00000000000000000000.log"))
	}
	if filepath.Ext(name) != ".log" && filepath.Ext(name) != ".checkpoint" {
		return fmt.Errorf("it is not a segment: segments end in .log")
	}
	if !a.json {
		base := strings.TrimSuffix(filepath.Base(name), filepath.Ext(name))
		fmt.Fprintf(out, "Dumping %s\nLog starting offset: %s\n", name, strings.TrimLeft(base[:len(base)-1], "0")+base[len(base)-1:])
	}
	return a.dumpBatches(out, name, bufio.NewReaderSize(f, 1<<20), info.Size(), records)
}

// dumpBatches prints one batch after another. It holds one batch in memory.
func (a *app) dumpBatches(out io.Writer, name string, in *bufio.Reader, size int64, records bool) error {
	var buf []byte
	var scratch record.Scratch
	bad := 0
	for at := int64(0); at < size; {
		head, err := in.Peek(int(min(record.PrefixSize, size-at)))
		if err != nil {
			return fmt.Errorf("reading at position %d: %w", at, err)
		}
		n, err := record.SizeOf(head)
		if err == nil && int64(n) > size-at {
			err = fmt.Errorf("the batch at offset %d has %d bytes", record.Batch(head).BaseOffset(), n)
		}
		if err != nil {
			return fmt.Errorf("the last %d bytes, from position %d on, are no whole batch: %w", size-at, at, err)
		}
		if cap(buf) < n {
			buf = make([]byte, n)
		}
		if _, err := io.ReadFull(in, buf[:n]); err != nil {
			return fmt.Errorf("reading at position %d: %w", at, err)
		}
		b := dumpBatch(name, at, record.Batch(buf[:n]), records, &scratch)
		if !b.IsValid {
			bad++
		}
		if err := a.printBatch(out, b); err != nil {
			return err
		}
		at += int64(n)
	}
	if bad > 0 {
		return fmt.Errorf("%s invalid", plural(int64(bad), "batch")+map[bool]string{true: " is", false: "es are"}[bad == 1])
	}
	return nil
}

func dumpBatch(name string, at int64, b record.Batch, records bool, scratch *record.Scratch) dumpedBatch {
	d := dumpedBatch{
		File: name, BaseOffset: b.BaseOffset(), LastOffset: b.LastOffset(), Count: b.Count(), BaseSequence: b.BaseSequence(),
		LastSequence: b.LastSequence(), ProducerID: b.ProducerID(), ProducerEpoch: b.ProducerEpoch(),
		PartitionLeaderEpoch: b.PartitionLeaderEpoch(), IsTransactional: b.IsTransactional(), IsControl: b.IsControl(),
		Position: at, TimestampType: b.TimestampType().String(), MaxTimestamp: b.MaxTimestamp(), Size: b.Size(), Magic: b.Magic(),
		Codec: b.Codec().String(), CRC: b.CRC(), IsValid: true,
	}
	if d.BaseSequence >= 0 { // Kafka numbers its own records without a producer id
		d.LastSequence = record.AddSequence(d.BaseSequence, b.LastOffsetDelta())
	}
	if ms, ok := b.DeleteHorizonMs(); ok {
		d.DeleteHorizonMs = &ms
	}
	err := errors.Join(b.CheckCRC(), b.CheckHeader())
	if err == nil && records {
		d.Records, err = dumpRecords(b, scratch)
	}
	if err != nil {
		d.IsValid, d.Error = false, err.Error()
	}
	return d
}

func dumpRecords(b record.Batch, scratch *record.Scratch) ([]dumpedRecord, error) {
	it, err := b.Iterate(scratch)
	if err != nil {
		return nil, err
	}
	var out []dumpedRecord
	for it.Next() {
		r := &it.Record
		d := dumpedRecord{
			Offset: r.Offset, Timestamp: r.Timestamp, KeySize: size(r.Key), ValueSize: size(r.Value), Sequence: -1,
			Headers: []string{}, key: bytes.Clone(r.Key), value: bytes.Clone(r.Value),
		}
		d.Key, d.KeyBase64 = format.Text(r.Key)
		d.Value, d.ValueBase64 = format.Text(r.Value)
		if b.BaseSequence() >= 0 {
			d.Sequence = record.AddSequence(b.BaseSequence(), r.OffsetDelta)
		}
		headers := r.Headers()
		for headers.Next() {
			d.Headers = append(d.Headers, string(headers.Header.Key))
		}
		if err := headers.Err(); err != nil {
			return out, err
		}
		if b.IsControl() {
			d.Control = controlText(r)
		}
		out = append(out, d)
	}
	return out, it.Err()
}

func size(b []byte) int {
	if b == nil {
		return -1
	}
	return len(b)
}

// printable replaces each byte that is not UTF-8, as Java does.
func printable(b []byte) string { return string([]rune(string(b))) }

func controlText(r *record.Record) string {
	if m, ok, err := record.ParseEndTxn(r); ok && err == nil {
		what := map[bool]string{true: "COMMIT", false: "ABORT"}[m.Type == record.ControlCommit]
		return fmt.Sprintf("endTxnMarker: %s coordinatorEpoch: %d", what, m.CoordinatorEpoch)
	}
	t, err := record.ParseControlKey(r.Key)
	if err != nil {
		return "controlType: unknown"
	}
	return "controlType: " + t.String()
}

// printBatch writes the line, or the lines, of kafka-dump-log.
func (a *app) printBatch(w io.Writer, d dumpedBatch) error {
	if a.json {
		enc := json.NewEncoder(w)
		enc.SetEscapeHTML(false)
		return enc.Encode(d)
	}
	horizon := "OptionalLong.empty"
	if d.DeleteHorizonMs != nil {
		horizon = fmt.Sprintf("OptionalLong[%d]", *d.DeleteHorizonMs)
	}
	_, err := fmt.Fprintf(w, "baseOffset: %d lastOffset: %d count: %d baseSequence: %d lastSequence: %d producerId: %d producerEpoch: %d "+
		"partitionLeaderEpoch: %d isTransactional: %t isControl: %t deleteHorizonMs: %s position: %d %s: %d size: %d magic: %d compresscodec: %s crc: %d isvalid: %t\n",
		d.BaseOffset, d.LastOffset, d.Count, d.BaseSequence, d.LastSequence, d.ProducerID, d.ProducerEpoch, d.PartitionLeaderEpoch,
		d.IsTransactional, d.IsControl, horizon, d.Position, d.TimestampType, d.MaxTimestamp, d.Size, d.Magic, d.Codec, d.CRC, d.IsValid)
	if d.Error != "" {
		_, err = fmt.Fprintf(w, "| invalid: %s\n", d.Error)
	}
	for _, r := range d.Records {
		line := fmt.Sprintf("| offset: %d %s: %d keySize: %d valueSize: %d sequence: %d headerKeys: [%s]",
			r.Offset, d.TimestampType, r.Timestamp, r.KeySize, r.ValueSize, r.Sequence, strings.Join(r.Headers, ","))
		if r.Control != "" {
			line += " " + r.Control
		} else {
			if r.key != nil {
				line += " key: " + printable(r.key)
			}
			if r.value != nil {
				line += " payload: " + printable(r.value)
			}
		}
		_, err = fmt.Fprintln(w, line)
	}
	return err
}
