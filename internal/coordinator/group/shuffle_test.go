package group

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/naru-stream/naru/internal/script"
)

// TestStepsOfAllScriptsInAnyOrderLeaveMemoryWhatAReplayGives plays the steps of
// testdata/*.txt shuffled together: groups change their kind, are deleted with and
// without members, their offsets expire or are deleted, topics go. After every step
// memory must be what a replay of the log gives, and of the compacted log.
func TestStepsOfAllScriptsInAnyOrderLeaveMemoryWhatAReplayGives(t *testing.T) {
	steps := scriptSteps(t)
	ops := slices.Sorted(maps.Keys(steps))
	for seed := range uint64(20) {
		t.Run(fmt.Sprint("seed", seed), func(t *testing.T) {
			rng := rand.New(rand.NewPCG(seed, 3))
			s := &scene{world: newWorld(t, nil)}
			s.unwritten = true
			for range 200 {
				op := ops[rng.IntN(len(ops))]
				args := steps[op][rng.IntN(len(steps[op]))]
				t.Log(op, args) // printed if it fails
				s.step(op, script.Parse(t, args))
				s.Run()
				s.check()
			}
		})
	}
}

// scriptSteps returns the arguments that the scripts use, by step. Steps that only
// look are left out, and those that stall the log: passing a week would take long.
func scriptSteps(t *testing.T) map[string][]string {
	skip := []string{"settings", "log", "list", "describe", "describe-consumers", "fetch", "hold", "release", "fail-appends", "resign"}
	steps := map[string][]string{}
	for op, args := range script.Steps(t) {
		if !slices.Contains(skip, op) {
			steps[op] = append(steps[op], args)
		}
	}
	return steps
}
