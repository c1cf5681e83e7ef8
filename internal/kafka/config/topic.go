package config

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// Topic holds every setting of one topic, resolved. A field is the name of its
// setting in camel case; docs/configuration.md says what each means. It is a
// plain value; the lists are shared by copies and must not be changed.
type Topic struct {
	CleanupPolicy                        []string
	CompressionGzipLevel                 int32
	CompressionLz4Level                  int32
	CompressionType                      string
	CompressionZstdLevel                 int32
	DeleteRetentionMs                    int64
	ErrorsDeadletterqueueGroupEnable     bool
	FileDeleteDelayMs                    int64
	FlushMessages                        int64
	FlushMs                              int64
	FollowerReplicationThrottledReplicas []string
	IndexIntervalBytes                   int32
	InternalSegmentBytes                 int32 // 0 unless it is set
	LeaderReplicationThrottledReplicas   []string
	LocalRetentionBytes                  int64
	LocalRetentionMs                     int64
	MaxCompactionLagMs                   int64
	MaxMessageBytes                      int32
	MessageTimestampAfterMaxMs           int64
	MessageTimestampBeforeMaxMs          int64
	MessageTimestampType                 string
	MinCleanableDirtyRatio               float64
	MinCompactionLagMs                   int64
	MinInsyncReplicas                    int32
	Preallocate                          bool
	RemoteLogCopyDisable                 bool
	RemoteLogDeleteOnDisable             bool
	RemoteStorageEnable                  bool
	RetentionBytes                       int64
	RetentionMs                          int64
	SegmentBytes                         int32
	SegmentIndexBytes                    int32
	SegmentJitterMs                      int64
	SegmentMs                            int64
	UncleanLeaderElectionEnable          bool
}

// Compacts reports whether the cleanup policy contains compact.
func (t *Topic) Compacts() bool { return slices.Contains(t.CleanupPolicy, "compact") }

// Deletes reports whether the cleanup policy contains delete.
func (t *Topic) Deletes() bool { return slices.Contains(t.CleanupPolicy, "delete") }

// LogAppendTime reports whether the broker stamps records with its own time.
func (t *Topic) LogAppendTime() bool { return t.MessageTimestampType == "LogAppendTime" }

// DefaultTopic returns the settings of a topic without overrides on a broker
// with default settings.
func DefaultTopic() Topic { return Values{}.Topic() }

// Topic returns the settings of a topic without overrides on this broker.
func (v Values) Topic() Topic {
	var t Topic
	for _, f := range topicFields {
		f.set(&t, v.topicDefault(f.name))
	}
	return t
}

// ResolveTopic returns the settings of a topic with the given overrides. The
// error joins one [*InvalidError] for each unknown name or bad value and for
// overrides that contradict each other; the Topic then holds the good ones.
func ResolveTopic(overrides map[string]string, broker Values) (Topic, error) {
	t := broker.Topic()
	var errs []error
	for _, name := range slices.Sorted(maps.Keys(overrides)) {
		if err := CheckSetting(TopicScope, name, overrides[name]); err != nil {
			errs = append(errs, err)
			continue
		}
		i, _ := slices.BinarySearchFunc(topicFields, name, func(f topicField, n string) int { return strings.Compare(f.name, n) })
		topicFields[i].set(&t, strings.TrimSpace(overrides[name]))
	}
	if len(errs) == 0 {
		errs = append(errs, t.contradiction())
	}
	return t, errors.Join(errs...)
}

// SegmentSize returns how large a segment gets, in bytes.
func (t *Topic) SegmentSize() int32 {
	if t.InternalSegmentBytes > 0 {
		return t.InternalSegmentBytes
	}
	return t.SegmentBytes
}

// topicDefault returns the text of what a topic setting is without override.
func (v Values) topicDefault(name string) string {
	k, ok := Lookup(TopicScope, name)
	if !ok || k.Broker == "" {
		return k.Default
	}
	from, value, ok := v.firstSet(brokerSynonyms(k.Broker))
	if !ok {
		return k.Default
	}
	return inMillis(from, value)
}

const (
	minuteMs = 60 * 1000
	hourMs   = 60 * minuteMs
)

// inMillis converts the value of a setting in minutes or hours to milliseconds,
// with every negative retention meaning -1, without limit.
func inMillis(name, value string) string {
	unit := int64(1)
	switch {
	case strings.HasSuffix(name, ".hours"):
		unit = hourMs
	case strings.HasSuffix(name, ".minutes"):
		unit = minuteMs
	}
	n, err := strconv.ParseInt(strings.TrimSpace(value), 10, 64)
	switch {
	case err != nil:
		return value
	case n < 0 && strings.HasPrefix(name, "log.retention.") && name != "log.retention.bytes":
		return "-1"
	}
	return strconv.FormatInt(n*unit, 10)
}

// contradiction checks settings against each other.
func (t *Topic) contradiction() error {
	if t.MinCompactionLagMs > t.MaxCompactionLagMs {
		return &InvalidError{
			Key: "min.compaction.lag.ms", Value: strconv.FormatInt(t.MinCompactionLagMs, 10),
			Problem: fmt.Sprintf("conflict topic config setting min.compaction.lag.ms (%d) > max.compaction.lag.ms (%d)",
				t.MinCompactionLagMs, t.MaxCompactionLagMs),
		}
	}
	if !t.RemoteStorageEnable {
		return nil
	}
	if len(t.CleanupPolicy) > 0 && (len(t.CleanupPolicy) > 1 || !t.Deletes()) {
		return &InvalidError{
			Key: "remote.storage.enable", Value: "true",
			Problem: "Remote log storage only supports topics with cleanup.policy=delete or cleanup.policy being an empty list.",
		}
	}
	for _, kept := range []struct {
		local, whole string
		n, of        int64
	}{
		{"local.retention.bytes", "retention.bytes", t.LocalRetentionBytes, t.RetentionBytes},
		{"local.retention.ms", "retention.ms", t.LocalRetentionMs, t.RetentionMs},
	} {
		value := strconv.FormatInt(kept.n, 10)
		problem := localComplaint(kept.n, kept.of, kept.whole)
		if problem != "" {
			problem = invalidValue(kept.local, value, problem)
		} else if t.RemoteLogCopyDisable && kept.n != -2 && kept.n != kept.of {
			problem = fmt.Sprintf("When `remote.log.copy.disable` is set to true, the `%s` and `%s` must be set to the identical value"+
				" because there will be no more logs copied to the remote storage.", kept.local, kept.whole)
		}
		if problem != "" {
			return &InvalidError{Key: kept.local, Value: value, Problem: problem}
		}
	}
	return nil
}

type topicField struct {
	name string
	set  func(*Topic, string)
}

// topicFields is in order of name.
var topicFields = []topicField{
	{"cleanup.policy", list(func(t *Topic) *[]string { return &t.CleanupPolicy })},
	{"compression.gzip.level", int32s(func(t *Topic) *int32 { return &t.CompressionGzipLevel })},
	{"compression.lz4.level", int32s(func(t *Topic) *int32 { return &t.CompressionLz4Level })},
	{"compression.type", text(func(t *Topic) *string { return &t.CompressionType })},
	{"compression.zstd.level", int32s(func(t *Topic) *int32 { return &t.CompressionZstdLevel })},
	{"delete.retention.ms", int64s(func(t *Topic) *int64 { return &t.DeleteRetentionMs })},
	{"errors.deadletterqueue.group.enable", boolean(func(t *Topic) *bool { return &t.ErrorsDeadletterqueueGroupEnable })},
	{"file.delete.delay.ms", int64s(func(t *Topic) *int64 { return &t.FileDeleteDelayMs })},
	{"flush.messages", int64s(func(t *Topic) *int64 { return &t.FlushMessages })},
	{"flush.ms", int64s(func(t *Topic) *int64 { return &t.FlushMs })},
	{"follower.replication.throttled.replicas", list(func(t *Topic) *[]string { return &t.FollowerReplicationThrottledReplicas })},
	{"index.interval.bytes", int32s(func(t *Topic) *int32 { return &t.IndexIntervalBytes })},
	{"internal.segment.bytes", int32s(func(t *Topic) *int32 { return &t.InternalSegmentBytes })},
	{"leader.replication.throttled.replicas", list(func(t *Topic) *[]string { return &t.LeaderReplicationThrottledReplicas })},
	{"local.retention.bytes", int64s(func(t *Topic) *int64 { return &t.LocalRetentionBytes })},
	{"local.retention.ms", int64s(func(t *Topic) *int64 { return &t.LocalRetentionMs })},
	{"max.compaction.lag.ms", int64s(func(t *Topic) *int64 { return &t.MaxCompactionLagMs })},
	{"max.message.bytes", int32s(func(t *Topic) *int32 { return &t.MaxMessageBytes })},
	{"message.timestamp.after.max.ms", int64s(func(t *Topic) *int64 { return &t.MessageTimestampAfterMaxMs })},
	{"message.timestamp.before.max.ms", int64s(func(t *Topic) *int64 { return &t.MessageTimestampBeforeMaxMs })},
	{"message.timestamp.type", text(func(t *Topic) *string { return &t.MessageTimestampType })},
	{"min.cleanable.dirty.ratio", float64s(func(t *Topic) *float64 { return &t.MinCleanableDirtyRatio })},
	{"min.compaction.lag.ms", int64s(func(t *Topic) *int64 { return &t.MinCompactionLagMs })},
	{"min.insync.replicas", int32s(func(t *Topic) *int32 { return &t.MinInsyncReplicas })},
	{"preallocate", boolean(func(t *Topic) *bool { return &t.Preallocate })},
	{"remote.log.copy.disable", boolean(func(t *Topic) *bool { return &t.RemoteLogCopyDisable })},
	{"remote.log.delete.on.disable", boolean(func(t *Topic) *bool { return &t.RemoteLogDeleteOnDisable })},
	{"remote.storage.enable", boolean(func(t *Topic) *bool { return &t.RemoteStorageEnable })},
	{"retention.bytes", int64s(func(t *Topic) *int64 { return &t.RetentionBytes })},
	{"retention.ms", int64s(func(t *Topic) *int64 { return &t.RetentionMs })},
	{"segment.bytes", int32s(func(t *Topic) *int32 { return &t.SegmentBytes })},
	{"segment.index.bytes", int32s(func(t *Topic) *int32 { return &t.SegmentIndexBytes })},
	{"segment.jitter.ms", int64s(func(t *Topic) *int64 { return &t.SegmentJitterMs })},
	{"segment.ms", int64s(func(t *Topic) *int64 { return &t.SegmentMs })},
	{"unclean.leader.election.enable", boolean(func(t *Topic) *bool { return &t.UncleanLeaderElectionEnable })},
}

// The setters below get values that were checked before.

func list(field func(*Topic) *[]string) func(*Topic, string) {
	return func(t *Topic, s string) { *field(t) = splitList(s) }
}

func text(field func(*Topic) *string) func(*Topic, string) {
	return func(t *Topic, s string) { *field(t) = s }
}

func boolean(field func(*Topic) *bool) func(*Topic, string) {
	return func(t *Topic, s string) { *field(t) = strings.EqualFold(s, "true") }
}

func int32s(field func(*Topic) *int32) func(*Topic, string) {
	return func(t *Topic, s string) { *field(t) = parseInt32(s) }
}

// parseInt32 reads the text of an INT setting that was checked before.
func parseInt32(s string) int32 {
	n, _ := strconv.ParseInt(strings.TrimSpace(s), 10, 32)
	return int32(n)
}

func int64s(field func(*Topic) *int64) func(*Topic, string) {
	return func(t *Topic, s string) { *field(t), _ = strconv.ParseInt(s, 10, 64) }
}

func float64s(field func(*Topic) *float64) func(*Topic, string) {
	return func(t *Topic, s string) { *field(t), _ = strconv.ParseFloat(s, 64) }
}
