package config

import "strings"

// aliases are wrong names that people write, from documents in circulation and
// from other settings' spelling, and what they mean.
var aliases = map[string]string{
	"bootstrap.server":              "controller.quorum.bootstrap.servers",
	"bootstrap.servers":             "controller.quorum.bootstrap.servers",
	"min.insync.replica":            "min.insync.replicas",
	"min.in.sync.replicas":          "min.insync.replicas",
	"log.retention.time.ms":         "log.retention.ms",
	"log.directory":                 "log.dirs",
	"data.dir":                      "log.dirs",
	"listener":                      "listeners",
	"advertised.listener":           "advertised.listeners",
	"advertised.host.name":          "advertised.listeners",
	"host.name":                     "listeners",
	"port":                          "listeners",
	"default.partitions":            "num.partitions",
	"auto.create.topics":            "auto.create.topics.enable",
	"delete.topics.enable":          "delete.topic.enable",
	"max.message.bytes":             "message.max.bytes",
	"max.request.size":              "message.max.bytes",
	"segment.bytes":                 "log.segment.bytes",
	"segment.ms":                    "log.roll.ms",
	"retention.ms":                  "log.retention.ms",
	"retention.bytes":               "log.retention.bytes",
	"cleanup.policy":                "log.cleanup.policy",
	"flush.messages":                "log.flush.interval.messages",
	"flush.ms":                      "log.flush.interval.ms",
	"message.timestamp.type":        "log.message.timestamp.type",
	"naru.sync":                     "naru.durability",
	"durability":                    "naru.durability",
	"max.inflight.requests":         "naru.max.inflight.requests.per.connection",
	"max.in.flight.requests":        "naru.max.inflight.requests.per.connection",
	"zookeeper.connect":             "controller.quorum.voters",
	"replication.factor":            "default.replication.factor",
	"broker.id.generation.enable":   "node.id",
	"inter.broker.protocol.version": "",
	"log.message.format.version":    "",
}

var topicAliases = map[string]string{
	"min.insync.replica":   "min.insync.replicas",
	"min.in.sync.replicas": "min.insync.replicas",
	"message.max.bytes":    "max.message.bytes",
	"max.request.size":     "max.message.bytes",
	"log.retention.hours":  "retention.ms",
	"retention.hours":      "retention.ms",
	"retention.minutes":    "retention.ms",
	"log.cleanup.policy":   "cleanup.policy",
	"naru.durability":      "flush.messages",
}

// valueAliases are wrong values that people write.
var valueAliases = map[string]string{
	"liz4": "lz4", "none": "uncompressed", "zip": "gzip", "gz": "gzip", "compaction": "compact", "compacted": "compact",
	"appendtime": "LogAppendTime", "create": "CreateTime", "yes": "true", "on": "true", "no": "false", "off": "false",
	"fsync": "group", "sync": "group",
}

// Suggest returns the setting of the scope whose name is nearest to a wrong one,
// or "" if none is near.
func Suggest(scope Scope, name string) string {
	lower := strings.ToLower(strings.ReplaceAll(strings.TrimSpace(name), "_", "."))
	if _, ok := Lookup(scope, lower); ok {
		return lower
	}
	known := aliases
	if scope == TopicScope {
		known = topicAliases
	}
	if right, ok := known[lower]; ok {
		return right
	}
	if scope == TopicScope {
		if topic := topicSettingOf(lower); topic != "" {
			return topic
		}
	}
	names := make([]string, 0, len(table[scope]))
	for _, k := range table[scope] {
		names = append(names, k.Name)
	}
	return Nearest(lower, names)
}

// topicSettingOf returns the topic setting that a broker setting supplies the
// default of.
func topicSettingOf(broker string) string {
	for _, k := range table[TopicScope] {
		if k.Broker == broker {
			return k.Name
		}
	}
	return ""
}

// nearestValue returns the allowed value nearest to a wrong one, or "".
func (k *Key) nearestValue(value string) string {
	choices := k.choices()
	if len(choices) == 0 {
		return ""
	}
	lower := strings.ToLower(strings.TrimSpace(value))
	for _, c := range choices {
		if strings.ToLower(c) == lower || valueAliases[lower] == c {
			return c
		}
	}
	return Nearest(value, choices)
}

func (k *Key) choices() []string {
	if k.Type == Boolean {
		return []string{"true", "false"}
	}
	if k.Type == Int || k.Type == Long || k.Type == Short || k.Type == Double || k.Valid.check == nil {
		return nil
	}
	var out []string
	allowed := strings.TrimPrefix(strings.TrimPrefix(k.Valid.allowed, "a list of "), "one or more of ")
	for _, c := range strings.Split(allowed, ", ") {
		if !strings.Contains(c, " ") {
			out = append(out, c)
		}
	}
	return out
}

// Nearest returns the candidate with the smallest edit distance to word, where a
// distance over a third of the word's length is not near; "" if there is none.
func Nearest(word string, candidates []string) string {
	best, bestDistance := "", max(1, len(word)/3)+1
	for _, c := range candidates {
		if d := distance(word, c, bestDistance); d < bestDistance {
			best, bestDistance = c, d
		}
	}
	return best
}

// distance is the number of insertions, deletions, replacements and swaps of
// neighbours between a and b, or limit if it is at least that.
func distance(a, b string, limit int) int {
	if len(a)-len(b) >= limit || len(b)-len(a) >= limit {
		return limit
	}
	before, last, row := make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range last {
		last[j] = j
	}
	for i := 1; i <= len(a); i++ {
		row[0] = i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			row[j] = min(last[j]+1, row[j-1]+1, last[j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], before[j-2]+1)
			}
		}
		before, last, row = last, row, before
	}
	return min(last[len(b)], limit)
}
