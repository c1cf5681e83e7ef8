package naru

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/naru-stream/naru/internal/broker/telemetry"
)

// A client of another make, with its metrics on as they are by default, pushes what
// the subscription asks for, and nothing once the subscription is gone.
func TestClientsPushTheMetricsTheyAreAskedFor(t *testing.T) {
	node, err := Start(t.Context(), Config{Properties: map[string]string{"listeners": "PLAINTEXT://localhost:0", "log.dirs": t.TempDir()}})
	if err != nil {
		t.Fatal(err)
	}
	defer node.Close()
	admin, err := kgo.NewClient(kgo.SeedBrokers(node.Addr()), kgo.DisableClientMetrics())
	if err != nil {
		t.Fatal(err)
	}
	defer admin.Close()
	alter := func(settings ...string) {
		t.Helper()
		r := kmsg.NewPtrIncrementalAlterConfigsRequest()
		resource := kmsg.NewIncrementalAlterConfigsRequestResource()
		resource.ResourceType, resource.ResourceName = kmsg.ConfigResourceTypeClientMetrics, "connections"
		for _, pair := range settings {
			name, value, set := strings.Cut(pair, "=")
			c := kmsg.NewIncrementalAlterConfigsRequestResourceConfig()
			if c.Name, c.Value = name, &value; !set {
				c.Op, c.Value = kmsg.IncrementalAlterConfigOpDelete, nil
			}
			resource.Configs = append(resource.Configs, c)
		}
		r.Resources = append(r.Resources, resource)
		response, err := r.RequestWith(t.Context(), admin)
		if err != nil || response.Resources[0].ErrorCode != 0 {
			t.Fatal(err, response)
		}
	}
	alter("interval.ms=100", "metrics=org.apache.kafka.producer.connection.", "match=client_id=watched,client_software_name=kgo")

	pushed := make(chan error, 1)
	client, err := kgo.NewClient(kgo.SeedBrokers(node.Addr()), kgo.ClientID("watched"), kgo.AllowAutoTopicCreation(), kgo.WithHooks(pushHook(pushed)))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	for range 2 {
		if err := client.ProduceSync(t.Context(), &kgo.Record{Topic: "t", Value: []byte("v")}).FirstErr(); err != nil {
			t.Fatal(err)
		}
		select {
		case err := <-pushed:
			if err != nil {
				t.Fatal(err)
			}
		case <-time.After(20 * time.Second):
			t.Fatal("the client has pushed nothing in 20 s")
		}
	}
	instances := slices.Collect(node.telemetry.Instances(time.Now().UnixMilli()))
	if len(instances) != 1 || instances[0].Client.ID != "watched" || instances[0].Client.Software != "kgo" || instances[0].Client.Version == "" {
		t.Fatalf("got %+v, want one instance of the client", instances)
	}
	if !slices.ContainsFunc(instances[0].Series, func(s telemetry.Series) bool {
		return s.Name == "org.apache.kafka.producer.connection.creation.total" && s.Value > 0
	}) {
		t.Errorf("the connections that were made are not among %+v", instances[0].Series)
	}
	alter("interval.ms", "metrics", "match")
	response := subscriptionOf(t, client)
	if len(response.RequestedMetrics) != 0 || response.PushIntervalMillis != telemetry.DefaultIntervalMs {
		t.Errorf("without a subscription the client is asked for %+v", response)
	}
}

func subscriptionOf(t *testing.T, client *kgo.Client) *kmsg.GetTelemetrySubscriptionsResponse {
	t.Helper()
	response, err := kmsg.NewPtrGetTelemetrySubscriptionsRequest().RequestWith(t.Context(), client)
	if err != nil || response.ErrorCode != 0 {
		t.Fatal(err, response)
	}
	return response
}

// pushHook tells of each answer to a push.
type pushHook chan error

func (h pushHook) OnBrokerRead(_ kgo.BrokerMetadata, key int16, _ int, _, _ time.Duration, err error) {
	if key == int16(kmsg.PushTelemetry) && !errors.Is(err, kgo.ErrClientClosed) {
		select {
		case h <- err:
		default:
		}
	}
}
