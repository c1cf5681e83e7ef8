package pace

import (
	"testing"

	"github.com/naru-stream/naru/internal/script"
)

// TestScripts plays testdata/*.txt at a clock that "at" sets, with rules of 1000 ms or
// 1000 bytes for a sync, 2000 ms for the manifest and 10000 ms for a checkpoint. After each
// step it shows what is due.
func TestScripts(t *testing.T) {
	script.Run(t, func(t *testing.T, out *script.Output) func(op, args string) {
		r := &Rules{SyncMs: 1000, SyncBytes: 1000, SyncMessages: 50, ManifestMs: 2000, CheckpointMs: 10_000}
		p := &Pace{}
		nowMs, index := int64(0), int64(0)
		var covered Amount
		return func(op, args string) {
			a := script.Parse(t, args)
			switch op {
			case "at":
				nowMs = a.Number(a.Words[0])
			case "wrote":
				p.Wrote(Amount{a.Num("bytes", 1), a.Num("records", 1)}, nowMs)
			case "index": // takes bytes of memory
				index = a.Number(a.Words[0])
			case "recovered":
				*p = Recovered(a.Num("unsynced", 0), a.Num("unsaved", 0), a.Has("sealing"))
			case "rolled":
				p.Rolled()
			case "sync":
				covered = p.Unsynced()
			case "synced":
				p.Synced(covered, nowMs)
			case "checkpoint":
				if p.SaveDue(r, nowMs) {
					p.Saved(0, nowMs)
				}
				p.Sealed()
				p.Told()
			default:
				t.Fatalf("unknown step %q", op)
			}
			now := ""
			for _, x := range []struct {
				what string
				due  bool
			}{
				{"much", p.Much(r)}, {"many", p.TooMany(r)}, {"checkpoint", p.CheckpointDue(r, index, nowMs)},
				{"save", p.SaveDue(r, nowMs)}, {"index", p.IndexDue(r, index, nowMs)}, {"listed anew", p.List()},
			} {
				if x.due {
					now += " " + x.what
				}
			}
			if ms, ok := p.Due(r, index); ok {
				out.Say("next %d, now%s", ms, now)
			}
		}
	})
}
