// Package syncqueue is the order in which the logs of a directory are synced.
//
// Purpose: a log is synced by one worker at a time; what is asked for meanwhile waits
// for the next turn and is covered by it. Logs that may share a sync gather while one
// runs and then go together; the others go one by one, several at a time.
//
// Neighbours: syncer owns the lock and the workers. Pure: no
// lock, no goroutine, no file.
package syncqueue

// state is where a log stands.
type state int8

const (
	queued  state = iota // in a queue
	running              // a worker has it
	again                // a worker has it and more came
)

type place struct {
	state state
	own   bool // its next turn must be its own
}

// Queue holds logs, named by K, until a worker takes them. It has no lock of its own.
type Queue[K comparable] struct {
	logs    map[K]place // those that do not stand idle
	single  []K         // waiting for a turn of their own
	sharing []K         // waiting for a turn that they share
	shared  bool        // such a turn runs
}

// Ask asks for a turn of k: one of its own, or one that it may share. It tells
// whether there is work now for a worker more.
func (q *Queue[K]) Ask(k K, own bool) (work bool) {
	p, busy := q.logs[k]
	p.own = p.own || own
	if !busy {
		return q.enqueue(k, p.own)
	}
	if p.state == running {
		p.state = again
	}
	q.logs[k] = p
	return false
}

func (q *Queue[K]) enqueue(k K, own bool) (work bool) {
	if q.logs == nil {
		q.logs = map[K]place{}
	}
	q.logs[k] = place{queued, own}
	if own {
		q.single = append(q.single, k)
		return true
	}
	q.sharing = append(q.sharing, k)
	return !q.shared
}

// Turn is what a worker does next.
type Turn[K comparable] struct {
	// Logs are the logs; more than one share.
	Logs   []K
	shared bool
}

// Next returns the next turn, without logs if there is none. All that share come
// together, unless such a turn runs already.
func (q *Queue[K]) Next() Turn[K] {
	var t Turn[K]
	if !q.shared {
		for _, k := range q.sharing {
			if q.logs[k].own { // asked for while it waited
				q.single = append(q.single, k)
			} else {
				t.Logs = append(t.Logs, k)
			}
		}
		q.sharing, q.shared = nil, len(t.Logs) > 0
		t.shared = q.shared
	}
	if len(t.Logs) == 0 && len(q.single) > 0 {
		t.Logs = q.single[:1:1]
		if q.single = q.single[1:]; len(q.single) == 0 {
			q.single = nil
		}
	}
	for _, k := range t.Logs {
		q.logs[k] = place{state: running}
	}
	return t
}

// Done ends a turn. The logs in rest, which are some of it, were not synced and want
// a turn of their own. It returns how many workers more have work now.
func (q *Queue[K]) Done(t Turn[K], rest []K) (work int) {
	if t.shared {
		q.shared = false
	}
	for _, k := range rest {
		p := q.logs[k]
		p.state, p.own = again, true
		q.logs[k] = p
	}
	for _, k := range t.Logs {
		p := q.logs[k]
		if p.state != again {
			delete(q.logs, k)
		} else if q.enqueue(k, p.own) {
			work++
		}
	}
	return work
}
