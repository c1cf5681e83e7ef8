package server

import (
	"fmt"
	"strconv"

	"github.com/naru-stream/naru/internal/kafka/config"
	"github.com/naru-stream/naru/internal/kafka/protocol"
	"github.com/naru-stream/naru/internal/quorum/controller"
	"github.com/naru-stream/naru/internal/quorum/metadata"
)

// describeConfigs tells the settings of topics, brokers, groups and client metrics
// subscriptions: value, where it comes from, and what it would be otherwise.
func (b *Broker) describeConfigs(c *call, r *protocol.DescribeConfigsRequest) protocol.Message {
	response := &protocol.DescribeConfigsResponse{}
	for i := range r.Resources {
		asked := &r.Resources[i]
		result := protocol.DescribeConfigsResponseDescribeConfigsResult{
			ResourceType: asked.ResourceType, ResourceName: asked.ResourceName,
		}
		entries, err := b.entriesOf(asked)
		if err != nil {
			result.ErrorCode, result.ErrorMessage = protocol.CodeOf(err), errorMessage(err)
		}
		for j := range entries {
			result.Configs = append(result.Configs, describeEntry(&entries[j], r.IncludeSynonyms, r.IncludeDocumentation))
		}
		response.Results = append(response.Results, result)
	}
	return response
}

func (b *Broker) entriesOf(asked *protocol.DescribeConfigsRequestDescribeConfigsResource) ([]config.Entry, error) {
	image, name := b.image(), asked.ResourceName
	names := asked.ConfigurationKeys
	if len(names) == 0 {
		names = nil
	}
	overrides := func() map[string]string {
		return image.Config(metadata.ConfigResource{Type: asked.ResourceType, Name: name}).Map()
	}
	switch asked.ResourceType {
	case metadata.ResourceTopic:
		if err := controller.CheckTopicName(name); err != nil {
			return nil, err
		}
		if image.Topic(name) == nil {
			return nil, protocol.UnknownTopicOrPartition
		}
		return b.values().DescribeTopic(overrides(), names), nil
	case metadata.ResourceBroker:
		if name == "" {
			return b.values().DescribeClusterDefault(names), nil
		}
		if name != strconv.Itoa(int(b.NodeID)) {
			return nil, fmt.Errorf("this is broker %d, ask broker %q itself for its settings: %w", b.NodeID, name, protocol.InvalidRequest)
		}
		return b.values().DescribeBroker(names), nil
	case metadata.ResourceBrokerLogger:
		return nil, fmt.Errorf("log levels are not served as settings: %w", protocol.InvalidRequest)
	case metadata.ResourceClientMetrics:
		if name == "" {
			return nil, fmt.Errorf("a client metrics subscription needs a name: %w", protocol.InvalidRequest)
		}
		return b.values().DescribeClientMetrics(overrides(), names), nil
	case metadata.ResourceGroup:
		if name == "" {
			return nil, fmt.Errorf("a group needs a name: %w", protocol.InvalidRequest)
		}
		return b.values().DescribeGroup(overrides(), names), nil
	default:
		return nil, fmt.Errorf("resource type %d has no settings: %w", asked.ResourceType, protocol.InvalidRequest)
	}
}

func describeEntry(e *config.Entry, synonyms, documentation bool) protocol.DescribeConfigsResponseDescribeConfigsResourceResult {
	out := protocol.DescribeConfigsResponseDescribeConfigsResourceResult{
		Name: e.Name, ReadOnly: e.ReadOnly, ConfigSource: int8(e.Source), IsSensitive: e.Sensitive, ConfigType: int8(e.Type),
	}
	if !e.Null {
		out.Value = &e.Value
	}
	if documentation && e.Doc != "" {
		out.Documentation = &e.Doc
	}
	if synonyms {
		for i := range e.Synonyms {
			s := &e.Synonyms[i]
			part := protocol.DescribeConfigsResponseDescribeConfigsSynonym{Name: s.Name, Source: int8(s.Source)}
			if !s.Null {
				part.Value = &s.Value
			}
			out.Synonyms = append(out.Synonyms, part)
		}
	}
	return out
}
