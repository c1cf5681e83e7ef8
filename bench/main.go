package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

func main() {
	brokers := flag.String("brokers", "naru,kafka", "which brokers to measure")
	only := flag.String("scenarios", "", "names of scenarios, comma-separated; empty for all")
	seconds := flag.Int("seconds", 8, "how long the loads of small requests run")
	loadGB := flag.Float64("load-gb", 1, "gigabytes each load of large batches writes")
	runs := flag.Int("runs", 3, "counted runs of each scenario and broker")
	gigabytes := flag.Float64("crash-gb", 5, "gigabytes on disk before the crash")
	compactGB := flag.Float64("compact-gb", 5, "gigabytes that are compacted")
	out := flag.String("out", "", "also write the table to this file")
	work := flag.String("work", "", "working directory; empty for a temporary one that is removed")
	flag.Parse()

	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	b := bench{
		brokers: strings.Split(*brokers, ","), runs: *runs, out: *out,
		options: options{duration: time.Duration(*seconds) * time.Second, load: int64(*loadGB * 1e9), crash: int64(*gigabytes * 1e9), compact: int64(*compactGB * 1e9)},
	}
	if *only != "" {
		b.only = strings.Split(*only, ",")
	}
	if err := b.main(ctx, *work); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// bench is one invocation.
type bench struct {
	brokers, only []string
	runs          int
	out           string
	options       options
	results       map[string]map[string][]measurement // scenario, broker
}

func (b *bench) main(ctx context.Context, work string) error {
	root, err := moduleRoot()
	if err != nil {
		return err
	}
	if work == "" {
		if work, err = os.MkdirTemp("", "naru-bench-"); err != nil {
			return err
		}
		defer os.RemoveAll(work)
	}
	remove, err := fillPageCache(work)
	if err != nil {
		return err
	}
	defer remove()
	b.results = map[string]map[string][]measurement{}
	for _, durability := range []string{"os", "group"} {
		if err := b.series(ctx, root, work, durability); err != nil {
			return err
		}
	}
	table := b.table()
	fmt.Print(table)
	if b.out != "" {
		return os.WriteFile(b.out, []byte(table), 0o644)
	}
	return nil
}

// fillPageCache fills memory with a file that stays until the end, synced, so that
// every page a broker writes comes out of the cache of a busy server. Free memory
// would flatter or punish by chance: in a virtual machine the first use of a page
// that the host has not given yet costs several times as much as a later one.
func fillPageCache(dir string) (remove func(), err error) {
	size, err := availableMemory()
	if err != nil {
		return nil, err
	}
	progress("filling %d GB of page cache", size>>30)
	f, err := os.CreateTemp(dir, "cache-")
	if err != nil {
		return nil, err
	}
	remove = func() { f.Close(); os.Remove(f.Name()) }
	data := make([]byte, 4<<20)
	for written := int64(0); written < size; written += int64(len(data)) {
		if _, err := f.Write(data); err != nil {
			remove()
			return nil, fmt.Errorf("filling the page cache: %w", err)
		}
	}
	return remove, f.Sync()
}

// series runs the scenarios of one durability mode, the brokers in turn. Only one
// broker runs at a time: on a small machine an idle JVM is not idle enough.
func (b *bench) series(ctx context.Context, root, work, durability string) error {
	var todo []scenario
	for _, s := range scenarios() {
		if s.durability == durability && (b.only == nil || slices.Contains(b.only, s.name)) {
			todo = append(todo, s)
		}
	}
	if len(todo) == 0 {
		return nil
	}
	for _, name := range b.brokers {
		port, err := freePort()
		if err != nil {
			return err
		}
		start := map[string]func(context.Context, string, string, int, string) (*broker, error){"naru": naruBroker, "kafka": kafkaBroker}[name]
		if start == nil {
			return fmt.Errorf("there is no broker %q: naru or kafka", name)
		}
		server, err := start(ctx, root, work, port, durability)
		if err != nil {
			return err
		}
		if err := b.measure(ctx, server, todo); err != nil {
			return err
		}
	}
	return nil
}

// measure warms a broker up and runs the scenarios on it.
func (b *bench) measure(ctx context.Context, server *broker, todo []scenario) error {
	if _, err := server.start(ctx); err != nil {
		return err
	}
	defer server.stop()
	warm := load{partitions: 16, connections: 4, inFlight: 5, acks: 1, recordSize: 1000, batch: 16}
	o := b.options
	o.run, o.duration, o.load = 1000, 2*o.duration, 0
	if server.name == "kafka" {
		o.duration *= 2 // the JVM compiles what it runs
	}
	progress("%s: warming up", server.name)
	if _, err := warm.measure(server, o); err != nil {
		return err
	}
	for i, s := range todo {
		runs := b.runs
		if s.name == "crash" || s.name == "compaction" || strings.HasPrefix(s.name, "idle") {
			runs = 1
		}
		for run := range runs {
			o := b.options
			o.run = i*100 + run
			m, err := s.run(ctx, server, o)
			if err != nil {
				return fmt.Errorf("%s on %s: %w", s.name, server.name, err)
			}
			progress("%s: %s: %.3g %s (%s)", server.name, s.name, m.value, s.unit, m.detail)
			if b.results[s.name] == nil {
				b.results[s.name] = map[string][]measurement{}
			}
			b.results[s.name][server.name] = append(b.results[s.name][server.name], m)
		}
	}
	return nil
}

func progress(format string, args ...any) { fmt.Fprintf(os.Stderr, format+"\n", args...) }

// median returns the measurement in the middle.
func median(ms []measurement) measurement {
	sorted := slices.Clone(ms)
	slices.SortFunc(sorted, func(a, b measurement) int {
		switch {
		case a.value < b.value:
			return -1
		case a.value > b.value:
			return 1
		}
		return 0
	})
	return sorted[len(sorted)/2]
}

// table is the result as Markdown.
func (b *bench) table() string {
	var t strings.Builder
	fmt.Fprintf(&t, "| Scenario | Unit | Naru | Kafka 4.3.1 | Naru ÷ Kafka | Aim |\n|---|---|---|---|---|---|\n")
	var details strings.Builder
	for _, s := range scenarios() {
		r := b.results[s.name]
		if r == nil {
			continue
		}
		cells := map[string]string{"naru": "–", "kafka": "–"}
		for name, ms := range r {
			m := median(ms)
			cells[name] = fmt.Sprintf("%.3g", m.value)
			fmt.Fprintf(&details, "- %s, %s (%d runs): %s\n", s.name, name, len(ms), m.detail)
		}
		ratio, aim := "–", fmt.Sprintf("≤ %g", s.target)
		if s.more {
			aim = fmt.Sprintf("≥ %g", s.target)
		}
		if len(r["naru"]) > 0 && len(r["kafka"]) > 0 {
			ratio = fmt.Sprintf("%.2g", median(r["naru"]).value/median(r["kafka"]).value)
		}
		fmt.Fprintf(&t, "| %s (durability: %s) | %s | %s | %s | %s | %s |\n", s.what, s.durability, s.unit, cells["naru"], cells["kafka"], ratio, aim)
	}
	return t.String() + "\n" + details.String()
}

// moduleRoot returns the directory of go.mod, from here upwards.
func moduleRoot() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir, nil
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			return "", fmt.Errorf("no go.mod above the working directory: run it inside the project")
		}
		dir = parent
	}
}
