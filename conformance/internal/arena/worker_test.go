package arena

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

// TestWorkers has one worker killed, one end by itself, and both ended.
func TestWorkers(t *testing.T) {
	a, err := open(t.Context(), Options{Seed: 1})
	if err != nil {
		t.Fatal(err)
	}
	heard := make(chan string, 1000)
	employ := func(script string) {
		a.Employ(Worker{
			Argv: func(generation int) []string { return []string{"sh", "-c", script, fmt.Sprint(generation)} },
			Hear: func(line string) { heard <- line },
		})
	}
	employ("echo $0 $$; exec sleep 600")
	pid := 0
	for generation := range 3 {
		line := <-heard
		said, id, _ := strings.Cut(line, " ")
		if said != fmt.Sprint(generation) {
			t.Fatalf("process %d says %q", generation, line)
		}
		if pid, err = strconv.Atoi(id); err != nil {
			t.Fatal(err)
		}
		if generation < 2 {
			a.killWorker()
		}
	}
	employ("sleep 0.05; echo $0 ended")
	for generation := range 2 {
		if line := <-heard; line != fmt.Sprint(generation, " ended") {
			t.Fatalf("process %d of the second worker says %q", generation, line)
		}
	}
	a.Close()
	if err := syscall.Kill(pid, 0); !errors.Is(err, syscall.ESRCH) {
		t.Errorf("a worker is still there after Close: %v", err)
	}
	if _, err := os.Stat(a.Dir); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the directory is still there after Close: %v", err)
	}
}
