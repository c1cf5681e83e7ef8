package telemetry

// The limits of what clients can make the broker remember.
const (
	// MaxSessions is how many client instances are in conversation at once (as in
	// Kafka); the one that was silent longest gives way.
	MaxSessions = 16384
	// MaxInstances is how many client instances' values are kept.
	MaxInstances = 16384
	// MaxSeries is how many series of one instance are kept.
	MaxSeries = 4096
	// MaxInstanceBytes bounds the names and labels of one instance's series, with
	// seriesOverhead for each.
	MaxInstanceBytes = 1 << 20
	// MaxStoreBytes is MaxInstanceBytes for all instances together.
	MaxStoreBytes = 64 << 20
	// MaxLabels is how many labels of one series, or of an instance, are kept.
	MaxLabels = 32
	// seriesOverhead is about what a series costs beside its text.
	seriesOverhead = 128
	// minExpiryMs is how long an instance is kept at least without a word from it.
	minExpiryMs = 60_000
)

// expiryMs is how long an instance with that push interval is kept without a word
// from it, as in Kafka.
func expiryMs(intervalMs int32) int64 { return max(minExpiryMs, 3*int64(intervalMs)) }
