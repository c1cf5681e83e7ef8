package throttle

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

func TestAllTogetherKeepToTheRate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		throttle := New(500)
		throttle.Set(1000)
		start := time.Now()
		var wg sync.WaitGroup
		for range 4 {
			wg.Go(func() {
				for range 25 {
					if err := throttle.Spend(t.Context(), 50); err != nil {
						t.Error(err)
					}
				}
			})
		}
		wg.Wait()
		if took := time.Since(start); took < 4900*time.Millisecond || took > 5100*time.Millisecond {
			t.Errorf("5000 bytes at 1000 a second took %s", took)
		}
	})
}

func TestWaitingEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := New(1).Spend(ctx, 1000); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("it ended with %v", err)
		}
		if err := New(0).Spend(ctx, 1); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("after its end it spends: %v", err)
		}
	})
}

func TestWhoeverWaitsGoesOnWhenTheRateChanges(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		throttle := New(1)
		start := time.Now()
		var wg sync.WaitGroup
		wg.Go(func() {
			if err := throttle.Spend(t.Context(), 1_000_000); err != nil { // eleven days
				t.Error(err)
			}
		})
		time.Sleep(time.Minute)
		throttle.Set(1) // no change
		time.Sleep(time.Minute)
		throttle.Set(1000)
		wg.Wait()
		if err := throttle.Spend(t.Context(), 1000); err != nil {
			t.Error(err)
		}
		if took := time.Since(start); took != 2*time.Minute+time.Second {
			t.Errorf("it took %s", took)
		}
	})
}
