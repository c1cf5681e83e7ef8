// Package naru runs a Kafka-compatible broker inside a Go program.
//
//	node, err := naru.Start(ctx, naru.Config{Properties: map[string]string{
//		"log.dirs":  "/var/lib/myapp/naru",
//		"listeners": "PLAINTEXT://localhost:9092",
//	}})
//	if err != nil { … }
//	defer node.Close()
//	// Any Kafka client may now use node.Addr().
//
// A node is one broker and its controller: the same code that the command `naru`
// runs. Its settings have the names, types and defaults of Apache Kafka's
// server.properties, except for three that make it work at once on one machine:
// log.dirs is naru-data, listeners is PLAINTEXT://localhost:9092, and node.id is 1.
//
// On one node an acknowledged record is synced to disk (durability mode group);
// naru.durability=os gives Kafka's default, which trusts the page cache.
//
// Tests that need a broker find package narutest more convenient.
package naru
