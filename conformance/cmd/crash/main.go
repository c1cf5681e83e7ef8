// Command crash kills a server with SIGKILL again and again under load, damages its files as a crash can,
// and checks that everything it acknowledged is there. See README.md in the module's root.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/naru-stream/naru/conformance/internal/setup"
)

type options struct {
	target, root, temp, durability string
	parts                          string
	kills, rate, idle              int
	tornEvery                      int
	seed                           uint64
	min, max                       time.Duration
	sizes                          string
	record                         int
	quick, json, keep              bool
	total                          time.Duration
}

// run is what the parts share.
type run struct {
	options
	env    setup.Env
	random *rand.Rand
	report *report
}

func main() {
	var o options
	flag.StringVar(&o.target, "target", "naru", "server to kill: naru or kafka")
	flag.StringVar(&o.parts, "parts", "kills,damage,sizes,idle", "what to run")
	flag.StringVar(&o.root, "root", ".", "folder of the conformance module")
	flag.StringVar(&o.temp, "temp", os.TempDir(), "where the data directories are made")
	flag.StringVar(&o.durability, "durability", "mixed", "naru.durability: auto, os, group, or mixed (under load drawn for each start, sizes with os and group)")
	flag.IntVar(&o.kills, "kills", 50, "how often the server is killed under load")
	flag.Uint64Var(&o.seed, "seed", uint64(time.Now().UnixNano()), "seed of all that is random")
	flag.DurationVar(&o.min, "min", 50*time.Millisecond, "shortest time between ready and kill")
	flag.DurationVar(&o.max, "max", 1500*time.Millisecond, "longest time between ready and kill")
	flag.IntVar(&o.rate, "rate", 2000, "records a second of an ordinary producer")
	flag.IntVar(&o.tornEvery, "torn", 3, "tear a segment's tail after every n-th kill, 0 for never")
	flag.StringVar(&o.sizes, "sizes", "0.1,1,5", "GB on 16 partitions whose start is timed")
	flag.IntVar(&o.record, "record", 4000, "bytes of a record in the timed sizes")
	flag.IntVar(&o.idle, "idle", 10_000, "idle partitions whose start is timed")
	flag.BoolVar(&o.quick, "quick", false, "for CI: 10 kills, 0.1 and 1 GB, 1,000 idle partitions")
	flag.BoolVar(&o.json, "json", false, "print the result as JSON")
	flag.BoolVar(&o.keep, "keep", false, "keep the data directories")
	flag.DurationVar(&o.total, "total", 25*time.Minute, "time limit of the whole run")
	flag.Parse()
	if o.quick {
		o.kills, o.sizes, o.idle, o.total = 10, "0.1,1", 1000, 5*time.Minute
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	ctx, cancel := context.WithTimeout(ctx, o.total)
	defer cancel()
	violated, err := do(ctx, o)
	if err != nil {
		fmt.Fprintln(os.Stderr, "crash:", err)
	}
	if err != nil || violated {
		stop()
		os.Exit(1)
	}
}

func do(ctx context.Context, o options) (violated bool, err error) {
	env, err := setup.New(o.root)
	if err != nil {
		return false, err
	}
	r := &run{options: o, env: env, report: newReport(o)}
	parts := map[string]func(context.Context) error{"kills": r.kill, "damage": r.damaged, "sizes": r.grow, "idle": r.idleStart}
	for _, part := range strings.Split(o.parts, ",") {
		do := parts[part]
		if do == nil {
			return false, fmt.Errorf("-parts %q: want some of kills,damage,sizes,idle", part)
		}
		r.random = rand.New(rand.NewPCG(o.seed, 0)) // each part repeats by itself
		r.progress("%s: seed %d", part, o.seed)
		if err = do(ctx); err != nil {
			err = fmt.Errorf("%s: %w", part, err)
			break
		}
	}
	r.report.Seconds = time.Since(r.report.began).Seconds()
	if o.json {
		out := json.NewEncoder(os.Stdout)
		out.SetIndent("", "  ")
		err = errors.Join(err, out.Encode(r.report))
	} else {
		r.report.write(os.Stdout)
	}
	return len(r.report.Violations) > 0, err
}

// progress tells on stderr what happens.
func (r *run) progress(format string, args ...any) {
	fmt.Fprintf(os.Stderr, "%6.1fs  %s\n", time.Since(r.report.began).Seconds(), fmt.Sprintf(format, args...))
}

// workDir makes a directory and returns how it is removed.
func (r *run) workDir(part string) (string, func(), error) {
	dir, err := os.MkdirTemp(r.temp, "naru-crash-"+part+"-")
	if err != nil {
		return "", nil, err
	}
	if dir, err = filepath.Abs(dir); err != nil {
		return "", nil, err
	}
	return dir, func() {
		if r.keep {
			r.progress("kept %s", dir)
			return
		}
		os.RemoveAll(dir)
	}, nil
}

// settings are those that make much happen in little time, in the words of each server.
func (r *run) settings(durability string) []string {
	common := []string{"auto.create.topics.enable=false", "log.retention.check.interval.ms=300", "log.initial.task.delay.ms=300",
		"offsets.topic.segment.bytes=1048576", "offset.metadata.max.bytes=4096"}
	if r.target == "naru" {
		return append(common, "naru.durability="+durability)
	}
	return common
}

// drawDurability is the mode of the next start under load.
func (r *run) drawDurability() string {
	if r.durability != "mixed" {
		return r.durability
	}
	return []string{"os", "group", "auto"}[r.random.IntN(3)]
}

func (r *run) gigabytes() ([]float64, error) {
	var list []float64
	for _, text := range strings.Split(r.sizes, ",") {
		gb, err := strconv.ParseFloat(text, 64)
		if err != nil || gb <= 0 {
			return nil, fmt.Errorf("-sizes %q: %q is no size in GB", r.sizes, text)
		}
		list = append(list, gb)
	}
	return list, nil
}
