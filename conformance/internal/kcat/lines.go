package kcat

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"os"
	"strconv"
	"time"

	"github.com/naru-stream/naru/conformance/internal/proc"
)

// LinesTopic is the topic that Lines fills.
const LinesTopic = Client + "-lines"

// Lines sends a file of different lines through kcat into a topic of four partitions and reads it back:
// in every partition the lines are in the file's order, offsets are dense, and merged by their place in
// the file they give the file byte for byte.
func (k Kcat) Lines(ctx context.Context, file string) error {
	content, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	lines := bytes.Split(bytes.TrimSuffix(content, []byte("\n")), []byte("\n"))
	place := make(map[string]int, len(lines))
	for i, l := range lines {
		place[string(l)] = i
	}
	if len(place) != len(lines) {
		return fmt.Errorf("%s has %d lines but only %d different ones", file, len(lines), len(place))
	}
	const parts = 4
	if err := CreateTopic(ctx, k.Addr, LinesTopic, parts); err != nil {
		return err
	}
	send := proc.Command{Argv: []string{k.Path, "-b", k.Addr, "-P", "-t", LinesTopic, "-l", "-z", "lz4", "-X", "partitioner=random",
		"-X", "sticky.partitioning.linger.ms=0", "-X", "linger.ms=20", file}, Timeout: 2 * time.Minute}
	if _, err := proc.Must(ctx, send); err != nil {
		return err
	}
	read := proc.Command{Argv: []string{k.Path, "-b", k.Addr, "-C", "-t", LinesTopic, "-o", "beginning", "-e", "-q", "-f", "%p\\t%o\\t%s\\n"}, Timeout: 2 * time.Minute}
	out, err := proc.Must(ctx, read)
	if err != nil {
		return err
	}
	return compareLines(out.Stdout, content, lines, place, parts)
}

// compareLines checks kcat's output "partition, offset, line" against the file.
func compareLines(out, content []byte, lines [][]byte, place map[string]int, parts int) error {
	merged := make([][]byte, len(lines))
	next, last := make([]int, parts), make([]int, parts)
	for p := range last {
		last[p] = -1
	}
	scan := bufio.NewScanner(bytes.NewReader(out))
	for scan.Scan() {
		f := bytes.SplitN(scan.Bytes(), []byte("\t"), 3)
		if len(f) != 3 {
			return fmt.Errorf("line %.60q has no partition and offset", scan.Bytes())
		}
		p, err := strconv.Atoi(string(f[0]))
		if err != nil || p < 0 || p >= parts {
			return fmt.Errorf("line %.60q: partition: %w", scan.Bytes(), err)
		}
		if offset, err := strconv.Atoi(string(f[1])); err != nil || offset != next[p] {
			return fmt.Errorf("partition %d: offset %s, want %d", p, f[1], next[p])
		}
		next[p]++
		i, known := place[string(f[2])]
		if !known || i <= last[p] {
			return fmt.Errorf("partition %d offset %s: line %.40q is not in the file's order (place %d after %d)", p, f[1], f[2], i, last[p])
		}
		last[p] = i
		merged[i] = lines[i]
	}
	if err := scan.Err(); err != nil {
		return err
	}
	all := append(bytes.Join(merged, []byte("\n")), '\n')
	if sha256.Sum256(all) != sha256.Sum256(content) {
		return fmt.Errorf("what came out is not what went in: records by partition %v, want %d in all", next, len(lines))
	}
	for p, n := range next {
		if n == 0 {
			return fmt.Errorf("partition %d got no record", p)
		}
	}
	return nil
}
