// Package config knows every setting of the broker, of topics, of groups and of
// client metrics subscriptions once: its name, type, default, meaning, valid
// values, where it may be changed, and what Naru does with it.
//
// Everything else about settings is derived from that one table: defaults,
// validation and its messages, the typed structures the rooms read
// ([Topic], [Values]), the answers of DescribeConfigs, the reading of
// server.properties and the page docs/configuration.md.
//
// Names, types, defaults, valid values and synonyms are those of Apache Kafka
// 4.3.1; a test holds the table equal to what that broker reports. Naru's own
// settings carry the prefix "naru." and belong to the broker.
//
// A value is found in layers. For a broker setting: this broker's dynamic
// value, the cluster-wide dynamic value, server.properties, the default. A topic
// or group setting may be overridden for the one topic or group and otherwise
// takes the value of the broker setting it is a synonym of.
//
// Neighbours: it imports only package assert and performs no I/O. The files
// keys_*.go are the table, by subject; keys_naru.go and keys_network.go are where
// a room adds a limit of its own.
package config
