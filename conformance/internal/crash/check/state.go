package check

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/naru-stream/naru/conformance/internal/crash/ledger"
	"github.com/naru-stream/naru/conformance/internal/crash/load"
	"github.com/naru-stream/naru/conformance/internal/crash/wire"
)

// Before is what was promised when the server was killed.
type Before struct {
	Partitions map[wire.Partition]ledger.Promise
	Commits    map[string]map[wire.Partition]ledger.Commit
	Topics     map[string]wire.Topic // of the topics that stay
}

// Note takes what was promised until now.
func Note(l *ledger.Ledger, topics map[string]wire.Topic) Before {
	return Before{Partitions: l.Promises(), Commits: l.Commits(), Topics: topics}
}

// State compares topics, settings, ends, starts and committed offsets with what was promised before the
// crash. An error means that the connection was lost before everything was seen.
func State(ctx context.Context, addr string, l *ledger.Ledger, before Before, topics map[string]wire.Topic, churn *load.Churn) error {
	conn, err := wire.Dial(ctx, addr, 30*time.Second)
	if err != nil {
		return err
	}
	defer conn.Close()
	if err := churn.Resolve(conn, topics); err != nil {
		return err
	}
	for _, t := range load.Topics {
		if old, now := before.Topics[t.Name], topics[t.Name]; old.Partitions > 0 && old != now {
			l.Violate("topics", t.Name, "id %x with %d partitions became id %x with %d", old.ID, old.Partitions, now.ID, now.Partitions)
		}
		settings, err := conn.Configs(t.Name)
		if err != nil && !wire.Refused(err) {
			return err
		}
		for key, want := range t.Settings {
			if settings[key] != want {
				l.Violate("settings", t.Name, "%s is %q, was created with %s (%v)", key, settings[key], want, err)
			}
		}
	}
	if err := ends(conn, l, before); err != nil {
		return err
	}
	return commits(ctx, conn, l, before)
}

// ends compares where each partition begins and ends.
func ends(conn *wire.Conn, l *ledger.Ledger, before Before) error {
	all := Stable()
	last, err := conn.Offsets(wire.Latest, all)
	if err != nil {
		return lostOr(l, err)
	}
	first, err := conn.Offsets(wire.Earliest, all)
	if err != nil {
		return lostOr(l, err)
	}
	for _, p := range all {
		was, any := before.Partitions[p]
		if !any {
			was = ledger.Promise{Acked: -1, Seen: -1}
		}
		if last[p] <= was.Acked {
			l.Violate("acknowledged records", p.String(), "ends at %d after the crash, offset %d was acknowledged before it", last[p], was.Acked)
		}
		if last[p] <= was.Seen {
			l.Violate("read records", p.String(), "ends at %d after the crash, offset %d was read before it", last[p], was.Seen)
		}
		if first[p] < was.Trimmed {
			l.Violate("deletion of records", p.String(), "begins at %d after the crash, its beginning was answered as %d before it", first[p], was.Trimmed)
		}
		if p.Topic == "trimmed" {
			if asked := l.Promises()[p].Asked; first[p] > asked {
				l.Violate("deletion of records", p.String(), "begins at %d, deletion was asked for up to %d only", first[p], asked)
			}
		} else if p.Topic != "retained" && first[p] != 0 {
			l.Violate("acknowledged records", p.String(), "begins at %d, nothing was deleted", first[p])
		}
		if p.Topic == "retained" {
			l.Trimmed(p, first[p]) // what retention took must not come back
		}
	}
	return nil
}

// lostOr makes an error answer a violation; any other error is a lost connection.
func lostOr(l *ledger.Ledger, err error) error {
	if !wire.Refused(err) {
		return err
	}
	l.Violate("partitions serve", "", "%v", err)
	return nil
}

// Stable lists the partitions of the topics that stay.
func Stable() []wire.Partition {
	var all []wire.Partition
	for _, t := range load.Topics {
		for i := range t.Partitions {
			all = append(all, wire.Partition{Topic: t.Name, Index: i})
		}
	}
	return all
}

// commits compares the committed offsets of each group, waiting while its coordinator loads.
func commits(ctx context.Context, conn *wire.Conn, l *ledger.Ledger, before Before) error {
	for group, was := range before.Commits {
		found, err := conn.Committed(group)
		for wire.Is(err, "COORDINATOR_LOAD_IN_PROGRESS", "COORDINATOR_NOT_AVAILABLE", "NOT_COORDINATOR") {
			select {
			case <-ctx.Done():
				return ctx.Err()
			case <-time.After(time.Millisecond):
			}
			found, err = conn.Committed(group)
		}
		if err != nil {
			if !wire.Refused(err) {
				return err
			}
			l.Violate("committed offsets", group, "%v", err)
			continue
		}
		tried := l.Commits()[group]
		for p, c := range was {
			got, ok := found[p]
			if !ok {
				got = -1
			}
			if c.Acked > 0 && got < c.Acked {
				l.Violate("committed offsets", fmt.Sprintf("%s %s", group, p), "is %d, the commit of %d was acknowledged", got, c.Acked)
			}
			if got > tried[p].Tried && strings.HasPrefix(group, load.CommitGroup) {
				l.Violate("committed offsets", fmt.Sprintf("%s %s", group, p), "is %d, nothing above %d was committed", got, tried[p].Tried)
			}
		}
	}
	return nil
}
