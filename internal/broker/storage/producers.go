package storage

// producers is what the writer knows about the log's producers.
type producers struct{}

func (l *Log) admit(a *Append, nowMs int64) error { return nil }

func (l *Log) commitProducers(seg *segment) {}

func (l *Log) rollbackProducers() {}

func (l *Log) forgetProducers() { l.producers = nil }

func (l *Log) saveProducers() error { return nil }
