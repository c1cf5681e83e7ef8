package kcat

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os/exec"
	"regexp"
	"strings"
	"sync"
	"time"

	"github.com/naru-stream/naru/conformance/internal/proc"
)

func (k Kcat) assign(ctx context.Context) error {
	topic, err := k.newTopic(ctx, "assign", partitions)
	if err != nil {
		return err
	}
	if err := k.produce(ctx, topic, 0, records, partitions); err != nil {
		return err
	}
	for _, from := range []struct {
		partition, first int
		offset           string
	}{{1, 40, "40"}, {2, 90, "-10"}} {
		out, err := k.run(ctx, "", "-C", "-t", topic, "-p", fmt.Sprint(from.partition), "-o", from.offset, "-e", "-q", "-f", format)
		if err != nil {
			return err
		}
		var want strings.Builder
		for o := from.first; o < records/partitions; o++ {
			i := o*partitions + from.partition
			fmt.Fprintf(&want, "%d\t%d\tkey-%d\t%s\n", from.partition, o, i, value(i))
		}
		if out != want.String() {
			return fmt.Errorf("partition %d from offset %s: %d bytes differ from the %d expected", from.partition, from.offset, len(out), want.Len())
		}
	}
	return nil
}

// grouped are the settings of a group member.
func grouped(group string) []string {
	return []string{"-G", group, "-X", "auto.offset.reset=earliest", "-X", "session.timeout.ms=10000", "-X", "heartbeat.interval.ms=500"}
}

func (k Kcat) group(ctx context.Context) error {
	topic, err := k.newTopic(ctx, "group", partitions)
	if err != nil {
		return err
	}
	if err := k.produce(ctx, topic, 0, records, partitions); err != nil {
		return err
	}
	out, err := k.run(ctx, "", append(grouped(topic), "-e", "-q", "-f", format, topic)...)
	if err != nil {
		return err
	}
	return verify(out, records, partitions)
}

// member is a kcat process in a group.
type member struct {
	cmd  *exec.Cmd
	done chan struct{}

	mu    sync.Mutex
	owned int // partitions of the last assignment
	said  string
}

// kcat says on standard error what it was assigned:
// % Group g rebalanced (memberid m): assigned: topic [0], topic [1]
var rebalanced = regexp.MustCompile(`: (assigned|revoked): (.*)$`)

func (k Kcat) join(ctx context.Context, topic string, seen func(value string)) (*member, error) {
	argv := append([]string{k.Path, "-b", k.Addr}, grouped(topic)...)
	m := &member{done: make(chan struct{})}
	m.cmd = proc.New(ctx, proc.Command{Argv: append(argv, "-u", "-f", "%s\\n", topic)})
	stdout, err := m.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	stderr, err := m.cmd.StderrPipe()
	if err != nil {
		return nil, err
	}
	if err := m.cmd.Start(); err != nil {
		return nil, err
	}
	var readers sync.WaitGroup
	read := func(r io.Reader, each func(string)) {
		readers.Go(func() {
			for scan := bufio.NewScanner(r); scan.Scan(); {
				each(scan.Text())
			}
		})
	}
	read(stdout, seen)
	read(stderr, func(line string) {
		m.mu.Lock()
		defer m.mu.Unlock()
		m.said = line
		if found := rebalanced.FindStringSubmatch(line); found != nil {
			m.owned = 0
			if found[1] == "assigned" {
				m.owned = strings.Count(found[2], "[")
			}
		}
	})
	go func() {
		readers.Wait()
		_ = m.cmd.Wait()
		close(m.done)
	}()
	return m, nil
}

func (m *member) leave() { proc.Stop(m.cmd, m.done, 10*time.Second) }

func (m *member) owns() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.owned
}

// String tells how far the member is.
func (m *member) String() string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return fmt.Sprintf(" owns %d, said %q;", m.owned, m.said)
}

func (k Kcat) rebalance(ctx context.Context) error {
	const parts = 4
	topic, err := k.newTopic(ctx, "rebalance", parts)
	if err != nil {
		return err
	}
	var mu sync.Mutex
	values := map[string]bool{}
	seen := func(v string) {
		mu.Lock()
		values[v] = true
		mu.Unlock()
	}
	var ms []*member
	left := map[*member]bool{}
	leave := func(m *member) {
		if !left[m] {
			left[m] = true
			m.leave()
		}
	}
	defer func() {
		for _, m := range ms {
			leave(m)
		}
	}()
	join := func() error {
		m, err := k.join(ctx, topic, seen)
		if err == nil {
			ms = append(ms, m)
		}
		return err
	}
	until := func(what string, ready func() bool) error {
		for !ready() {
			select {
			case <-ctx.Done():
				state := ""
				for _, m := range ms {
					state += m.String()
				}
				mu.Lock()
				defer mu.Unlock()
				return fmt.Errorf("waiting until %s:%s %d values", what, state, len(values))
			case <-time.After(20 * time.Millisecond):
			}
		}
		return nil
	}
	count := 0
	allSeen := func() error {
		if err := k.produce(ctx, topic, count, count+100, parts); err != nil {
			return err
		}
		count += 100
		return until("all records are seen", func() bool { mu.Lock(); defer mu.Unlock(); return len(values) == count })
	}
	for _, step := range []func() error{
		join,
		func() error { return until("A owns 4", func() bool { return ms[0].owns() == 4 }) },
		allSeen,
		join,
		func() error {
			return until("each owns 2", func() bool { return ms[0].owns() == 2 && ms[1].owns() == 2 })
		},
		allSeen,
		func() error { leave(ms[0]); return nil },
		func() error { return until("B owns 4", func() bool { return ms[1].owns() == 4 }) },
		allSeen,
	} {
		if err := step(); err != nil {
			return err
		}
	}
	return nil
}

func (k Kcat) seekTime(ctx context.Context) error {
	topic, err := k.newTopic(ctx, "time", 1)
	if err != nil {
		return err
	}
	if err := k.produce(ctx, topic, 0, 10, 1); err != nil {
		return err
	}
	pause := time.NewTimer(50 * time.Millisecond) // kcat cannot set timestamps: let the clock move
	<-pause.C
	middle := time.Now().UnixMilli()
	if err := k.produce(ctx, topic, 10, 30, 1); err != nil {
		return err
	}
	out, err := k.run(ctx, "", "-Q", "-t", fmt.Sprintf("%s:0:%d", topic, middle))
	if err != nil || !strings.Contains(out, "offset 10") {
		return fmt.Errorf("offset query answered %q: %w", out, err)
	}
	out, err = k.run(ctx, "", "-C", "-t", topic, "-p", "0", "-o", fmt.Sprintf("s@%d", middle), "-e", "-q", "-f", "%o\\n")
	if err != nil {
		return err
	}
	if lines := strings.Fields(out); len(lines) != 20 || lines[0] != "10" || lines[19] != "29" {
		return fmt.Errorf("read %d records: %.40q", len(lines), out)
	}
	return nil
}

func (k Kcat) commit(ctx context.Context) error {
	topic, err := k.newTopic(ctx, "resume", 1)
	if err != nil {
		return err
	}
	if err := k.produce(ctx, topic, 0, 150, 1); err != nil {
		return err
	}
	out, err := k.run(ctx, "", append(grouped(topic), "-c", "60", "-q", "-f", "%o\\n", topic)...)
	if err != nil {
		return err
	}
	if lines := strings.Fields(out); len(lines) != 60 || lines[59] != "59" {
		return fmt.Errorf("read %d records", len(lines))
	}
	return nil
}

func (k Kcat) resume(ctx context.Context) error {
	topic := k.topic("resume")
	out, err := k.run(ctx, "", append(grouped(topic), "-e", "-q", "-f", "%o\\t%s\\n", topic)...)
	if err != nil {
		return err
	}
	var want strings.Builder
	for i := 60; i < 150; i++ {
		fmt.Fprintf(&want, "%d\t%s\n", i, value(i))
	}
	if out != want.String() {
		return fmt.Errorf("read %d records, the first is %.20q, want 90 from offset 60", strings.Count(out, "\n"), out)
	}
	return nil
}
