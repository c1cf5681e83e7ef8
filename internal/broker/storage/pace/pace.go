// Package pace is when the background does something for a log: sync it, tell the
// manifest about it, save the state of its producers, write its index.
//
// Purpose: what waits is never older than the settings allow, and an idle log costs
// nothing: it is on no list.
//
// Neighbours: package storage keeps one Pace for each log, under the log's lock, tells it
// what happens and does what is due. Pure: times are arguments, in milliseconds since
// 1970.
//
// Invariant: a log with something to do is on the background's list, or the syncs that
// are queued for it cover it.
package pace

import "math"

// Rules say how long and how much may wait.
type Rules struct {
	// SyncMs is how long written data stays unsynced.
	SyncMs int64
	// SyncBytes is how much of a log stays unsynced.
	SyncBytes int64
	// SyncMessages is how many records stay unsynced (flush.messages).
	SyncMessages int64
	// ManifestMs is how long the manifest may lag behind.
	ManifestMs int64
	// CheckpointMs is how often the producers are saved while there are appends, and
	// how long the index of a log without appends stays in memory.
	CheckpointMs int64
}

// maxIdleIndex is how many bytes of index a log keeps in memory while nothing is
// appended.
const maxIdleIndex = 1 << 10

// Pace is what the background knows about a log. Its zero value is that of a log to which
// nothing happened.
type Pace struct {
	listed        bool
	unsynced      Amount
	dirtySinceMs  int64
	lastAppendMs  int64
	sinceSnapshot int64 // bytes since the producers were saved
	snapshotMs    int64
	changed       bool // the manifest lags behind
	changedMs     int64
	sealing       bool // a segment before the last is not sealed
}

// Amount is how much a log was appended.
type Amount struct {
	// Bytes and Records count it.
	Bytes, Records int64
}

// Recovered begins with a log of which so many bytes are not synced, that has so many since
// its producers were saved, and that perhaps has segments to seal. It is on the list.
func Recovered(unsynced, sinceSnapshot int64, sealing bool) Pace {
	return Pace{unsynced: Amount{Bytes: unsynced}, sinceSnapshot: sinceSnapshot, sealing: sealing, changed: true, listed: true}
}

// Wrote counts an append.
func (p *Pace) Wrote(a Amount, nowMs int64) {
	if p.unsynced.Bytes == 0 {
		p.dirtySinceMs = nowMs
	}
	p.unsynced.Bytes += a.Bytes
	p.unsynced.Records += a.Records
	p.sinceSnapshot += a.Bytes
	p.lastAppendMs = nowMs
	p.Changed(nowMs)
}

// Changed notes that the manifest lags behind.
func (p *Pace) Changed(nowMs int64) {
	if !p.changed {
		p.changed, p.changedMs = true, nowMs
	}
}

// Rolled notes that there is a segment to seal.
func (p *Pace) Rolled() { p.sealing = true }

// Sealing tells whether there is one.
func (p *Pace) Sealing() bool { return p.sealing }

// List puts the log on the list; it tells whether it was not on it.
func (p *Pace) List() bool {
	fresh := !p.listed
	p.listed = true
	return fresh
}

// Much tells that so much is not synced that it cannot wait.
func (p *Pace) Much(r *Rules) bool { return p.unsynced.Bytes >= r.SyncBytes }

// TooMany tells that so many records are not synced that they cannot wait.
func (p *Pace) TooMany(r *Rules) bool { return p.unsynced.Records >= r.SyncMessages }

// Unsynced returns how much a sync that begins now covers.
func (p *Pace) Unsynced() Amount { return p.unsynced }

// Synced notes that such a sync succeeded.
func (p *Pace) Synced(covered Amount, nowMs int64) {
	p.unsynced.Bytes = max(0, p.unsynced.Bytes-covered.Bytes)
	p.unsynced.Records = max(0, p.unsynced.Records-covered.Records)
	p.dirtySinceMs = nowMs
}

// Saved notes that the producers were saved, and how much came since.
func (p *Pace) Saved(since, nowMs int64) { p.snapshotMs, p.sinceSnapshot = nowMs, since }

// SaveDue tells whether the producers should be saved.
func (p *Pace) SaveDue(r *Rules, nowMs int64) bool {
	return p.sinceSnapshot > 0 && (p.sealing || p.sinceSnapshot >= r.SyncBytes || nowMs >= p.snapshotMs+r.CheckpointMs)
}

// Unsaved tells whether there is anything of the producers to save.
func (p *Pace) Unsaved() bool { return p.sinceSnapshot > 0 }

// IndexDue tells whether an index that takes so many bytes of memory should go to disk,
// because nothing is appended.
func (p *Pace) IndexDue(r *Rules, indexBytes, nowMs int64) bool {
	return p.indexMs(r, indexBytes) <= nowMs
}

func (p *Pace) indexMs(r *Rules, indexBytes int64) int64 {
	if indexBytes <= maxIdleIndex {
		return math.MaxInt64
	}
	return p.lastAppendMs + r.CheckpointMs
}

// CheckpointDue tells whether the manifest should learn where the log stands.
func (p *Pace) CheckpointDue(r *Rules, indexBytes, nowMs int64) bool {
	return p.sealing || p.SaveDue(r, nowMs) || p.IndexDue(r, indexBytes, nowMs) || p.changed && nowMs >= p.changedMs+r.ManifestMs
}

// Sealed notes that a checkpoint begins, which seals what there is to seal.
func (p *Pace) Sealed() { p.sealing = false }

// Told notes that the manifest knows the log.
func (p *Pace) Told() { p.changed = false }

// Leave takes the log off the list.
func (p *Pace) Leave() { p.listed = false }

// Due tells when the log wants the background. Without any such time it leaves the list.
func (p *Pace) Due(r *Rules, indexBytes int64) (dueMs int64, ok bool) {
	dueMs = p.indexMs(r, indexBytes)
	if p.sealing {
		dueMs = 0
	}
	if p.unsynced.Bytes > 0 {
		dueMs = min(dueMs, p.dirtySinceMs+r.SyncMs)
	}
	if p.changed {
		dueMs = min(dueMs, p.changedMs+r.ManifestMs)
	}
	if p.sinceSnapshot > 0 {
		dueMs = min(dueMs, p.snapshotMs+r.CheckpointMs)
	}
	if dueMs == math.MaxInt64 {
		p.Leave()
		return 0, false
	}
	return dueMs, true
}
