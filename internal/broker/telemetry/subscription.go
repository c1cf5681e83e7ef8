package telemetry

import (
	"fmt"
	"hash/crc32"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/naru-stream/naru/internal/kafka/config"
	"github.com/naru-stream/naru/internal/kafka/wire"
)

// DefaultIntervalMs is the push interval of a client no subscription selects, and
// the longest that subscriptions without a longer one of their own ask for.
const DefaultIntervalMs = 5 * 60 * 1000

// all asks for every metric.
const all = "*"

// Subscription is what some clients are asked to push.
type Subscription struct {
	intervalMs int32
	metrics    []string
	match      map[string]*regexp.Regexp
}

// NewSubscription reads the settings of a CLIENT_METRICS resource. They were checked
// when they were written; what a later version wrote and this one cannot read is an
// error.
func NewSubscription(settings map[string]string) (*Subscription, error) {
	s := &Subscription{intervalMs: DefaultIntervalMs}
	for _, name := range slices.Sorted(maps.Keys(settings)) {
		value := settings[name]
		if err := config.CheckSetting(config.ClientMetricsScope, name, value); err != nil {
			return nil, err
		}
		switch name {
		case "interval.ms":
			n, err := strconv.ParseInt(strings.TrimSpace(value), 10, 32)
			if err != nil {
				return nil, fmt.Errorf("reading interval.ms: %w", err)
			}
			s.intervalMs = int32(n)
		case "metrics":
			for _, prefix := range strings.Split(value, ",") {
				if prefix = strings.TrimSpace(prefix); prefix != "" {
					s.metrics = append(s.metrics, prefix)
				}
			}
		case "match":
			match, err := config.ParseMatch(value)
			if err != nil {
				return nil, err
			}
			s.match = match
		}
	}
	return s, nil
}

// Client is who asks or pushes: what subscriptions can select by.
type Client struct {
	Connection                uint64
	ID                        string // nil client ids count as empty
	Software, Version         string // from ApiVersions, empty if unknown
	SourceAddress, SourcePort string
}

// attribute returns the value that a subscription's expression is held against; an
// attribute that is not known matches none.
func (c *Client) attribute(name string, instance wire.UUID) (value string, known bool) {
	switch name {
	case "client_instance_id":
		return instance.String(), true
	case "client_id":
		return c.ID, true
	case "client_software_name":
		return c.Software, c.Software != ""
	case "client_software_version":
		return c.Version, c.Version != ""
	case "client_source_address":
		return c.SourceAddress, c.SourceAddress != ""
	case "client_source_port":
		return c.SourcePort, c.SourcePort != ""
	}
	return "", false
}

func (s *Subscription) selects(c *Client, instance wire.UUID) bool {
	for name, expression := range s.match {
		if value, known := c.attribute(name, instance); !known || !expression.MatchString(value) {
			return false
		}
	}
	return true
}

// wanted is what one client instance is asked for: the union of the subscriptions
// that select it, at the shortest of their intervals.
type wanted struct {
	id         int32
	intervalMs int32
	metrics    []string // sorted; * alone is all
}

func want(subscriptions map[string]*Subscription, c *Client, instance wire.UUID) wanted {
	w := wanted{intervalMs: DefaultIntervalMs}
	for _, s := range subscriptions {
		if s.selects(c, instance) {
			w.metrics = append(w.metrics, s.metrics...)
			w.intervalMs = min(w.intervalMs, s.intervalMs)
		}
	}
	if slices.Contains(w.metrics, all) {
		w.metrics = []string{all}
	}
	slices.Sort(w.metrics)
	w.metrics = slices.Compact(w.metrics)
	w.id = subscriptionID(w.metrics, w.intervalMs, instance)
	return w
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// subscriptionID names a set of subscriptions for one client: whenever what is wanted
// of the client changes, so does the id.
func subscriptionID(metrics []string, intervalMs int32, instance wire.UUID) int32 {
	text := "[" + strings.Join(metrics, ", ") + "]" + strconv.Itoa(int(intervalMs))
	id := crc32.Checksum([]byte(text), castagnoli)
	for i, b := range instance {
		id ^= uint32(b) << (8 * (3 - i%4))
	}
	return int32(id)
}
