package config

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
)

// CheckChange refuses broker settings that a running node must not change to: those
// that contradict each other, and those too far from what is in force.
func (v Values) CheckChange(to Values) error {
	if err := to.contradiction(); err != nil {
		return err
	}
	for _, check := range []func(was, is Values) (key, help string){threadsChange, connectionsChange, localRetentionChange} {
		if key, help := check(v, to); key != "" {
			value, _, _ := to.Lookup(key)
			return &InvalidError{Key: key, Value: value, Problem: "Invalid dynamic configuration", Help: help}
		}
	}
	return nil
}

// threadsChange: numbers of threads at most double or halve, which Kafka wants also
// of those that have no effect here.
func threadsChange(was, is Values) (key, help string) {
	for _, name := range []string{
		"log.cleaner.threads", "num.io.threads", "num.network.threads", "num.replica.fetchers",
		"num.recovery.threads.per.data.dir", "background.threads",
	} {
		switch before, after := was.Int32(name), is.Int32(name); {
		case after < before/2:
			return name, fmt.Sprintf("%s should be at least half the current value %d", name, before)
		case int64(after) > int64(before)*2:
			return name, fmt.Sprintf("%s should not be greater than double the current value %d", name, before)
		}
	}
	return "", ""
}

// connectionsChange: a node that takes no connections could not be told otherwise.
func connectionsChange(was, is Values) (key, help string) {
	for _, setting := range listenerLimits {
		if is.Int32(setting) <= 0 && is.Int32(setting) != was.Int32(setting) {
			return setting, setting + " should be at least 1"
		}
		for _, layer := range []map[string]string{is.perBroker, is.clusterDefault} {
			for name, value := range layer {
				if k, ok := listenerSetting(name); ok && k.Name == setting && parseInt32(value) <= 0 {
					return name, name + " should be at least 1"
				}
			}
		}
	}
	return "", ""
}

func localRetentionChange(was, is Values) (key, help string) {
	before, after := was.Topic(), is.Topic()
	if before.RetentionMs == after.RetentionMs && before.LocalRetentionMs == after.LocalRetentionMs &&
		before.RetentionBytes == after.RetentionBytes && before.LocalRetentionBytes == after.LocalRetentionBytes {
		return "", ""
	}
	if problem := localComplaint(after.LocalRetentionMs, after.RetentionMs, "log.retention.ms"); problem != "" {
		return "log.local.retention.ms", problem
	}
	if problem := localComplaint(after.LocalRetentionBytes, after.RetentionBytes, "log.retention.bytes"); problem != "" {
		return "log.local.retention.bytes", problem
	}
	return "", ""
}

// localComplaint: what is kept on local disk is a part of what is kept.
func localComplaint(local, whole int64, wholeName string) string {
	switch {
	case whole < 0 || local == -2:
		return ""
	case local == -1:
		return fmt.Sprintf("Value must not be -1 as %s value is set as %d.", wholeName, whole)
	case local > whole:
		return fmt.Sprintf("Value must not be more than %s property value: %d", wholeName, whole)
	}
	return ""
}

// groupBounds are the settings of groups that brokers put bounds on, in the order in
// which Kafka checks them.
var groupBounds = []string{
	"consumer.heartbeat.interval.ms", "consumer.session.timeout.ms", "consumer.assignment.interval.ms",
	"share.heartbeat.interval.ms", "share.session.timeout.ms", "share.record.lock.duration.ms",
	"share.delivery.count.limit", "share.partition.max.record.locks", "share.assignment.interval.ms",
	"streams.heartbeat.interval.ms", "streams.session.timeout.ms", "streams.num.standby.replicas", "streams.assignment.interval.ms",
}

// boundName returns the broker's setting that is the least ("min") or the most ("max")
// that a group's may be; there is no least number of standby replicas.
func boundName(name, word string) string {
	kind, rest, _ := strings.Cut(name, ".")
	return "group." + kind + "." + word + "." + strings.TrimPrefix(rest, "num.")
}

// groupBound returns the bounds that this broker puts on a group's setting.
func (v Values) groupBound(name string) (low, high int64) {
	low, high = math.MinInt64, math.MaxInt64
	if _, ok := Lookup(BrokerScope, boundName(name, "min")); ok {
		low = v.Int64(boundName(name, "min"))
	}
	if _, ok := Lookup(BrokerScope, boundName(name, "max")); ok {
		high = v.Int64(boundName(name, "max"))
	}
	return low, high
}

// GroupInt32 reads the value of an INT setting of a group. What was set under bounds that
// have changed since is brought within them; ok is false for what is no number.
func (v Values) GroupInt32(name, value string) (n int32, ok bool) {
	parsed, err := strconv.ParseInt(strings.TrimSpace(value), 10, 32)
	if err != nil {
		return 0, false
	}
	low, high := v.groupBound(name)
	return int32(min(max(parsed, low), high)), true //nolint:gosec // the bounds are of type INT, too
}

// CheckGroup validates all the settings that a group would have on this broker. The
// error is an [*InvalidError].
func (v Values) CheckGroup(overrides map[string]string) error {
	names := slices.Sorted(maps.Keys(overrides))
	for _, name := range names {
		if _, ok := Lookup(GroupScope, name); !ok {
			return unknown(GroupScope, name)
		}
	}
	for _, name := range names {
		if err := CheckSetting(GroupScope, name, overrides[name]); err != nil {
			return err
		}
	}
	refused := func(name, relation, other string) error {
		return &InvalidError{Key: name, Value: overrides[name], Problem: name + " must be " + relation + " " + other}
	}
	number := func(name string) int64 {
		k, _ := Lookup(GroupScope, name)
		value, ok := overrides[name]
		if !ok {
			value = v.inherited(k)
		}
		n, _ := strconv.ParseInt(strings.TrimSpace(value), 10, 64)
		return n
	}
	for _, name := range groupBounds {
		if _, ok := overrides[name]; !ok {
			continue
		}
		switch low, high := v.groupBound(name); {
		case number(name) < low:
			return refused(name, notLess, boundName(name, "min"))
		case number(name) > high:
			return refused(name, notGreater, boundName(name, "max"))
		}
	}
	for _, kind := range []string{"consumer", "share", "streams"} {
		session, heartbeat := kind+".session.timeout.ms", kind+".heartbeat.interval.ms"
		if number(session) <= number(heartbeat) {
			return refused(session, "greater than", heartbeat)
		}
	}
	return nil
}
