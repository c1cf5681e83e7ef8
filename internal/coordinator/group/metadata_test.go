package group

import (
	"strings"
	"testing"

	"github.com/naru-stream/naru/internal/kafka/config"
	"github.com/naru-stream/naru/internal/kafka/metarecord"
	"github.com/naru-stream/naru/internal/quorum/metadata"
)

// stored is a setting in the metadata.
type stored struct {
	of    metadata.ConfigResource
	name  string
	value string
}

// The settings of a group are found in their layers, and within the broker's bounds.
func TestAGroupsSettingsAreFoundInTheirLayers(t *testing.T) {
	group := metadata.ConfigResource{Type: metadata.ResourceGroup, Name: "g"}
	all := metadata.ConfigResource{Type: metadata.ResourceBroker}
	one := metadata.ConfigResource{Type: metadata.ResourceBroker, Name: "1"}
	for _, kind := range []string{"consumer", "share", "streams"} {
		interval, session, heartbeat := kind+".assignment.interval.ms", kind+".session.timeout.ms", kind+".heartbeat.interval.ms"
		for _, c := range []struct {
			name     string
			settings []stored
			want     map[string]int32 // 0 where there is none
		}{
			{"nothing is set", nil, nil},
			{"for all brokers", []stored{{all, "group." + interval, "11"}}, map[string]int32{interval: 11}},
			{"for this broker", []stored{{all, "group." + interval, "11"}, {one, "group." + interval, "12"}}, map[string]int32{interval: 12}},
			{"for the group", []stored{{one, "group." + interval, "12"}, {group, interval, "13"}, {group, session, "50000"}, {group, heartbeat, "6000"}},
				map[string]int32{interval: 13, session: 50000, heartbeat: 6000}},
			{"out of bounds", []stored{{group, interval, "20000"}, {group, session, "1"}, {group, heartbeat, "99999"}},
				map[string]int32{interval: 15000, session: 45000, heartbeat: 15000}},
			{"for all brokers, out of bounds", []stored{{all, "group." + interval, "20000"}}, map[string]int32{interval: 15000}},
		} {
			i := imageOf(t, c.settings)
			got := overridesOf(i, kind)
			for _, setting := range []string{interval, session, heartbeat} {
				if got[setting] != c.want[setting] {
					t.Errorf("%s: %s is %d, want %d", c.name, setting, got[setting], c.want[setting])
				}
			}
		}
	}
	streams := imageOf(t, []stored{{group, "streams.num.standby.replicas", "7"}, {group, "streams.initial.rebalance.delay.ms", "77"}}).StreamsOverrides("g")
	if *streams.StandbyReplicas != 2 || *streams.InitialRebalanceDelayMs != 77 {
		t.Errorf("a streams group has %d standbys and waits %d ms, want 2 and 77", *streams.StandbyReplicas, *streams.InitialRebalanceDelayMs)
	}
}

// imageOf returns the metadata with the settings, as broker 1 sees it.
func imageOf(t *testing.T, settings []stored) image {
	t.Helper()
	delta := metadata.NewDelta(metadata.NewImage())
	layers := map[string]map[string]string{}
	for _, s := range settings {
		record := &metarecord.ConfigRecord{ResourceType: s.of.Type, ResourceName: s.of.Name, Name: s.name, Value: &s.value}
		if err := delta.Apply(record); err != nil {
			t.Fatal(err)
		}
		if s.of.Type == metadata.ResourceBroker {
			layers[s.of.Name] = map[string]string{s.name: s.value}
		}
	}
	values, err := config.Values{}.WithDynamic(layers["1"], layers[""])
	if err != nil {
		t.Fatal(err)
	}
	return image{of: delta.Image(1, 1), version: 1, settings: values}
}

func overridesOf(i image, kind string) map[string]int32 {
	out := map[string]int32{}
	take := func(setting string, ms *int32) {
		if ms != nil {
			out[kind+"."+setting] = *ms
		}
	}
	if strings.HasPrefix(kind, "streams") {
		o := i.StreamsOverrides("g")
		take("assignment.interval.ms", o.AssignmentIntervalMs)
		take("session.timeout.ms", o.SessionTimeoutMs)
		take("heartbeat.interval.ms", o.HeartbeatIntervalMs)
		return out
	}
	o := i.Overrides("g")
	if kind == "share" {
		o = i.ShareOverrides("g")
	}
	take("assignment.interval.ms", o.AssignmentIntervalMs)
	take("session.timeout.ms", &o.SessionTimeoutMs)
	take("heartbeat.interval.ms", &o.HeartbeatIntervalMs)
	return out
}
