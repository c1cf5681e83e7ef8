package controller

import (
	"cmp"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/naru-stream/naru/internal/kafka/config"
	"github.com/naru-stream/naru/internal/kafka/metarecord"
	"github.com/naru-stream/naru/internal/kafka/protocol"
	"github.com/naru-stream/naru/internal/quorum/metadata"
)

// The operations of IncrementalAlterConfigs, with Kafka's numbers (KIP-339).
const (
	opSet      int8 = 0
	opDelete   int8 = 1
	opAppend   int8 = 2
	opSubtract int8 = 3
)

// The settings that elections depend on.
const (
	minISRSetting  = "min.insync.replicas"
	uncleanSetting = "unclean.leader.election.enable"
)

func sortedKeys[K cmp.Ordered, V any](m map[K]V) []K { return slices.Sorted(maps.Keys(m)) }

func configRecord(resource metadata.ConfigResource, name, value string) *metarecord.ConfigRecord {
	return &metarecord.ConfigRecord{ResourceType: resource.Type, ResourceName: resource.Name, Name: name, Value: &value}
}

// clusterSettings returns the controller's settings under the cluster-wide
// dynamic ones.
func (c *Core) clusterSettings() config.Values {
	stored := c.image().Config(metadata.ConfigResource{Type: metadata.ResourceBroker})
	// A stored value that a later version no longer allows counts as unset.
	settings, _ := c.cfg.Settings.WithDynamic(nil, stored.Map())
	return settings
}

// minInsyncReplicas returns a topic's setting, not capped by its replica count.
func (c *Core) minInsyncReplicas(topic string) int {
	text, ok := c.image().Config(metadata.TopicResource(topic)).Get(minISRSetting)
	if !ok {
		text, ok = c.image().Config(metadata.ConfigResource{Type: metadata.ResourceBroker}).Get(minISRSetting)
	}
	if ok {
		if n, err := strconv.Atoi(strings.TrimSpace(text)); err == nil {
			return n
		}
	}
	return int(c.cfg.Settings.Int32(minISRSetting))
}

func (c *Core) uncleanElection(topic string) bool {
	text, ok := c.image().Config(metadata.TopicResource(topic)).Get(uncleanSetting)
	if !ok {
		text, ok = c.image().Config(metadata.ConfigResource{Type: metadata.ResourceBroker}).Get(uncleanSetting)
	}
	if ok {
		return strings.EqualFold(strings.TrimSpace(text), "true")
	}
	return c.cfg.Settings.Bool(uncleanSetting)
}

// scopeOf returns where the settings of a resource are described.
func scopeOf(resourceType int8) (scope config.Scope, ok bool) {
	switch resourceType {
	case metadata.ResourceTopic:
		return config.TopicScope, true
	case metadata.ResourceBroker:
		return config.BrokerScope, true
	case metadata.ResourceClientMetrics:
		return config.ClientMetricsScope, true
	case metadata.ResourceGroup:
		return config.GroupScope, true
	}
	return 0, false
}

// checkConfig validates all the settings that a resource would have.
func (c *Core) checkConfig(resource metadata.ConfigResource, settings map[string]string) *failure {
	if _, ok := scopeOf(resource.Type); !ok {
		return invalid("Unknown resource type %d", resource.Type)
	}
	if resource.Type == metadata.ResourceTopic {
		cluster := c.clusterSettings()
		topic, err := config.ResolveTopic(settings, cluster)
		if err != nil {
			return fail(protocol.InvalidConfig, "%v", err)
		}
		if topic.RemoteStorageEnable && !cluster.Bool("remote.log.storage.system.enable") {
			return fail(protocol.InvalidConfig, "Tiered Storage functionality is disabled in the broker. Topic cannot be configured with remote log storage.")
		}
		return nil
	}
	if resource.Type == metadata.ResourceGroup {
		return refusal(protocol.InvalidConfig, c.clusterSettings().CheckGroup(settings))
	}
	for _, name := range sortedKeys(settings) {
		var f *failure
		if value := settings[name]; resource.Type == metadata.ResourceBroker {
			f = refusal(protocol.InvalidRequest, config.CheckDynamic(name, value, resource.Name != ""))
		} else {
			f = checkClientMetrics(name, value)
		}
		if f != nil {
			return f
		}
	}
	if resource.Type == metadata.ResourceBroker {
		return c.checkTogether(resource.Name, settings)
	}
	return nil
}

// checkTogether holds the settings that a broker, or every broker, would have against
// each other and against those in force.
func (c *Core) checkTogether(broker string, settings map[string]string) *failure {
	forAll := broker == ""
	if forAll {
		broker = strconv.Itoa(int(c.cfg.NodeID))
	}
	own := c.image().Config(metadata.ConfigResource{Type: metadata.ResourceBroker, Name: broker}).Map()
	all := c.image().Config(metadata.ConfigResource{Type: metadata.ResourceBroker}).Map()
	was, _ := c.cfg.Settings.WithDynamic(own, all)
	if forAll {
		all = settings
	} else {
		own = settings
	}
	is, _ := c.cfg.Settings.WithDynamic(own, all)
	return refusal(protocol.InvalidRequest, was.CheckChange(is))
}

// checkClientMetrics validates a setting of a client metrics subscription. Kafka's code
// depends on who notices: INVALID_REQUEST is for names and for the bounds of the
// interval, INVALID_CONFIG for values that cannot be read.
func checkClientMetrics(name, value string) *failure {
	if _, ok := config.Lookup(config.ClientMetricsScope, name); !ok {
		return invalid("Unknown client metrics configuration: %s", name)
	}
	code := protocol.InvalidConfig
	if _, err := strconv.ParseInt(strings.TrimSpace(value), 10, 32); name == "interval.ms" && err == nil {
		code = protocol.InvalidRequest
	}
	return refusal(code, config.CheckSetting(config.ClientMetricsScope, name, value))
}

func refusal(code protocol.ErrorCode, err error) *failure {
	if err == nil {
		return nil
	}
	return fail(code, "%v", err)
}

// checkResource refuses a resource that cannot have settings.
func (c *Core) checkResource(resource metadata.ConfigResource) *failure {
	switch resource.Type {
	case metadata.ResourceTopic:
		if resource.Name == "" {
			return invalid("Default topic resources are not allowed.")
		}
		if f := checkTopicName(resource.Name); f != nil {
			return f
		}
		if c.image().Topic(resource.Name) == nil {
			return fail(protocol.UnknownTopicOrPartition, "The topic '%s' does not exist.", resource.Name)
		}
	case metadata.ResourceBroker:
		return c.checkBrokerResource(resource.Name)
	case metadata.ResourceClientMetrics:
		if resource.Name == "" {
			return invalid("Subscription name can't be empty")
		}
	case metadata.ResourceGroup:
		if resource.Name == "" {
			return invalid("Default group resources are not allowed.")
		}
	default:
		return invalid("Unknown resource type %d", resource.Type)
	}
	return nil
}

func (c *Core) checkBrokerResource(name string) *failure {
	if name == "" {
		return nil
	}
	id, err := strconv.ParseInt(name, 10, 32)
	switch {
	case err != nil:
		return invalid("Node id must be an integer, but it is: %s", name)
	case id < 0:
		return invalid("Invalid negative broker ID.")
	case c.image().Broker(int32(id)) == nil:
		return fail(protocol.BrokerIdNotRegistered, "No node with id %d found.", id)
	}
	return nil
}

// incrementalAlterConfigs changes single settings of resources (KIP-339).
func (c *Core) incrementalAlterConfigs(r *protocol.IncrementalAlterConfigsRequest) *protocol.IncrementalAlterConfigsResponse {
	resp := &protocol.IncrementalAlterConfigsResponse{}
	seen := map[metadata.ConfigResource]int{}
	for _, res := range r.Resources {
		seen[metadata.ConfigResource{Type: res.ResourceType, Name: res.ResourceName}]++
	}
	for _, res := range r.Resources {
		resource := metadata.ConfigResource{Type: res.ResourceType, Name: res.ResourceName}
		var f *failure
		switch seen[resource] {
		case 0:
			continue
		case 1:
			f = c.alterIncrementally(resource, res.Configs, r.ValidateOnly)
		default:
			f = invalid("Each resource must appear at most once.")
		}
		seen[resource] = 0
		resp.Responses = append(resp.Responses, protocol.IncrementalAlterConfigsResponseAlterConfigsResourceResponse{
			ErrorCode: f.codeOrNone(), ErrorMessage: f.text(), ResourceType: resource.Type, ResourceName: resource.Name,
		})
	}
	return resp
}

func (c *Core) alterIncrementally(
	resource metadata.ConfigResource, ops []protocol.IncrementalAlterConfigsRequestAlterableConfig, validateOnly bool,
) *failure {
	if f := checkOps(ops); f != nil {
		return f
	}
	if f := c.checkResource(resource); f != nil {
		return f
	}
	want := c.image().Config(resource).Map()
	named := map[string]bool{}
	for _, op := range ops {
		named[op.Name] = true
		value, keep, f := c.operate(resource, want, op)
		if f != nil {
			return f
		}
		if keep {
			want[op.Name] = value
		} else {
			delete(want, op.Name)
		}
	}
	return c.storeConfig(resource, want, named, validateOnly)
}

func checkOps(ops []protocol.IncrementalAlterConfigsRequestAlterableConfig) *failure {
	seen := map[string]bool{}
	var null []string
	for _, op := range ops {
		if seen[op.Name] {
			return invalid("Error due to duplicate config keys")
		}
		seen[op.Name] = true
		if op.Value == nil && op.ConfigOperation != opDelete {
			null = append(null, op.Name)
		}
		if op.ConfigOperation < opSet || op.ConfigOperation > opSubtract {
			return invalid("Unknown config operation %d for %s; known are SET (0), DELETE (1), APPEND (2) and SUBTRACT (3)", op.ConfigOperation, op.Name)
		}
	}
	if len(null) > 0 {
		return invalid("Null value not supported for : %s", strings.Join(null, ","))
	}
	return nil
}

// operate returns what one operation makes of a setting, keep false for none.
func (c *Core) operate(
	resource metadata.ConfigResource, have map[string]string, op protocol.IncrementalAlterConfigsRequestAlterableConfig,
) (value string, keep bool, f *failure) {
	switch op.ConfigOperation {
	case opDelete:
		return "", false, nil
	case opSet:
		return *op.Value, true, nil
	}
	scope, _ := scopeOf(resource.Type)
	key, ok := config.Lookup(scope, op.Name)
	if !ok {
		return "", false, fail(protocol.InvalidConfig, "%v", config.CheckSetting(scope, op.Name, *op.Value))
	}
	current, ok := have[op.Name]
	if !ok {
		current = c.inherited(scope, op.Name)
	}
	var err error
	if op.ConfigOperation == opAppend {
		value, err = key.AppendList(current, *op.Value)
	} else {
		value, err = key.SubtractList(current, *op.Value)
	}
	if err != nil {
		return "", false, fail(protocol.InvalidConfig, "%v", err)
	}
	return value, true, nil
}

// inherited returns the text of a setting that a resource does not override.
func (c *Core) inherited(scope config.Scope, name string) string {
	settings := c.clusterSettings()
	var entries []config.Entry
	switch scope {
	case config.TopicScope:
		entries = settings.DescribeTopic(nil, []string{name})
	case config.GroupScope:
		entries = settings.DescribeGroup(nil, []string{name})
	case config.ClientMetricsScope:
		entries = settings.DescribeClientMetrics(nil, []string{name})
	default:
		value, _, _ := settings.Lookup(name)
		return value
	}
	if len(entries) == 0 {
		return ""
	}
	return entries[0].Value
}

// alterConfigs replaces all settings of resources, the older form of the
// request.
func (c *Core) alterConfigs(r *protocol.AlterConfigsRequest) *protocol.AlterConfigsResponse {
	resp := &protocol.AlterConfigsResponse{}
	seen := map[metadata.ConfigResource]int{}
	for _, res := range r.Resources {
		seen[metadata.ConfigResource{Type: res.ResourceType, Name: res.ResourceName}]++
	}
	for _, res := range r.Resources {
		resource := metadata.ConfigResource{Type: res.ResourceType, Name: res.ResourceName}
		var f *failure
		switch seen[resource] {
		case 0:
			continue
		case 1:
			f = c.replaceConfig(resource, res.Configs, r.ValidateOnly)
		default:
			f = invalid("Each resource must appear at most once.")
		}
		seen[resource] = 0
		resp.Responses = append(resp.Responses, protocol.AlterConfigsResponseAlterConfigsResourceResponse{
			ErrorCode: f.codeOrNone(), ErrorMessage: f.text(), ResourceType: resource.Type, ResourceName: resource.Name,
		})
	}
	return resp
}

func (c *Core) replaceConfig(resource metadata.ConfigResource, configs []protocol.AlterConfigsRequestAlterableConfig, validateOnly bool) *failure {
	want, named := map[string]string{}, map[string]bool{}
	var null []string
	for _, setting := range configs {
		if named[setting.Name] {
			return invalid("Error due to duplicate config keys")
		}
		named[setting.Name] = true
		if setting.Value == nil {
			null = append(null, setting.Name)
			continue
		}
		want[setting.Name] = *setting.Value
	}
	if len(null) > 0 {
		return invalid("Null value not supported for : %s", strings.Join(null, ","))
	}
	if f := c.checkResource(resource); f != nil {
		return f
	}
	return c.storeConfig(resource, want, named, validateOnly)
}

// storeConfig checks the settings that a resource is to have and writes the
// differences. Settings of brokers that the request named are written even if
// unchanged, so that the broker loads again what a setting names, such as a key
// store (KAFKA-14136).
func (c *Core) storeConfig(resource metadata.ConfigResource, want map[string]string, named map[string]bool, validateOnly bool) *failure {
	if f := c.checkMinISR(resource, want); f != nil {
		return f
	}
	if f := c.checkConfig(resource, want); f != nil {
		return f
	}
	if validateOnly {
		return nil
	}
	stored := c.image().Config(resource)
	var records []metadata.Record
	for _, name := range sortedKeys(want) {
		if old, ok := stored.Get(name); !ok || old != want[name] || named[name] && resource.Type == metadata.ResourceBroker {
			records = append(records, configRecord(resource, name, want[name]))
		}
	}
	for name := range stored.All() {
		if _, ok := want[name]; !ok {
			records = append(records, &metarecord.ConfigRecord{ResourceType: resource.Type, ResourceName: resource.Name, Name: name})
		}
	}
	records = append(records, c.elrReset(resource, stored, want)...)
	c.write(records...)
	if old, _ := stored.Get(uncleanSetting); want[uncleanSetting] != old {
		// What nobody may lead without it gets a leader at once.
		c.reassignLeaders(departure{broker: -1})
	}
	return nil
}

// checkMinISR keeps min.insync.replicas a setting of the cluster and of topics
// while eligible leader replicas rely on it (KAFKA-16540).
func (c *Core) checkMinISR(resource metadata.ConfigResource, want map[string]string) *failure {
	if resource.Type != metadata.ResourceBroker || c.image().Feature(FeatureELR) == 0 {
		return nil
	}
	value, wanted := want[minISRSetting]
	stored, had := c.image().Config(resource).Get(minISRSetting)
	if resource.Name != "" && (wanted != had || value != stored) {
		return fail(protocol.InvalidConfig, "Broker-level min.insync.replicas cannot be altered while ELR is enabled.")
	}
	if resource.Name == "" && had && !wanted {
		return fail(protocol.InvalidConfig, "Cluster-level min.insync.replicas cannot be removed while ELR is enabled.")
	}
	return nil
}

// elrReset forgets the eligible leader replicas that a change of
// min.insync.replicas makes doubtful (R17).
func (c *Core) elrReset(resource metadata.ConfigResource, stored metadata.Config, want map[string]string) []metadata.Record {
	old, had := stored.Get(minISRSetting)
	value, has := want[minISRSetting]
	if had == has && old == value || c.image().Feature(FeatureELR) == 0 {
		return nil
	}
	switch {
	case resource.Type == metadata.ResourceTopic:
		return []metadata.Record{&metarecord.ClearElrRecord{TopicName: resource.Name}}
	case resource == (metadata.ConfigResource{Type: metadata.ResourceBroker}):
		return []metadata.Record{&metarecord.ClearElrRecord{}}
	}
	return nil
}
