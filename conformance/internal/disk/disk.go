// Package disk reads what a broker stored: the headers of the record batches in a partition's .log files,
// which are the same in Apache Kafka and Naru.
package disk

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sort"
)

// codecNames are the names of the compression codecs by their number in a batch's attributes.
var codecNames = [8]string{"none", "gzip", "snappy", "lz4", "zstd", "5", "6", "7"}

// The part of a batch header that is read here: base offset (8), length (4), leader epoch (4), magic (1),
// CRC (4), attributes (2), last offset delta (4), two timestamps (16), producer id (8), epoch (2),
// base sequence (4), count (4).
const headerSize = 61

// Batches is what the logs of one topic hold.
type Batches struct {
	Codecs  map[string]int // batches by codec
	Records map[string]int // records by the codec of their batch
}

// Topic reads all segments of all partitions of a topic under a broker's data directory.
func Topic(dataDir, topic string) (Batches, error) {
	b := Batches{Codecs: map[string]int{}, Records: map[string]int{}}
	files, err := filepath.Glob(filepath.Join(dataDir, topic+"-[0-9]*", "*.log"))
	if err != nil {
		return b, err
	}
	if len(files) == 0 {
		return b, fmt.Errorf("no .log file of topic %s under %s", topic, dataDir)
	}
	sort.Strings(files)
	for _, name := range files {
		if err := b.read(name); err != nil {
			return b, fmt.Errorf("reading %s: %w", name, err)
		}
	}
	return b, nil
}

func (b *Batches) read(name string) error {
	f, err := os.Open(name)
	if err != nil {
		return err
	}
	defer f.Close()
	head := make([]byte, headerSize)
	for at := int64(0); ; {
		if _, err := f.ReadAt(head, at); err != nil {
			if errors.Is(err, io.EOF) { // the end, or preallocated space after it
				return nil
			}
			return err
		}
		size := int64(binary.BigEndian.Uint32(head[8:]))
		if size == 0 {
			return nil
		}
		if magic := head[16]; magic != 2 {
			return fmt.Errorf("batch at %d has magic %d", at, magic)
		}
		attributes := binary.BigEndian.Uint16(head[21:])
		codec := codecNames[attributes&7]
		b.Codecs[codec]++
		b.Records[codec] += int(binary.BigEndian.Uint32(head[57:]))
		at += 12 + size
	}
}

// MostlyCodec returns an error unless 99 of 100 records are in batches with the codec: librdkafka leaves
// a batch of a few short records uncompressed when that is smaller.
func MostlyCodec(dataDir, topic, codec string) error {
	b, err := Topic(dataDir, topic)
	if err != nil {
		return err
	}
	total := 0
	for _, n := range b.Records {
		total += n
	}
	if total == 0 || b.Records[codec]*100 < total*99 {
		return fmt.Errorf("stored records by codec are %v, want nearly all in %s", b.Records, codec)
	}
	return nil
}

// OnlyCodec returns an error unless every batch of the topic has the codec and at least one is there.
func OnlyCodec(dataDir, topic, codec string) error {
	b, err := Topic(dataDir, topic)
	if err != nil {
		return err
	}
	if len(b.Codecs) != 1 || b.Codecs[codec] == 0 {
		return fmt.Errorf("stored batches by codec are %v, want only %s", b.Codecs, codec)
	}
	return nil
}
