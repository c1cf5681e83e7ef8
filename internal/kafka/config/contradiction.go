package config

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// rule is what settings of a broker owe each other. complaint returns what is wrong
// in Kafka's words, or "".
type rule struct {
	key       string // the setting that the complaint is about
	complaint func(v Values) string
}

// contradiction returns the first rule that the settings break as an
// [*InvalidError], nil if they go together. Kafka refuses the same ones, at the
// start and when settings change while it runs, with the same words.
func (v Values) contradiction() error {
	for _, r := range rules {
		if problem := r.complaint(v); problem != "" {
			value, _, _ := v.Lookup(r.key)
			return &InvalidError{Key: r.key, Value: value, Problem: problem}
		}
	}
	return nil
}

var rules = slices.Concat(kindRules("consumer"), kindRules("share"), kindRules("streams"), shareRules, serverRules)

// The relations of [pair].
const (
	notLess    = "greater than or equal to"
	notGreater = "less than or equal to"
	less       = "less than"
)

// pair is the rule that a numeric setting stands in a relation to another.
func pair(key, relation, other string) rule {
	return rule{key, func(v Values) string {
		a, b := v.Int64(key), v.Int64(other)
		if relation == notLess && a >= b || relation == notGreater && a <= b || relation == less && a < b {
			return ""
		}
		return key + " must be " + relation + " " + other
	}}
}

// kindRules are the rules about the groups of one kind, in Kafka's order.
func kindRules(kind string) []rule {
	prefix := "group." + kind + "."
	var out []rule
	bounded := func(setting string) {
		low, high := prefix+"min."+setting, prefix+"max."+setting
		out = append(out, pair(high, notLess, low), pair(prefix+setting, notLess, low), pair(prefix+setting, notGreater, high))
	}
	bounded("heartbeat.interval.ms")
	bounded("session.timeout.ms")
	out = append(out, pair(prefix+"heartbeat.interval.ms", less, prefix+"session.timeout.ms"))
	if kind == "share" {
		out = append(out, rule{"group.share.assignors", func(v Values) string {
			if n := len(v.List("group.share.assignors")); n != 1 {
				return fmt.Sprintf("group.share.assignors must contain exactly one assignor, but found %d", n)
			}
			return ""
		}})
	}
	bounded("assignment.interval.ms")
	if kind == "streams" {
		out = append(out, pair(prefix+"num.standby.replicas", notGreater, prefix+"max.standby.replicas"))
	}
	return out
}

var shareRules = []rule{
	pair("group.share.max.delivery.count.limit", notLess, "group.share.delivery.count.limit"),
	pair("group.share.delivery.count.limit", notLess, "group.share.min.delivery.count.limit"),
	pair("group.share.max.partition.max.record.locks", notLess, "group.share.partition.max.record.locks"),
	pair("group.share.partition.max.record.locks", notLess, "group.share.min.partition.max.record.locks"),
	pair("group.share.record.lock.duration.ms", notLess, "group.share.min.record.lock.duration.ms"),
	pair("group.share.max.record.lock.duration.ms", notLess, "group.share.record.lock.duration.ms"),
	pair("group.share.max.share.sessions", notLess, "group.share.max.size"),
}

// unless returns "" where the settings are right. The words in front are those of
// Kafka's answer, too.
func unless(right bool, format string, args ...any) string {
	if right {
		return ""
	}
	return "requirement failed: " + fmt.Sprintf(format, args...)
}

var serverRules = []rule{
	{"group.coordinator.rebalance.protocols", func(v Values) string {
		if slices.Contains(v.List("group.coordinator.rebalance.protocols"), "classic") {
			return ""
		}
		return "Disabling the 'classic' protocol is not supported."
	}},
	{"node.id", func(v Values) string {
		if !v.IsSet("node.id") || !v.IsSet("broker.id") || v.Int32("node.id") == v.Int32("broker.id") {
			return ""
		}
		return "You must set `node.id` to the same value as `broker.id`."
	}},
	{"log.roll.ms", func(v Values) string {
		return unless(v.Topic().SegmentMs >= 1, "log.roll.ms must be greater than or equal to 1")
	}},
	{"log.roll.jitter.ms", func(v Values) string {
		return unless(v.Topic().SegmentJitterMs >= 0, "log.roll.jitter.ms must be greater than or equal to 0")
	}},
	{"log.retention.ms", func(v Values) string {
		return unless(v.Topic().RetentionMs != 0, "log.retention.ms must be unlimited (-1) or, greater than or equal to 1")
	}},
	{"log.cleaner.threads", func(v Values) string {
		if v.Int32("log.cleaner.threads") < 1 {
			return "Log cleaner threads should be at least 1"
		}
		return ""
	}},
	{"log.cleaner.dedupe.buffer.size", func(v Values) string {
		share := v.Int64("log.cleaner.dedupe.buffer.size") / max(v.Int64("log.cleaner.threads"), 1)
		return unless(share > 1<<20, "log.cleaner.dedupe.buffer.size must be at least 1MB per cleaner thread.")
	}},
	{"replica.socket.timeout.ms", func(v Values) string {
		return unless(v.Int64("replica.fetch.wait.max.ms") <= v.Int64("replica.socket.timeout.ms"),
			"replica.socket.timeout.ms should always be at least replica.fetch.wait.max.ms to prevent unnecessary socket timeouts")
	}},
	{"replica.fetch.wait.max.ms", func(v Values) string {
		return unless(v.Int64("replica.fetch.wait.max.ms") <= v.Int64("replica.lag.time.max.ms"),
			"replica.fetch.wait.max.ms should always be less than or equal to replica.lag.time.max.ms to prevent frequent changes in ISR")
	}},
	{"controller.quorum.voters", voterComplaint},
	{"inter.broker.listener.name", interBrokerComplaint},
	{"advertised.listeners", advertisedComplaint},
	{"cordoned.log.dirs", cordonComplaint},
	{"queued.max.request.bytes", func(v Values) string {
		n := v.Int64("queued.max.request.bytes")
		return unless(n <= 0 || n >= v.Int64("socket.request.max.bytes"), "queued.max.request.bytes must be larger or equal to socket.request.max.bytes")
	}},
	{"max.connections.per.ip.overrides", overridesComplaint},
	{"connection.failed.authentication.delay.ms", func(v Values) string {
		delay, idle := v.Int64("connection.failed.authentication.delay.ms"), v.Int64("connections.max.idle.ms")
		return unless(idle < 0 || delay < idle, "connection.failed.authentication.delay.ms=%d should always be less than"+
			" connections.max.idle.ms=%d to prevent failed authentication responses from timing out", delay, idle)
	}},
}

// voterComplaint: a controller that is no voter of the quorum it names would be one
// of its own.
func voterComplaint(v Values) string {
	voters, roles := v.List("controller.quorum.voters"), v.List("process.roles")
	if len(voters) == 0 || len(roles) > 0 && !slices.Contains(roles, "controller") {
		return ""
	}
	node, ok := "", false
	for _, name := range []string{"node.id", "broker.id"} {
		if !ok && v.IsSet(name) {
			node, _, ok = v.Lookup(name)
		}
	}
	var ids []string
	for _, voter := range voters {
		id, _, _ := strings.Cut(voter, "@")
		ids = append(ids, id)
	}
	return unless(!ok || slices.Contains(ids, strings.TrimSpace(node)),
		"If process.roles contains the 'controller' role, the node id %s must be included in the set of voters controller.quorum.voters=Set(%s)",
		node, strings.Join(ids, ", "))
}

// ListenerNames returns the names of the listeners in the setting listeners or
// advertised.listeners, those of the controllers left out.
func (v Values) ListenerNames(setting string) []string {
	controllers := v.List("controller.listener.names")
	var out []string
	for _, text := range v.List(setting) {
		if name, _, _ := strings.Cut(text, "://"); !slices.Contains(controllers, name) {
			out = append(out, name)
		}
	}
	return out
}

// hasName looks for the name of a listener; letter case does not matter.
func hasName(names []string, name string) bool {
	return slices.ContainsFunc(names, func(n string) bool { return strings.EqualFold(n, name) })
}

// InterBrokerListener returns the name of the listener that brokers use among themselves.
func (v Values) InterBrokerListener() string {
	if name := v.String("inter.broker.listener.name"); name != "" {
		return name
	}
	return v.String("security.inter.broker.protocol")
}

func interBrokerComplaint(v Values) string {
	if !v.IsSet("inter.broker.listener.name") {
		return ""
	}
	if v.IsSet("security.inter.broker.protocol") {
		return "Only one of inter.broker.listener.name and security.inter.broker.protocol should be set."
	}
	advertised := v.ListenerNames("advertised.listeners")
	if len(advertised) == 0 {
		advertised = v.ListenerNames("listeners")
	}
	return unless(hasName(advertised, v.String("inter.broker.listener.name")),
		"inter.broker.listener.name must be a listener name defined in advertised.listeners. The valid options based on currently configured listeners are %s",
		strings.Join(advertised, ","))
}

func advertisedComplaint(v Values) string {
	advertised, listeners := v.ListenerNames("advertised.listeners"), v.ListenerNames("listeners")
	for _, name := range advertised {
		if !hasName(listeners, name) {
			return unless(false, "advertised.listeners listener names must be equal to or a subset of the ones defined in listeners. "+
				"Found %s. The valid options based on the current configuration are %s", strings.Join(advertised, ","), strings.Join(listeners, ","))
		}
	}
	for _, text := range v.List("advertised.listeners") {
		if _, address, _ := strings.Cut(text, "://"); strings.HasPrefix(address, "0.0.0.0:") {
			return unless(false, "advertised.listeners cannot use the nonroutable meta-address 0.0.0.0. Use a routable IP address.")
		}
	}
	return ""
}

func cordonComplaint(v Values) string {
	cordoned, dirs := v.List("cordoned.log.dirs"), v.LogDirs()
	if slices.Contains(cordoned, "*") {
		return unless(len(cordoned) == 1, "When cordoned.log.dirs is set to *, it must not contain other values")
	}
	unknown := slices.DeleteFunc(slices.Clone(cordoned), func(dir string) bool { return slices.Contains(dirs, dir) })
	return unless(len(unknown) == 0, "All entries in cordoned.log.dirs must be present in log.dirs or log.dir. Missing entries : %s", strings.Join(unknown, ", "))
}

// LogDirs returns the log directories: log.dirs, or log.dir if that is not set.
func (v Values) LogDirs() []string {
	if dirs := v.List("log.dirs"); len(dirs) > 0 {
		return dirs
	}
	return v.List("log.dir")
}

func overridesComplaint(v Values) string {
	const name = "max.connections.per.ip.overrides"
	overrides, err := v.ConnectionOverrides()
	if err != nil {
		return fmt.Sprintf("Error parsing configuration property '%s': %v", name, err)
	}
	if v.Int32("max.connections.per.ip") == 0 && len(overrides) == 0 {
		return unless(false, "max.connections.per.ip can be set to zero only if %s property is set.", name)
	}
	var bad []string
	for host := range overrides {
		if !hostPattern.MatchString(host) {
			bad = append(bad, host)
		}
	}
	if len(bad) > 0 {
		slices.Sort(bad)
		return name + " contains invalid addresses : " + strings.Join(bad, ",")
	}
	return ""
}

// hostPattern matches names and addresses of hosts, as Kafka tells them from others.
var hostPattern = regexp.MustCompile(`\A[0-9a-zA-Z\-%._:]*\z`)

// ConnectionOverrides reads max.connections.per.ip.overrides: the limit of each host,
// which is a name or an address.
func (v Values) ConnectionOverrides() (map[string]int, error) {
	out := map[string]int{}
	for _, item := range splitList(v.String("max.connections.per.ip.overrides")) {
		colon := strings.LastIndexByte(item, ':')
		if colon < 0 {
			return nil, fmt.Errorf("%q is not of the form host:count", item)
		}
		count, err := strconv.ParseInt(strings.TrimSpace(item[colon+1:]), 10, 32)
		if err != nil {
			return nil, fmt.Errorf("the count of %q is not a number", item)
		}
		out[strings.TrimSpace(item[:colon])] = int(count)
	}
	return out, nil
}

// OfStatus returns the settings of server.properties that are of the status, in order of name.
func (v Values) OfStatus(status Status) (out []*Key) {
	for _, name := range slices.Sorted(maps.Keys(v.static)) {
		if k, ok := Lookup(BrokerScope, name); ok && k.Status == status {
			out = append(out, k)
		}
	}
	return out
}

// Doubts returns a warning for what Kafka complains of in its log only.
func (v Values) Doubts() []string {
	var out []string
	heartbeat, session := v.Int64("broker.heartbeat.interval.ms"), v.Int64("broker.session.timeout.ms")
	if heartbeat*2 > session {
		out = append(out, fmt.Sprintf("broker.heartbeat.interval.ms (%d ms) must be less than or equal to half of the broker.session.timeout.ms (%d ms)", heartbeat, session))
	}
	return out
}
