package arena

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"

	"github.com/naru-stream/naru/conformance/internal/proc"
)

// Worker is a program that is to run all the time. Its functions are called by a goroutine of
// the worker's own.
type Worker struct {
	Argv   func(generation int) []string // the command line of its first process (0) and of those after it
	Hear   func(line string)             // takes each line that it prints
	Stderr io.Writer                     // takes what it prints on standard error; nil is nowhere
}

// Employ has a worker run, and start again whenever it ends, until the workers are ended.
func (a *Arena) Employ(w Worker) {
	a.mu.Lock()
	n := len(a.kill)
	a.kill = append(a.kill, func() {})
	a.mu.Unlock()
	a.running.Go(func() {
		for generation := 0; a.working.Err() == nil; generation++ {
			ctx, kill := context.WithCancel(a.working)
			a.mu.Lock()
			a.kill[n] = kill
			a.mu.Unlock()
			err := w.run(ctx, a.Dir, generation)
			if err != nil && ctx.Err() == nil {
				fmt.Fprintln(os.Stderr, "a worker cannot be started:", err)
				a.endWork()
			}
			kill()
		}
	})
}

// run runs one process of the worker to its end, which is no error.
func (w *Worker) run(ctx context.Context, dir string, generation int) error {
	cmd := proc.New(ctx, proc.Command{Argv: w.Argv(generation), Dir: dir})
	cmd.Stderr = w.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	lines := bufio.NewScanner(out)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		w.Hear(lines.Text())
	}
	_ = cmd.Wait() // it was killed, or gave up
	return nil
}

// killWorker kills the process of a random worker.
func (a *Arena) killWorker() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.kill[a.Rand.IntN(len(a.kill))]()
}

// EndWorkers kills all workers for good and returns when they are gone: nothing is heard of
// them any more.
func (a *Arena) EndWorkers() {
	a.endWork()
	a.running.Wait()
}
