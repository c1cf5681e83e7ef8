package sharefetch

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/naru-stream/naru/internal/broker/sharesession"
)

// Whatever comes together, news, the end of its time, its client's going: a fetch is
// either answered or abandoned, once.
func TestAFetchEndsOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		for range 2000 {
			answered := 0
			f := &Fetch{
				Group: "g", Member: "a", Partitions: []sharesession.Partition{{Topic: topicID}, {Topic: topicID, Index: 1}},
				MaxWait: time.Minute, MinBytes: 1, MaxBytes: 1000, MaxRecords: 1, Done: func([]Result) { answered++ },
			}
			w.m.Start(f)
			go f.notify()
			go f.expire()
			f.notify()
			abandoned := f.Abandon()
			synctest.Wait()
			if again := f.Abandon(); again || abandoned == (answered == 1) || answered > 1 {
				t.Fatalf("answered %d times, abandoned %t, and once more %t", answered, abandoned, again)
			}
		}
		w.settle()
	})
}
